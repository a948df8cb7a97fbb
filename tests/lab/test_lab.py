# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: its NAT, its servers and its sandbox do what the other tests take for granted."""
import os
import signal
import socket
import subprocess
import time

import pytest

from pinlab import scripted

SANDBOX = os.path.join(os.path.dirname(__file__), "sandbox")
BIND = ("100.64.0.2", 8443)


def open_from_bind_port(lab, server, kind, port, bind_port=BIND[1]):
    s = lab.gw.ns.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind((BIND[0], bind_port))
    s.settimeout(5)
    s.connect((server.address, port))
    return s


def reflexive_port(lab, server, kind, bind_port=BIND[1]):
    """Asks the lab's coturn over a flow from the bind port."""
    transaction = os.urandom(12)
    with open_from_bind_port(lab, server, kind, 3478, bind_port) as s:
        s.send(scripted.message(0x0001, transaction))
        answer = s.recv(2048)
    value = answer[answer.index(b"\0\x20\0\x08") + 4:]
    return int.from_bytes(value[2:4], "big") ^ (scripted.COOKIE >> 16)


@pytest.fixture
def dnat(lab):
    """A hand-written rule does pinhold's work."""
    lab.gw.nft("""
        table ip hand {
            chain prerouting {
                type nat hook prerouting priority -105;
                iifname "wan" tcp dport 8443 dnat to 192.168.10.50:443
                iifname "wan" udp dport 8443 dnat to 192.168.10.50:7777
            }
        }
        """)
    yield
    lab.gw.nft("delete table ip hand")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_full_cone_gives_every_server_the_same_port(lab, kind):
    lab.isp.full_cone(public_port=32451)
    assert {reflexive_port(lab, s, kind) for s in lab.internet.real} == {32451}


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_symmetric_nat_gives_each_server_another(lab, kind):
    lab.isp.symmetric()
    assert len({reflexive_port(lab, s, kind) for s in lab.internet.real}) > 1


def test_full_cone_lets_everybody_in(lab, dnat):
    lab.isp.full_cone(public_port=32451)
    page = lab.client.get(("203.0.113.7", 32451))
    assert page.body == "nas" and lab.nas.saw(page) == lab.client.address
    assert lab.client.udp(("203.0.113.7", 32451))[:2] == ["nas", lab.client.address]


@pytest.mark.parametrize("how, outcome", [("rst", ConnectionResetError), ("drop", TimeoutError),
                                          ("keep", None)])
def test_remap(lab, dnat, how, outcome):
    lab.isp.full_cone(public_port=32451)
    with open_from_bind_port(lab, lab.internet.real[0], socket.SOCK_STREAM, 80) as s:
        request = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
        s.send(request)
        assert s.recv(1000).startswith(b"HTTP/1.1 200")
        s.settimeout(1)
        lab.isp.remap(public_port=40000, how=how)
        if outcome:
            with pytest.raises(outcome):
                s.send(request)
                s.recv(1000)
        else:
            s.send(request)
            assert s.recv(1000).startswith(b"HTTP/1.1 200")
    assert reflexive_port(lab, lab.internet.real[1], socket.SOCK_STREAM) == 40000
    assert lab.client.get(("203.0.113.7", 40000)).body == "nas"
    assert lab.client.refused(("203.0.113.7", 32451))


def test_public_address_change(lab, dnat):
    lab.isp.full_cone(public_port=32451)
    lab.isp.change_public_address("203.0.113.9")
    assert lab.client.get(("203.0.113.9", 32451)).body == "nas"


def test_rejecting_firewall_knows_the_mark(lab):
    lab.gw.firewall("rejecting")
    assert lab.client.refused(("2001:db8:64::2", 443))
    lab.gw.nft('table inet hand {\nchain c {\ntype filter hook prerouting priority -150\n'
               'iifname "wan" tcp dport 443 ct mark set 0x08000000\n}\n}')
    assert lab.client.get(("2001:db8:64::2", 443)).body == "gw"
    lab.gw.nft("delete table inet hand")


def test_names(lab):
    lab.hosts({"one.lab": "192.0.2.11"})
    lab.internet.dns.names["two.lab"] = ["192.0.2.12", "2001:db8:2::12"]
    with lab.gw.ns.entered():
        def look_up(name):
            return {x[4][0] for x in socket.getaddrinfo(name, 80)}
        assert look_up("one.lab") == {"192.0.2.11"}
        assert look_up("two.lab") == {"192.0.2.12", "2001:db8:2::12"}
        start = time.monotonic()
        with pytest.raises(socket.gaierror):
            look_up("nowhere.lab")
        assert time.monotonic() - start < 1


def test_outage(lab):
    server = lab.internet.real[0]
    server.down("stun", how="rst")
    with pytest.raises(ConnectionRefusedError):
        open_from_bind_port(lab, server, socket.SOCK_STREAM, 3478)
    open_from_bind_port(lab, server, socket.SOCK_STREAM, 80).close()
    server.up("stun")
    reflexive_port(lab, server, socket.SOCK_STREAM)


