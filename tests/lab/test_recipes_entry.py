# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold-recipes(7): the fixed entry, from a browser's URL to pages of several services on one public port."""
import contextlib
import itertools
import socket
import ssl

import pytest

from pinlab import recipes
from pinlab.receivers import worker
from pinlab.records import NAME_SERVER, TOKEN, cloudflare
from pinlab.servers import DIRECTORY, Nginx

_serial = itertools.count(1)
ENTRY = "pinhold.account.workers.dev"
UPDATE_TOKEN = "canary-0123456789-0123456789-0123456789-ab"
BACKEND = 'server { listen 5000; location / { return 200 "nas of $http_x_forwarded_proto://$http_host$request_uri"; } }\n'


@pytest.fixture
def entry(lab):
    """The Worker, at its documented address."""
    recipes.furnish()
    token = recipes.secret("worker.token", UPDATE_TOKEN)
    lab.internet.dns.names[ENTRY] = [NAME_SERVER]
    with worker(lab, token, address=NAME_SERVER, port=443, domain="example.com") as put:
        yield put


@pytest.fixture
def nginx(lab):
    """nginx with the documented file, at the other machine in the LAN: at 192.168.10.50 the lab's own has the port."""
    recipes.furnish()
    for name, file in (("fullchain.pem", "tls.pem"), ("key.pem", "tls.key")):
        with open(f"{DIRECTORY}/{file}", encoding="ascii") as f:
            recipes.write(f"/etc/ssl/example.com/{name}", f.read())
    recipes.write(f"{DIRECTORY}/files/index.html", "the files")
    recipes.write(f"{DIRECTORY}/files/music/index.html", "the music")
    text = recipes.filled(recipes.recipe("entry", "nginx.conf"),
                          {"192.168.10.50": "192.168.10.60", "/srv/files": f"{DIRECTORY}/files"})
    server = Nginx(lab.pc.ns, f"include {recipes.write('/etc/nginx/conf.d/pinhold.conf', text)};\nindex index.html;\n"
                   + BACKEND, name=f"recipe-{next(_serial)}")
    yield server
    server.kill()


def settings(name, changes=None):
    return recipes.filled(recipes.recipe(name, "pinhold.conf"), {"192.168.10.50": "192.168.10.60", **(changes or {})})


def curl(lab, url, *options):
    """What a browser outside gets in the end, and where from."""
    done = lab.client.ns.run(["curl", "-sS", "--max-time", "10", *options, "-w", "\n%{url_effective}", url])
    return done.rsplit("\n", 1)


def told(p, port, address="203.0.113.7"):
    p.wait_state("web", lambda s: s["public"] and (s["public"]["address"], s["public"]["port"]) == (address, port) and
                 not any(q["owed"] for q in s["publishers"]))


def refusal(lab, port, name):
    """How that port is closed to who asks for that name (SNI), or for none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with lab.client.ns.entered():
        raw = socket.create_connection(("203.0.113.7", port), 5)
    with contextlib.closing(raw), pytest.raises(ssl.SSLError) as e:
        context.wrap_socket(raw, server_hostname=name)
    return e.value.reason


def test_fixed_entry(lab, entry, nginx):
    assert entry and nginx
    recipes.secret("cloudflare.token", TOKEN)
    lab.isp.full_cone(32451)
    changes = {"publish = entry\n": "publish = entry, address\n", "ACCOUNT": "account"}
    with cloudflare(lab) as stand_in, recipes.pinhold(lab, settings("entry", changes)) as p:
        told(p, 32451)
        assert curl(lab, f"https://{ENTRY}/nas/photos?x=1", "-L") == [
            "nas of https://nas.example.com:32451/photos?x=1", "https://nas.example.com:32451/photos?x=1"]
        assert curl(lab, f"https://{ENTRY}/files/", "-L") == ["the files", "https://files.example.com:32451/"]
        # nginx's own redirect leads to the public port, of which it knows nothing.
        assert curl(lab, f"https://{ENTRY}/files/music", "-L") == ["the music",
                                                                    "https://files.example.com:32451/music/"]
        for name in (None, "elsewhere.example.org", "mail.example.com"):
            assert refusal(lab, 32451, name) == "TLSV1_UNRECOGNIZED_NAME", name

        lab.isp.remap(32999)
        told(p, 32999)
        assert curl(lab, f"https://{ENTRY}/nas/", "-L")[1] == "https://nas.example.com:32999/"
        lab.isp.change_public_address("203.0.113.9")
        told(p, 32999, "203.0.113.9")
        assert [r["content"] for r in stand_in.records] == ["203.0.113.9"]
        assert curl(lab, f"https://{ENTRY}/nas/", "-L") == ["nas of https://nas.example.com:32999/",
                                                             "https://nas.example.com:32999/"]
        assert UPDATE_TOKEN not in "".join(p.lines)


def test_fixed_entry_by_kv(lab, entry):
    """What stands in Cloudflare's KV by its API is what the Worker reads there."""
    recipes.secret("cloudflare.token", TOKEN)
    lab.isp.full_cone(32451)
    web = "[mapping web]\nbind = 8443\ntarget = 192.168.10.50:443\npublish = entry\n\n"
    with cloudflare(lab) as stand_in, \
            recipes.pinhold(lab, web + recipes.recipe("entry-kv", "pinhold.conf")) as p:
        for port in (32451, 32999):
            lab.isp.remap(port)
            told(p, port)
            assert stand_in.values == {"home": str(port)}
            entry("home", stand_in.values["home"])
            done = lab.client.ns.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{redirect_url}", f"https://{ENTRY}/nas/"])
            assert done == f"https://nas.example.com:{port}/"
