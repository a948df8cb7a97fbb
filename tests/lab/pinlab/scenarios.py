# SPDX-License-Identifier: GPL-2.0-or-later
"""What the table is for, by real traffic: each scenario starts pinhold, and fails if it does not get through.

They are tests of their own, and test_mutation.py shows that each rule of the table is missed in one of them:
hence `patience`, in seconds, which then may be short. The scenarios of reply routing are in uplinks.py.
"""
import contextlib
import socket
import struct
import time

from . import client, scripted
from .daemon import PATIENCE
from .greeter import Greeter, greet

BIND = 8443
PUBLIC = ("203.0.113.7", 32451)
LOCAL = 8080  # the port of a service on 127.0.0.1


def soon(patience):
    """How long a client waits."""
    return min(5, patience)


def public(lab, six=False):
    """Where the world reaches the mapping: nobody translates IPv6."""
    return (lab.gw.wan6, BIND) if six else PUBLIC


def private(lab, six=False):
    return (lab.gw.wan6 if six else lab.gw.wan, BIND)


def itself(lab):
    """The gateway as a client."""
    return client.Client(lab.gw.ns, lab.gw.address, lab.gw.address6)


def address(host, six=False):
    return host.address6 if six else host.address


def target(lab, where="nas", protocol="tcp", six=False):
    service = {"nas": lab.nas, "gw": lab.gw.service}[where]
    port = 443 if protocol == "tcp" else service.echo.port
    host = f"[{service.address6}]" if six else service.address
    return f"{host if where == 'nas' else ''}:{port}"


def mapping(lab, where="nas", protocol="tcp", six=False, **settings):
    return {"protocol": protocol, "family": "ipv6" if six else "ipv4", "bind": BIND,
            "target": target(lab, where, protocol, six),
            **{k.replace("_", "-"): v for k, v in settings.items()}}


@contextlib.contextmanager
def running(lab, section, name="web", common=None, more=None, patience=PATIENCE, **options):
    """pinhold with that mapping, which is up at its public endpoint."""
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file({"global": common or {}, name: section, **(more or {})}, **options) as p:
        up = p.wait_hook(name, timeout=patience)
        assert (up.event, up.endpoint) == ("up", public(lab, section.get("family") == "ipv6")), p.story()
        yield p


def ask(lab, who, endpoint, where="nas", protocol="tcp", patience=PATIENCE):
    """The service answers; the address that it has seen."""
    if protocol == "tcp":
        page = who.get(endpoint, timeout=soon(patience))
        assert page.body == where, page
        return {"nas": lab.nas, "gw": lab.gw.service}[where].saw(page)
    name, seen = who.udp(endpoint, timeout=soon(patience))[:2]
    assert name == where, name
    return seen


def wait_until(wanted, patience, what):
    """For what the kernel does not announce. Returns what wanted() returned."""
    deadline = time.monotonic() + patience
    while True:
        found = wanted()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} within {patience} s"
        time.sleep(0.01)


# From outside.

def outside(lab, where="nas", protocol="tcp", six=False, name="web", patience=PATIENCE):
    """Through a firewall that lets in the mark alone; the service sees the client's real address."""
    lab.gw.firewall("strict")
    with running(lab, mapping(lab, where, protocol, six), name, patience=patience):
        assert ask(lab, lab.client, public(lab, six), where, protocol, patience) == address(lab.client, six)
        assert lab.gw.counter(name) == 1


def masqueraded(lab, protocol="tcp", six=False, name="web", patience=PATIENCE):
    """snat: to a target that would answer by another router."""
    with other_router(lab, six), \
            running(lab, mapping(lab, protocol=protocol, six=six, snat="yes"), name, patience=patience):
        seen = ask(lab, lab.client, public(lab, six), "nas", protocol, patience)
        assert seen == address(lab.gw, six), seen


@contextlib.contextmanager
def other_router(lab, six=False):
    """The host in the LAN has its default route by somebody who forwards nothing."""
    family = "-6" if six else "-4"
    routes = {True: (lab.pc.address6, lab.gw.address6), False: (lab.pc.address, lab.gw.address)}[six]
    lab.nas.ns.run(f"ip {family} route replace default via {routes[0]}")
    try:
        yield
    finally:
        lab.nas.ns.run(f"ip {family} route replace default via {routes[1]}")


# From inside.

