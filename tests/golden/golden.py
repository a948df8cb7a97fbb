# SPDX-License-Identifier: GPL-2.0-or-later
"""The table that pinhold sends to the kernel, against the table that nft makes of the text.

golden.py TOOL REFERENCE [TEST...]: the golden_tool, nft/pinhold.nft, and what to run (unittest names).
"""

import itertools
import os
import re
import subprocess
import sys
import unittest

TOOL, REFERENCE = sys.argv[1:3]
ROOT = os.geteuid() == 0


class Namespace:
    """A network namespace with a golden_tool in it. An owned table dies with the tool."""

    def __init__(self, other=None):
        """A new one, or another golden_tool in the namespace of an earlier one."""
        if other:
            enter = other.enter
        else:
            enter = ["unshare", "-n"] if ROOT else ["unshare", "-rn"]
        self.tool = subprocess.Popen(
            [*enter, TOOL, "serve"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        kinds = ["-n"] if ROOT else ["--preserve-credentials", "-U", "-n"]
        self.enter = ["nsenter", "-t", str(self.tool.pid), *kinds]

    def __enter__(self):
        self.ask("sent")  # it is there, so the namespace is
        return self

    def __exit__(self, *_):
        self.tool.stdin.close()
        self.tool.stdout.close()
        status = self.tool.wait()
        assert status in (0, -9), f"golden_tool: exit status {status}"

    def ask(self, *words):
        self.tool.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.tool.stdout.readline()
        assert answer, f"golden_tool died over {words}"
        return answer.strip()

    def run(self, *argv, stdin=None, check=True):
        return subprocess.run(
            [*self.enter, *argv],
            input=stdin, text=True, check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def nft(self, *args, **kwargs):
        return self.run("nft", *args, **kwargs).stdout

    def load(self, text):
        self.nft("-f", "-", stdin=text)

    def listing(self):
        return listing(self.nft("list", "table", "inet", "pinhold"))

    def bytecode(self):
        return bytecode(self.nft("--debug=netlink", "list", "table", "inet", "pinhold"))

    def tables(self):
        return self.nft("list", "tables").split("\n")[:-1]


def listing(text):
    """nft's listing, less what only an owned table has."""
    text = re.sub(r"\{ # progname .*", "{", text)
    return text.replace("\tflags owner\n\n", "").replace("\tflags owner\n", "").rstrip("\n")


def bytecode(text):
    """Expressions and elements as the kernel has them, less handles; elements come in no order."""
    text = text[:text.index("table inet pinhold")]
    text = re.sub(r"^(inet pinhold \S+) \d+( \d+)?$", r"\1", text, flags=re.M)
    out, elements = [], []
    for line in text.split("\n"):
        if line.startswith("\telement"):
            elements.append(line)
            continue
        out += sorted(elements)
        elements = []
        if line:
            out.append(line)
    return out


def blocks(text):
    """The parts of a listing in alphabetic order: the kernel lists objects by age."""
    return sorted(re.split(r"\n\n", text.removesuffix("\n}").removeprefix("table inet pinhold {\n")))


def bytecode_blocks(lines):
    parts = []
    for line in lines:
        if line.startswith("inet "):
            parts.append([])
        parts[-1].append(line)
    # A chain's rules keep their order among themselves.
    return sorted(parts, key=lambda part: part[0])


def unordered(text):
    """A listing in which the elements of each set stand in alphabetic order."""
    def one(match):
        return match[1] + ",\n\t\t\t     ".join(sorted(re.split(r",\s+", match[2]))) + " }\n"
    return re.sub(r"(elements = \{ )(.*?) \}\n", one, text, flags=re.S)


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
            return ns.listing(), ns.bytecode()


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


class Sequences(Test):
    def test_every_case_after_every_other(self):
        small = [case for case in cases() if not case.startswith("many")]
        want = {case: self.fresh(case) for case in small}
        with Namespace() as ns:
            for before, after in itertools.permutations(small, 2):
                with self.subTest(f"{before}, then {after}"):
                    self.apply(ns, before)
                    self.apply(ns, after)
                    self.assertEqual(blocks(ns.listing()), blocks(want[after][0]))
                    self.assertEqual(bytecode_blocks(ns.bytecode()),
                                     bytecode_blocks(want[after][1]))

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

    def test_public_endpoint_touches_one_rule(self):
        with Namespace() as ns:
            self.apply(ns, "many")
            before = self.handles(ns)
            self.apply(ns, "many-changed")
            after = self.handles(ns)
            gone = {line for line in before if after.get(line) != before[line]}
            come = {line for line in after if before.get(line) != after[line]}
            self.assertEqual((len(gone), len(come)), (1, 1))
            self.assertIn('comment "m750: ', gone.pop())
            self.assertIn('comment "m750: ', come.pop())
            # Flush the chain, add the rule: nothing else.
            self.assertEqual(ns.ask("sent").split()[1], "2")

    def test_private_endpoint_keeps_counter_and_chains(self):
        with Namespace() as ns:
            self.apply(ns, "tcp4")
            before = self.handles(ns)
            self.apply(ns, "tcp4-readdressed")
            after = self.handles(ns)
            for line in ("counter web {", "chain in-web {", "chain prerouting {"):
                self.assertEqual(before[line], after[line])


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
            self.assertNotIn("flags", text)
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
        pairs = [("reference", "interfaces"), ("both-protocols", "swapped"),
                 ("tcp4", "tcp4-readdressed"), ("tcp4", "empty"), ("empty", "reference")]
        for before, after in pairs:
            with Namespace() as ns:
                self.apply(ns, before)
                self.apply(ns, after)
                n = int(ns.ask("sent").split()[1])
                want = ns.listing()
            with self.subTest(f"{before}, then {after}"), Namespace() as ns:
                self.apply(ns, before)
                was = ns.nft("-a", "list", "table", "inet", "pinhold")
                for i in range(1, n + 1):
                    ns.ask("corrupt", i)
                    self.assertEqual(ns.ask("apply", after).split()[0], "EINVAL", i)
                    self.assertEqual(ns.nft("-a", "list", "table", "inet", "pinhold"), was, i)
                self.apply(ns, after)
                self.assertEqual(ns.listing(), want)

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
