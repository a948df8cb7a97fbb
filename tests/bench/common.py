# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share."""
import os
import re
import statistics
import time

BIND_PORT, PUBLIC_PORT = 8443, 48443


def program(name):
    return os.path.join(os.environ["BENCH_PROGRAMS"], name)


def pinhold_program():
    return os.environ["PINHOLD"]


def server_options(lab):
    """Two keep-alive and two STUN servers, by address: no name look-up is measured."""
    a, b, c, d = (s.address for s in lab.internet.real)
    return ["-s", a, "-s", b, "-h", c, "-h", d]


def round_trip(lab, n=5):
    """Milliseconds from SYN to SYN+ACK, gateway to keep-alive server; the median of n."""
    found = []
    for _ in range(n):
        with lab.gw.ns.socket(2, 1) as s:  # AF_INET, SOCK_STREAM
            begin = time.monotonic_ns()
            s.connect((lab.internet.real[2].address, 80))
            found.append((time.monotonic_ns() - begin) / 1e6)
    return statistics.median(found)


def memory(pid):
    """kB of proportional, private dirty and resident memory."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        text = f.read()
    return {k: int(re.search(rf"^{k}:\s+(\d+) kB", text, re.M).group(1))
            for k in ("Pss", "Private_Dirty", "Rss")}


class Mapping:
    """One [mapping NAME] of a configuration file."""

    def __init__(self, name, protocol, bind, target):
        self.name, self.protocol, self.bind, self.target = name, protocol, bind, target

    def section(self, *more):
        lines = [f"[mapping {self.name}]", f"protocol = {self.protocol}", f"bind = {self.bind}",
                 f"target = {self.target}", *more]
        return "\n".join(lines) + "\n\n"


def servers_text(lab, keepalive_port=80):
    """All servers of the lab, by address: no name look-up is measured. STUN answers on two ports of each, which
    is enough for a fresh one each minute."""
    return "".join(f"stun = {s.address}\nkeepalive = {s.address}:{keepalive_port}\n"
                   for s in lab.internet.all) + \
        "".join(f"stun = {s.address}:3479\n" for s in lab.internet.all)


def daemon(lab, directory, text):
    """`pinhold run` on the gateway with this configuration file; its socket lies in the directory too."""
    path = os.path.join(directory, "pinhold.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return lab.pinhold("run", "-c", path, hook=False, servers=False, env={"RUNTIME_DIRECTORY": directory})


def command(lab, directory, *arguments):
    """Runs another of pinhold's commands against that daemon; its output."""
    return lab.gw.ns.run([pinhold_program(), *arguments], timeout=30,
                         env={**os.environ, "RUNTIME_DIRECTORY": directory})


def table(rows, head):
    """Prints rows of strings, the first column to the left, the others to the right."""
    rows = [head, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        first, *rest = (cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths)))
        print("   ".join([first, *rest]).rstrip(), flush=True)
