# SPDX-License-Identifier: GPL-2.0-or-later
"""Hooks: what they are told and when, and what becomes of the unruly."""
import os
import re
import signal

import pytest

from pinlab import daemon, net


@pytest.fixture
def start(lab):
    lab.isp.full_cone(public_port=32451)

    def go(*arguments, **options):
        return lab.pinhold("-b", "8443", "-t", lab.nas.address, "-p", "443", *arguments, **options)

    return go


def test_arguments_are_natmaps(start):
    with start() as p:
        up = p.wait_hook()
        # 203.0.113.7 is cb00:7107, 32451 is 7ec3.
        assert up.argv == ["203.0.113.7", "32451", "2001::7ec3:cb00:7107", "8443", "tcp", "100.64.0.2"]


def test_environment(start):
    # By which ujail puts a program under its filter of system calls, where hooks are already.
    jail = {"SECCOMP_FILE": "/etc/seccomp/pinhold.json", "LD_PRELOAD": "/lib/libpreload-seccomp.so"}
    with start(env={"PINHOLD_EVENT": "forged", "PINHOLD_OTHER": "x", "KEPT": "yes", **jail}) as p:
        up = p.wait_hook()
        told = {k: v for k, v in up.env.items() if k.startswith("PINHOLD_")}
        assert told == {
            "PINHOLD_EVENT": "up",
            "PINHOLD_MAPPING": "tcp-8443",
            "PINHOLD_PROTOCOL": "tcp",
            "PINHOLD_INTERFACE": "wan",
            "PINHOLD_PUBLIC_ADDRESS": "203.0.113.7",
            "PINHOLD_PUBLIC_PORT": "32451",
            "PINHOLD_PREVIOUS_ADDRESS": "",
            "PINHOLD_PREVIOUS_PORT": "",
            "PINHOLD_PRIVATE_ADDRESS": "100.64.0.2",
            "PINHOLD_PRIVATE_PORT": "8443",
            "PINHOLD_TARGET": "192.168.10.50:443",
            "PINHOLD_IP4P": "2001::7ec3:cb00:7107",
        }
        assert up.env["KEPT"] == "yes" and not set(jail) & set(up.env)


def test_surroundings(start):
    """Its own process group, nothing to read, and no descriptor of the daemon's."""
    report = "open('/run/lab/fds', 'w').write('\\n'.join(\n" \
        "    os.readlink(f'/proc/self/fd/{n}') for n in sorted(os.listdir('/proc/self/fd'))\n" \
        "    if os.path.exists(f'/proc/self/fd/{n}')))"
    with start(then=report) as p:
        up = p.wait_hook()
        p.wait_log("hook ended .*status=0")
        assert up.pgid == up.pid
        assert up.stdin == "/dev/null"
        with open("/run/lab/fds", encoding="utf-8") as f:
            fds = f.read().split("\n")
        assert not [fd for fd in fds if fd.startswith("socket:")], fds


def test_table_is_right_before_anyone_is_told(start):
    listing = "os.system(f'nft list table inet pinhold > /run/lab/table-{sys.argv[2]}')"

    def at_call(port):
        with open(f"/run/lab/table-{port}", encoding="utf-8") as f:
            return f.read()

    with start(then=listing) as p:
        p.wait_hook()
        p.wait_log("hook ended .*status=0")
        assert "203.0.113.7:32451" in at_call(32451)
        p._lab.isp.remap(public_port=40123)
        p.wait_hook()
        p.wait_log("hook ended .*status=0", start=p.lines.index(p.logged("change mapping")[0]))
        assert "203.0.113.7:40123" in at_call(40123) and "203.0.113.7:32451" not in at_call(40123)


def test_nothing_is_told_twice(start):
    with start("-k", "1", "-c", "1") as p:
        p.wait_hook()
        p.wait_log("hook ended")
        for _ in range(3):
            p._lab.internet.http_log.wait(lambda e: e["nth"] >= 4)
        assert not p.hooks.pending()


def test_output_is_logged_line_by_line(start):
    with start(then="print('one'); print('two', file=sys.stderr); sys.stdout.write('no end')") as p:
        p.wait_hook()
        for text in ("one", "two", "no end"):
            p.wait_log(f"hook output .*: {text}$")


