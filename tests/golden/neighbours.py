# SPDX-License-Identifier: GPL-2.0-or-later
"""What pinhold makes the kernel forget, and what it hears of other programs' changes to its table.

neighbours.py TOOL [TEST...]: the golden_tool, and what to run (unittest names).
"""

import itertools
import os
import sys
import unittest

from kernel import Namespace

MARK = 0x08000000
DEAD = "192.168.10.50"  # the target of yesterday


class Conntrack(unittest.TestCase):
    """Real entries of the kernel's, put there by conntrack(8)."""

    maxDiff = None

    @staticmethod
    def entry(source, port=8443, proto="udp", mark=MARK, target=DEAD, destination="100.64.0.2", zone=None):
        """One entry's arguments: from source (port 5000) to destination, translated to target:443."""
        return ["-I", "-p", proto, "-s", source, "-d", destination, "--sport", "5000", "--dport", str(port),
                "-r", target, "-q", source, "--reply-port-src", "443", "--reply-port-dst", "5000",
                "-t", "600", "-m", str(mark), *(["--state", "ESTABLISHED"] if proto == "tcp" else []),
                *(["-w", str(zone)] if zone is not None else [])]

    def insert(self, ns, *args, **kwargs):
        ns.run("conntrack", *self.entry(*args, **kwargs))

    def insert_many(self, ns, n, **kwargs):
        lines = [" ".join(self.entry(f"198.18.{i // 250}.{i % 250 + 1}", **kwargs)) for i in range(n)]
        ns.run("conntrack", "-R", "-", stdin="\n".join(lines) + "\n")

    def sources(self, ns, *options):
        """The original sources of what is left, in order."""
        text = ns.run("conntrack", "-L", *options).stdout
        return sorted(line.split("src=")[1].split()[0] for line in text.splitlines())

    @staticmethod
    def match(proto="udp", mark=MARK, destination="100.64.0.2", port=8443, keep="0.0.0.0", keep_port=0):
        return f"{proto} {mark:x} {destination} {port} {keep} {keep_port}"

    def forget(self, ns, *matches):
        """How many; asserts that it went well."""
        answer = ns.ask("forget", *(matches or (self.match(),))).split()
        self.assertEqual(answer[0], "ok", answer)
        return int(answer[1])

    def test_nothing_there(self):
        with Namespace() as ns:
            self.assertEqual(self.forget(ns), 0)

    def test_that_mapping_alone(self):
        with Namespace() as ns:
            self.insert(ns, "198.51.100.1")
            self.insert(ns, "198.51.100.2", mark=MARK | 0x42)  # another program's bits beside ours
            self.insert(ns, "198.51.100.3", mark=0)            # not ours
            self.insert(ns, "198.51.100.4", mark=0x42)
            self.insert(ns, "198.51.100.5", port=8444)         # another mapping
            self.insert(ns, "198.51.100.6", destination="100.64.0.3")
            self.insert(ns, "198.51.100.7", proto="tcp")       # runs on
            self.insert(ns, "198.51.100.8", target="192.168.10.51")
            before = self.sources(ns)
            self.assertEqual(len(before), 8)
            self.assertEqual(self.forget(ns, self.match(keep="192.168.10.51", keep_port=443)), 2)
            self.assertEqual(self.sources(ns), before[2:])
            # The right address and another port are not what is to be kept.
            self.assertEqual(self.forget(ns, self.match(keep="192.168.10.51", keep_port=444)), 1)
            self.assertEqual(self.sources(ns), before[2:7])
            self.assertEqual(self.forget(ns, self.match(proto="tcp")), 1)
            self.assertEqual(self.sources(ns), before[2:6])

    def test_every_bit_of_the_mark(self):
        with Namespace() as ns:
            self.insert(ns, "198.51.100.1", mark=MARK)
            self.insert(ns, "198.51.100.2", mark=MARK | 0x01000000)
            self.assertEqual(self.forget(ns, self.match(mark=MARK | 0x01000000)), 1)
            self.assertEqual(self.sources(ns), ["198.51.100.1"])

    def test_ipv6(self):
        with Namespace() as ns:
            self.insert(ns, "2001:db8::1", destination="2001:db8:1::2", target="fd00::50")
            self.insert(ns, "2001:db8::2", destination="2001:db8:1::3", target="fd00::50")
            self.insert(ns, "2001:db8::3", destination="2001:db8:1::2", target="fd00::51")
            self.insert(ns, "198.51.100.1")
            match = self.match(destination="2001:db8:1::2", keep="fd00::51", keep_port=443)
            self.assertEqual(self.forget(ns, match), 1)
            self.assertEqual(self.sources(ns, "-f", "ipv6"), ["2001:db8::2", "2001:db8::3"])
            self.assertEqual(self.sources(ns, "-f", "ipv4"), ["198.51.100.1"])
            # Both families at once.
            self.assertEqual(self.forget(ns, self.match(destination="2001:db8:1::2"), self.match()), 2)
            self.assertEqual(self.sources(ns, "-f", "ipv6"), ["2001:db8::2"])

    def test_several_matches(self):
        with Namespace() as ns:
            self.insert(ns, "198.51.100.1")
            self.insert(ns, "198.51.100.2", port=8444, mark=0x01000000)
            self.insert(ns, "198.51.100.3", port=8445)
            self.insert(ns, "198.51.100.4", port=8444)
            self.assertEqual(self.forget(ns, self.match(), self.match(port=8444, mark=0x01000000)), 2)
            self.assertEqual(self.sources(ns), ["198.51.100.3", "198.51.100.4"])

    def test_zones(self):
        with Namespace() as ns:
            self.insert(ns, "198.51.100.1")
            self.insert(ns, "198.51.100.1", zone=7)
            self.insert(ns, "198.51.100.2", zone=7)
            self.assertEqual(self.forget(ns), 3)
            self.assertEqual(self.sources(ns), [])

    def test_other_protocols_are_no_obstacle(self):
        with Namespace() as ns:
            ns.run("conntrack", "-I", "-p", "icmp", "-s", "198.51.100.9", "-d", "100.64.0.2", "--icmp-type", "8",
                   "--icmp-code", "0", "--icmp-id", "7", "-t", "600", "-m", str(MARK))
            ns.run("conntrack", "-I", "-p", "gre", "-s", "198.51.100.8", "-d", "100.64.0.2", "--srckey", "1",
                   "--dstkey", "1", "-t", "600", "-m", str(MARK))
            self.insert(ns, "198.51.100.1")
            self.assertEqual(self.forget(ns), 1)
            self.assertEqual(self.sources(ns), ["198.51.100.8", "198.51.100.9"])

    def test_made_anew_meanwhile(self):
        """An entry of the same tuple with another ID is another entry."""
        with Namespace() as ns:
            self.insert(ns, "198.51.100.1")
            ns.ask("change-ids", "yes")
            self.assertEqual(self.forget(ns), 0)
            self.assertEqual(self.sources(ns), ["198.51.100.1"])
            ns.ask("change-ids", "no")
            self.assertEqual(self.forget(ns), 1)

    def test_the_kernel_looks_for_the_mark(self):
        with Namespace() as ns:
            self.insert_many(ns, 2000, mark=0x42)
            self.insert(ns, "198.51.100.1")
            answer = ns.ask("forget", self.match()).split()
            self.assertEqual(answer[:2], ["ok", "1"])
            self.assertLess(int(answer[2]), 2000)  # octets; an entry takes some 200
            self.assertEqual(len(self.sources(ns)), 2000)

    def test_many(self):
        with Namespace() as ns:
            self.insert_many(ns, 2000)
            self.insert(ns, "198.51.100.1", port=8444)
            self.assertEqual(self.forget(ns), 2000)
            self.assertEqual(self.sources(ns), ["198.51.100.1"])

    def test_interrupted(self):
        with Namespace() as ns:
            for fault in (("interrupt-dumps", 1), ("interrupt",), ("lose-answers",)):
                self.insert(ns, "198.51.100.1")
                ns.ask(*fault)
                self.assertEqual(self.forget(ns), 1, fault)
            self.insert(ns, "198.51.100.1")
            ns.ask("interrupt-dumps", 1000)
            self.assertEqual(ns.ask("forget", self.match()), "EAGAIN")
            self.assertEqual(self.sources(ns), ["198.51.100.1"])

    def test_cut_off(self):
        with Namespace() as ns:
            self.insert(ns, "198.51.100.1")
            for nth in (1, 2, 3):  # the entry, the end of the list, the acknowledgement
                ns.ask("cut-answer", nth)
                self.assertEqual(ns.ask("forget", self.match()), "EPROTO", nth)
                self.assertEqual(len(self.sources(ns)), 1 if nth < 3 else 0)

    def test_spoilt(self):
        """Whatever single octet of the answer is another: it ends, well or with an error, and in bounds."""
        with Namespace() as ns:
            self.insert(ns, "198.51.100.1")
            for value, octet in itertools.product((0x00, 0x01, 0xff), range(200)):
                if 8 <= octet < 12:
                    continue  # the sequence number: nobody's answer, and it is waited for another
                ns.ask("spoil-answer", octet, value)
                answer = ns.ask("forget", self.match(port=8444)).split()[0]
                self.assertIn(answer, ("ok", "EPROTO"), (octet, value))
            self.assertEqual(self.sources(ns), ["198.51.100.1"])

    def test_without_the_capability(self):
        with Namespace() as ns:
            ns.ask("drop-capabilities")
            self.assertEqual(ns.ask("forget", self.match()), "EPERM")

    def test_allocations(self):
        with Namespace() as ns:
            self.insert_many(ns, 100)
            for nth in itertools.count(1):
                answer = ns.ask("forget-failing", nth, self.match())
                if answer == "ok untouched":
                    break
                self.assertEqual(answer, "ENOMEM", nth)
                self.assertEqual(len(self.sources(ns)), 100, nth)
            self.assertGreater(nth, 3)
            self.assertEqual(self.sources(ns), [])