def loopback(lab, where="nas", protocol="tcp", six=False, more=None, patience=PATIENCE):
    """From a LAN host by the public and the private endpoint; the firewall lets nobody through unmarked."""
    lab.gw.firewall("strict")
    with running(lab, mapping(lab, where, protocol, six), more=more, patience=patience):
        for endpoint in {public(lab, six), private(lab, six)}:
            seen = ask(lab, lab.pc, endpoint, where, protocol, patience)
            # Masqueraded, or the target would answer past the gateway; a service here need not be.
            assert seen == address(lab.gw if where == "nas" else lab.pc, six), seen
        assert lab.gw.counter("web") == 0, "it counts who comes from outside"


def from_itself(lab, where="nas", protocol="tcp", six=False, more=None, patience=PATIENCE):
    lab.gw.firewall("strict")
    with running(lab, mapping(lab, where, protocol, six), more=more, patience=patience):
        for endpoint in {public(lab, six), private(lab, six)}:
            seen = ask(lab, itself(lab), endpoint, where, protocol, patience)
            assert where == "gw" or seen == address(lab.gw, six), seen
        assert lab.gw.counter("web") == 0


# Who may.

def allowed(lab, protocol="tcp", six=False, patience=PATIENCE):
    """Who is not on the list gets what the host gives him."""
    prefix = f"{address(lab.client, six)}/{128 if six else 32}"
    with running(lab, mapping(lab, protocol=protocol, six=six, allow=prefix), patience=patience):
        if protocol == "tcp":
            assert lab.stranger.refused(public(lab, six)) == "refused"
        else:
            unheard(lab.stranger, public(lab, six))
        assert ask(lab, lab.client, public(lab, six), "nas", protocol, patience) == address(lab.client, six)
        assert lab.gw.counter("web") == 1


def limited(lab, six=False, patience=PATIENCE):
    """So many at once, and then no more; clients inside are not counted."""
    with running(lab, mapping(lab, six=six, limit="1/hour burst 3"), patience=patience):
        for _ in range(3):
            assert ask(lab, lab.client, public(lab, six), patience=patience) == address(lab.client, six)
        for who in (lab.client, lab.stranger):
            assert who.refused(public(lab, six)) == "refused"
        assert lab.gw.counter("web") == 3
        for _ in range(4):
            ask(lab, lab.pc, public(lab, six), patience=patience)


def no_way_round(lab, patience=PATIENCE):
    """Who is on the wire may ask for the public endpoint instead of the private one, as clients inside do: that
    leads round the list, and must lead nowhere.
    """
    port, guest = 7778, "198.51.100.77"
    section = {**mapping(lab, protocol="udp", allow=guest), "target": f"{lab.nas.address}:{port}"}
    with Greeter(lab.nas.ns, port, "udp") as service, running(lab, section, patience=patience):
        inject(lab, PUBLIC, b"intruder", "198.51.100.78")
        inject(lab, private(lab), b"intruder", "198.51.100.78")
        inject(lab, private(lab), b"guest", guest)
        service.wait_heard(b"guest", soon(patience))
        assert service.heard == [b"guest"]


def other_way(lab, patience=PATIENCE):
    """Nor is anybody inside who is on the wire of a line that no mapping uses."""
    lab.gw.firewall("strict")
    lab.gw.both_uplinks(scripted=False)
    lab.ns["isp2"].ip("route add 203.0.113.7 via 100.65.0.2", "route add 100.64.0.2 via 100.65.0.2")
    neighbour = client.Client(lab.ns["isp2"], "100.65.0.1", None)
    try:
        with running(lab, mapping(lab, allow="192.0.2.0/24"), patience=patience):
            for endpoint in (PUBLIC, private(lab)):
                assert neighbour.refused(endpoint, timeout=soon(patience)), f"{endpoint} lets him in"
            ask(lab, lab.pc, PUBLIC, patience=patience)
    finally:
        lab.ns["isp2"].ip("route del 203.0.113.7", "route del 100.64.0.2")


def unheard(who, endpoint, timeout=0.5):
    """Nobody answers a datagram."""
    try:
        said = who.udp(endpoint, timeout=timeout)
    except (TimeoutError, ConnectionRefusedError):
        return
    raise AssertionError(f"{endpoint} answers: {said}")


# Where nothing is translated.

