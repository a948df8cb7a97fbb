# SPDX-License-Identifier: GPL-2.0-or-later
"""However pinhold ends, its table is gone, quickly, and established connections live on."""
import os
import signal
import time

import pytest


def started(lab, *arguments, **options):
    lab.isp.full_cone(public_port=32451)
    p = lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443", *arguments, **options)
    return p, p.wait_hook()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_in_order(lab, number):
    p, up = started(lab)
    begin = time.monotonic()
    assert p.stop(number) == 0
    assert time.monotonic() - begin < 3
    assert lab.gw.table() == ""
    assert lab.client.refused(up.endpoint)
    assert not p.hooks.pending(), "a hook of -e is not told `down`"


def test_killed(lab):
    p, up = started(lab)
    assert p.stop(signal.SIGKILL) == -signal.SIGKILL
    assert lab.gw.table() == ""
    assert lab.client.refused(up.endpoint)


def test_killed_while_a_hook_runs(lab):
    """The hook outlives its parent, and must not keep the table's socket open."""
    p, _ = started(lab, then="import time; time.sleep(3600)")
    hook = p.hooks.calls[0].pid
    p.stop(signal.SIGKILL)
    assert lab.gw.table() == ""
    lab.end(hook)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("where", ["gw", "nas"])
def test_established_connections_live_on(lab, number, where):
    """Wherever another NAT chain exists, as on any gateway that masquerades."""
    lab.isp.full_cone(public_port=32451)
    target = [] if where == "gw" else ["-t", lab.nas.address]
    p = lab.pinhold("-b", "8443", *target, "-p", "443")
    up = p.wait_hook()
    with lab.client.connect(up.endpoint) as connection:
        assert connection.get().body == where
        p.stop(number)
        assert lab.gw.table() == ""
        assert connection.get().body == where
    assert lab.client.refused(up.endpoint)


def test_exit_does_not_wait_for_a_hanging_hook(lab):
    p, up = started(lab, then="import subprocess, signal\n"
                              "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                              "subprocess.run(['sleep', '3600'])")
    begin = time.monotonic()
    assert p.stop() == 0
    assert time.monotonic() - begin < 3.5
    assert lab.client.refused(up.endpoint)
    # Nothing of the hook's group is left: Lab.reset() looks.


def test_ended_before_it_was_up(lab):
    for server in lab.internet.real:
        server.down("all", "drop")
    p = lab.pinhold("-b", "8443", "-p", "443")
    p.wait_log("address mapping")
    begin = time.monotonic()
    assert p.stop() == 0
    assert time.monotonic() - begin < 3


def test_ended_while_a_name_is_looked_up(lab):
    lab.internet.dns.silent = True
    p = lab.pinhold("-b", "8443", "-p", "443", "-s", "stun.lab", "-h", "www.lab")
    lab.internet.dns.wait_asked("stun.lab")
    begin = time.monotonic()
    assert p.stop() == 0
    assert time.monotonic() - begin < 3


def test_starts_again_at_once(lab):
    """No port, socket or table of the killed one stands in the way."""
    for _ in range(5):
        p, up = started(lab)
        assert lab.client.get(up.endpoint).body == "nas"
        p.stop(signal.SIGKILL)


def pair(lab, **options):
    """Two mappings of one daemon, up, each with a hook of its own."""
    lab.isp.full_cone_range(8443, 8444, 24008)
    p = lab.pinhold_file({"first": {"bind": 8443, "target": ":443"},
                          "second": {"bind": 8444, "target": ":443"}}, **options)
    p.wait_hooks()
    return p


def test_hook_that_cannot_be_started_at_the_end(lab):
    """Nobody else loses the last word by it."""
    p = pair(lab, then={"second": "import time; time.sleep(0.5)"})
    p.wait_log("hook ended mapping=second")
    p.wait_log("hook ended mapping=first")
    os.unlink(p.hook("first").path)
    assert p.stop() == 0, p.story()
    assert p.logged("hook not started mapping=first")
    assert p.wait_hook("second").event == "down"
    assert p.logged("hook ended mapping=second")[-1].endswith("status=0")
