# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway: pinhold runs here, beside the firewall and the masquerading that any gateway has."""
import re
import socket
import subprocess
import threading

WAN, WAN6 = "100.64.0.2", "2001:db8:64::2"
WAN2, WAN2_6 = "100.65.0.2", "2001:db8:65::2"
ROUTERS = {"wan": ("100.64.0.1", "2001:db8:64::1"), "wan2": ("100.65.0.1", "2001:db8:65::1")}
LAN, LAN6 = "192.168.10.1", "2001:db8:10::1"

FIREWALL = """
    table inet firewall {
        chain input {
            type filter hook input priority filter; policy drop;
            iifname "lo" accept
            ct state established,related accept
            meta l4proto { icmp, icmpv6 } accept
            ct mark & 0x08000000 == 0x08000000 counter accept
            iifname != { "wan", "wan2" } accept
            meta l4proto tcp reject with tcp reset
            reject
        }
        chain forward {
            type filter hook forward priority filter; policy drop;
            ct state established,related accept
            ct mark & 0x08000000 == 0x08000000 counter accept
            iifname != { "wan", "wan2" } accept
            reject
        }
    }
    """

# In both chains, where whatever does not come by wan or wan2 is let in.
STRICT = ('iifname != { "wan", "wan2" } accept', 'iifname "lan" oifname "lan" reject\n'
          'iifname "lan" meta l4proto { tcp, udp } th dport { 443, 7777, 8443 } reject\n'
          'iifname != { "wan", "wan2" } accept')

# Connections that came in by wan2 are answered by wan2, as any multi-WAN package does it: a bit of the
# conntrack mark that is not pinhold's, a rule and a table. pinhold needs none of this for its mappings.
REPLIES = """
    table inet replies {
        chain prerouting {
            type filter hook prerouting priority mangle;
            iifname "wan2" ct state new ct mark set ct mark | 0x00001000
            iifname != "wan2" ct mark & 0x00001000 != 0 meta mark set 0x00001000
        }
        chain output {
            type route hook output priority mangle;
            ct mark & 0x00001000 != 0 meta mark set 0x00001000
        }
    }
    """


