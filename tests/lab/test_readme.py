# SPDX-License-Identifier: GPL-2.0-or-later
"""README's quick start, literally, on a machine with systemd."""
import os
import re
import shutil

import pytest

from pinlab import net
from pinlab.layer import Layer
from pinlab.machine import Machine
from pinlab.router import TOP

QUICK_START = "## Quick start on Debian"


def blocks(headline):
    """The indented blocks of a section."""
    with open(f"{TOP}/README.md", encoding="utf-8") as f:
        section = f.read().split(f"\n{headline}", 1)[1].split("\n## ", 1)[0]
    return [re.sub("^    ", "", b, flags=re.M) for b in re.findall(r"(?:^    .*\n)+(?:\n(?:^    .*\n)+)*", section, re.M)]


def test_quick_start_names_every_package():
    """What it has apt install is what tests/packages has it install to build."""
    apt, *_ = blocks(QUICK_START)[0].splitlines()
    named = apt.removeprefix("sudo apt install ").split()
    listed = net.run([f"{TOP}/tests/packages", "--list"]).split()
    built = {p for p in listed if p.endswith("-dev") and "cmocka" not in p and "clang" not in p}
    assert built | {"build-essential", "meson", "pkg-config"} == set(named)


@pytest.mark.long
def test_quick_start(lab):
    build, configuration, start = blocks(QUICK_START)[:3]
    lab.isp.full_cone(32451)
    # The built-in servers are the lab's.
    lab.internet.dns.everything = [s.address for s in lab.internet.real]
    machine = Machine(lab)
    assert isinstance(machine, Layer)
    shutil.copytree(TOP, machine.root + "/srv/pinhold", ignore=shutil.ignore_patterns("build", ".git"))
    machine.write("/etc/pinhold.conf", configuration)
    os.makedirs(machine.root + "/usr/local/bin", exist_ok=True)
    machine.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', 0o755)
    path = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; cd /srv/pinhold; set -e; "
    with machine:
        commands = build.splitlines()
        assert commands[0].startswith("sudo apt install ")
        # What that brings is here: tests/packages has installed it.
        for line in commands[1:] + start.splitlines():
            said = machine.run("sh", "-c", path + line, timeout=300).stdout
        assert "MAPPING" in said, said
        machine.wait(lambda: "203.0.113.7:32451" in machine.run("sh", "-c", path + "pinhold status").stdout)
        assert lab.client.get(("203.0.113.7", 32451)).body == "nas"
        machine.run("systemctl", "stop", "pinhold")