def test_binary_output_cannot_forge_the_log(start):
    octets = "os.write(1, bytes(range(256)) + b'\\x1b[31mred\\n' + b'x' * 40000 + b'\\nend\\n')"
    with start(then=octets) as p:
        p.wait_hook()
        p.wait_log("hook output .*: end$")
        p.wait_log("hook ended .*status=0")
        text = "\n".join(p.lines)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), "control characters in the log"
        assert all(line.startswith("pinhold: ") for line in p.lines)
        assert max(map(len, p.lines)) < 2100


def test_flood_of_output_does_not_flood_the_log(start):
    with start(then="os.write(1, b'water\\n' * 100000)") as p:
        p.wait_hook()
        p.wait_log("hook output .*more is not logged")
        p.wait_log("hook ended .*status=0")
        assert len(p.logged("hook output")) < 1000


def test_exit_status_is_logged_and_the_call_repeated(start):
    flag = "p = '/run/lab/hook-failed'\n" \
        "if not os.path.exists(p):\n    open(p, 'w').close()\n    sys.exit(3)"
    with start(then=flag) as p:
        first = p.wait_hook()
        p.wait_log(r"hook ended .*status=3\b")
        second = p.wait_hook()
        assert second.argv == first.argv
        p.wait_log(r"hook ended .*status=0\b")
        assert p._lab.client.get(first.endpoint).body == "nas"


def test_signal_is_logged(start):
    with start(then="os.kill(os.getpid(), 9)") as p:
        p.wait_hook()
        p.wait_log(r"hook ended .*signal=9\b")


def test_retry_sends_the_newest_state(start):
    """A hook that fails at the old endpoint is called again with the new one, never with the old."""
    with start(then="sys.exit(1 if sys.argv[2] == '32451' else 0)") as p:
        p.wait_hook()
        p.wait_log("hook ended .*status=1")
        p._lab.isp.remap(public_port=40123)
        p.wait_log("hook ended .*status=0", timeout=30)
        assert p.hooks.wait_for(lambda: p.hooks.calls[-1].port == "40123")
        ports = [call.port for call in p.hooks.calls]
        assert ports == sorted(ports) and ports[-1] == "40123"


def test_one_call_at_a_time_and_only_the_newest_waits(lab, start):
    """While a hook runs, two more states come: the one in between is never told."""
    gate = "/run/lab/gate"
    if os.path.exists(gate):
        os.unlink(gate)
    os.mkfifo(gate)
    with start(then=f"sys.argv[2] == '32451' and open('{gate}').read()") as p:
        p.wait_hook()
        lab.isp.remap(public_port=40001)
        p.wait_log("change mapping.*:40001")
        lab.isp.remap(public_port=40002)
        p.wait_log("change mapping.*:40002")
        assert not p.hooks.pending()
        with open(gate, "w", encoding="ascii"):
            pass
        assert p.wait_hook().port == "40002"
        p.wait_log("hook ended .*status=0")
        assert [call.port for call in p.hooks.calls] == ["32451", "40002"]
    os.unlink(gate)


def test_shell_script_is_a_hook(lab):
    lab.isp.full_cone(public_port=32451)
    path = daemon.script('#!/bin/sh\necho "now at $1:$2"\n')
    with lab.pinhold("-b", "8443", "-p", "443", "-e", path, hook=False) as p:
        p.wait_log("now at 203.0.113.7:32451$")


def test_script_without_an_interpreter_line(lab):
    lab.isp.full_cone(public_port=32451)
    path = daemon.script("true\n")
    with lab.pinhold("-b", "8443", "-p", "443", "-e", path, hook=False) as p:
        p.wait_log(r"hook (not started|ended)")
        assert lab.client.get(("203.0.113.7", 32451)).body == "gw"


def test_hook_that_leaves_something_behind_holding_its_output(lab, start):
    """The call is over when the hook is, whatever its children do with the pipe."""
    with start(then="import subprocess\n"
                    "subprocess.Popen(['sleep', '3600'], start_new_session=True)") as p:
        p.wait_hook()
        p.wait_log("hook ended .*status=0")
        lab.isp.remap(public_port=40123)
        assert p.wait_hook().port == "40123"
    lab.end_all("sleep 3600")


def test_hook_that_closes_its_output(start):
    """It is not over before it ends, and what it says by that counts."""
    with start(then="sys.stdout.flush()\n"
                    "os.close(1), os.close(2)\n"
                    "import time\n"
                    "time.sleep(0.5)\n"
                    "sys.exit(3 if sys.argv[2] == '32451' and not os.path.exists('/run/lab/closed') else 0)\n") as p:
        first = p.wait_hook()
        p.wait_log("hook ended .*status=3")
        assert not os.path.exists(f"/proc/{first.pid}")
        with open("/run/lab/closed", "w", encoding="ascii"):
            pass
        assert p.wait_hook().argv == first.argv
        p.wait_log("hook ended .*status=0")


