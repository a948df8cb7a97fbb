# SPDX-License-Identifier: GPL-2.0-or-later
"""From each kind of disturbance to the new endpoint in the kernel's table and in the hook.

Settings are the defaults; servers are far away, so that round trips show. A remap hits one mapping at a time,
at a random moment of its own timers; what befalls the interface hits all, and the slowest one counts. The
floor is what nobody can go below with these settings: how long the wire is silent at most, and the round trips
between the first packet that can tell and the last that must be asked.
"""
import random
import statistics
import tempfile
import threading
import time

from common import Mapping, daemon, round_trip, servers_text, table
from observe import Resets, Stamps, Table
from pinlab import gateway

MS = 1e6
ONE_WAY = 25        # to the servers, ms
DETECT, LOST = 5, 8  # `detect`, and with the three further seconds that one lost probe is granted
VERIFY, INTERVAL = 60, 10  # `verify`, and `interval` over UDP
OTHER_WAN = "100.64.0.3"


class Measured:
    """One kind of disturbance: samples, and what they are compared with."""

    def __init__(self, what, protocol, asked, trips, silence=0):
        """asked: ms. trips: round trips. silence: seconds."""
        self.what, self.protocol, self.asked, self.trips, self.silence = what, protocol, asked, trips, silence
        self.tables, self.hooks = [], []

    def add(self, begin, table_time, hook_time):
        self.tables.append((table_time - begin) / MS if table_time else None)
        self.hooks.append((hook_time - begin) / MS if hook_time else None)

    def row(self, trip):
        floor = f"{self.trips} rt = {self.trips * trip:.0f}"
        if self.silence:
            floor = f"<= {self.silence * 1000} + {floor}"
        return [self.what, self.protocol, median(self.tables), *map(number, spread(self.hooks)),
                str(len(self.hooks)), floor, f"<= {self.asked}"]


def number(x):
    return "never" if x is None or x == float("inf") else f"{x:.0f}"


def spread(found):
    """Median, least, most; what never came is later than all."""
    values = [float("inf") if x is None else x for x in found]
    return (statistics.median_high(values), min(values), max(values)) if values else (None,) * 3


def median(found):
    return number(spread(found)[0])


class Bed:
    """One daemon with some mappings of each protocol, and all that watches it."""

    def __init__(self, lab, directory, count):
        self.lab = lab
        self.random = random.Random(8489)
        self.tcp = [Mapping(f"t{i}", "tcp", 8441 + i, f"{lab.nas.address}:443") for i in range(count)]
        self.udp = [Mapping(f"u{i}", "udp", 9441 + i, f"{lab.nas.address}:{lab.nas.echo.port}")
                    for i in range(count)]
        self.all = self.tcp + self.udp
        self._next_port = 43000
        # (subscriber, name): another public port for another private address, so that it shows who followed.
        self.ports = {}
        for m in self.all:
            self.move(m, m.bind + 30000)
            self.move(m, m.bind + 32000, OTHER_WAN)
        self.stamps = Stamps(directory)
        self.table = Table(lab.gw.ns)
        self.daemon = daemon(lab, directory, "[global]\ninterface = wan\n" + servers_text(lab) + "\n" +
                             "".join(m.section(f"hook = {self.stamps.path}") for m in self.all))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.stop()
        self.stamps.close()
        self.table.close()

    def move(self, m, port, subscriber=gateway.WAN):
        self.ports[subscriber, m.name] = port
        self.lab.isp.full_cone(port, m.bind, subscriber)

    def new_port(self):
        self._next_port += 1
        return self._next_port

    def call(self, m, port, timeout, start):
        """The hook's call that tells this port, and when the table had it; times or None."""
        found = self.stamps.wait(lambda c: c.mapping == m.name and c.port == port and c.event != "down",
                                 timeout, start[0])
        comment = f"{m.name}: {self.lab.isp.public}:{port}"
        return self.table.when(comment, 1, start[1]), found and found.time

    def now(self):
        """Where to look from on, in hooks and in the table."""
        return self.stamps.count(), self.table.count()

    def await_all(self, ports, timeout, begin):
        """Every mapping is at its port: the times of the slowest table and hook, by protocol."""
        end = time.monotonic() + timeout
        slowest = {}
        for m in self.all:
            times = self.call(m, ports[m.name], max(0, end - time.monotonic()), begin)
            old = slowest.get(m.protocol, (0, 0))
            slowest[m.protocol] = tuple(None if None in pair else max(pair) for pair in zip(old, times))
        return slowest

    def settle(self, seconds):
        """Until no hook has been called for so long."""
        while True:
            seen = self.stamps.count()
            if not self.stamps.wait(lambda _: True, seconds, seen):
                return

    # One mapping after the other.

    def remaps(self, how, mappings, over, timeout):
        """Each mapping is remapped at a moment of its own; yields (mapping, when, table, hook)."""
        begin = self.now()
        moments = sorted((self.random.uniform(0, over), m.name, m) for m in mappings)
        start = time.monotonic()
        done = []
        for moment, _, m in moments:
            time.sleep(max(0, start + moment - time.monotonic()))  # the disturbance's own time
            port = self.new_port()
            done.append((m, port, time.monotonic_ns()))
            self.ports[gateway.WAN, m.name] = port
            self.lab.isp.remap(port, m.bind, how=how)
        end = time.monotonic() + timeout
        for m, port, when in done:
            yield m, when, *self.call(m, port, max(0.1, end - time.monotonic()), begin)

    def remap(self, how, measured, over, timeout):
        mappings = [m for m in self.all if m.protocol in measured]
        for m, when, *times in self.remaps(how, mappings, over, timeout):
            measured[m.protocol].add(when, *times)
        self.settle(2)


