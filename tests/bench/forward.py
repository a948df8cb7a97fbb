# SPDX-License-Identifier: GPL-2.0-or-later
"""What forwarding costs: client - ISP (full cone) - gateway - service.

Each round measures everything with every way of forwarding, one directly after the other and in another
order each time; a ratio is made within a round, and the median of the rounds is printed with the bounds
between which it lies with 95 % confidence. So what else the machine does hits all alike; how much it hits shows
the rule, which is measured twice.
"""
import contextlib
import math
import shutil
import statistics
import subprocess
import sys
import time

from common import BIND_PORT, PUBLIC_PORT, pinhold_program, program, server_options, table
from pinlab.daemon import HookReceiver

SERVICE_PORT = 9000
DIRECT = {"gateway": 49000, "lan": 49001}  # public ports that lead past the gateway's forwarders

# (what it says, unit, load's word, its N)
MEASURES = (
    ("download, 1 stream", "Mbit/s", "receive", 1),
    ("download, 8 streams", "Mbit/s", "receive", 8),
    ("upload, 1 stream", "Mbit/s", "send", 1),
    ("upload, 8 streams", "Mbit/s", "send", 8),
    ("100-octet round trips", "1/s", "echo", 100),
    ("new connections, 1 at a time", "1/s", "connect", 1),
    ("new connections, 32 at a time", "1/s", "connect", 32),
)

TARGETS = {"gateway": "target on the gateway", "lan": "target in the LAN"}
LIMIT = 330    # seconds; rounds that would not fit are left out
SECONDS = 0.2  # a measurement
RARELY = 4     # natmap and socat differ by far more than the noise: every fourth round is enough


class Bench:
    def __init__(self, lab):
        self.lab = lab
        # The rule twice: how far the two differ is what this machine cannot tell apart today.
        self.ways = {"none": self.none, "rule": self.rule, "rule again": self.rule, "pinhold": self.pinhold}
        self.others = {name: way for name, way in (("natmap", self.natmap), ("socat", self.socat))
                       if shutil.which(name)}
        self.address = {"gateway": lab.gw.address, "lan": lab.nas.address}

    # Each way: install it, yield the public port that leads to the service, take it away.

    @contextlib.contextmanager
    def none(self, target):
        yield DIRECT[target]

    @contextlib.contextmanager
    def rule(self, target):
        to = f"redirect to :{SERVICE_PORT}" if target == "gateway" \
            else f"dnat to {self.address[target]}:{SERVICE_PORT}"
        gw = self.lab.gw.ns
        gw.nft("add table ip byhand\n"
               "add chain ip byhand prerouting { type nat hook prerouting priority dstnat; }\n"
               f'add rule ip byhand prerouting iifname "wan" tcp dport {BIND_PORT} {to}\n')
        try:
            yield PUBLIC_PORT
        finally:
            gw.nft("delete table ip byhand")

    @contextlib.contextmanager
    def pinhold(self, target):
        where = ["-t", self.address[target]] if target == "lan" else []
        with self.holder([pinhold_program(), "-4", "-i", "wan", *server_options(self.lab),
                          "-b", str(BIND_PORT), *where, "-p", str(SERVICE_PORT)]) as port:
            yield port

    @contextlib.contextmanager
    def natmap(self, target):
        stun, http = self.lab.internet.real[0].address, self.lab.internet.real[1].address
        with self.holder(["natmap", "-4", "-i", "wan", "-s", stun, "-h", http, "-b", str(BIND_PORT),
                          "-t", self.address[target], "-p", str(SERVICE_PORT)]) as port:
            yield port

    @contextlib.contextmanager
    def holder(self, command):
        hooks = HookReceiver()
        with self.running([*command, "-e", hooks.path]):
            if not hooks.wait(20):
                raise RuntimeError(f"{command[0]}: no hook call within 20 s")
            yield PUBLIC_PORT

    @contextlib.contextmanager
    def socat(self, target):
        with self.running(["socat", f"TCP4-LISTEN:{BIND_PORT},fork,reuseaddr",
                           f"TCP4:{self.address[target]}:{SERVICE_PORT}"]):
            yield PUBLIC_PORT

    @contextlib.contextmanager
    def running(self, command):
        process = self.lab.gw.ns.spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    # One number.

    def load(self, word, port, seconds, n):
        return self.lab.client.ns.run(
            [program("load"), word, self.lab.isp.public, str(port), str(seconds), str(n)],
            check=False, timeout=30)

    def await_service(self, port):
        """A forwarder in userspace says nowhere that it listens: one connection must succeed."""
        for _ in range(200):
            done = self.load("connect", port, 0.001, 1)
            if done.returncode == 0:
                return
            time.sleep(0.02)
        raise RuntimeError(f"nobody behind port {port}: {done.stderr}")

    def measure(self, way, target, number, results):
        for ns in (self.lab.gw.ns, self.lab.isp.ns):
            ns.flush_conntrack()
        with (self.ways | self.others)[way](target) as port:
            self.await_service(port)
            for i, (_, _, word, n) in enumerate(MEASURES):
                done = self.load(word, port, SECONDS, n)
                if done.returncode == 0:
                    results.setdefault((target, i, way), {})[number] = float(done.stdout)
                elif way in self.ways:
                    raise RuntimeError(f"{way}, {target}, {word} {n}: {done.stderr}")
                # That a forwarder in userspace loses connections is a result: it has no number.

    def round(self, number, results):
        ways = [*self.ways, *(self.others if number % RARELY == 0 else ())]
        for target in TARGETS:
            turn = number % len(ways)
            for way in ways[turn:] + ways[:turn]:
                self.measure(way, target, number, results)


