# SPDX-License-Identifier: GPL-2.0-or-later
"""Bind ports from a file: ranges in order and at random, any, taken ones, and rotation."""
import socket
import subprocess

import pytest

from pinlab.witness import Witness, same_moment

OFFSET = 20000


@pytest.fixture
def taken(lab):
    """Occupies ports of the gateway as another program does; returns the function to free one."""
    sockets = {}

    def take(*ports, kind=socket.SOCK_STREAM):
        for port in ports:
            sockets[port] = s = lab.gw.ns.socket(socket.AF_INET, kind)
            s.bind(("0.0.0.0", port))
            if kind == socket.SOCK_STREAM:
                s.listen()
        return lambda port: sockets.pop(port).close()

    yield take
    for s in sockets.values():
        s.close()


def mapping(lab, bind, protocol="tcp", **more):
    port = 443 if protocol == "tcp" else lab.nas.echo.port
    return {"protocol": protocol, "bind": bind, "target": f"{lab.nas.address}:{port}", **more}


def works(lab, up):
    """The endpoint that the hook was told is in the table and leads to the service."""
    assert int(up.port) == int(up.private_port) + OFFSET
    table = lab.gw.table()
    assert f". {up.private_port} : " in table and f"{up.address}:{up.port}" in table
    if up.proto == "tcp":
        assert lab.client.get(up.endpoint).body == "nas"
    else:
        assert lab.client.udp(up.endpoint)[0] == "nas"


