# SPDX-License-Identifier: GPL-2.0-or-later
"""What one idle TCP mapping costs: memory, and system calls."""
import os
import re
import signal
import subprocess
import tempfile
import time

from common import BIND_PORT, PUBLIC_PORT, memory, program, server_options, table


def system_calls(pid, seconds, directory):
    """How many in that time, and which, by name."""
    path = os.path.join(directory, "calls")
    strace = subprocess.Popen(["strace", "-f", "-qq", "-e", "signal=none", "-o", path, "-p", str(pid)],
                              stderr=subprocess.DEVNULL)
    time.sleep(seconds)  # the measurement's own length
    strace.send_signal(signal.SIGINT)
    strace.wait()
    with open(path, encoding="utf-8", errors="replace") as f:
        names = [m.group(1) for m in map(re.compile(r"^\d+\s+(?:<\.\.\. )?(\w+)\b.*= ").match, f) if m]
    # The call in which strace found it began before, and does not count.
    return len(names), sorted({(names.count(n), n) for n in names}, reverse=True)


def of_empty(lab):
    process = lab.gw.ns.spawn([program("empty")], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        return memory(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main(lab, quick):
    seconds = 30 if quick else 120
    lab.isp.full_cone(PUBLIC_PORT, BIND_PORT)
    empty = of_empty(lab)
    with lab.pinhold("-4", "-i", "wan", *server_options(lab), "-b", BIND_PORT, "-p", 443) as p, \
            tempfile.TemporaryDirectory() as directory:
        p.wait_hook()
        print(f"idle: watching for {seconds} s", flush=True)
        time.sleep(5)  # the start's probes and holders are over
        calls, by_name = system_calls(p.pid, seconds, directory)
        mine = memory(p.pid)
    print("idle: one TCP mapping")
    table([["proportional set size, kB", str(mine["Pss"]), "<= 2048", str(empty["Pss"])],
           ["private dirty, kB", str(mine["Private_Dirty"]), "<= 500", str(empty["Private_Dirty"])],
           ["resident set size, kB", str(mine["Rss"]), "", str(empty["Rss"])],
           ["system calls a minute", f"{calls * 60 / seconds:.0f}", "<= 60", ""]],
          ["", "pinhold", "asked", "empty program, same libraries"])
    print("      of which in all: " + (", ".join(f"{n} {name}" for n, name in by_name) or "none"))
    print("      A proportional set size falls as other programs map the same libraries; private dirty does not.")
