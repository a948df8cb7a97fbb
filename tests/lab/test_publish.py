# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishers, from the NAT's remap to what their receivers have been told."""
import contextlib
import glob
import json
import os
import re
import threading
import time
import urllib.parse

import pytest

from pinlab import daemon, net
from pinlab.receivers import PORT, SERVER, Receiver, ask, publishers_of, sections, told, wait_last, webhook, worker
from pinlab.servers import DIRECTORY

PUBLIC = ("203.0.113.7", 32451)
TOKEN = "canary-5d1f0c7be2"


def test_up_change_and_down(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file(sections("a", a=webhook(receiver, events="up, change, down"))) as p:
        assert told(receiver.wait()) == ("up", "203.0.113.7:32451")
        said = wait_last(p, "ok")
        assert said == {**said, "name": "a", "type": "webhook", "running": False, "owed": False, "retry": None}
        assert said["last"]["event"] == "up" and said["last"]["text"]
        lab.isp.remap(32999)
        assert told(receiver.wait(2)) == ("change", "203.0.113.7:32999")
        # The table leads there already.
        assert lab.client.get(("203.0.113.7", 32999)).body == "nas"
        wait_last(p, "ok", lambda q: q["last"]["event"] == "change")
        assert "a, webhook" in p.command_line("status", "web").stdout
        assert p.stop() == 0
        assert told(receiver.wait(3)) == ("down", "203.0.113.7:32999")
    assert len(receiver.calls) == 3


def test_status_says_who_has_yet_to_hear(lab, receiver):
    """Of no endpoint it says that all have heard of it before they have; the reader is quicker than the daemon."""
    lab.isp.full_cone(PUBLIC[1])
    seen = []
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        wait_last(p, "ok", lambda q: not q["owed"])
        over = threading.Event()

        def read():
            while not over.is_set():
                with open(f"{p.run_directory}/web.json", encoding="utf-8") as f:
                    status = json.load(f)
                one = status["public"] and status["public"]["port"], status["publishers"][0]
                if seen[-1:] != [one]:
                    seen.append(one)

        reader = threading.Thread(target=read)
        reader.start()
        for port in range(33000, 33006):
            lab.isp.remap(port)
            receiver.wait_port(port)
            p.wait_state("web", lambda s, port=port: s["public"] and s["public"]["port"] == port and
                         not s["publishers"][0]["owed"])
        over.set()
        reader.join()
    for port in range(33000, 33006):
        owed = [one["owed"] for public, one in seen if public == port]
        assert owed and owed == sorted(owed, reverse=True), (port, seen)
        assert owed[0], (port, seen)


def test_chosen_events(lab, receiver):
    """Who does not want to hear of an event is not called for it, and knows of it all the same."""
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file(sections("a", a=webhook(receiver, events="down, change"))) as p:
        p.wait_state("web", "up")
        lab.isp.remap(32999)
        assert told(receiver.wait()) == ("change", "203.0.113.7:32999")
        wait_last(p, "ok")
        assert p.stop() == 0
        assert told(receiver.wait(2)) == ("down", "203.0.113.7:32999")
    assert len(receiver.calls) == 2


def test_https(lab):
    lab.hosts({"service.lab": SERVER, **{s.name: s.address for s in lab.internet.all}})
    lab.isp.full_cone(PUBLIC[1])
    with Receiver(lab, tls=True) as receiver:
        bad = webhook(receiver)  # by the system's authorities
        good = webhook(receiver, ca_file=f"{DIRECTORY}/tls.pem")
        with lab.pinhold_file(sections("bad, good", bad=bad, good=good)) as p:
            assert told(receiver.wait()) == ("up", "203.0.113.7:32451")
            failed = wait_last(p, "failed")
            assert failed["name"] == "bad" and failed["retry"] and "certificate" in failed["last"]["text"]
            assert re.search(r"publisher bad: failed, .*certificate", " ".join(p.command_line("status").stdout.split()))
        assert len(receiver.calls) == 1


def test_failures_are_repeated_until_one_is_not(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    receiver.answer = lambda call: 503 if len(receiver.calls) < 3 else 200
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        third = receiver.wait(3)
        assert told(third) == ("up", "203.0.113.7:32451")
        # After one second and two, of which up to a quarter is left off.
        gaps = [b.time - a.time for a, b in zip(receiver.calls, receiver.calls[1:])]
        assert 0.75 <= gaps[0] < 2.5 and 1.5 <= gaps[1] < 4, gaps
        wait_last(p, "ok")
        p.wait_log(r"publisher retry mapping=web publisher=a in=")


def test_retry_tells_the_newest(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    receiver.answer = lambda call: 503 if "32451" in call.body else 200
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        receiver.wait()
        lab.isp.remap(32999)
        wait_last(p, "ok")
        assert told(receiver.calls[-1]) == ("up", "203.0.113.7:32999")


def test_the_receiver_says_when(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    receiver.answer = lambda call: (429, {"Retry-After": "4"}, "") if len(receiver.calls) < 2 else 200
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        second = receiver.wait(2)
        assert 4 <= second.time - receiver.calls[0].time < 6
        wait_last(p, "ok")


def test_refused_for_good(lab, receiver):
    """What is told again does not help, until there is news, other settings or a reload."""
    lab.isp.full_cone(PUBLIC[1])
    receiver.answer = lambda call: 401 if call.headers.get("Authorization") != "Bearer right" else 200
    with lab.pinhold_file(sections("a", a=webhook(receiver, header="Authorization: Bearer wrong"))) as p:
        refused = wait_last(p, "refused")
        assert refused["retry"] is None and "401" in refused["last"]["text"]
        lab.isp.remap(32999)
        assert told(receiver.wait(2)) == ("up", "203.0.113.7:32999")
        wait_last(p, "refused", lambda q: not q["running"])
        p.change("publish a", header="Authorization: Bearer right")
        done = p.reload()
        assert "web" in done.stdout, done
        assert told(receiver.wait(3)) == ("up", "203.0.113.7:32999")
        wait_last(p, "ok")
        assert len(receiver.calls) == 3


@pytest.mark.parametrize("otherwise", ["the same", "changed"])
def test_reload_asks_again_who_has_refused(lab, receiver, otherwise):
    """A token that was replaced in its file is no other setting; the reload is told that nothing changed."""
    lab.isp.full_cone(PUBLIC[1])
    token = f"{DIRECTORY}/token"
    for text in ("expired", "fresh"):
        with open(token, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(text)
        if text == "expired":
            receiver.answer = lambda call: 200 if call.headers["X-Token"] == "fresh" else 401
            p = lab.pinhold_file(sections("a", a=webhook(receiver, header=f"X-Token: ${{file:{token}}}")))
            refused = wait_last(p, "refused")
            assert not refused["owed"]
    with p:
        if otherwise == "changed":
            p.change("web", verify="6s")
        p.reload()
        p.wait_log("reloaded unchanged=" + ("1 changed=0" if otherwise == "the same" else "0 changed=1"))
        assert told(receiver.wait(2)) == ("up", "203.0.113.7:32451")
        wait_last(p, "ok", lambda q: not q["owed"])
        # Who knows it is not told by another reload.
        p.reload()
        lab.isp.remap(32999)
        assert told(receiver.wait(3)) == ("change", "203.0.113.7:32999")


def test_a_hanging_one_stands_in_nobodys_way(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    go_on = threading.Event()

    def hang(_):
        go_on.wait()
        return 200

    receiver.answer = hang
    with Receiver(lab, PORT + 1) as other:
        with lab.pinhold_file(sections("a, b", a=webhook(receiver), b=webhook(other))) as p:
            receiver.wait()
            for n, port in enumerate(range(33000, 33003)):
                lab.isp.remap(port)
                assert told(other.wait(n + 2))[1] == f"203.0.113.7:{port}"
            assert p.status("web")["publishers"][0]["running"]
            assert len(receiver.calls) == 1, "one at a time"
            go_on.set()
            # Only the newest has waited.
            assert told(receiver.wait(2)) == ("change", "203.0.113.7:33002")
            wait_last(p, "ok", lambda q: q["name"] == "a" and not q["running"])
        go_on.set()


def test_nat_forgets_the_flow_of_a_call(lab, receiver):
    """The answer is lost, as when the NAT that moves the mapping forgets all else; it does not take the time limit."""
    lab.isp.full_cone(PUBLIC[1])
    forgotten = threading.Event()
    receiver.answer = lambda call: forgotten.wait() and 200
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        receiver.wait()
        begin = time.monotonic()
        lab.isp.forget()
        forgotten.set()
        wait_last(p, "ok", lambda q: not q["owed"])
        assert time.monotonic() - begin < 10, "30 s is the limit"


def test_end_with_a_hanging_one(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    go_on = threading.Event()
    receiver.answer = lambda call: go_on.wait() and 200
    with lab.pinhold_file(sections("a", a=webhook(receiver, events="up, change, down"))) as p:
        receiver.wait()
        assert publishers_of(lab)
        begin = time.monotonic()
        assert p.stop() == 0
        assert time.monotonic() - begin < 3.5
    assert not publishers_of(lab)
    go_on.set()


def memory_has(pid, text):
    """Whether a process has that anywhere in its memory: what a core dump of it would show."""
    needle, found = text.encode(), False
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, mode, *_ = line.split()
            begin, end = (int(x, 16) for x in span.split("-"))
            # A sanitizer's shadow is terabytes of nothing.
            if mode[0] != "r" or end - begin > 1 << 30:
                continue
            with contextlib.suppress(OSError, ValueError):
                memory.seek(begin)
                found = found or needle in memory.read(end - begin)
    return found


def test_secret_in_a_file_stays_there(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    token = f"{DIRECTORY}/token"
    with open(token, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write(TOKEN + "\n")
    hang = threading.Event()
    receiver.answer = lambda call: (hang.wait() and 403) if len(receiver.calls) == 1 else 200
    with lab.pinhold_file(sections("a", a=webhook(receiver, header=f"X-Token: ${{file:{token}}}"))) as p:
        assert receiver.wait().headers["X-Token"] == TOKEN
        publishers = publishers_of(lab)
        assert len(publishers) == 1
        for pid in [p.pid, *publishers]:
            for name in ("cmdline", "environ"):
                with open(f"/proc/{pid}/{name}", "rb") as f:
                    assert TOKEN.encode() not in f.read()
        # It can be found where it is, and is nowhere else.
        assert memory_has(publishers[0], TOKEN) and not memory_has(p.pid, TOKEN)
        hang.set()
        wait_last(p, "refused")
        assert memory_has(p.pid, token) and not memory_has(p.pid, TOKEN)
        lab.isp.remap(32999)
        receiver.wait(2)
        wait_last(p, "ok")
        seen = [p.command_line("status", "--json").stdout, p.command_line("status", "web").stdout]
        for path in glob.glob(f"{p.directory}/*/*"):
            if os.path.isfile(path):
                with open(path, encoding="utf-8") as f:
                    seen.append(f.read())
        assert any("32999" in text for text in seen)
        assert TOKEN not in "".join(seen)
    assert not [line for line in p.lines if TOKEN in line]


def test_without_the_program(lab, receiver):
    """The daemon is copied to where nothing lies beside it."""
    lab.isp.full_cone(PUBLIC[1])
    os.mkdir(f"{DIRECTORY}/alone")
    copy = f"{DIRECTORY}/alone/pinhold"
    with open(daemon.program(), "rb") as f, open(copy, "wb") as g:
        g.write(f.read())
    os.chmod(copy, 0o755)
    with lab.pinhold_file(sections("a", a=webhook(receiver, events="up, change, down")), program=copy) as p:
        p.wait_log(r"pinhold-publish: No such file .*publishers need it")
        failed = wait_last(p, "not started")
        assert "pinhold-publish" in failed["last"]["text"] and failed["retry"]
        assert lab.client.get(PUBLIC).body == "nas"
        # Who could not be called has nothing to be taken back.
        last_words = p.count()
        assert p.stop() == 0
        assert not any("publish" in line for line in p.lines[last_words:])


def redirected(lab, port):
    """The Worker's answer as soon as it leads to the port."""
    deadline = time.monotonic() + daemon.PATIENCE
    while True:
        status, location = ask(lab, "/nas/?key=home")
        url = urllib.parse.urlsplit(location or "")
        if status == 302 and url.port == port:
            return url
        assert time.monotonic() < deadline, (status, location)


def test_browser_follows_the_worker(lab):
    """A remap, and the service's page at the end of the Worker's 302."""
    lab.hosts({"service.lab": SERVER, **{s.name: s.address for s in lab.internet.all}})
    lab.isp.full_cone(PUBLIC[1])
    token = f"{DIRECTORY}/worker-token"
    with open(token, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write(TOKEN * 3 + "\n")
    publisher = {"type": "webhook", "url": "https://service.lab:8788/update-port",
                 "header": f"Authorization: Bearer ${{file:{token}}}", "ca-file": f"{DIRECTORY}/tls.pem",
                 "body": '{"port":"${public_port}","address":"${public_address}","key":"home"}'}
    with worker(lab, token):
        assert ask(lab, "/nas/?key=home")[0] == 503
        with lab.pinhold_file(sections("worker", worker=publisher)) as p:
            wait_last(p, "ok")
            with p.watch() as watch:
                p.wait_watchers(1)
                for port in (32999, 33001):
                    lab.isp.remap(port)
                    watch.wait(lambda e, port=port: (e["event"], e["status"]["public"]) == (
                        "change", {**(e["status"]["public"] or {}), "port": port}))
                    begin = time.monotonic()  # noticed: those who watch are told when publishers are
                    url = redirected(lab, port)
                    assert (url.hostname, url.path, url.query) == ("nas.lab.test", "/", "")
                    page = lab.client.get(("203.0.113.7", url.port), url.path)
                    took = time.monotonic() - begin
                    assert page.body == "nas" and lab.nas.saw(page) == lab.client.address
                    print(f"from the noticed remap to the page: {took * 1000:.0f} ms")
                    assert took < 2, "0.5 without sanitizers and other tests beside this one"
