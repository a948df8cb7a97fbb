# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is let in, and how often; and snat."""
import random
import re
import subprocess
import threading
import time

import pytest

from pinlab import scenarios
from pinlab.greeter import Greeter, greet
from pinlab.scenarios import BIND, PUBLIC, address, ask, mapping, public, running

both = pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
protocols = pytest.mark.parametrize("protocol", ["tcp", "udp"])


@both
@protocols
def test_prefixes(lab, protocol, six):
    scenarios.allowed(lab, protocol, six)


@both
@protocols
def test_prefixes_where_nothing_is_translated(lab, protocol, six):
    scenarios.identity_allowed(lab, protocol, six)


def test_prefixes_where_nobody_says_who_serves(lab):
    section = {**mapping(lab, allow=lab.client.address), "target": "none"}
    with Greeter(lab.gw.ns, BIND), running(lab, section):
        assert lab.stranger.refused(PUBLIC, timeout=0.3) == "timeout"
        assert greet(lab.client, PUBLIC) == lab.client.address


def test_the_wire_leads_no_way_round(lab):
    scenarios.no_way_round(lab)


def test_the_hosts_firewall_has_the_refused(lab):
    """They carry no mark, and are answered as if pinhold were not there."""
    lab.gw.firewall("rejecting")
    with running(lab, mapping(lab, allow=lab.client.address)):
        assert lab.stranger.refused(PUBLIC) == "refused"
        lab.gw.firewall("open")
        with Greeter(lab.gw.ns, BIND + 1), Greeter(lab.gw.ns, BIND, address=lab.gw.address):
            assert lab.stranger.refused(PUBLIC) == "refused"
        assert ask(lab, lab.client, PUBLIC) == lab.client.address


