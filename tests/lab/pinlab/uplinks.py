# SPDX-License-Identifier: GPL-2.0-or-later
"""A mapping on the second uplink, wan2, while the default route goes by wan: who answers, and by which way.

The scenarios (uplink_lan and uplink_own) start pinhold themselves and end it; they fail with AssertionError
or OSError where replies do not leave as their connections came.
"""
import contextlib
import select
import socket
import threading

from . import net
from .daemon import PATIENCE
from .sniff import Sniffer

BIND, PORT = 8443, 34000  # the NAT's public port
SOON = 5                  # seconds; a client waits no longer for an answer


def endpoint(lab, family=4):
    """Where the world reaches a mapping on wan2."""
    return (lab.isp2.public, PORT) if family == 4 else (lab.gw.wan2_6, BIND)


def section(lab, where="nas", protocol="tcp", family=4, **settings):
    """A mapping on wan2 to the host in the LAN (nas), or to the gateway's own service (gw)."""
    service = {"nas": lab.nas, "gw": lab.gw.service}[where]
    port = 443 if protocol == "tcp" else service.echo.port
    address = {"gw": "", "nas": service.address if family == 4 else f"[{service.address6}]"}[where]
    return {"interface": "wan2", "protocol": protocol, "family": f"ipv{family}", "bind": BIND,
            "target": f"{address}:{port}", **{k.replace("_", "-"): v for k, v in settings.items()}}


@contextlib.contextmanager
def second_uplink(lab, web, scripted=False, patience=PATIENCE, **options):
    """pinhold with the mapping `web` on wan2, up: (pinhold, the hook's call)."""
    lab.gw.both_uplinks(scripted)
    lab.isp2.full_cone(PORT, web["bind"])
    with lab.pinhold_file({"web": web}, **options) as p:
        up = p.wait_hook("web", timeout=patience)
        assert up.event == "up" and up.env["PINHOLD_INTERFACE"] == "wan2", p.story()
        yield p, up


def visit(lab, where, protocol="tcp", family=4, client=None, patience=SOON, to=None):
    """The service answers, and has seen the client's own address."""
    client = client or lab.client
    service = {"nas": lab.nas, "gw": lab.gw.service}[where]
    address = client.address if family == 4 else client.address6
    to = to or endpoint(lab, family)
    if protocol == "tcp":
        page = client.get(to, timeout=patience)
        assert page.body == where, page
        seen = service.saw(page)
    else:
        name, seen = client.udp(to, timeout=patience)[:2]
        assert name == where
    assert seen == address, f"the service saw {seen}"


def _uplink(lab, where, protocol, family, patience):
    with Wires(lab, family) as wires, second_uplink(lab, section(lab, where, protocol, family)):
        visit(lab, where, protocol, family, patience=patience)
        # While it runs: afterwards the last packets of the connection go where they like.
        wires.only_by("wan2")


def uplink_lan(lab, protocol="tcp", family=4, patience=SOON):
    """From outside by wan2 to the host in the LAN."""
    _uplink(lab, "nas", protocol, family, patience)


def uplink_own(lab, protocol="tcp", family=4, patience=SOON):
    """From outside by wan2 to the gateway's own service."""
    _uplink(lab, "gw", protocol, family, patience)


VPNS = {
    # OpenVPN's redirect-gateway def1.
    ("halves", 4): ["route add 0.0.0.0/1 via {} dev wan2", "route add 128.0.0.0/1 via {} dev wan2"],
    ("halves", 6): ["route add ::/1 via {} dev wan2", "route add 8000::/1 via {} dev wan2"],
    # wg-quick.
    ("rules", 4): ["route add default via {} dev wan2 table 51820", "rule add not fwmark 51820 table 51820",
                   "rule add table main suppress_prefixlength 0"],
}
VPNS["rules", 6] = VPNS["rules", 4]


@contextlib.contextmanager
def vpn(lab, how, family=4):
    """A VPN, which wan2 plays, takes what goes to the world; the default route stays as it is."""
    router = "100.65.0.1" if family == 4 else "2001:db8:65::1"
    commands = [f"ip -{family} {line.format(router)}" for line in VPNS[how, family]]
    for command in commands:
        lab.gw.run(command)
    try:
        yield
    finally:
        for command in commands:
            lab.gw.run(command.replace(" add ", " del "))


