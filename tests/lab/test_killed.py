# SPDX-License-Identifier: GPL-2.0-or-later
"""What a daemon leaves behind that is killed, and what the next one makes of it: hooks, state files, last words."""
import json
import os
import signal
import subprocess

import pytest

from pinlab import net
from pinlab.receivers import sections, told, wait_last, webhook

PUBLIC = ("203.0.113.7", 32451)
SLEEP = ["sleep", "3600"]


def kill(p):
    p.process.kill()
    p.wait_exit()


@pytest.mark.parametrize("leader", ["lives", "is gone"])
def test_hook_is_ended_before_another_is_called(lab, leader):
    lab.isp.full_cone(PUBLIC[1])
    then = ("import subprocess, time\n"
            "if sys.argv[2] == '32451':\n"
            "    subprocess.Popen(['sleep', '3600'])\n"
            "    subprocess.Popen(['sleep', '7200'], start_new_session=True)\n"
            "    print('ready', flush=True)\n"
            "    time.sleep(3600)\n")
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"}}, then={"web": then}, inspect=False) as p:
        old = p.wait_hook("web")
        assert p.wait_state("web", lambda s: s["hooks"][0]["running"])["hooks"][0]["pid"] == old.pid
        p.wait_log("hook output .*ready")
        group = [old.pid, *lab.running("sleep 3600")]
        assert len(group) == 2
        kill(p)
        if leader == "is gone":
            os.kill(old.pid, signal.SIGKILL)
            assert net.wait_exit(old.pid, 5)
        assert lab.running("sleep 3600"), "it outlives the daemon"
        lab.isp.remap(40123)
        with p.again() as q:
            q.wait_log(f"hook ended mapping=web .* pid={old.pid}: the daemon that called it had been killed")
            q.wait_log("hook ended mapping=web .*status=0")
            assert [call.port for call in p.hook("web").all(2)] == ["32451", "40123"]
            assert all(net.wait_exit(pid, 5) for pid in group)
            # What has made itself independent is none of it.
            assert lab.running("sleep 7200")
            assert q.wait_state("web", lambda s: not s["hooks"][0]["running"])["hooks"][0]["pid"] is None
    lab.end_all("sleep 7200")


def test_hook_of_a_mapping_that_was_removed(lab):
    """Its `down` would end after the next daemon has told the same hook that the mapping is up again."""
    lab.isp.full_cone(PUBLIC[1])
    then = "import time\nif os.environ['PINHOLD_EVENT'] == 'down': time.sleep(3600)"
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"},
                           "other": {"bind": 8444, "target": ":443", "enabled": "no", "hook": False}},
                          then={"web": then}, inspect=False) as p:
        assert p.wait_hook("web").event == "up"
        p.wait_log("hook ended .*status=0")
        section = p.settings["web"]
        p.remove("web")
        p.reload()
        down = p.wait_hook("web")
        assert down.event == "down"
        assert p.wait_state("web", lambda s: s["hooks"][0]["pid"] == down.pid)["state"] == "disabled"
        assert [m["name"] for m in p.status()["mappings"]] == ["other"]
        kill(p)
        p.add("web", **section)
        with p.again() as q:
            q.wait_log(f"hook ended mapping=web .* pid={down.pid}: the daemon that called it had been killed")
            q.wait_log("hook ended mapping=web .*status=0")
            # Nobody knows whether the `down` was heard: a change from what it may still have.
            assert [call.event for call in p.hook("web").all(3)] == ["up", "down", "change"]
            # At the end nobody waits for it, and no file says that it runs.
            p.remove("web")
            q.write(p.text())
            q.reload()
            q.wait_state("web", lambda s: s["hooks"][0]["running"] and s["state"] == "disabled")
            assert q.stop() == 0
            assert not os.path.exists(f"{p.run_directory}/web.json")


def sleeper(**environment):
    return subprocess.Popen(SLEEP, start_new_session=True, env=environment)


@pytest.mark.parametrize("environment", [{}, {"PINHOLD_MAPPING": "other"}, {"X": "PINHOLD_MAPPING=web"}])
def test_number_that_is_somebody_elses_by_now(lab, environment):
    lab.isp.full_cone(PUBLIC[1])
    process = sleeper(**environment)
    try:
        with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"}}, inspect=False) as p:
            p.wait_hook("web")
            status = p.wait_state("web", lambda s: s["hooks"][0]["last"])
            kill(p)
            status["hooks"][0].update(running=True, pid=process.pid)
            with open(f"{p.run_directory}/web.json", "w", encoding="ascii") as f:
                json.dump(status, f)
            with p.again() as q:
                q.wait_state("web", "up")
                assert process.poll() is None
                assert not q.logged("hook ended")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [-1, 0, 1, 1 << 40, "4711", None])
def test_damaged_state_file(lab, number):
    """Of numbers that make kill(2) mean others, of other files in their place: nothing comes but a new file."""
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"}}, inspect=False) as p:
        p.wait_hook("web")
        p.wait_state("web", lambda s: s["hooks"][0]["last"])
        kill(p)
        os.unlink(f"{p.run_directory}/web.json")
        if number is None:
            os.mkfifo(f"{p.run_directory}/web.json")
        else:
            with open(f"{p.run_directory}/web.json", "w", encoding="ascii") as f:
                json.dump({"hooks": [{"path": 7, "pid": number}]}, f)
        with p.again() as q:
            q.wait_log("up mapping=web")
            q.wait_state("web", lambda s: s.get("state") == "up")
            assert not q.logged("hook ended")


def test_state_file_of_a_mapping_that_is_no_more(lab):
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"}, "old": {"bind": 8444, "target": ":443"}},
                          inspect=False) as p:
        p.wait_state("old", lambda s: s)
        kill(p)
        p.remove("old")
        for name in ("README", ".hidden.json", "no name.json"):
            with open(f"{p.run_directory}/{name}", "w", encoding="ascii"):
                pass
        with p.again() as q:
            q.wait_state("web", "up")
            assert sorted(os.listdir(p.run_directory)) == [".hidden.json", "README", "control.sock", "control.sock.lock",
                                                           "no name.json", "web.json"]


def test_disabled_while_no_daemon_ran(lab, receiver):
    """Whoever was told that it is up hears that it is down."""
    lab.isp.full_cone(PUBLIC[1])
    settings = sections("a", a=webhook(receiver, events="up, change, down"))
    settings["web"]["hook"] = None
    del settings["web"]["hook"]
    with lab.pinhold_file(settings, inspect=False) as p:
        assert p.wait_hook("web").event == "up"
        assert told(receiver.wait()) == ("up", "203.0.113.7:32451")
        wait_last(p, "ok", lambda q: not q["owed"])
        p.wait_state("web", lambda s: s["hooks"][0]["last"])
        kill(p)
        p.change("web", enabled="no")
        with p.again() as q:
            q.wait_log("hook ended")
            down = p.wait_hook("web")
            assert (down.event, down.endpoint) == ("down", PUBLIC)
            assert told(receiver.wait(2)) == ("down", "203.0.113.7:32451")
            wait_last(q, "ok", lambda r: not r["owed"])
        with p.again() as q:
            q.wait_state("web", "disabled")
        assert len(receiver.calls) == 2, "once is enough"
