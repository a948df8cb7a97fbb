# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers and networks that misbehave: a log line and another try, never a crash or a wrong endpoint."""
import contextlib
import socket
import time

import pytest

from pinlab import scripted
from pinlab.scripted import (ALTERNATE, LIE, MAPPED, SUCCESS, XOR_MAPPED, address_value, attribute,
                             fingerprint, message)

PUBLIC = ("203.0.113.7", 32451)


def with_lie(ask, kind=SUCCESS, **options):
    return message(kind, options.pop("transaction", ask.transaction), ask.xor(LIE), **options)


# Each claims LIE wherever its form allows a claim at all.
WRONG_ANSWERS = {
    "empty": lambda ask: b"",
    "one octet": lambda ask: b"\1",
    "short": lambda ask: with_lie(ask)[:12],
    "no attributes": lambda ask: message(SUCCESS, ask.transaction),
    "cut off": lambda ask: with_lie(ask)[:-4],
    "longer than it says": lambda ask: with_lie(ask) + b"\0" * 40,
    "odd length": lambda ask: message(SUCCESS, ask.transaction, ask.xor(LIE), b"\0\0", length=14),
    "overlong": lambda ask: message(SUCCESS, ask.transaction, *[attribute(0x8022, b"x" * 700)] * 5,
                                    ask.xor(LIE)),
    "a request": lambda ask: with_lie(ask, 0x0001),
    "an indication": lambda ask: with_lie(ask, 0x0011),
    "another method": lambda ask: with_lie(ask, 0x0103),
    "leading bits": lambda ask: with_lie(ask, 0x8101),
    "wrong cookie": lambda ask: with_lie(ask, cookie=0x12345678),
    "no cookie": lambda ask: with_lie(ask, cookie=0),
    "wrong transaction": lambda ask: message(SUCCESS, bytes(12),
                                             attribute(XOR_MAPPED, address_value(LIE, bytes(12)))),
    "almost the transaction": lambda ask: with_lie(
        ask, transaction=ask.transaction[:-1] + bytes([ask.transaction[-1] ^ 1])),
    "empty attribute": lambda ask: message(SUCCESS, ask.transaction, attribute(XOR_MAPPED, b"")),
    "attribute overruns": lambda ask: message(
        SUCCESS, ask.transaction, attribute(XOR_MAPPED, address_value(LIE, ask.transaction), length=200)),
    "attribute of 65535": lambda ask: message(
        SUCCESS, ask.transaction, attribute(XOR_MAPPED, address_value(LIE, ask.transaction), length=65535)),
    "attribute's header cut off": lambda ask: message(SUCCESS, ask.transaction, b"\x80\x22\0\0",
                                                      b"\0\x20", length=8),
    "unknown family": lambda ask: message(
        SUCCESS, ask.transaction, attribute(XOR_MAPPED, address_value(LIE, ask.transaction, family=3))),
    "IPv6 in four octets": lambda ask: message(
        SUCCESS, ask.transaction, attribute(XOR_MAPPED, address_value(LIE, ask.transaction, family=2))),
    "port 0": lambda ask: message(SUCCESS, ask.transaction, ask.xor((LIE[0], 0))),
    "comprehension required": lambda ask: message(SUCCESS, ask.transaction, ask.xor(LIE),
                                                  attribute(0x7FFF, b"what")),
    "wrong fingerprint": lambda ask: fingerprint(with_lie(ask))[:-1] + b"\x5a",
    "HTTP": lambda ask: b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "error 500": lambda ask: ask.error(500),
    "error without a code": lambda ask: message(scripted.ERROR, ask.transaction),
    "error of class 0": lambda ask: ask.error(0),
}


# In a stream, what follows a message is another message.
WRONG = [(protocol, wrong) for wrong in WRONG_ANSWERS for protocol in ("tcp", "udp")
         if (protocol, wrong) != ("tcp", "longer than it says")]


