# SPDX-License-Identifier: GPL-2.0-or-later
"""What many mappings and many prefixes cost, what one mapping's change takes, and a plain table's way back.

New connections: client - ISP (full cone) - gateway - service in the LAN. The tables are made by the daemon's
planner and installed by its nft code, but without the daemon (changes.c), so that there is nothing but the
kernel's path. Each round measures all of them, each made anew, in another order each time; ratios are made
within a round. As in forward.py the basis is measured twice: how far the two differ is the noise.
"""
import contextlib
import ctypes
import math
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from common import BIND_PORT, PUBLIC_PORT, daemon, program, table
from observe import Table
from scale import FIRST_BIND, OFFSET, all_up, configuration

MANY, PREFIXES = 1000, 10000
SERVICE_PORT = 9000    # as in changes.c
SECONDS, PARALLEL = 0.15, 16
LIMIT = 120            # seconds for new connections; rounds that would not fit are left out

# name: (mappings, prefixes of the measured one)
TABLES = {"1 mapping": (1, 0), "the same again": (1, 0), f"{MANY:,} mappings": (MANY, 0),
          f"{PREFIXES:,} prefixes": (1, PREFIXES)}
BASIS = "1 mapping"
ASKED = {f"{MANY:,} mappings": ">= 0.97", f"{PREFIXES:,} prefixes": ">= 0.95"}


