# SPDX-License-Identifier: GPL-2.0-or-later
"""Endpoints that change again and again while everybody connects: who answers is who was asked for."""
import bisect
import collections
import contextlib
import os
import subprocess
import time

import pytest

from pinlab import daemon
from pinlab.callers import Caller, Greeter

PUBLIC = "203.0.113.7"
SERVICE = 9000

State = collections.namedtuple("State", "begin end owners")  # owners: {endpoint: the name of its service}


class Timeline:
    """Which service an endpoint led to, and when. A change happens between its begin and its end."""

    def __init__(self, states):
        self._states = states
        self._ends = [s.end for s in states]

    def owners(self, call):
        """All that the call may have met: each a service's name, or None."""
        # The last state that was complete before the call began, and all that had begun when it ended.
        first = bisect.bisect_right(self._ends, call.begin) - 1
        found = set()
        for state in self._states[max(first, 0):]:
            if found and state.begin > call.end:
                break
            found.add(state.owners.get(call.endpoint))
        return found

    def judge(self, calls, disturbed=False):
        """Says what went wrong, call by call. disturbed: something else than us may have lost them."""
        wrong = []
        for call in calls:
            owners = self.owners(call)
            right = {owner for owner in owners if owner}
            if None in owners:
                right.add("refused")
            if disturbed:
                right |= {"refused", "reset", "timeout"}
            if call.said not in right:
                wrong.append((call, owners))
        return wrong


@contextlib.contextmanager
def greeters(lab):
    with Greeter(lab.ns["nas"], "nas", SERVICE), Greeter(lab.ns["gw"], "gw", SERVICE), \
            Greeter(lab.ns["pc"], "pc", SERVICE):
        yield


class Changes:
    """tests/lab/mover.c in the gateway, with its first table."""

    def __init__(self, lab, count, pause):
        path = os.path.join(os.path.dirname(daemon.plain_program()), "mover")
        self._process = lab.gw.ns.spawn([path, str(count), str(pause)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=daemon.environment())
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        status = self._process.wait(20)
        self._process.stdout.close()
        assert status == 0

    def go(self):
        """Makes them all: {"inside" and "outside": Timeline}, and how many took one element for another."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        states, short = {"outside": [], "inside": []}, 0
        for line in iter(self._process.stdout.readline, "done\n"):
            begin, end, *ports, is_short = map(int, line.split())
            binds, publics = ports[0::2], ports[1::2]
            # Outside the ISP's NAT leads from 3nnnn to a bind port, always the same.
            for where, owners in (("outside", {(PUBLIC, 24008 + bind): name
                                               for bind, name in zip(binds, ("nas", "gw", "pc"))}),
                                  ("inside", {(PUBLIC, public): name
                                              for public, name in zip(publics, ("nas", "gw", "pc"))})):
                states[where].append(State(begin / 1e9, end / 1e9, owners))
            short += is_short
        return {where: Timeline(s) for where, s in states.items()}, short


@pytest.mark.parametrize("count,pause", [(1000, 4000), (3000, 0)])
def test_a_thousand_changes(lab, count, pause):
    """At the pace of new connections, and as fast as the table can be changed.

    Outside, nobody is ever without an answer; inside, nobody who asks for an endpoint that is some mapping's
    all the time. A lost packet is a failure, too: no caller waits for a retransmission.
    """
    lab.isp.full_cone_range(8443, 8445, 24008)
    outside = [(PUBLIC, 24008 + bind) for bind in (8443, 8444, 8445)]
    inside = [(PUBLIC, port) for port in range(40000, 40006)]
    with greeters(lab), Changes(lab, count, pause) as changes, \
            Caller(lab.client, outside, (1100, 32000)) as one, \
            Caller(lab.client, outside[::-1], (33000, 64000)) as two, \
            Caller(lab.pc, inside) as three:
        begin = three.calls[-1].end
        timelines, short = changes.go()
        for caller in (one, two, three):
            caller.wait(12)
    wrong = timelines["outside"].judge(one.calls + two.calls) + timelines["inside"].judge(three.calls)
    assert not wrong, (len(wrong), wrong[:5])
    during = [c for c in one.calls + two.calls + three.calls if c.begin > begin]
    assert len({c.said for c in during}) >= 4 and len(during) > 100, len(during)
    assert short > count / 2


ROUNDS = 4  # of two remaps each
MAPPINGS = {"nas": 8443, "gw": 8444, "pc": 8445, "other": 8446}


def test_remaps_under_load(lab):
    """The ISP's NAT exchanges the public ports of two mappings at a time, and pinhold finds it out."""
    lab.isp.full_cone_range(8443, 8446, 24008)
    ports = {name: bind + 24008 for name, bind in MAPPINGS.items()}
    targets = {"nas": f"{lab.nas.address}:{SERVICE}", "gw": f":{SERVICE}",
               "pc": f"{lab.pc.address}:{SERVICE}", "other": f":{SERVICE + 1}"}
    sections = {name: {"bind": bind, "target": targets[name]} for name, bind in MAPPINGS.items()}
    endpoints = [(PUBLIC, port) for port in ports.values()]

    def state(begin, end, nobody=()):
        return State(begin, end, {(PUBLIC, port): name for name, port in ports.items() if name not in nobody})

    outside, inside, remaps = [state(0, 0)], [state(0, 0)], []
    with greeters(lab), Greeter(lab.ns["gw"], "other", SERVICE + 1), \
            lab.pinhold_file({"global": {"interval": "1s"}, **sections}) as p:
        p.wait_hooks()
        with Caller(lab.client, endpoints) as one, Caller(lab.pc, endpoints) as two:
            for n in range(ROUNDS):
                pair = [("nas", "gw"), ("pc", "other"), ("nas", "pc"), ("gw", "other")][n % 4]
                ports[pair[0]], ports[pair[1]] = ports[pair[1]], ports[pair[0]]
                begin = time.monotonic()
                lab.isp.exchange(*(MAPPINGS[name] for name in pair))
                moved = time.monotonic()
                for name in pair:
                    assert p.wait_hook(name).endpoint == (PUBLIC, ports[name])
                told = time.monotonic()
                remaps.append((begin, moved))
                outside.append(state(begin, moved))
                # In between both may have the same endpoint, and nobody the other.
                inside += [state(begin, told, pair), state(begin, told)]
            one.wait(8)
            two.wait(8)
    # The ISP's NAT forgets everything as it moves them: whom that hits was not lost by us.
    hit, missed = [], []
    for call in one.calls:
        disturbed = any(call.begin < after and call.end > before for before, after in remaps)
        (hit if disturbed else missed).append(call)
    wrong = Timeline(outside).judge(missed) + Timeline(outside).judge(hit, disturbed=True) \
        + Timeline(inside).judge(two.calls)
    assert not wrong, wrong[:5]
    assert {c.said for c in one.calls} >= set(MAPPINGS) <= {c.said for c in two.calls}
    assert len(hit) < len(missed)
