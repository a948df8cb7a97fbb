# SPDX-License-Identifier: GPL-2.0-or-later
"""Reply routing: a mapping on an uplink that is not the default route's, whose replies leave by it again."""
import re
import signal

import pytest

from pinlab import uplinks
from pinlab.uplinks import BIND, PORT, Box, Wires, section, second_uplink, visit

BRIEF = 1  # seconds; for an answer that does not come

TCP_AND_UDP = pytest.mark.parametrize("protocol", ["tcp", "udp"])


def unanswered(lab, protocol="tcp", where="nas"):
    """Nobody gets an answer from there."""
    with pytest.raises((OSError, AssertionError)):
        visit(lab, where, protocol, patience=BRIEF)


def wait_why(p, text, name="web"):
    return p.wait_state(name, lambda s: s["state"] == "up" and text in (s["why"] or ""))


# Replies leave by the uplink by which the connection came.

@TCP_AND_UDP
@pytest.mark.parametrize("family", [4, 6])
def test_lan_target(lab, protocol, family):
    uplinks.uplink_lan(lab, protocol, family)


@TCP_AND_UDP
@pytest.mark.parametrize("family", [4, 6])
def test_own_service(lab, protocol, family):
    uplinks.uplink_own(lab, protocol, family)


@TCP_AND_UDP
@pytest.mark.parametrize("where", ["nas", "gw"])
def test_forbidden(lab, protocol, where):
    """reply-route = no: nothing is made, and replies go where everything goes."""
    lab.gw.both_uplinks(scripted=False)
    before = lab.gw.routing()
    with Wires(lab) as wires, second_uplink(lab, section(lab, where, protocol, reply_route="no")) as (p, _):
        assert lab.gw.routing() == before
        assert "chain replies" not in lab.gw.table()
        assert p.status("web")["uplink"] is None
        unanswered(lab, protocol, where)
        wires.only_by("wan")


@TCP_AND_UDP
def test_port_that_the_service_has_itself(lab, protocol):
    """Nothing is translated: connections come to the bind port, and a service has it."""
    port = 443 if protocol == "tcp" else lab.gw.service.echo.port
    with Wires(lab) as wires, second_uplink(lab, section(lab, "gw", protocol, bind=port)):
        visit(lab, "gw", protocol)
        wires.only_by("wan2")


@TCP_AND_UDP
def test_container_that_the_host_publishes(lab, protocol):
    """target = none: pinhold only marks, and another NAT of the host leads to the target."""
    with Box(lab) as box, Wires(lab) as wires, \
            second_uplink(lab, section(lab, protocol=protocol, target="none")) as (p, _):
        box.publish(BIND)
        box.visit(lab.client, uplinks.endpoint(lab), protocol)
        wires.only_by("wan2")
        assert lab.gw.counter("web") == 1, p.story()


@TCP_AND_UDP
def test_container_as_the_target(lab, protocol):
    with Box(lab) as box, Wires(lab) as wires, \
            second_uplink(lab, section(lab, protocol=protocol, target=f"{box.address}:{box.port}")):
        box.visit(lab.client, uplinks.endpoint(lab), protocol)
        wires.only_by("wan2")


@pytest.mark.parametrize("where", ["nas", "gw"])
def test_client_inside(lab, where):
    """By the public endpoint of the second uplink, as by any."""
    with second_uplink(lab, section(lab, where)):
        assert lab.pc.get(uplinks.endpoint(lab), timeout=uplinks.SOON).body == where
        visit(lab, where)


def test_masqueraded_towards_the_target(lab):
    with Wires(lab) as wires, second_uplink(lab, section(lab, snat="yes")):
        page = lab.client.get(uplinks.endpoint(lab), timeout=uplinks.SOON)
        assert page.body == "nas" and lab.nas.saw(page) == lab.gw.address
        wires.only_by("wan2")


def test_beside_the_admins_own(lab):
    """Who has scripted it before takes nothing away, and needs nothing of it for our mappings."""
    with Wires(lab) as wires, second_uplink(lab, section(lab), scripted=True):
        visit(lab, "nas")
        assert lab.gw.reply_routing()
        wires.only_by("wan2")


# What is made for it, where, and for how long.

