# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces, as objects whose sockets and commands the lab uses.

A socket belongs to the namespace of the thread that made it, and a child process starts in its parent
thread's; so everything here enters the namespace with setns(2) for as long as it takes to make one or the
other. No helper process lives in a namespace.
"""
import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import weakref

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_home = None  # the sandbox's own namespace, in which nothing of the lab lives


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class CommandFailed(AssertionError):
    pass


def run(command, stdin=None, check=True, timeout=20, env=None):
    """Runs a command to its end; its output. A failure shows what the command said."""
    if isinstance(command, str):
        command = command.split()
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=timeout, env=env,
                          errors="backslashreplace")
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: exit status {done.returncode}\n"
                            f"{done.stdout[-4000:]}{done.stderr[-4000:]}{(stdin or '')[:4000]}")
    return done.stdout if check else done


class Namespace:
    """One network namespace, made by Topology."""

    def __init__(self, name):
        global _home
        if _home is None:
            _home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.name = name
        self._sockets = weakref.WeakSet()
        self._fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)

    def __repr__(self):
        return f"<{self.name}>"

    def delete(self):
        """It is gone when its last socket and process are."""
        run(["ip", "netns", "del", self.name])
        os.close(self._fd)

    @contextlib.contextmanager
    def entered(self):
        """Within it, this thread's new sockets and processes belong to the namespace. Does not nest."""
        _setns(self._fd)
        try:
            yield
        finally:
            _setns(_home)

    def socket(self, family, kind):
        with self.entered():
            made = socket.socket(family, kind)
        self._sockets.add(made)
        return made

    def keep_sockets(self):
        """What has been made so far belongs to the lab, not to a test."""
        self._sockets = weakref.WeakSet()

    def close_sockets(self):
        """What a failed test has left open."""
        for s in list(self._sockets):
            s.close()
        self.keep_sockets()

    def run(self, command, **options):
        with self.entered():
            return run(command, **options)

    def spawn(self, command, **options):
        with self.entered():
            return subprocess.Popen(command, **options)

    def ip(self, *commands):
        """Lines for ip(8), carried out in one process; stops at the first that fails."""
        self.run(["ip", "-batch", "-"], stdin="\n".join(commands) + "\n")

    def nft(self, text):
        """One transaction of nft's language."""
        self.run(["nft", "-f", "-"], stdin=text)

    def sysctl(self, path, value):
        """Writes net/...; a path that this kernel lacks is passed over."""
        with self.entered():
            with contextlib.suppress(FileNotFoundError):
                with open("/proc/sys/" + path, "w", encoding="ascii") as f:
                    f.write(str(value))

    def read_sysctl(self, path):
        with self.entered():
            with open("/proc/sys/" + path, encoding="ascii") as f:
                return f.read().strip()

    def flush_conntrack(self):
        self.run(["conntrack", "-F"])

    def conntrack(self, *arguments):
        """The entries that conntrack(8) -L lists with these arguments, as lines."""
        done = self.run(["conntrack", "-L", *arguments], check=False)
        return done.stdout.splitlines()

    def kill_sockets(self):
        """Ends every TCP socket, TIME_WAIT and FIN_WAIT too, so that one test's do not hinder the next."""
        self.run(["ss", "-K", "-t", "-a", "state", "connected"], check=False)

    def addresses(self, interface):
        lines = self.run(["ip", "-o", "addr", "show", "dev", interface]).splitlines()
        return [line.split()[3] for line in lines]


def add_namespaces(names):
    run(["ip", "-batch", "-"], stdin="".join(f"netns add {name}\n" for name in names))
    made = [Namespace(name) for name in names]
    for ns in made:
        # Addresses are usable at once, and nothing but what the lab does changes them.
        for path, value in (("net/ipv6/conf/default/accept_dad", 0),
                            ("net/ipv6/conf/default/accept_ra", 0),
                            ("net/ipv6/conf/default/router_solicitations", 0),
                            ("net/ipv4/conf/all/rp_filter", 0),
                            ("net/ipv4/conf/default/rp_filter", 0),
                            ("net/ipv4/ping_group_range", "0 2147483647"),
                            ("net/bridge/bridge-nf-call-iptables", 0),
                            ("net/bridge/bridge-nf-call-ip6tables", 0)):
            ns.sysctl(path, value)
        ns.ip("link set lo up")
    return made


def forward(ns):
    ns.sysctl("net/ipv4/ip_forward", 1)
    ns.sysctl("net/ipv6/conf/all/forwarding", 1)


def group(number):
    """The processes of a process group."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(ProcessLookupError):
            if entry.isdigit() and os.getpgid(int(entry)) == number:
                found.append(int(entry))
    return found


def wait_exit(pid, timeout):
    """Waits for the end of any process, child or not; False if it lives on. Does not reap."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(fd)


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
