# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside other firewalls: they filter as before, and with the rule of nft/examples they let pinhold's in."""
import concurrent.futures
import functools
import socket

import pytest

from pinlab import neighbours, scripted
from pinlab.greeter import Greeter, greet
from pinlab.sniff import RESET, Sniffer
from pinlab.witness import Witness

PUBLIC = "203.0.113.7"
OFFSET = 24008

FIREWALLS = {
    "nftables": neighbours.Nftables,
    "iptables-nft": functools.partial(neighbours.Iptables, backend="nft"),
    "iptables-legacy": functools.partial(neighbours.Iptables, backend="legacy"),
    "ufw": neighbours.Ufw,
    "firewalld": neighbours.Firewalld,
    "fw4": neighbours.Fw4,
}

each_firewall = pytest.mark.parametrize("kind", FIREWALLS)


class Services:
    """One pinhold with a mapping for each kind of service, and whom of them the client reaches."""

    def __init__(self, lab, more=None):
        self._lab = lab
        lab.isp.full_cone_range(8443, 8446, OFFSET)
        echo = lab.nas.echo.port
        self._p = lab.pinhold_file({
            "own": {"bind": 8443, "target": ":443"},
            "nas": {"bind": 8444, "target": f"{lab.nas.address}:443"},
            "own-udp": {"protocol": "udp", "bind": 8445, "target": f":{echo}"},
            "nas-udp": {"protocol": "udp", "bind": 8446, "target": f"{lab.nas.address}:{echo}"},
            "own6": {"family": "ipv6", "bind": 8447, "target": ":443"},
            "nas6": {"family": "ipv6", "bind": 8448, "target": f"[{lab.nas.address6}]:443"},
            **(more or {}),
        })
        self._services = {"own": lab.gw.service, "nas": lab.nas}
        self.endpoints = {name: self._p.wait_hook(name).endpoint for name in self.NAMES}
        for n, name in enumerate(self.NAMES[:4]):
            assert self.endpoints[name] == (PUBLIC, 8443 + n + OFFSET)

    def __enter__(self):
        self._p.__enter__()
        return self._p

    def __exit__(self, *error):
        self._p.__exit__(*error)

    NAMES = ("own", "nas", "own-udp", "nas-udp", "own6", "nas6")

    def let_in(self, *names, of=NAMES):
        """Asserts that the client gets in by these of the mappings and by no other.

        Where it does, the service sees its own address.
        """
        with concurrent.futures.ThreadPoolExecutor() as pool:
            # Whoever is dropped is not told, so that somebody has to give up.
            came = pool.map(lambda name: self._try(name, 10 if name in names else 1), of)
            assert {name for name, came_in in zip(of, came) if came_in} == set(names)

    def _try(self, name, patience):
        service, client = self._services[name[:3]], self._lab.client
        address = client.address6 if name.endswith("6") else client.address
        try:
            if name.endswith("udp"):
                answer = client.udp(self.endpoints[name], timeout=patience)
                assert answer[:2] == [service.name, address], answer
            else:
                page = client.get(self.endpoints[name], timeout=patience)
                assert page.body == service.name
                assert service.saw(page) == address
        except OSError:
            return False
        return True


@pytest.fixture
def neighbour(lab, kind):
    with FIREWALLS[kind](lab) as n:
        yield n


@each_firewall
def test_refused_without_the_rule_and_let_in_with_it(lab, neighbour):
    neighbour.start(rule=False)
    services = Services(lab)
    with services:
        services.let_in(*(() if neighbour.filters_dnat else services.NAMES))
        neighbour.add_rule()
        services.let_in(*services.NAMES)


@each_firewall
def test_its_reload_disturbs_nobody_and_our_end_leaves_it_alone(lab, neighbour):
    neighbour.start()
    before = neighbour.listing()
    with Witness(lab) as witness:
        services = Services(lab, {witness.name: witness.section})
        with services as p:
            witness.seen(p)
            with lab.client.connect(services.endpoints["own"]) as own, \
                    lab.client.connect(services.endpoints["nas"]) as nas:
                handles = lab.gw.handles()
                for name, disturb in neighbour.disturbances().items():
                    disturb()
                    assert own.get().body == "gw" and nas.get().body == "nas", name
                    services.let_in(*services.NAMES)
                    assert lab.gw.handles() == handles, name
            witness.unmoved()
            assert not p.logged(r"(holder lost|down|change|lost) mapping")
    assert lab.gw.table() == ""
    assert neighbour.listing() == before


