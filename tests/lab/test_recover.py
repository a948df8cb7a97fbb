# SPDX-License-Identifier: GPL-2.0-or-later
"""Back by itself after every disturbance, and nobody beside notices.

Where a disturbance has its own means of being noticed, the others are set so slow that only that one can
have done it.
"""
import signal

import pytest

from pinlab import scripted
from pinlab.witness import PUBLIC, Witness, reach, same_moment

NEW = ("203.0.113.7", 40123)
NEVER = {"interval": "1h", "detect": "10m", "verify": "1d"}
OTHER_WAN = "100.64.0.3"

# What the disturbances below may take, in seconds: generous for a loaded machine with sanitizers, and yet far
# from what another means, or the next turn of the same, would take. tests/bench/recovery measures.
SOON = 3


def wait_change(p, lab, endpoint, protocol="tcp", timeout=SOON):
    """The hook's next call is about the new endpoint, which is in the table, in status, and works."""
    change = p.wait_hook("web", timeout)
    assert change.event == "change" and change.endpoint == endpoint
    table = lab.gw.table()
    assert f"web: {endpoint[0]}:{endpoint[1]}" in table
    assert f"{PUBLIC[0]}:{PUBLIC[1]}" not in table
    assert p.get("web", "public-endpoint") == f"{endpoint[0]}:{endpoint[1]}"
    reach(lab, endpoint, protocol)
    return change


# The NAT.

@pytest.mark.parametrize("protocol, how, means, timeout", [
    ("tcp", "rst", {"detect": "1s"}, SOON),        # the kernel's keep-alive is answered with RST
    ("tcp", "drop", {"detect": "1s"}, 4 + SOON),   # or with nothing: detect + 3 s
    ("tcp", "keep", {"verify": "5s"}, 5 + SOON),   # only a fresh flow tells
    ("udp", "rst", {"interval": "1s"}, 1 + SOON),  # the holder's own answer tells another port
    ("udp", "keep", {"verify": "5s"}, 5 + SOON),
])
def test_remap(lab, web, protocol, how, means, timeout):
    with Witness(lab) as witness:
        p = web({**NEVER, **means}, witness, protocol)
        before = p.status("web")
        lab.isp.remap(NEW[1], how=how)
        change = wait_change(p, lab, NEW, protocol, timeout)
        assert (change.env["PINHOLD_PREVIOUS_ADDRESS"], change.env["PINHOLD_PREVIOUS_PORT"]) == \
            (PUBLIC[0], str(PUBLIC[1]))
        after = p.status("web")
        assert (before["changes"], after["changes"]) == (0, 1)
        assert after["state"] == "up" and after["endpoint_since"] >= before["endpoint_since"]
        witness.unmoved()


@pytest.mark.parametrize("how", ["rst", "drop"])
def test_nat_that_forgets_everything_and_maps_as_before(lab, web, how):
    """A reboot: the holders are gone at the latest when the kernel has noticed, and nobody is told a thing."""
    p = web({**NEVER, "detect": "1s"})
    lab.isp.reboot(how)
    if how == "drop":
        seen = p.count()
        p.wait_log("holder lost mapping=web", timeout=4 + SOON)
        p.wait_log("holder open mapping=web", start=seen)
    reach(lab, PUBLIC)
    assert not p.hook("web").pending()
    assert p.status("web")["changes"] == 0


def test_public_address_changes(lab, web):
    with Witness(lab, "wan2", lab.isp2) as witness:
        lab.gw.both_uplinks()
        p = web({**NEVER, "detect": "1s"}, witness, common={"interface": "wan"})
        lab.isp.change_public_address("203.0.113.9")
        wait_change(p, lab, ("203.0.113.9", PUBLIC[1]))
        witness.unmoved()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_gateway_forgets_its_flows(lab, web, protocol):
    with Witness(lab) as witness:
        p = web({"interval": "1s"}, witness, protocol)
        for _ in range(3):
            lab.gw.flush_conntrack()
            witness.unmoved()
            reach(lab, PUBLIC, protocol)
        assert not p.hook("web").pending()
        assert not p.logged("holder lost")


# Links, addresses and routes.

