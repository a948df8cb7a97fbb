# SPDX-License-Identifier: GPL-2.0-or-later
"""The webhook: what goes out, what each kind of bad receiver leads to, and where secrets do not get."""
import email.utils
import json
import pathlib
import socket
import subprocess
import time

import pytest

from publisher import EVENT, deliver, finish, job, program, publish, start
from receivers import RawServer, WebServer, hanging

CANARY = "canary-4f1c9d2e7b"


def webhook(url, *settings, limits=None, **event):
    return publish("webhook", [("url", url), *settings], limits, **event)


# ---- what goes out ----

def test_worker(web, secret):
    """The settings of the manual's example."""
    token = secret(CANARY + "\n")
    r = webhook(f"{web.url}/update-port", ("header", f"Authorization: Bearer ${{file:{token}}}"),
                ("body", '{"port":"${public_port}","key":"home"}'))
    assert r.result == "ok" and r.text == f"127.0.0.1:{web.port}: status 200"
    [q] = web.requests
    assert (q.method, q.path) == ("POST", "/update-port")
    assert json.loads(q.body) == {"port": "32451", "key": "home"}
    assert q.headers["Authorization"] == f"Bearer {CANARY}"
    assert q.headers["Content-Type"] == "application/json"
    version = subprocess.run([program(), "--version"], check=True, capture_output=True, text=True).stdout
    assert q.headers["User-Agent"] == "pinhold/" + version.split()[1]
    assert "Expect" not in q.headers


@pytest.mark.parametrize("settings, method, kind", [
    ([], "GET", None),
    ([("method", "POST")], "POST", None),
    ([("method", "DELETE")], "DELETE", None),
    ([("body", "port ${public_port}")], "POST", "text/plain; charset=utf-8"),
    ([("body", "[1]"), ("method", "PUT")], "PUT", "application/json"),
    ([("body", "x"), ("header", "content-type: a/b")], "POST", "a/b"),
])
def test_method_and_type(web, settings, method, kind):
    assert webhook(web.url + "/", *settings).result == "ok"
    [q] = web.requests
    assert q.method == method and q.headers["Content-Type"] == kind
    assert q.body == dict(settings).get("body", "").replace("${public_port}", "32451")
    if method in ("POST", "PUT"):
        assert q.headers["Content-Length"] == str(len(q.body))


def test_escaping(web, secret):
    odd = secret('a "b" & c\\=\u00e4')
    assert webhook(f"{web.url}/x?s=${{file:{odd}}}&e=${{public_endpoint}}",
                   ("body", f'{{"s":"${{file:{odd}}}"}}')).result == "ok"
    assert webhook(web.url, ("body", f"s=${{file:{odd}}}&p=${{public_port}}"),
                   ("header", "Content-Type: application/x-www-form-urlencoded")).result == "ok"
    assert webhook(web.url, ("body", f"it is ${{file:{odd}}}"), ("header", "X-Empty:"),
                   ("header", f"X-Odd: ${{file:{odd}}}")).result == "ok"
    escaped = "a%20%22b%22%20%26%20c%5C%3D%C3%A4"
    first, second, third = web.requests
    assert first.path == f"/x?s={escaped}&e=203.0.113.7%3A32451"
    assert json.loads(first.body) == {"s": 'a "b" & c\\=\u00e4'}
    assert second.body == f"s={escaped}&p=32451"
    assert third.body == 'it is a "b" & c\\=\u00e4'
    assert third.headers["X-Empty"] == ""


def test_all_variables(web):
    names = ("public_address", "public_port", "public_endpoint", "ip4p", "mapping", "protocol", "event",
             "private_port")
    body = "{" + ",".join(f'"{name}":"${{{name}}}"' for name in names) + "}"
    assert webhook(web.url, ("body", body)).result == "ok"
    assert json.loads(web.requests[0].body) == {name: str(EVENT[name]) for name in names}