def until_put_back(lab, command):
    """Somebody takes some of pinhold's routing away, and it comes back as it was."""
    made = sorted(lab.gw.reply_routing())
    with lab.gw.ns.socket(socket.AF_NETLINK, socket.SOCK_RAW) as news:
        news.bind((0, 0x40 | 0x80))  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV4_RULE
        news.settimeout(SOON)
        lab.gw.run(command)
        news.recv(65536)  # that it is gone
        while sorted(lab.gw.reply_routing()) != made:
            news.recv(65536)


class Wires:
    """What leaves the gateway by wan and by wan2 for the client outside, seen at the ISPs' ends."""

    def __init__(self, lab, family=4):
        self._lab, self._family = lab, family
        self._sniffers = {name: Sniffer(lab.ns[isp], "subscriber", family)
                          for name, isp in (("wan", "isp"), ("wan2", "isp2"))}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self._sniffers.values():
            s.__exit__()

    def by(self, uplink):
        """All packets so far that left by it for the client."""
        self._mark(uplink)
        address = self._lab.client.address if self._family == 4 else self._lab.client.address6
        return [p for p in self._sniffers[uplink].packets if p.destination[0] == address]

    def _mark(self, uplink):
        """One datagram of our own, and when that has come everything before it has."""
        af, router = {4: (socket.AF_INET, "100.{}.0.1"),
                      6: (socket.AF_INET6, "2001:db8:{}::1")}[self._family]
        with self._lab.gw.ns.socket(af, socket.SOCK_DGRAM) as s:
            s.connect((router.format(64 if uplink == "wan" else 65), 9))
            s.send(b"mark")
            port = s.getsockname()[1]
        self._sniffers[uplink].wait(lambda p: p.source[1] == port and p.destination[1] == 9)

    def only_by(self, uplink):
        """Replies leave by this one, and none by the other."""
        other = {"wan": "wan2", "wan2": "wan"}[uplink]
        assert self.by(uplink), f"nothing left by {uplink}"
        assert not self.by(other), f"left by {other}: {self.by(other)}"


class Box:
    """A container as Docker makes it: behind a bridge of the gateway's own, at an address that nobody knows.

    It says its name and the peer it sees, over TCP to whoever connects and over UDP to each datagram, on
    port 80. publish() is the host's DNAT to it.
    """

    address, port = "172.17.0.2", 80

    def __init__(self, lab):
        self._gw = lab.gw
        self.ns, = net.add_namespaces(["box"])
        lab.gw.ns.ip("link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0",
                     "link set docker0 up", "link add veth-box type veth peer name eth0 netns box",
                     "link set veth-box master docker0 up")
        self.ns.ip(f"addr add {self.address}/16 dev eth0", "link set eth0 up",
                   "route add default via 172.17.0.1")
        self._sockets = [self.ns.socket(socket.AF_INET, kind)
                         for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        for s in self._sockets:
            s.bind((self.address, self.port))
        self._sockets[0].listen()
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopped = True
        self._thread.join()
        for s in self._sockets:
            s.close()
        self._gw.ns.ip("link del veth-box", "link del docker0")
        self._gw.nft("table ip docker {}\ndelete table ip docker\n")
        self.ns.delete()

    def _serve(self):
        while not self._stopped:
            for s in select.select(self._sockets, [], [], 0.1)[0]:
                if s.type == socket.SOCK_DGRAM:
                    _, peer = s.recvfrom(65536)
                    s.sendto(f"box {peer[0]}".encode(), peer)
                else:
                    connection, peer = s.accept()
                    with connection:
                        connection.sendall(f"box {peer[0]}".encode())

    def publish(self, port):
        """As `docker run -p PORT:80` does, for both protocols: by nobody's leave but its own NAT."""
        self._gw.nft(f"""
            table ip docker {{
                chain prerouting {{
                    type nat hook prerouting priority dstnat;
                    fib daddr type local meta l4proto {{ tcp, udp }} th dport {port} \
                        dnat to {self.address}:{self.port}
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat;
                    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
                }}
            }}
            """)

    def visit(self, client, to, protocol, patience=SOON):
        """It answers, and has seen the client's own address."""
        kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
        with client.ns.socket(socket.AF_INET, kind) as s:
            s.settimeout(patience)
            s.connect(to)
            if protocol == "udp":
                s.send(b"hello")
            assert s.recv(65536).decode() == f"box {client.address}"
