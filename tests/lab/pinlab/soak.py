# SPDX-License-Identifier: GPL-2.0-or-later
"""A soak: random disturbances, one after the other, and at the end everything must be as if nothing had been.

What happens is decided by a seed alone (class Chance), never by what pinhold does meanwhile; so a seed tells it
all again, and so does the log of a run: each step is one line of JSON, which Soak.replay() reads.
"""
import json
import os
import random
import re
import time

from . import gateway
from .daemon import PATIENCE, HookReceiver

# name: protocol, family, bind port, whose service
BASE = {
    "web": ("tcp", "ipv4", 8441, "nas"),
    "own": ("tcp", "ipv4", 8442, "gw"),
    "range": ("tcp", "ipv4", 8450, "nas"),
    "echo": ("udp", "ipv4", 9441, "nas"),
    "ownecho": ("udp", "ipv4", 9442, "gw"),
    "web6": ("tcp", "ipv6", 8446, "nas"),
    "echo6": ("udp", "ipv6", 9446, "nas"),
}
EXTRA = {
    "extra": ("tcp", "ipv4", 8461, "nas"),
    "extraecho": ("udp", "ipv4", 9461, "gw"),
}
ALL = {**BASE, **EXTRA}
MEMORY = 180  # seconds for which the ISP's connection tracking remembers a UDP flow, and some more
RANGE = 5  # bind ports of the mapping `range`

ADDRESSES = (gateway.WAN, "100.64.0.3")

SETTINGS = {"interface": "wan", "interval": "2s", "detect": "1s", "verify": "5s"}

# What the daemon may never have to say in a soak: nobody else takes its ports or its table, no hook fails.
FORBIDDEN = re.compile(
    r"table inet pinhold|event loop|out of memory|hook not started|hook output|one holder only|"
    r"servers disagree|bind port taken|hook ended .*(status=[^0]|signal=|time limit)|[Aa]ssert")


class Chance:
    """Steps without end, each a dictionary: {"after": seconds, "fault": name, ...}."""

    def __init__(self, seed, pause, servers):
        """pause: the longest between two steps, seconds; servers: how many there are."""
        self._random = random.Random(seed)
        self._pause = pause
        self._servers = servers
        self._address = 0      # index in ADDRESSES
        self._away = {}        # server: how it went
        self._extra = set()
        self._faults = {
            self.remap: 8, self.remap_all: 2, self.bounce: 3, self.readdress: 3, self.recreate: 3,
            self.server: 6, self.flush: 4, self.forget: 2, self.retarget: 5, self.rehook: 2,
            self.extra: 4, self.hup: 2, self.mistake: 1,
        }

    def __iter__(self):
        return self

    def __next__(self):
        fault = self._random.choices(list(self._faults), self._faults.values())[0]
        return {"after": round(self._random.uniform(0.05, self._pause), 2), "fault": fault.__name__, **fault()}

    def _name(self):
        return self._random.choice(sorted({*BASE, *self._extra}))

    def _seconds(self):
        return round(self._random.choice([0, self._random.uniform(0.01, 0.3), self._random.uniform(0.3, 2)]), 3)

    def _how(self):
        return self._random.choice(["rst", "drop", "keep"])

    def remap(self):
        names = sorted(n for n in {*BASE, *self._extra} if ALL[n][1] == "ipv4")
        return {"name": self._random.choice(names), "how": self._how()}

    def remap_all(self):
        return {"how": self._how()}

    def bounce(self):
        return {"seconds": self._seconds()}

    def readdress(self):
        self._address = 1 - self._address
        return {"address": ADDRESSES[self._address]}

    def recreate(self):
        self._address = self._random.randrange(2)
        return {"address": ADDRESSES[self._address], "seconds": self._seconds()}

    def server(self):
        """One goes or comes; the more are away, the likelier one comes."""
        if self._away and self._random.random() < len(self._away) / self._servers + 0.2:
            n = self._random.choice(sorted(self._away))
            return {"number": n, "how": "back", "was": self._away.pop(n)}
        n = self._random.choice([n for n in range(self._servers) if n not in self._away])
        self._away[n] = self._random.choice(["kill", "rst", "drop"]) + " " + \
            self._random.choice(["stun", "http", "all"])
        return {"number": n, "how": self._away[n]}

    def flush(self):
        return {}

    def forget(self):
        return {}

    def retarget(self):
        return {"name": self._name()}

    def rehook(self):
        return {"name": self._name()}

    def extra(self):
        name = self._random.choice(sorted(EXTRA))
        self._extra ^= {name}
        return {"name": name, "there": name in self._extra}

    def hup(self):
        return {"times": self._random.choice([1, 2, 20])}

    def mistake(self):
        return {}