@pytest.fixture
def holders(lab):
    """Two scripted keep-alive servers."""
    with scripted.HttpServer(lab.internet.scripted[0]) as a, \
            scripted.HttpServer(lab.internet.scripted[1]) as b:
        yield a, b


@each_firewall
def test_our_own_servers_are_let_in_when_conntrack_has_forgotten_them(lab, neighbour, holders):
    """They come to a port of this machine, untranslated, and look like strangers."""
    neighbour.start()
    lab.isp.full_cone(8443 + OFFSET)
    with lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443",
                     *(word for server in holders for word in ("-h", server.name))) as p:
        p.wait_hook()
        connections = [server.wait_connection() for server in holders]
        for c in connections:
            c.wait_request(1)
        with Sniffer(lab.ns["servers"], "eth0") as wire:
            lab.gw.flush_conntrack()
            for c in connections:
                c.speak()
            for server in holders:
                answer = wire.wait(lambda x, s=server: x.source == (PUBLIC, 8443 + OFFSET) and
                                   x.destination == (s.server.address, 80))
                assert not answer.flags & RESET
        assert not p.logged("holder lost")


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_an_admins_own_nat_by_iptables(lab, backend):
    """A port forwarding and masquerading of his, in iptables' nat table, beside ours."""
    lab.gw.masquerade(None)
    lab.isp.full_cone(9443 + OFFSET, 9443)
    forwarded = (PUBLIC, 9443 + OFFSET)
    router = (lab.internet.real[0].address, 80)
    with neighbours.Iptables(lab, backend) as iptables:
        assert lab.pc.refused(router), "without masquerading no answer finds the way back"
        iptables.start()
        iptables.append("""
            *nat
            -A PREROUTING -i wan -p tcp --dport 9443 -j DNAT --to-destination 192.168.10.50:443
            COMMIT
            *filter
            -A FORWARD -m conntrack --ctstate DNAT --ctorigdstport 9443 -j ACCEPT
            COMMIT
            """)
        services = Services(lab)
        with services:
            before = iptables.listing()
            for _ in range(2):
                services.let_in(*services.NAMES)
                page = lab.client.get(forwarded)
                assert page.body == "nas" and lab.nas.saw(page) == lab.client.address
                assert lab.pc.refused(router, timeout=5) is None
                lab.gw.flush_conntrack()
        assert iptables.listing() == before
        assert lab.client.get(forwarded).body == "nas"
        assert lab.pc.refused(router, timeout=5) is None


@pytest.mark.parametrize("kind", ["fw4"])
def test_fw4_lets_in_what_is_not_translated(lab, neighbour):
    """The service has the bind port itself: `ct status dnat accept` would not hold."""
    neighbour.start(rule=False)
    lab.isp.full_cone(8443 + OFFSET)
    with Greeter(lab.gw.ns, 8443, "tcp"), lab.pinhold_file({"own": {"bind": 8443, "target": ":8443"}}) as p:
        endpoint = p.wait_hook("own").endpoint
        assert lab.client.refused(endpoint)
        neighbour.add_rule()
        assert greet(lab.client, endpoint) == lab.client.address


@pytest.mark.parametrize("kind", ["fw4"])
def test_fw4_users_drop_on_wan_is_respected(lab, neighbour):
    """The include stands behind the user's own rules: whom these drop, nothing lets in."""
    neighbour.user = f"ip saddr {lab.client.address} drop\nip6 saddr {lab.client.address6} drop"
    neighbour.start()
    services = Services(lab)
    with services:
        services.let_in()
        neighbour.user = ""
        neighbour.add_rule()
        services.let_in(*services.NAMES)


def test_firewalld_opens_a_port_that_is_not_translated(lab):
    """It knows no mark, so what it does not see translated is opened by its port."""
    lab.isp.full_cone(443 + OFFSET, 443)
    public = (PUBLIC, 443 + OFFSET)
    with neighbours.Firewalld(lab, ["443/tcp", f"{lab.nas.echo.port}/udp"]) as firewalld:
        firewalld.start(rule=False)
        before = firewalld.listing()
        assert lab.client.refused(public)
        firewalld.add_rule()
        for reload in ("--state", "--reload", "--complete-reload"):
            firewalld.command(reload)
            page = lab.client.get(public)
            assert page.body == "gw" and lab.gw.service.saw(page) == lab.client.address
        firewalld.remove_rule()
        assert lab.client.refused(public)
        firewalld.command("--reload")
        assert firewalld.listing() == before