@pytest.mark.parametrize("protocol, kind", [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
@pytest.mark.parametrize("first", [8443, 8444, 8445])
def test_range_is_tried_in_order(lab, taken, protocol, kind, first):
    lab.isp.full_cone_range(8443, 8445, OFFSET)
    taken(*range(8443, first), kind=kind)
    with lab.pinhold_file({"web": mapping(lab, "8443-8445", protocol)}) as p:
        up = p.wait_hook("web")
        assert up.private_port == str(first)
        works(lab, up)
        assert p.get("web", "private-endpoint") == f"100.64.0.2:{first}"
        for port in range(8443, first):
            assert f". {port} " not in lab.gw.table()


def test_random_range(lab):
    """Each starts somewhere of its own: eight mappings do not come in order, twice."""
    lab.isp.full_cone_range(9100, 9199, OFFSET)
    names = [f"m{n}" for n in range(8)]
    seen = []
    for _ in range(2):
        with lab.pinhold_file({n: mapping(lab, "9100~9199") for n in names}) as p:
            ups = p.wait_hooks(*names)
            ports = [int(ups[n].private_port) for n in names]
            assert len(set(ports)) == len(ports) and all(9100 <= x <= 9199 for x in ports)
            works(lab, ups["m0"])
            works(lab, ups["m7"])
            seen.append(ports)
    assert seen[0] != seen[1]
    assert any(ports != sorted(ports) for ports in seen)


def test_random_range_with_one_free_port(lab, taken):
    lab.isp.full_cone_range(9100, 9115, OFFSET)
    taken(*(port for port in range(9100, 9116) if port != 9107))
    with lab.pinhold_file({"web": mapping(lab, "9100~9115")}) as p:
        up = p.wait_hook("web")
        assert up.private_port == "9107"
        works(lab, up)


def test_any_port(lab):
    low, high = map(int, lab.gw.ns.read_sysctl("net/ipv4/ip_local_port_range").split())
    with lab.pinhold_file({"one": mapping(lab, 0), "two": mapping(lab, 0), "dgram": mapping(lab, 0, "udp")}) as p:
        ups = p.wait_hooks()
        assert all(low <= int(up.private_port) <= high for up in ups.values())
        assert ups["one"].private_port != ups["two"].private_port


def test_taken_port_costs_the_others_nothing(lab, taken):
    """With a file the start goes on; the log names the holder; freed, the port is had within seconds."""
    lab.isp.full_cone_range(8443, 8443, OFFSET)
    other = lab.gw.ns.spawn(
        ["/usr/bin/python3", "-c", "import socket, signal\ns = socket.socket()\ns.bind(('0.0.0.0', 8443))\n"
         "s.listen()\nprint('ready', flush=True)\nsignal.pause()"], stdout=subprocess.PIPE)
    other.stdout.readline()
    try:
        with Witness(lab) as witness, \
                lab.pinhold_file({"web": mapping(lab, 8443), "witness": witness.section}) as p:
            witness.seen(p)
            line = p.wait_log("bind port taken mapping=web.*")[0]
            assert "8443" in line and str(other.pid) in line and "python3" in line
            status = p.wait_state("web", lambda s: s["why"])
            assert status["state"] != "up" and status["public"] is None
            assert not p.hook("web").pending()
            other.kill()
            other.wait()
            works(lab, p.wait_hook("web"))
            witness.unmoved()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


@pytest.mark.parametrize("order", ["9100-9102", "9100~9102"])
def test_two_mappings_never_share_a_port(lab, order):
    """Our own sockets share a port among themselves (SO_REUSEPORT): the kernel would let them."""
    lab.isp.full_cone_range(9100, 9102, OFFSET)
    names = ["a", "b", "c"]
    with lab.pinhold_file({n: mapping(lab, order) for n in names} |
                          {"u": mapping(lab, order, "udp")}) as p:
        ups = p.wait_hooks(*names, "u")
        assert sorted(ups[n].private_port for n in names) == ["9100", "9101", "9102"]
        for up in ups.values():
            works(lab, up)
        # A fourth has to wait, and says so; it gets the port of one that goes.
        p.add("d", **mapping(lab, order))
        p.reload()
        p.wait_state("d", lambda s: s["why"] and s["public"] is None)
        assert not p.hook("d").pending()
        p.remove("b")
        p.reload()
        d = p.wait_hook("d")
        assert d.private_port == ups["b"].private_port
        works(lab, d)
        for n in ("a", "c", "u"):
            assert not p.hook(n).pending()


def test_port_that_another_mapping_has(lab):
    """One that has a choice takes the next; one that has none says who has it, and waits."""
    lab.isp.full_cone_range(9100, 9102, OFFSET)
    with lab.pinhold_file({"first": mapping(lab, 9100), "range": mapping(lab, "9100-9101")}) as p:
        ups = p.wait_hooks("first", "range")
        assert [ups[n].private_port for n in ("first", "range")] == ["9100", "9101"]
        p.add("late", **mapping(lab, 9101))
        p.reload()
        line = p.wait_log("bind port taken mapping=late.*")[0]
        assert "9101" in line and "range" in line
        p.change("range", bind=9102)
        p.reload()
        works(lab, p.wait_hook("late"))
        assert not p.hook("first").pending()


def test_ports_are_swapped_by_a_reload(lab):
    """Each wants what the other has: nobody keeps the other out for good."""
    lab.isp.full_cone_range(9100, 9101, OFFSET)
    with lab.pinhold_file({"a": mapping(lab, 9100), "b": mapping(lab, 9101)}) as p:
        p.wait_hooks()
        p.change("a", bind=9101)
        p.change("b", bind=9100)
        p.reload()
        for name, port in (("a", "9101"), ("b", "9100")):
            call = p.wait_hook(name)
            if call.event == "down":
                call = p.wait_hook(name)
            assert call.private_port == port
            works(lab, call)


def test_same_port_on_two_uplinks(lab):
    lab.gw.both_uplinks()
    lab.isp.full_cone_range(9100, 9100, OFFSET)
    lab.isp2.full_cone_range(9100, 9100, OFFSET)
    with lab.pinhold_file({"one": mapping(lab, 9100, interface="wan"),
                           "two": mapping(lab, 9100, interface="wan2")}) as p:
        ups = p.wait_hooks()
        assert [ups[n].address for n in ("one", "two")] == ["203.0.113.7", "203.0.113.207"]
        for up in ups.values():
            works(lab, up)


@pytest.mark.long
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_rotation(lab, protocol):
    """The next port of the range, and round again; nobody is ever without an endpoint."""
    lab.isp.full_cone_range(8443, 8444, OFFSET)
    with Witness(lab) as witness, \
            lab.pinhold_file({"web": mapping(lab, "8443-8444", protocol, rotate="1m"),
                              "witness": witness.section}) as p:
        now = p.wait_hook("web")
        up_since = p.status("web")["since"]
        witness.seen(p)
        seen = [now.private_port]
        visitor = None
        try:
            if protocol == "tcp":
                visitor = lab.client.visiting(now.endpoint, "nas").__enter__()
            for _ in range(2):
                counted = lab.gw.counter("web")
                now = p.wait_hook("web", timeout=130)
                if visitor:
                    visitor.endpoint = now.endpoint
                assert now.event == "change"
                works(lab, now)
                assert lab.gw.counter("web") > counted
                seen.append(now.private_port)
        finally:
            if visitor:
                visitor.__exit__()
        assert seen == ["8443", "8444", "8443"]
        if visitor:
            assert not visitor.failures, visitor
        assert not p.logged(r"down mapping=web")
        # For those who look at it, it is one mapping that has moved twice and was up all the time.
        status = p.status("web")
        assert status["changes"] == 2 and same_moment(status["since"], up_since)
        witness.unmoved()


def test_rotation_needs_a_range(lab):
    p = lab.pinhold_file({"web": mapping(lab, 8443, rotate="1m")})
    assert p.wait_exit() == 2
    assert p.logged(r"pinhold\.conf:\d+: .*rotate")
