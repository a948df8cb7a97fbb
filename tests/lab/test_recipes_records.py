# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold-recipes(7): those who find the endpoint in DNS records."""
import pytest

from pinlab import net, recipes
from pinlab.greeter import Greeter, greet
from pinlab.receivers import wait_last
from pinlab.records import TOKEN, cloudflare
from pinlab.wireguard import Tunnel


@pytest.fixture
def stand_in(lab):
    recipes.furnish()
    recipes.secret("cloudflare.token", TOKEN)
    with cloudflare(lab) as made:
        yield made


def dig(lab, kind, name):
    """What a resolver out there says, as words of one line."""
    return lab.client.ns.run(["dig", "+short", "+time=5", kind, name]).split()


def told(p, name, port):
    wait_last(p, "ok", lambda q: not q["owed"], name)
    p.wait_state(name, lambda s: s["public"] and s["public"]["port"] == port and not s["publishers"][0]["owed"])


def player(lab):
    """What a Minecraft client does with `mc.example.com`."""
    priority, weight, port, host = dig(lab, "SRV", "_minecraft._tcp.mc.example.com")
    assert priority.isdigit() and weight.isdigit()
    address, = dig(lab, "A", host)
    return address, int(port)


def test_minecraft(lab, stand_in):
    other = stand_in.record("A", "example.com", content="198.51.100.99")
    mail = stand_in.record("TXT", "home.example.com", content='"v=spf1 -all"')
    before = [dict(other), dict(mail)]
    lab.isp.full_cone(32451, 25565)
    with Greeter(lab.pc.ns, 25565, "tcp"):
        with recipes.pinhold(lab, recipes.recipe("minecraft", "pinhold.conf")) as p:
            told(p, "minecraft", 32451)
            assert player(lab) == ("203.0.113.7", 32451)
            assert greet(lab.client, player(lab), "tcp") == lab.client.address
            lab.isp.remap(32999, 25565)
            told(p, "minecraft", 32999)
            assert player(lab) == ("203.0.113.7", 32999)
            assert greet(lab.client, player(lab), "tcp") == lab.client.address
    assert stand_in.records[:2] == before and len(stand_in.records) == 4
    assert all(r["ttl"] == 60 for r in stand_in.records[2:])


def follow(lab, script, peer, later=False):
    """wg-follow as cron runs it; later: five minutes from now, by its clock."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    if later:
        recipes.write("/etc/later/date", "#!/bin/sh\nexec /bin/date -d '+300 seconds' \"$@\"\n", 0o755)
        path = f"/etc/later:{path}"
    return net.run(["ip", "netns", "exec", "client", script, "wg-client", peer, "wg.example.com"], check=False,
                   env={"PATH": path})


def endpoint(lab):
    return lab.client.ns.run(["wg", "show", "wg-client", "endpoints"]).split()[1]


def test_wireguard(lab, stand_in):
    script = recipes.write("/etc/wireguard/wg-follow", recipes.recipe("wireguard", "wg-follow"), 0o755)
    lab.isp.full_cone(32451, 51821)
    with recipes.pinhold(lab, recipes.recipe("wireguard", "pinhold.conf")) as p, \
            Tunnel(lab.gw.ns, "wg-gw", "10.9.0.1", 51820) as here, \
            Tunnel(lab.client.ns, "wg-client", "10.9.0.2") as there:
        told(p, "wireguard", 32451)
        here.peer(there)
        # It has never been where the record says: there was no handshake yet.
        there.peer(here, ("203.0.113.7", 1))
        done = follow(lab, script, here.public_key)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert endpoint(lab) == "203.0.113.7:32451"
        assert lab.client.get(("10.9.0.1", 443)).body == "gw"

        lab.isp.remap(32999, 51821)
        told(p, "wireguard", 32999)
        assert follow(lab, script, here.public_key).returncode == 0
        assert endpoint(lab) == "203.0.113.7:32451", "a tunnel that may live is left alone"
        assert follow(lab, script, here.public_key, later=True).returncode == 0
        assert endpoint(lab) == "203.0.113.7:32999"
        assert lab.client.get(("10.9.0.1", 443)).body == "gw"

        # Without a record nothing is changed, and cron's mail says why.
        stand_in.records.clear()
        done = follow(lab, script, here.public_key, later=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "wg-follow: no endpoint in the TXT record of wg.example.com\n"
        assert endpoint(lab) == "203.0.113.7:32999"

        # dig writes its errors, which have colons, to where its answers go.
        lab.internet.dns.silent = True
        done = follow(lab, script, here.public_key, later=True)
        assert (done.returncode, done.stderr) == (1, "wg-follow: no endpoint in the TXT record of wg.example.com\n")
        assert endpoint(lab) == "203.0.113.7:32999"
