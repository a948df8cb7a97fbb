# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishers, from the NAT's remap to what their receivers have been told."""
import collections
import contextlib
import glob
import http.client
import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest

from pinlab import daemon, net
from pinlab.servers import DIRECTORY

PUBLIC = ("203.0.113.7", 32451)
SERVER, PORT = "192.0.2.10", 8088
TOKEN = "canary-5d1f0c7be2"

Call = collections.namedtuple("Call", "method path headers body time")


class Receiver:
    """A web server out there; `answer(call)` gives a status, or (status, headers); `calls` are those that came."""

    def __init__(self, lab, port=PORT, tls=False):
        self.port = port
        self.url = f"http{'s' if tls else ''}://{'service.lab' if tls else SERVER}:{port}/told"
        self.answer = lambda call: 200
        self.calls = []
        self._condition = condition = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                call = Call(self.command, self.path, dict(self.headers), body, time.monotonic())
                with condition:
                    receiver.calls.append(call)
                    condition.notify_all()
                answer = receiver.answer(call)
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {"Content-Length": "0", **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()

            do_GET = do_POST = _any

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # whoever called is gone

        with lab.ns["servers"].entered():
            self._server = Server((SERVER, port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{DIRECTORY}/tls.pem", f"{DIRECTORY}/tls.key")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count=1, timeout=daemon.PATIENCE):
        """The count-th call, when it has come."""
        with self._condition:
            assert self._condition.wait_for(lambda: len(self.calls) >= count, timeout), \
                f"{len(self.calls)} calls, not {count}: {self.calls}"
            return self.calls[count - 1]

    def wait_port(self, port, timeout=daemon.PATIENCE):
        """Until the last call is of that public port."""
        with self._condition:
            assert self._condition.wait_for(lambda: f":{port}" in self.calls[-1].body, timeout), self.calls[-1]


@pytest.fixture
def receiver(lab):
    with Receiver(lab) as made:
        yield made


def webhook(receiver, **settings):
    return {"type": "webhook", "url": receiver.url,
            "body": '{"endpoint":"${public_endpoint}","event":"${event}","mapping":"${mapping}"}',
            **{key.replace("_", "-"): value for key, value in settings.items()}}


def sections(published, **publishers):
    """The mapping `web`, without a hook, and publishers by name."""
    return {"web": {"bind": 8443, "target": "192.168.10.50:443", "hook": False, "publish": published,
                    "detect": "1s", "verify": "5s"},
            **{f"publish {name}": settings for name, settings in publishers.items()}}


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def publishers_of(lab):
    """The processes that tell somebody just now."""
    found = lab.running(os.path.join(os.path.dirname(daemon.program()), "publish", "pinhold-publish"))
    return [pid for pid in found if parent(pid) not in found]  # the leak checker has a child


def told(call):
    data = json.loads(call.body)
    return data["event"], data["endpoint"]


def wait_last(p, result, wanted=lambda publisher: True, name="web"):
    """The mapping's first publisher when its last call has ended so."""
    def ended(status):
        return status and any(q["last"] and q["last"]["result"] == result and wanted(q)
                              for q in status["publishers"])

    return next(q for q in p.wait_state(name, ended)["publishers"]
                if q["last"] and q["last"]["result"] == result)


def test_up_change_and_down(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file(sections("a", a=webhook(receiver, events="up, change, down"))) as p:
        assert told(receiver.wait()) == ("up", "203.0.113.7:32451")
        said = wait_last(p, "ok")
        assert said == {**said, "name": "a", "type": "webhook", "running": False, "retry": None}
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
    receiver.answer = lambda call: (429, {"Retry-After": "4"}) if len(receiver.calls) < 2 else 200
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        second = receiver.wait(2)
        assert 4 <= second.time - receiver.calls[0].time < 6
        wait_last(p, "ok")


def test_refused_for_good(lab, receiver):
    """What is told again does not help, until there is news or other settings."""
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


def again(lab, p, **options):
    """The same file and state directory, by another daemon."""
    return lab.pinhold_file(p.text(), env={"STATE_DIRECTORY": p.state_directory, **options})


def test_restart_tells_nothing_twice(lab, receiver):
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        receiver.wait()
        wait_last(p, "ok")
    with again(lab, p) as q:
        q.wait_state("web", "up")
        # A change shows that it would have been told before.
        lab.isp.remap(32999)
        assert told(receiver.wait(2)) == ("change", "203.0.113.7:32999")
        wait_last(q, "ok")
        q.process.kill()
        q.wait_exit()
    lab.isp.remap(33001)
    with again(lab, p) as r:
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
    with again(lab, p) as q:
        assert told(receiver.wait(3)) == ("change", "203.0.113.7:32451")
        wait_last(q, "ok")


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
        hang.set()
        wait_last(p, "refused")
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
    with lab.pinhold_file(sections("a", a=webhook(receiver)), program=copy) as p:
        p.wait_log(r"pinhold-publish: No such file .*publishers need it")
        failed = wait_last(p, "not started")
        assert "pinhold-publish" in failed["last"]["text"] and failed["retry"]
        assert lab.client.get(PUBLIC).body == "nas"


@contextlib.contextmanager
def worker(lab, token_file):
    """The Worker, in workerd, at https://service.lab:8788."""
    build = os.path.dirname(os.path.dirname(daemon.program()))
    script = os.path.join(os.path.dirname(__file__), "..", "worker", "serve.mjs")
    modules = f"{build}/worker"
    assert os.path.isdir(f"{modules}/node_modules"), f"{modules}: BUILD={build} tests/worker/run --install makes it"
    process = lab.ns["servers"].spawn(
        ["node", script, SERVER, "8788", "lab.test", token_file, f"{DIRECTORY}/tls.pem", f"{DIRECTORY}/tls.key"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"], "HOME": DIRECTORY, "WORKER_MODULES": modules})
    try:
        line = process.stdout.readline()
        assert line.startswith("listening "), line
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.stdout.close()


def ask(lab, path):
    """What the Worker says to a browser outside: status and Location."""
    context = ssl.create_default_context(cafile=f"{DIRECTORY}/tls.pem")
    with lab.ns["client"].entered():
        connection = http.client.HTTPSConnection("service.lab", 8788, timeout=10, context=context)
        connection.connect()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("Location")


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


def test_no_growth_while_a_receiver_is_down(lab, receiver):
    """Many changes, nobody takes them: one process at most, and only the newest waits."""
    lab.isp.full_cone(PUBLIC[1])
    receiver.answer = lambda call: 500
    with lab.pinhold_file(sections("a", a=webhook(receiver))) as p:
        receiver.wait()
        descriptors = p.descriptors()
        for n in range(8):
            lab.isp.remap(33000 + n)
            p.wait_state("web", lambda s, n=n: s["public"] and s["public"]["port"] == 33000 + n and
                         all(h["state"] == "open" for h in s["holders"]))
            # Twice: the list of processes is not of one moment.
            assert len(set(publishers_of(lab)) & set(publishers_of(lab))) <= 1
        assert p.descriptors() <= descriptors + 8
        # By now it is left alone for most of a minute, but for news.
        receiver.answer = lambda call: 200
        lab.isp.remap(33020)
        receiver.wait_port(33020)
        wait_last(p, "ok")
        ports = [int(told(call)[1].rsplit(":", 1)[1]) for call in receiver.calls[1:]]
        assert ports == sorted(ports), "nobody goes back"


def test_random_ends(lab, receiver):
    """Daemon and publisher are killed at any moment: in the end the receiver has the last endpoint."""
    lab.isp.full_cone(PUBLIC[1])
    first = p = lab.pinhold_file(sections("a", a=webhook(receiver)), inspect=False)
    receiver.wait()
    for n in range(24):
        lab.isp.remap(33000 + n)
        if n % 3 == 0:
            # While it notices, or tells, or has told.
            receiver.wait(len(receiver.calls) + (n % 2))
            for pid in publishers_of(lab):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        elif n % 3 == 1:
            p.process.kill()
            p.wait_exit()
            p = lab.pinhold_file(first.text(), inspect=False, env={"STATE_DIRECTORY": first.state_directory})
    receiver.wait_port(33023)
    wait_last(p, "ok", lambda q: not q["running"])
    ports = [int(told(call)[1].rsplit(":", 1)[1]) for call in receiver.calls]
    assert ports[-1] == 33023
    assert ports[1:] == sorted(ports[1:]), "nobody goes back"
    assert p.stop() == 0
