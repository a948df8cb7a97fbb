# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket, what it says, the state files, and clients that misbehave."""
import errno
import json
import os
import re
import signal
import socket
import stat
import time

import jsonschema
import pytest

from pinlab import daemon
from pinlab.fromfile import StateFile
from pinlab.witness import PUBLIC, reach, seconds

SCHEMA = os.path.join(os.path.dirname(__file__), "..", "unit", "status.schema.json")
NEVER = {"interval": "1h", "detect": "10m", "verify": "1d"}


def schema(name):
    """A validator for the `document`, or one's part of it: the one file that the unit tests use too."""
    with open(SCHEMA, encoding="utf-8") as f:
        whole = json.load(f)
    if name == "document":
        return jsonschema.Draft202012Validator(whole)
    return jsonschema.Draft202012Validator({"$defs": whole["$defs"], "$ref": f"#/$defs/{name}"})


@pytest.fixture
def three(lab):
    """TCP, UDP, and one that nobody holds."""
    lab.isp.full_cone_range(8443, 8445, 24008)
    with lab.pinhold_file({
            "global": {"detect": "1s"},
            "web": {"bind": 8443, "target": f"{lab.nas.address}:443"},
            "echo": {"protocol": "udp", "bind": 8444, "target": f"{lab.nas.address}:{lab.nas.echo.port}"},
            "off": {"bind": 8445, "target": ":443", "enabled": "no"}}) as p:
        assert p.wait_hook("web").endpoint == PUBLIC
        p.wait_hook("echo")
        p.wait_state("web", lambda s: [h["state"] for h in s["holders"]] == ["open", "open"])
        yield p


# What it says.

def test_json_is_what_the_manual_promises(three, lab):
    before = time.time()
    for _ in range(3):
        lab.client.get(PUBLIC)
    whole = three.status()
    schema("document").validate(whole)
    assert [m["name"] for m in whole["mappings"]] == ["web", "echo", "off"]

    web, echo, off = whole["mappings"]
    assert web["state"] == echo["state"] == "up" and off["state"] == "disabled"
    assert (web["protocol"], echo["protocol"], web["family"]) == ("tcp", "udp", "ipv4")
    assert web["public"] == {"address": PUBLIC[0], "port": PUBLIC[1], "ip4p": "2001::7ec3:cb00:7107"}
    assert web["private"] == {"address": "100.64.0.2", "port": 8443}
    assert (web["target"], web["interface"], web["changes"]) == ("192.168.10.50:443", "wan", 0)
    assert web["connections"] == 3 and echo["connections"] == 0
    assert web["endpoint_independent"] is True and web["why"] is None
    assert off["public"] is None and off["holders"] == [] and off["why"]
    for key in ("since", "endpoint_since", "verified"):
        assert abs(seconds(web[key]) - before) < 30
    servers = {f"{s.address}:80" for s in lab.internet.real}
    assert len({h["server"] for h in web["holders"]} & servers) == 2
    assert all(0 <= h["rtt_ms"] < 5000 for h in web["holders"])
    hook, = web["hooks"]
    assert hook["path"] == three.hook("web").path and hook["last"]["event"] == "up"

    d = whole["daemon"]
    assert d["pid"] == three.pid and d["config"] == three.path
    assert d["table"]["installed"] is True and d["table"]["ownership"] == "owner"
    assert abs(seconds(d["started"]) - before) < 30
    assert three.status("web")["name"] == "web"


def test_hooks_last_result(lab):
    """0, another status, a signal, and one that runs on."""
    lab.isp.full_cone_range(8443, 8446, 24008)
    ways = {"well": "", "badly": "sys.exit(3)", "killed": "os.kill(os.getpid(), 9)",
            "slow": "import time; time.sleep(3600)"}
    with lab.pinhold_file({name: {"bind": 8443 + n, "target": ":443"} for n, name in enumerate(ways)},
                          then=ways) as p:
        p.wait_hooks()
        last = {name: p.wait_state(name, lambda s: s["hooks"][0]["last"])["hooks"][0]
                for name in ("well", "badly", "killed")}
        assert {n: tuple(h["last"][k] for k in ("result", "status", "signal")) for n, h in last.items()} == \
            {"well": ("ok", 0, None), "badly": ("failed", 3, None), "killed": ("killed", None, 9)}
        assert last["badly"]["retry"] and not last["well"]["retry"]
        slow = p.wait_state("slow", lambda s: s["hooks"][0]["running"])["hooks"][0]
        assert slow["last"] is None
        for m in p.status()["mappings"]:
            schema("mapping").validate(m)


