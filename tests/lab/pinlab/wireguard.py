# SPDX-License-Identifier: GPL-2.0-or-later
"""Real WireGuard, for the tests' UDP services."""
import subprocess

from .servers import DIRECTORY


class Tunnel:
    """One end of a WireGuard tunnel, by wireguard-go: the kernel here may have none."""

    def __init__(self, ns, name, inner, port=None):
        self.ns, self.name, self.inner, self._port = ns, name, inner, port
        self.public_key = self._process = None

    def __enter__(self):
        try:
            self._start()
            return self
        except BaseException:
            self.__exit__()
            raise

    def _start(self):
        self._process = self.ns.spawn(
            ["wireguard-go", "-f", self.name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin", "LOG_LEVEL": "verbose"})
        said = []
        for line in self._process.stdout:
            said.append(line)
            if b"UAPI listener started" in line:
                break
        else:
            raise AssertionError(f"wireguard-go did not start: {said}")
        private_key = self.ns.run(["wg", "genkey"])
        self.public_key = self.ns.run(["wg", "pubkey"], stdin=private_key).strip()
        path = f"{DIRECTORY}/{self.name}.key"
        with open(path, "w", encoding="ascii") as f:
            f.write(private_key)
        self.ns.run(["wg", "set", self.name, "private-key", path,
                     *(["listen-port", str(self._port)] if self._port else [])])
        self.ns.ip(f"addr add {self.inner}/24 dev {self.name}", f"link set {self.name} up")

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def peer(self, other, endpoint=None):
        self.ns.run(["wg", "set", self.name, "peer", other.public_key, "allowed-ips", f"{other.inner}/32",
                     *(["endpoint", f"{endpoint[0]}:{endpoint[1]}"] if endpoint else [])])