class Soak:
    """One daemon, and what befalls it. run() or replay(), then finish()."""

    def __init__(self, lab, say=print):
        self.lab, self.say = lab, say
        self.steps = 0
        self._marks = []  # (how many lines the log had, when) as each step began
        self._kept = []   # (a mapping whose old flows were kept, when)
        self._port = 20000
        self._address = gateway.WAN
        self._away = {}
        self._service = {name: service for name, (_, _, _, service) in ALL.items()}
        self._hooks = {}  # name: the receivers it has had; the last one is the present one
        self.public = {}  # (subscriber, bind port): public port
        for name in ALL:
            self._move(name)
        # What AddressSanitizer keeps of freed memory would look like a leak.
        options = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:exitcode=88")
        self.daemon = lab.pinhold_file({"global": dict(SETTINGS), **{n: self._section(n) for n in BASE}},
                                       env={"ASAN_OPTIONS": options + ":quarantine_size_mb=1"})

    # What the daemon is told.

    def _target(self, name):
        protocol, family, _, _ = ALL[name]
        port = 443 if protocol == "tcp" else self.lab.nas.echo.port
        if self._service[name] == "gw":
            return f":{port}"
        return f"{self.lab.nas.address}:{port}" if family == "ipv4" else f"[{self.lab.nas.address6}]:{port}"

    def _section(self, name):
        protocol, family, bind, _ = ALL[name]
        if name not in self._hooks:
            self._hooks[name] = [HookReceiver()]
        return {"protocol": protocol, "family": family, "target": self._target(name),
                "bind": f"{bind}-{bind + RANGE - 1}" if name == "range" else bind,
                "hook": self._hooks[name][-1].path}

    def names(self):
        return [name for name in self.daemon.settings if name != "global"]

    # What the NAT does.

    def _binds(self, name):
        first = ALL[name][2]
        return range(first, first + (RANGE if name == "range" else 1))

    def _move(self, name, how=None):
        """Other public ports for a mapping's bind ports, from every address that the gateway may have."""
        if ALL[name][1] == "ipv6":
            return
        if how == "keep":
            self._kept.append((name, time.monotonic()))
        for subscriber in ADDRESSES:
            for bind in self._binds(name):
                self._port += 1
                self.public[subscriber, bind] = self._port
                if how and subscriber == self._address:
                    self.lab.isp.remap(self._port, bind, subscriber, how=how)
                else:
                    self.lab.isp.full_cone(self._port, bind, subscriber)

    def remap(self, name, how):
        self._move(name, how)

    def remap_all(self, how):
        for name in ALL:
            self._move(name, how)

    def forget(self):
        self.lab.isp.forget()

    # What the gateway's system does.

    def bounce(self, seconds):
        self.lab.gw.ip("link set wan down")
        time.sleep(seconds)  # as long as it is down
        # IPv6 addresses go with the link.
        self.lab.gw.ip("link set wan up", f"addr replace {gateway.WAN6}/64 dev wan nodad")
        self.lab.gw.default_route("wan")

    def readdress(self, address):
        if address != self._address:
            self.lab.gw.change_wan_address(address, self._address)
            self._address = address

    def recreate(self, address, seconds):
        self.lab.gw.delete_wan()
        time.sleep(seconds)  # as long as it is away
        self.lab.gw.create_wan(address)
        self._address = address

    def flush(self):
        self.lab.gw.flush_conntrack()

    # Servers.

    def server(self, number, how, was=None):
        server = self.lab.internet.all[number]
        verb, what = (was or how).split()
        if how == "back":
            self._away.pop(number)
            if verb == "kill":
                server.restart(what)
            else:
                server.up(what)
        else:
            self._away[number] = how
            if verb == "kill":
                server.kill(what)
            else:
                server.down(what, verb)

    # The user.

    def retarget(self, name):
        # The gateway has no address in the LAN's IPv6 mappings' way: `:PORT` is this machine for both.
        self._service[name] = "gw" if self._service[name] == "nas" else "nas"
        if name in self.names():
            self.daemon.change(name, target=self._target(name))
            self.daemon.reload()

    def rehook(self, name):
        if name in self.names():
            self._hooks[name].append(HookReceiver())
            self.daemon.change(name, hook=self._hooks[name][-1].path)
            self.daemon.reload()

    def extra(self, name, there):
        if there:
            self.daemon.add(name, **self._section(name))
        else:
            self.daemon.remove(name)
        self.daemon.reload()

    def hup(self, times):
        for _ in range(times - 1):
            self.daemon.process.send_signal(1)
        self.daemon.hup()

    def mistake(self):
        """A file with a mistake is refused, and nothing of it is done."""
        good = self.daemon.text()
        self.daemon.write(good + "\n[mapping wrong]\nprotocol = sctp\n")
        assert self.daemon.reload(check=False).returncode == 2
        self.daemon.write(good)

    # The run.

    def step(self, step, word="soak"):
        self.steps += 1
        self.say(f"{word} {self.steps} {json.dumps(step)}", flush=True)
        self._marks.append((self.daemon.count(), time.monotonic()))
        step = dict(step)
        time.sleep(step.pop("after"))  # disturbances come at their own times
        getattr(self, step.pop("fault"))(**step)
        assert self.daemon.alive(), self.daemon.story()

    def warm_up(self, seconds):
        """The same disturbances each time, which touch what is touched for the first time; not in a replay."""
        self.run(8489, seconds, 0.5, word="warm-up")
        self.heal()

    def run(self, seed, seconds, pause, word="soak"):
        end = time.monotonic() + seconds
        for step in Chance(seed, pause, len(self.lab.internet.all)):
            if time.monotonic() >= end:
                return
            self.step(step, word)

    def replay(self, log):
        """The steps of a run's log, whatever else stands in it."""
        for line in log:
            found = re.search(r"\bsoak \d+ (\{.*\})", line)
            if found:
                self.step(json.loads(found[1]))

    # And then.

    def heal(self):
        """No disturbance lasts; the extra mappings go, and every hook has news to tell."""
        for number, was in sorted(self._away.items()):
            self.server(number, "back", was)
        for name in EXTRA:
            if name in self.names():
                self.extra(name, False)
        self.readdress(gateway.WAN)
        self.remap_all("rst")

    def await_up(self, timeout):
        """Every mapping is up where the NAT has put it; the status of each."""
        return {name: self.daemon.wait_state(name, lambda s, name=name: s["state"] == "up" and
                                             self._right(name, s), timeout) for name in self.names()}

    def _right(self, name, status):
        private, public = status["private"], status["public"]
        if not private or not public or private["port"] not in self._binds(name):
            return False
        if ALL[name][1] == "ipv6":
            return private == {k: public[k] for k in private} and private["address"] == gateway.WAN6
        return (public["address"], public["port"]) == \
            (self.lab.isp.public, self.public.get((private["address"], private["port"])))

    def check_reachable(self, statuses):
        for name, status in statuses.items():
            endpoint = (status["public"]["address"], status["public"]["port"])
            if ALL[name][0] == "tcp":
                answer = self.lab.client.get(endpoint).body
            else:
                answer = self.lab.client.udp(endpoint)[0]
            assert answer == self._service[name], f"{name}: {answer} answers at {endpoint}"

    def check_hooks(self, statuses):
        for name, status in statuses.items():
            endpoint = (status["public"]["address"], status["public"]["port"])
            hook = self._hooks[name][-1]
            # Each wait() hands out one more call; the last one is what counts.
            end = time.monotonic() + PATIENCE
            while not (hook.calls and hook.calls[-1].endpoint == endpoint and
                       hook.calls[-1].event != "down"):
                assert hook.wait(end - time.monotonic()), \
                    f"{name} is at {endpoint}; its hook was told {[c.argv for c in hook.calls[-3:]]}"

    def check_table(self, statuses):
        """What the kernel has is what status says, and nothing besides."""
        listing = self.lab.gw.table()
        text = re.sub(r' comment "[^"]*"(?=[, ])', "", listing)
        wanted, comments, chains = {"4": set(), "6": set()}, set(), {"prerouting", "output", "postrouting"}
        for name, s in statuses.items():
            key = (s["private"]["address"], s["protocol"], str(s["private"]["port"]))
            wanted["6" if s["family"] == "ipv6" else "4"].add(key)
            address = s["public"]["address"]
            endpoint = f"[{address}]" if ":" in address else address
            comments.add(f"{name}: {endpoint}:{s['public']['port']}")
            chains.add(f"in-{name}")
        for family, keys in wanted.items():
            # A UDP service of this machine answers clients inside from the address they came to: for them
            # there is a redirection to its port, and `localhost` is for this machine's own.
            inside = {kind: set() for kind in ("published", "loopback", "localhost", "here", "port")}
            for name, s in statuses.items():
                if s["family"] != f"ipv{family}":
                    continue
                here = s["protocol"] == "udp" and self._service[name] == "gw"
                for kind in ("loopback", *(("localhost", "here", "port") if here else ("published",))):
                    inside[kind] |= {(e["address"], s["protocol"], str(e["port"]))
                                     for e in (s["private"], s["public"])}
            for kind, wanted_here in inside.items():
                found = elements(text, kind + family)
                assert found == wanted_here, f"{kind}{family}: {found}, not {wanted_here}\n{text}"
            for kind in ("bound", "source", "inbound"):
                found = elements(text, kind + family)
                if kind == "inbound":
                    assert {e[0] for e in found} <= {'"wan"'}, found
                    found = {e[1:] for e in found}
                assert found == keys, f"{kind}{family}: {found}, not {keys}\n{text}"
        told = set(re.findall(r'comment "([\w-]+: \S+:\d+)"', listing))
        assert told == comments, f"{told ^ comments}\n{listing}"
        there = set(re.findall(r"^\tchain (\S+) \{", text, re.M))
        assert there >= chains and {c for c in there - chains if c.startswith("in-")} == set(), there ^ chains
        assert set(re.findall(r"^\tcounter (\S+) \{", text, re.M)) == set(statuses), text

    def check_log(self):
        bad = []
        for n, line in enumerate(self.daemon.lines):
            if FORBIDDEN.search(line):
                step = sum(mark <= n for mark, _ in self._marks)
                if not self._excused(line, self._marks[step - 1][1] if step else 0):
                    bad.append(f"in step {step}: {line}")
        assert not bad, "\n".join(bad)

    def _excused(self, line, when):
        """Between a NAT that keeps old flows and a symmetric one there is no difference to somebody who has
        asked all servers lately: as long as this NAT remembers them, they may disagree.
        """
        found = re.search(r"servers disagree mapping=(\S+)", line)
        return found and any(name == found[1] and kept < when + 10 and when - kept < MEMORY
                             for name, kept in self._kept)

    def resources(self, seconds, enough=lambda descriptors, octets: False):
        """The least descriptors and resident octets seen within so many seconds: probes come and go.

        Ends sooner when it is enough(descriptors, octets).
        """
        descriptors, octets = 1 << 30, 1 << 60
        end = time.monotonic() + seconds
        while time.monotonic() < end and not enough(descriptors, octets):
            descriptors = min(descriptors, self.daemon.descriptors())
            octets = min(octets, self.daemon.resident_bytes())
            time.sleep(0.05)  # nothing tells that a descriptor was closed
        return descriptors, octets


def elements(text, name):
    """The keys of a set or map as nft lists it: tuples of their parts."""
    block = re.search(rf"^\t(?:set|map) {name} \{{\n(.*?)^\t\}}", text, re.M | re.S)
    found = block and re.search(r"elements = \{(.*?)\}", block[1], re.S)
    if not found:
        return set()
    return {tuple(part.strip() for part in re.split(r"\s\.\s", element.split(" : ")[0].strip()))
            for element in found[1].split(",")}
