# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole lab: who is connected to whom.

    client 198.51.100.20 --- inet --- isp 203.0.113.7 (NAT) 100.64.0.1 --- wan gw lan --- bridge --- nas
                              | `--- isp2 203.0.113.207 (NAT) 100.65.0.1 --- wan2                `-- pc
                              servers 192.0.2.11 ...

IPv6 goes the same way and is routed, not translated: 2001:db8:51::/64 is the client's, 2001:db8:2::/64 the
servers', 2001:db8:64::/64 (and 65) lies between ISP and gateway, and 2001:db8:10::/64 is the LAN.
"""
import os

from . import client, daemon, fromfile, gateway, nat, net, relay, servers

NAMES = ("inet", "client", "servers", "isp", "isp2", "gw", "lan", "nas", "pc")

CLIENT, CLIENT6 = "198.51.100.20", "2001:db8:51::20"
STRANGER, STRANGER6 = "198.51.100.21", "2001:db8:51::21"  # another one at the same place
NAS, NAS6 = "192.168.10.50", "2001:db8:10::50"
PC, PC6 = "192.168.10.60", "2001:db8:10::60"
PUBLIC, PUBLIC2 = "203.0.113.7", "203.0.113.207"
ROUTER, ROUTER2 = "203.0.113.1", "203.0.113.129"


def _links(ns):
    inet, isp, gw, lan = ns["inet"], ns["isp"], ns["gw"], ns["lan"]
    inet.ip(
        "link add client type veth peer name eth0 netns client",
        "link add servers type veth peer name eth0 netns servers",
        "link add isp type veth peer name internet netns isp",
        "link add isp2 type veth peer name internet netns isp2",
        "addr add 198.51.100.1/24 dev client", "addr add 2001:db8:51::1/64 dev client nodad",
        "addr add 192.0.2.1/24 dev servers", "addr add 2001:db8:2::1/64 dev servers nodad",
        f"addr add {ROUTER}/25 dev isp", "addr add 2001:db8:f::1/64 dev isp nodad",
        f"addr add {ROUTER2}/25 dev isp2", "addr add 2001:db8:e::1/64 dev isp2 nodad",
        *(f"link set {name} up" for name in ("client", "servers", "isp", "isp2")))
    isp.ip(
        f"addr add {PUBLIC}/25 dev internet", "addr add 2001:db8:f::2/64 dev internet nodad",
        "link add subscriber type veth peer name wan netns gw",
        "addr add 100.64.0.1/24 dev subscriber", "addr add 2001:db8:64::1/64 dev subscriber nodad",
        "link set internet up", "link set subscriber up",
        f"route add default via {ROUTER}", "route add default via 2001:db8:f::1",
        f"route add 2001:db8:10::/64 via {gateway.WAN6}")
    ns["isp2"].ip(
        f"addr add {PUBLIC2}/25 dev internet", "addr add 2001:db8:e::2/64 dev internet nodad",
        "link add subscriber type veth peer name wan2 netns gw",
        "addr add 100.65.0.1/24 dev subscriber", "addr add 2001:db8:65::1/64 dev subscriber nodad",
        "link set internet up", "link set subscriber up",
        f"route add default via {ROUTER2}", "route add default via 2001:db8:e::1")
    inet.ip("route add 2001:db8:64::/64 via 2001:db8:f::2",
            "route add 2001:db8:65::/64 via 2001:db8:e::2",
            "route add 2001:db8:10::/64 via 2001:db8:f::2")
    # A bridge of its own joins the LAN, as a switch does.
    lan.ip("link add br0 type bridge", "link set br0 up",
           *(f"link add {n} type veth peer name {p} netns {n}"
             for n, p in (("gw", "lan"), ("nas", "eth0"), ("pc", "eth0"))),
           *(f"link set {n} up master br0" for n in ("gw", "nas", "pc")))
    gw.ip(f"addr add {gateway.LAN}/24 dev lan", f"addr add {gateway.LAN6}/64 dev lan nodad",
          "link set lan up", "link set wan up", "link set wan2 up")
    for name, interface_addresses, router, router6 in (
            ("client", (f"{CLIENT}/24", f"{CLIENT6}/64"), "198.51.100.1", "2001:db8:51::1"),
            ("nas", (f"{NAS}/24", f"{NAS6}/64"), gateway.LAN, gateway.LAN6),
            ("pc", (f"{PC}/24", f"{PC6}/64"), gateway.LAN, gateway.LAN6),
            ("servers", ("192.0.2.10/24", "2001:db8:2::10/64"), "192.0.2.1", "2001:db8:2::1")):
        more = []
        if name == "servers":
            more = [*servers.Internet.REAL, *servers.Internet.SCRIPTED, *servers.Internet.MORE, 53]
        ns[name].ip(
            *(f"addr add {a} dev eth0{' nodad' if ':' in a else ''}" for a in interface_addresses),
            *(f"addr add 192.0.2.{n}/24 dev eth0" for n in more),
            *(f"addr add 2001:db8:2::{n}/64 dev eth0 nodad" for n in more),
            "link set eth0 up", f"route add default via {router}", f"route add default via {router6}")
    # With no preferred lifetime: only for whoever binds to it.
    ns["client"].ip(f"addr add {STRANGER}/24 dev eth0 preferred_lft 0",
                    f"addr add {STRANGER6}/64 dev eth0 nodad preferred_lft 0")


class Lab:
    """Everything by name: lab.client, lab.stranger, lab.pc, lab.isp, lab.isp2, lab.gw, lab.nas, lab.internet."""

    def __init__(self):
        if not os.environ.get("PINHOLD_SANDBOX") or os.path.exists("/run/netns/gw"):
            raise RuntimeError("the lab runs only in its sandbox: tests/lab/sandbox COMMAND")
        self.ns = dict(zip(NAMES, net.add_namespaces(NAMES)))
        _links(self.ns)
        for name in ("inet", "isp", "isp2", "gw"):
            net.forward(self.ns[name])
        servers.make_certificate()
        self.isp = nat.Isp(self.ns["isp"], gateway.WAN, PUBLIC, ROUTER)
        self.isp2 = nat.Isp(self.ns["isp2"], gateway.WAN2, PUBLIC2, ROUTER2)
        self.gw = gateway.Gateway(self.ns["gw"], self.ns["isp"], self.ns["isp2"])
        self.client = client.Client(self.ns["client"], CLIENT, CLIENT6)
        self.stranger = client.Client(client.From(self.ns["client"], STRANGER, STRANGER6), STRANGER, STRANGER6)
        self.pc = client.Client(self.ns["pc"], PC, PC6)
        self.internet = servers.Internet(self.ns["servers"])
        self.nas = servers.Service(self.ns["nas"], "nas", NAS, NAS6)
        self.gw.service = servers.Service(self.ns["gw"], "gw", gateway.LAN, gateway.LAN6)
        self._relay = None
        self._daemons = []
        self.gw.reset()
        for ns in self.ns.values():
            ns.keep_sockets()
        self._born = processes()

    # Scenarios.

    def pinhold(self, *arguments, **options):
        """Starts pinhold on the gateway; see daemon.Pinhold."""
        p = daemon.Pinhold(self, arguments, **options)
        self._daemons.append(p)
        return p

    def pinhold_file(self, sections, **options):
        """Starts `pinhold run -c FILE` on the gateway; see fromfile.PinholdFile."""
        p = fromfile.PinholdFile(self, sections, **options)
        self._daemons.append(p)
        return p

    @property
    def daemons(self):
        """All that this test has started, those that have ended too."""
        return list(self._daemons)

    def stun_names(self):
        """Sixteen endpoints at eight addresses, so that there is a fresh one every few seconds."""
        return [s.name for s in self.internet.all] + [f"{s.name}:3479" for s in self.internet.all]

    def keepalive_names(self):
        return [s.name for s in self.internet.real]

    def hosts(self, names):
        servers.hosts(names)

    def delay(self, milliseconds):
        """Makes the servers far away: so many milliseconds in each direction; 0 brings them back."""
        if self._relay:
            self._relay.stop()
            self._relay = None
        if milliseconds:
            self._relay = relay.Relay(self.ns["inet"], self.ns["servers"], milliseconds)

    def running(self, command):
        """The processes of the sandbox whose command line begins so."""
        return [pid for pid, name in processes() if name.startswith(command)]

    def end(self, *pids):
        """Ends what a test has let live on purpose."""
        for pid in pids:
            net.kill(pid)
            assert net.wait_exit(pid, 5)

    def end_all(self, command):
        found = self.running(command)
        assert found, f"no {command} is running"
        self.end(*found)

    # Between tests.

    def reset(self):
        """Puts everything back; returns what the test left behind, as lines, to be complained of."""
        left = []
        for p in self._daemons:
            left += p.bury()
        self._daemons = []
        if self.gw.table():
            left.append("the table `inet pinhold` is still there")
            self.gw.run(["nft", "delete", "table", "inet", "pinhold"], check=False)
        for pid, name in sorted((processes() - self._born)):
            if self._is_server(pid):
                continue  # or killed by a test and started again
            if net.wait_exit(pid, 5):
                continue  # a hook of a killed pinhold, on its way out
            net.kill(pid)
            net.wait_exit(pid, 5)
            left.append(f"process {pid} is still there: {name}")
        for ns in self.ns.values():
            ns.close_sockets()
        self.delay(0)
        self.internet.reset()
        self.isp.reset()
        self.isp2.reset()
        self.gw.firewall("open")
        self.gw.reset()
        self.nas.reset()
        self.gw.service.reset()
        for name in ("nas", "servers", "client", "pc"):
            self.ns[name].kill_sockets()
        return left

    def _is_server(self, pid):
        """nginx has its worker when it likes: maybe not yet when the lab was built."""
        try:
            return os.getpgid(pid) in (self.internet.groups() | self.nas.groups() | self.gw.service.groups())
        except ProcessLookupError:
            return False


def processes():
    """All processes of the sandbox but this one and its ancestors, zombies excepted: {(pid, command)}."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                    state = f.read().rsplit(")", 1)[1].split()[0]
                with open(f"/proc/{entry}/cmdline", encoding="utf-8", errors="replace") as f:
                    command = f.read().replace("\0", " ").strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state not in "ZX":
                found.add((int(entry), command))
    return found