def test_rules_and_routes(lab):
    """One rule and a table of its own for each family; at the end it is all gone."""
    lab.gw.both_uplinks(scripted=False)
    before = lab.gw.routing()
    six = section(lab, family=6, bind=8444)
    lab.isp2.full_cone(PORT)
    with lab.pinhold_file({"web": section(lab), "six": six}) as p:
        p.wait_hooks()
        assert p.status("web")["uplink"] == p.status("six")["uplink"] == 1
        made = "\n".join(lab.gw.reply_routing())
        rule = r"^\d+:\s+from all fwmark 0x1000000/0x3000000 lookup 1346961409 proto 112$"
        assert len(re.findall(rule, made, re.M)) == 2, made
        for gateway in ("100.65.0.1", "2001:db8:65::1"):
            assert re.search(rf"^default via {gateway} dev wan2 table 1346961409 proto 112", made, re.M), made
        p.remove("web")
        p.reload()
        assert "100.65.0.1" not in "\n".join(lab.gw.reply_routing())
        assert "2001:db8:65::1" in "\n".join(lab.gw.reply_routing())
    assert lab.gw.routing() == before


def test_only_where_it_is_needed(lab):
    before = lab.gw.routing()
    lab.isp.full_cone(PORT)
    with lab.pinhold_file({"web": section(lab, interface="wan")}) as p:
        p.wait_hook("web")
        assert lab.gw.routing() == before
        assert "chain replies" not in lab.gw.table()
        assert p.status("web")["uplink"] is None


@pytest.mark.parametrize("command", ["ip rule del priority 990", "ip route flush table 1346961409"])
def test_somebody_takes_it_away(lab, command):
    """systemd-networkd does when it starts: it is put back, each time."""
    with Wires(lab) as wires, second_uplink(lab, section(lab)):
        for _ in range(2):
            uplinks.until_put_back(lab, command)
            visit(lab, "nas")
        wires.only_by("wan2")


def test_left_by_a_killed_process(lab):
    """The next one takes away what it finds, whatever it is to do itself."""
    lab.gw.both_uplinks(scripted=False)
    before = lab.gw.routing()
    with second_uplink(lab, section(lab)) as (p, _):
        p.stop(signal.SIGKILL)
    assert len(lab.gw.reply_routing()) >= 2
    lab.isp.full_cone(PORT)
    with lab.pinhold_file({"web": section(lab, interface="wan")}) as p:
        p.wait_hook("web")
        assert lab.gw.routing() == before


def test_other_rules_and_marks_stay(lab):
    """Rules of the admin's, and his bits in the marks of our packets and connections."""
    mine = ["rule add fwmark 0x10/0x10 table 77 priority 500",
            "rule add from 192.0.2.99 table 78 priority 989",
            "rule add fwmark 0x40/0xf0 table 77 priority 991",
            "route add 198.18.0.0/15 via 100.64.0.1 table 77"]
    lab.gw.ns.ip(*mine)
    try:
        lab.gw.nft("""
            table inet admin {
                counter replies {}
                chain early {
                    type filter hook prerouting priority mangle - 10
                    iifname "wan2" ct mark set ct mark | 0x40
                    iifname "lan" meta mark set meta mark | 0x10
                }
                chain late {
                    type filter hook forward priority filter
                    ct direction reply oifname "wan2" meta mark 0x01000010 ct mark 0x09000040 \
                        counter name replies
                }
            }
            """)
        lab.gw.both_uplinks(scripted=False)
        before = lab.gw.routing()
        with Wires(lab) as wires, second_uplink(lab, section(lab)):
            visit(lab, "nas")
            wires.only_by("wan2")
            assert not re.search("packets 0 ", lab.gw.run("nft list counter inet admin replies"))
            assert [line for line in lab.gw.routing() if line not in lab.gw.reply_routing()] == before
        assert lab.gw.routing() == before
    finally:
        lab.gw.nft("table inet admin {}\ndelete table inet admin\n")
        lab.gw.ns.ip(*(line.replace(" add ", " del ", 1) for line in reversed(mine)))


# Links and routes that change.

def test_router_changes(lab):
    """The default route's gateway gets another address; a connection of before goes on."""
    with second_uplink(lab, section(lab)), lab.client.connect(uplinks.endpoint(lab)) as old:
        assert old.get().body == "nas"
        lab.ns["isp2"].ip("addr del 100.65.0.1/24 dev subscriber", "addr add 100.65.0.9/24 dev subscriber")
        try:
            lab.gw.ns.ip("neigh flush dev wan2",
                         "route replace default via 100.65.0.9 dev wan2 metric 2000")
            visit(lab, "nas")
            assert old.get().body == "nas"
            assert "default via 100.65.0.9 dev wan2" in "\n".join(lab.gw.reply_routing())
        finally:
            lab.ns["isp2"].ip("addr del 100.65.0.9/24 dev subscriber",
                              "addr add 100.65.0.1/24 dev subscriber")


