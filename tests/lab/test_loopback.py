# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients inside reach a mapping by the endpoint that the world has, too."""
import re
import socket

import pytest

from pinlab import client, scenarios, scripted
from pinlab.greeter import Greeter, greet
from pinlab.scenarios import BIND, PUBLIC, address, ask, itself, mapping, private, public, running
from pinlab.sniff import SYN, Sniffer

both = pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
protocols = pytest.mark.parametrize("protocol", ["tcp", "udp"])


@both
@pytest.mark.parametrize("where, protocol", [("nas", "tcp"), ("nas", "udp"), ("gw", "tcp"), ("gw", "udp")])
def test_from_the_lan(lab, where, protocol, six):
    scenarios.loopback(lab, where, protocol, six)


@both
def test_from_the_lan_to_a_datagram_service_of_the_gateway(lab, six):
    """One that listens on all addresses answers from the one that is near, and takes no pains about it."""
    host = "::" if six else "0.0.0.0"
    section = {**mapping(lab, protocol="udp", six=six), "target": ":7778"}
    with Greeter(lab.gw.ns, 7778, "udp", host), running(lab, section):
        for endpoint in {public(lab, six), private(lab, six)}:
            assert greet(lab.pc, endpoint, "udp") == address(lab.pc, six)


@both
@protocols
@pytest.mark.parametrize("where", ["nas", "gw"])
def test_from_the_gateway_itself(lab, where, protocol, six):
    scenarios.from_itself(lab, where, protocol, six)


def test_follows_the_public_endpoint(lab):
    """The old one goes and the new one comes in the same moment as the mapping's own change."""
    with running(lab, mapping(lab, interval="1s")) as p:
        ask(lab, lab.pc, PUBLIC)
        monitor = lab.gw.monitor()
        lab.isp.remap(40000)
        change = p.wait_hook("web")
        assert change.endpoint == ("203.0.113.7", 40000)
        for who in (lab.pc, itself(lab), lab.client):
            ask(lab, who, change.endpoint)
        for who in (lab.pc, itself(lab)):
            assert who.refused(PUBLIC) == "refused"
        changes = [t for t in monitor.stop() if any("40000" in line for line in t)]
        assert len(changes) == 1, changes
        text = "\n".join(changes[0])
        for name in ("published4", "loopback4"):
            for verb, port in (("delete", PUBLIC[1]), ("create", 40000)):
                assert re.search(rf"{verb} element inet pinhold {name} {{ 203\.0\.113\.7 \. tcp \. {port}\b",
                                 text), text
        assert not re.search(r"(chain|rule|set|table|counter) inet pinhold", text), text


@both
def test_no_loopback(lab, six):
    """Who asks for the public endpoint goes out to look for it."""
    with running(lab, mapping(lab, six=six, loopback="no")):
        assert ask(lab, lab.client, public(lab, six)) == address(lab.client, six)
        assert not re.search(r"(published|loopback)[46] \{\n[^}]*elements", lab.gw.table())
        if six:  # it is the gateway's own address
            assert lab.pc.refused(public(lab, six)) == "refused"
            return
        with Sniffer(lab.isp.ns, "subscriber") as wire:
            assert lab.pc.refused(PUBLIC) == "refused"
            wire.wait(lambda x: x.destination == PUBLIC and x.flags & SYN)
            assert lab.pc.refused(private(lab)) == "refused"
            assert itself(lab).refused(PUBLIC) == "refused"


def test_whoever_is_inside_is_let_in(lab):
    """`allow` and `limit` are for clients outside."""
    with running(lab, mapping(lab, allow="192.0.2.0/24", limit="1/day burst 1")):
        for _ in range(3):
            assert ask(lab, lab.pc, PUBLIC) == lab.gw.address
            ask(lab, itself(lab), PUBLIC)
        assert lab.client.refused(PUBLIC) == "refused"


def test_a_line_without_a_mapping_is_not_inside(lab):
    scenarios.other_way(lab)


