# SPDX-License-Identifier: GPL-2.0-or-later
"""A NAT that gives each server another port: nobody outside can use any of them, and pinhold says so."""
import pytest

from pinlab import scripted
from pinlab.witness import PUBLIC, Witness, reach

FAST = {"interval": "1s", "detect": "1s", "verify": "5s"}


def mapping(lab, protocol):
    port = 443 if protocol == "tcp" else lab.nas.echo.port
    return {"protocol": protocol, "bind": 8443, "target": f"{lab.nas.address}:{port}", **FAST}


def dependent(status):
    return status["endpoint_independent"] is False and status["state"] != "up"


def says_so(p):
    """In the log, once, and in status, in plain words; and nothing claims an endpoint."""
    p.wait_log("not endpoint-independent")
    status = p.wait_state("web", dependent)
    assert "symmetric" in status["why"]
    assert status["public"] is None
    done = p.command_line("get", "web", "public-endpoint")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "symmetric" in p.command_line("status", "web").stdout
    return status


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_from_the_beginning(lab, protocol):
    """Its hook is not run and its table holds no endpoint; a mapping beside it is not concerned."""
    with Witness(lab) as witness:
        lab.isp.symmetric(8443)
        with lab.pinhold_file({"web": mapping(lab, protocol), "witness": witness.section}) as p:
            witness.seen(p)
            says_so(p)
            table = lab.gw.table()
            assert "in-web" not in table and ". 8443 : goto" not in table and ". 8443 : jump" not in table
            # It goes on asking, and goes on being told nonsense.
            witness.unmoved()
            assert not p.hook("web").pending()
            assert len(p.logged("not endpoint-independent")) == 1
            # The ISP mends its NAT (or the subscriber gets another): it comes up by itself.
            lab.isp.full_cone(PUBLIC[1])
            up = p.wait_hook("web", timeout=90)
            assert (up.event, up.endpoint) == ("up", PUBLIC)
            assert p.wait_state("web", "up")["endpoint_independent"] is True
            reach(lab, PUBLIC, protocol)
            witness.unmoved()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_mapping_that_was_up_goes_down(lab, web, protocol):
    """The subscriber is moved behind another NAT while everything runs."""
    with Witness(lab) as witness:
        p = web(FAST, witness, protocol)
        lab.isp.symmetric(8443)
        while True:
            call = p.wait_hook("web", timeout=60)
            if call.event == "down":
                break
            # One server's answer may be confirmed by chance only; that takes two equal random ports.
            assert call.event == "change"
        says_so(p)
        assert lab.client.refused(PUBLIC)
        witness.unmoved()
        lab.isp.full_cone(PUBLIC[1])
        assert p.wait_hook("web", timeout=90).event == "up"
        reach(lab, PUBLIC, protocol)
        witness.unmoved()


def test_one_liar_does_not_make_a_nat_symmetric(lab, web):
    """Servers disagree, but two others agree."""
    with scripted.StunServer(lab.internet.scripted[0],
                             lambda ask: ask.send(ask.success(("198.51.100.66", 1111)))) as liar:
        p = web({**FAST, "stun": [liar.name, *lab.stun_names()[:7]]})
        liar.wait_asked()
        assert p.status("web")["endpoint_independent"] is True
        assert not p.logged("not endpoint-independent")
        assert not p.hook("web").pending()


def test_with_one_server_nobody_knows(lab, web):
    """One answer is believed, and status says what it is worth."""
    p = web({**FAST, "stun": lab.internet.real[0].name})
    status = p.status("web")
    assert status["state"] == "up" and status["endpoint_independent"] is None
    assert status["can_verify"] is False and status["why"]
    reach(lab, PUBLIC)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_enough_servers_to_verify(lab, web, protocol):
    """Sixteen for a look every minute is enough, two for one every five seconds is not."""
    p = web({"verify": "60s"}, protocol=protocol)
    assert p.wait_state("web", lambda s: s["verified"])["can_verify"] is True
    p.change("web", verify="5s", stun=[s.name for s in lab.internet.real[:2]])
    p.reload()
    status = p.wait_state("web", lambda s: s["can_verify"] is False)
    assert status["state"] == "up"
    reach(lab, PUBLIC, protocol)
    assert not p.hook("web").pending()
