# SPDX-License-Identifier: GPL-2.0-or-later
"""The mapping is held, and followed where it moves."""
import threading

import pytest

from pinlab import scripted
from pinlab.sniff import RESET, Sniffer

PUBLIC = ("203.0.113.7", 32451)


@pytest.fixture
def holders(lab):
    """Two scripted keep-alive servers."""
    with scripted.HttpServer(lab.internet.scripted[0]) as a, \
            scripted.HttpServer(lab.internet.scripted[1]) as b:
        yield a, b


def options(holders):
    return [word for server in holders for word in ("-h", server.name)]


def test_two_holders_at_different_servers(lab, holders):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-p", "443", "-k", "1", *options(holders)) as p:
        p.wait_hook()
        for server in holders:
            connection = server.wait_connection()
            assert connection.peer == PUBLIC
            connection.wait_request(3)


@pytest.mark.parametrize("firewall", ["open", "rejecting"])
def test_holders_outlive_a_conntrack_flush_when_the_server_speaks_first(lab, holders, firewall):
    """After the flush the server's packet is the first of a flow that the gateway does not know.

    Without `peers4` it would be translated to the service, which answers RST; without the mark the
    rejecting firewall would answer RST.
    """
    lab.gw.firewall(firewall)
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443", *options(holders)) as p:
        up = p.wait_hook()
        connections = [server.wait_connection() for server in holders]
        for c in connections:
            c.wait_request(1)
        with Sniffer(lab.ns["servers"], "eth0") as wire:
            lab.gw.flush_conntrack()
            for c in connections:
                c.speak()
            for server in holders:
                answer = wire.wait(lambda x, s=server: x.source == PUBLIC and
                                   x.destination == (s.server.address, 80))
                assert not answer.flags & RESET, "the holder was reset"
        # And our own next packet still leaves from the bind port.
        page = lab.client.get(up.endpoint)
        assert page.body == "nas"
        assert not p.logged("holder lost")
        assert [c.ended for c in connections] == [None, None]
        assert not p.hooks.pending()


@pytest.mark.parametrize("firewall", ["open", "rejecting"])
def test_holders_outlive_a_conntrack_flush_when_they_speak_first(lab, holders, firewall):
    lab.gw.firewall(firewall)
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443", "-k", "1", *options(holders)) as p:
        up = p.wait_hook()
        connections = [server.wait_connection() for server in holders]
        for c in connections:
            c.wait_request(1)
        lab.gw.flush_conntrack()
        for c in connections:
            c.wait_request(c.requests + 2)  # the same connection: the public port is what it was
        assert lab.client.get(up.endpoint).body == "nas"
        assert not p.logged("holder lost")
        assert not p.hooks.pending()