class Tool:
    """changes.c on the gateway: one line there, one line of numbers back."""

    def __init__(self, lab):
        self._process = lab.gw.ns.spawn([program("changes")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def ask(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"changes: {' '.join(map(str, words))}: failed")
        return [int(word) for word in answer.split()]


def percentile(values, percent):
    """The value that so many percent of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


# ---- new connections ----

def rate(lab, seconds):
    done = lab.client.ns.run([program("load"), "connect", lab.isp.public, str(PUBLIC_PORT), str(seconds),
                              str(PARALLEL)], check=False, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(f"new connections: {done.stderr}")
    return float(done.stdout)


def connections_round(lab, tool, results):
    names = list(TABLES)
    random.shuffle(names)
    for name in names:
        tool.ask("install", *TABLES[name])
        for ns in (lab.gw.ns, lab.isp.ns, lab.nas.ns, lab.client.ns):
            ns.flush_conntrack()
        rate(lab, 0.05)  # warm: the first connections after a transaction
        results.setdefault(name, []).append(rate(lab, SECONDS))


def bounds(values):
    """The median, and the bounds between which it lies with 95 % confidence (from the order statistics)."""
    found = sorted(values)
    rank = max(0, int((len(found) - 1.96 * math.sqrt(len(found))) / 2))
    return f"{statistics.median(found):.3f}", f"{found[rank]:.3f}-{found[-1 - rank]:.3f}", \
        f"{found[len(found) // 4]:.3f}-{found[-1 - len(found) // 4]:.3f}"


def connections(lab, quick):
    most, results, rounds, begin = 20 if quick else 150, {}, 0, time.monotonic()
    lab.isp.full_cone(PUBLIC_PORT, BIND_PORT)
    service = lab.nas.ns.spawn([program("load"), "serve", str(SERVICE_PORT)], stdout=subprocess.PIPE)
    try:
        service.stdout.readline()
        with Tool(lab) as tool:
            while rounds < most and (time.monotonic() - begin) * (rounds + 1) <= LIMIT * max(rounds, 1):
                connections_round(lab, tool, results)
                rounds += 1
            tool.ask("remove")
    finally:
        service.kill()
        service.wait()
        service.stdout.close()
    print(f"table: new connections, {PARALLEL} at a time, client - ISP - gateway - LAN; {rounds} rounds, "
          f"{SECONDS} s a measurement.\nThe tables are the daemon's, but installed without it, "
          "so that nothing else runs")
    rows = []
    for name in TABLES:
        ratios = [a / b for a, b in zip(results[name], results[BASIS])]
        rows.append([name, f"{statistics.median(results[name]):.0f}",
                     *(("", "", "") if name == BASIS else bounds(ratios)), ASKED.get(name, "")])
    table(rows, ["", "median, 1/s", f"to {BASIS}", "95 % confidence", "middle half", "asked"])


# ---- one mapping's change ----

def microseconds(values):
    return [f"{statistics.median(values) / 1000:.0f}", f"{percentile(values, 99) / 1000:.0f}"]


def change_row(what, numbers, asked=""):
    """numbers: of each change the ns of all and the ns in sendto()."""
    whole, kernel = numbers[0::2], numbers[1::2]
    return [what, *microseconds(whole), *microseconds(kernel),
            *microseconds([a - b for a, b in zip(whole, kernel)]), asked]


def change_files(directory):
    """Files for `nft -f` that change the public endpoint of `web` to and fro."""
    bind, found = f"100.64.0.2 . tcp . {BIND_PORT}", []
    for old, new in ((PUBLIC_PORT, 50000), (50000, PUBLIC_PORT)):
        before, now = (f"203.0.113.7 . tcp . {port}" for port in (old, new))
        path = os.path.join(directory, f"to-{new}.nft")
        with open(path, "w", encoding="ascii") as f:
            f.write(f"delete element inet pinhold bound4 {{ {bind} }}\n"
                    f"delete element inet pinhold published4 {{ {before} }}\n"
                    f"delete element inet pinhold loopback4 {{ {before} }}\n"
                    f'add element inet pinhold bound4 {{ {bind} comment "web: 203.0.113.7:{new}" }}\n'
                    f'add element inet pinhold published4 {{ {now} comment "web" }}\n'
                    f"add element inet pinhold loopback4 {{ {now} : 192.168.10.50 . {SERVICE_PORT} }}\n")
        found.append(path)
    return found


def changes_of(lab, count, runs):
    """Rows of one size of table, and the median of the short way and of `nft -f`."""
    with Tool(lab) as tool, tempfile.TemporaryDirectory() as directory:
        tool.ask("install", count, 0)
        tool.ask("change", 20, 0)  # warm
        at_once = tool.ask("change", runs, 0)
        paced = tool.ask("change", runs, 5000)
        whole = tool.ask("whole", runs // 4, 5000)
        tool.ask("remove")
        path = os.path.join(directory, "whole.nft")
        tool.ask("print", count, path)
        lab.gw.ns.run(["nft", "-f", path])
        by_nft = tool.ask("load", runs // 5, *change_files(directory))
        lab.gw.ns.run(["nft", "delete", "table", "inet", "pinhold"])
    title = f"{count:,} mapping{'s' if count > 1 else ''}"
    return [
        change_row(f"{title}: one after another", at_once, "<= 300"),
        change_row(f"{title}: one every 5 ms (cold)", paced, "<= 300"),
        change_row(f"{title}: by a new plan of all", whole),
        [f"{title}: nft -f", *microseconds(by_nft), "", "", "", "", ""],
    ], statistics.median(at_once[0::2]), statistics.median(paced[0::2]), statistics.median(by_nft)


def changes(lab, quick):
    runs = 200 if quick else 1000
    rows, ratios = [], []
    for count in (1, MANY):
        more, at_once, paced, by_nft = changes_of(lab, count, runs)
        rows += more
        ratios.append([f"{count:,}", f"1/{by_nft / at_once:.0f}", f"1/{by_nft / paced:.0f}", "<= 1/20"])
    print(f"""
table: one mapping's new public endpoint, loopback = yes: us of wall time of {runs} changes ({runs // 4} by a new plan,
{runs // 5} by nft). The daemon's own code on an owned table: two plans of one mapping, difference, batch, sendto(),
the kernel's answer. nft -f: from fork to exit, the same elements in a plain table of the same mappings, for an
owned one refuses it""")
    table(rows, ["", "median", "p99", "in sendto()", "p99", "outside it", "p99", "asked"])
    print()
    table(ratios, ["mappings: change / nft -f", "one after another", "one every 5 ms", "asked"])


# ---- the same in a running daemon ----

@contextlib.contextmanager
def instead(path):
    """Another program in place of pinhold."""
    was = os.environ["PINHOLD"]
    os.environ["PINHOLD"] = path
    try:
        yield
    finally:
        os.environ["PINHOLD"] = was


def move(lab, p, bind, public):
    """The ISP moves a mapping, and its holders die; waits until the daemon has told of the new endpoint."""
    start = p.count()
    lab.isp.remap(public, bind)
    # Otherwise they would find out when the kernel probes them, those of all mappings in the same moment.
    lab.gw.run(["ss", "-K", "-t", f"sport = :{bind}"])
    p.wait_log(rf" public={lab.isp.public}:{public}\b", 60, start)


def transactions(p, start, way):
    """What a pinhold-timed has said of such transactions from line `start` on: the ns of all and in sendto()."""
    return [int(word) for line in p.lines[start:] if line.startswith(f"timed {way} ")
            for word in line.split()[2:4]]


def in_daemon(lab, quick):
    moved, rows = 20 if quick else 100, []
    last = FIRST_BIND + MANY - 1
    lab.isp.full_cone_range(FIRST_BIND, last, OFFSET)
    with tempfile.TemporaryDirectory() as directory, instead(program("pinhold-timed")), \
            Table(lab.gw.ns) as notices:
        with daemon(lab, directory, configuration(lab, "tcp", MANY)) as p:
            all_up(lab, notices, MANY, 60)
            notices.close()
            time.sleep(5)  # the start's look-arounds are over
            begin = p.count()
            for bind in range(FIRST_BIND, FIRST_BIND + moved):
                move(lab, p, bind, bind + OFFSET + MANY)
            for way, what, asked in (("change", "one mapping's", "<= 300"), ("whole", "any other", "")):
                found = transactions(p, begin, way)
                if found:
                    rows.append(change_row(f"{what} ({len(found) // 2} of them)", found, asked))
    print(f"\ntable: the same in a running daemon with {MANY:,} TCP mappings, of which the ISP moves {moved}, one "
          "after the other:\nus of wall time from looking what is wanted to the kernel's answer")
    table(rows, ["transactions", "median", "p99", "in sendto()", "p99", "outside it", "p99", "asked"])


# ---- a plain table that somebody deletes ----

class Generations(Table):
    """The ends of transactions only. A filter leaves the rest in the kernel: to read it would take the daemon's
    time."""

    NEWGEN = (10 << 8 | 15).to_bytes(2, sys.byteorder)  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN
    SO_ATTACH_FILTER = 26

    def start(self):
        load_type, equal, give = 0x28, 0x15, 0x06  # BPF_LD | BPF_H | BPF_ABS, BPF_JMP | BPF_JEQ, BPF_RET
        lines = ((load_type, 0, 0, 4), (equal, 0, 1, int.from_bytes(self.NEWGEN, "big")),
                 (give, 0, 0, 0xffffffff), (give, 0, 0, 0))
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
        self._socket.setsockopt(socket.SOL_SOCKET, self.SO_ATTACH_FILTER,
                                struct.pack("HP", len(lines), ctypes.addressof(code)))
        return super().start()


def deletions(lab, count, runs):
    """The ms until the table is back, of each foreign deletion: from the kernel's notice, from the end of nft,
    and the daemon's CPU time."""
    from_notice, from_return, busy = [], [], []
    lab.isp.full_cone_range(FIRST_BIND, FIRST_BIND + count - 1, OFFSET)
    plain = os.path.join(os.environ["BENCH_PROGRAMS"], "..", "lab", "pinhold-plain")
    with tempfile.TemporaryDirectory() as directory, instead(os.path.abspath(plain)):
        with Table(lab.gw.ns) as notices, daemon(lab, directory, configuration(lab, "tcp", count)) as p, \
                Generations(lab.gw.ns) as ends:
            all_up(lab, notices, count, 60)
            notices.close()
            time.sleep(3)  # the start's last transactions are over
            for _ in range(runs):
                start, before = ends.count(), p.cpu_seconds()
                lab.gw.ns.run(["nft", "delete", "table", "inet", "pinhold"])
                returned = time.monotonic_ns()
                gone = ends.wait(lambda item: b"nft\0" in item[1], 5, start)
                back = gone and ends.wait(lambda item: b"pinhold" in item[1] and item[0] > gone[0], 5, start)
                if not back:
                    raise RuntimeError(f"the table is not back\n{p.story()}")
                from_notice.append((back[0] - gone[0]) / 1e6)
                from_return.append((back[0] - returned) / 1e6)
                busy.append((p.cpu_seconds() - before) * 1e3)
                time.sleep(1.1)  # it is put back at once five times, and then once a second
            chains = lab.gw.table().count("goto in-")
            if chains != count:
                raise RuntimeError(f"{chains} of {count} mappings are back")
    return from_notice, from_return, busy


def foreign(lab, quick):
    runs, rows = 5 if quick else 30, []
    for count in (1, MANY):
        whats = "from the kernel's notice of it", "from the end of nft", "the daemon's CPU time"
        for what, found, asked in zip(whats, deletions(lab, count, runs), ("<= 50", "", "")):
            rows.append([f"{count:,}: {what}", f"{statistics.median(found):.1f}", f"{percentile(found, 90):.1f}",
                         f"{max(found):.1f}", asked])
        for complaint in lab.reset():
            print(complaint, file=sys.stderr)
    print(f"""
table: a plain table (as on a kernel without the owner flag) that `nft delete table` deletes: ms until it is back,
{runs} times. nft holds the kernel's lock on transactions until its socket is closed, which waits for RCU: a part of
the time from the notice. From the end of nft on it is the daemon, and the kernel working for it""")
    table(rows, ["mappings", "median", "p90", "most", "asked"])


def main(lab, quick):
    for part in (connections, changes, in_daemon, foreign):
        part(lab, quick)
        for complaint in lab.reset():
            print(complaint, file=sys.stderr)
