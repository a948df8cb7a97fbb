# SPDX-License-Identifier: GPL-2.0-or-later
"""The table that pinhold sends to the kernel, against the table that nft makes of the text.

golden.py TOOL REFERENCE [TEST...]: the golden_tool, nft/pinhold.nft, and what to run (unittest names).
"""

import itertools
import re
import shutil
import subprocess
import sys
import time
import unittest

from kernel import TOOL, Namespace, blocks, bytecode_blocks, unordered, zeroed

REFERENCE = sys.argv[2]


def printed(case):
    return subprocess.run([TOOL, "print", case], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def cases():
    return subprocess.run([TOOL, "cases"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.split()


class Test(unittest.TestCase):
    maxDiff = None

    def apply(self, ns, case):
        self.assertEqual(ns.ask("apply", case), "ok", case)

    def fresh(self, case):
        """Listing and bytecode of a case that is the first thing in its namespace."""
        with Namespace() as ns:
            self.apply(ns, case)
            return ns.both()


class Fresh(Test):
    def test_text_and_batch_list_the_same(self):
        for case in cases():
            with self.subTest(case), Namespace() as sent, Namespace() as loaded:
                self.apply(sent, case)
                loaded.load(printed(case))
                self.assertIn("flags owner", sent.nft("list", "table", "inet", "pinhold"))
                self.assertEqual(sent.listing(), loaded.listing())
                self.assertEqual(sent.bytecode(), loaded.bytecode())

    def test_text_is_what_nft_prints(self):
        for case in cases():
            with self.subTest(case), Namespace() as loaded:
                text = printed(case)
                loaded.load(text)
                self.assertEqual(unordered(text).rstrip("\n"), unordered(loaded.listing()))

    def test_cases_differ(self):
        texts = {printed(case) for case in cases()}
        self.assertEqual(len(texts), len(cases()))

    def test_reference(self):
        with open(REFERENCE, encoding="utf-8") as f:
            text = f.read()
        with Namespace() as sent, Namespace() as loaded:
            self.apply(sent, "reference")
            loaded.load(text)
            self.assertEqual(sent.listing(), loaded.listing())
            self.assertEqual(sent.bytecode(), loaded.bytecode())

    def test_one_batch(self):
        with Namespace() as ns:
            self.apply(ns, "many")
            self.assertEqual(ns.ask("sent").split()[0], "1")


def walk(cases):
    """A way on which each case comes right after each other one."""
    way = []
    for i, case in enumerate(cases):
        for other in cases[i + 1:]:
            way += [case, other]
        way.append(case)
    return way


class Sequences(Test):
    def test_walk(self):
        pairs = set(itertools.pairwise(walk(list("abcde"))))
        self.assertLessEqual(set(itertools.permutations("abcde", 2)), pairs)

    def test_every_case_after_every_other(self):
        small = [case for case in cases() if not case.startswith("many")]
        want = {case: self.fresh(case) for case in small}
        want = {case: (blocks(listing), bytecode_blocks(bytecode)) for case, (listing, bytecode) in want.items()}
        with Namespace() as ns:
            self.apply(ns, small[0])
            for before, after in itertools.pairwise(walk(small)):
                with self.subTest(f"{before}, then {after}"):
                    self.apply(ns, after)
                    listing, bytecode = ns.both()
                    self.assertEqual(blocks(listing), want[after][0])
                    self.assertEqual(bytecode_blocks(bytecode), want[after][1])

    def test_many(self):
        with Namespace() as ns:
            for case in ("tcp4", "many", "many-changed", "empty", "many", "reference"):
                self.apply(ns, case)
                want = self.fresh(case)
                self.assertEqual(blocks(ns.listing()), blocks(want[0]))
                self.assertEqual(bytecode_blocks(ns.bytecode()), bytecode_blocks(want[1]))

    def test_same_again_sends_nothing(self):
        with Namespace() as ns:
            self.apply(ns, "reference")
            before = ns.ask("sent")
            self.apply(ns, "reference")
            self.assertEqual(ns.ask("sent"), before)

    def handles(self, ns):
        text = ns.nft("-a", "list", "table", "inet", "pinhold")
        return dict(re.findall(r"^\s*(.*?) # handle (\d+)$", text, flags=re.M))

    def test_public_endpoint_touches_no_rule(self):
        with Namespace() as ns:
            self.apply(ns, "many")
            before = self.handles(ns)
            self.apply(ns, "many-changed")
            after = self.handles(ns)
            # Elements have no handles: no rule, chain or set is another one.
            self.assertEqual(before, after)
            # One element less and one more of bound4, published4 and loopback4: nothing else.
            self.assertEqual(ns.ask("sent").split()[1], "6")
            text = ns.listing()
            self.assertIn('comment "m750: 203.0.113.7:30750"', text)
            self.assertNotIn('203.0.113.7:20750"', text)

    def test_private_endpoint_keeps_counter_and_chains(self):
        with Namespace() as ns:
            self.apply(ns, "tcp4")
            before = self.handles(ns)
            self.apply(ns, "tcp4-readdressed")
            after = self.handles(ns)
            for line in ("counter web {", "chain in-web {", "chain prerouting {"):
                self.assertEqual(before[line], after[line])


class Moving(Test):
    """To another bind port: new one up, old one gone, one transaction each, and nothing is counted twice."""

    # Sends UDP datagrams to the interface `wan`, as an outside client would: FIRST COUNT BIND-PORT.
    SEND = """
import socket, struct, sys
first, count, port = map(int, sys.argv[1:])
mac = bytes.fromhex("020000000001")
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("outside", 0))
for source in range(first, first + count):
    udp = struct.pack("!HHHH", source, port, 8, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, source, 0, 64, 17, 0,
                     socket.inet_aton("198.51.100.77"), socket.inet_aton("100.64.0.2"))
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + ip[12:]
    out.send(mac + mac + struct.pack("!H", 0x0800) + ip + udp)
"""

    def setUp(self):
        self.sent = 0

    def send(self, ns, port, count):
        """So many connections from outside; returns what the counter says then."""
        before = self.counted(ns)
        ns.run(sys.executable, "-c", self.SEND, str(10000 + self.sent), str(count), str(port))
        self.sent += count
        # The packets are on their way through a softirq, which nothing announces.
        deadline = time.monotonic() + 5
        while self.counted(ns) < before + count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.counted(ns)

    def counted(self, ns):
        answer = ns.ask("counter", "web").split()
        self.assertEqual(answer[0], "ok")
        return int(answer[1])

    def step(self, ns, case):
        before = int(ns.ask("sent").split()[0])
        self.apply(ns, case)
        self.assertEqual(int(ns.ask("sent").split()[0]), before + 1, case)
        want = self.fresh(case)
        self.assertEqual(blocks(zeroed(ns.listing())), blocks(want[0]))

    def test_traffic_through_both_ports(self):
        with Namespace() as ns:
            ns.run("ip", "link", "add", "wan", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "outside")
            for argv in (("addr", "add", "100.64.0.2/24", "dev", "wan"),
                         ("link", "set", "wan", "up"), ("link", "set", "outside", "up")):
                ns.run("ip", *argv)
            self.step(ns, "moving-1")
            self.assertEqual(self.send(ns, 8443, 3), 3)
            ns.run(sys.executable, "-c", self.SEND, "20000", "1", "8444")  # not open yet
            self.step(ns, "moving-2")
            self.assertEqual(self.counted(ns), 3)
            self.assertEqual(self.send(ns, 8443, 4), 7)
            self.assertEqual(self.send(ns, 8444, 5), 12)
            self.step(ns, "moving-3")
            self.assertEqual(self.counted(ns), 12)
            ns.run(sys.executable, "-c", self.SEND, "20100", "1", "8443")  # not open any more
            self.assertEqual(self.send(ns, 8444, 6), 18)
            self.assertEqual(ns.ask("counters"), "ok web=18")


class Counters(Test):
    TABLE = "table inet pinhold {\n%s}\n"

    @staticmethod
    def counter(name, packets):
        return f"\tcounter {name} {{\n\t\tpackets {packets} bytes {packets}\n\t}}\n"

    def test_no_table(self):
        with Namespace() as ns:
            self.assertEqual(ns.ask("counters"), "ENOENT")
            self.assertEqual(ns.ask("counter", "web"), "ENOENT")
            ns.load("table ip pinhold {\n" + self.counter("web", 1) + "}\n")
            ns.load("table inet other {\n" + self.counter("web", 1) + "}\n")
            self.assertEqual(ns.ask("counters"), "ENOENT")
            self.assertEqual(ns.ask("counter", "web"), "ENOENT")

    def test_no_counters(self):
        with Namespace() as ns:
            self.apply(ns, "empty")
            self.assertEqual(ns.ask("counters"), "ok")
            self.assertEqual(ns.ask("counter", "web"), "ENOENT")

    def test_values(self):
        with Namespace() as ns:
            ns.load("table inet other {\n" + self.counter("web", 1) + "}\n")
            ns.load(self.TABLE % (self.counter("zz", 0) + self.counter("web", 2**62 + 7) +
                                  self.counter("A-b_9", 41) + self.counter("a" * 32, 1) +
                                  # Not by us.
                                  self.counter("a" * 33, 5) + "\tquota web {\n\t\t10 bytes\n\t}\n"))
            self.assertEqual(ns.ask("counters"), f"ok A-b_9=41 {'a' * 32}=1 web={2**62 + 7} zz=0")
            self.assertEqual(ns.ask("counter", "web"), f"ok {2**62 + 7}")
            self.assertEqual(ns.ask("counter", "we"), "ENOENT")
            self.assertEqual(ns.ask("counter", "a" * 33), "ENOENT")

    def test_beside_an_owned_table(self):
        """Its own socket, so an owned table stays when the questions' sockets are closed."""
        with Namespace() as ns, Namespace(ns) as other:
            self.apply(ns, "reference")
            for asker in (ns, other, ns):
                self.assertEqual(asker.ask("counters"), "ok admin=0 cam=0 own=0 vpn=0 web=0 wg=0")
            self.assertEqual(ns.ask("is-owner"), "yes")
            self.apply(ns, "tcp4")
            self.assertEqual(other.ask("counters"), "ok web=0")

    def test_many(self):
        with Namespace() as ns:
            ns.load(self.TABLE % "".join(self.counter(f"m{i}", 7 * i) for i in range(1000)))
            want = [f"{name}={7 * int(name[1:])}" for name in sorted(f"m{i}" for i in range(1000))]
            self.assertEqual(ns.ask("counters").split(), ["ok", *want])

    def test_interrupted(self):
        with Namespace() as ns:
            ns.load(self.TABLE % "".join(self.counter(f"m{i:04}", i) for i in range(1000)))
            want = ns.ask("counters")
            self.assertEqual(len(want.split()), 1001)
            ns.ask("interrupt-dumps", 1)
            self.assertEqual(ns.ask("counters"), want)
            ns.ask("interrupt")  # a signal
            self.assertEqual(ns.ask("counters"), want)
            ns.ask("lose-answers")
            self.assertEqual(ns.ask("counters"), want)
            ns.ask("interrupt-dumps", 1000)
            self.assertEqual(ns.ask("counters"), "EAGAIN")

    def test_cut_off(self):
        with Namespace() as ns:
            ns.load(self.TABLE % "".join(self.counter(f"m{i:04}", i) for i in range(1000)))
            want = ns.ask("counters")
            for nth in (1, 2, 3):
                ns.ask("cut-answer", nth)
                self.assertEqual(ns.ask("counters"), "EPROTO")
                self.assertEqual(ns.ask("counters"), want)
            ns.ask("cut-answer", 1)
            self.assertEqual(ns.ask("counter", "m0007"), "EPROTO")
            self.assertEqual(ns.ask("counter", "m0007"), "ok 7")

    def test_without_the_capability(self):
        with Namespace() as ns:
            self.apply(ns, "reference")
            ns.ask("drop-capabilities")
            self.assertEqual(ns.ask("counters"), "EPERM")
            self.assertEqual(ns.ask("counter", "web"), "EPERM")

    def test_allocations(self):
        with Namespace() as ns:
            self.apply(ns, "reference")
            for nth in itertools.count(1):
                answer = ns.ask("counters-failing", nth)
                if answer == "ok untouched":
                    break
                # libnftnl says of its own that it could not read the message.
                self.assertIn(answer, ("ENOMEM", "EPROTO"), nth)
            self.assertGreater(nth, 10)


class Names(Test):
    """No mapping may have a name that nft, the one installed here, does not read as one."""

    # Words that nft 1.0.6 refuses, or the tests have lost their way of asking.
    KNOWN = {"tcp", "udp", "ip", "ip6", "counter", "limit", "mark", "set", "name", "packets", "auto-merge",
             "lshift", "rshift", "xt", "accept"}

    @staticmethod
    def words():
        """Whatever may be a word of nft's: all of its library's strings and of its manual that look like one."""
        with Namespace() as ns:
            paths = ns.run("ldd", shutil.which("nft")).stdout
        library = re.search(r"=> (\S*libnftables\.so\S*)", paths)[1]
        text = b""
        for path in (library, shutil.which("nft")):
            with open(path, "rb") as f:
                text += f.read() + b"\0"
        words = {word.decode() for word in re.findall(rb"(?<![A-Za-z0-9_-])[a-z][a-z0-9_-]{1,31}(?![A-Za-z0-9_-])",
                                                      text)}
        words |= {word[1:].decode() for word in re.findall(rb"[\0\"][A-Za-z][A-Za-z0-9_-]{1,31}(?=[\0\"])", text)}
        words |= Names.KNOWN
        return sorted(words | {word.upper() for word in Names.KNOWN} | {f"web-{word}" for word in Names.KNOWN if
                                                                        len(word) < 29})

    @staticmethod
    def text(names):
        """What `pinhold ruleset` would say of such mappings, each table on its own."""
        return "".join(f"table inet t{i} {{\n\tcounter {name} {{\n\t\tpackets 0 bytes 0\n\t}}\n"
                       f"\tset allow4-{name} {{\n\t\ttype ipv4_addr\n\t}}\n"
                       f"\tset bound4 {{\n\t\ttype inet_service\n"
                       f"\t\telements = {{ 1 comment \"{name}: 192.0.2.1:1\" }}\n\t}}\n"
                       f"\tchain in-{name} {{\n\t\tip saddr @allow4-{name} counter name \"{name}\" comment \"{name}\"\n"
                       f"\t}}\n\tchain old-{name} {{\n\t}}\n"
                       f"\tmap m {{\n\t\ttype inet_service : verdict\n"
                       f"\t\telements = {{ 1 : goto in-{name}, 2 : goto old-{name} }}\n\t}}\n}}\n"
                       for i, name in enumerate(names))

    def loads(self, ns, names):
        return ns.run("nft", "-c", "-f", "-", stdin=self.text(names), check=False).returncode == 0

    def refused_by_nft(self, ns, names):
        """By halves: most words are none, and nft takes hundreds of tables at a time."""
        if not names or self.loads(ns, names):
            return set()
        if len(names) == 1:
            return set(names)
        half = len(names) // 2
        return self.refused_by_nft(ns, names[:half]) | self.refused_by_nft(ns, names[half:])

    def test_nft_agrees(self):
        words = self.words()
        self.assertGreater(len(words), 1000)
        refused = set(subprocess.run([TOOL, "names"], input="\n".join(words) + "\n", check=True, text=True,
                                     stdout=subprocess.PIPE).stdout.split())
        with Namespace() as ns:
            by_nft = set()
            for i in range(0, len(words), 64):
                by_nft |= self.refused_by_nft(ns, words[i:i + 64])
        self.assertLessEqual(self.KNOWN, by_nft)
        self.assertEqual(by_nft - refused, set())
        # What is refused without need is what other versions have as words.
        self.assertLess(len(refused - by_nft), 20, refused - by_nft)


class Ownership(Test):
    def test_goes_with_the_process(self):
        with Namespace() as ns, Namespace(ns) as other:
            self.apply(ns, "reference")
            self.assertEqual(other.tables(), ["table inet pinhold"])
            ns.tool.kill()
            ns.tool.wait()
            self.assertEqual(other.tables(), [])

    def test_survives_a_foreign_flush(self):
        with Namespace() as ns:
            self.apply(ns, "reference")
            before = ns.listing()
            ns.nft("flush", "ruleset", check=False)
            self.assertEqual(ns.listing(), before)

    def test_remove(self):
        with Namespace() as ns:
            self.assertEqual(ns.ask("remove"), "ok")
            self.apply(ns, "reference")
            self.assertEqual(ns.ask("remove"), "ok")
            self.assertEqual(ns.tables(), [])
            self.assertEqual(ns.ask("is-owner"), "no")
            self.apply(ns, "tcp4")
            self.assertEqual(ns.listing(), self.fresh("tcp4")[0])

    def test_other_tables_are_left_alone(self):
        other = "table ip other {\n\tchain c {\n\t}\n}\ntable ip pinhold {\n\tchain d {\n\t}\n}"
        with Namespace() as ns:
            ns.load(other)
            for case in ("reference", "tcp4"):
                self.apply(ns, case)
            self.assertEqual(ns.ask("remove"), "ok")
            self.assertEqual(ns.nft("list", "ruleset").strip(), other)

    def test_foreign_owner_is_named(self):
        with Namespace() as ns, Namespace(ns) as other:
            self.assertEqual(other.ask("owner"), "ENOENT")
            self.apply(ns, "reference")
            before = ns.listing()
            self.assertEqual(other.ask("apply", "tcp4"), "EPERM table inet pinhold")
            self.assertEqual(other.ask("owner"), f"{ns.tool.pid} golden_tool")
            self.assertEqual(other.ask("remove"), "ok")
            self.assertEqual(ns.listing(), before)
            self.apply(ns, "tcp4")

    def test_plain_table_is_nobodys(self):
        with Namespace() as ns:
            ns.nft("add", "table", "inet", "pinhold")
            self.assertEqual(ns.ask("owner"), "ENOENT")

    def test_leftover_is_purged(self):
        with Namespace() as ns:
            ns.load(printed("many"))
            ns.load("table inet pinhold {\n\tchain junk {\n\t\tdrop\n\t}\n}\n")
            self.apply(ns, "tcp4")
            self.assertEqual(ns.ask("is-owner"), "yes")
            self.assertEqual(ns.listing(), self.fresh("tcp4")[0])

    def test_kernel_without_the_flag(self):
        want = {case: self.fresh(case) for case in ("reference", "tcp4")}
        with Namespace() as ns:
            ns.load("table inet pinhold {\n\tchain junk {\n\t\tdrop\n\t}\n}\n")
            ns.ask("refuse-owner")
            self.apply(ns, "reference")
            self.assertEqual(ns.ask("is-owner"), "no")
            text = ns.nft("list", "table", "inet", "pinhold")
            self.assertNotIn("flags owner", text)
            self.assertEqual(text.rstrip("\n"), want["reference"][0])
            self.assertEqual(ns.ask("owner"), "ENOENT")
            self.apply(ns, "tcp4")
            self.assertEqual(blocks(ns.listing()), blocks(want["tcp4"][0]))
            self.assertEqual(ns.ask("remove"), "ok")
            self.assertEqual(ns.tables(), [])

    def test_plain_table_taken_away(self):
        with Namespace() as ns:
            ns.ask("refuse-owner")
            self.apply(ns, "reference")
            ns.nft("delete", "table", "inet", "pinhold")
            self.apply(ns, "tcp4")
            self.assertEqual(ns.listing(), self.fresh("tcp4")[0])
            ns.nft("flush", "ruleset")
            self.assertEqual(ns.ask("remove"), "ok")


class Refusals(Test):
    @staticmethod
    def but_the_flag(n):
        """Messages of a first transaction, less the third: refused, that one is tried without the flag."""
        return [i for i in range(1, n + 1) if i != 3]

    def test_without_the_capability(self):
        with Namespace() as ns:
            ns.ask("drop-capabilities")
            self.assertEqual(ns.ask("apply", "reference").split()[0], "EPERM")
            self.assertEqual(ns.tables(), [])
            self.assertEqual(ns.ask("owner"), "EPERM")

    def test_capability_lost_later(self):
        with Namespace() as ns:
            self.apply(ns, "reference")
            before = ns.listing()
            ns.ask("drop-capabilities")
            self.assertEqual(ns.ask("apply", "tcp4").split()[0], "EPERM")
            self.assertEqual(ns.listing(), before)

    def test_first_transaction_refused_at_each_message(self):
        with Namespace() as ns:
            self.apply(ns, "reference")
            n = int(ns.ask("sent").split()[1])
        with Namespace() as ns:
            for i in self.but_the_flag(n):
                ns.ask("corrupt", i)
                self.assertEqual(ns.ask("apply", "reference").split()[0], "EINVAL", i)
                self.assertEqual(ns.tables(), [], i)
            self.apply(ns, "reference")
            self.assertEqual(ns.listing(), self.fresh("reference")[0])

    def test_difference_refused_at_each_message(self):
        """Whatever the kernel dislikes in it: the whole table takes its place, in one transaction."""
        pairs = [("reference", "interfaces"), ("both-protocols", "swapped"),
                 ("tcp4", "tcp4-readdressed"), ("tcp4", "empty"), ("empty", "reference")]
        for before, after in pairs:
            with Namespace() as ns:
                self.apply(ns, before)
                self.apply(ns, after)
                n = int(ns.ask("sent").split()[1])
                want = ns.listing()
            with self.subTest(f"{before}, then {after}"), Namespace() as ns:
                for i in range(1, n + 1):
                    self.apply(ns, before)
                    ns.ask("corrupt", i)
                    self.apply(ns, after)
                    self.assertEqual(blocks(unordered(ns.listing())), blocks(unordered(want)), i)

    def test_says_what_was_refused(self):
        with Namespace() as ns:
            self.apply(ns, "reference")
            n = int(ns.ask("sent").split()[1])
        with Namespace() as ns:
            told = set()
            for i in self.but_the_flag(n):
                ns.ask("corrupt", i)
                told.add(ns.ask("apply", "reference").partition(" ")[2])
            self.assertLessEqual({"table inet pinhold", "counter web", "set peers4",
                                  "element of inbound4", "chain in-web", "rule in chain in-web",
                                  "rule in chain prerouting"}, told)
            self.assertNotIn("", told)

    def test_answers_lost(self):
        want = self.fresh("tcp4")
        with Namespace() as ns:
            ns.ask("lose-answers")
            self.assertEqual(ns.ask("apply", "reference").split()[0], "ENOBUFS")
            self.apply(ns, "reference")
            ns.ask("lose-answers")
            self.assertEqual(ns.ask("apply", "tcp4").split()[0], "ENOBUFS")
            self.apply(ns, "tcp4")
            self.assertEqual(ns.listing(), want[0])
            self.assertEqual(ns.bytecode(), want[1])

    def test_answers_lost_and_removed(self):
        with Namespace() as ns:
            ns.ask("lose-answers")
            self.assertEqual(ns.ask("apply", "reference").split()[0], "ENOBUFS")
            self.assertEqual(ns.ask("remove"), "ok")
            self.assertEqual(ns.tables(), [])

    def test_signals(self):
        with Namespace() as ns:
            for case in ("reference", "tcp4"):
                ns.ask("interrupt")
                self.apply(ns, case)
            self.assertEqual(blocks(ns.listing()), blocks(self.fresh("tcp4")[0]))


class Memory(Test):
    """Every allocation fails once: nothing is sent, or all of it."""

    def walk(self, before, after):
        want = self.fresh(after)
        with Namespace() as ns:
            if before:
                self.apply(ns, before)
            was = ns.nft("-a", "list", "ruleset")
            failures = 0
            for nth in itertools.count(1):
                answer = ns.ask("apply-failing", nth, after)
                if answer == "ok untouched":
                    break
                self.assertEqual(answer, "ENOMEM", nth)
                failures += 1
                # One look in a hundred costs little, and a wider rule does not go away by itself.
                if nth % 100 == 0:
                    self.assertEqual(ns.nft("-a", "list", "ruleset"), was, nth)
            self.assertGreater(failures, 10)
            self.assertEqual(blocks(ns.listing()), blocks(want[0]))
            self.assertEqual(bytecode_blocks(ns.bytecode()), bytecode_blocks(want[1]))
            return int(ns.ask("sent").split()[0])

    def test_first(self):
        self.assertEqual(self.walk(None, "reference"), 1)

    def test_difference(self):
        self.assertEqual(self.walk("reference", "interfaces"), 2)

    def test_to_nothing(self):
        self.assertEqual(self.walk("reference", "empty"), 2)


if __name__ == "__main__":
    unittest.main(argv=["golden.py", *sys.argv[3:]], verbosity=2)