@pytest.mark.parametrize("firewall", ["open", "rejecting"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_conntrack_flushed_while_a_probe_is_in_flight(lab, holders, protocol, firewall):
    lab.gw.firewall(firewall)
    lab.isp.full_cone(public_port=32451)
    flush = threading.Event()
    flushed = []

    def behaviour(ask):
        # The mapping is up and its rules are there: now the answer comes to a gateway that has forgotten
        # the question.
        if flush.is_set():
            lab.gw.flush_conntrack()
            flushed.append(ask)
        scripted.honest(ask)

    udp = protocol == "udp"
    arguments = ["-u"][:udp] + ["-b", "8443", "-t", lab.nas.address,
                                "-p", lab.nas.echo.port if udp else 443, "-k", "1", "-c", "2"]
    with scripted.StunServer(lab.internet.scripted[2], behaviour) as one, \
            scripted.StunServer(lab.internet.scripted[3], behaviour) as two:
        if not udp:
            arguments += options(holders)
        with lab.pinhold(*arguments, "-s", one.name, "-s", two.name) as p:
            up = p.wait_hook()
            asked = [len(one.asked), len(two.asked)]
            flush.set()
            one.wait_asked(asked[0] + 2)
            two.wait_asked(asked[1] + 2)
            flush.clear()
            assert len(flushed) >= 4
            assert all(ask.peer == PUBLIC for ask in one.asked + two.asked)
            assert not p.logged("probe failed") and not p.logged("holder lost")
            assert not p.hooks.pending()
            if udp:
                assert lab.client.udp(up.endpoint)[0] == "nas"
            else:
                assert lab.client.get(up.endpoint).body == "nas"
                assert [len(server.connections) for server in holders] == [1, 1]


@pytest.mark.parametrize("how, limit", [("rst", 6), ("drop", 10), ("keep", 20)])
def test_remap_is_followed(lab, how, limit):
    lab.isp.full_cone(public_port=32451)
    # Old flows that live on are noticed by a fresh probe only: every third second here.
    often = ["-k", "1", "-c", "3"] if how == "keep" else []
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443", *often) as p:
        p.wait_hook()
        lab.isp.remap(public_port=40123, how=how)
        change = p.wait_hook(timeout=limit)
        assert change.event == "change" and change.endpoint == ("203.0.113.7", 40123)
        assert (change.env["PINHOLD_PREVIOUS_ADDRESS"], change.env["PINHOLD_PREVIOUS_PORT"]) == \
            ("203.0.113.7", "32451")
        assert "203.0.113.7:40123" in lab.gw.table() and "203.0.113.7:32451" not in lab.gw.table()
        assert lab.client.get(change.endpoint).body == "nas"


@pytest.mark.parametrize("how", ["rst", "keep"])
def test_remap_is_followed_udp(lab, how):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-u", "-b", "8443", "-t", lab.nas.address, "-p", lab.nas.echo.port, "-k", "1",
                     "-c", "3") as p:
        p.wait_hook()
        lab.isp.remap(public_port=40123, how=how)
        change = p.wait_hook()
        assert change.event == "change" and change.endpoint == ("203.0.113.7", 40123)
        assert lab.client.udp(change.endpoint)[0] == "nas"


def test_public_address_change_is_followed(lab):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        p.wait_hook()
        lab.isp.change_public_address("203.0.113.9")
        change = p.wait_hook()
        assert change.endpoint == ("203.0.113.9", 32451)
        assert lab.client.get(change.endpoint).body == "nas"


def elements(transaction, what, text):
    return [line for line in transaction if line.startswith(what) and text in line]


def test_wan_address_change_is_followed_in_one_transaction(lab):
    lab.isp.full_cone(public_port=32451)
    lab.isp.full_cone(public_port=40123, subscriber="100.64.0.3")
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        up = p.wait_hook()
        assert up.private_address == "100.64.0.2"
        monitor = lab.gw.monitor()
        lab.gw.change_wan_address("100.64.0.3")
        change = p.wait_hook()
        transactions = monitor.stop()
        assert change.endpoint == ("203.0.113.7", 40123)
        assert (change.private_address, change.private_port) == ("100.64.0.3", "8443")
        table = lab.gw.table()
        assert "100.64.0.3" in table and "100.64.0.2" not in table
        assert lab.client.get(change.endpoint).body == "nas"
        # The old address goes and the new one comes together: no transaction leaves both, or neither.
        goes = [t for t in transactions if elements(t, "delete element", "100.64.0.2")]
        assert len(goes) == 1, transactions
        assert elements(goes[0], ("add element", "create element"), "100.64.0.3"), transactions


def test_interface_down_and_up(lab):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        p.wait_hook()
        lab.gw.ip("link set wan down")
        p.wait_log("interface down|no interface|no address")
        seen = p.count()
        lab.gw.ip("link set wan up", "route replace default via 100.64.0.1")
        p.wait_log("(up|change) mapping", start=seen)
        assert lab.client.get(PUBLIC).body == "nas"


@pytest.mark.parametrize("which", ["stun", "http", "all"])
@pytest.mark.parametrize("how", ["rst", "drop"])
def test_one_dead_server_costs_nothing(lab, which, how):
    """Half of the servers are away from the beginning, the other half does it."""
    lab.isp.full_cone(public_port=32451)
    for server in lab.internet.real[:2]:
        server.down(which, how)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        up = p.wait_hook()
        assert lab.client.get(up.endpoint).body == "nas"


def test_starts_when_the_servers_are_back(lab):
    lab.isp.full_cone(public_port=32451)
    for server in lab.internet.real:
        server.down("all", "rst")
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        p.wait_log("probe failed")
        assert not p.hooks.pending()
        for server in lab.internet.real:
            server.up("all")
        up = p.wait_hook()
        assert lab.client.get(up.endpoint).body == "nas"
