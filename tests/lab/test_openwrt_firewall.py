# SPDX-License-Identifier: GPL-2.0-or-later
"""The OpenWrt package beside the firewall: include files by zone, what is in the way, and the package manager's scripts."""
import pytest

from pinlab.router import FIREWALL

CHAINS = "/usr/share/nftables.d/chain-post"
RULE = 'ct mark & 0x08000000 == 0x08000000 counter accept comment "!pinhold: mapped connections"\n'
WEB = """
config pinhold 'global'
	option interface 'wan'
{}
config mapping 'web'
	option bind '8443'
	option target '192.168.10.50:443'
"""
ZONE = "\nconfig zone\n\toption name '{}'\n"


def start(router, more="", action="start"):
    """With these options in `global`; the lines that are new in the log."""
    before = len(router.log())
    router.configure(WEB.format("".join(f"\t{line}\n" for line in more.splitlines())))
    router.service(action)
    return router.log()[before:]


def include(router, chain, zone="wan"):
    return router.read(f"{CHAINS}/{chain}_{zone}/50-pinhold.nft")


def test_default(router, lab):
    """The package's own files are right as they come, and nothing is loaded anew."""
    said = start(router)
    assert include(router, "input") == include(router, "forward") == RULE
    assert not router.fw4() and not [line for line in said if "runs as root" not in line]
    router.run("fw4", "reload")
    rules = lab.gw.run("nft list table inet fw4")
    assert rules.count("ct mark & 0x08000000 == 0x08000000 counter") == 2, rules


def test_another_zone(router, lab):
    router.write("/etc/config/firewall", FIREWALL + ZONE.format("dsl"))
    said = start(router, "list zone 'wan'\nlist zone 'dsl'")
    assert include(router, "input", "dsl") == include(router, "forward", "dsl") == RULE
    assert router.fw4() == ["check", "-q reload"]
    assert sum("wrote " in line for line in said) == 2
    rules = lab.gw.run("nft list chain inet fw4 input_dsl") + lab.gw.run("nft list chain inet fw4 forward_dsl")
    assert rules.count("ct mark & 0x08000000 == 0x08000000 counter") == 2
    # Nothing to do again; and it goes with the option, the package's own stay.
    assert not [line for line in start(router, "list zone 'wan'\nlist zone 'dsl'", "reload") if "wrote" in line]
    assert router.fw4() == ["check", "-q reload"]
    start(router, "", "reload")
    assert include(router, "input", "dsl") is None and include(router, "input") == RULE
    assert router.fw4() == ["check", "-q reload"] * 2
    assert "ct mark" not in lab.gw.run("nft list chain inet fw4 input_dsl")


def test_another_mark(router):
    start(router, "option mark '0x00000010/0x000000f0'")
    assert include(router, "input") == RULE.replace("0x08000000", "0x00000010")
    start(router, "", "reload")
    assert include(router, "input") == include(router, "forward") == RULE


def test_zone_that_is_not_there(router):
    said = start(router, "list zone 'wwan'")
    assert [line for line in said if "has no zone 'wwan'" in line] and not [line for line in said if line.startswith("err")]


@pytest.mark.parametrize("value", ["0", "no", "false"])
def test_auto_includes(router, value):
    firewall = FIREWALL.replace("config defaults\n", f"config defaults\n\toption auto_includes '{value}'\n")
    router.write("/etc/config/firewall", firewall)
    said = start(router)
    assert sum("auto_includes 0" in line for line in said) == 1, said
    assert router.read("/etc/config/firewall") == firewall


def test_no_fw4(router):
    router.delete("/usr/sbin/fw4")
    said = start(router)
    assert sum("the firewall here is not fw4" in line for line in said) == 1, said
    assert router.conf() and router.parameters()["command"]


@pytest.mark.parametrize("damage, broken", [("ct mark & 0x08000000 = accept\n", True), ("accept\n", False), ("", False)])
def test_damaged_include(router, lab, damage, broken):
    """It is said before fw4 would fail, the file is the user's, and the firewall that runs is left alone."""
    router.run("fw4", "reload")
    before = lab.gw.run("nft list table inet fw4")
    router.write(f"{CHAINS}/input_wan/50-pinhold.nft", damage)
    said = start(router)
    assert sum("input_wan/50-pinhold.nft was changed by hand" in line for line in said) == 1, said
    assert sum("fw4 check fails" in line for line in said) == broken, said
    assert include(router, "input") == damage
    assert router.fw4() == ["reload", "check"]
    assert lab.gw.run("nft list table inet fw4") == before
    # Deleted, it is written anew, and loaded.
    router.delete(f"{CHAINS}/input_wan/50-pinhold.nft")
    start(router, "", "reload")
    assert include(router, "input") == RULE and router.fw4()[2:] == ["check", "-q reload"]


