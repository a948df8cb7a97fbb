# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold-recipes(7): certificates by DNS-01 beside pinhold's records. certbot and pebble are the real ones."""
import json
import os
import subprocess
import threading

import pytest

from pinlab import recipes
from pinlab.receivers import wait_last
from pinlab.records import NAME_SERVER, TOKEN, cloudflare
from pinlab.servers import DIRECTORY

RECORDS = ("[mapping web]\nbind = 8443\ntarget = 192.168.10.50:443\npublish = dns\n\n[publish dns]\n"
           "type = cloudflare-dns\ntoken-file = /etc/pinhold/cloudflare.token\nrecord = A *.example.com\n"
           "record = TXT example.com\n")
AUTHORITY = "https://service.lab:14000/dir"


@pytest.fixture
def stand_in(lab):
    recipes.furnish()
    recipes.secret("cloudflare.token", TOKEN)
    with cloudflare(lab) as made:
        made.certbot = True
        yield made


@pytest.fixture
def authority(lab):
    """pebble, which looks into the DNS as a certificate authority does."""
    lab.internet.dns.names["service.lab"] = [NAME_SERVER]
    settings = {"pebble": {"listenAddress": f"{NAME_SERVER}:14000", "managementListenAddress": f"{NAME_SERVER}:15000",
                           "certificate": f"{DIRECTORY}/tls.pem", "privateKey": f"{DIRECTORY}/tls.key",
                           "httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": "",
                           "externalAccountBindingRequired": False}}
    recipes.write(f"{DIRECTORY}/pebble.json", json.dumps(settings))
    process = lab.ns["servers"].spawn(
        ["pebble", "-config", f"{DIRECTORY}/pebble.json", "-dnsserver", f"{NAME_SERVER}:53"], text=True,
        env={"PATH": "/usr/bin:/bin", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, reader = [], None
    try:
        for line in process.stdout:
            said.append(line)
            if "ACME directory available" in line:
                break
        else:
            raise AssertionError(f"pebble did not start: {said}")
        reader = threading.Thread(target=lambda: said.extend(process.stdout))
        reader.start()
        yield said
    finally:
        process.kill()
        process.wait()
        if reader:
            reader.join()
        process.stdout.close()


def test_acme_beside_pinhold(lab, stand_in, authority):
    """Whoever makes a challenge takes it away, and nobody touches what is the other's."""
    text = recipes.filled(recipes.recipe("acme", "certbot"), {
        "certbot certonly": f"certbot certonly --server {AUTHORITY} --work-dir {DIRECTORY}/certbot "
                            f"--logs-dir {DIRECTORY}/certbot"})
    os.makedirs("/etc/letsencrypt", exist_ok=True)
    lab.isp.full_cone(32451)
    challenges, beside = set(), []
    answer = stand_in.answer

    def watched(request):
        result = answer(request)
        ours = request.headers["User-Agent"].startswith("pinhold/")
        now = {r["content"] for r in stand_in.records if r["name"] == "_acme-challenge.example.com"}
        if now - challenges:
            challenges.update(now)
            # A change in the midst of it: pinhold's records move, and the challenge stays.
            lab.isp.remap(33000 + len(challenges))
        if now and ours and request.method != "GET":
            beside.append(request.method)
        return result

    stand_in.answer = watched
    with recipes.pinhold(lab, RECORDS) as p:
        wait_last(p, "ok", lambda q: not q["owed"])
        with lab.gw.ns.entered():
            done = subprocess.run(["sh", "-ec", text], env={"PATH": "/usr/bin:/bin", "HOME": DIRECTORY}, text=True,
                                  capture_output=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + "".join(authority[-20:])
        assert len(challenges) == 2, "one for each name"
        assert beside, "pinhold has changed nothing while a challenge stood there"
        port = 33000 + len(challenges)
        p.wait_state("web", lambda s: s["public"] and s["public"]["port"] == port and not s["publishers"][0]["owed"])
    assert sorted((r["type"], r["name"], r["content"]) for r in stand_in.records) == [
        ("A", "*.example.com", "203.0.113.7"), ("TXT", "example.com", f'"203.0.113.7:{port}"')]
    names = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in",
                            "/etc/letsencrypt/live/example.com/cert.pem"], check=True, capture_output=True, text=True)
    assert "DNS:*.example.com" in names.stdout and "DNS:example.com" in names.stdout


def test_acme_sh_text():
    """acme.sh is in no Debian; what can be said of its text is that the variables are those of its dns_cf."""
    text = recipes.recipe("acme", "acme.sh")
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0
    assert "--dns dns_cf " in text and "export CF_Token=" in text