def test_table_for_people(three):
    done = three.command_line("status")
    assert done.returncode == 0 and done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout
    web = next(line for line in done.stdout.splitlines() if re.match(r"\s*web\b", line))
    for text in ("tcp", "up", "203.0.113.7:32451", "192.168.10.50:443"):
        assert text in web, done.stdout
    assert re.search(r"\boff\b.*\bdisabled\b", done.stdout)
    one = three.command_line("status", "web")
    assert one.returncode == 0 and "203.0.113.7:32451" in one.stdout and "echo" not in one.stdout
    for server in (h["server"] for h in three.status("web")["holders"]):
        assert server in one.stdout


def test_get(three):
    expected = {"state": "up", "public-address": "203.0.113.7", "public-port": "32451",
                "public-endpoint": "203.0.113.7:32451", "private-address": "100.64.0.2", "private-port": "8443",
                "private-endpoint": "100.64.0.2:8443", "ip4p": "2001::7ec3:cb00:7107", "protocol": "tcp",
                "interface": "wan", "target": "192.168.10.50:443", "changes": "0", "connections": "0"}
    assert {field: three.get("web", field) for field in expected} == expected
    assert seconds(three.get("web", "since")) and seconds(three.get("web", "verified"))


@pytest.mark.parametrize("arguments, status, said", [
    (["get", "web", "colour"], 2, "public-port"),
    (["get", "nosuch", "state"], 2, "echo"),
    (["get", "off", "public-port"], 1, "disabled"),
    (["get", "web"], 2, ""),
    (["get"], 2, ""),
    (["get", "web", "state", "more"], 2, ""),
    (["status", "nosuch"], 2, "echo"),
    (["status", "--json", "nosuch"], 2, "echo"),
    (["status", "--yaml"], 2, "--yaml"),
    (["reload", "web"], 2, ""),
    (["watch", "web"], 2, ""),
    (["stauts"], 2, "status"),
    (["run", "-c", "/no/such/file"], 2, "/no/such/file"),
    (["run", "-c"], 2, "-c"),
], ids=lambda a: " ".join(a) if isinstance(a, list) else None)
def test_exit_status_and_one_line(three, arguments, status, said):
    done = three.command_line(*arguments)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert re.fullmatch(r"pinhold: [^\n]+\n", done.stderr) and said in done.stderr