def test_somebody_elses_file(router):
    """Of that name, in a zone that is none of ours: it stays."""
    router.write(f"{CHAINS}/input_guest/50-pinhold.nft", "drop\n")
    start(router)
    assert include(router, "input", "guest") == "drop\n"


# The package manager.

def test_installed_and_removed(router):
    router.write("/etc/config/firewall", FIREWALL + ZONE.format("dsl"))
    assert router.script("postinst").returncode == 0
    assert router.fw4() == ["check", "-q reload"]
    start(router, "list zone 'dsl'")
    assert include(router, "input", "dsl") == RULE
    assert router.script("prerm").returncode == 0
    assert include(router, "input", "dsl") is None
    assert router.script("postrm").returncode == 0
    assert router.fw4()[-2:] == ["check", "-q reload"]


def test_installed_beside_a_broken_include(router):
    router.write(f"{CHAINS}/input_wan/99-mine.nft", "nonsense\n")
    assert router.script("postinst").returncode == 0
    assert router.fw4() == ["check"]
    assert any("fw4 check fails" in line for line in router.log())


def test_configuration_survives_an_upgrade(router):
    with open(router.scripts["conffiles"], encoding="utf-8") as f:
        assert f.read().split() == ["/etc/config/pinhold"]
    assert router.read("/lib/upgrade/keep.d/pinhold").split() == ["/etc/pinhold/"]


# natmap's configuration.

NATMAP = """
config natmap
	option enable '1'
	option family 'ipv4'
	option udp_mode '0'
	option interface 'wan'
	option interval '25'
	option stun_server 'turn.cloudflare.com'
	option http_server 'qq.com'
	option port '8080'
	option forward_target '192.168.10.50'
	option forward_port '443'
	option notify_script '/etc/pinhold/hook'
	option log_stdout '1'

config natmap 'torrent'
	option enable '0'
	option family 'ipv6'
	option udp_mode '1'
	option port '51413'
	option forward_target '2001:db8:10::60'
	option forward_port '0'

config natmap 'own'
	option enable '1'
	option port '9000'
	option fwmark "it's"
"""


def test_natmap(router):
    """Shown first; carried out, it is a configuration that pinhold takes."""
    assert "there is no /etc/config/natmap" in router.service("import_natmap", check=False).stderr
    router.write("/etc/config/natmap", NATMAP)
    router.write("/etc/pinhold/hook", "#!/bin/sh\n", 0o755)
    router.delete("/etc/config/pinhold")
    router.configure("config pinhold 'global'\n")
    shown = router.service("import_natmap")
    assert router.read("/etc/config/pinhold") == "config pinhold 'global'\n", "nothing is done before it is asked for"
    assert "left out" in shown and "To carry this out: service pinhold import_natmap apply" in shown
    # What waits to be committed is not committed by the way, and what fails leaves nothing half.
    router.run("uci", "set", "pinhold.mine=mapping")
    done = router.service("import_natmap", "apply", check=False)
    assert "there are changes of pinhold's configuration that wait" in done.stderr and done.returncode
    router.run("uci", "revert", "pinhold")
    router.write("/etc/config/natmap", NATMAP.replace("option port '9000'", "option port '900\x01'"))
    router.delete("/etc/config/pinhold")
    done = router.service("import_natmap", "apply", check=False)
    assert "nothing is taken over: uci: Entry not found" in done.stderr and done.returncode and "Done" not in done.stdout
    router.configure("config pinhold 'global'\n")
    router.write("/etc/config/natmap", NATMAP)
    router.service("import_natmap", "apply")
    said = router.log()
    router.service("start")
    conf = router.conf()
    assert conf, router.log()[len(said):]
    for line in ('[mapping tcp_8080]', 'bind = "8080"', 'target = "192.168.10.50:443"', 'interval = "25"',
                 'stun = "turn.cloudflare.com"', 'keepalive = "qq.com"', 'hook = "/etc/pinhold/hook"',
                 'hook-events = "up, change"', '[mapping torrent]', 'protocol = "udp"', 'family = "ipv6"',
                 'target = "[2001:db8:10::60]:public"', '[mapping own]', 'target = ":9000"'):
        assert line in conf.splitlines(), (line, conf)
    assert conf.count('enabled = "no"') == 1


def test_first_boot_points_to_natmaps_configuration(router):
    router.write("/etc/config/natmap", NATMAP)
    router.delete("/etc/config/pinhold")
    router.write("/etc/config/pinhold", "")
    router.run("sh", "/etc/uci-defaults/90-pinhold")
    assert router.run("uci", "get", "pinhold.global").strip() == "pinhold"
    assert any("import_natmap" in line for line in router.log())
