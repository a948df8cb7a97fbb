# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold with a configuration file: `pinhold run -c FILE`, and all that can be asked of it while it runs."""
import copy
import ctypes
import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from . import daemon
from .daemon import PATIENCE, Pinhold
from .servers import DIRECTORY

_serial = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


class Section(dict):
    """A [mapping NAME] or [global]; a list as a value is a key that is given several times."""

    def text(self, header):
        lines = [f"[{header}]"]
        for key, value in self.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                lines.append(f"{key} = {one}")
        return "\n".join(lines) + "\n"


class PinholdFile(Pinhold):
    """A running pinhold that has read a file.

    sections: {"global": {key: value}, "web": {...}}, where every name but `global` is a mapping's, and what
    is missing for the lab is put in: its STUN and keep-alive servers, and a hook of its own for each mapping
    (`hook=False` as a setting: none). A name like `publish web` is a section's whole header. Or the whole file
    as text, taken as it is.
    """

    def __init__(self, lab, sections, ns=None, prefix=(), env=None, inspect=True, then=None, servers=True,
                 program=None, place=None):
        """then: {mapping: Python that its hook runs beside}. servers: put the lab's in.

        program: another pinhold than the one under test. place: one that has ended, whose directories it takes over.
        """
        self._then, self._servers = then, servers
        self._hooks = {}
        self._lab = lab
        self.directory = f"{DIRECTORY}/pinhold-{next(_serial)}"
        os.mkdir(self.directory)
        self.path = f"{self.directory}/pinhold.conf"
        self.run_directory = f"{(place or self).directory}/run"
        self.state_directory = f"{(place or self).directory}/state"
        self.socket = f"{self.run_directory}/control.sock"
        self.notices = Notices(f"{self.directory}/notify.sock")
        self.settings = {}
        if isinstance(sections, str):
            self.write(sections)
        else:
            self.set(sections)
        self._env = {"RUNTIME_DIRECTORY": self.run_directory, "STATE_DIRECTORY": self.state_directory}
        self._start(lab, [*prefix, program or daemon.program(), "run", "-c", self.path], ns,
                    {**self._env, "NOTIFY_SOCKET": self.notices.path, **(env or {})}, inspect)

    def again(self, **options):
        """Another daemon in the place of this one, which has ended: the same file, the same directories."""
        return self._lab.pinhold_file(self.text(), place=self, **options)

    # The file.

    def write(self, text):
        """Replaces the file, as an editor does: never half of it is there."""
        data = text if isinstance(text, bytes) else text.encode()
        with open(self.path + ".new", "wb") as f:
            f.write(data)
        os.rename(self.path + ".new", self.path)

    def set(self, sections):
        """Another file, made of sections."""
        self.settings = {name: Section(section) for name, section in copy.deepcopy(sections).items()}
        self.settings = {"global": self.settings.pop("global", Section()), **self.settings}
        for name, section in self.settings.items():
            self._complete(name, section)
        self.write(self.text())

    def change(self, name, **settings):
        """Changes keys of a section in the file (`reply_route` for `reply-route`; None takes one out)."""
        section = self.settings[name]
        for key, value in settings.items():
            section[key.replace("_", "-")] = value
            if value is None:
                del section[key.replace("_", "-")]
        self.write(self.text())

    def add(self, name, **settings):
        self.settings[name] = section = Section((k.replace("_", "-"), v) for k, v in settings.items())
        self._complete(name, section)
        self.write(self.text())

    def remove(self, name):
        del self.settings[name]
        self.write(self.text())

    def text(self):
        return "\n".join(section.text(name if name == "global" or " " in name else f"mapping {name}")
                         for name, section in self.settings.items())

    def _complete(self, name, section):
        if " " in name:
            return
        if name != "global":
            if section.get("hook") is False:
                del section["hook"]
            elif "hook" not in section:
                if name not in self._hooks:
                    self._hooks[name] = daemon.HookReceiver((self._then or {}).get(name, ""))
                section["hook"] = self._hooks[name].path
        elif self._servers:
            # By name, so that one list serves both families.
            section.setdefault("stun", self._lab.stun_names())
            section.setdefault("keepalive", self._lab.keepalive_names())

    # What comes of it.

    def hook(self, name):
        return self._hooks[name]

    def wait_hook(self, name, timeout=PATIENCE):  # pylint: disable=arguments-renamed
        """The next call of the mapping's hook."""
        call = self._hooks[name].wait(timeout)
        assert call, f"no hook call for {name} within {timeout} s\n{self.story()}"
        return call

    def wait_hooks(self, *names, timeout=PATIENCE):
        """The next call of each; of all, if no name is given."""
        return {name: self.wait_hook(name, timeout) for name in names or self._hooks}

    def wait_ready(self):
        self.notices.wait("READY", "1")

    def _receivers(self):
        return list(self._hooks.values())

    def command_line(self, *arguments, timeout=PATIENCE, env=None, **options):
        """`pinhold ARGUMENTS...` as somebody else on this machine runs it."""
        return daemon.finished(*arguments, ns=self._lab.gw.ns, timeout=timeout,
                               env={**self._env, **(env or {})}, **options)

    def reload(self, check=True):
        """`pinhold reload`; the CompletedProcess."""
        done = self.command_line("reload")
        assert not check or done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.story()}"
        return done

    def hup(self):
        """SIGHUP, and wait until it has been dealt with."""
        seen = self.notices.count()
        self.process.send_signal(signal.SIGHUP)
        self.notices.wait("RELOADING", "1", start=seen)
        self.notices.wait("READY", "1", start=self.notices.index("RELOADING", seen))

    def status(self, name=None):
        """`pinhold status --json`, parsed: with a name, that mapping's object."""
        done = self.command_line("status", "--json", *([name] if name else []))
        assert done.returncode == 0, f"{done.stderr}\n{self.story()}"
        return json.loads(done.stdout)

    def get(self, name, field):
        done = self.command_line("get", name, field)
        assert done.returncode == 0 and done.stdout.endswith("\n"), f"{done}\n{self.story()}"
        return done.stdout[:-1]

    def watch(self):
        return Watch(self._lab.gw.ns, self._env)

    def control(self):
        """A raw connection to the control socket."""
        return Control(self.socket)

    def state_file(self, name):
        return StateFile(f"{self.run_directory}/{name}.json")

    def wait_state(self, name, wanted, timeout=PATIENCE):
        """The mapping's state file when wanted(status) holds; wanted may be a state's name."""
        def test(status):
            if status is None:
                return False
            return status["state"] == wanted if isinstance(wanted, str) else wanted(status)

        self.wait_ready()  # from then on there is a directory to look into
        try:
            return self.state_file(name).wait(test, timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.story()}") from None

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def wait_watchers(self, count, timeout=PATIENCE):
        """Until so many clients are connected and those that were before our question have been heard."""
        deadline = time.monotonic() + timeout
        while True:
            with open(f"/proc/{self.pid}/net/unix", encoding="utf-8") as f:
                connected = sum(line.split()[5] == "03" and line.rstrip().endswith(self.socket) for line in f)
            self.status()
            if connected >= count:
                return
            assert time.monotonic() < deadline, f"{connected} clients, not {count}"

    def wait_descriptors(self, at_most, timeout=PATIENCE):
        """Until it has closed all but so many: it does that on its next turns, which nothing announces."""
        deadline = time.monotonic() + timeout
        while self.descriptors() > at_most:
            assert time.monotonic() < deadline, f"{self.descriptors()} descriptors, not {at_most}"
            self.status()

    def socket_inodes(self):
        """The numbers by which /proc/net knows its sockets."""
        links = [os.readlink(f"/proc/{self.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{self.pid}/fd")]
        return {link[8:-1] for link in links if link.startswith("socket:[")}