def remapped(bed, quick):
    """Rows of everything that a NAT can do to one mapping."""
    rst = Measured("NAT remap, old flows answered with RST", "tcp", 5500, 3, DETECT)
    after = Measured("  from the RST on the wire", "tcp", 300, 2)
    drop = Measured("NAT remap, old flows dropped in silence", "tcp", 9000, 2, LOST)
    lost = Measured("NAT remap, state lost", "udp", 12000, 1, INTERVAL)
    keep = {p: Measured("NAT remap, old flows kept alive", p, (VERIFY + 2) * 1000, trips, VERIFY)
            for p, trips in (("tcp", 2), ("udp", 1))}

    with Resets(bed.lab.gw.ns, "wan") as resets:
        for m, when, *times in bed.remaps("rst", bed.tcp, 4 * DETECT, 20):
            rst.add(when, *times)
            reset = resets.first(lambda r, m=m, when=when: r[0] > when and r[1] == m.bind)
            if reset:
                after.add(reset[0], *times)
    bed.settle(2)
    bed.remap("drop", {"tcp": drop}, 2 * LOST, 60)
    bed.remap("drop", {"udp": lost}, 2 * INTERVAL, 60)
    bed.remap("keep", keep, 10 if quick else VERIFY, VERIFY + 60)
    return [rst, after, drop, keep["tcp"], keep["udp"], lost]


# All at once.

def of_the_interface(bed, what, runs, change, subscriber=lambda n: gateway.WAN):
    """change(n) makes the change, behind which the subscriber has new public ports; it returns when the
    interface began to be usable again.
    """
    measured = {p: Measured(what, p, 500, trips) for p, trips in (("tcp", 2), ("udp", 1))}
    for n in range(runs):
        begin = bed.now()
        when = change(n)
        ports = {m.name: bed.ports[subscriber(n), m.name] for m in bed.all}
        for protocol, times in bed.await_all(ports, 30, begin).items():
            measured[protocol].add(when, *times)
        bed.settle(1)
    return list(measured.values())


def addresses(bed, runs):
    both = (OTHER_WAN, gateway.WAN)

    def change(n):
        when = time.monotonic_ns()
        bed.lab.gw.change_wan_address(both[n % 2], both[1 - n % 2])
        return when

    # An even number of times: at the end it is what it was.
    return of_the_interface(bed, "WAN address changed", runs + runs % 2, change, lambda n: both[n % 2])


def return_elsewhere(bed):
    """The NAT has another port for everybody when they come back, or no hook would have to be called."""
    for m in bed.all:
        bed.ports[gateway.WAN, m.name] = bed.new_port()
    bed.lab.isp.remap_many({m.bind: bed.ports[gateway.WAN, m.name] for m in bed.all})


def bounces(bed, what, runs, seconds):
    def change(_):
        bed.lab.gw.ip("link set wan down")
        return_elsewhere(bed)
        time.sleep(seconds)  # as long as the link is down
        when = time.monotonic_ns()
        bed.lab.gw.ip("link set wan up", "route replace default via 100.64.0.1")
        return when

    return of_the_interface(bed, what, runs, change)


def recreations(bed, runs):
    def change(_):
        bed.lab.gw.delete_wan()
        return_elsewhere(bed)
        when = time.monotonic_ns()
        bed.lab.gw.create_wan()
        return when

    return of_the_interface(bed, "interface made anew", runs, change)


