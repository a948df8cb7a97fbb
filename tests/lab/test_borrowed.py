# SPDX-License-Identifier: GPL-2.0-or-later
"""The service has the bind port itself, and nobody touches its socket: pinhold's own flows borrow the port."""
import contextlib
import itertools
import signal
import socket
import struct
import time

import pytest

from pinlab import scenarios, scripted, servers
from pinlab.greeter import Greeter, greet
from pinlab.scenarios import BIND, PUBLIC, ask, itself, mapping, private, running
from pinlab.wireguard import Tunnel

both = pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
protocols = pytest.mark.parametrize("protocol", ["tcp", "udp"])
_serial = itertools.count(1)


@both
@protocols
@pytest.mark.parametrize("where", ["service", "none"])
def test_own_flows_leave_from_the_services_port(lab, where, protocol, six):
    scenarios.identity(lab, protocol, six, where=where)


@protocols
def test_a_target_that_follows_may_come_to_be_the_bind_port(lab, protocol):
    """Without a NAT it always does."""
    scenarios.identity(lab, protocol, six=True, where=":public")


@protocols
def test_random_masquerading_does_not_move_them(lab, protocol):
    lab.gw.masquerade("fully-random")
    scenarios.identity(lab, protocol)


def test_the_services_own_flows_keep_its_port(lab):
    """A WireGuard peer that speaks first: the other end learns the public endpoint from it."""
    lab.gw.masquerade("fully-random")
    section = {**mapping(lab, protocol="udp"), "target": f":{BIND}"}
    with lab.gw.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as here, \
            lab.internet.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        here.bind((lab.gw.wan, BIND))
        there.bind(("192.0.2.10", 9999))
        there.settimeout(5)
        with running(lab, section):
            here.sendto(b"first", ("192.0.2.10", 9999))
            assert there.recvfrom(100) == (b"first", PUBLIC)


@both
def test_the_service_talks_to_the_same_server(lab, six):
    scenarios.service_asks_server(lab, six)


@both
@pytest.mark.parametrize("borrowed", [False, True], ids=["bound", "borrowed"])
def test_server_speaks_first_over_udp(lab, borrowed, six):
    scenarios.server_speaks_first(lab, six, borrowed)


@pytest.mark.parametrize("target", ["nas", "service"])
def test_holder_survives_a_conntrack_flush(lab, target):
    """The server's packet is the first that conntrack sees of it; the firewall lets in nothing that is new."""
    lab.gw.firewall("strict")
    https = [scripted.HttpServer(s) for s in lab.internet.scripted[:2]]
    section = mapping(lab, keepalive=[s.name for s in https], interval="1h", detect="30s", verify="1h")
    if target == "service":
        section["target"] = f":{BIND}"
    with contextlib.ExitStack() as stack:
        for s in https:
            stack.enter_context(s)
        stack.enter_context(Greeter(lab.gw.ns, BIND) if target == "service" else contextlib.nullcontext())
        p = stack.enter_context(running(lab, section))
        connections = [s.wait_connection() for s in https]
        p.wait_state("web", lambda s: [h["state"] for h in s["holders"]].count("open") == 2)
        for c in connections:
            assert c.peer == PUBLIC
        lab.gw.flush_conntrack()
        flushed = time.monotonic()
        ours = p.status("web")["own_port"] or BIND
        for s, c in zip(https, connections):
            c.speak()
            entry, = scenarios.wait_until(
                lambda s=s: scenarios.entries(lab, "tcp", src=s.server.address, dport=BIND), 5,
                "no packet of the server was taken for a new one")
            assert f"dst={s.server.address} sport={ours} dport=80" in entry, entry
        # Our answer goes by the same entry and leaves from the same port: the server takes it.
        for s, c in zip(https, connections):
            scenarios.wait_until(lambda c=c: unacknowledged(c) < time.monotonic() - flushed, 5, "no answer")
            assert not c.ended and len(s.connections) == 1
        assert not p.logged("holder lost")


def unacknowledged(connection):
    """How long ago the last acknowledgement has come, seconds: tcpi_last_ack_recv (linux/tcp.h)."""
    info = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
    return struct.unpack_from("=I", info, 56)[0] / 1000


class Shop:
    """nginx on the bind port, as anybody has it: one socket, without `reuseport`."""

    def __init__(self, lab):
        self._lab = lab
        self._nginx = servers.Nginx(lab.gw.ns, f"""
            server {{
                listen {BIND} ssl;
                listen [::]:{BIND} ssl;
                location / {{ return 200 "shop"; }}
            }}
            """, f"shop-{next(_serial)}")
        self.reload = self._nginx.reload

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._nginx.kill()

    def restart(self):
        self._nginx.kill()
        self._nginx.start()

    def sockets(self):
        """All about its sockets that ss(8) knows."""
        # Once its worker answers, it has them as well.
        self.sells(itself(self._lab), (self._lab.gw.address, BIND), self._lab.gw.address)
        text = self._lab.gw.run(["ss", "-Htlnpe", f"sport = :{BIND}"])
        assert text.count("nginx") == 4, text
        return text

    def sells(self, who, endpoint, seen):
        page = who.get(endpoint)
        assert page.body == "shop"
        client = self._nginx.log.wait(lambda e: e["id"] == page.id)["client"]
        assert client == seen, client


