# SPDX-License-Identifier: GPL-2.0-or-later
"""The ISP: a router whose carrier-grade NAT can be switched while it runs.

nf_tables has no full-cone NAT (RFC 4787: endpoint-independent mapping and filtering). Two static maps play
one: `out` gives a subscriber's port its public port, `back` brings everybody's packets to that public port
back. A remap is another pair of elements; what becomes of flows that the NAT knows already is a choice of
its own (`how`).
"""
import itertools

RST, DROP, KEEP = "rst", "drop", "keep"


class Isp:
    """One ISP, with the interfaces `subscriber` (to the gateway) and `internet`."""

    def __init__(self, ns, subscriber, public):
        self.ns = ns
        self.subscriber = subscriber  # the gateway's address behind the NAT
        self.public = public          # the address that the world sees
        self._public_home = public
        self._mappings = {}           # (subscriber, bind port) -> (public address, public port)
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
            }
            """)
        self.reset()

    def reset(self):
        """As at the beginning: nothing mapped, other flows masqueraded, no state."""
        self.ns.ip(f"addr replace {self._public_home}/24 dev internet")
        self.public = self._public_home
        self._mappings = {}
        self._loose(True)
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

    def symmetric(self):
        """Each new flow gets a random public port (address- and port-dependent mapping)."""
        self._mappings = {}
        self._apply("masquerade fully-random")
        self.forget()

    def remap(self, public_port, bind_port=8443, subscriber=None, how=RST):
        """The mapping moves to another public port.

        how: what becomes of old flows. RST: they are forgotten, and their next packet is answered with a
        RST. DROP: they are forgotten, and their packets vanish. KEEP: they go on as they were.
        """
        assert how in (RST, DROP, KEEP)
        self._loose(how != DROP)
        self.full_cone(public_port, bind_port, subscriber)
        if how != KEEP:
            self.forget()

    def change_public_address(self, address, how=RST):
        """All mappings keep their ports and move to another public address."""
        self.ns.ip(f"addr replace {address}/24 dev internet")
        self._loose(how != DROP)
        self.public = address
        self._mappings = {key: (address, port) for key, (_, port) in self._mappings.items()}
        self._apply()
        if how != KEEP:
            self.forget()

    def forget(self):
        """The NAT loses its memory (a reboot)."""
        self.ns.flush_conntrack()

    def _loose(self, loose):
        # A NAT that takes up flows in mid-stream translates the packet anew, and the server, which knows
        # no such peer, answers with RST. Without that the packet is invalid, and we drop it.
        self.ns.sysctl("net/netfilter/nf_conntrack_tcp_loose", int(loose))
        rule = "" if loose else "add rule ip cgnat forgotten ct state invalid drop\n" \
            'add rule ip cgnat forgotten iifname "internet" ct state new tcp flags & syn == 0 drop'
        self.ns.nft(f"flush chain ip cgnat forgotten\n{rule}\n")

    def _apply(self, others="masquerade"):
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
            f'add rule ip cgnat postrouting oifname "internet" {others}\n')