@pytest.fixture
def uplinks(lab):
    """Two uplinks, and a witness on the second."""
    lab.gw.both_uplinks()
    lab.isp.full_cone(NEW[1], subscriber=OTHER_WAN)
    with Witness(lab, "wan2", lab.isp2) as witness:
        yield witness


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_wan_address_changes(lab, web, uplinks, protocol):
    p = web(NEVER, uplinks, protocol, {"interface": "wan"})
    lab.gw.change_wan_address(OTHER_WAN)
    change = wait_change(p, lab, NEW, protocol)
    assert change.private_address == OTHER_WAN
    assert p.get("web", "private-endpoint") == f"{OTHER_WAN}:8443"
    assert "100.64.0.2" not in lab.gw.table()
    uplinks.unmoved()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_link_bounces(lab, web, uplinks, protocol):
    p = web(NEVER, uplinks, protocol, {"interface": "wan"})
    lab.gw.ip("link set wan down")
    assert p.wait_hook("web").event == "down"
    assert "web: " not in lab.gw.table() and "8443" not in lab.gw.table()
    lost = p.wait_state("web", lambda s: s["state"] != "up")
    assert lost["public"] is None and lost["why"]
    lab.gw.ip("link set wan up", "route replace default via 100.64.0.1")
    up = p.wait_hook("web", timeout=SOON)
    assert (up.event, up.endpoint) == ("up", PUBLIC)
    reach(lab, PUBLIC, protocol)
    uplinks.unmoved()


def test_link_bounces_so_quickly_that_it_need_not_matter(lab, web):
    """Down and up again within the debounce: addresses and index are what they were."""
    p = web({"interval": "1s"})
    before = p.status("web")
    for _ in range(3):
        lab.gw.ip("link set wan down", "link set wan up", "route replace default via 100.64.0.1")
        reach(lab, PUBLIC)
    assert p.get("web", "public-endpoint") == "203.0.113.7:32451"
    after = p.status("web")
    assert after["changes"] == 0 and same_moment(after["endpoint_since"], before["endpoint_since"])
    assert not p.hook("web").pending()


@pytest.mark.parametrize("address", ["100.64.0.2", OTHER_WAN])
def test_interface_made_anew(lab, web, uplinks, address):
    """PPP redials: the interface is gone for a while, and comes back as another one of the same name."""
    p = web(NEVER, uplinks, common={"interface": "wan"})
    before = lab.gw.index()
    lab.gw.delete_wan()
    assert p.wait_hook("web").event == "down"
    lab.gw.create_wan(address)
    assert lab.gw.index() != before
    up = p.wait_hook("web", timeout=SOON)
    assert up.event == "up" and up.private_address == address
    assert up.endpoint == (PUBLIC if address == "100.64.0.2" else NEW)
    reach(lab, up.endpoint)
    uplinks.unmoved()


def test_interface_made_anew_at_once_with_the_same_address(lab, web, uplinks):
    """All that differs is the index; the holders' sockets belong to the interface that is gone."""
    with scripted.HttpServer(lab.internet.scripted[0]) as server:
        p = web({**NEVER, "keepalive": server.name}, uplinks, common={"interface": "wan"}, holders=1)
        first = server.wait_connection()
        lab.gw.delete_wan()
        lab.gw.create_wan()
        second = server.wait_connection(2, timeout=SOON)
        assert second.peer == first.peer == PUBLIC
        second.wait_request(1)
        p.wait_state("web", lambda s: s["state"] == "up" and s["public"])
        reach(lab, PUBLIC)
    uplinks.unmoved()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_auto_follows_the_default_route(lab, web, protocol):
    """There and back again; the witness stays where it is told to."""
    lab.gw.both_uplinks()
    lab.isp2.full_cone(public_port=34000)
    with Witness(lab, "wan2", lab.isp2) as witness:
        p = web({**NEVER, "interface": "auto"}, witness, protocol)
        lab.gw.default_route("wan2")
        change = wait_change(p, lab, ("203.0.113.207", 34000), protocol)
        assert change.env["PINHOLD_INTERFACE"] == "wan2" and change.private_address == lab.gw.wan2
        assert p.get("web", "interface") == "wan2"
        lab.gw.default_route("wan")
        back = p.wait_hook("web", timeout=SOON)
        assert (back.event, back.endpoint, back.env["PINHOLD_INTERFACE"]) == ("change", PUBLIC, "wan")
        reach(lab, PUBLIC, protocol)
        witness.unmoved()


def test_no_default_route_is_waited_for(lab, web):
    p = web({**NEVER, "interface": "auto"})
    lab.gw.run("ip -4 route flush exact default")
    assert p.wait_hook("web").event == "down"
    lab.gw.default_route("wan")
    assert p.wait_hook("web", timeout=SOON).event == "up"
    reach(lab, PUBLIC)


