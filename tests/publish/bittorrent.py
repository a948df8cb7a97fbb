# SPDX-License-Identifier: GPL-2.0-or-later
"""How qbittorrent-nox and transmission-daemon are started, and a torrent to try them with."""
import contextlib
import hashlib
import http.client
import time

QBITTORRENT = """[LegalNotice]
Accepted=true
[Preferences]
WebUI\\Port={port}
WebUI\\Address={address}
WebUI\\LocalHostAuth={auth}
WebUI\\MaxAuthenticationFailCount=2
[BitTorrent]
Session\\Port=51413
Session\\DHTEnabled=false
"""


def environment(directory):
    return {"HOME": str(directory), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def qbittorrent(directory, address, port, auth="true"):
    """Its command; the configuration is written into the directory."""
    path = directory / "qBittorrent" / "config"
    path.mkdir(parents=True)
    (path / "qBittorrent.conf").write_text(QBITTORRENT.format(port=port, address=address, auth=auth), encoding="ascii")
    return ["qbittorrent-nox", f"--profile={directory}"]


def transmission(directory, address, port, *arguments):
    return ["transmission-daemon", "--foreground", "--config-dir", str(directory), "--port", str(port),
            "--rpc-bind-address", address, "--peerport", "51413", "--no-portmap", "--no-dht", *arguments]


def get(endpoint, path):
    connection = http.client.HTTPConnection(*endpoint, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def wait_for(process, endpoint):
    """Until it answers HTTP: its first sign of life is the open port."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "it has ended"
        try:
            get(endpoint, "/")
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("it does not listen")


# A torrent of one piece of zeros (BEP 3).
_INFO = b"d6:lengthi16384e4:name5:zeros12:piece lengthi16384e6:pieces20:" + hashlib.sha1(bytes(16384)).digest() + b"e"
TORRENT = b"d4:info" + _INFO + b"e"
INFO_HASH = hashlib.sha1(_INFO).digest()


def handshake(connection):
    """Says hello as a peer does that wants that torrent; what the other says (BEP 3), or b"" if it hangs up."""
    connection.settimeout(10)
    connection.sendall(b"\x13BitTorrent protocol" + bytes(8) + INFO_HASH + b"-PH0000-000000000000")
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while len(answer) < 48 and (more := connection.recv(4096)):
            answer += more
    return answer


def is_peer(connection):
    answer = handshake(connection)
    return answer[:20] == b"\x13BitTorrent protocol" and answer[28:48] == INFO_HASH
