# SPDX-License-Identifier: GPL-2.0-or-later
"""Random disturbances every few seconds; at the end everything is as if nothing had been.

    PINHOLD_SOAK_SEED=N        these disturbances again (a run prints its seed)
    PINHOLD_SOAK_SECONDS=N     so long
    PINHOLD_SOAK_REPLAY=FILE   the steps that a run has printed, instead
"""
import os
import random

import pytest

from pinlab.soak import Soak

MARGIN = 1.15      # how much the resident memory may have grown: the heap is not in the same order


def soak(lab, seconds, pause):
    seed = int(os.environ.get("PINHOLD_SOAK_SEED", random.randrange(1 << 32)))
    seconds = float(os.environ.get("PINHOLD_SOAK_SECONDS", seconds))
    replay = os.environ.get("PINHOLD_SOAK_REPLAY")
    print(f"PINHOLD_SOAK_SEED={seed} PINHOLD_SOAK_SECONDS={seconds:.0f}", flush=True)
    s = Soak(lab)
    s.await_up(60)
    # The longer, the more of what a sanitizer keeps aside is there before it is compared.
    s.warm_up(min(seconds / 4, 120))
    s.check_reachable(s.await_up(90))
    descriptors, octets = s.resources(5)

    if replay:
        with open(replay, encoding="utf-8", errors="replace") as f:
            s.replay(f)
    else:
        s.run(seed, seconds, pause)
    s.heal()
    statuses = s.await_up(90)
    s.check_reachable(statuses)
    s.check_hooks(statuses)
    s.check_table(statuses)
    now = s.resources(20, lambda d, o: d <= descriptors and o <= octets * MARGIN)
    print(f"soak: {s.steps} steps; descriptors {descriptors} -> {now[0]}, resident {octets >> 10} kB -> "
          f"{now[1] >> 10} kB", flush=True)
    assert now[0] <= descriptors, sorted(os.readlink(f"/proc/{s.daemon.pid}/fd/{n}")
                                         for n in os.listdir(f"/proc/{s.daemon.pid}/fd"))
    assert now[1] <= octets * MARGIN
    s.check_log()
    assert s.daemon.stop() == 0, s.daemon.story()


def test_soak(lab):
    soak(lab, 25, 1)


@pytest.mark.long
def test_soak_of_twenty_minutes(lab):
    soak(lab, 1200, 4)
