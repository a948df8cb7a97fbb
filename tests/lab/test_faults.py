# SPDX-License-Identifier: GPL-2.0-or-later
"""Endpoints change again and again while daemon and publishers are killed: who is told what, in the end and on the way.

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
from pinlab.receivers import PORT, Receiver, event_of, publishers_of, webhook

MAPPINGS = {f"m{n}": 8443 + n for n in range(6)}
FAULTS = ["none"] * 6 + ["publisher", "publisher, heard", "daemon", "daemon, heard"]


class Faults:
    """Six mappings; each tells a hook that fails at times, a server that never does, one that fails, and one that
    hangs. A mapping's public ports count up: who goes back shows it.
    """

    def __init__(self, lab, seed):
        self.lab, self.random = lab, random.Random(seed)
        self.ports = {name: 20000 + 1000 * n for n, name in enumerate(MAPPINGS)}
        self.kills = {"daemon": 0, "publisher": 0}
        self.daemons = []
        self._calm = threading.Event()
        self._heard = 0  # calls of who may hang, before the last change
        self._stack = contextlib.ExitStack()
        self.servers = {name: self._stack.enter_context(Receiver(lab, PORT + n))
                        for n, name in enumerate(("steady", "failing", "hanging"))}
        self.servers["failing"].answer = lambda call: self._often(0.4, 500)
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
        publish = {f"publish {name}": webhook(server) for name, server in self.servers.items()}
        mappings = {name: {"bind": bind, "target": "192.168.10.50:443", "detect": "1s", "verify": "5s",
                           "publish": ", ".join(self.servers)} for name, bind in MAPPINGS.items()}
        then = "sys.exit(os.getpid() % 5 == 0)"
        self.daemons.append(self.lab.pinhold_file({**mappings, **publish}, inspect=False,
                                                  then=dict.fromkeys(mappings, then)))
        for name in MAPPINGS:
            self.wait_noticed(name)

    # Who has heard what.

    def ports_heard(self, receiver, name):
        if receiver == "hook":
            return [int(call.port) for call in self.daemons[0].hook(name).calls]
        calls = map(event_of, list(self.servers[receiver].calls))
        return [port for mapping, port in calls if mapping == name]

    def wait_noticed(self, name):
        try:
            self.servers["steady"].wait_for(lambda: self.ports[name] in self.ports_heard("steady", name))
        except AssertionError:
            raise AssertionError(f"{name}: {self.ports[name]} is not told\n{self.daemons[-1].story()}") from None

    def wait_heard(self):
        """Who may hang has been called since the last change began."""
        server = self.servers["hanging"]
        try:
            server.wait_for(lambda: len(server.calls) > self._heard)
        except AssertionError:
            raise AssertionError(f"nobody is told of {self.ports}\n{self.daemons[-1].story()}") from None

    # What happens.

    def change(self, name):
        # Most changes are noticed before the next one.
        if self.random.random() < 0.9:
            self.wait_noticed(name)
        self.ports[name] += 1
        self._heard = len(self.servers["hanging"].calls)
        self.lab.isp.remap(self.ports[name], MAPPINGS[name])

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
        self._calm.set()
        for name in MAPPINGS:
            self.daemons[-1].wait_state(name, lambda s, port=self.ports[name]: s["public"] and
                                        s["public"]["port"] == port and not any(
                                            r["owed"] for r in s["hooks"] + s["publishers"]), 60)

    def judge(self):
        for name, final in self.ports.items():
            for receiver in ("hook", *self.servers):
                ports = self.ports_heard(receiver, name)
                assert ports[-1] == final, (name, receiver, final, ports)
                assert ports == sorted(ports), (name, receiver, "goes back", ports)
        assert not [line for p in self.daemons for line in p.lines if daemon.SANITIZER.search(line)]


def run(lab, changes):
    seed = int(os.environ.get("PINHOLD_FAULTS_SEED", random.randrange(1 << 32)))
    print(f"PINHOLD_FAULTS_SEED={seed}", flush=True)
    names = list(MAPPINGS)
    begin = time.monotonic()
    with Faults(lab, seed) as f:
        f.start()
        for n in range(changes):
            f.change(names[n % len(names)])
            f.fault()
        f.settle()
        heard = sum(len(set(f.ports_heard("steady", name))) - 1 for name in names)
        print(f"faults: {heard} of {changes} changes told in {time.monotonic() - begin:.0f} s, killed: {f.kills}",
              flush=True)
        assert f.daemons[-1].stop() == 0
        f.judge()
        assert heard > changes / 2 and min(f.kills.values()) > changes / 40


def test_faults(lab):
    run(lab, 80)


@pytest.mark.long
def test_faults_during_500_changes(lab):
    run(lab, 500)