def test_a_mapping_that_is_not_up_leaves_nobody_inside(lab):
    """Its interface has no default route, and the mapping there is disabled."""
    more = {"far": {**mapping(lab, interface="wan2"), "bind": 9000, "enabled": "no"}}
    lab.ns["isp2"].ip("route add 203.0.113.7 via 100.65.0.2")
    neighbour = client.Client(lab.ns["isp2"], "100.65.0.1", None)
    try:
        with running(lab, mapping(lab), more=more):
            assert neighbour.refused(PUBLIC, timeout=2)
    finally:
        lab.ns["isp2"].ip("route del 203.0.113.7")


def test_servers_that_lie_take_nothing_inside_away(lab):
    """STUN is not signed: whoever is on the way may say that the public endpoint is one of the LAN's."""
    lie = (lab.gw.address, 2222)
    servers = [scripted.StunServer(s, lambda ask: ask.send(ask.success(lie))) for s in lab.internet.scripted[:2]]
    section = mapping(lab, stun=[s.name for s in servers])
    with servers[0], servers[1], Greeter(lab.gw.ns, lie[1]), lab.pinhold_file({"web": section}) as p:
        assert p.wait_hook("web").endpoint == lie
        for who in (lab.pc, itself(lab)):
            greet(who, lie)
            ask(lab, who, private(lab))
        assert "one of this machine's" in p.status("web")["why"]


def test_an_admins_mark_is_kept(lab):
    """Only the mask's bits are pinhold's."""
    lab.gw.nft("table inet admin {\n" + "".join(
        f"chain {hook} {{\ntype filter hook {hook} priority mangle\nct mark set ct mark or 0x50000001\n}}\n"
        for hook in ("prerouting", "output")) + "}\n")
    try:
        with running(lab, mapping(lab)):
            for who in (lab.client, lab.pc, itself(lab)):
                with who.connect(PUBLIC) as c:
                    c.get()
                    to, wanted = ((lab.gw.wan, 0x58000001) if who is lab.client else (PUBLIC[0], 0x5c000001))
                    entry, = scenarios.entries(lab, "tcp", dst=to, sport=c.port)
                    assert f"mark={wanted} " in entry, entry
    finally:
        lab.gw.nft("delete table inet admin")


def test_another_mark(lab):
    """The firewall accepts another bit, and every way leads through it."""
    mark, common = "0x00000100", {"mark": "0x00000100/0x00000f00"}
    lab.gw.firewall("strict", mark)
    section = {**mapping(lab), "target": f":{BIND}"}
    with Greeter(lab.gw.ns, BIND), running(lab, section, "same", common):
        for who in (lab.client, lab.pc, itself(lab)):
            greet(who, PUBLIC)
    lab.gw.both_uplinks(scripted=False)
    lab.isp2.full_cone(34000, 9000)
    far = {**mapping(lab, interface="wan2"), "bind": 9000}
    with running(lab, mapping(lab), common=common, more={"far": far}) as p:
        assert ask(lab, lab.client, p.wait_hook("far").endpoint) == lab.client.address
        for who, seen in ((lab.client, lab.client.address), (lab.pc, lab.gw.address),
                          (itself(lab), lab.gw.address)):
            assert ask(lab, who, PUBLIC) == seen
        with lab.client.connect(PUBLIC) as c:
            entry, = scenarios.entries(lab, "tcp", dport=BIND, sport=c.port)
            assert f"mark={0x100} " in entry, entry
    # The mark that nobody gives any more opens nothing.
    lab.gw.firewall("strict")
    with running(lab, mapping(lab), common=common):
        assert lab.client.refused(PUBLIC)


def test_other_ports_are_not_touched(lab):
    """Neither of the same address by another port, nor by another protocol."""
    with running(lab, mapping(lab)), lab.gw.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind((lab.gw.wan, BIND + 1))
        s.listen()
        assert lab.pc.refused((lab.gw.wan, BIND + 1)) is None
        scenarios.unheard(lab.pc, private(lab), timeout=0.3)
