# SPDX-License-Identifier: GPL-2.0-or-later
"""Endpoints change, come and go while daemon and publishers are killed: who is told what, in the end and on the way.

    PINHOLD_FAULTS_SEED=N  these faults again (a run prints its seed)
"""
import contextlib
import os
import random
import signal
import threading
import time

import pytest

from pinlab import daemon, net
from pinlab.receivers import PORT, Receiver, event_of, publishers_of, told, webhook

MAPPINGS = {f"m{n}": 8443 + n for n in range(6)}
EVENTS = {"steady": "up, change, down", "failing": "up, change, down", "up and down": "up, down", "hanging": "up, change"}
FAULTS = ["none"] * 6 + ["publisher", "publisher, heard", "daemon", "daemon, heard"]


class Faults:
    """Six mappings; each tells a hook that fails at times, a server that never does, one that fails, one that fails and
    wants no `change`, and one that hangs. A mapping's public ports count up: who goes back shows it.
    """

    def __init__(self, lab, seed):
        self.lab, self.random = lab, random.Random(seed)
        self.ports = {name: 20000 + 1000 * n for n, name in enumerate(MAPPINGS)}
        self.down = set()
        self.kills = {"daemon": 0, "publisher": 0}
        self.downs = 0
        self.daemons = []
        self._calm = threading.Event()
        self._name = "m0"  # that changed last
        self._concerned, self._heard = "hanging", 0  # by the last change, and how often it had been called before
        self._stack = contextlib.ExitStack()
        self.servers = {name: self._stack.enter_context(Receiver(lab, PORT + n))
                        for n, name in enumerate(EVENTS)}
        for name in ("failing", "up and down"):
            self.servers[name].answer = lambda call: self._often(0.4, 500)
        self.servers["hanging"].answer = lambda call: self._often(0.4, 200, self._calm.wait)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._calm.set()
        self._stack.close()

    def _often(self, chance, status, wait=lambda seconds: None):
        if self._calm.is_set() or random.random() > chance:
            return 200
        wait(random.uniform(0.3, 4))
        return status

    def start(self):
        for name, bind in MAPPINGS.items():
            self.lab.isp.full_cone(self.ports[name], bind)
        publish = {f"publish {name.replace(' ', '-')}": webhook(server, events=EVENTS[name])
                   for name, server in self.servers.items()}
        mappings = {name: {"bind": bind, "target": "192.168.10.50:443", "detect": "1s", "verify": "5s",
                           "publish": [name.split()[1] for name in publish]} for name, bind in MAPPINGS.items()}
        then = "sys.exit(os.getpid() % 5 == 0)"
        self.daemons.append(self.lab.pinhold_file({**mappings, **publish}, inspect=False,
                                                  then=dict.fromkeys(mappings, then)))
        for name in MAPPINGS:
            self.wait_noticed(name)

    # Who has heard what.

    def heard(self, receiver, name):
        """[(event, public port)]"""
        if receiver == "hook":
            return [(call.event, int(call.port)) for call in self.daemons[0].hook(name).calls]
        calls = [(told(call)[0], *event_of(call)) for call in list(self.servers[receiver].calls)]
        return [(event, port) for event, mapping, port in calls if mapping == name]

    def ports_heard(self, receiver, name):
        """Of a `down` it is the one that was acknowledged last."""
        return [port for event, port in self.heard(receiver, name) if event != "down"]

    def has(self, receiver, name):
        """Whether it has the mapping's state, as far as it wants to know that."""
        event, port = (self.heard(receiver, name) or [("", 0)])[-1]
        if name in self.down:
            return event == "down" or "down" not in EVENTS.get(receiver, "down")
        if "change" not in EVENTS.get(receiver, "change"):
            return event == "up"
        return event != "down" and port == self.ports[name]

    def wait_noticed(self, name):
        try:
            self.servers["steady"].wait_for(lambda: self.has("steady", name))
        except AssertionError:
            raise AssertionError(f"{name}: {self.ports[name]} is not told\n{self.daemons[-1].story()}") from None

    def wait_heard(self):
        """Who may hang, or is told of a `down`, has been called since the last change began."""
        server = self.servers[self._concerned]
        try:
            server.wait_for(lambda: len(server.calls) > self._heard)
        except AssertionError:
            raise AssertionError(f"nobody is told of {self.ports}\n{self.daemons[-1].story()}") from None

    # What happens.

    def change(self, name=None):
        if not name:
            # Often the same once more, while those that failed have not been called again.
            name = self._name if self.random.random() < 0.4 else self.random.choice(list(MAPPINGS))
        self._name = name
        # Most changes are noticed before the next one.
        if self.random.random() < 0.9:
            self.wait_noticed(name)
        down = name not in self.down and self.random.random() < 0.2
        self._concerned = "steady" if down else "hanging"
        self._heard = len(self.servers[self._concerned].calls)
        if down:
            self.down.add(name)
            self.downs += 1
            self.configure(name, "no")
            return
        self.ports[name] += 1
        self.lab.isp.remap(self.ports[name], MAPPINGS[name])
        if name in self.down:
            self.down.remove(name)
            self.configure(name, "yes")

    def configure(self, name, enabled):
        first, p = self.daemons[0], self.daemons[-1]
        first.change(name, enabled=enabled)
        p.wait_ready()
        p.write(first.text())
        p.reload()

    def fault(self):
        who, *heard = self.random.choice(FAULTS).split(", ")
        pause = self.random.uniform(0, 0.3)
        if who == "none":
            return
        if heard:
            self.wait_heard()
        else:
            time.sleep(pause)  # any moment
        if who == "publisher":
            self.kill_publisher()
        else:
            self.kill_daemon()

    def kill_publisher(self):
        found = publishers_of(self.lab)
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(found), signal.SIGKILL)
                self.kills["publisher"] += 1

    def kill_daemon(self):
        first, p = self.daemons[0], self.daemons[-1]
        orphans = publishers_of(self.lab)
        p.process.kill()
        p.wait_exit()
        for pid in orphans:
            assert net.wait_exit(pid, 5), "a publisher outlives its daemon"
        # A hook may, until the next one ends it.
        self.daemons.append(self.lab.pinhold_file(first.text(), inspect=False, place=first))
        self.kills["daemon"] += 1

    # The end.

    def settle(self):
        # Nobody is killed any more, but those that fail still do.
        for name in MAPPINGS:
            self.change(name)
            self.wait_noticed(name)
        self._calm.set()
        for name in MAPPINGS:
            port = None if name in self.down else self.ports[name]
            self.daemons[-1].wait_state(name, lambda s, port=port: (s["public"] and s["public"]["port"]) == port and not any(
                r["owed"] for r in s["hooks"] + s["publishers"]), 60)

    def judge(self):
        for name in MAPPINGS:
            self.daemons[0].hook(name).wait_for(lambda one=name: self.has("hook", one), 5)
            for receiver in ("hook", *self.servers):
                heard = self.heard(receiver, name)
                assert self.has(receiver, name), (name, receiver, self.ports[name], name in self.down, heard)
                ports = self.ports_heard(receiver, name)
                assert ports == sorted(ports), (name, receiver, "goes back", heard)


def run(lab, changes):
    seed = int(os.environ.get("PINHOLD_FAULTS_SEED", random.randrange(1 << 32)))
    print(f"PINHOLD_FAULTS_SEED={seed}", flush=True)
    begin = time.monotonic()
    with Faults(lab, seed) as f:
        f.start()
        for _ in range(changes):
            f.change()
            f.fault()
        f.settle()
        heard = sum(len(set(f.ports_heard("steady", name))) - 1 for name in MAPPINGS)
        print(f"faults: {heard} of {changes} changes told in {time.monotonic() - begin:.0f} s, {f.downs} times down, killed: {f.kills}",
              flush=True)
        f.judge()
        assert f.daemons[-1].stop() == 0
        assert not [line for p in f.daemons for line in p.lines if daemon.SANITIZER.search(line)]
        assert heard > changes / 2 and min(f.downs, *f.kills.values()) > changes / 40


def test_faults(lab):
    run(lab, 60)


@pytest.mark.long
def test_faults_during_500_changes(lab):
    run(lab, 500)