@TCP_AND_UDP
def test_uplink_goes_and_comes_back(lab, protocol):
    """As a PPP interface does, with another index; and the routes come last."""
    with Wires(lab) as wires, second_uplink(lab, section(lab, protocol=protocol)) as (p, _):
        visit(lab, "nas", protocol)
        wires.only_by("wan2")
        lab.gw.delete_wan2()
        assert p.wait_hook("web").event == "down"
        assert not [line for line in lab.gw.reply_routing() if "lookup" not in line]
        lab.gw.create_wan2()
        lab.gw.default_route("wan2", metric=2000)
        assert p.wait_hook("web").event == "up"
        visit(lab, "nas", protocol)
        assert lab.gw.reply_routing()


def test_default_route_moves_to_the_other_uplink(lab):
    """There and back: who needs no routing at first gets it, who has it keeps it, and connections go on."""
    lab.gw.both_uplinks(scripted=False)
    lab.isp.full_cone(PORT + 1)
    lab.isp2.full_cone(PORT)
    other = (lab.isp.public, PORT + 1)
    with lab.pinhold_file({"first": section(lab, "gw", interface="wan"), "web": section(lab)}) as p:
        p.wait_hooks()
        p.wait_state("web", lambda s: s["uplink"] == 1)
        p.wait_state("first", lambda s: s["uplink"] is None)
        with lab.client.connect(uplinks.endpoint(lab)) as old:
            for moves in (["route add default via 100.64.0.1 dev wan metric 3000",
                           "route replace default via 100.65.0.1 dev wan2"],
                          ["route replace default via 100.64.0.1 dev wan"]):
                lab.gw.ns.ip(*moves)
                p.wait_state("first", lambda s: s["uplink"] == 2)
                p.wait_state("web", lambda s: s["uplink"] == 1)
                with Wires(lab) as wires:
                    visit(lab, "nas")
                    assert old.get().body == "nas"
                    wires.only_by("wan2")
                with Wires(lab) as wires:
                    visit(lab, "gw", to=other)
                    wires.only_by("wan")


