# SPDX-License-Identifier: GPL-2.0-or-later
"""The table as a whole: who is led where, what changes with what, and what is the admin's business alone."""
import contextlib
import re
import signal
import socket

import pytest

from pinlab import scenarios
from pinlab.greeter import Greeter, greet
from pinlab.scenarios import BIND, PUBLIC, address, ask, itself, mapping, public, running

both = pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
protocols = pytest.mark.parametrize("protocol", ["tcp", "udp"])


@both
@protocols
@pytest.mark.parametrize("where", ["nas", "gw"])
def test_from_outside(lab, where, protocol, six):
    scenarios.outside(lab, where, protocol, six)


@both
@protocols
def test_own_flows_keep_the_bind_port(lab, protocol, six):
    scenarios.pinned(lab, protocol, six)


# The target's port follows the public port.

LOOK = "os.system('nft list table inet pinhold | grep -c \"dnat ip to 192.168.10.50:' + sys.argv[2] + '\"')"


@pytest.mark.parametrize("how", ["file", "options"])
@protocols
def test_target_port_follows(lab, protocol, how):
    """In the same transaction as all the rest, and whoever is told finds it so."""
    lab.isp.full_cone(PUBLIC[1])
    with contextlib.ExitStack() as stack:
        for port in (PUBLIC[1], 40000):
            stack.enter_context(Greeter(lab.nas.ns, port, protocol))
        if how == "file":
            section = {**mapping(lab, protocol=protocol, interval="1s"), "target": f"{lab.nas.address}:public"}
            p = stack.enter_context(lab.pinhold_file({"web": section}, then={"web": LOOK}))
            wait = lambda: p.wait_hook("web")  # noqa: E731 pylint: disable=unnecessary-lambda-assignment
        else:
            udp = ["-u"] if protocol == "udp" else []
            p = stack.enter_context(lab.pinhold(*udp, "-b", BIND, "-t", lab.nas.address, "-p", "0", "-k", "1",
                                                then=LOOK))
            wait = p.wait_hook
        assert wait().endpoint == PUBLIC
        assert greet(lab.client, PUBLIC, protocol) == lab.client.address
        assert greet(lab.pc, PUBLIC, protocol) == lab.gw.address
        monitor = lab.gw.monitor()
        lab.isp.remap(40000)
        change = wait()
        assert change.endpoint == ("203.0.113.7", 40000)
        assert greet(lab.client, change.endpoint, protocol) == lab.client.address
        assert greet(lab.pc, change.endpoint, protocol) == lab.gw.address
        changes = [t for t in monitor.stop() if any("40000" in line for line in t)]
        assert len(changes) == 1, changes
        text = "\n".join(changes[0])
        assert re.search(r"(create|add) rule .* dnat ip to 192\.168\.10\.50:40000", text), text
        assert re.search(r"loopback4 { 203\.0\.113\.7 \. \w+ \. 40000 : 192\.168\.10\.50 \. 40000 }", text), text
        # What the hooks saw, one line each.
        scenarios.wait_until(lambda: len(p.logged(r"hook output .*: \d+$")) == 2, 10, "a hook did not look")
        assert len(p.logged(r"hook output .*: 1$")) == 2, p.story()


# Another target.

def flow(ns, endpoint):
    """A UDP flow that stays the same: a connected socket."""
    s = ns.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect(endpoint)
    return s


def says(s):
    s.send(b"x")
    return s.recv(4096).decode().split(" ")[0]


def ids(lab, protocol, six=False, **ends):
    """Which entries of conntrack these are: one that was deleted and made again has another number."""
    return sorted(re.search(r" id=(\d+)", line)[1] for line in scenarios.entries(lab, protocol, six, **ends))