def test_other_routes_wake_nobody(lab, web):
    """A thousand routes come and go beside us: none is the default route."""
    p = web(NEVER)
    p.wait_log("hook ended mapping=web")
    before = p.awakenings(), p.count()
    lab.gw.ip(*(f"route {verb} 10.{n >> 8}.{n & 255}.0/24 via 100.64.0.1"
                for n in range(1000) for verb in ("add", "del")))
    reach(lab, PUBLIC)
    assert p.count() == before[1], p.lines[before[1]:]
    assert p.awakenings() - before[0] < 20


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_missing_interface_is_waited_for(lab, protocol):
    """With a file pinhold starts without its interface, says so, and is up as soon as it comes."""
    lab.isp.full_cone(public_port=32451)
    lab.gw.delete_wan()
    port = 443 if protocol == "tcp" else lab.nas.echo.port
    with lab.pinhold_file({"global": {"interface": "wan"},
                           "web": {"protocol": protocol, "bind": 8443,
                                   "target": f"{lab.nas.address}:{port}"}}) as p:
        p.wait_ready()
        assert p.wait_state("web", "opening")["why"]
        assert p.logged("wan")
        lab.gw.create_wan()
        up = p.wait_hook("web", timeout=SOON)
        assert (up.event, up.endpoint) == ("up", PUBLIC)
        reach(lab, PUBLIC, protocol)


def test_missing_address_is_waited_for(lab):
    """The interface is named by an address that another lease will bring."""
    lab.isp.full_cone(NEW[1], subscriber=OTHER_WAN)
    with lab.pinhold_file({"web": {"interface": OTHER_WAN, "bind": 8443, "target": ":443"}}) as p:
        p.wait_ready()
        assert p.wait_state("web", "opening")["why"]
        lab.gw.change_wan_address(OTHER_WAN)
        assert p.wait_hook("web", timeout=SOON).endpoint == NEW


def overruns(p):
    """How many messages the kernel could not give to the daemon's rtnetlink sockets (netlink(7))."""
    inodes = p.socket_inodes()
    drops = 0
    with open(f"/proc/{p.pid}/net/netlink", encoding="ascii") as f:
        columns = next(f).split()
        for line in f:
            row = dict(zip(columns, line.split()))
            if row["Eth"] == "0" and row["Inode"] in inodes:
                drops += int(row["Drops"])
    return drops


def test_overrun_of_rtnetlink_leads_to_a_new_look(lab, web, uplinks):
    """The address changes while messages are being lost (ENOBUFS): the news of it is lost too.

    What does come through is about routes, so that nobody looks at addresses on its account.
    """
    p = web(NEVER, uplinks, common={"interface": "wan"})
    p.process.send_signal(signal.SIGSTOP)
    try:
        lab.gw.flood_rtnetlink(6000)
        assert overruns(p) > 0, "nothing was lost: the flood is too small"
        lab.gw.change_wan_address(OTHER_WAN)
    finally:
        p.process.send_signal(signal.SIGCONT)
    change = wait_change(p, lab, NEW)
    assert change.private_address == OTHER_WAN
    # And the next one is noticed as if nothing had been.
    lab.gw.change_wan_address("100.64.0.2", old=OTHER_WAN)
    assert p.wait_hook("web", timeout=SOON).endpoint == PUBLIC


# IPv6: no NAT, and the same care.

def test_ipv6(lab):
    with lab.pinhold_file({"global": {"interface": "wan", "interval": "1s"},
                           "web": {"family": "ipv6", "bind": 8443, "target": f"[{lab.nas.address6}]:443"},
                           "echo": {"family": "ipv6", "protocol": "udp", "bind": 8444,
                                    "target": f"[{lab.nas.address6}]:{lab.nas.echo.port}"}}) as p:
        web, echo = p.wait_hook("web"), p.wait_hook("echo")
        assert web.endpoint == (lab.gw.wan6, 8443) and echo.endpoint == (lab.gw.wan6, 8444)

        def both_work(address):
            page = lab.client.get((address, 8443))
            assert page.body == "nas" and lab.nas.saw(page) == lab.client.address6
            assert lab.client.udp((address, 8444))[:2] == ["nas", lab.client.address6]

        both_work(lab.gw.wan6)
        # Another prefix from the ISP.
        other = "2001:db8:64::3"
        lab.gw.ip(f"addr del {lab.gw.wan6}/64 dev wan", f"addr add {other}/64 dev wan nodad")
        for name, port in (("web", 8443), ("echo", 8444)):
            change = p.wait_hook(name, timeout=SOON)
            assert (change.event, change.endpoint) == ("change", (other, port))
        both_work(other)
        lab.gw.flush_conntrack()
        both_work(other)
        lab.gw.delete_wan()
        assert {p.wait_hook(name).event for name in ("web", "echo")} == {"down"}
        lab.gw.create_wan()
        for name in ("web", "echo"):
            assert p.wait_hook(name, timeout=SOON).event == "up"
        both_work(lab.gw.wan6)
