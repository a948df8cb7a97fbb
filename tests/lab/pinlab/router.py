# SPDX-License-Identifier: GPL-2.0-or-later
"""The OpenWrt package, installed on the lab's gateway as far as its scripts see: BusyBox, and thin stand-ins for what they
call (tests/openwrt/root).
"""
import json
import os
import shutil
import stat

from . import daemon, net
from .layer import Layer

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PACKAGE, STANDINS = f"{TOP}/openwrt-package/pinhold", f"{TOP}/tests/openwrt"

FIREWALL = """
config defaults
	option input 'REJECT'

config zone
	option name 'lan'
	list network 'lan'

config zone
	option name 'wan'
	list network 'wan'
"""
NETWORK = """
config interface 'wan'
	option device 'eth1'
	option proto 'dhcp'

config interface 'dsl'
	option device 'eth2'
	option proto 'pppoe'
"""


def make(destination, *targets):
    """The package's Makefile, in a build system that is as thin as can be; the program is the one under test."""
    built = f"{destination}/built"
    os.makedirs(f"{built}/usr/sbin")
    os.makedirs(f"{built}/usr/libexec")
    build = os.path.dirname(daemon.program())
    os.symlink(daemon.program(), f"{built}/usr/sbin/pinhold")
    os.symlink(f"{build}/publish/pinhold-publish", f"{built}/usr/libexec/pinhold-publish")
    return net.run(["make", "-s", "-C", PACKAGE, f"TOPDIR={STANDINS}/sdk", f"INCLUDE_DIR={STANDINS}/sdk/include",
                    f"PKG_BUILD_DIR={destination}/source", f"PKG_INSTALL_DIR={built}", f"DESTDIR={destination}", *targets])


class Router(Layer):
    """A fresh one with the package, the zones lan and wan, and the interface wan, which is up as `wan`."""

    def __init__(self, lab, tmp_path):
        super().__init__()
        self._ns = lab.gw.ns
        packages = str(tmp_path / "packages")
        make(packages, "prepare", "install")
        # What Debian has there would not be on a router.
        for path in ("/etc/config", "/etc/pinhold", "/usr/share/pinhold", "/usr/share/nftables.d", "/var/lib/pinhold"):
            shutil.rmtree(self.root + path, ignore_errors=True)
        for directory in ("run", "tmp"):
            net.run(["mount", "-t", "tmpfs", "tmpfs", f"{self.root}/{directory}"])
        net.run(["mount", "--bind", "/proc", f"{self.root}/proc"])
        net.run(["mount", "--bind", "/dev", f"{self.root}/dev"])
        os.makedirs(self.root + "/opt/busybox")
        self._chroot("busybox", "--install", "-s", "/opt/busybox")
        self.delete("/opt/busybox/logger")
        self.delete("/usr/bin/sh")
        os.symlink("/opt/busybox/sh", f"{self.root}/usr/bin/sh")
        for source in (f"{STANDINS}/root", f"{packages}/pinhold", f"{packages}/pinhold-publish"):
            # /sbin and /lib are links here.
            net.run(["sh", "-c", f"tar -C {source} -chf - . | tar -C {self.root} -xf - --no-same-owner --keep-directory-symlink"])
        self.scripts = {name: f"{packages}/pinhold.{name}" for name in ("postinst", "prerm", "postrm", "conffiles")}
        self.write("/etc/config/firewall", FIREWALL)
        self.write("/etc/config/network", NETWORK)
        self.write("/tmp/up/wan", "wan\n")

    def _chroot(self, *command, check=True, env=None):
        environment = {"PATH": "/opt/busybox:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                       "ASAN_OPTIONS": "detect_leaks=0", **(env or {})}
        with self._ns.entered():
            return net.run(["chroot", self.root, *command], check=check, timeout=60, env=environment)

    def service(self, action, *arguments, check=True):
        """What `service pinhold ACTION` does; the CompletedProcess."""
        self.write("/tmp/log", self.read("/tmp/log") or "")
        return self._chroot("/etc/init.d/pinhold", action, *arguments, check=False) if not check else self._chroot(
            "/etc/init.d/pinhold", action, *arguments)

    def run(self, *command, check=True):
        return self._chroot(*command, check=check)

    def script(self, name):
        """A script of the package manager's."""
        shutil.copy(self.scripts[name], f"{self.root}/tmp/{name}")
        return self._chroot("sh", f"/tmp/{name}", check=False)

    def configure(self, text):
        self.write("/etc/config/pinhold", text)

    def log(self):
        return (self.read("/tmp/log") or "").splitlines()

    def conf(self):
        return self.read("/var/etc/pinhold.conf")

    def procd(self):
        """What procd was told last: [[call, word...]]."""
        return [line.split("\x1f")[:-1] for line in (self.read("/tmp/procd") or "").splitlines()]

    def parameters(self):
        """Of the instance: {name: [word...]}."""
        found = {}
        for call, *words in self.procd():
            if call in ("set_param", "append_param"):
                found.setdefault(words[0], []).extend(words[1:])
        return found

    def fw4(self):
        """What fw4 was called for."""
        return (self.read("/tmp/fw4") or "").splitlines()

    def capabilities(self):
        return json.loads(self.read("/etc/capabilities/pinhold.json"))

    def mode(self, path):
        return stat.S_IMODE(os.stat(self.root + path).st_mode)

    def remove(self):
        for directory in ("dev", "proc", "tmp", "run"):
            net.run(["umount", "-l", f"{self.root}/{directory}"])
        super().remove()