@both
def test_retargeted_flows(lab, six):
    """Datagrams go to the new target at once, within their old flow; nobody else's flows are ended."""
    other = {**mapping(lab, protocol="udp", six=six), "bind": 9000}
    pages = {**mapping(lab, six=six), "bind": 9001}
    lab.isp.full_cone(40000, 9000)
    lab.isp.full_cone(40001, 9001)
    with running(lab, mapping(lab, protocol="udp", six=six), more={"other": other, "pages": pages}) as p, \
            contextlib.ExitStack() as stack:
        ups = p.wait_hooks("other", "pages")
        mine = [stack.enter_context(flow(ns, public(lab, six))) for ns in (lab.client.ns, lab.pc.ns)]
        neighbour = stack.enter_context(flow(lab.client.ns, ups["other"].endpoint))
        foreign = stack.enter_context(flow(lab.pc.ns, ("2001:db8:2::53" if six else "192.0.2.53", 9)))
        foreign.send(b"x")
        page = stack.enter_context(lab.client.connect(ups["pages"].endpoint))
        assert [says(s) for s in (*mine, neighbour)] == ["nas"] * 3 and page.get().body == "nas"

        def others():
            return (ids(lab, "udp", six, dport=9000), ids(lab, "tcp", six, dport=9001),
                    ids(lab, "udp", six, dport=9))

        before = others()
        assert all(before), before
        stack.enter_context(Greeter(lab.nas.ns, 7778, "udp", "::" if six else "0.0.0.0"))
        p.change("web", target=scenarios.target(lab, "nas", "udp", six).replace("7777", "7778"))
        p.change("pages", target=scenarios.target(lab, "gw", "tcp", six))
        p.reload()
        assert [says(s) for s in mine] == ["greeter"] * 2
        assert says(neighbour) == "nas" and page.get().body == "nas"
        assert others() == before
        # New connections go to the new target.
        assert lab.client.get(ups["pages"].endpoint).body == "gw"
        # And back again.
        p.change("web", target=scenarios.target(lab, "nas", "udp", six))
        p.reload()
        assert [says(s) for s in mine] == ["nas", "nas"]
        assert others()[0] == before[0] and others()[2] == before[2]


def test_flows_that_lead_there_already_go_on(lab):
    """A reload that changes nothing for them ends none."""
    with running(lab, mapping(lab, protocol="udp")) as p, flow(lab.client.ns, PUBLIC) as s:
        assert says(s) == "nas"
        before = ids(lab, "udp", dport=BIND)
        p.change("web", loopback="no")
        p.reload()
        assert says(s) == "nas" and ids(lab, "udp", dport=BIND) == before


# Targets that are none.

@pytest.mark.parametrize("target", [f"100.64.0.2:{BIND}", f"{PUBLIC[0]}:{PUBLIC[1]}"], ids=["private", "public"])
def test_loop_that_shows_only_later(lab, target):
    """The target is the mapping's own endpoint: nobody goes there."""
    lab.isp.full_cone(PUBLIC[1])
    lab.isp.full_cone(40000, 9000)
    sections = {"web": {**mapping(lab), "target": target}, "nas": {**mapping(lab), "bind": 9000}}
    with lab.pinhold_file(sections) as p:
        ask(lab, lab.client, p.wait_hook("nas").endpoint)
        status = p.wait_state("web", lambda s: "own endpoint" in (s["why"] or ""))
        assert status["state"] != "up", status
        assert status["public"] is None, status
        assert p.command_line("get", "web", "public-endpoint").returncode == 1
        p.wait_log(rf"loop mapping=web target={re.escape(target)}: .* write target = :{target.split(':')[1]}$")
        assert "goto in-web" not in lab.gw.table()
        for who in (lab.client, lab.pc, itself(lab)):
            assert who.refused(PUBLIC, timeout=0.5)
        assert not p.hook("web").pending()
        # Once it is told where to go, it goes.
        p.change("web", target=scenarios.target(lab))
        p.reload()
        assert p.wait_hook("web").endpoint == PUBLIC
        ask(lab, lab.client, PUBLIC)


@contextlib.contextmanager
def no_route(lab):
    lab.gw.ns.ip("route add unreachable 10.1.2.0/24")
    try:
        yield
    finally:
        lab.gw.ns.ip("route del unreachable 10.1.2.0/24")


@contextlib.contextmanager
def quick_neighbours(lab):
    """The gateway gives up asking for a neighbour after a third of a second, not after three."""
    path = "net/ipv4/neigh/lan/retrans_time_ms"
    before = lab.gw.ns.read_sysctl(path)
    lab.gw.ns.sysctl(path, 100)
    try:
        yield
    finally:
        lab.gw.ns.sysctl(path, before)


@pytest.mark.parametrize("target, why, state", [("192.168.10.99:443", "does not answer", quick_neighbours),
                                                ("10.1.2.3:443", "no route", no_route)])