class Gateway:
    """With the interfaces `wan` and `lan`, and a second uplink `wan2`, which has an address but no route."""

    address = LAN
    address6 = LAN6
    wan = WAN
    wan6 = WAN6
    wan2 = WAN2
    wan2_6 = WAN2_6

    def __init__(self, ns, isp, isp2):
        self.ns = ns
        self._isp, self._isp2 = isp, isp2  # the namespaces at the other ends of `wan` and `wan2`
        self._scripted = False
        self.run, self.ip, self.nft = ns.run, ns.ip, ns.nft
        self.flush_conntrack = ns.flush_conntrack

    def reset(self):
        self.firewall("open")
        self.masquerade("plain")
        if not self.has("wan"):
            self.create_wan()
        if not self.has("wan2"):
            self.create_wan2()
        self._single_uplink()
        self.ns.ip("addr flush dev wan scope global", f"addr add {WAN}/24 dev wan",
                   f"addr add {WAN6}/64 dev wan nodad", "link set wan up",
                   "addr flush dev wan2 scope global", f"addr add {WAN2}/24 dev wan2",
                   f"addr add {WAN2_6}/64 dev wan2 nodad", "link set wan2 up")
        self.run("ip -4 route flush exact default")
        self.run("ip -6 route flush exact default")
        self.default_route("wan")
        self.ns.kill_sockets()
        self.flush_conntrack()

    def firewall(self, kind, mark="0x08000000"):
        """open: none. rejecting: what fw4 does by default, with the rule for pinhold's mark.

        strict: nothing passes without that mark from the LAN to the LAN and to the services, either.
        """
        rules = {"open": "", "rejecting": FIREWALL, "strict": FIREWALL.replace(*STRICT)}[kind]
        rules = rules.replace("0x08000000", mark)
        self.nft("table inet firewall {}\ndelete table inet firewall\n" + rules)

    def masquerade(self, kind):
        """For what leaves by wan: plain, fully-random, or None (and then this gateway has no NAT chain)."""
        text = "table ip gateway {}\ndelete table ip gateway\n"
        if kind is not None:
            how = {"plain": "masquerade", "fully-random": "masquerade fully-random"}[kind]
            text += ("table ip gateway { chain postrouting { type nat hook postrouting priority srcnat\n"
                     f'oifname {{ "wan", "wan2" }} {how}\n}}\n}}\n')
        self.nft(text)

    def change_wan_address(self, address, old=WAN):
        """What a DHCP client does with a new lease."""
        self.ns.ip(f"addr del {old}/24 dev wan", f"addr add {address}/24 dev wan",
                   "route replace default via 100.64.0.1")

    def default_route(self, interface, metric=0):
        """Traffic for the world leaves by wan or wan2; with metric 0 nothing else is preferred to it."""
        router, router6 = ROUTERS[interface]
        self.ns.ip(f"route replace default via {router} dev {interface} metric {metric}",
                   f"route replace default via {router6} dev {interface} metric {metric or 1024}")

    def both_uplinks(self, scripted=True):
        """wan2 is usable beside wan, which remains the default.

        scripted: the admin's own rules let replies leave as their connection came. Without them all of them
        leave by wan, whatever the connection, unless pinhold routes them.
        """
        self.default_route("wan2", metric=2000)
        if scripted:
            self._scripted = True
            self.nft(REPLIES)
            self.ns.ip("route add default via 100.65.0.1 dev wan2 table 2",
                       "rule add fwmark 0x1000/0x1000 table 2")

    def _single_uplink(self):
        if self._scripted:
            self._scripted = False
            self.nft("delete table inet replies")
            self.ns.ip("rule del fwmark 0x1000/0x1000", "route flush table 2")

    def routing(self):
        """All rules and all routes of all tables, as lines of ip(8)."""
        return [line for family in ("-4", "-6") for what in ("rule show", "route show table all")
                for line in self.run(f"ip {family} {what}").splitlines()]

    def reply_routing(self):
        """Of these, those that pinhold has made: its tables are "PI" (0x50490000) and the uplink's number."""
        return [line for line in self.routing()
                if re.search(r"(lookup|table) 134696(1409|1410|1411)\b", line)]

    # `wan` comes and goes like a PPP interface: its end, its index, and all that hangs on it.

    def has(self, interface):
        return self.ns.run(["ip", "link", "show", "dev", interface], check=False).returncode == 0

    def index(self, interface="wan"):
        with self.ns.entered():
            return socket.if_nametoindex(interface)

    def delete_wan(self):
        self._isp.ip("link del subscriber")

    def create_wan(self, address=WAN):
        """Up, with its addresses and the default route, in this order; the ISP's end is made with it."""
        self._isp.ip("link add subscriber type veth peer name wan netns gw",
                     "addr add 100.64.0.1/24 dev subscriber",
                     "addr add 2001:db8:64::1/64 dev subscriber nodad",
                     "link set subscriber up", f"route add 2001:db8:10::/64 via {WAN6}")
        self.ns.ip("link set wan up", f"addr add {address}/24 dev wan", f"addr add {WAN6}/64 dev wan nodad")
        self.default_route("wan")

    def delete_wan2(self):
        self._isp2.ip("link del subscriber")

    def create_wan2(self):
        """Up, with its addresses, and without a route."""
        self._isp2.ip("link add subscriber type veth peer name wan2 netns gw",
                      "addr add 100.65.0.1/24 dev subscriber",
                      "addr add 2001:db8:65::1/64 dev subscriber nodad", "link set subscriber up")
        self.ns.ip("link set wan2 up", f"addr add {WAN2}/24 dev wan2",
                   f"addr add {WAN2_6}/64 dev wan2 nodad")

    def flood_rtnetlink(self, count):
        """So many changes: a default route that nobody prefers comes and goes. None is of link or address."""
        self.ns.ip(*(f"route {verb} default via 192.168.10.60 dev lan metric 5000"
                     for _ in range(count // 2) for verb in ("add", "del")))

    def table(self):
        """The text of pinhold's table as nft lists it; empty if there is none."""
        done = self.run(["nft", "list", "table", "inet", "pinhold"], check=False)
        return done.stdout if done.returncode == 0 else ""

    def counter(self, name="tcp-8443"):
        """How many connections from outside pinhold's named counter has seen."""
        text = self.run(["nft", "list", "counter", "inet", "pinhold", name])
        return int(re.search(r"packets (\d+)", text).group(1))

    def handles(self):
        """What the kernel calls the chains and rules of pinhold's table: {"in-web": "17", "in-web rule": ...}.

        A chain or rule that was replaced, be it by its like, has another handle.
        """
        text = self.run(["nft", "-a", "list", "table", "inet", "pinhold"])
        found, chain = {}, None
        for line in text.splitlines():
            head = re.match(r"\tchain (\S+) \{ # handle (\d+)", line)
            if head:
                chain = head[1]
                found[chain] = head[2]
            elif line == "\t}":
                chain = None
            elif chain and "# handle" in line:
                found.setdefault(f"{chain} rules", []).append(line.rsplit(" ", 1)[1])
        return found

    def monitor(self):
        return Monitor(self.ns)


class Monitor:
    """`nft monitor`: what changed, by transaction."""

    def __init__(self, ns):
        # Line-buffered even into a pipe; the first trace of life is our own transaction.
        self._process = ns.spawn(["stdbuf", "-oL", "nft", "monitor"], stdout=subprocess.PIPE, text=True)
        self._condition = threading.Condition()
        self._lines = []
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()
        self._sync(ns, "begin")
        self._ns = ns
        self._count = 0

    def _read(self):
        for line in self._process.stdout:
            with self._condition:
                self._lines.append(line.rstrip("\n"))
                self._condition.notify_all()
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def _sync(self, ns, word):
        # nft subscribes some time after its start: a table comes and goes until the monitor has seen one.
        with self._condition:
            for _ in range(100):
                ns.nft(f"table ip sync_{word} {{}}\ndelete table ip sync_{word}\n")
                if self._condition.wait_for(
                        lambda: self._ended or any(f"sync_{word}" in x for x in self._lines), 0.1):
                    break
            assert not self._ended and any(f"sync_{word}" in x for x in self._lines), self._lines
            # The marker's own generation line comes after it.
            assert self._condition.wait_for(lambda: "generation" in self._lines[-1], 5), self._lines

    def stop(self):
        """The transactions since the start that touched pinhold's table: a list of lists of lines."""
        self._sync(self._ns, "end")
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        transactions, now = [], []
        for line in self._lines:
            if "new generation" in line:
                transactions.append(now)
                now = []
            else:
                now.append(line)
        return [t for t in transactions if any("inet pinhold" in line for line in t)]
