# SPDX-License-Identifier: GPL-2.0-or-later
"""What receivers were told, over a restart of the daemon: nothing twice, and nothing that was not."""
import contextlib
import json
import os
import threading

import pytest

from pinlab import net
from pinlab.receivers import publishers_of, sections, told, wait_last, webhook
from pinlab.servers import DIRECTORY

PUBLIC = ("203.0.113.7", 32451)


def test_restart_tells_nothing_twice(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        receiver.wait()
        wait_last(p, "ok")
        # In it is a digest of settings, which may hold a secret.
        assert os.stat(f"{p.state_directory}/web.told.json").st_mode & 0o777 == 0o600
    with p.again() as q:
        q.wait_state("web", "up")
        # A change shows that it would have been told before.
        lab.isp.remap(32999)
        assert told(receiver.wait(2)) == ("change", "203.0.113.7:32999")
        wait_last(q, "ok")
        q.process.kill()
        q.wait_exit()
    lab.isp.remap(33001)
    with p.again() as r:
        assert told(receiver.wait(3)) == ("change", "203.0.113.7:33001")
        wait_last(r, "ok")


def test_restart_tells_what_was_not_told(lab, receiver):
    """A daemon is killed while the receiver hangs: it may have heard or not, and hears it again."""
    lab.isp.full_cone(PUBLIC[1])
    go_on = threading.Event()
    with lab.pinhold_file(sections("a", a=webhook(receiver)), inspect=False) as p:
        receiver.wait()
        wait_last(p, "ok")
        receiver.answer = lambda call: go_on.wait() and 200
        lab.isp.remap(32999)
        receiver.wait(2)
        publishers = publishers_of(lab)
        assert len(publishers) == 1
        p.process.kill()
        p.wait_exit()
        # Nobody is left who could say old things later.
        assert net.wait_exit(publishers[0], 5)
    go_on.set()
    lab.isp.remap(PUBLIC[1])
    with p.again() as q:
        assert told(receiver.wait(3)) == ("change", "203.0.113.7:32451")
        wait_last(q, "ok")


@pytest.mark.parametrize("end", ["exit", "disabled", "again"])
def test_an_up_that_failed(lab, receiver, end):
    """It may have been heard, and only its answer was lost: it is taken back, or said once more."""
    lab.isp.full_cone(PUBLIC[1])
    go_on = threading.Event()
    receiver.answer = lambda call: (told(call)[0] == "down" or go_on.wait()) and 200
    settings = sections("a", a=webhook(receiver, events="up, change, down"))
    with lab.pinhold_file(settings, inspect=end == "exit") as p:
        assert told(receiver.wait()) == ("up", "203.0.113.7:32451")
        if end == "exit":
            net.kill(publishers_of(lab)[0])
            wait_last(p, "killed")
            assert p.stop() == 0
        else:
            p.process.kill()
            p.wait_exit()
            p.change("web", enabled="no" if end == "disabled" else "yes")
            go_on.set()
            with p.again() as q:
                wait_last(q, "ok")
                assert told(receiver.calls[1]) == ("down" if end == "disabled" else "up", "203.0.113.7:32451")
    assert "down" in (told(call)[0] for call in receiver.calls)
    go_on.set()


@pytest.mark.parametrize("end", ["exit", "disabled", "removed"])
def test_down_of_what_never_came_up_again(lab, receiver, end):
    """An earlier daemon has told of it; this one has not got so far, and is the last that can say so."""
    lab.isp.full_cone(PUBLIC[1])
    settings = {**sections("a", a=webhook(receiver, events="up, change, down")),
                "other": {"bind": 8444, "target": ":443", "enabled": "no", "hook": False}}
    with lab.pinhold_file(settings, inspect=False) as p:
        receiver.wait()
        wait_last(p, "ok")
        p.process.kill()
        p.wait_exit()
    lab.isp.symmetric()
    with p.again() as q:
        q.wait_log("not endpoint-independent")
        assert len(receiver.calls) == 1
        if end == "disabled":
            p.change("web", enabled="no")
        elif end == "removed":
            p.remove("web")
        if end != "exit":
            q.write(p.text())
            q.reload()
            assert told(receiver.wait(2)) == ("down", "203.0.113.7:32451")
    assert [told(call) for call in receiver.calls[1:]] == [("down", "203.0.113.7:32451")]


def test_full_disk(lab, receiver):
    """Who cannot be remembered is told once more: the file must not go on to say what was."""
    state = f"{DIRECTORY}/small"
    os.mkdir(state)
    net.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", state])
    try:
        lab.isp.full_cone(PUBLIC[1])
        env = {"STATE_DIRECTORY": state}
        with lab.pinhold_file(sections("a", a=webhook(receiver)), env=env, inspect=False) as p:
            receiver.wait()
            wait_last(p, "ok")
            with contextlib.suppress(OSError), open(f"{state}/full", "wb", buffering=0) as full:
                while full.write(b"x" * 4096):
                    pass
            lab.isp.remap(32999)
            receiver.wait(2)
            wait_last(p, "ok", lambda one: one["last"]["event"] == "change")
            p.wait_log("No space left on device")
            p.process.kill()
            p.wait_exit()
        os.unlink(f"{state}/full")
        lab.isp.remap(PUBLIC[1])
        with p.again(env=env) as q:
            assert told(receiver.wait(3))[1] == "203.0.113.7:32451"
            wait_last(q, "ok")
    finally:
        net.run(["umount", state])


def test_the_machine_starts_anew(lab, receiver):
    """What hooks have done is gone; and what stands in the file may be older than what was heard."""
    lab.isp.full_cone(PUBLIC[1])
    settings = sections("a", a=webhook(receiver))
    del settings["web"]["hook"]
    with lab.pinhold_file(settings, inspect=False) as p:
        receiver.wait()
        assert p.wait_hook("web").event == "up"
        wait_last(p, "ok")
        p.wait_log("hook ended .*status=0")
        p.process.kill()
        p.wait_exit()
        path = f"{p.state_directory}/web.told.json"
        with open(path, encoding="utf-8") as f:
            file = json.load(f)
        assert {r["kind"]: r["sure"] for r in file["receivers"]} == {"hook": True, "publisher": True}
        file["boot"] = "0" * len(file["boot"])
        with open(path, "w", encoding="utf-8") as f:
            json.dump(file, f)
        with p.again() as q:
            assert told(receiver.wait(2)) == ("change", "203.0.113.7:32451")
            wait_last(q, "ok")
            q.wait_log("hook ended .*status=0")
        assert [call.event for call in p.hook("web").all(3)] == ["up", "up", "down"]
