# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold-recipes(7): BitTorrent clients, the real ones, in the LAN."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from pinlab import recipes
from pinlab.receivers import wait_last

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "publish"))
import bittorrent  # noqa: E402  pylint: disable=wrong-import-position

PASSWORD = "canary-pw-7f21"


def ask(lab, port, method, path, body=b"", **headers):
    """A request to the client's web interface, from the gateway."""
    with lab.gw.ns.entered():
        connection = http.client.HTTPConnection("192.168.10.60", port, timeout=10)
        connection.connect()
    with contextlib.closing(connection):
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


class QBittorrent:
    port, password = 8080, "adminadmin"  # as Debian's comes

    def command(self, directory):
        return bittorrent.qbittorrent(directory, "192.168.10.60", self.port)

    def add(self, lab):
        login = f"username=admin&password={self.password}".encode()
        status, said, headers = ask(lab, self.port, "POST", "/api/v2/auth/login", login,
                                    Content_Type="application/x-www-form-urlencoded")
        assert (status, said) == (200, b"Ok.")
        cookie = headers["Set-Cookie"].split(";")[0]
        body = (b'--X\r\nContent-Disposition: form-data; name="torrents"; filename="zeros.torrent"\r\n'
                b"Content-Type: application/x-bittorrent\r\n\r\n" + bittorrent.TORRENT + b"\r\n--X--\r\n")
        status, said, _ = ask(lab, self.port, "POST", "/api/v2/torrents/add", body, Cookie=cookie,
                              Content_Type="multipart/form-data; boundary=X")
        assert (status, said) == (200, b"Ok.")


class Transmission:
    port, password = 9091, PASSWORD

    def command(self, directory):
        """With the settings that the page names."""
        settings = {"rpc-whitelist": "192.168.10.1", "port-forwarding-enabled": False, "utp-enabled": False,
                    "rpc-authentication-required": True, "rpc-username": "me", "rpc-password": self.password}
        (directory / "settings.json").write_text(json.dumps(settings), encoding="ascii")
        return bittorrent.transmission(directory, "192.168.10.60", self.port)

    def add(self, lab):
        headers = {"Authorization": "Basic " + base64.b64encode(f"me:{self.password}".encode()).decode()}
        body = json.dumps({"method": "torrent-add", "arguments": {
            "metainfo": base64.b64encode(bittorrent.TORRENT).decode()}}).encode()
        headers["X_Transmission_Session_Id"] = ask(lab, self.port, "POST", "/transmission/rpc", body, **headers)[2][
            "X-Transmission-Session-Id"]
        status, said, _ = ask(lab, self.port, "POST", "/transmission/rpc", body, **headers)
        assert status == 200 and json.loads(said)["result"] == "success", said


@contextlib.contextmanager
def running(lab, client, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        process = lab.pc.ns.spawn(client.command(tmp_path), env=bittorrent.environment(tmp_path),
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        with lab.gw.ns.entered():
            bittorrent.wait_for(process, ("192.168.10.60", client.port))
        yield
    finally:
        process.kill()
        process.wait()


def peer(lab, port):
    """Whether a BitTorrent client out there finds one at that public port."""
    with lab.client.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(10)
        s.connect(("203.0.113.7", port))
        return bittorrent.is_peer(s)


@pytest.mark.parametrize("name, client", [("qbittorrent", QBittorrent()), ("transmission", Transmission())])
def test_peers_find_it(lab, tmp_path, name, client):
    recipes.furnish()
    recipes.secret(f"{name}.password", "another-one")
    lab.isp.full_cone(32451, 51413)
    with running(lab, client, pathlib.Path(tmp_path)):
        client.add(lab)
        with recipes.pinhold(lab, recipes.recipe(name, "pinhold.conf")) as p:
            refused = wait_last(p, "refused", name="torrent")
            assert "username or password is wrong" in refused["last"]["text"], refused
            assert f"publisher {name}: refused" in " ".join(p.command_line("status").stdout.split())
            recipes.secret(f"{name}.password", client.password)
            lab.isp.remap(32777, 51413)
            wait_last(p, "ok", lambda q: not q["owed"], "torrent")
            assert peer(lab, 32777)
            lab.isp.remap(32999, 51413)
            wait_last(p, "ok", lambda q: q["last"]["event"] == "change" and not q["owed"], "torrent")
            assert peer(lab, 32999)
            assert client.password not in "".join(p.lines) + p.command_line("status", "--json").stdout