def identity(lab, protocol="tcp", six=False, name="same", where="service", more=None, patience=PATIENCE):
    """The service has the bind port itself. where: "none", and pinhold has no opinion of who that is."""
    lab.gw.firewall("strict")
    section = {**mapping(lab, protocol=protocol, six=six),
               "target": f":{BIND}" if where == "service" else where}
    with Greeter(lab.gw.ns, BIND, protocol, "::" if six else "0.0.0.0"), \
            running(lab, section, name, more=more, patience=patience) as p:
        for _ in range(2):
            seen = greet(lab.client, public(lab, six), protocol, soon(patience))
            assert seen == address(lab.client, six), seen
        assert lab.gw.counter(name) == 2
        # From there our own flows start as well, for all that the world can see.
        own = p.status(name)["own_port"]
        assert own and own != BIND
        if protocol == "tcp":
            holder = lab.internet.wait_holder_request()
            assert (holder["client"], int(holder["port"])) == public(lab, six), holder


def identity_allowed(lab, protocol="tcp", six=False, name="same", patience=PATIENCE):
    """What is not let in is dropped: there is nothing that could be left untranslated."""
    prefix = f"{address(lab.client, six)}/{128 if six else 32}"
    section = {**mapping(lab, protocol=protocol, six=six, allow=prefix), "target": f":{BIND}"}
    with Greeter(lab.gw.ns, BIND, protocol, "::" if six else "0.0.0.0"), \
            running(lab, section, name, patience=patience):
        if protocol == "tcp":
            assert lab.stranger.refused(public(lab, six), timeout=0.5) == "timeout"
        else:
            unheard(lab.stranger, public(lab, six))
        assert greet(lab.client, public(lab, six), protocol, soon(patience)) == address(lab.client, six)
        assert lab.gw.counter(name) == 1


# Our own flows.

def pinned(lab, protocol="tcp", six=False, patience=PATIENCE):
    """An admin's `masquerade fully-random` does not move them from the bind port."""
    lab.gw.masquerade("fully-random")
    if six:
        lab.gw.nft("table ip6 gateway { chain postrouting { type nat hook postrouting priority srcnat\n"
                   'oifname "wan" masquerade fully-random\n}\n}\n')
    try:
        with running(lab, mapping(lab, protocol=protocol, six=six), patience=patience):
            if protocol == "tcp":
                holder = lab.internet.wait_holder_request()
                assert (holder["client"], int(holder["port"])) == public(lab, six), holder
            assert ask(lab, lab.client, public(lab, six), "nas", protocol, patience)
    finally:
        if six:
            lab.gw.nft("delete table ip6 gateway")


def server_speaks_first(lab, six=False, borrowed=False, more=None, patience=PATIENCE):
    """Conntrack has forgotten our flow, and the server's next packet is a new one: accepted, and never the
    service's. borrowed: the service has the bind port, and the packet still is ours.
    """
    lab.gw.firewall("strict")
    server = lab.internet.scripted[0]
    section = mapping(lab, protocol="udp", six=six, stun=f"s{server.number}.lab", interval="1h", verify="1h")
    if borrowed:
        section["target"] = f":{BIND}"
    with scripted.StunServer(server, six=six) as stun, \
            running(lab, section, more=more, patience=patience) as p:
        p.wait_state("web", lambda s: any(h["state"] == "open" for h in s["holders"]), patience)
        ours = p.status("web")["own_port"] or BIND
        assert borrowed == (ours != BIND)
        lab.gw.flush_conntrack()
        stun.speak(public(lab, six))
        entry = wait_until(lambda: entries(lab, src=stun.address, dport=BIND, six=six), soon(patience),
                           "no such packet was accepted")[0]
        assert f"mark={0x08000000} " in entry, entry
        # The way back says to whom it was given.
        assert f"src={address_of_wan(lab, six)} dst={stun.address} sport={ours} dport=3478" in entry, entry


def service_asks_server(lab, six=False, more=None, patience=PATIENCE):
    """The service has the bind port, and talks to a server that pinhold talks to as well: from another port."""
    server = lab.internet.scripted[0]
    section = {**mapping(lab, protocol="udp", six=six, stun=f"s{server.number}.lab", interval="1h", verify="1h"),
               "target": f":{BIND}"}
    with scripted.StunServer(server, six=six) as stun, \
            running(lab, section, more=more, patience=patience) as p, \
            lab.gw.ns.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as s:
        p.wait_state("web", lambda s: any(h["state"] == "open" for h in s["holders"]), patience)
        s.bind((address_of_wan(lab, six), BIND))
        s.settimeout(soon(patience))
        s.connect((stun.address, 3478))
        request = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"the-services")
        s.send(request)  # EPERM: both would be one flow
        assert s.recv(500)[8:20] == request[8:20]


