# SPDX-License-Identifier: GPL-2.0-or-later
"""The ISP: a router whose carrier-grade NAT can be switched while it runs.

nf_tables has no full-cone NAT (RFC 4787: endpoint-independent mapping and filtering). Two static maps play
one: `out` gives a subscriber's port its public port, `back` brings everybody's packets to that public port
back. A remap is another pair of elements; what becomes of flows that the NAT knows already is a choice of
its own (`how`).
"""
import itertools

RST, DROP, KEEP = "rst", "drop", "keep"
PLAIN, RANDOM = "masquerade", "masquerade fully-random"


class Isp:
    """One ISP, with the interfaces `subscriber` (to the gateway) and `internet`."""

    def __init__(self, ns, subscriber, public, router):
        self.ns = ns
        self._router = router
        self.subscriber = subscriber  # the gateway's address behind the NAT
        self.public = public          # the address that the world sees
        self._public_home = public
        self._mappings = {}           # (subscriber, bind port) -> (public address, public port)
        self._others = PLAIN          # what becomes of a flow that no mapping is for
        ns.nft("""
            table ip cgnat {
                map out {
                    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
                }
                map back {
                    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
                }
                chain prerouting {
                    type nat hook prerouting priority dstnat;
                    iifname "internet" dnat ip to ip daddr . meta l4proto . th dport map @back
                }
                chain postrouting {
                    type nat hook postrouting priority srcnat;
                }
                chain forgotten {
                    type filter hook prerouting priority filter;
                }
                set acquainted {
                    type ipv4_addr . ipv4_addr . inet_proto . inet_service;
                    flags dynamic; size 65536;
                }
                chain filtering {
                    type filter hook forward priority filter;
                }
            }
            """)
        self.reset()

    def reset(self):
        """As at the beginning: nothing mapped, other flows masqueraded, no state."""
        self.ns.ip("addr flush dev internet scope global to 203.0.113.0/24",
                   f"addr add {self._public_home}/25 dev internet",
                   f"route replace default via {self._router}")
        self.public = self._public_home
        self._mappings = {}
        self._others = PLAIN
        self._loose(True)
        self.filtering(None)
        self._apply()
        self.forget()

    def full_cone(self, public_port, bind_port=8443, subscriber=None):
        """From now on subscriber:bind_port is public:public_port, to everyone, for TCP and for UDP."""
        self._mappings[(subscriber or self.subscriber, bind_port)] = (self.public, public_port)
        self._apply()

    def full_cone_range(self, first, last, offset):
        """Each bind port of a range gets the public port that is `offset` higher."""
        for port in range(first, last + 1):
            self._mappings[(self.subscriber, port)] = (self.public, port + offset)
        self._apply()

    def symmetric(self, bind_port=None):
        """Each new flow gets a random public port (address- and port-dependent mapping).

        bind_port: only that one's, and that of flows that no mapping is for.
        """
        for key in list(self._mappings):
            if bind_port in (None, key[1]):
                self._forget_flows(key, self._mappings.pop(key))
        self._others = RANDOM
        self._apply()
        if bind_port is None:
            self.forget()

    def filtering(self, kind):
        """Who may send to a mapped port (RFC 4787 section 5): everybody (None, endpoint-independent), or
        only addresses to which the subscriber has sent from it ("address").
        """
        assert kind in (None, "address")
        rules = ""
        if kind == "address":
            # Before the source is translated on the way out, and after the destination is on the way in.
            rules = '''
                add rule ip cgnat filtering oifname "internet" \
                    add @acquainted { ip daddr . ip saddr . meta l4proto . th sport }
                add rule ip cgnat filtering iifname "internet" ct state new \
                    ip saddr . ip daddr . meta l4proto . th dport != @acquainted drop
                '''
        self.ns.nft(f"flush chain ip cgnat filtering\nflush set ip cgnat acquainted\n{rules}")

    def remap(self, public_port, bind_port=8443, subscriber=None, how=RST):
        """The mapping moves to another public port.

        how: what becomes of old flows. RST: they are forgotten, and their next packet is answered with a
        RST. DROP: they are forgotten, and their packets vanish. KEEP: they go on as they were.
        """
        assert how in (RST, DROP, KEEP)
        key = (subscriber or self.subscriber, bind_port)
        old = self._mappings.get(key)
        self._loose(how != DROP)
        self.full_cone(public_port, bind_port, subscriber)
        if how != KEEP:
            self._forget_flows(key, old)

    def remap_many(self, ports):
        """Several mappings ({bind port: public port}) move at once, and all state is forgotten."""
        self._loose(True)
        self._mappings.update({(self.subscriber, bind): (self.public, port) for bind, port in ports.items()})
        self._apply()
        self.forget()

    def exchange(self, bind_port, other):
        """Two mappings get each other's public ports; their flows are forgotten, and nobody else's."""
        self._loose(True)
        keys = [(self.subscriber, port) for port in (bind_port, other)]
        old = [self._mappings[key] for key in keys]
        self._mappings.update(zip(keys, reversed(old)))
        self._apply()
        for key, public in zip(keys, old):
            self._forget_flows(key, public)

    def change_public_address(self, address, how=RST):
        """All mappings keep their ports and move to another public address."""
        self.ns.ip(f"addr add {address}/25 dev internet")
        self._loose(how != DROP)
        self.public = address
        self._mappings = {key: (address, port) for key, (_, port) in self._mappings.items()}
        self._apply()
        if how != KEEP:
            self.forget()

    def reboot(self, how=RST):
        """All flows are forgotten, but mappings are what they were. RST and DROP as for remap()."""
        self._loose(how != DROP)
        self.forget()

    def forget(self):
        """The NAT loses its memory."""
        self.ns.flush_conntrack()

    def _forget_flows(self, private, public):
        """The flows of one mapping, and nobody else's."""
        for proto in ("tcp", "udp"):
            self.ns.run(["conntrack", "-D", "-p", proto, "--orig-src", private[0],
                         "--orig-port-src", str(private[1])], check=False)
            if public:
                self.ns.run(["conntrack", "-D", "-p", proto, "--orig-dst", public[0],
                             "--orig-port-dst", str(public[1])], check=False)

    def _loose(self, loose):
        # A NAT that takes up flows in mid-stream translates the packet anew, and the server, which knows
        # no such peer, answers with RST. Without that the packet is invalid, and we drop it.
        self.ns.sysctl("net/netfilter/nf_conntrack_tcp_loose", int(loose))
        rule = "" if loose else "add rule ip cgnat forgotten ct state invalid drop\n" \
            'add rule ip cgnat forgotten iifname "internet" ct state new tcp flags & syn == 0 drop'
        self.ns.nft(f"flush chain ip cgnat forgotten\n{rule}\n")

    def _apply(self):
        # Only elements and rules are replaced: a base chain that went, be it for a moment, would take the
        # kernel's NAT hooks with it, and the old flows that KEEP promises.
        def elements(name, pairs):
            text = ", ".join(f"{a} . {proto} . {p} : {b} . {q}"
                             for ((a, p), (b, q)), proto in itertools.product(pairs, ("tcp", "udp")))
            return f"add element ip cgnat {name} {{ {text} }}\n" if text else ""

        out = list(self._mappings.items())
        back = [(b, a) for a, b in out]
        self.ns.nft(
            "flush map ip cgnat out\nflush map ip cgnat back\nflush chain ip cgnat postrouting\n"
            + elements("out", out) + elements("back", back) +
            'add rule ip cgnat postrouting oifname "internet" '
            "snat ip to ip saddr . meta l4proto . th sport map @out\n"
            f'add rule ip cgnat postrouting oifname "internet" {self._others}\n')
