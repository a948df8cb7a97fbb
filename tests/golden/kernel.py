# SPDX-License-Identifier: GPL-2.0-or-later
"""A network namespace with a golden_tool in it, and what the kernel lists there, in a form to compare.

The first argument of the program that imports this is the golden_tool.
"""

import os
import re
import subprocess
import sys

TOOL = sys.argv[1]
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

    def both(self):
        """Listing and bytecode by one nft."""
        text = self.nft("--debug=netlink", "list", "table", "inet", "pinhold")
        return listing(text[text.index("table inet pinhold"):]), bytecode(text)

    def tables(self):
        return self.nft("list", "tables").split("\n")[:-1]


def listing(text):
    """nft's listing, less what only an owned table has."""
    text = re.sub(r"\{ # progname .*", "{", text)
    return text.replace("\tflags owner\n\n", "").replace("\tflags owner\n", "").rstrip("\n")


def bytecode(text):
    """Expressions and elements as the kernel has them, less handles; elements come in no order.

    Less, too, the end of no range at address 0 that nft puts into a set of ranges when it makes one.
    """
    text = text[:text.index("table inet pinhold")]
    text = re.sub(r"^(inet pinhold \S+) \d+( \d+)?$", r"\1", text, flags=re.M)
    out, elements = [], []
    for line in text.split("\n"):
        if line.startswith("\telement"):
            if not re.fullmatch(r"\telement( 00000000)+  : 1 \[end\]", line):
                elements.append(line)
            continue
        out += sorted(elements)
        elements = []
        if line:
            out.append(line)
    return out


def zeroed(text):
    """A listing without what has been counted."""
    return re.sub(r"packets \d+ bytes \d+", "packets 0 bytes 0", text)


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