def test_hanging_hook_is_ended_with_its_whole_group(lab, start):
    """The time limit is 60 s; the hook and its child both ignore SIGTERM. Called again, it behaves."""
    with start(then="import signal, subprocess\n"
                    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                    "p = '/run/lab/hook-has-hung'\n"
                    "if not os.path.exists(p):\n"
                    "    open(p, 'w').close()\n"
                    "    subprocess.run(['sleep', '3600'])") as p:
        up = p.wait_hook()
        p.wait_log("hook ended .*time limit", timeout=75)
        for pid in lab.running("sleep 3600"):
            assert net.wait_exit(pid, 5), "a process of the hook's group lives on"
        assert not os.path.exists(f"/proc/{up.pid}")
        assert lab.client.get(up.endpoint).body == "nas"
        assert p.wait_hook().argv == up.argv
        p.wait_log("hook ended .*status=0")


def test_hook_that_never_stops_printing(lab, start):
    with start(then="print('x\\n' * 100000)") as p:
        p.wait_hook()
        p.wait_log("hook ended .*status=0")
        assert p.logged("more is not logged")
        assert sum("hook output" in line for line in p.lines) < 300


@pytest.fixture
def gate():
    """A pipe on which a hook waits that reads it; the function opens it."""
    path = "/run/lab/gate"
    os.mkfifo(path)

    def go():
        with open(path, "w", encoding="ascii"):
            pass

    go.path = path
    yield go
    os.unlink(path)


OFF = {"bind": 8444, "target": ":443", "enabled": "no"}  # so that the file is not without mappings


@pytest.mark.parametrize("end", ["exit", "removal"])
def test_last_word_after_a_failure(lab, gate, end):
    """What fails is not repeated at the end; but who has heard of an endpoint hears that it is gone."""
    lab.isp.full_cone(public_port=32451)
    then = f"os.environ['PINHOLD_EVENT'] == 'change' and (open('{gate.path}').read(), sys.exit(1))"
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"}, "other": OFF}, then={"web": then}) as p:
        assert p.wait_hook("web").event == "up"
        p.wait_log("hook ended .*status=0")
        lab.isp.remap(public_port=40123)
        assert p.wait_hook("web").event == "change"
        if end == "removal":
            p.remove("web")
            p.reload()
        else:
            p.process.send_signal(signal.SIGTERM)
        p.wait_log("down mapping=web")
        gate()
        down = p.wait_hook("web")
        assert (down.event, down.port) == ("down", "32451")
        p.wait_log("hook ended .*status=0", start=p.lines.index(p.logged("down mapping=web")[0]))
        if end == "exit":
            assert p.wait_exit() == 0


def test_removed_and_added_again_while_its_hook_runs(lab, gate):
    """Never two calls at once: the `down` that takes its time must not end after the new `up`."""
    lab.isp.full_cone(public_port=32451)
    then = f"os.environ['PINHOLD_EVENT'] == 'down' and open('{gate.path}').read()"
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"}, "other": OFF}, then={"web": then}) as p:
        assert p.wait_hook("web").event == "up"
        p.wait_log("hook ended .*status=0")
        section = p.settings["web"]
        p.remove("web")
        p.reload()
        assert p.wait_hook("web").event == "down"
        # Who calls it is not configured any more; but the hook is known to whoever finds it after a crash.
        down = p.wait_state("web", "disabled")
        assert down["hooks"][0]["running"] and p.status()["mappings"][0]["name"] == "other"
        start = p.count()
        p.add("web", **{**section, "target": f"{lab.nas.address}:443"})
        p.reload()
        p.wait_log("up mapping=web", start=start)
        status = p.wait_state("web", "up")
        assert status["target"] == f"{lab.nas.address}:443" and status["hooks"][0]["running"]
        assert len(lab.running(f"/usr/bin/python3 -IS {p.hook('web').path}")) == 1
        gate()
        assert p.wait_hook("web").event == "up"
        assert lab.client.get(("203.0.113.7", 32451)).body == "nas"
        p.remove("web")
        p.reload()
        assert p.wait_hook("web").event == "down"
        gate()
