# SPDX-License-Identifier: GPL-2.0-or-later
"""Those who are told: a web server that answers as a test wants, the Worker, and how pinhold is set to tell them."""
import collections
import contextlib
import http.client
import http.server
import json
import os
import ssl
import subprocess
import threading
import time

from . import daemon
from .servers import DIRECTORY

SERVER, PORT = "192.0.2.10", 8088

Call = collections.namedtuple("Call", "method path headers body time")


class Receiver:
    """A web server out there; `answer(call)` gives a status, or (status, headers, text); `calls` are those that came."""

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
                status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, "")
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(text)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(text.encode())

            do_GET = do_POST = _any

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # or a burst of them would wait for a second SYN

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
        self.wait_for(lambda: f":{port}" in self.calls[-1].body, timeout)

    def wait_for(self, wanted, timeout=daemon.PATIENCE):
        """Until wanted() holds, which each call may bring about."""
        with self._condition:
            assert self._condition.wait_for(wanted, timeout), self.calls[-5:]


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


def event_of(call):
    """Whose endpoint it was, and the public port."""
    data = json.loads(call.body)
    return data["mapping"], int(data["endpoint"].rsplit(":", 1)[1])


def wait_last(p, result, wanted=lambda publisher: True, name="web"):
    """The mapping's first publisher when its last call has ended so."""
    def ended(status):
        return status and any(q["last"] and q["last"]["result"] == result and wanted(q)
                              for q in status["publishers"])

    return next(q for q in p.wait_state(name, ended)["publishers"]
                if q["last"] and q["last"]["result"] == result)


@contextlib.contextmanager
def worker(lab, token_file, address=SERVER, port=8788, domain="lab.test"):
    """The Worker, in workerd, at https://service.lab:8788 or elsewhere.

    It comes with a function that writes a value to a key of its KV, as others do by Cloudflare's API.
    """
    build = os.path.dirname(os.path.dirname(daemon.program()))
    script = os.path.join(os.path.dirname(__file__), "..", "..", "worker", "serve.mjs")
    modules = f"{build}/worker"
    assert os.path.isdir(f"{modules}/node_modules"), f"{modules}: BUILD={build} tests/worker/run --install makes it"
    process = lab.ns["servers"].spawn(
        ["node", script, address, str(port), domain, token_file, f"{DIRECTORY}/tls.pem", f"{DIRECTORY}/tls.key"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PATH": os.environ["PATH"], "HOME": DIRECTORY, "WORKER_MODULES": modules})
    try:
        line = process.stdout.readline()
        assert line.startswith("listening "), line

        def put(key, value):
            process.stdin.write(json.dumps({"key": key, "value": value}) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "stored\n"

        yield put
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
