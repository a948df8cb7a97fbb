# SPDX-License-Identifier: GPL-2.0-or-later
"""One turn of `rotate`, moment by moment: the new port is there before the old one goes."""
import re

from pinlab.sniff import SYN, Sniffer

LINGER = 30  # seconds that the old port goes on, and what a loaded machine may add
OFFSET = 20000
OLD, NEW = 8443, 8444
BRIEF = 8453  # of a mapping that is told to rotate no more, when it just has


def sections(lab):
    """TCP and UDP at the same bind ports, and IPv6, where nobody translates."""
    common = {"bind": f"{OLD}-{NEW}", "rotate": "1m"}
    return {"global": {"interface": "wan"},
            "web": {**common, "target": f"{lab.nas.address}:443"},
            "dgram": {**common, "protocol": "udp", "target": f"{lab.nas.address}:{lab.nas.echo.port}"},
            "brief": {**common, "bind": f"{BRIEF}-{BRIEF + 1}", "target": ":443"},
            "six": {**common, "family": "ipv6", "target": f"[{lab.nas.address6}]:443"}}


def endpoint(lab, name, port):
    return (lab.gw.wan6, port) if name == "six" else (lab.isp.public, port + OFFSET)


def reach(lab, name, port):
    if name == "dgram":
        assert lab.client.udp(endpoint(lab, name, port))[0] == "nas"
    else:
        assert lab.client.get(endpoint(lab, name, port)).body == "nas"


def chains(lab, name):
    """Which bind port leads to which chain of the mapping."""
    found = re.findall(rf"(tcp|udp) \. (\d+) : goto ((?:in|old)-{name})\b", lab.gw.table())
    return {chain: int(port) for _, port, chain in found}


def about(transactions, name):
    """The transactions that concern a mapping's chains."""
    return [t for t in transactions if any(re.search(rf"\b(in|old)-{name}\b", line) for line in t)]


def test_the_new_port_is_there_before_the_old_one_goes(lab):
    lab.isp.full_cone_range(OLD, NEW, OFFSET)
    lab.isp.full_cone_range(BRIEF, BRIEF + 1, OFFSET)
    # Our own flows would be moved to other ports before they are pinned.
    lab.gw.masquerade("fully-random")
    names = ["web", "dgram", "six"]
    with lab.pinhold_file(sections(lab)) as p, Sniffer(lab.ns["isp"], "subscriber") as wire:
        for name, up in p.wait_hooks(*names).items():
            assert (up.event, up.private_port) == ("up", str(OLD))
            reach(lab, name, OLD)
        assert {n: chains(lab, n) for n in names} == {n: {f"in-{n}": OLD} for n in names}
        p.wait_hook("brief")
        before = {n: (p.status(n), lab.gw.counter(n)) for n in names}
        monitor = lab.gw.monitor()
        seen = p.count()

        for name in names:
            change = p.wait_hook(name, timeout=90)
            # Told when it was in the table already, as a move and not as an end and a beginning.
            assert (change.event, change.endpoint) == ("change", endpoint(lab, name, NEW))
            assert chains(lab, name) == {f"in-{name}": NEW, f"old-{name}": OLD}
            assert (change.env["PINHOLD_PREVIOUS_ADDRESS"], int(change.env["PINHOLD_PREVIOUS_PORT"])) == \
                endpoint(lab, name, OLD)
        for name in names:
            reach(lab, name, NEW)
            reach(lab, name, OLD)  # who has not heard of it yet

        # One of them is not to rotate any more: its old port goes, and no other's does.
        assert p.wait_hook("brief", timeout=90).event == "change"
        assert chains(lab, "brief") == {"in-brief": BRIEF + 1, "old-brief": BRIEF}
        p.change("brief", rotate=None)
        p.reload()
        assert chains(lab, "brief") == {"in-brief": BRIEF + 1}
        assert {n: chains(lab, n) for n in names} == {n: {f"in-{n}": NEW, f"old-{n}": OLD} for n in names}

        lab.gw.flush_conntrack()
        for name in names:
            reach(lab, name, NEW)
            reach(lab, name, OLD)
            status, counted = p.status(name), before[name][1]
            assert status["state"] == "up" and status["private"]["port"] == NEW
            assert status["changes"] == before[name][0]["changes"] + 1
            assert lab.gw.counter(name) == counted + 4  # whichever port they came by

        # Where the old port goes on moving in the meantime, nobody needs to hear of it.
        lab.isp.remap(45000, bind_port=OLD)
        for name in names:
            p.wait_log(f"old port ended mapping={name} port={OLD}", timeout=LINGER + 15, start=seen)
        transactions = monitor.stop()
        assert any("45000" in line for t in transactions for line in t), "nobody has looked at the old port"
        for name in names:
            assert chains(lab, name) == {f"in-{name}": NEW}
            reach(lab, name, NEW)
            if name != "dgram":
                assert lab.client.refused(endpoint(lab, name, OLD))
            # Both chains change in one step, and the old one goes in another; nothing else is touched.
            to, *between, gone = about(transactions, name)
            assert any(re.search(rf"(add|create) chain inet pinhold old-{name}\b", line) for line in to), to
            assert any(re.search(rf"delete element inet pinhold inbound. .* {OLD} : goto in-{name}\b", line)
                       for line in to), to
            assert any(re.search(rf"delete chain inet pinhold old-{name}\b", line) for line in gone), gone
            assert not any(f"in-{name}" in line for t in (*between, gone) for line in t), transactions
            assert not p.hook(name).pending()
            assert lab.gw.counter(name) == before[name][1] + 5
        assert f". {OLD} " not in lab.gw.table()
        assert not p.logged(r"down mapping=")
        # No packet of ours has ever left from another port.
        own = {x.source[1] for x in wire.packets
               if x.source[0] == lab.gw.wan and x.destination[1] != 53 and
               (x.protocol == "udp" or x.flags & SYN)}
        assert own == {OLD, NEW, BRIEF, BRIEF + 1}, own