def test_target_that_nobody_has(lab, target, why, state):
    """The mapping is up, for there may be somebody later; status says why nobody gets in now."""
    with state(lab), running(lab, {**mapping(lab), "target": target}) as p:
        assert lab.client.refused(PUBLIC, timeout=0.5)
        scenarios.wait_until(lambda: p.status("web")["why"], 10, "status knows nothing of it")
        status = p.status("web")
        assert status["state"] == "up" and why in status["why"], status
        p.wait_log(f"obstacle mapping=web .*{why}")
        p.change("web", target=scenarios.target(lab))
        p.reload()
        assert p.status("web")["why"] is None
        p.wait_log("no obstacle any more mapping=web interface=wan$")
        ask(lab, lab.client, PUBLIC)


# Others on this machine.

def test_a_rule_that_looks_at_the_mask(lab):
    """Told, and left alone: it may well mean the same."""
    lab.gw.ns.ip("rule add fwmark 0x1000000/0x1000000 table 99 priority 5555")
    rules = lab.gw.run("ip rule")
    try:
        with running(lab, mapping(lab)) as p:
            line = p.wait_log("mark: the routing rule 5555 .*")[0]
            assert "0x1000000/0x1000000" in line and "0x0f000000" in line
            ask(lab, lab.client, PUBLIC)
            assert set(rules.splitlines()) <= set(lab.gw.run("ip rule").splitlines())
        assert lab.gw.run("ip rule") == rules
    finally:
        lab.gw.ns.ip("rule del priority 5555")


def test_a_rule_that_looks_elsewhere(lab):
    lab.gw.ns.ip("rule add fwmark 0xff0000/0xff0000 table 99 priority 5555")
    try:
        with running(lab, mapping(lab)) as p:
            assert not p.logged("mark: ")
    finally:
        lab.gw.ns.ip("rule del priority 5555")


def surroundings(lab):
    """All that pinhold might have changed on this machine, as text."""
    tables = [line for line in lab.gw.run("nft list tables").splitlines() if line != "table inet pinhold"]
    text = [lab.gw.run(["nft", "-s", "list", *table.split()]) for table in tables]
    for family in ("-4", "-6"):
        text += [lab.gw.run(f"ip {family} rule show"), lab.gw.run(f"ip {family} route show table all")]
    for interface in ("all", "default", "lo", "lan", "wan", "wan2"):
        for name in ("route_localnet", "rp_filter", "forwarding", "src_valid_mark", "accept_local"):
            text.append(f"{interface} {name} " + lab.gw.ns.read_sysctl(f"net/ipv4/conf/{interface}/{name}"))
    return text


def test_nothing_else_is_touched(lab, tmp_path):
    """Everything that pinhold can do, and when it has gone, all is as it was; even if it was killed between."""
    lab.gw.firewall("rejecting")
    lab.gw.both_uplinks(scripted=False)
    lab.gw.nft("table ip mine {\nchain c {\ntype nat hook prerouting priority -105\ntcp dport 9 counter\n}\n}")
    lab.gw.ns.ip("rule add fwmark 0x10/0x10 table 99 priority 5555",
                 "route add default via 192.168.10.60 table 99")
    for n in range(9001, 9006):
        lab.isp.full_cone(n + 20000, n)
        lab.isp2.full_cone(n + 20000, n)
    sections = {
        "web": {**mapping(lab, snat="yes", allow="198.51.100.0/24", limit="100/second"), "bind": 9001},
        "six": {**mapping(lab, six=True), "bind": 9002},
        "same": {**mapping(lab, protocol="udp"), "bind": 9003, "target": ":9003"},
        "admin": {**mapping(lab), "bind": 9004, "target": f"127.0.0.1:{scenarios.LOCAL}"},
        "far": {**mapping(lab, interface="wan2"), "bind": 9005},
    }
    env = {"STATE_DIRECTORY": str(tmp_path)}
    try:
        before = surroundings(lab)
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            with lab.pinhold_file(sections, env=env) as p:
                ups = p.wait_hooks()
                for name in ("web", "six", "far"):
                    ask(lab, lab.client, ups[name].endpoint)
                assert surroundings(lab) != before  # it looks where something happens
                p.stop(number)
            assert not lab.gw.table()
            assert (surroundings(lab) == before) == (number == signal.SIGTERM)
    finally:
        lab.gw.nft("delete table ip mine")
        lab.gw.ns.ip("rule del priority 5555", "route flush table 99")


@both
def test_families_do_not_mix(lab, six):
    """A mapping of one family lets nobody in by the other."""
    with running(lab, mapping(lab, six=six)):
        assert ask(lab, lab.client, public(lab, six)) == address(lab.client, six)
        assert lab.client.refused(public(lab, not six), timeout=0.5) == "refused"