class Notices:
    """The service manager's end of sd_notify(3): each datagram's assignments, in the order they come."""

    def __init__(self, path):
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        os.chmod(path, 0o666)
        self._condition = threading.Condition()
        self.received = []  # (monotonic time, {variable: value})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            data = self._socket.recv(65536)
            if not data:
                return
            pairs = dict(line.split("=", 1) for line in data.decode().splitlines())
            with self._condition:
                self.received.append((time.monotonic(), pairs))
                self._condition.notify_all()

    def count(self):
        with self._condition:
            return len(self.received)

    def index(self, variable, start=0):
        """Which datagram it was that set the variable first, from the start-th on."""
        with self._condition:
            return next(n for n, (_, pairs) in enumerate(self.received) if n >= start and variable in pairs)

    def count_of(self, variable):
        with self._condition:
            return sum(variable in pairs for _, pairs in self.received)

    def wait(self, variable, value=None, start=0, timeout=PATIENCE):
        """The first datagram from the start-th on that sets the variable (to the value): (time, pairs)."""
        return self.wait_for(lambda pairs: variable in pairs and value in (None, pairs[variable]), start,
                             timeout, f"{variable}={value or ''}")

    def wait_for(self, wanted, start=0, timeout=PATIENCE, what="such notice"):
        """The first datagram from the start-th on for which wanted(pairs) holds: (time, pairs)."""
        def find():
            return next((r for r in self.received[start:] if wanted(r[1])), None)

        with self._condition:
            assert self._condition.wait_for(find, timeout), \
                f"no {what} within {timeout} s in {self.received[start:]}"
            return find()


