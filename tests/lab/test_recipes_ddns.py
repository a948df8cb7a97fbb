# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold-recipes(7): dynamic DNS clients that ask pinhold for the address."""
import base64
import os
import subprocess
import urllib.parse

import pytest

from pinlab import daemon, recipes
from pinlab.receivers import Receiver
from pinlab.servers import DIRECTORY

WEB = "[mapping web]\nbind = 8443\ntarget = 192.168.10.50:443\n"
GROUP, USER = "54321", "54322"  # nobody's


def shell(lab, p, command, *prefix):
    """The command as a program runs it that knows nothing of pinhold."""
    path = f"{os.path.dirname(daemon.program())}:/usr/sbin:/usr/bin:/sbin:/bin"
    env = {**daemon.environment(), "RUNTIME_DIRECTORY": p.run_directory, "PATH": path}
    with lab.gw.ns.entered():
        return subprocess.run([*prefix, "sh", "-c", command], env=env, text=True,
                              capture_output=True, timeout=20, check=False)


@pytest.fixture
def web(lab):
    lab.isp.full_cone(32451)
    with recipes.pinhold(lab, WEB, prefix=["setpriv", "--regid", GROUP, "--clear-groups"]) as p:
        p.wait_state("web", "up")
        yield p


def test_command_as_ddns_go_runs_it(lab, web):
    """By `sh -c`; the first address in what it prints is taken, and nothing if there is none."""
    command = recipes.recipe("ddns", "command").strip()
    member = ["setpriv", "--reuid", USER, "--regid", GROUP, "--clear-groups"]
    for prefix in ([], member):
        done = shell(lab, web, command, *prefix)
        assert (done.returncode, done.stdout, done.stderr) == (0, "203.0.113.7\n", "")
    # Not a member: a message that says so, and no address.
    done = shell(lab, web, command, "setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
    assert (done.returncode, done.stdout) == (3, "") and "ermission denied" in done.stderr
    lab.gw.ip("link set wan down")
    web.wait_state("web", lambda s: s["public"] is None)
    done = shell(lab, web, command, *member)
    assert (done.returncode, done.stdout) == (1, "")


def ddclient(lab, p):
    """One round of the daemon that it is with that file."""
    return shell(lab, p, f"ddclient -daemon=0 -file /etc/ddclient.conf -cache {DIRECTORY}/ddclient.cache "
                         f"-pid {DIRECTORY}/ddclient.pid -verbose")


def test_ddclient(lab, web):
    recipes.furnish()
    # By itself it waits half a minute after an update and five after what it could not do.
    text = recipes.filled(recipes.recipe("ddns", "ddclient.conf"), {
        "daemon=300\n": "daemon=300\nmin-interval=0\nmin-error-interval=0\n"})
    recipes.write("/etc/ddclient.conf", text, 0o600)
    lab.internet.dns.names["dyn.example.com"] = ["192.0.2.10"]
    with Receiver(lab, port=443, tls=True) as service:
        def update(call):
            """https://help.dyn.com/remote-access-api/perform-update/"""
            url = urllib.parse.urlsplit(call.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            login = base64.b64encode(b"me:secret").decode()
            if (call.method, url.path, call.headers.get("Authorization")) != ("GET", "/nic/update", f"Basic {login}"):
                return 401, {}, "badauth"
            if query.get("hostname") != "home.example.com" or not call.headers.get("User-Agent"):
                return 200, {}, "nohost"
            return 200, {"Content-Type": "text/plain"}, f"good {query['myip']}"

        service.answer = update
        said = ddclient(lab, web)
        assert "good: IP address set to 203.0.113.7" in said.stderr + said.stdout, said
        ddclient(lab, web)
        assert len(service.calls) == 1, "nothing has changed"
        # While there is no endpoint the record stays as it is, even for one who has forgotten what it is.
        lab.gw.ip("link set wan down")
        web.wait_state("web", lambda s: s["public"] is None)
        os.rename(f"{DIRECTORY}/ddclient.cache", f"{DIRECTORY}/ddclient.kept")
        ddclient(lab, web)
        os.rename(f"{DIRECTORY}/ddclient.kept", f"{DIRECTORY}/ddclient.cache")
        assert len(service.calls) == 1
        lab.isp.change_public_address("203.0.113.9")
        lab.gw.reset()
        web.wait_state("web", lambda s: s["public"] and s["public"]["address"] == "203.0.113.9")
        said = ddclient(lab, web)
        assert "good: IP address set to 203.0.113.9" in said.stderr + said.stdout, said
        assert len(service.calls) == 2
