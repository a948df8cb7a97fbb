# SPDX-License-Identifier: GPL-2.0-or-later
"""STUN and keep-alive servers die, hang, close and lie; the public port does not change, and nobody waits."""
import pytest

from pinlab import scripted
from pinlab.witness import PUBLIC, reach, same_moment

NEVER = {"interval": "1h", "detect": "10m", "verify": "1d"}


def untouched(p, lab, before):
    """The public port was held through: nobody was told anything, and it works."""
    assert not p.hook("web").pending(), p.hook("web").pending()
    after = p.status("web")
    assert after["changes"] == before["changes"]
    assert same_moment(after["endpoint_since"], before["endpoint_since"])
    assert not p.logged(r"^pinhold: (down|change|lost) mapping=web")
    reach(lab, PUBLIC)


def host(server):
    return server.rsplit(":", 1)[0]


def wait_verified_again(p, before):
    """A fresh flow to a further server has agreed."""
    p.wait_state("web", lambda s: s["state"] == "up" and (s["verified"] or "") > (before["verified"] or ""))


@pytest.mark.parametrize("what, how, count", [
    ("stun", "kill", 1), ("stun", "drop", 2), ("http", "kill", 1), ("http", "kill", 2), ("http", "drop", 1),
    ("all", "kill", 2), ("all", "drop", 2)])
def test_servers_die(lab, web, what, how, count):
    """One, or both of the first pair, are killed (or their machines go silent), and come back later."""
    p = web({"interval": "1s", "detect": "1s", "verify": "5s"})
    before = p.status("web")
    handles = lab.gw.handles()
    used = {host(h["server"]) for h in before["holders"]}
    victims = [s for s in lab.internet.real if what == "stun" or s.address in used][:count]
    assert len(victims) == count
    with lab.client.visiting(PUBLIC, "nas") as visitor:
        for s in victims:
            if how == "kill":
                s.kill(what)
            else:
                s.down(what, how)
        if what != "stun":
            dead = {v.address for v in victims}
            p.wait_state("web", lambda s: [h["state"] for h in s["holders"]] == ["open"] * 2 and
                         not dead & {host(h["server"]) for h in s["holders"]})
        # The next fresh look agrees, whoever is dead.
        wait_verified_again(p, before)
        for s in victims:
            if how == "kill":
                s.restart(what)
            else:
                s.up(what)
        visitor.wait_visits(5)
    assert not visitor.failures, visitor
    untouched(p, lab, before)
    assert lab.gw.handles()["in-web"] == handles["in-web"]


@pytest.mark.parametrize("port, what", [(8002, "closes after each second request"), (8003, "closes when idle")])
def test_http_servers_that_close(lab, web, port, what):
    """All of them do: the real nginx, told to be mean. The page is there all the time."""
    p = web({**NEVER, "interval": "1s" if port == 8002 else "1h",
             "keepalive": [f"{s.name}:{port}" for s in lab.internet.real]})
    before = p.status("web")
    with lab.client.visiting(PUBLIC, "nas") as visitor:
        # Who closes idle connections is asked more often once that is known, and closes no more.
        lab.internet.http_log.wait_connections(8 if port == 8002 else 4, timeout=30)
        visitor.wait_visits(5)
    assert not visitor.failures, f"{what}: {visitor}"
    assert {e["port"] for e in lab.internet.http_log.entries} == {str(PUBLIC[1])}
    untouched(p, lab, before)


def test_reconnecting_meets_no_time_wait(lab, web):
    """One server address only, which closes after each answer and knows no TCP timestamps."""
    lab.ns["servers"].sysctl("net/ipv4/tcp_timestamps", 0)
    try:
        with scripted.HttpServer(lab.internet.scripted[0], scripted.close_after_each) as server:
            p = web({**NEVER, "keepalive": server.name}, holders=0)
            server.wait_connection(5, timeout=40)
            assert {c.peer for c in server.connections} == {PUBLIC}
            assert not p.logged("Cannot assign requested address")
            assert not p.hook("web").pending()
            reach(lab, PUBLIC)
    finally:
        lab.ns["servers"].sysctl("net/ipv4/tcp_timestamps", 1)


def test_two_liars_are_not_believed(lab, web):
    """A changed answer is confirmed by a second server; each liar has a story of its own."""
    with scripted.StunServer(lab.internet.scripted[0]) as one, \
            scripted.StunServer(lab.internet.scripted[1]) as two:
        p = web({**NEVER, "verify": "5s",
                 "stun": [one.name, two.name, *lab.stun_names()[:4]]})
        before = p.status("web")
        asked = len(one.asked), len(two.asked)
        one.behaviour = lambda ask: ask.send(ask.success(("198.51.100.66", 1111)))
        two.behaviour = lambda ask: ask.send(ask.success(("198.51.100.77", 2222)))
        for s, n in zip((one, two), asked):
            s.wait_asked(n + 1, timeout=60)
        wait_verified_again(p, before)
        untouched(p, lab, before)


def test_ipv6_servers_die(lab):
    with lab.pinhold_file({"global": {"interface": "wan", "interval": "1s", "detect": "1s", "verify": "5s"},
                           "web": {"family": "ipv6", "bind": 8443,
                                   "target": f"[{lab.nas.address6}]:443"}}) as p:
        p.wait_hook("web")
        before = p.wait_state("web", lambda s: [h["state"] for h in s["holders"]] == ["open"] * 2)
        with lab.client.visiting((lab.gw.wan6, 8443), "nas") as visitor:
            victims = lab.internet.real[:2]
            for s in victims:
                s.kill()
            p.wait_state("web", lambda s: len(s["holders"]) == 2 and all(
                h["state"] == "open" and not any(v.address6 in h["server"] for v in victims)
                for h in s["holders"]))
            wait_verified_again(p, before)
            visitor.wait_visits(3)
        assert not visitor.failures, visitor
        assert not p.hook("web").pending()
