# SPDX-License-Identifier: GPL-2.0-or-later
"""Many mappings in one daemon: all of them are up, and what concerns one does not concern the others."""
import re

import pytest

COUNT = 200
BIND, OFFSET = 10000, 20000


@pytest.fixture
def settings(lab):
    """settings(n): a file's sections with so many mappings, TCP and UDP in turn, two thirds of them TCP."""
    def make(count=COUNT):
        lab.isp.full_cone_range(BIND, BIND + count - 1, OFFSET)
        sections = {"global": {"interface": "wan"}}
        for n in range(count):
            udp = n % 3 == 2
            sections[f"m{n}"] = {
                "protocol": "udp" if udp else "tcp", "bind": BIND + n, "hook": False,
                "target": f"{lab.nas.address}:{lab.nas.echo.port if udp else 443}"}
        return sections

    return make


def await_all(p, count, timeout=60):
    for n in range(count):
        p.wait_state(f"m{n}", "up", timeout)


def statuses(p):
    return {m["name"]: m for m in p.status()["mappings"]}


def public(lab, n):
    return (lab.isp.public, BIND + n + OFFSET)


def test_all_are_up_where_the_nat_has_put_them(lab, settings):
    with lab.pinhold_file(settings()) as p:
        await_all(p, COUNT)
        found = statuses(p)
        assert len(found) == COUNT
        for n in range(COUNT):
            s = found[f"m{n}"]
            assert s["state"] == "up"
            assert (s["public"]["address"], s["public"]["port"]) == public(lab, n)
            assert s["private"] == {"address": lab.gw.wan, "port": BIND + n}
        table = lab.gw.table()
        for n in range(COUNT):
            assert f'comment "m{n}: {lab.isp.public}:{BIND + n + OFFSET}"' in table
        for n in (0, 1, 100, 198):
            assert lab.client.get(public(lab, n)).body == "nas"
        for n in (2, 101, 197):
            assert lab.client.udp(public(lab, n))[0] == "nas"


def lasting(status):
    """What a mapping keeps as long as nobody touches it."""
    return (status["state"], status["public"], status["private"], status["changes"],
            [h["server"] for h in status["holders"]])


def holder_sockets(lab):
    """(local port, inode) of all TCP holders: a socket that was made anew has another inode."""
    text = lab.gw.run(["ss", "-Htne", "state", "established", "dport", "=", ":80"])
    found = set(re.findall(r":(\d+) +\S+:80 .*\bino:(\d+)", text))
    assert len(found) == 2 * len([n for n in range(COUNT) if n % 3 != 2]), text
    return found


def test_reload_of_one_touches_one_chain(lab, settings):
    with lab.pinhold_file(settings()) as p:
        await_all(p, COUNT)
        assert lab.client.get(public(lab, 57)).body == "nas"
        assert lab.client.get(public(lab, 58 + 2)).body == "nas"
        before, handles, sockets = statuses(p), lab.gw.handles(), holder_sockets(lab)
        monitor = lab.gw.monitor()
        p.change("m57", target=":443")
        said = p.reload().stdout
        transactions = monitor.stop()
        after, handles_after = statuses(p), lab.gw.handles()

        assert "m57" in said and f"{COUNT - 1} unchanged" in said
        assert len(transactions) == 1, transactions
        for line in transactions[0]:
            assert "in-m57" in line or "element inet pinhold loopback4" in line, line
        assert {k: v for k, v in handles.items() if "m57" not in k} == \
            {k: v for k, v in handles_after.items() if "m57" not in k}
        assert {k: lasting(v) for k, v in before.items()} == {k: lasting(v) for k, v in after.items()}
        assert holder_sockets(lab) == sockets
        # A counter goes on counting where it was, that of the changed mapping too.
        assert (lab.gw.counter("m57"), lab.gw.counter("m60")) == (1, 1)
        assert lab.client.get(public(lab, 57)).body == "gw"
        assert lab.client.get(public(lab, 60)).body == "nas"
        assert (lab.gw.counter("m57"), lab.gw.counter("m60")) == (2, 2)


def test_remap_of_one_is_seen_by_one(lab, settings):
    sections = settings()
    del sections["m57"]["hook"]  # the lab's own
    sections["global"]["detect"] = "1s"
    with lab.pinhold_file(sections) as p:
        await_all(p, COUNT)
        p.wait_hook("m57")
        before, handles, sockets = statuses(p), lab.gw.handles(), holder_sockets(lab)
        lab.isp.remap(public_port=40123, bind_port=BIND + 57)
        assert p.wait_hook("m57").endpoint == (lab.isp.public, 40123)
        after, handles_after = statuses(p), lab.gw.handles()
        here = str(BIND + 57)
        assert {x for x in sockets if x[0] != here} == {x for x in holder_sockets(lab) if x[0] != here}
        assert lab.client.get((lab.isp.public, 40123)).body == "nas"
        for which in (before, after):
            del which["m57"]
        assert {k: lasting(v) for k, v in before.items()} == {k: lasting(v) for k, v in after.items()}
        assert {k: v for k, v in handles.items() if "m57" not in k} == \
            {k: v for k, v in handles_after.items() if "m57" not in k}


def limits(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        line = next(x for x in f if x.startswith("Max open files"))
    return tuple(int(x) for x in line.split()[3:5])


def test_raises_its_own_descriptor_limit(lab, settings):
    count = 60
    with lab.pinhold_file(settings(count), prefix=["prlimit", "--nofile=64:4096"]) as p:
        await_all(p, count)
        soft, hard = limits(p.pid)
        assert 64 < soft <= hard == 4096
        assert p.descriptors() > 64


def test_reload_raises_it_for_those_that_come(lab, settings):
    count = 60
    with lab.pinhold_file(settings(2), prefix=["prlimit", "--nofile=64:4096"]) as p:
        await_all(p, 2)
        few = limits(p.pid)[0]
        p.set(settings(count))
        p.reload()
        await_all(p, count)
        assert few < limits(p.pid)[0] <= 4096


def test_who_rotates_may_need_twice_as_many(lab):
    """All that began in one moment rotate in one moment."""
    with lab.pinhold_file({"web": {"bind": "10000-10001", "target": ":443", "hook": False}},
                          prefix=["prlimit", "--nofile=64:4096"]) as p:
        p.wait_ready()
        few = limits(p.pid)[0]
        p.change("web", rotate="6h")
        p.reload()
        assert few < limits(p.pid)[0]


def test_says_which_limit_is_too_low(lab, settings):
    """Somebody who reads the log must learn the limit's name, what it is and what it should be at least."""
    with lab.pinhold_file(settings(60), prefix=["prlimit", "--nofile=64:64"]) as p:
        line = p.wait_log(r"(?i)descriptors?.*\b64\b.*|\b64\b.*descriptors?.*").group(0)
        assert "LimitNOFILE" in line or "ulimit -n" in line, line
        p.wait_ready()
        # What can be held is held, and nothing crashes.
        assert p.status()["mappings"]