def test_distance(lab):
    lab.delay(40)
    start = time.monotonic()
    reflexive_port(lab, lab.internet.real[0], socket.SOCK_DGRAM)
    assert 0.08 <= time.monotonic() - start < 0.5
    lab.delay(0)
    start = time.monotonic()
    reflexive_port(lab, lab.internet.real[1], socket.SOCK_DGRAM)
    assert time.monotonic() - start < 0.08


def test_sandbox_keeps_the_exit_status():
    assert subprocess.run([SANDBOX, "sh", "-c", "exit 7"], check=False).returncode == 7
    assert subprocess.run([SANDBOX, "sh", "-c", "kill -9 $$"], check=False).returncode == 128 + 9
    assert subprocess.run([SANDBOX, "/no/such/program"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 127


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_sandbox_takes_everything_with_it(number):
    # The pipe ends when its last holder does: the daemonised grandchild in the sandbox.
    r, w = os.pipe()
    launcher = subprocess.Popen([SANDBOX, "sh", "-c", "setsid sleep 1000 & echo up; exec sleep 1000"],
                                stdout=w)
    os.close(w)
    assert os.read(r, 10) == b"up\n"
    launcher.send_signal(number)
    launcher.wait(5)
    assert os.read(r, 10) == b""
    os.close(r)


def test_remap_leaves_other_mappings_alone(lab):
    """Only the flows of the mapping that moves are forgotten, also where a forgotten flow's packets vanish."""
    lab.isp.full_cone(public_port=32451)
    lab.isp.full_cone(public_port=33333, bind_port=9000)
    with open_from_bind_port(lab, lab.internet.real[0], socket.SOCK_STREAM, 80, 9000) as s:
        request = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
        for how in ("rst", "drop", "keep"):
            s.send(request)
            assert s.recv(1000).startswith(b"HTTP/1.1 200")
            lab.isp.remap(public_port=40000, how=how)
            s.send(request)
            assert s.recv(1000).startswith(b"HTTP/1.1 200")


def test_symmetric_for_one_bind_port(lab):
    lab.isp.full_cone(public_port=32451)
    lab.isp.full_cone(public_port=33333, bind_port=9000)
    lab.isp.symmetric(8443)
    servers = lab.internet.real
    assert len({reflexive_port(lab, s, socket.SOCK_DGRAM) for s in servers}) > 1
    assert {reflexive_port(lab, s, socket.SOCK_DGRAM, 9000) for s in servers} == {33333}


def test_address_dependent_filtering(lab, dnat):
    lab.isp.full_cone(public_port=32451)
    lab.isp.filtering("address")
    assert lab.client.refused(("203.0.113.7", 32451)) == "timeout"
    with lab.gw.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(BIND)
        s.sendto(b"hello", (lab.client.address, 9))
        assert lab.client.udp(("203.0.113.7", 32451))[0] == "nas"


def test_second_uplink(lab):
    lab.gw.nft('table ip hand {\nchain prerouting {\ntype nat hook prerouting priority -105\n'
               'iifname "wan2" tcp dport 9000 dnat to 192.168.10.50:443\n}\n}')
    lab.gw.both_uplinks()
    lab.isp2.full_cone(public_port=32452, bind_port=9000)
    page = lab.client.get(("203.0.113.207", 32452))
    assert page.body == "nas" and lab.nas.saw(page) == lab.client.address
    lab.gw.nft("delete table ip hand")
    assert "dev wan " in lab.gw.run("ip route get 192.0.2.11")
    lab.gw.default_route("wan2")
    assert "dev wan2 " in lab.gw.run("ip route get 192.0.2.11")


def test_interface_made_anew(lab, dnat):
    lab.isp.full_cone(public_port=32451)
    before = lab.gw.index()
    lab.gw.delete_wan()
    assert not lab.gw.has("wan")
    lab.gw.create_wan()
    assert lab.gw.index() != before
    assert lab.client.get(("203.0.113.7", 32451)).body == "nas"


def test_servers_are_killed_and_come_back(lab):
    first, second = lab.internet.real[:2]
    first.kill()
    for port in (3478, 80):
        with pytest.raises(ConnectionRefusedError):
            open_from_bind_port(lab, first, socket.SOCK_STREAM, port)
        open_from_bind_port(lab, second, socket.SOCK_STREAM, port).close()
    first.restart()
    reflexive_port(lab, first, socket.SOCK_STREAM)
    open_from_bind_port(lab, first, socket.SOCK_STREAM, 80).close()


def test_visitor_notices_gaps(lab):
    lab.isp.full_cone(public_port=32451)
    rule = ('table ip hand {\nchain prerouting {\ntype nat hook prerouting priority -105\n'
            'iifname "wan" tcp dport 8443 dnat to 192.168.10.50:443\n}\n}')
    lab.gw.nft(rule)
    with lab.client.visiting(("203.0.113.7", 32451), "nas") as visitor:
        visitor.wait_visits(3)
        assert not visitor.failures
        lab.gw.nft("delete table ip hand")
        visitor.wait_failure()
        lab.gw.nft(rule)
        visitor.wait_visits(3)
    lab.gw.nft("delete table ip hand")
    assert len(visitor.gaps) == 1 and 0 < visitor.gaps[0] < 2, visitor
