# SPDX-License-Identifier: GPL-2.0-or-later
"""This machine's files under a layer of its own: what is written there is nowhere else."""
import contextlib
import itertools
import os

from . import net
from .servers import DIRECTORY

_serial = itertools.count(1)


class Layer:
    """`root` is its root directory, seen from outside."""

    def __init__(self):
        self._base = base = f"{DIRECTORY}/layer-{next(_serial)}"
        os.makedirs(base)
        net.run(["mount", "-t", "tmpfs", "tmpfs", base])
        for name in ("upper", "work", "root"):
            os.mkdir(f"{base}/{name}")
        self.root = f"{base}/root"
        net.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={base}/upper,workdir={base}/work",
                 self.root])
        net.run(["mount", "--bind", self.root, self.root])

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        self.delete(path)
        with open(self.root + path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.root + path, mode)

    def delete(self, path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.root + path)

    def read(self, path):
        """None: it is not there."""
        try:
            with open(self.root + path, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def remove(self):
        net.run(["umount", "-l", self._base])