@pytest.mark.parametrize("protocol, wrong", WRONG)
def test_wrong_stun_answer(lab, protocol, wrong):
    """The first answer is wrong; the right endpoint is found all the same, and no other told."""
    lab.isp.full_cone(public_port=32451)

    def behaviour(ask):
        if len(ask.server.asked) == 1:
            ask.send(WRONG_ANSWERS[wrong](ask))
            ask.close()
        else:
            scripted.honest(ask)

    with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
            lab.pinhold(*["-u"][:protocol == "udp"], "-b", "8443", "-p", "7777", "-s", one.name) as p:
        up = p.wait_hook(timeout=40)
        assert up.endpoint == PUBLIC
        assert len(one.asked) >= 2
        assert LIE[0] not in "\n".join(p.lines) + lab.gw.table()
        assert [call.endpoint for call in p.hooks.calls] == [PUBLIC]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_wrong_answers_before_the_right_one(lab, protocol):
    """What is not the answer does not end the transaction: all in one go, then the right one."""
    lab.isp.full_cone(public_port=32451)
    ignorable = ["wrong transaction", "almost the transaction", "a request", "an indication",
                 "another method"]
    if protocol == "udp":
        ignorable += ["empty", "one octet", "short", "cut off", "longer than it says", "odd length",
                      "leading bits", "wrong cookie", "no cookie", "attribute overruns", "HTTP",
                      "attribute of 65535", "wrong fingerprint"]

    def behaviour(ask):
        for name in ignorable:
            ask.send(WRONG_ANSWERS[name](ask))
        scripted.honest(ask)

    with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
            lab.pinhold(*["-u"][:protocol == "udp"], "-b", "8443", "-p", "7777", "-s", one.name) as p:
        assert p.wait_hook(timeout=5).endpoint == PUBLIC
        assert LIE[0] not in "\n".join(p.lines)


def test_answer_from_another_address(lab):
    """A stranger who even knows the transaction ID is not believed."""
    lab.isp.full_cone(public_port=32451)
    with scripted.StunServer(lab.internet.scripted[1]) as stranger:
        def behaviour(ask):
            stranger._udp.sendto(with_lie(ask), ask.peer)
            scripted.honest(ask)

        with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
                lab.pinhold("-u", "-b", "8443", "-p", "7777", "-s", one.name) as p:
            assert p.wait_hook().endpoint == PUBLIC
            assert LIE[0] not in "\n".join(p.lines)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_answered_twice(lab, protocol):
    lab.isp.full_cone(public_port=32451)

    def behaviour(ask):
        scripted.honest(ask)
        with contextlib.suppress(OSError):
            ask.send(with_lie(ask))

    with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
            lab.pinhold(*["-u"][:protocol == "udp"], "-b", "8443", "-p", "7777", "-s", one.name, "-k", "1",
                        "-c", "2") as p:
        assert p.wait_hook().endpoint == PUBLIC
        one.wait_asked(4)
        assert not p.hooks.pending() and LIE[0] not in "\n".join(p.lines)


def test_answered_late(lab):
    """The answers to the first three requests come after the fourth has been sent: one endpoint, one call."""
    lab.isp.full_cone(public_port=32451)
    held = []

    def behaviour(ask):
        held.append(ask)
        if len(held) == 3:
            for one in held:
                scripted.honest(one)
        elif len(held) > 3:
            scripted.honest(ask)

    with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
            lab.pinhold("-u", "-b", "8443", "-p", "7777", "-s", one.name) as p:
        assert p.wait_hook().endpoint == PUBLIC
        assert not p.hooks.pending()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_octet_by_octet(lab, protocol):
    """A stream brings messages in any portions."""
    lab.isp.full_cone(public_port=32451)

    def behaviour(ask):
        if protocol == "udp":
            return scripted.honest(ask)
        for octet in fingerprint(ask.success()):
            ask.send(bytes([octet]))
        return None

    with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
            lab.pinhold(*["-u"][:protocol == "udp"], "-b", "8443", "-p", "7777", "-s", one.name) as p:
        assert p.wait_hook().endpoint == PUBLIC


