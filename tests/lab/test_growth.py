# SPDX-License-Identifier: GPL-2.0-or-later
"""What publishers cost the daemon: nothing that grows, whatever becomes of those who are told."""
import collections
import threading
import time

from pinlab import daemon
from pinlab.receivers import Receiver, event_of, publishers_of, webhook

# Twenty mappings that change each second, or as fast as they are noticed: 1,000 changes a minute.
MAPPINGS = {f"m{n:02}": 9443 + n for n in range(20)}
WARM_UP, ROUNDS = 5, 18
MARGIN = 1.15  # of resident memory, as in test_soak.py


def environment():
    """A sanitizer keeps aside no more than that: what grows is ours."""
    return {"ASAN_OPTIONS": daemon.environment()["ASAN_OPTIONS"] + ":quarantine_size_mb=1"}


class Down:
    """Answers some with 500, and others not at all, until it is well; counts who calls at the same time."""

    def __init__(self):
        self.well = threading.Event()
        self.most = 0
        self._lock = threading.Lock()
        self._now = collections.Counter()

    def __call__(self, call):
        name = event_of(call)[0]
        if self.well.is_set():
            return 200
        with self._lock:
            self._now[name] += 1
            self.most = max(self.most, self._now[name])
        if int(name[1:]) % 2:
            self.well.wait()
        with self._lock:
            self._now[name] -= 1
        return 500


def start(lab, publishers, stack=None):
    for name, bind in MAPPINGS.items():
        lab.isp.full_cone(port_of(name, 0), bind)
    published = {"publish": ", ".join(publishers)} if publishers else {}
    sections = {name: {"protocol": "udp", "bind": bind, "target": f"{lab.nas.address}:{lab.nas.echo.port}",
                       "interval": "1s", "hook": False, **published} for name, bind in MAPPINGS.items()}
    return lab.pinhold_file({**sections, **{f"publish {name}": s for name, s in publishers.items()}},
                            env=environment())


def port_of(name, n):
    """A mapping's n-th public port: the newer, the higher."""
    return 20000 + 1000 * (MAPPINGS[name] - 9443) + n


def wait_all(p, n):
    for name in MAPPINGS:
        p.wait_state(name, lambda s, port=port_of(name, n): s["public"] and s["public"]["port"] == port)


def remap(lab, p, n):
    lab.isp.remap_many({bind: port_of(name, n) for name, bind in MAPPINGS.items()})
    wait_all(p, n)


def one_each(lab):
    """Twice, for the list of processes is not of one moment."""
    assert len(set(publishers_of(lab)) & set(publishers_of(lab))) <= len(MAPPINGS)


def test_no_growth_while_a_receiver_is_down(lab):
    """Many changes, nobody takes them: one process at most for each, and only the newest waits."""
    down = Down()
    with Receiver(lab) as receiver:
        receiver.answer = down
        with start(lab, {"a": webhook(receiver)}) as p:
            wait_all(p, 0)
            for n in range(1, WARM_UP):
                remap(lab, p, n)
            receiver.wait(len(MAPPINGS))
            descriptors, octets, begin = p.descriptors(), p.resident_bytes(), time.monotonic()
            for n in range(WARM_UP, WARM_UP + ROUNDS):
                remap(lab, p, n)
                one_each(lab)
            took = time.monotonic() - begin
            now = p.descriptors(), p.resident_bytes()
            print(f"{ROUNDS * len(MAPPINGS) * 60 / took:.0f} changes a minute; descriptors {descriptors} -> "
                  f"{now[0]}, resident {octets >> 10} kB -> {now[1] >> 10} kB", flush=True)
            assert now[0] <= descriptors + len(MAPPINGS)  # of those who have failed and are called again
            assert now[1] <= octets * MARGIN
            # What waited is one state: whoever hung has heard of the first, and then hears of the last.
            down.well.set()
            last = WARM_UP + ROUNDS
            remap(lab, p, last)
            heard = {name: [] for name in MAPPINGS}

            def all_know():
                for name in heard:
                    heard[name] = [port for who, port in map(event_of, list(receiver.calls)) if who == name]
                return all(ports[-1:] == [port_of(name, last)] for name, ports in heard.items())

            try:
                receiver.wait_for(all_know)
            except AssertionError:
                late = {name: ports[-3:] for name, ports in heard.items() if ports[-1:] != [port_of(name, last)]}
                raise AssertionError(f"not told of their {last}th: {late}\n{p.story()}") from None
            p.wait_state("m01", lambda s: not s["publishers"][0]["running"])
        assert down.most == 1, "one at a time"
        for name, ports in heard.items():
            assert ports == sorted(ports), (name, "goes back", ports)
            assert int(name[1:]) % 2 == 0 or len(set(ports)) <= 4, (name, ports)