class Trace:
    """Which rules of pinhold's table the first packets to a port meet (`nft monitor trace`)."""

    def __init__(self, lab, port):
        self._gw = lab.gw
        self._lines = []
        self._condition = threading.Condition()
        self._gw.nft("table inet trace {\nchain c {\ntype filter hook prerouting priority -400\n"
                     f'iifname "wan" meta l4proto {{ tcp, udp }} th dport {port} meta nftrace set 1\n}}\n}}\n')
        self._process = self._gw.ns.spawn(["stdbuf", "-oL", "nft", "monitor", "trace"],
                                          stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            with self._condition:
                self._lines.append(line)
                self._condition.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._gw.nft("delete table inet trace")

    def path(self, knock):
        """The comments of the rules that one packet met in the nat chain, and how it left that.

        knock() sends one, again and again until one is seen: nft says nothing when it begins to look.
        """
        deadline = time.monotonic() + 10
        end = re.compile(r"trace id (\S+) inet pinhold prerouting (policy \S+)")

        def seen():
            return next(filter(None, map(end.match, self._lines)), None)

        with self._condition:
            while not seen():
                assert time.monotonic() < deadline, self._lines
                knock()
                self._condition.wait_for(seen, 0.2)
            number, verdict = seen().groups()
            rules = [re.search(r'comment "([^"]*)"', line) for line in self._lines
                     if line.startswith(f"trace id {number} inet pinhold ") and " rule " in line]
        return [found[1] for found in rules] + [verdict]


def test_path_of_the_refused(lab):
    """They come to their mapping's chain, and to no rule of pinhold's after it."""
    with running(lab, mapping(lab, allow=lab.client.address)), Trace(lab, BIND) as trace:
        assert trace.path(lambda: lab.stranger.refused(PUBLIC)) == \
            ["from outside: to the mapping's chain", "policy accept"]


class PrefixFile:
    """With a line of comment first; each has a name of its own, which tells nobody anything."""

    def __init__(self, directory, lines):
        self.path = f"{directory}/prefixes-{random.randrange(1 << 40)}.txt"
        self.write(lines)

    def write(self, lines):
        with open(self.path, "w", encoding="ascii") as f:
            f.write("# clients\n" + "".join(line + "\n" for line in lines))


@pytest.fixture
def directory():
    return "/run/lab"


def elements(transactions):
    """What was added and deleted in transactions: [(verb, set, text)]; anything but elements fails."""
    found = []
    for line in (line for t in transactions for line in t):
        m = re.match(r"(create|delete) element inet pinhold (\S+) \{ (.*) \}$", line)
        assert m, line
        found.append(m.groups())
    return found


@both
def test_file_that_changes(lab, directory, six):
    """A reload changes elements and nothing else; who is in stays in."""
    length = 128 if six else 32
    more = "2001:db8:77::/48" if six else "203.0.113.128/25"
    file = PrefixFile(directory, [f"{address(lab.client, six)}/{length}", more])
    with running(lab, mapping(lab, six=six, allow=f"@{file.path}")) as p:
        endpoint = public(lab, six)
        assert lab.stranger.refused(endpoint) == "refused"
        with lab.client.connect(endpoint) as c:
            assert c.get().body == "nas"
            monitor = lab.gw.monitor()
            file.write([f"{address(lab.stranger, six)}/{length}", more])
            p.reload()
            changes = monitor.stop()
            assert len(changes) == 1
            # An interval set has its ends as elements: how nft shows them is its own affair.
            assert {name for _, name, _ in elements(changes)} == {f"allow{6 if six else 4}-web"}
            assert c.get().body == "nas"
            assert lab.client.refused(endpoint) == "refused"
            assert ask(lab, lab.stranger, endpoint) == address(lab.stranger, six)
        assert not p.hook("web").pending() and p.status("web")["changes"] == 0


@both
def test_empty_file_lets_nobody_in(lab, directory, six):
    file = PrefixFile(directory, [])
    with running(lab, mapping(lab, six=six, allow=f"@{file.path}")) as p:
        for who in (lab.client, lab.stranger):
            assert who.refused(public(lab, six)) == "refused"
        file.write([f"{address(lab.client, six)}"])
        p.reload()
        assert ask(lab, lab.client, public(lab, six)) == address(lab.client, six)


@both
def test_ten_thousand_prefixes(lab, directory, six):
    """Beside which the client is found, and a stranger between two of them is not."""
    if six:
        many = [f"2001:db8:{0x1000 + 2 * n:x}::/48" for n in range(10000)]
    else:
        many = [f"{20 + n // 2500}.{n // 10 % 250}.{n % 10 * 20}.0/24" for n in range(10000)]
    random.Random(1).shuffle(many)
    file = PrefixFile(directory, many)
    with running(lab, mapping(lab, six=six, allow=[f"@{file.path}", address(lab.client, six)])) as p:
        endpoint = public(lab, six)
        assert lab.stranger.refused(endpoint) == "refused"
        assert ask(lab, lab.client, endpoint) == address(lab.client, six)
        # The stranger's neighbourhood comes, and is all that changes.
        monitor = lab.gw.monitor()
        file.write(many + [f"{address(lab.stranger, six)}"])
        p.reload()
        changed = elements(monitor.stop())
        assert 1 <= len(changed) <= 6, changed
        assert ask(lab, lab.stranger, endpoint) == address(lab.stranger, six)


def test_file_with_junk(lab, directory):
    """FILE:LINE, and all stays as it was."""
    file = PrefixFile(directory, [lab.client.address])
    with running(lab, mapping(lab, allow=f"@{file.path}")) as p:
        monitor = lab.gw.monitor()
        file.write([lab.stranger.address, "198.51.100.0/24/24", "nonsense"])
        done = p.reload(check=False)
        assert done.returncode != 0
        said = done.stdout + done.stderr + "\n".join(p.lines)
        assert f"{file.path}:3" in said and f"{file.path}:4" in said
        assert not monitor.stop()
        assert ask(lab, lab.client, PUBLIC) == lab.client.address
        assert lab.stranger.refused(PUBLIC) == "refused"


@both
def test_limit(lab, six):
    scenarios.limited(lab, six)


@protocols
def test_limit_where_nothing_is_translated(lab, protocol):
    section = {**mapping(lab, protocol=protocol, limit="1/hour burst 3"), "target": f":{BIND}"}
    with Greeter(lab.gw.ns, BIND, protocol), running(lab, section):
        for _ in range(3):
            assert greet(lab.client, PUBLIC, protocol) == lab.client.address
        if protocol == "tcp":
            assert lab.client.refused(PUBLIC, timeout=0.3) == "timeout"
        else:
            scenarios.unheard(lab.client, PUBLIC, timeout=0.3)
        assert lab.gw.counter("web") == 3


def test_limit_counts_only_the_allowed(lab):
    with running(lab, mapping(lab, allow=lab.client.address, limit="1/hour burst 2")):
        for _ in range(5):
            assert lab.stranger.refused(PUBLIC) == "refused"
        for _ in range(2):
            assert ask(lab, lab.client, PUBLIC) == lab.client.address
        assert lab.client.refused(PUBLIC) == "refused"


def test_limit_fills_again(lab):
    with running(lab, mapping(lab, limit="10/second burst 1")):
        ask(lab, lab.client, PUBLIC)
        scenarios.wait_until(lambda: lab.client.refused(PUBLIC) is None, 5, "nobody was let in again")


@both
@protocols
def test_snat(lab, protocol, six):
    scenarios.masqueraded(lab, protocol, six)


@both
def test_without_snat(lab, six):
    """What it is for: the target's answers go to its own router."""
    with scenarios.other_router(lab, six), running(lab, mapping(lab, six=six)):
        assert lab.client.refused(public(lab, six), timeout=0.5) == "timeout"