@both
@pytest.mark.parametrize("first", ["nginx", "pinhold"])
def test_nginx(lab, first, six):
    """Whoever was there first: nginx starts, is reloaded and restarted, and is never touched."""
    lab.gw.firewall("strict")
    section = {**mapping(lab, six=six), "target": f":{BIND}"}
    endpoint = scenarios.public(lab, six)
    with contextlib.ExitStack() as stack:
        if first == "nginx":
            shop = stack.enter_context(Shop(lab))
            before = shop.sockets()
        p = stack.enter_context(running(lab, section))
        if first == "pinhold":
            # The port is free, but it is not pinhold's to have, and nobody else may be kept from it.
            assert lab.client.refused(endpoint) == "refused"
            shop = stack.enter_context(Shop(lab))
            before = shop.sockets()
        shop.sells(lab.client, endpoint, scenarios.address(lab.client, six))
        shop.sells(lab.pc, endpoint, scenarios.address(lab.pc, six))
        shop.sells(itself(lab), endpoint, lab.gw.wan6 if six else lab.gw.wan)
        shop.sells(lab.pc, private(lab, six), scenarios.address(lab.pc, six))
        assert shop.sockets() == before
        holder = lab.internet.wait_holder_request()
        assert (holder["client"], int(holder["port"])) == endpoint
        own = p.status("web")["own_port"]
        assert own not in (None, BIND)

        shop.restart()
        shop.sells(lab.client, endpoint, scenarios.address(lab.client, six))
        shop.reload()
        shop.sells(lab.client, endpoint, scenarios.address(lab.client, six))
        assert p.status("web")["own_port"] == own
        assert not p.logged("holder lost|down mapping") and not p.hook("web").pending()
        assert lab.gw.counter("web") == 3 + (first == "pinhold")  # who was refused had been let in


@pytest.mark.parametrize("first", ["service", "pinhold"])
def test_datagram_service(lab, first):
    section = {**mapping(lab, protocol="udp"), "target": f":{BIND}"}
    with contextlib.ExitStack() as stack:
        if first == "service":
            stack.enter_context(Greeter(lab.gw.ns, BIND, "udp"))
        p = stack.enter_context(running(lab, section))
        if first == "pinhold":
            stack.enter_context(Greeter(lab.gw.ns, BIND, "udp"))
        assert greet(lab.client, PUBLIC, "udp") == lab.client.address
        # It is asked for, and it is answered, from the public port: a mapping that is verified is held so.
        lab.isp.reboot()
        assert greet(lab.client, PUBLIC, "udp") == lab.client.address
        assert p.status("web")["own_port"] not in (None, BIND)


@protocols
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_next_start(lab, protocol, number):
    """Conntrack remembers the flows of the last one for minutes: the next one must not clash with them."""
    section = {**mapping(lab, protocol=protocol), "target": f":{BIND}"}
    for last in (number, number, signal.SIGTERM):
        with running(lab, section) as p:
            p.wait_state("web", lambda s: any(h["state"] == "open" for h in s["holders"]))
            assert not p.logged("probe failed|holder lost"), p.story()
            p.stop(last)


def test_public_endpoint_moves(lab):
    """The service stays where it is, and its world learns where that is now."""
    section = {**mapping(lab, interval="1s"), "target": f":{BIND}"}
    with Greeter(lab.gw.ns, BIND), running(lab, section) as p:
        lab.isp.remap(40000)
        change = p.wait_hook("web")
        assert change.endpoint == ("203.0.113.7", 40000)
        for who in (lab.client, lab.pc, itself(lab)):
            greet(who, change.endpoint)


@protocols
def test_moves_between_borrowing_and_not(lab, protocol):
    """A reload leads to the service at the bind port, and away from it: it is given up, and had again."""
    with running(lab, mapping(lab, protocol=protocol)) as p:
        assert p.status("web")["own_port"] is None
        p.change("web", target=f":{BIND}")
        p.reload()
        p.wait_state("web", lambda s: s["state"] == "up" and s["own_port"])
        with Greeter(lab.gw.ns, BIND, protocol):
            assert greet(lab.client, PUBLIC, protocol) == lab.client.address
        p.change("web", target=scenarios.target(lab, "nas", protocol))
        p.reload()
        p.wait_state("web", lambda s: s["state"] == "up" and s["own_port"] is None)
        assert ask(lab, lab.client, PUBLIC, "nas", protocol) == lab.client.address


@pytest.mark.parametrize("first", ["wireguard", "pinhold"])
def test_wireguard(lab, first):
    """The tunnel's port is the bind port, and traffic goes through it."""
    lab.gw.firewall("rejecting")
    section = {**mapping(lab, protocol="udp"), "target": f":{BIND}"}
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(running(lab, section)) if first == "pinhold" else None
        here = stack.enter_context(Tunnel(lab.gw.ns, "wg-gw", "10.9.0.1", BIND))
        p = p or stack.enter_context(running(lab, section))
        there = stack.enter_context(Tunnel(lab.client.ns, "wg-client", "10.9.0.2"))
        here.peer(there)
        there.peer(here, PUBLIC)
        assert lab.client.udp(("10.9.0.1", lab.gw.service.echo.port))[:2] == ["gw", "10.9.0.2"]
        assert lab.client.get(("10.9.0.1", 443)).body == "gw"
        endpoints = here.ns.run(["wg", "show", "wg-gw", "endpoints"])
        assert lab.client.address in endpoints
        assert p.status("web")["state"] == "up"
