# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine with systemd as its first process: this one's files under a layer of its own, on the lab's gateway."""
import os
import signal
import subprocess
import time

from . import daemon, net
from .layer import Layer

_PREPARE = """
set -e
mount -t proc proc $R/proc
mount -t sysfs -o ro sysfs $R/sys
mount -t tmpfs tmpfs $R/sys/fs/cgroup || true
mount -t cgroup2 cgroup2 $R/sys/fs/cgroup
for d in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $R/$d; done
chmod 1777 $R/tmp
for d in null zero full random urandom tty; do
	touch $R/dev/$d
	mount --bind /dev/$d $R/dev/$d
done
mkdir $R/dev/pts $R/dev/shm $R/.outside
mount -t devpts -o newinstance,ptmxmode=0666 devpts $R/dev/pts
ln -s pts/ptmx $R/dev/ptmx
ln -s /proc/self/fd $R/dev/fd
cd $R
pivot_root . .outside
umount -l /.outside
mount --make-rshared /
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target --show-status=0
"""


class Machine(Layer):
    """It is up when the `with` block begins."""

    def __init__(self, lab):
        super().__init__()
        self._lab = lab
        self._process = self._first = None
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/resolv.conf", f"nameserver {lab.internet.DNS}\noptions timeout:1 attempts:1\n")

    def __enter__(self):
        self._process = self._lab.gw.ns.spawn(
            ["unshare", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-c", _PREPARE],
            env={**os.environ, "R": self.root}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        # Nobody outside is told when it is up; it answers systemctl some time before.
        while not self._up():
            assert self._process.poll() is None, "its first process has ended"
            assert time.monotonic() < deadline, self.run("systemctl", "list-units", "--failed", check=False).stdout
            time.sleep(0.05)
        return self

    def _up(self):
        path = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        with open(path, encoding="ascii") as f:
            children = f.read().split()
        if not children:
            return False
        self._first = children[0]
        with open(f"/proc/{self._first}/comm", encoding="ascii") as f:
            if f.read() != "systemd\n":
                return False
        return self.run("systemctl", "is-active", "basic.target", check=False).stdout == "active\n"

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        # With its first process goes every other.
        assert net.wait_exit(int(self._first), 10)
        self.remove()

    def run(self, *command, check=True, timeout=60):
        done = subprocess.run(["nsenter", "--target", self._first, "--all", *command], text=True, capture_output=True,
                              timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}{self.log()}"
        return done

    def show(self, name, unit="pinhold"):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def log(self):
        done = subprocess.run(["nsenter", "--target", self._first, "--all", "journalctl", "-u", "pinhold", "-o", "cat",
                               "--no-pager"], text=True, capture_output=True, timeout=60, check=False)
        return done.stdout

    def wait(self, wanted, timeout=daemon.PATIENCE):
        """Until wanted() holds; systemd has nobody to be asked to wait for that."""
        deadline = time.monotonic() + timeout
        while not wanted():
            assert time.monotonic() < deadline, f"{self.run('systemctl', 'status', 'pinhold', check=False).stdout}{self.log()}"
            time.sleep(0.05)
