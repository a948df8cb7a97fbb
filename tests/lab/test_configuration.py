# SPDX-License-Identifier: GPL-2.0-or-later
"""The file as the commands around the daemon see it: `pinhold test`, `pinhold ruleset -c`, `pinhold run`."""
import re

import pytest

from pinlab import daemon
from pinlab.servers import DIRECTORY

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]

GOOD = """[global]
interface = wan          # a comment
stun = s11.lab
stun = s12.lab:3479, s13.lab
keepalive = s11.lab, s12.lab
detect = 3s

[mapping web]
bind = 8443
target = 192.168.10.50:443

[mapping echo]
protocol = udp
bind = 8444
target = :7777

[mapping six]
family = ipv6
bind = 8445
target = [2001:db8:10::50]:443
stun = s11.lab
"""

WRONG = """[global]
verify = never
interval = 0

[mapping web]
bind = 70000
target = nas:443
colour = red
bind = 8443

[mapping web]
bind = 9000
target = none

[mapping tcp]
bind = 9001
target = none

[maping x]
no equals sign
[mapping without]
target = none
"""
# line: what it must speak of
MISTAKES = {2: "verify", 3: "interval", 6: "70000", 7: "nas:443", 8: "colour", 9: "bind", 11: "web", 15: "tcp",
            19: "maping", 20: "", 21: "bind"}


def file(text, name="pinhold.conf"):
    path = f"{DIRECTORY}/{name}"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def mistakes(path, text):
    return {int(n): said for n, said in re.findall(rf"^pinhold: {re.escape(path)}:(\d+): (.*)$", text, re.M)}


def test_good_file(lab):
    """Whether a file is right is nobody's privilege, and a question without consequences."""
    path = file(GOOD)
    done = daemon.finished("test", "-c", path, ns=lab.gw.ns, prefix=NOBODY)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert re.fullmatch(r"[^\n]*3 mappings[^\n]*\n", done.stdout) and path in done.stdout
    assert lab.gw.table() == ""


def test_all_mistakes_in_one_go(lab):
    path = file(WRONG)
    for command in ("test", "run"):
        done = daemon.finished(command, "-c", path, ns=lab.gw.ns)
        assert done.returncode == 2 and done.stdout == ""
        told = mistakes(path, done.stderr)
        assert set(told) == set(MISTAKES), done.stderr
        for line, word in MISTAKES.items():
            assert word in told[line], told
        assert len(done.stderr.splitlines()) == len(MISTAKES)
    assert "mapping" in told[19], "the nearest known word is offered"
    assert lab.gw.table() == ""


@pytest.mark.parametrize("key, value", [("loopback", "perhaps"), ("snat", "2"), ("allow", "192.0.2.1/24"),
                                        ("limit", "many"), ("reply-route", "yes"), ("publish", "nowhere")])
def test_what_is_no_value_of_its_key(lab, key, value):
    path = file(f"[mapping web]\nbind = 8443\ntarget = :443\n{key} = {value}\n")
    done = daemon.finished("test", "-c", path, ns=lab.gw.ns)
    assert done.returncode == 2 and set(mistakes(path, done.stderr)) == {4}, done


def test_ruleset_of_a_file(lab):
    """Without root, and it loads."""
    path = file(GOOD)
    done = daemon.finished("ruleset", "-c", path, ns=lab.gw.ns, prefix=NOBODY)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert lab.gw.table() == ""
    lab.pc.ns.nft(done.stdout)
    listing = lab.pc.ns.run(["nft", "list", "table", "inet", "pinhold"])
    lab.pc.ns.nft("delete table inet pinhold")
    for name in ("web", "echo", "six"):
        assert f"counter {name} " in listing


def test_ruleset_of_a_wrong_file(lab):
    path = file(WRONG)
    done = daemon.finished("ruleset", "-c", path, ns=lab.gw.ns)
    assert done.returncode == 2 and done.stdout == "" and set(mistakes(path, done.stderr)) == set(MISTAKES)


def test_defaults_are_complete(lab):
    """Three lines are enough: built-in servers, the default route's interface."""
    lab.internet.dns.everything = [s.address for s in lab.internet.real]
    lab.isp.full_cone(32451)
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443"}}, servers=False) as p:
        assert p.wait_hook("web").endpoint == ("203.0.113.7", 32451)
        assert lab.client.get(("203.0.113.7", 32451)).body == "gw"


def test_mark_of_the_file_is_in_the_table(lab):
    lab.isp.full_cone(32451)
    lab.gw.firewall("rejecting")
    with lab.pinhold_file({"global": {"mark": "0x02000000/0x0f000000"},
                           "web": {"bind": 8443, "target": ":443"}}) as p:
        p.wait_hook("web")
        assert "0x02000000" in lab.gw.table()
        assert lab.client.refused(("203.0.113.7", 32451)), "the firewall knows another mark"


def test_fwmark_of_one_mapping(lab):
    lab.isp.full_cone_range(8443, 8444, 24008)
    lab.gw.nft("""
        table inet hand {
            counter marked { }
            counter strays { }
            chain output {
                type filter hook output priority -150;
                tcp sport 8443 meta mark 0x66 counter name "marked"
                tcp sport 8443 meta mark != 0x66 counter name "strays"
                tcp sport 8444 meta mark 0x66 counter name "strays"
            }
        }
        """)
    with lab.pinhold_file({"web": {"bind": 8443, "target": ":443", "fwmark": "0x66"},
                           "more": {"bind": 8444, "target": ":443"}}) as p:
        p.wait_hooks()
        listing = lab.gw.run(["nft", "list", "table", "inet", "hand"])
    lab.gw.nft("delete table inet hand")
    count = {name: int(n) for name, n in re.findall(r"counter (\w+) \{\s*packets (\d+)", listing)}
    assert count["marked"] > 3 and count["strays"] == 0


def test_interface_whose_name_no_table_can_have(lab):
    """The kernel lets it be called so, and an address leads to it: that mapping waits, the other is up."""
    lab.isp.full_cone(32451)
    lab.gw.ns.ip("link set wan2 name w*2", "link set w*2 up")
    sections = {"global": {"interface": "wan"}, "web": {"bind": 8443, "target": f"{lab.nas.address}:443"},
                "b": {"interface": lab.gw.wan2, "bind": 8555, "target": f"{lab.nas.address}:443"}}
    try:
        with lab.pinhold_file(sections) as p:
            assert lab.client.get(p.wait_hook("web").endpoint).body == "nas"
            assert "name cannot stand in the table" in p.status("b")["why"]
            assert len(p.logged(r"mapping=b interface=100\.65\.0\.2: .* cannot stand in the table")) == 1
            lab.gw.ns.ip("link set w*2 name wan2", "link set wan2 up")
            p.wait_state("b", lambda status: status["interface"] == "wan2")
    finally:
        lab.gw.delete_wan2()
        lab.gw.create_wan2()
