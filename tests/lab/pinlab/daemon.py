# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold under test: started in the gateway, its log lines and hook calls awaited as they come."""
import collections
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading

from . import net
from .servers import DIRECTORY

SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error:|DEADLYSIGNAL")

# Generous, so that a loaded machine with sanitizers passes; every wait ends as soon as what it waits for
# has come.
PATIENCE = 20

_serial = itertools.count(1)

Hook = collections.namedtuple(
    "Hook", "address port ip4p private_port proto private_address env argv stdin pgid pid")
Hook.endpoint = property(lambda self: (self.address, int(self.port)))
Hook.event = property(lambda self: self.env.get("PINHOLD_EVENT"))


def program():
    path = os.environ.get("PINHOLD", "build/src/pinhold")
    assert os.access(path, os.X_OK), f"{path}: no pinhold there; set PINHOLD to the one to be tested"
    return os.path.abspath(path)


def plain_program():
    """The same on a kernel without the owner flag: BUILD/tests/lab/pinhold-plain beside BUILD/src/pinhold."""
    path = os.path.join(os.path.dirname(os.path.dirname(program())), "tests", "lab", "pinhold-plain")
    assert os.access(path, os.X_OK), f"{path}: not built"
    return path


def environment():
    """Sanitizers report on stderr and end the process with a status of their own."""
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:exitcode=88:abort_on_error=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=88")
    return env


def script(text, mode=0o755, name=None):
    """Writes an executable; its path."""
    path = f"{DIRECTORY}/{name or f'script-{next(_serial)}'}"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


class HookReceiver:
    """A hook program and the socket to which it reports each call of it."""

    def __init__(self, then=""):
        """then: Python that the hook runs after its report (sys and os are imported)."""
        path = f"{DIRECTORY}/hook-{next(_serial)}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._condition = threading.Condition()
        self.calls = []
        self._read_so_far = 0
        self._over = False
        self.path = script(
            "#!/usr/bin/python3 -IS\n"
            "import json, os, socket, sys\n"
            "report = dict(argv=sys.argv[1:], env=dict(os.environ), pgid=os.getpgrp(), pid=os.getpid(),\n"
            "              stdin=os.readlink('/proc/self/fd/0'))\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            f"s.sendto(json.dumps(report).encode(), {path!r})\n"
            "s.close()\n" + then + "\n")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            data = self._socket.recv(1 << 18)
            if not data:
                return
            report = json.loads(data)
            argv = report["argv"]
            with self._condition:
                self.calls.append(Hook(*(argv + [None] * 6)[:6], report["env"], argv, report["stdin"],
                                       report["pgid"], report["pid"]))
                self._condition.notify_all()

    def wait(self, timeout):
        """The next call; each is handed out once."""
        with self._condition:
            came = self._condition.wait_for(lambda: len(self.calls) > self._read_so_far or self._over, timeout)
            if not came or len(self.calls) == self._read_so_far:
                return None
            self._read_so_far += 1
            return self.calls[self._read_so_far - 1]

    def all(self, count, timeout=PATIENCE):
        """All calls from the first on, when there are so many, by whichever daemon."""
        self.wait_for(lambda: len(self.calls) >= count, timeout)
        return list(self.calls)

    def wait_for(self, wanted, timeout=PATIENCE):
        """Whether it came true: a hook that has ended was not necessarily read already."""
        with self._condition:
            return self._condition.wait_for(wanted, timeout)

    def nobody_calls(self):
        """Whoever called it is gone: nobody need wait any longer."""
        with self._condition:
            self._over = True
            self._condition.notify_all()

    def pending(self):
        with self._condition:
            return self.calls[self._read_so_far:]