@contextlib.contextmanager
def topology(lab):
    """The services, and the ISP's mappings to the bind port and directly to the services."""
    lab.isp.ns.ip(f"route replace 192.168.10.0/24 via {lab.gw.wan}")
    lab.isp.full_cone(PUBLIC_PORT, BIND_PORT)
    lab.isp.full_cone(DIRECT["gateway"], SERVICE_PORT)
    lab.isp.full_cone(DIRECT["lan"], SERVICE_PORT, subscriber=lab.nas.address)
    services = []
    try:
        for ns in (lab.gw.ns, lab.nas.ns):
            services.append(ns.spawn([program("load"), "serve", str(SERVICE_PORT)],
                                     stdout=subprocess.PIPE))
            services[-1].stdout.readline()
        yield
    finally:
        for service in services:
            service.kill()
            service.wait()
            service.stdout.close()
        lab.isp.ns.ip("route del 192.168.10.0/24")


def ratio_text(results, target, i, over, under):
    """The median of the rounds' ratios, and the bounds of its 95 % confidence (from the order statistics)."""
    a, b = results.get((target, i, over), {}), results.get((target, i, under), {})
    found = sorted(a[number] / b[number] for number in a.keys() & b.keys() if b[number])
    if not found:
        return "-"
    rank = max(0, int((len(found) - 1.96 * math.sqrt(len(found))) / 2))
    return f"{statistics.median(found):.2f} ({found[rank]:.2f}-{found[-1 - rank]:.2f})"


def value_text(results, target, i, way):
    values = results.get((target, i, way))
    return f"{statistics.median(values.values()):.0f}" if values else "fails"


def report(ways, others, results, rounds):
    for target, title in TARGETS.items():
        rows, ratio_rows = [], []
        for i, (what, unit, _, _) in enumerate(MEASURES):
            def ratio(over, under, i=i):
                return ratio_text(results, target, i, over, under)

            rows.append([what, unit, *(value_text(results, target, i, w) for w in (*ways, *others))])
            ratio_rows.append([what, ratio("pinhold", "rule"), ratio("pinhold", "none"), ratio("rule", "none"),
                               ratio("rule again", "rule"), *(ratio(w, "rule") for w in others)])
        print(f"\nforward: {title}; medians of {rounds} rounds, {SECONDS} s a measurement")
        table(rows, ["", "", *ways, *others])
        print()
        table([["asked", ">= 0.97", ">= 0.95 (*)", "", "", *("" for _ in others)], *ratio_rows],
              ["ratios (95 % confidence)", "pinhold/rule", "pinhold/none", "rule/none", "rule/rule",
               *(f"{w}/rule" for w in others)])
    print("\n(*) where the rule itself reaches that against none. rule/rule is the noise: the same rule, "
          "measured twice.")


def main(lab, quick):
    most = 4 if quick else 30
    bench, results, rounds, begin = Bench(lab), {}, 0, time.monotonic()
    with topology(lab):
        while rounds < most:
            bench.round(rounds, results)
            rounds += 1
            spent = time.monotonic() - begin
            if rounds % 5 == 0:
                print(f"forward: {rounds} rounds of at most {most} done, {spent:.0f} s", file=sys.stderr,
                      flush=True)
            if spent * (rounds + 1) / rounds > LIMIT:
                break
    report(bench.ways, bench.others, results, rounds)
