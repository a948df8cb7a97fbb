# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway: pinhold runs here, beside the firewall and the masquerading that any gateway has."""
import re
import subprocess
import threading

WAN, WAN6 = "100.64.0.2", "2001:db8:64::2"
LAN, LAN6 = "192.168.10.1", "2001:db8:10::1"

FIREWALL = """
    table inet firewall {
        chain input {
            type filter hook input priority filter; policy drop;
            iifname "lo" accept
            ct state established,related accept
            meta l4proto { icmp, icmpv6 } accept
            ct mark & 0x08000000 == 0x08000000 counter accept
            iifname != "wan" accept
            meta l4proto tcp reject with tcp reset
            reject
        }
        chain forward {
            type filter hook forward priority filter; policy drop;
            ct state established,related accept
            ct mark & 0x08000000 == 0x08000000 counter accept
            iifname != "wan" accept
            reject
        }
    }
    """


class Gateway:
    """With the interfaces `wan` and `lan`."""

    address = LAN
    address6 = LAN6
    wan = WAN
    wan6 = WAN6

    def __init__(self, ns):
        self.ns = ns
        self.run, self.ip, self.nft = ns.run, ns.ip, ns.nft
        self.flush_conntrack = ns.flush_conntrack

    def reset(self):
        self.firewall("open")
        self.masquerade("plain")
        self.ns.ip("addr flush dev wan scope global", f"addr add {WAN}/24 dev wan",
                   f"addr add {WAN6}/64 dev wan nodad", "link set wan up",
                   "route replace default via 100.64.0.1", "route replace default via 2001:db8:64::1")
        self.ns.kill_sockets()
        self.flush_conntrack()

    def firewall(self, kind):
        """open: none. rejecting: what fw4 does by default, with the rule for pinhold's mark."""
        rules = {"open": "", "rejecting": FIREWALL}[kind]
        self.nft("table inet firewall {}\ndelete table inet firewall\n" + rules)

    def masquerade(self, kind):
        """For what leaves by wan: plain, fully-random, or None (and then this gateway has no NAT chain)."""
        text = "table ip gateway {}\ndelete table ip gateway\n"
        if kind is not None:
            how = {"plain": "masquerade", "fully-random": "masquerade fully-random"}[kind]
            text += ("table ip gateway { chain postrouting { type nat hook postrouting priority srcnat\n"
                     f'oifname "wan" {how}\n}}\n}}\n')
        self.nft(text)

    def change_wan_address(self, address, old=WAN):
        """What a DHCP client does with a new lease."""
        self.ns.ip(f"addr del {old}/24 dev wan", f"addr add {address}/24 dev wan",
                   "route replace default via 100.64.0.1")

    def table(self):
        """The text of pinhold's table as nft lists it; empty if there is none."""
        done = self.run(["nft", "list", "table", "inet", "pinhold"], check=False)
        return done.stdout if done.returncode == 0 else ""

    def counter(self, name="tcp-8443"):
        """How many connections from outside pinhold's named counter has seen."""
        text = self.run(["nft", "list", "counter", "inet", "pinhold", name])
        return int(re.search(r"packets (\d+)", text).group(1))

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
