# SPDX-License-Identifier: GPL-2.0-or-later
"""qbittorrent and transmission before the programs themselves."""
import contextlib
import json
import socket
import subprocess

import pytest

import bittorrent
from publisher import publish


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@contextlib.contextmanager
def running(command, port, directory):
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(command, env=bittorrent.environment(directory), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)
    try:
        bittorrent.wait_for(process, ("127.0.0.1", port))
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def qbittorrent(directory, auth="true"):
    port = free_port()
    with running(bittorrent.qbittorrent(directory, "127.0.0.1", port, auth), port, directory):
        yield port


@contextlib.contextmanager
def transmission(directory, *arguments):
    port = free_port()
    with running(bittorrent.transmission(directory, "127.0.0.1", port, *arguments), port, directory):
        yield port


def announce(kind, port, *settings, **event):
    return publish(kind, [("url", f"http://127.0.0.1:{port}"), *settings], **event)


def test_qbittorrent(directory, secret):
    login = [("username", "admin"), ("password-file", secret("adminadmin\n"))]
    with qbittorrent(directory) as port:
        r = announce("qbittorrent", port)
        assert r.status == 2 and r.text == f"127.0.0.1:{port}: wants username and password-file"
        r = announce("qbittorrent", port, *login)
        assert r.result == "ok" and r.text == "qBittorrent listens on port 32451"
        assert announce("qbittorrent", port, *login).result == "unchanged"
        assert announce("qbittorrent", port, *login, public_port=40000).result == "ok"
        assert announce("qbittorrent", port, *login, event="down").result == "unchanged"

        secret("canary-password")
        r = announce("qbittorrent", port, *login)
        assert r.status == 2 and r.text == f"127.0.0.1:{port}: username or password is wrong"
        announce("qbittorrent", port, *login)
        # Now not even the right one counts.
        secret("adminadmin")
        r = announce("qbittorrent", port, *login)
        assert r.retry and r.retry_after == 3600 and "has banned this address" in r.text


def test_qbittorrent_listens(directory):
    """What the preferences say is what it does; and from here it wants no login."""
    with qbittorrent(directory, auth="false") as port:
        assert announce("qbittorrent", port, public_port=40001).result == "ok"
        status, body = bittorrent.get(("127.0.0.1", port), "/api/v2/app/preferences")
        assert status == 200 and json.loads(body)["listen_port"] == 40001


def test_transmission(directory):
    with transmission(directory, "--no-auth") as port:
        r = announce("transmission", port)
        assert r.result == "ok" and r.text == "Transmission listens on port 32451"
        with socket.create_connection(("127.0.0.1", 32451), timeout=10):
            pass
        assert announce("transmission", f"{port}/transmission/rpc").result == "unchanged"
        assert announce("transmission", f"{port}/", public_port=40000).result == "ok"
        assert announce("transmission", port, event="down").result == "unchanged"
        r = announce("transmission", f"{port}/elsewhere")
        assert r.result == "failed"


def test_transmission_with_password(directory, secret):
    with transmission(directory, "--auth", "--username", "u", "--password", "right one") as port:
        r = announce("transmission", port)
        assert r.status == 2 and "wants username and password-file" in r.text
        login = [("username", "u"), ("password-file", secret("right one\n"))]
        assert announce("transmission", port, *login).result == "ok"
        secret("canary-password")
        r = announce("transmission", port, *login)
        assert r.status == 2 and r.text == f"127.0.0.1:{port}: username or password is wrong"


def test_transmission_whitelist(directory):
    with transmission(directory, "--no-auth", "--allowed", "192.0.2.1") as port:
        r = announce("transmission", port)
        assert r.status == 2 and "rpc-whitelist" in r.text


@pytest.mark.parametrize("kind", ["qbittorrent", "transmission"])
@pytest.mark.parametrize("body", ["", "[]", "{}", "<html>", '{"result":"success","arguments":{}}',
                                  '{"result":"busy"}', '{"listen_port":"1"}'])
def test_something_else_answers(web, kind, body):
    web.answer = lambda q: (200, {}, body)
    r = announce(kind, web.port)
    assert r.result == "failed" and r.retry


def test_endless_handshake(web):
    """A 409 to whatever ID is answered once, and not for ever."""
    web.answer = lambda q: (409, {"X-Transmission-Session-Id": f"id{len(web.requests)}"}, "")
    r = announce("transmission", web.port)
    assert r.result == "failed" and len(web.requests) == 2
    assert web.requests[1].headers["X-Transmission-Session-Id"] == "id1"


@pytest.mark.parametrize("kind, answers", [
    ("qbittorrent", {"GET": '{"listen_port":1}', "POST": ""}),
    ("transmission", {"POST": '{"result":"success","arguments":{"peer-port":1}}'}),
])
def test_port_that_stays(web, kind, answers):
    web.answer = lambda q: (200, {}, answers[q.method])
    r = announce(kind, web.port)
    assert r.retry and "has kept port 1" in r.text