class Watch:
    """`pinhold watch`: its events as they come."""

    def __init__(self, ns, env):
        self._process = ns.spawn([daemon.program(), "watch"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env={**daemon.environment(), **env})
        self._condition = threading.Condition()
        self.events = []
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._process.stderr.close()

    def _read(self):
        for line in self._process.stdout:
            with self._condition:
                self.events.append(json.loads(line))
                self._condition.notify_all()
        self._process.stdout.close()
        with self._condition:
            self.ended = True
            self._condition.notify_all()

    def wait(self, wanted, timeout=PATIENCE, start=0):
        """The first event, past or future, for which wanted(event) holds."""
        def find():
            return next((e for e in self.events[start:] if wanted(e)), None)

        with self._condition:
            self._condition.wait_for(lambda: find() or self.ended, timeout)
            assert find(), f"no such event in {self.events}"
            return find()

    def interrupt(self):
        """As ^C does."""
        self._process.send_signal(signal.SIGINT)

    def wait_exit(self, timeout=PATIENCE):
        """Its exit status, and what it said on standard error."""
        status = self._process.wait(timeout)
        return status, self._process.stderr.read()


class Control:
    """A client of the control socket that may be as rude as the test wants."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)  # waits where the queue of new clients is full, as any client's does
        self.socket.settimeout(PATIENCE)
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """The next line, parsed; None at the end."""
        while b"\n" not in self._buffer:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                assert not self._buffer, f"half a line: {self._buffer}"
                return None
            self._buffer += more
        text, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(text)

    def ask(self, **request):
        self.send(json.dumps(request) + "\n")
        return self.line()

    def send_unless_full(self, data):
        """False: the other side takes no more for now."""
        self.socket.setblocking(False)
        try:
            self.socket.sendall(data.encode())
            return True
        except BlockingIOError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)

    def wait_closed(self, timeout):
        """Until the daemon has cut it off; what it still had to say is read and dropped."""
        poll = select.poll()
        poll.register(self.socket, 0)  # POLLHUP and POLLERR need not be asked for
        assert poll.poll(timeout * 1000), f"the connection is still open after {timeout} s"


class StateFile:
    """/run/pinhold/NAME.json, awaited by inotify(7): a reader must never see half of it."""

    CLOSE_WRITE, MOVED_TO, CREATE, DELETE, MODIFY = 0x8, 0x80, 0x100, 0x200, 0x2

    def __init__(self, path):
        self.path = path
        self.directory, self.name = os.path.split(path)

    def read(self):
        """What it says now, or None if it is not there."""
        try:
            with open(self.path, encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            return None

    def wait(self, wanted, timeout=PATIENCE):
        """Its content when wanted(content) holds; content is None while there is no file."""
        fd = self._watch(self.directory)
        try:
            deadline = time.monotonic() + timeout
            while True:
                now = self.read()
                if wanted(now):
                    return now
                left = deadline - time.monotonic()
                assert left > 0 and select.select([fd], [], [], left)[0], \
                    f"{self.path} is not as wanted within {timeout} s: {json.dumps(now, indent=1)}"
                os.read(fd, 65536)
        finally:
            os.close(fd)

    def events(self, action):
        """What inotify saw of this very file while action() ran: a list of masks."""
        fd = self._watch(self.directory)
        try:
            action()
            found = []
            while select.select([fd], [], [], 0)[0]:
                data, at = os.read(fd, 65536), 0
                while at < len(data):
                    _, mask, _, length = struct.unpack_from("iIII", data, at)
                    if data[at + 16:at + 16 + length].rstrip(b"\0").decode() == self.name:
                        found.append(mask)
                    at += 16 + length
            return found
        finally:
            os.close(fd)

    @classmethod
    def _watch(cls, directory):
        fd = _libc.inotify_init1(os.O_CLOEXEC)
        assert fd >= 0, os.strerror(ctypes.get_errno())
        mask = cls.CLOSE_WRITE | cls.MOVED_TO | cls.CREATE | cls.DELETE | cls.MODIFY
        if _libc.inotify_add_watch(fd, directory.encode(), mask) < 0:
            error = ctypes.get_errno()
            os.close(fd)
            raise OSError(error, os.strerror(error), directory)
        return fd