def test_mapped_address_of_an_old_server_is_understood(lab):
    lab.isp.full_cone(public_port=32451)

    def behaviour(ask):
        ask.send(message(SUCCESS, ask.transaction, attribute(MAPPED, address_value(ask.peer))))

    with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
            lab.pinhold("-b", "8443", "-p", "443", "-s", one.name) as p:
        assert p.wait_hook().endpoint == PUBLIC


def test_xor_mapped_address_is_preferred(lab):
    lab.isp.full_cone(public_port=32451)

    def behaviour(ask):
        ask.send(message(SUCCESS, ask.transaction, attribute(MAPPED, address_value(LIE)), ask.xor(ask.peer)))

    with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
            lab.pinhold("-b", "8443", "-p", "443", "-s", one.name) as p:
        assert p.wait_hook().endpoint == PUBLIC


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_alternate_server_is_followed(lab, protocol):
    lab.isp.full_cone(public_port=32451)
    with scripted.StunServer(lab.internet.scripted[1]) as other:
        def behaviour(ask):
            ask.send(ask.error(300, attribute(ALTERNATE, address_value((other.server.address, other.port)))))

        with scripted.StunServer(lab.internet.scripted[0], behaviour) as one, \
                lab.pinhold(*["-u"][:protocol == "udp"], "-b", "8443", "-p", "7777", "-s", one.name) as p:
            assert p.wait_hook().endpoint == PUBLIC
            assert other.wait_asked().peer == PUBLIC
            assert f"{other.server.address} . {protocol} . {other.port}" in lab.gw.table(), \
                "the alternate is a server of ours too, and belongs into the peers"


def test_alternate_servers_in_a_circle_are_followed_once(lab):
    lab.isp.full_cone(public_port=32451)
    servers = [lab.internet.scripted[0], lab.internet.scripted[1]]

    def to_the_other(ask):
        other = servers[1 - servers.index(ask.server.server)]
        ask.send(ask.error(300, attribute(ALTERNATE, address_value((other.address, 3478)))))

    with scripted.StunServer(servers[0], to_the_other) as one, \
            scripted.StunServer(servers[1], to_the_other) as two, \
            lab.pinhold("-b", "8443", "-p", "443", "-s", one.name) as p:
        p.wait_log("probe failed")
        assert len(two.asked) <= len(one.asked) <= 3
        one.behaviour = scripted.honest
        assert p.wait_hook(timeout=40).endpoint == PUBLIC


HTTP_BEHAVIOURS = ["close_after_each", "close_at_once", "close_unanswered", "mute", "garbage", "megabytes",
                   "body_after_head"]


@pytest.mark.parametrize("name", HTTP_BEHAVIOURS)
def test_bad_keepalive_server_beside_a_good_one(lab, name):
    lab.isp.full_cone(public_port=32451)
    with scripted.HttpServer(lab.internet.scripted[0], getattr(scripted, name)) as bad, \
            scripted.HttpServer(lab.internet.scripted[1]) as good, \
            lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443", "-k", "1", "-h", bad.name,
                        "-h", good.name) as p:
        up = p.wait_hook()
        assert up.endpoint == PUBLIC
        bad.wait_connection()
        connection = good.wait_connection()
        connection.wait_request(4)
        assert lab.client.get(up.endpoint).body == "nas"
        assert connection.ended is None
        assert not p.hooks.pending()


