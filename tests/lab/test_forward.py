# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job: whoever connects to the public port reaches the service, and the kernel carries it."""
import re
import socket

import pytest

from pinlab.greeter import Greeter, greet

PUBLIC = ("203.0.113.7", 32451)


@pytest.mark.parametrize("firewall", ["open", "rejecting"])
@pytest.mark.parametrize("where", ["gw", "nas"])
def test_page_from_outside(lab, where, firewall):
    service = {"gw": lab.gw.service, "nas": lab.nas}[where]
    target = [] if where == "gw" else ["-t", lab.nas.address]
    lab.gw.firewall(firewall)
    lab.isp.full_cone(public_port=32451)
    assert lab.client.refused(PUBLIC), "the port must be closed before pinhold runs"
    with lab.pinhold("-b", "8443", *target, "-p", "443") as p:
        up = p.wait_hook()
        assert up.endpoint == PUBLIC
        page = lab.client.get(up.endpoint)
        assert page.body == where
        assert service.saw(page) == lab.client.address
    assert lab.client.refused(PUBLIC)


@pytest.mark.parametrize("firewall", ["open", "rejecting"])
@pytest.mark.parametrize("where", ["gw", "nas"])
def test_datagram_from_outside(lab, where, firewall):
    target = [] if where == "gw" else ["-t", lab.nas.address]
    lab.gw.firewall(firewall)
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-u", "-b", "8443", *target, "-p", lab.nas.echo.port) as p:
        up = p.wait_hook()
        assert up.endpoint == PUBLIC and up.proto == "udp"
        name, address, _, payload = lab.client.udp(up.endpoint, "ping")
        assert (name, address, payload) == (where, lab.client.address, "ping")


@pytest.mark.parametrize("firewall", ["open", "rejecting"])
@pytest.mark.parametrize("where", ["gw", "nas"])
def test_page_from_outside_ipv6(lab, where, firewall):
    service = {"gw": lab.gw.service, "nas": lab.nas}[where]
    target = [] if where == "gw" else ["-t", lab.nas.address6]
    lab.gw.firewall(firewall)
    with lab.pinhold("-6", "-b", "8443", *target, "-p", "443") as p:
        up = p.wait_hook()
        assert up.endpoint == (lab.gw.wan6, 8443) and up.ip4p == ""
        page = lab.client.get(up.endpoint)
        assert page.body == where
        assert service.saw(page) == lab.client.address6


@pytest.mark.parametrize("where", ["gw", "nas"])
def test_datagram_from_outside_ipv6(lab, where):
    target = [] if where == "gw" else ["-t", lab.nas.address6]
    lab.gw.firewall("rejecting")
    with lab.pinhold("-6", "-u", "-b", "8443", *target, "-p", lab.nas.echo.port) as p:
        up = p.wait_hook()
        assert up.endpoint == (lab.gw.wan6, 8443)
        assert lab.client.udp(up.endpoint)[:2] == [where, lab.client.address6]


def test_complete_by_itself(lab):
    # Every name resolves, in turn to one of the lab's servers: the built-in lists are what they are.
    lab.internet.dns.everything = [s.address for s in lab.internet.real]
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-p", "443", servers=False) as p:
        up = p.wait_hook()
        assert up.endpoint == PUBLIC
        assert lab.client.get(up.endpoint).body == "gw"


def test_table_explains_itself(lab):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        p.wait_hook()
        table = lab.gw.table()
        assert re.search(r"flags owner", table)
        assert "203.0.113.7:32451" in table and "192.168.10.50:443" in table


def test_counter_counts_connections_from_outside(lab):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        up = p.wait_hook()
        assert lab.gw.counter() == 0
        for _ in range(3):
            lab.client.get(up.endpoint)
        assert lab.gw.counter() == 3
        # It outlives the replacement of the rule that counts.
        lab.isp.remap(public_port=40000)
        change = p.wait_hook()
        lab.client.get(change.endpoint)
        assert lab.gw.counter() == 4


def test_no_byte_of_a_download_passes_through_userspace(lab):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
        up = p.wait_hook()
        p.wait_log("holder open")
        with lab.client.connect(up.endpoint) as connection:
            before = []
            size = connection.download("/big", on_start=lambda: before.append(p.cpu_seconds()))
            grown = p.cpu_seconds() - before[0]
        assert size == 1 << 30
        # A holder's request may fall into that time: it costs well under a millisecond. Copying a
        # gigabyte costs hundreds.
        assert grown < 0.01, f"{grown} s of CPU time"


def test_the_same_port_on_another_interface_is_not_touched(lab):
    """Only what comes in by the mapping's interface is translated."""
    lab.isp.full_cone(public_port=32451)
    with lab.gw.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind((lab.gw.address, 8443))
        s.listen()
        s.settimeout(5)
        with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443") as p:
            p.wait_hook()
            assert lab.pc.refused((lab.gw.address, 8443)) is None
            connection, peer = s.accept()
            connection.close()
            assert peer[0] == lab.pc.address


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_random_masquerading_does_not_move_the_bind_port(lab, protocol):
    """`source4` pins our own flows before the admin's rule could move them."""
    lab.gw.masquerade("fully-random")
    lab.isp.full_cone(public_port=32451)
    udp = protocol == "udp"
    port = lab.nas.echo.port if udp else 443
    with lab.pinhold(*["-u"][:udp], "-b", "8443", "-t", lab.nas.address, "-p", port) as p:
        up = p.wait_hook()
        assert up.endpoint == PUBLIC
        if udp:
            assert lab.client.udp(up.endpoint)[0] == "nas"
        else:
            seen = lab.internet.wait_holder_request()
            assert (seen["client"], seen["port"]) == ("203.0.113.7", "32451")
            assert lab.client.get(up.endpoint).body == "nas"


def test_page_at_another_address_of_the_interface(lab):
    """The mapping is that address's, and the service listens there alone."""
    other = "100.64.0.77"
    lab.gw.ns.ip(f"address add {other}/24 dev wan")
    lab.isp.full_cone(32451, subscriber=other)
    section = {"interface": other, "bind": 8443, "target": ":8080"}
    try:
        with Greeter(lab.gw.ns, 8080, "tcp", other), lab.pinhold_file({"web": section}) as p:
            assert greet(lab.client, p.wait_hook("web").endpoint) == lab.client.address
    finally:
        lab.gw.ns.ip(f"address del {other}/24 dev wan")