# Servers.

class Visitor:
    """The client outside, who asks for the page again and again; each gap between two answers is recorded."""

    def __init__(self, fetch):
        self._fetch = fetch
        self._stop = threading.Event()
        self.answers, self.failures = [time.monotonic()], 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.05):
            try:
                self._fetch()
                self.answers.append(time.monotonic())
            except (OSError, AssertionError):
                self.failures += 1

    def stop(self):
        """The longest time from one answer to the next, ms."""
        self._stop.set()
        self._thread.join()
        times = [*self.answers, time.monotonic()]
        return max(b - a for a, b in zip(times, times[1:])) * 1000


def server_fault(lab, what, seconds, begin, end, keepalive_port=80):
    """One row: a daemon with a mapping of each protocol, its servers in trouble for so long."""
    tcp = Mapping("web", "tcp", 8441, f"{lab.nas.address}:443")
    udp = Mapping("echo", "udp", 9441, f"{lab.nas.address}:{lab.nas.echo.port}")
    for m in (tcp, udp):
        lab.isp.full_cone(m.bind + 30000, m.bind)
    text = "[global]\ninterface = wan\ninterval = 2s\nverify = 5s\n" + servers_text(lab, keepalive_port)
    with tempfile.TemporaryDirectory() as directory, Stamps(directory) as stamps:
        hook = f"hook = {stamps.path}"
        with daemon(lab, directory, text + "\n" + tcp.section(hook) + udp.section(hook)):
            for m in (tcp, udp):
                if not stamps.wait(lambda c, m=m: c.mapping == m.name, 20):
                    raise RuntimeError(f"{m.name} is not up within 20 s")
            settled = stamps.count()
            visitors = [Visitor(lambda: lab.client.get((lab.isp.public, tcp.bind + 30000), timeout=1)),
                        Visitor(lambda: lab.client.udp((lab.isp.public, udp.bind + 30000), timeout=1))]
            begin()
            time.sleep(seconds)  # as long as the trouble lasts
            end()
            gaps = [v.stop() for v in visitors]
            told = [c.event for c in stamps.seen[settled:]]
    return [what, *(f"{gap:.0f}" for gap in gaps), *(str(v.failures) for v in visitors),
            str(told.count("change")), str(told.count("down"))]


def troubles(servers, kind):
    """What can befall them: (how, beginning, end)."""
    yield ("killed", lambda: [s.kill(kind) for s in servers], lambda: [s.restart(kind) for s in servers])
    yield ("silent", lambda: [s.down(kind, "drop") for s in servers], lambda: [s.up(kind) for s in servers])


def server_faults(lab, quick):
    seconds = 12 if quick else 20  # silence is noticed after eight
    rows = []
    for title, kind in (("STUN", "stun"), ("HTTP", "http"), ("STUN and HTTP", "all")):
        for count in (2,) if quick else (1, 2):
            for how, begin, end in troubles(lab.internet.all[:count], kind):
                what = f"{title}, {'the first server' if count == 1 else 'the first two'} {how}"
                rows.append(server_fault(lab, what, seconds, begin, end))
    rows.append(server_fault(lab, "HTTP, all close after every second request", 2 * seconds, lambda: None,
                             lambda: None, keepalive_port=8002))
    print("recovery: servers in trouble; visitors ask each 50 ms; interval 2 s, verify 5 s")
    table(rows, ["", "longest gap, tcp, ms", "udp, ms", "failed, tcp", "udp", "port changes", "downs"])


def main(lab, quick):
    runs = 2 if quick else 5
    lab.delay(ONE_WAY)
    trip = round_trip(lab)
    with tempfile.TemporaryDirectory() as directory, Bed(lab, directory, 1 if quick else 5) as bed:
        begin = (0, 0)
        bed.await_all({m.name: bed.ports[gateway.WAN, m.name] for m in bed.all}, 30, begin)
        bed.settle(1)
        measured = remapped(bed, quick)
        measured += addresses(bed, runs)
        measured += bounces(bed, "link down, up after a second", runs, 1)
        measured += bounces(bed, "link down and up at once", runs, 0)
        measured += recreations(bed, runs)
    lab.delay(0)
    print(f"recovery: milliseconds from the disturbance to the new endpoint; one round trip (rt) is {trip:.1f}")
    table([m.row(trip) for m in measured],
          ["", "", "table", "hook", "least", "most", "runs", "floor", "asked"])
    print(flush=True)
    server_faults(lab, quick)