def test_full_disk_is_no_success(three):
    """A script must not take an empty file for an answer."""
    for arguments in (["status"], ["status", "--json"], ["get", "web", "public-port"], ["--help"]):
        done = three.command_line(*arguments, prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
        assert done.returncode == 1 and "No space left" in done.stderr, done


@pytest.mark.parametrize("command", [["status"], ["get", "web", "state"], ["watch"], ["reload"]], ids=" ".join)
def test_no_daemon(lab, command):
    done = daemon.finished(*command, ns=lab.gw.ns, env={"RUNTIME_DIRECTORY": "/run/lab/nowhere"})
    assert done.returncode == 3 and done.stdout == ""
    assert re.fullmatch(r"pinhold: [^\n]*/run/lab/nowhere/control\.sock[^\n]*\n", done.stderr)


def test_daemon_that_was_killed(three):
    """It leaves its socket behind: nobody answers there, and the next one takes the place."""
    three.stop(signal.SIGKILL)
    done = three.command_line("status")
    assert done.returncode == 3 and done.stdout == ""


# watch.

def about(event, mapping):
    return lambda e: e.get("event") == event and e.get("mapping") == mapping


def test_watch(lab, web):
    p = web({**NEVER, "detect": "1s"}, more={"more": {"bind": 9100, "target": ":443"}})
    p.wait_hook("more")
    with p.watch() as one, p.watch() as two, p.watch() as three:
        p.wait_watchers(3)
        lab.isp.remap(40123)
        for w in (one, two):
            event = w.wait(about("change", "web"))
            assert "203.0.113.7" in json.dumps(event) and "40123" in json.dumps(event)
        assert p.wait_hook("web").port == "40123"
        three.interrupt()
        assert three.wait_exit() in ((0, ""), (-signal.SIGINT, ""))
        p.remove("more")
        p.reload()
        one.wait(about("down", "more"))
        assert p.stop() == 0
        for w in (one, two):
            w.wait(about("down", "web"))
            status, said = w.wait_exit()
            assert status == 3 and said.count("\n") == 1
        assert not [e for e in one.events if about("up", "more")(e) or about("change", "more")(e)]


def test_watch_sees_states_hooks_and_reloads(lab):
    """Not only where the endpoint is: whoever watches needs to ask nothing besides."""
    with lab.pinhold_file({"echo": {"bind": 9100, "target": ":443"}}) as p:
        p.wait_hook("echo")
        with p.watch() as w:
            p.wait_watchers(1)
            lab.isp.full_cone(PUBLIC[1])
            p.add("web", bind=8443, target=":443")
            p.reload()
            event = w.wait(lambda e: e["event"] == "reload")
            assert event["reload"]["added"] == ["web"] and event["reload"]["unchanged"] == 1
            assert "mapping" not in event
            up = w.wait(about("up", "web"))
            assert up["status"]["public"]["port"] == PUBLIC[1]
            assert w.wait(lambda e: about("state", "web")(e) and e["status"]["state"] == "up")
            ended = w.wait(about("hook", "web"))["status"]["hooks"][0]["last"]
            assert (ended["event"], ended["result"]) == ("up", "ok")
            for e in w.events:
                assert seconds(e["time"])
                if "status" in e:
                    schema("mapping").validate(e["status"])

            seen = len(w.events)
            p.change("web", verify="soon")
            assert p.reload(check=False).returncode == 2
            refused = w.wait(lambda e: e["event"] == "reload", start=seen)
            assert refused["error"] and "reload" not in refused
            assert "soon" in refused["mistakes"][0]["text"]
            p.hup()
            assert w.wait(lambda e: e["event"] == "reload" and e is not refused, start=seen)["mistakes"]


# State files.

def test_state_files_come_are_replaced_and_go(lab, three):
    files = {name: three.state_file(name) for name in ("web", "echo", "off")}
    for name, file in files.items():
        content = file.read()
        schema("mapping").validate(content)
        assert content["name"] == name
        assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o644
    assert files["web"].read()["public"]["port"] == PUBLIC[1]

    # A reader must never see half of it: it is moved into place, never written where it lies.
    def remap():
        lab.isp.remap(40123)
        files["web"].wait(lambda s: s["public"] and s["public"]["port"] == 40123)

    masks = files["web"].events(remap)
    assert masks and all(mask & StateFile.MOVED_TO for mask in masks), masks

    three.remove("echo")
    three.reload()
    files["echo"].wait(lambda content: content is None)
    assert files["web"].read() and files["off"].read()
    assert three.stop() == 0
    assert not [name for name in os.listdir(three.run_directory) if not name.endswith(".lock")]


def test_state_file_tells_before_the_hook_is_told(lab, web):
    """A hook that reads the file finds what it was called for."""
    path = "/run/lab/pinhold-copy"
    p = web({**NEVER, "detect": "1s"},
            then={"web": f"open('{path}', 'w').write(open(os.path.join(os.environ['RUNTIME_DIRECTORY'], "
                         "'web.json')).read())"})
    p.wait_log("hook ended mapping=web.*status=0")
    seen = p.count()
    lab.isp.remap(40123)
    p.wait_hook("web")
    p.wait_log("hook ended mapping=web.*status=0", start=seen)
    with open(path, encoding="utf-8") as f:
        assert json.load(f)["public"]["port"] == 40123


def test_state_files_tell_before_any_hook_is_told(lab):
    """Be they many, and up in the same moment: the first hook need not wait for the last one's file."""
    names = [f"m{n}" for n in range(60)]
    lab.isp.full_cone_range(9100, 9159, 20000)
    copy = daemon.script("#!/bin/sh\ncp $RUNTIME_DIRECTORY/$PINHOLD_MAPPING.json /run/lab/copy-$PINHOLD_MAPPING\n")
    with lab.pinhold_file({n: {"bind": 9100 + k, "target": ":443", "hook": copy}
                           for k, n in enumerate(names)}) as p:
        for n in names:
            p.wait_log(rf"hook ended mapping={n} .*status=0")
        for k, n in enumerate(names):
            with open(f"/run/lab/copy-{n}", encoding="utf-8") as f:
                told = json.load(f)
            assert (told["state"], told["public"] and told["public"]["port"]) == ("up", 29100 + k), n


def test_left_over_socket_of_a_killed_daemon(lab, web):
    """The next one takes its place at once."""
    p = web()
    p.stop(signal.SIGKILL)
    assert os.path.exists(p.socket) and p.state_file("web").read()["state"] == "up"
    with lab.pinhold_file(p.text(), env={"RUNTIME_DIRECTORY": p.run_directory}) as q:
        q.wait_log("up mapping=web")
        assert p.status()["daemon"]["pid"] == q.pid


def test_second_daemon_at_the_same_socket(lab, three):
    done = three.command_line("run", "-c", three.path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert three.status()["daemon"]["pid"] == three.pid
    reach(lab, PUBLIC)


def test_socket_and_directory(three):
    assert stat.S_IMODE(os.stat(three.socket).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(three.run_directory).st_mode) == 0o755
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    os.chmod(three.directory, 0o755)
    done = three.command_line("status", prefix=stranger)
    assert done.returncode in (1, 3) and "ermission" in done.stderr


# Clients that misbehave.

GARBAGE = {
    "not json": b"hello\n", "an array": b"[]\n", "null": b"null\n", "a number": b"1e999\n", "empty": b"\n",
    "no command": b"{}\n", "unknown": b'{"command":"shutdown"}\n', "a number's command": b'{"command":7}\n',
    "unknown key": b'{"command":"status","colour":1}\n', "twice": b'{"command":"status","command":"watch"}\n',
    "NUL": b'{"command":"sta\0tus"}\n', "escaped NUL": b'{"command":"status\\u0000"}\n',
    "not UTF-8": b'{"command":"\xff\xfe"}\n', "deep": b"[" * 4000 + b"\n", "binary": bytes(range(10)) + b"\n",
    "path": b'{"command":"status","mapping":"../../etc/passwd"}\n', "trailing": b'{"command":"status"} x\n',
    "long name": b'{"command":"status","mapping":"' + b"x" * 3000 + b'"}\n',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused(three, name):
    with three.control() as c:
        c.send(GARBAGE[name])
        answer = c.line()
        assert isinstance(answer["error"], str) and answer["error"].isprintable()
        assert len(answer["error"]) < 1000
    assert three.status("web")["state"] == "up"


def test_megabytes_are_cut_off(three):
    size = three.resident_bytes()
    with three.control() as c:
        try:
            for _ in range(64):
                c.send(b"x" * (1 << 20))
        except OSError as e:
            assert e.errno in (errno.EPIPE, errno.ECONNRESET)
        else:
            pytest.fail("64 MB were taken")
    assert three.resident_bytes() - size < 4 << 20
    assert three.status("web")["state"] == "up"


def test_request_in_pieces_and_several_in_one(three):
    with three.control() as c:
        for octet in b'{"command":"status","mapping":"web"}\n':
            c.send(bytes([octet]))
        assert c.line()["name"] == "web"
        c.send('{"command":"status","mapping":"web"}\n{"command":"status","mapping":"echo"}\n')
        assert [c.line()["name"], c.line()["name"]] == ["web", "echo"]


def test_clients_that_hang_keep_nobody_waiting(lab, three):
    """Half a line, nothing at all, and answers that nobody reads; the others are served meanwhile."""
    hanging = [three.control() for _ in range(9)]
    for c in hanging[:3]:
        c.send('{"command":"stat')
    for c in hanging[3:6]:
        while c.send_unless_full('{"command":"status"}\n' * 50):
            pass
    begin = time.monotonic()
    for _ in range(5):
        assert three.get("web", "state") == "up"
    lab.isp.remap(40123)
    assert three.wait_hook("web").port == "40123"
    assert time.monotonic() - begin < 9, "they waited until the hanging ones were cut off"
    # In the end they are cut off, each of them.
    for c in hanging:
        c.wait_closed(30)
        c.socket.close()
    assert three.get("web", "state") == "up"


def test_a_watcher_that_never_reads(lab, three):
    """Events go on without it."""
    c = three.control()
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.send('{"command":"watch"}\n')
    for n in range(4):
        lab.isp.remap(41000 + n)
        assert three.wait_hook("web").port == str(41000 + n)
    c.socket.close()
    assert three.get("web", "state") == "up"


def test_too_many_clients(three):
    """The limit is 32; whoever comes later is turned away, and room is made when somebody goes."""
    clients = [three.control() for _ in range(32)]
    for c in clients:
        assert c.ask(command="status", mapping="web")["name"] == "web"
    late = three.control()
    late.wait_closed(5)
    late.socket.close()
    clients.pop().socket.close()
    clients[0].ask(command="status", mapping="web")  # answered after it has seen that one go
    with three.control() as c:
        assert c.ask(command="status", mapping="web")["name"] == "web"
    for c in clients:
        c.socket.close()


def test_nothing_is_left_open(three):
    """Hundreds of clients that come, ask and go, in order or not."""
    with three.control() as c:
        c.ask(command="status", mapping="web")
        before = three.descriptors()
        for n in range(300):
            with three.control() as d:
                d.send(['{"command":"status"}\n', '{"comm', "", "x\n"][n % 4])
        assert c.ask(command="status", mapping="web")["name"] == "web"
        three.wait_descriptors(before)


def test_hooks_inherit_nothing(lab, web):
    """Neither the control socket nor a client's connection, and not the service manager's socket."""
    report = "open('/run/lab/fds', 'w').write('\\n'.join(\n" \
        "    os.readlink(f'/proc/self/fd/{n}') for n in sorted(os.listdir('/proc/self/fd'))\n" \
        "    if os.path.exists(f'/proc/self/fd/{n}')))"
    p = web({**NEVER, "detect": "1s"}, then={"web": report})
    p.wait_log("hook ended mapping=web.*status=0")
    seen = p.count()
    with p.control() as c:
        c.ask(command="status", mapping="web")
        lab.isp.remap(40123)
        call = p.wait_hook("web")
        p.wait_log("hook ended mapping=web.*status=0", start=seen)
    with open("/run/lab/fds", encoding="utf-8") as f:
        assert "socket:" not in f.read()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(call.env)


def test_from_the_command_line_too(lab):
    """natmap's options make a mapping that can be asked about like any other."""
    lab.isp.full_cone(PUBLIC[1])
    env = {"RUNTIME_DIRECTORY": "/run/lab/by-options"}
    with lab.pinhold("-b", "8443", "-p", "443", env=env) as p:
        p.wait_hook()
        done = daemon.finished("get", "tcp-8443", "public-port", ns=lab.gw.ns, env=env)
        assert (done.returncode, done.stdout) == (0, f"{PUBLIC[1]}\n"), done
        status = json.loads(daemon.finished("status", "--json", ns=lab.gw.ns, env=env).stdout)
        assert status["daemon"]["config"] is None
        done = daemon.finished("reload", ns=lab.gw.ns, env=env)
        assert done.returncode != 0 and done.stderr.count("\n") == 1
        assert p.alive()