@pytest.mark.parametrize("where", ["nas", "gw"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("how", ["halves", "rules"])
def test_vpn_takes_the_default_route(lab, how, family, where):
    """And leaves that of the main table where it is: what came by it goes back by it."""
    to = (lab.isp.public, PORT) if family == 4 else (lab.gw.wan6, BIND)
    lab.isp.full_cone(PORT, BIND)
    with lab.pinhold_file({"web": section(lab, where, family=family, interface="wan")}) as p:
        p.wait_hook("web")
        p.wait_state("web", lambda s: s["uplink"] is None)
        visit(lab, where, family=family, to=to)
        with uplinks.vpn(lab, how, family):
            p.wait_state("web", lambda s: s["uplink"] == 1)
            with Wires(lab, family) as wires:
                visit(lab, where, family=family, to=to)
                wires.only_by("wan")
            assert p.status("web")["why"] is None
        visit(lab, where, family=family, to=to)


def test_vpn_that_was_there_first(lab):
    lab.isp.full_cone(PORT, BIND)
    with uplinks.vpn(lab, "halves"), \
            lab.pinhold_file({"web": section(lab, interface="wan")}) as p, Wires(lab) as wires:
        p.wait_hook("web")
        visit(lab, "nas", to=(lab.isp.public, PORT))
        wires.only_by("wan")


def test_no_route_by_the_uplink(lab):
    """Nobody knows its router: said, and put right as soon as there is a route."""
    with second_uplink(lab, section(lab)) as (p, _):
        lab.gw.ns.ip("route del default via 100.65.0.1 dev wan2 metric 2000")
        wait_why(p, "no default route goes by this one")
        p.wait_log("obstacle mapping=web interface=wan2: .*no default route")
        assert not lab.gw.reply_routing()
        seen = p.count()
        lab.gw.default_route("wan2", metric=2000)
        p.wait_log("replies mapping=web interface=wan2 uplink=1: routed back by it", start=seen)
        p.wait_log("no obstacle any more mapping=web interface=wan2$", start=seen)
        p.wait_state("web", lambda s: s["why"] is None and s["uplink"] == 1)
        visit(lab, "nas")


@pytest.fixture
def spare(lab):
    """Three more uplinks, of which nobody knows where they lead."""
    names = [f"lte{n}" for n in range(3)]
    for n, name in enumerate(names):
        lab.gw.ns.ip(f"link add {name} type veth peer name {name}-far", f"link set {name}-far up",
                     f"addr add 100.{70 + n}.0.2/24 dev {name}",
                     f"link set {name} up",
                     f"route add default via 100.{70 + n}.0.1 dev {name} metric {3000 + n}")
    yield names
    for name in names:
        lab.gw.ns.ip(f"link del {name}")


def test_three_and_one_more(lab, spare):
    """A fourth has no number left: said in the log and in status, and it gets the first that is free."""
    lab.gw.both_uplinks(scripted=False)
    lab.isp2.full_cone(PORT)
    sections = {name: section(lab, interface=name, hook=False) for name in spare}
    with lab.pinhold_file({**sections, "web": section(lab)}) as p:
        p.wait_hook("web")
        assert sorted(p.status(name)["uplink"] for name in spare) == [1, 2, 3]
        assert wait_why(p, "more than three uplinks")["uplink"] is None
        p.wait_log("obstacle mapping=web interface=wan2: .*more than three uplinks")
        assert "wan2" not in "\n".join(lab.gw.reply_routing())
        unanswered(lab)
        p.remove("lte1")
        p.reload()
        p.wait_state("web", lambda s: s["why"] is None and s["uplink"] == 2)
        visit(lab, "nas")
        assert not re.search("lte1", "\n".join(lab.gw.reply_routing()))


def test_strict_rp_filter(lab):
    """It drops what comes in by such an interface, answers of servers too: told, and left as it is."""
    lab.gw.both_uplinks(scripted=False)
    lab.isp2.full_cone(PORT)
    lab.gw.ns.sysctl("net/ipv4/conf/wan2/rp_filter", 1)
    try:
        with lab.pinhold_file({"web": section(lab)}) as p:
            p.wait_log(r"obstacle mapping=web interface=wan2: strict rp_filter .* net\.ipv4\.conf\.wan2\.rp_filter to 2$")
            p.wait_state("web", lambda s: s["state"] != "up" and "strict rp_filter" in (s["why"] or ""))
            assert lab.gw.ns.read_sysctl("net/ipv4/conf/wan2/rp_filter") == "1"
        lab.gw.ns.sysctl("net/ipv4/conf/wan2/rp_filter", 2)
        with second_uplink(lab, section(lab)) as (p, _):
            visit(lab, "nas")
            assert p.status("web")["why"] is None
    finally:
        lab.gw.ns.sysctl("net/ipv4/conf/wan2/rp_filter", 0)


def test_strict_rp_filter_and_rules_of_others(lab):
    """Which may lead elsewhere, but do not: it does no harm on the default route's interface."""
    lab.isp.full_cone(PORT, BIND)
    lab.gw.ns.sysctl("net/ipv4/conf/wan/rp_filter", 1)
    lab.gw.ns.ip("rule add fwmark 0x40/0xf0 table 77 priority 991")
    try:
        with lab.pinhold_file({"web": section(lab, interface="wan")}) as p:
            p.wait_hook("web")
            p.wait_state("web", lambda s: s["state"] == "up" and s["uplink"] == 1 and s["why"] is None)
            visit(lab, "nas", to=(lab.isp.public, PORT))
    finally:
        lab.gw.ns.ip("rule del fwmark 0x40/0xf0 table 77 priority 991")
        lab.gw.ns.sysctl("net/ipv4/conf/wan/rp_filter", 0)


def test_strict_rp_filter_when_it_is_up(lab):
    with second_uplink(lab, section(lab)) as (p, _):
        visit(lab, "nas")
        lab.gw.ns.sysctl("net/ipv4/conf/wan2/rp_filter", 1)
        try:
            unanswered(lab)
            # Nothing announces a sysctl: it is seen with the next change of a link or route.
            lab.gw.ns.ip("addr add 100.65.0.99/24 dev wan2")
            p.wait_log("obstacle mapping=web interface=wan2: strict rp_filter")
        finally:
            lab.gw.ns.sysctl("net/ipv4/conf/wan2/rp_filter", 0)