class Watch(unittest.TestCase):
    """A plain table, and nft as the other program."""

    def watched(self, ns):
        """What was heard: the words, and who did it."""
        answer = ns.ask("watched").split()
        self.assertEqual(answer[0], "ok", answer)
        words = [word for word in answer[1:] if word in ("changed", "gone", "unsure")]
        rest = answer[1 + len(words):]
        return words, rest[1] if rest else None

    def plain(self, case="reference"):
        ns = Namespace()
        ns.ask("refuse-owner")
        self.assertEqual(ns.ask("watch"), "ok")
        self.assertEqual(ns.ask("apply", case), "ok")
        return ns

    def test_own_changes_are_none(self):
        with self.plain() as ns:
            for case in ("tcp4", "many", "many-changed", "empty", "reference"):
                self.assertEqual(ns.ask("apply", case), "ok")
            self.assertEqual(self.watched(ns), ([], None))
            self.assertEqual(ns.ask("remove"), "ok")
            self.assertEqual(self.watched(ns), ([], None))

    def test_each_kind_of_change(self):
        with self.plain() as ns:
            for command in ("add chain inet pinhold x",
                            "add rule inet pinhold x drop",
                            "flush chain inet pinhold x",
                            "delete chain inet pinhold x",
                            "add set inet pinhold y { type inet_service; }",
                            "add element inet pinhold y { 1, 2 }",
                            "delete element inet pinhold y { 1 }",
                            "flush set inet pinhold y",
                            "delete set inet pinhold y",
                            "add counter inet pinhold z",
                            "delete counter inet pinhold z",
                            "flush table inet pinhold",
                            "add table inet pinhold { flags dormant; }"):
                ns.nft(*command.split())
                self.assertEqual(self.watched(ns), (["changed"], "nft"), command)
                self.assertEqual(self.watched(ns), ([], None), command)

    def test_deleted(self):
        for command in ("delete table inet pinhold", "flush ruleset"):
            with self.subTest(command), self.plain() as ns:
                ns.load("table ip before {\n}\n")
                ns.nft(*command.split())
                self.assertEqual(self.watched(ns), (["changed", "gone"], "nft"))
                self.assertEqual(ns.ask("apply", "tcp4"), "ok")
                self.assertEqual(self.watched(ns), ([], None))

    def test_deleted_and_made_by_somebody_else(self):
        with self.plain() as ns:
            ns.load("delete table inet pinhold\ntable inet pinhold {\n\tchain x {\n\t}\n}\n")
            self.assertEqual(self.watched(ns), (["changed", "gone"], "nft"))

    def test_made_again_before_it_is_read(self):
        """Told all the same, and once: it costs one more installation."""
        with self.plain() as ns:
            ns.nft("flush", "ruleset")
            # Finds that the table is not there, and makes all of it.
            self.assertEqual(ns.ask("apply", "tcp4"), "ok")
            self.assertEqual(self.watched(ns), (["changed", "gone"], "nft"))
            self.assertEqual(ns.ask("apply", "tcp4-remapped"), "ok")
            self.assertEqual(self.watched(ns), ([], None))

    def test_changed_after_it_was_made_again(self):
        with self.plain() as ns:
            ns.nft("flush", "ruleset")
            self.assertEqual(ns.ask("apply", "tcp4"), "ok")
            ns.nft("flush", "table", "inet", "pinhold")
            self.assertEqual(self.watched(ns), (["changed", "gone"], "nft"))

    def test_the_last_of_several_is_named(self):
        with self.plain() as ns:
            ns.nft("add", "chain", "inet", "pinhold", "x")
            ns.run(sys.executable, "-c", "import ctypes, sys\n"
                   "open('/proc/self/comm', 'w').write('a\\\\b\"c\\n')\n"
                   "nft = ctypes.CDLL('libnftables.so.1')\n"
                   "nft.nft_ctx_new.restype = ctypes.c_void_p\n"
                   "c = ctypes.c_void_p(nft.nft_ctx_new(0))\n"
                   "sys.exit(nft.nft_run_cmd_from_buffer(c, b'add chain inet pinhold z'))\n")
            ns.nft("add", "table", "ip", "other")
            words, name = self.watched(ns)
            self.assertEqual(words, ["changed"])
            self.assertEqual(name, "a?b?c?")

    def test_another_pinhold(self):
        with self.plain() as ns, Namespace(ns) as other:
            other.ask("refuse-owner")
            self.assertEqual(other.ask("apply", "tcp4"), "EALREADY")
            self.assertEqual(self.watched(ns), ([], None))
            # Whoever has removed its own lets others in.
            self.assertEqual(ns.ask("remove"), "ok")
            self.assertEqual(other.ask("apply", "tcp4"), "ok")
            self.assertEqual(self.watched(ns), (["changed", "gone"], "golden_tool"))

    def test_other_tables_are_nothing(self):
        with self.plain() as ns:
            self.watched(ns)
            for family, table in (("ip", "pinhold"), ("ip6", "pinhold"), ("inet", "pinhold2"), ("inet", "pinhol"),
                                  ("inet", "p"), ("arp", "pinhold")):
                ns.load(f"table {family} {table} {{\n\tset s {{\n\t\ttype inet_service\n\t\telements = {{ 1, 2 }}\n"
                        "\t}\n\tchain c {\n\t\taccept\n\t}\n}\n")
                ns.nft("flush", "table", family, table)
                ns.nft("delete", "table", family, table)
                self.assertEqual(self.watched(ns), ([], None), (family, table))

    @staticmethod
    def big(table):
        elements = ", ".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(40000))
        return f"table inet {table} {{\n\tset s {{\n\t\ttype ipv4_addr\n\t\telements = {{ {elements} }}\n\t}}\n}}\n"

    def test_ours_among_many_others(self):
        """Wherever it stands in a datagram."""
        with self.plain() as ns:
            self.watched(ns)
            for before in range(0, 100, 7):
                ns.load("".join(f"add table ip t{i}\n" for i in range(before)) + "add chain inet pinhold x\n" +
                        "".join(f"add table ip u{i}\n" for i in range(20)))
                self.assertEqual(self.watched(ns), (["changed"], "nft"), before)
                ns.nft("flush", "ruleset", "ip")
                self.assertEqual(self.watched(ns), ([], None), before)

    def test_more_than_there_is_room_for(self):
        with self.plain() as ns:
            ns.load(self.big("pinhold"))
            ns.nft("flush", "set", "inet", "pinhold", "s")
            words, _ = self.watched(ns)
            self.assertIn("unsure", words)
            self.assertEqual(self.watched(ns), ([], None))
            ns.nft("flush", "table", "inet", "pinhold")
            self.assertEqual(self.watched(ns), (["changed"], "nft"))

    def test_faults(self):
        with self.plain() as ns:
            self.watched(ns)
            ns.nft("flush", "table", "inet", "pinhold")
            ns.ask("lose-answers")
            self.assertEqual(self.watched(ns), (["unsure"], None))
            ns.nft("add", "chain", "inet", "pinhold", "x")
            ns.ask("cut-answer", 1)
            self.assertIn("unsure", self.watched(ns)[0])
            ns.nft("add", "chain", "inet", "pinhold", "y")
            ns.ask("interrupt")
            self.assertEqual(self.watched(ns), (["changed"], "nft"))

    def test_spoilt(self):
        with self.plain() as ns:
            self.watched(ns)
            for value, octet in itertools.product((0x00, 0x01, 0xff), range(120)):
                ns.nft("add", "table", "inet", "pinhold", "{ flags dormant; }" if octet % 2 else "{ }")
                ns.ask("spoil-answer", octet, value)
                self.assertEqual(ns.ask("watched").split()[0], "ok", (octet, value))

    def test_close_on_exec(self):
        with self.plain() as ns:
            self.assertEqual(ns.ask("watch-state"), "cloexec")

    def test_without_the_capability(self):
        with Namespace() as ns:
            ns.ask("drop-capabilities")
            self.assertEqual(ns.ask("watch"), "EPERM")


if __name__ == "__main__":
    unittest.main(argv=[os.path.basename(__file__), *sys.argv[2:]], verbosity=2)
