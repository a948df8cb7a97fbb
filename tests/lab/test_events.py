# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is told what, with several mappings and several hooks: up, change, down, each to its own."""
import json
import socket

import pytest

from pinlab import daemon
from pinlab.witness import PUBLIC

NEVER = {"interval": "1h", "detect": "10m", "verify": "1d"}
OFFSET = PUBLIC[1] - 8443


def test_down_is_told_at_the_end_when_the_table_is_gone(lab, web):
    """By default a file's hooks know all three."""
    p = web(then={"web": "os.system('nft list tables > /run/lab/table-' + os.environ['PINHOLD_EVENT'])"})
    p.wait_log("hook ended mapping=web.*status=0")
    assert p.stop() == 0
    down = p.wait_hook("web")
    assert down.event == "down"
    assert (down.env["PINHOLD_PREVIOUS_ADDRESS"], down.env["PINHOLD_PREVIOUS_PORT"]) == \
        (PUBLIC[0], str(PUBLIC[1]))
    assert not p.hook("web").pending()
    tables = {}
    for event in ("up", "down"):
        with open(f"/run/lab/table-{event}", encoding="utf-8") as f:
            tables[event] = f.read()
    assert "pinhold" in tables["up"] and "pinhold" not in tables["down"]


@pytest.mark.parametrize("chosen, told", [
    ("up, change, down", ["up", "change", "down"]), ("up", ["up"]), ("change, down", ["change", "down"]),
    ("down", ["down"])], ids=lambda x: None if isinstance(x, list) else x)
def test_chosen_events(lab, chosen, told):
    lab.isp.full_cone(PUBLIC[1])
    everything = daemon.HookReceiver()
    with lab.pinhold_file({
            "web": {"bind": 8443, "target": ":443", **NEVER, "detect": "1s", "hook-events": chosen},
            "other": {"bind": 8443, "protocol": "udp", "target": ":443", **NEVER, "interval": "1s",
                    "hook": everything.path}}) as p:
        assert everything.wait(20).event == "up"
        p.wait_state("web", "up")
        lab.isp.remap(40123)
        p.wait_state("web", lambda s: s["public"] and s["public"]["port"] == 40123)
        assert everything.wait(20).event == "change"
        assert p.stop() == 0
    assert everything.wait(20).event == "down"
    assert [call.event for call in p.hook("web").all(len(told))] == told


def test_every_hook_of_a_mapping_is_told(lab):
    """Each at its own pace: one that fails is called again, without the other."""
    lab.isp.full_cone(PUBLIC[1])
    good = daemon.HookReceiver()
    bad = daemon.HookReceiver("p = '/run/lab/bad-has-failed'\n"
                              "if not os.path.exists(p):\n    open(p, 'w').close()\n    sys.exit(3)")
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443", "hook": [good.path, bad.path]}}) as p:
        assert good.wait(20).endpoint == PUBLIC
        assert bad.wait(20).endpoint == bad.wait(20).endpoint == PUBLIC
        p.wait_state("web", lambda s: [h["last"] and h["last"]["result"] for h in s["hooks"]] == ["ok", "ok"])
        assert not good.pending()


def test_hanging_hook_holds_up_nobody_else(lab, web):
    lab.isp.full_cone(8444 + OFFSET, 8444)
    p = web({**NEVER, "detect": "1s"}, then={"web": "import time; time.sleep(3600)"},
            more={"more": {"bind": 8444, "target": ":443", **NEVER, "detect": "1s"}})
    assert p.wait_hook("more").port == str(8444 + OFFSET)
    lab.isp.remap(41000, bind_port=8444)
    assert p.wait_hook("more").port == "41000"
    assert p.status("web")["hooks"][0]["running"] is True
    assert p.stop() == 0


def test_environment_of_each_is_its_own(lab):
    lab.isp.full_cone_range(8443, 8444, OFFSET)
    with lab.pinhold_file({
            "web": {"bind": 8443, "target": f"{lab.nas.address}:public"},
            "echo": {"protocol": "udp", "bind": 8444, "target": f":{lab.nas.echo.port}"}}) as p:
        web, echo = p.wait_hook("web").env, p.wait_hook("echo").env
    for env, name, protocol, port, target in (
            (web, "web", "tcp", 8443, f"{lab.nas.address}:{8443 + OFFSET}"),
            (echo, "echo", "udp", 8444, f":{lab.nas.echo.port}")):
        assert (env["PINHOLD_MAPPING"], env["PINHOLD_PROTOCOL"]) == (name, protocol)
        assert (env["PINHOLD_PUBLIC_PORT"], env["PINHOLD_PRIVATE_PORT"]) == (str(port + OFFSET), str(port))
        assert env["PINHOLD_TARGET"].endswith(target)


def test_target_that_follows_the_public_port(lab, web):
    """`public`: the service listens on whatever port the world uses (BitTorrent)."""
    kind = socket.AF_INET, socket.SOCK_STREAM
    with lab.nas.ns.socket(*kind) as first, lab.nas.ns.socket(*kind) as second:
        for s, port in ((first, PUBLIC[1]), (second, 40123)):
            s.bind(("0.0.0.0", port))
            s.listen()
            s.settimeout(5)
        p = web({**NEVER, "detect": "1s", "target": f"{lab.nas.address}:public"})
        assert lab.client.refused(PUBLIC) is None
        first.accept()[0].close()
        lab.isp.remap(40123)
        change = p.wait_hook("web")
        assert change.env["PINHOLD_TARGET"] == f"{lab.nas.address}:40123"
        assert lab.client.refused(change.endpoint) is None
        second.accept()[0].close()
        assert json.dumps(p.status("web")).count("40123") >= 2
