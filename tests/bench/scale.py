# SPDX-License-Identifier: GPL-2.0-or-later
"""Many mappings in one daemon: what the start, a reload and idling cost, beside one mapping and a hundred."""
import json
import os
import re
import statistics
import tempfile
import time

from common import Mapping, command, daemon, memory, servers_text, table
from observe import Table

FIRST_BIND, OFFSET = 10000, 20000
TOUCHED = re.compile(r"\b(?:chain|rule|element|set|map|counter) inet pinhold (\S+)")


def configuration(lab, protocol, count, other=()):
    """other: the mappings (numbers) whose target is another port."""
    port = 443 if protocol == "tcp" else lab.nas.echo.port
    return "[global]\ninterface = wan\n" + servers_text(lab) + "\n" + "".join(
        Mapping(f"m{n}", protocol, FIRST_BIND + n,
                f"{lab.nas.address}:{port + 1 if n in other else port}").section() for n in range(count))


def all_up(lab, notices, count, timeout, offset=OFFSET):
    """When the last mapping's public endpoint was in the kernel's table."""
    told = re.compile(rb"\bm(\d+): " + re.escape(lab.isp.public.encode()) + rb":(\d+)")
    missing = {(b"%d" % n, b"%d" % (FIRST_BIND + n + offset)) for n in range(count)}

    def complete(item):
        missing.difference_update(told.findall(item[1]))
        return not missing

    found = notices.wait(complete, timeout)
    if not found:
        raise RuntimeError(f"{len(missing)} of {count} mappings are not up after {timeout} s")
    return found[0]


def states(lab, directory):
    """{name: state}, as `pinhold status --json` says."""
    return {m["name"]: m["state"] for m in
            json.loads(command(lab, directory, "status", "--json"))["mappings"]}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def reloads(lab, directory, protocol, count, runs):
    """Milliseconds of `pinhold reload`, from exec to exit, and what of the table the last one touched."""
    found = []
    changed = count // 2
    for n in range(runs):
        with open(os.path.join(directory, "pinhold.conf"), "w", encoding="utf-8") as f:
            f.write(configuration(lab, protocol, count, other=[changed] if n % 2 == 0 else []))
        # The watch costs time of its own: only the last one is watched, and not measured.
        monitor = lab.gw.monitor() if n == runs - 1 else None
        begin = time.monotonic()
        command(lab, directory, "reload")
        if not monitor:
            found.append((time.monotonic() - begin) * 1000)
    touched = {name for transaction in monitor.stop() for line in transaction
               for name in TOUCHED.findall(line)}
    return found, sorted(touched)


def one(lab, protocol, count, seconds, runs):
    """Everything of one daemon, as {what: cell}."""
    lab.isp.full_cone_range(FIRST_BIND, FIRST_BIND + count - 1, OFFSET)
    with tempfile.TemporaryDirectory() as directory, Table(lab.gw.ns) as notices:
        begin = time.monotonic_ns()
        with daemon(lab, directory, configuration(lab, protocol, count)) as p:
            up = (all_up(lab, notices, count, 60) - begin) / 1e9
            notices.close()
            time.sleep(10)  # the start's look-arounds are over
            fds, mine = descriptors(p.pid), memory(p.pid)
            before = p.cpu_seconds()
            print(f"scale: {count} {protocol}: watching for {seconds} s", flush=True)
            time.sleep(seconds)  # the measurement's own length
            busy = (p.cpu_seconds() - before) / seconds
            after = memory(p.pid)
            status = states(lab, directory)
            found, touched = reloads(lab, directory, protocol, count, runs)
    return {
        "start to all up, s": f"{up:.2f}",
        "of them up a while later": str(sum(state == "up" for state in status.values())),
        "proportional set size, kB": str(mine["Pss"]),
        "the same later": str(after["Pss"]),
        "private dirty, kB": str(mine["Private_Dirty"]),
        "descriptors": str(fds),
        "idle CPU, % of one core": f"{busy * 100:.2f}",
        "reload of one changed mapping, ms": f"{statistics.median(found):.1f}",
        "what it touched of the table": " ".join(touched),
    }


ASKED = {
    "start to all up, s": "< 10",
    "proportional set size, kB": "<= 12288",
    "idle CPU, % of one core": "< 1",
    "reload of one changed mapping, ms": "< 50",
    "what it touched of the table": "one mapping's",
}


def main(lab, quick):
    seconds, runs = (15, 4) if quick else (60, 6)
    kinds = [("tcp", 1), ("tcp", 100), ("tcp", 1000)] + ([] if quick else [("udp", 1000)])
    columns = [one(lab, protocol, count, seconds, runs) for protocol, count in kinds]
    print("scale: mappings in one daemon, servers next door")
    table([[what, *(c[what] for c in columns), ASKED.get(what, "")] for what in columns[0]],
          ["", *(f"{count:,} {protocol}" for protocol, count in kinds), "asked"])