def test_firewalld_does_not_heed_the_mark(lab):
    """Why its example opens ports: were one of these ways to work one day, it could say so."""
    lab.isp.full_cone(443 + OFFSET, 443)
    public = (PUBLIC, 443 + OFFSET)
    # What pinhold does to a connection to its bind port that needs no translation.
    lab.gw.nft("""
        table inet stand_in {
            chain prerouting {
                type filter hook prerouting priority mangle;
                iifname "wan" tcp dport 443 ct mark set ct mark | 0x08000000
            }
        }
        """)
    try:
        with neighbours.Firewalld(lab) as firewalld:
            firewalld.start(rule=False)
            firewalld.command("--direct", "--add-rule", "ipv4", "filter", "INPUT", "0", "-m", "connmark",
                              "--mark", "0x08000000/0x08000000", "-j", "ACCEPT")
            assert lab.client.refused(public)
            lab.gw.nft("insert rule inet firewalld filter_INPUT ct mark & 0x08000000 == 0x08000000 accept")
            assert lab.client.get(public).body == "gw"
            firewalld.command("--reload")
            assert lab.client.refused(public)
    finally:
        lab.gw.nft("delete table inet stand_in")


def test_docker(lab):
    """Its rules drop what is not for a published port: on the way to containers, and to the LAN."""
    lab.isp.full_cone_range(8451, 8453, OFFSET)
    with neighbours.Docker(lab) as docker:
        docker.start(rule=False)
        services = Services(lab, {
            "box": {"bind": 8451, "target": f"{docker.CONTAINER}:443", "hook": False},
            "box-udp": {"protocol": "udp", "bind": 8452, "target": f"{docker.CONTAINER}:7777", "hook": False},
            "published": {"bind": 8453, "target": ":8080", "hook": False},
        })
        tcp, udp, published = ((PUBLIC, port + OFFSET) for port in (8451, 8452, 8453))
        listener, published_listener = (docker.listen(port) for port in (443, 80))
        datagrams = docker.container.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("", 7777))
        datagrams.settimeout(5)

        def container_is_reached():
            assert lab.client.refused(tcp, timeout=5) is None
            connection, peer = listener.accept()
            connection.close()
            assert peer[0] == lab.client.address
            with lab.client.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(5)
                s.sendto(b"ping", udp)
                _, peer = datagrams.recvfrom(100)
                assert peer[0] == lab.client.address
                datagrams.sendto(b"pong", peer)
                assert s.recvfrom(100) == (b"pong", udp)

        ipv4 = ("own", "nas", "own-udp", "nas-udp")
        with services as p:
            for name in ("box", "box-udp", "published"):
                p.wait_state(name, "up")
            before = docker.listing()
            # What is for this machine itself is no concern of Docker's.
            services.let_in("own", "own-udp", of=ipv4)
            assert lab.client.refused(tcp)
            docker.add_rule()
            with lab.client.connect(services.endpoints["nas"]) as connection:
                for disturb in docker.disturbances().values():
                    disturb()
                    assert connection.get().body == "nas"
                    services.let_in(*ipv4, of=ipv4)
                    container_is_reached()
            # The port that Docker publishes: by Docker, but not by both.
            assert lab.pc.refused((lab.gw.address, 8080), timeout=5) is None
            published_listener.accept()[0].close()
            assert lab.client.refused(published) == "refused"
            docker.remove_rule()
            services.let_in("own", "own-udp", of=ipv4)
        assert docker.listing() == before


def test_fail2ban(lab):
    """Whom it has banned stays out, of the gateway and of the LAN, although pinhold lets everybody in."""
    with neighbours.Nftables(lab) as firewall:
        firewall.start()
        services = Services(lab)
        with services, neighbours.Fail2ban(lab) as fail2ban:
            services.let_in("own", "nas", of=("own", "nas"))
            fail2ban.ban("web", lab.client.address)
            services.let_in("nas", of=("own", "nas"))
            fail2ban.ban("behind", lab.client.address)
            services.let_in(of=("own", "nas"))
            # `flush ruleset` takes the bans away; so says the example, and what to do about it.
            firewall.add_rule()
            services.let_in("own", "nas", of=("own", "nas"))
            fail2ban.restart()
            for jail in ("web", "behind"):
                fail2ban.wait(jail, lab.client.address)
            services.let_in(of=("own", "nas"))
            for jail in ("web", "behind"):
                fail2ban.unban(jail, lab.client.address)
            services.let_in("own", "nas", of=("own", "nas"))