def address_of_wan(lab, six):
    return lab.gw.wan6 if six else lab.gw.wan


def entries(lab, protocol="udp", six=False, **ends):
    """The gateway's conntrack entries whose first direction has these ends (src, dst, sport, dport)."""
    names = {"src": "--orig-src", "dst": "--orig-dst", "sport": "--orig-port-src", "dport": "--orig-port-dst"}
    arguments = [word for key, value in ends.items() for word in (names[key], str(value))]
    return lab.gw.ns.conntrack("-o", "id", "-f", "ipv6" if six else "ipv4", "-p", protocol, *arguments)


# 127.0.0.1.

def localhost(lab, protocol="tcp", name="admin", patience=PATIENCE):
    """A service on 127.0.0.1, from outside."""
    lab.gw.firewall("strict")
    section = {**mapping(lab, protocol=protocol), "target": f"127.0.0.1:{LOCAL}"}
    with Greeter(lab.gw.ns, LOCAL, protocol, "127.0.0.1"), running(lab, section, name, patience=patience):
        assert greet(lab.client, PUBLIC, protocol, soon(patience)) == lab.client.address
        assert lab.gw.counter(name) == 1


def localhost_from_itself(lab, protocol="tcp", name="admin", patience=PATIENCE):
    lab.gw.firewall("strict")
    section = {**mapping(lab, protocol=protocol), "target": f"127.0.0.1:{LOCAL}"}
    with Greeter(lab.gw.ns, LOCAL, protocol, "127.0.0.1"), running(lab, section, name, patience=patience):
        for endpoint in (PUBLIC, private(lab)):
            greet(itself(lab), endpoint, protocol, soon(patience))
        assert lab.gw.counter(name) == 0


def localhost_guarded(lab, name="admin", patience=PATIENCE):
    """Whoever is on the wire and sends to 127.0.0.1 does not get there by route_localnet."""
    section = {**mapping(lab, protocol="udp"), "target": f"127.0.0.1:{LOCAL}"}
    with Greeter(lab.gw.ns, LOCAL, "udp", "127.0.0.1") as service, \
            running(lab, section, name, patience=patience):
        inject(lab, ("127.0.0.1", LOCAL), b"intruder")
        inject(lab, private(lab), b"guest")
        service.wait_heard(b"guest", soon(patience))
        assert service.heard == [b"guest"]


def localhost_spoofed(lab, name="admin", patience=PATIENCE):
    """Nor does whoever says that he is 127.0.0.2 get to a service that believes it."""
    port = 7778
    section = {**mapping(lab), "target": f"127.0.0.1:{LOCAL}"}
    with Greeter(lab.gw.ns, port, "udp", lab.gw.wan) as service, \
            running(lab, section, name, patience=patience):
        inject(lab, (lab.gw.wan, port), b"intruder", "127.0.0.2")
        inject(lab, (lab.gw.wan, port), b"guest")
        service.wait_heard(b"guest", soon(patience))
        assert service.heard == [b"guest"]


def inject(lab, to, payload, source="198.51.100.77", sport=4000):
    """A UDP datagram as it comes out of the ISP's wire, whatever any routing there would say."""
    link = lab.gw.run("ip -o link show dev wan")
    mac = bytes.fromhex(link.split("link/ether ")[1].split()[0].replace(":", ""))
    udp = struct.pack("!HHHH", sport, to[1], 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), sport, 0, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(to[0]))
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[12:]
    with lab.isp.ns.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("subscriber", 0))
        wire.send(mac + mac + struct.pack("!H", 0x0800) + head + udp)


# Rotation: the time between turns is set by PINHOLD_ROTATE_MS, which only the mutant knows.

def old_port(lab, patience=PATIENCE):
    """While a mapping moves, its old endpoint goes on."""
    lab.isp.full_cone_range(BIND, BIND + 1, 20000)
    section = {**mapping(lab, "gw"), "bind": f"{BIND}-{BIND + 1}", "rotate": "1m"}
    with lab.pinhold_file({"own": section}) as p:
        old = p.wait_hook("own", timeout=patience)
        new = p.wait_hook("own", timeout=patience)
        assert new.event == "change" and new.endpoint != old.endpoint, p.story()
        for endpoint in (new.endpoint, old.endpoint):
            ask(lab, lab.client, endpoint, "gw", patience=patience)