@pytest.mark.parametrize("name", HTTP_BEHAVIOURS)
def test_bad_keepalive_server_alone(lab, name):
    """It is tried again and again, not in a tight loop, and costs neither endpoint nor memory."""
    lab.isp.full_cone(public_port=32451)
    with scripted.HttpServer(lab.internet.scripted[0], getattr(scripted, name)) as bad, \
            lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443", "-h", bad.name) as p:
        up = p.wait_hook()
        bad.wait_connection()
        before = p.resident_bytes()
        start = time.monotonic()
        if name not in ("mute", "body_after_head"):
            bad.wait_connection(3)
            assert time.monotonic() - start > 0.2, "a tight loop"
        assert lab.client.get(up.endpoint).body == "nas"
        assert p.resident_bytes() - before < 1 << 21
        assert all(c.peer == PUBLIC for c in bad.connections)
        assert not p.hooks.pending()
        assert len(p.lines) < 100, "a flood of log lines"


def test_unresolvable_names(lab):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-p", "443", "-s", "stun.nowhere.lab", "-h", "www.nowhere.lab") as p:
        p.wait_log("look-up failed .*stun.nowhere.lab")
        p.wait_log("look-up failed .*www.nowhere.lab")
        assert p.alive() and not p.hooks.pending()
        address = lab.internet.real[0].address
        lab.internet.dns.names = {"stun.nowhere.lab": [address], "www.nowhere.lab": [address]}
        assert p.wait_hook(timeout=30).endpoint == PUBLIC


def test_one_name_of_two_resolves(lab):
    lab.isp.full_cone(public_port=32451)
    lab.internet.dns.names = {"stun.lab": [lab.internet.real[0].address]}
    with lab.pinhold("-b", "8443", "-p", "443", "-s", "stun.nowhere.lab", "-s", "stun.lab") as p:
        assert p.wait_hook().endpoint == PUBLIC


def test_name_server_is_silent(lab):
    lab.isp.full_cone(public_port=32451)
    lab.internet.dns.silent = True
    lab.internet.dns.names = {"stun.lab": [lab.internet.real[0].address]}
    with lab.pinhold("-b", "8443", "-p", "443", "-s", "stun.lab") as p:
        lab.internet.dns.wait_asked("stun.lab")
        p.wait_log("look-up failed .*stun.lab")
        lab.internet.dns.silent = False
        assert p.wait_hook(timeout=40).endpoint == PUBLIC


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("how", ["rst", "drop"])
def test_unreachable_servers(lab, protocol, how):
    lab.isp.full_cone(public_port=32451)
    for server in lab.internet.real:
        server.down("all", how)
    with lab.pinhold(*["-u"][:protocol == "udp"], "-b", "8443", "-p", "7777") as p:
        p.wait_log("probe failed", timeout=45)
        assert p.alive() and not p.hooks.pending()
        for server in lab.internet.real:
            server.up()
        assert p.wait_hook(timeout=60).endpoint == PUBLIC


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_symmetric_nat_is_said_to_be_one(lab, protocol):
    lab.isp.symmetric()
    with lab.pinhold(*["-u"][:protocol == "udp"], "-b", "8443", "-p", "7777") as p:
        p.wait_log("not endpoint-independent")
        assert p.alive()


def test_no_route(lab):
    lab.isp.full_cone(public_port=32451)
    lab.gw.ip("route del default", "route del ::/0")
    with lab.pinhold("-b", "8443", "-p", "443", "-i", "wan") as p:
        p.wait_log("unreachable|no route|No route")
        assert p.alive()
        lab.gw.ip("route replace default via 100.64.0.1")
        assert p.wait_hook(timeout=30).endpoint == PUBLIC


def test_a_peer_that_is_a_stranger(lab):
    """Forged packets to the bind port, from nobody's address and port, reach the service and not pinhold."""
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-u", "-b", "8443", "-t", lab.nas.address, "-p", lab.nas.echo.port) as p:
        up = p.wait_hook()
        forged = message(SUCCESS, bytes(12), attribute(XOR_MAPPED, address_value(LIE, bytes(12))))
        with lab.client.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.sendto(forged, up.endpoint)
            assert s.recv(2048).startswith(b"nas " + lab.client.address.encode())
        assert not p.hooks.pending()