def test_events(web):
    """Who is not to be told is not called by the daemon (tests/lab/test_publish.py)."""
    assert webhook(web.url + "/${event}", event="up").result == "ok"
    assert webhook(web.url + "/${event}", event="down", public_address="", public_port=0, public_endpoint="",
                   ip4p="").result == "ok"
    assert [r.path for r in web.requests] == ["/up", "/down"]


def test_proxy_of_the_environment_is_not_used(web):
    with WebServer() as proxy:
        env = {name: proxy.url for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY")}
        assert deliver(job("webhook", [("url", web.url)]), env).result == "ok"
        assert proxy.requests == [] and len(web.requests) == 1


# ---- TLS ----

@pytest.mark.parametrize("certificate, host, why", [
    ("good", "good.test", None),
    ("good", "other.test", "no alternative certificate subject name matches"),
    ("good", "127.0.0.1", "no alternative certificate subject name matches"),
    ("expired", "expired.test", "certificate has expired"),
    ("strange", "good.test", "unable to get local issuer certificate"),
])
def test_certificates(authority, certificate, host, why):
    with WebServer(getattr(authority, certificate)) as server:
        r = webhook(f"https://{host}:{server.port}/s", ("header", f"A: {CANARY}"),
                    ("ca-file", authority.file))
        if why is None:
            assert r.result == "ok" and len(server.requests) == 1
        else:
            # It may be renewed.
            assert r.result == "failed" and r.retry and why in r.text
            assert r.text.startswith(f"{host}:{server.port}: ") and server.requests == []


def test_authority_unknown_to_the_system(authority):
    with WebServer(authority.good) as server:
        r = webhook(f"https://good.test:{server.port}/")
        assert r.result == "failed" and "unable to get local issuer certificate" in r.text


def test_bad_ca_file(authority):
    with WebServer(authority.good) as server:
        r = webhook(f"https://good.test:{server.port}/", ("ca-file", "/nonexistent.pem"))
        assert r.result == "failed" and not r.retry and "/nonexistent.pem" in r.text


# ---- answers ----

@pytest.mark.parametrize("status, retry", [
    (200, None), (204, None), (299, None), (304, False), (400, False), (401, False), (403, False),
    (404, False), (410, False), (408, True), (429, True), (500, True), (502, True), (503, True),
])
def test_status(web, status, retry):
    web.answer = lambda q: (status, {}, "" if status in (204, 304) else "port: not a number\nmore")
    r = webhook(f"{web.url}/{CANARY}?{CANARY}")
    assert (r.result == "ok") == (retry is None) and r.retry == bool(retry)
    assert str(status) in r.text and CANARY not in r.text and r.retry_after is None
    if status == 400:
        assert r.text == f"127.0.0.1:{web.port}: status 400: port: not a number"


def test_page_is_not_quoted(web):
    web.answer = lambda q: (502, {}, "\n<html>nonsense</html>")
    assert webhook(web.url).text == f"127.0.0.1:{web.port}: status 502"


@pytest.mark.parametrize("value, low, high", [
    ("17", 17, 17), ("999999999", 86400, 86400), ("soon", None, None), ("0", None, None),
    (lambda: email.utils.formatdate(time.time() + 100, usegmt=True), 50, 101),
])
def test_retry_after(web, value, low, high):
    text = value() if callable(value) else value
    web.answer = lambda q: (503, {"Retry-After": text}, "")
    r = webhook(web.url)
    assert r.retry
    assert r.retry_after is None if low is None else low <= r.retry_after <= high


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(web, secret, status):
    token = secret(CANARY)
    with WebServer() as other:
        web.answer = lambda q: (status, {"Location": f"{other.url}/{CANARY}/x?{CANARY}#f"}, "")
        r = webhook(web.url, ("header", f"Authorization: ${{file:{token}}}"))
        assert r.result == "failed" and not r.retry
        assert f"redirects (status {status}) to {other.url}/***/x, which is not followed" in r.text
        assert other.requests == [] and len(web.requests) == 1


# ---- bad receivers ----

def test_unresolvable():
    r = webhook("https://nowhere.test/x", limits={"total_ms": 3000})
    assert r.result == "failed" and r.retry and r.text.startswith("nowhere.test:443: ")
    assert "resolve" in r.text


def test_refused():
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    r = webhook(f"http://127.0.0.1:{port}/{CANARY}")
    assert r.result == "failed" and r.retry and r.text == f"127.0.0.1:{port}: Couldn't connect to server"


def test_connection_that_never_comes():
    """Behind the other end of the link there is nobody."""
    subprocess.run("""set -e
        ip link add hole type veth peer name pit
        ip link set hole up; ip link set pit up
        ip addr add 192.0.2.1/24 dev hole
        ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev hole""", shell=True, check=True)
    begin = time.monotonic()
    r = webhook("http://192.0.2.2/", limits={"connect_ms": 300, "total_ms": 20000})
    assert r.result == "failed" and r.retry and "Timeout" in r.text
    assert time.monotonic() - begin < 10


def test_hanging():
    with hanging() as server:
        begin = time.monotonic()
        r = webhook(server.url, limits={"total_ms": 400})
        assert r.result == "failed" and r.retry and "Timeout" in r.text
        assert 0.35 < time.monotonic() - begin < 10


def test_dripping():
    """Something comes all the time, but never an end."""
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not server.done.wait(0.05):
            connection.sendall(b".")

    with RawServer(drip) as server:
        r = webhook(server.url, limits={"total_ms": 500})
        assert r.result == "failed" and r.retry and "Timeout" in r.text


@pytest.mark.parametrize("head, chunk", [
    (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    (b"HTTP/1.1 200 OK\r\n", b"X-Y: " + b"z" * 1000 + b"\r\n"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
])
def test_endless(head, chunk):
    def talk(connection):
        connection.sendall(head)
        while not server.done.is_set():
            connection.sendall(chunk)

    with RawServer(talk) as server:
        r = webhook(server.url, limits={"total_ms": 20000})
        assert r.result == "failed" and not r.retry
        assert r.text == f"127.0.0.1:{server.port}: the answer is too long"


@pytest.mark.parametrize("said", [
    b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf", b"SSH-2.0-OpenSSH_9.2\r\n",
])
def test_cut_off(said):
    with RawServer(lambda connection: connection.sendall(said)) as server:
        r = webhook(server.url)
        assert r.result == "failed" and r.retry, r


def test_fields_after_the_body():
    """A trailer is none of the header, and does not make the answer a half one."""
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
    with RawServer(lambda connection: connection.sendall(said)) as server:
        r = webhook(server.url)
        assert r.result == "ok", r


def test_interim_answer():
    """What follows it is the answer, also when that is cut off."""
    interim, answer = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for said, result in ((interim + answer, "ok"), (interim + answer[:-2], "failed")):
        with RawServer(lambda connection, text=said: connection.sendall(text)) as server:
            r = webhook(server.url)
            assert r.result == result and r.retry == (result == "failed"), r


def test_plain_server_for_tls(web):
    r = webhook(f"https://127.0.0.1:{web.port}/")
    assert r.result == "failed" and r.retry


def test_mis_spelled_url(web):
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "nonsense://x"):
        r = webhook(url)
        assert r.result == "failed" and not r.retry, r


# ---- secrets ----

def test_secret_file(web, secret, directory):
    def with_file(path):
        return webhook(web.url, ("header", f"A: ${{file:{path}}}"))

    r = with_file(directory / "none")
    assert r.status == 2 and f"{directory}/none: No such file or directory" in r.text
    r = with_file(secret(""))
    assert r.status == 2 and "empty" in r.text
    r = with_file(secret("one\r\nB: two"))
    assert r.status == 2 and "header A: the value would have a control character" in r.text
    r = with_file(secret("one\ntwo\n"))
    assert r.status == 2
    assert web.requests == []
    r = with_file(secret("one\n", mode=0o644))
    assert r.result == "ok" and "warning: " in r.text and "readable by everybody" in r.text
    assert web.requests[0].headers["A"] == "one"


def test_root_without_capabilities_reads_what_is_roots(web, secret):
    """A file of another's that only its owner may read needs CAP_DAC_OVERRIDE."""
    path = pathlib.Path(secret("x"))
    subprocess.run(["chown", "65534:65534", path], check=False)
    if path.stat().st_uid == 65534:
        r = webhook(web.url, ("header", f"A: ${{file:{path}}}"))
        assert r.status == 2 and "Permission denied" in r.text
    else:
        assert webhook(web.url, ("header", f"A: ${{file:{path}}}")).result == "ok"


def test_receiver_that_says_the_secret(web, secret):
    token = secret(f"{CANARY}/\"x")
    web.answer = lambda q: (400, {}, f"no: {q.headers['A']} {q.path} {q.body}")
    r = webhook(f"{web.url}/${{file:{token}}}", ("header", f"A: ${{file:{token}}}"),
                ("body", f'["${{file:{token}}}"]'))
    assert r.status == 2 and CANARY not in r.text and "no: *** /***" in r.text


@pytest.mark.parametrize("before", [140, 150, 155])
def test_secret_that_would_be_cut(web, secret, before):
    """Half a secret is one too: only the beginning of an answer is quoted."""
    token = secret(CANARY)
    web.answer = lambda q: (400, {}, "x" * before + q.headers["A"])
    r = webhook(web.url, ("header", f"A: ${{file:{token}}}"))
    assert "x" * before + "***" in r.text and CANARY[:3] not in r.text
    web.answer = lambda q: (302, {"Location": "/" + "y" * (before + 800) + q.headers["A"] * 3}, "")
    assert CANARY[:3] not in webhook(web.url, ("header", f"A: ${{file:{token}}}")).text


def test_canary(secret):
    """While it waits for its receiver, a secret is nowhere where others could look."""
    token = secret(CANARY)
    with hanging() as server:
        p = start(job("webhook", [("url", f"{server.url}/${{file:{token}}}"),
                                  ("header", f"A: ${{file:{token}}}"), ("header", f"B: {CANARY}")],
                      {"total_ms": 3000}))
        assert server.accepted.wait(20)
        for name in ("cmdline", "environ", "status", "comm"):
            data = pathlib.Path(f"/proc/{p.pid}/{name}").read_bytes()
            assert CANARY.encode() not in data, name
        r = finish(p)
        assert CANARY.encode() not in r.stdout


# ---- the input ----

def test_bad_input():
    good = json.loads(job("webhook", []))

    def refused(text, why):
        r = deliver(text)
        assert r.status == 2 and why in r.text, r

    refused("", "no JSON object")
    refused("[]", "no JSON object")
    refused('{"publisher":{"type":"' + CANARY, "no JSON object (near octet")
    refused(b"{\xff}", "no JSON object")
    refused(" " * 65537, "more than 65536 octets")
    refused('{"publisher":1,"publisher":2}', "no JSON object")
    refused("{}", "no text \"name\"")
    refused(json.dumps(good), "there is no url")
    refused(json.dumps(good | {"publisher": good["publisher"] | {"type": "x"}}), "no such type")
    refused(json.dumps(good | {"publisher": good["publisher"] | {"settings": [["a"]]}}), "pair of texts")
    refused(json.dumps(good | {"limits": {"total_ms": 0}}), "no time-out")
    for key, value in (("public_port", 0), ("public_port", 65536), ("public_port", "1"),
                       ("public_address", "x"), ("event", "x"), ("family", "ipv6"), ("target", None)):
        refused(json.dumps(good | {"event": good["event"] | {key: value}}), "input: ")
    r = webhook("http://127.0.0.1/${x}")
    assert r.status == 2 and "unknown variable" in r.text