class Pinhold:
    """A running pinhold. Used as a context manager it is ended by SIGTERM, and must end well."""

    def __init__(self, lab, arguments, hook=True, servers=True, ns=None, prefix=(), then="", env=None,
                 inspect=True):
        """hook: give it a hook (-e) that reports here; then: Python that the hook runs beside.

        servers: where the arguments name no STUN or no keep-alive server, add the lab's four.

        prefix: a command that runs pinhold (setpriv ...). inspect: complain at the end if it crashed,
        leaked or left its table.
        """
        self.hooks = HookReceiver(then) if hook else None
        command = [*prefix, program(), *map(str, arguments)]
        for option in ("-s", "-h"):
            if servers and option not in arguments and not (option == "-h" and "-u" in arguments):
                for s in lab.internet.real:
                    command += [option, s.address6 if "-6" in arguments else s.address]
        if hook:
            command += ["-e", self.hooks.path]
        self._start(lab, command, ns, env, inspect)

    def _start(self, lab, command, ns=None, env=None, inspect=True):
        self._lab = lab
        self._inspect = inspect
        self.command = command
        self._condition = threading.Condition()
        self.lines = []
        self._open = 2
        self.exit_status = None
        self.process = (ns or lab.gw.ns).spawn(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment(), **(env or {})})
        self.pid = self.process.pid
        for stream in (self.process.stdout, self.process.stderr):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            with self._condition:
                self.lines.append(line.decode(errors="backslashreplace").rstrip("\n"))
                self._condition.notify_all()
        stream.close()
        with self._condition:
            self._open -= 1
            self._condition.notify_all()
        if not self._open:
            for receiver in self._receivers():
                receiver.nobody_calls()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and self.exit_status is None:
            assert self.stop() == 0, self.story()
        # After a failure Lab.reset() buries it.

    # Waiting.

    def wait_hook(self, timeout=PATIENCE):
        """The next call of the hook."""
        call = self.hooks.wait(timeout)
        assert call, f"no hook call within {timeout} s\n{self.story()}"
        return call

    def wait_log(self, pattern, timeout=PATIENCE, start=0):
        """The match of the first log line, past (from line `start`) or future, that fits the pattern."""
        wanted = re.compile(pattern)

        def find():
            return next((m for m in map(wanted.search, self.lines[start:]) if m), None)

        with self._condition:
            self._condition.wait_for(lambda: find() or not self._open, timeout)
            found = find()
        assert found, f"no log line like {pattern!r} within {timeout} s\n{self.story()}"
        return found

    def count(self):
        """How many log lines there are: a `start` for wait_log()."""
        with self._condition:
            return len(self.lines)

    def logged(self, pattern):
        """All lines so far that fit."""
        with self._condition:
            return [line for line in self.lines if re.search(pattern, line)]

    def wait_exit(self, timeout=PATIENCE):
        """Its exit status (-N: ended by signal N); all it said has been read by then."""
        if self.exit_status is None:
            assert net.wait_exit(self.pid, timeout), f"it runs on after {timeout} s\n{self.story()}"
            self.exit_status = self.process.wait()
        with self._condition:
            self._condition.wait_for(lambda: not self._open, 2)
        return self.exit_status

    def stop(self, number=signal.SIGTERM, timeout=PATIENCE):
        self.process.send_signal(number)
        return self.wait_exit(timeout)

    def alive(self):
        return self.exit_status is None and not net.wait_exit(self.pid, 0)

    # What the kernel says of it.

    def cpu_seconds(self):
        """CPU time so far of all its threads, seconds; the scheduler counts in nanoseconds."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1e9

    def awakenings(self):
        """How often it has gone to sleep, and so been woken."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    # The end.

    def story(self):
        with self._condition:
            said = "\n".join("    " + line for line in self.lines[-80:])
        hooks = "".join(f"\n    {c.event} {c.argv}" for c in self._hook_calls())
        return f"$ {' '.join(self.command)}\n{said}\nhook calls:{hooks or ' none'}"

    def _receivers(self):
        return [self.hooks] if self.hooks else []

    def _hook_calls(self):
        return [call for receiver in self._receivers() for call in receiver.calls]

    def bury(self):
        """Ends it whatever state it is in; what is to be complained of."""
        complaints = []
        if self.exit_status is None:
            self.process.send_signal(signal.SIGTERM)
            if not net.wait_exit(self.pid, 10):
                complaints.append(f"pinhold did not end within 10 s of SIGTERM\n{self.story()}")
                self.process.kill()
            self.wait_exit()
        bad = [line for line in self.lines if SANITIZER.search(line)]
        if bad or self.exit_status == 88 or (self.exit_status < 0 and -self.exit_status in (4, 6, 7, 8, 11)):
            complaints.append(f"pinhold crashed, exit status {self.exit_status}\n{self.story()}")
        return complaints if self._inspect else []


def finished(*arguments, ns=None, timeout=PATIENCE, prefix=(), env=None):
    """Runs pinhold to its end: the CompletedProcess, with text."""
    command = [*prefix, program(), *map(str, arguments)]

    def go():
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, errors="backslashreplace",
                              env={**environment(), **(env or {})})

    if ns:
        with ns.entered():
            done = go()
    else:
        done = go()
    assert not SANITIZER.search(done.stderr), done.stderr
    return done
