# SPDX-License-Identifier: GPL-2.0-or-later
"""From exec to the hook's call, with the servers next door and far away."""
import os
import select
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from common import BIND_PORT, PUBLIC_PORT, pinhold_program, program, round_trip, server_options, table

MS = 1e6  # nanoseconds
ALLOWED = 15
ONE_WAY = 25


class Start:
    """One start, and what it takes: a FIFO on which the hook says when it was called."""

    def __init__(self, lab, directory):
        self.lab, self.directory = lab, directory
        self.hook = os.path.join(directory, "hook")
        shutil.copy(program("stamp"), self.hook)
        os.mkfifo(self.hook + ".fifo")
        # Open for writing too: no end of file between two hooks.
        self.fifo = os.open(self.hook + ".fifo", os.O_RDWR | os.O_CLOEXEC)

    def spawn(self, command):
        with open(os.path.join(self.directory, "output"), "wb") as output:
            return self.lab.gw.ns.spawn([program("stamp"), "exec", *command], stdin=subprocess.DEVNULL,
                                        stdout=output, stderr=subprocess.STDOUT)

    def times(self):
        with open(os.path.join(self.directory, "output"), encoding="utf-8", errors="replace") as f:
            return f.read().split("\n")

    def hook_time(self):
        poll = select.poll()
        poll.register(self.fifo, select.POLLIN)
        if not poll.poll(20000):
            raise RuntimeError("no hook call within 20 s:\n" + "\n".join(self.times()))
        return int(os.read(self.fifo, 4096).split()[0])

    def pinhold(self):
        """Milliseconds from exec to the hook's first instruction."""
        process = self.spawn([pinhold_program(), "-4", "-i", "wan", *server_options(self.lab),
                              "-b", str(BIND_PORT), "-p", "443", "-e", self.hook])
        try:
            called = self.hook_time()
            return (called - int(self.times()[0])) / MS
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def bare_hook(self):
        process = self.spawn([self.hook])
        called = self.hook_time()
        process.wait()
        return (called - int(self.times()[0])) / MS

    def empty(self):
        """The same libraries, nothing done."""
        process = self.spawn([program("empty")])
        try:
            while len(self.times()) < 3:
                time.sleep(0.001)
            begin, end = map(int, self.times()[:2])
            return (end - begin) / MS
        finally:
            process.kill()
            process.wait()


def row(what, found, asked="", note=""):
    return [what, f"{statistics.median(found):.1f}", f"{min(found):.1f}", f"{max(found):.1f}",
            str(len(found)), asked, note]


def main(lab, quick):
    near, far = (5, 3) if quick else (20, 10)
    lab.isp.full_cone(PUBLIC_PORT, BIND_PORT)
    with tempfile.TemporaryDirectory() as directory:
        start = Start(lab, directory)
        rows = [row("an empty program with the same libraries, to main", [start.empty() for _ in range(near)]),
                row("the hook's program alone", [start.bare_hook() for _ in range(near)]),
                row("pinhold, servers next door", [start.pinhold() for _ in range(near)], f"<= {ALLOWED}",
                    f"round trip {round_trip(lab, 5):.2f} ms")]
        lab.delay(ONE_WAY)
        trip = round_trip(lab, 5)
        rows.append(row("pinhold, far servers", [start.pinhold() for _ in range(far)],
                        f"<= {2 * trip + ALLOWED:.0f}", f"round trip {trip:.1f} ms; two of them and {ALLOWED}"))
        lab.delay(0)
        os.close(start.fifo)
    print("start: from exec to the hook's call, milliseconds")
    table(rows, ["", "median", "least", "most", "runs", "asked", ""])
