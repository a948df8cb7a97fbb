# SPDX-License-Identifier: GPL-2.0-or-later
"""The OpenWrt package: what is in it, and what becomes of /etc/config/pinhold under BusyBox's shell."""
import os
import re
import socket
import subprocess
import time

import pytest

from pinlab.router import TOP, make

WEB = """
config pinhold 'global'
	option interface 'wan'

config mapping 'web'
	option bind '8443'
	option target '192.168.10.50:443'
"""


# The package.

def test_what_is_in_the_packages(tmp_path):
    make(str(tmp_path), "prepare", "install")
    found = {package: {os.path.join(d, name)[len(f"{tmp_path}/{package}"):]: os.stat(os.path.join(d, name)).st_mode & 0o777
                       for d, _, names in os.walk(tmp_path / package) for name in names}
             for package in ("pinhold", "pinhold-publish")}
    assert found["pinhold-publish"] == {"/usr/libexec/pinhold-publish": 0o755}
    assert found["pinhold"] == {
        "/usr/sbin/pinhold": 0o755, "/etc/config/pinhold": 0o600, "/etc/init.d/pinhold": 0o755,
        "/etc/uci-defaults/90-pinhold": 0o755, "/etc/capabilities/pinhold.json": 0o644, "/etc/seccomp/pinhold.json": 0o644,
        "/lib/upgrade/keep.d/pinhold": 0o644, "/usr/share/pinhold/config.sh": 0o644,
        "/usr/share/pinhold/firewall.sh": 0o644, "/usr/share/pinhold/natmap.sh": 0o644,
        "/usr/share/pinhold/50-pinhold.nft": 0o644,
        "/usr/share/nftables.d/chain-post/input_wan/50-pinhold.nft": 0o644,
        "/usr/share/nftables.d/chain-post/forward_wan/50-pinhold.nft": 0o644}
    # What is built from: everything that meson.build names.
    for line in (tmp_path / "source" / "meson.build").read_text(encoding="utf-8").splitlines():
        if line.startswith("subdir("):
            assert (tmp_path / "source" / line.split("'")[1] / "meson.build").exists(), line


def test_what_the_build_system_is_told(tmp_path):
    said = make(str(tmp_path), "describe").splitlines()
    depends = {line.split()[0]: line for line in said if " DEPENDS " in line}
    for needed in ("libmnl", "libnftnl", "libnl-route", "libuv", "jansson", "libinih", "kmod-nft-nat",
                   "kmod-nf-conntrack-netlink"):
        assert f"+{needed}" in depends["pinhold"].split(), depends
    assert "+libcurl" not in depends["pinhold"] and "+libcurl" in depends["pinhold-publish"].split()
    assert "pinhold USERID pinhold:pinhold" in said
    # Another source file, or the second package chosen later, is a reason to build again.
    make(str(tmp_path / "again"), "prepare")
    copied = " ".join(sorted(os.listdir(tmp_path / "again" / "source")))
    assert f"pinhold REBUILT {copied} CONFIG_PACKAGE_pinhold-publish" in said
    with open(f"{TOP}/meson.build", encoding="utf-8") as f:
        version = re.search(r"version: '(.*)'", f.read())[1]
    assert {line for line in said if " VERSION " in line} == {f"pinhold VERSION {version}", f"pinhold-publish VERSION {version}"}


# /etc/config/pinhold -> pinhold.conf.

FULL = """
config pinhold 'global'
	option interface 'wan'
	list stun 'turn.cloudflare.com'
	list stun 'stun.nextcloud.com:443'
	option interval '20s'

config mapping 'web'
	option bind '8443'
	option target '192.168.10.50:443'
	option loopback '0'
	option snat 'yes'
	list allow '198.51.100.0/24'
	list allow '@/etc/pinhold/one.txt'
	list allow '@/etc/pinhold/two.txt , 203.0.113.0/24,@/etc/pinhold/three.txt'
	option limit '50/second burst 100'
	list hook '/etc/pinhold/hook'
	list hook_events 'up'
	list hook_events 'change'
	list publish 'worker'

config mapping 'game'
	option protocol 'udp'
	option family 'ipv4'
	option interface 'dsl'
	option bind '27015-27030'
	option target ':27015'
	option rotate '6h'
	option reply_route '0'

config mapping 'off'
	option enabled '0'
	option bind '9000'
	option target ':9000'

config publish 'worker'
	option type 'webhook'
	option url 'https://go.example.com/update-port'
	list header 'Authorization: Bearer ${file:/etc/pinhold/worker.token}'
	option body '{"port":"${public_port}","say":"a \\ b # c ; d"}'
	list events 'up'
	list events 'down'
"""

RENDERED = r"""# Made of /etc/config/pinhold; changes here are lost.

[global]
# interface wan = wan
interface = "wan"
stun = "turn.cloudflare.com"
stun = "stun.nextcloud.com:443"
interval = "20s"

[mapping web]
bind = "8443"
target = "192.168.10.50:443"
loopback = "no"
snat = "yes"
allow = "198.51.100.0/24"
allow = "@/etc/pinhold/one.txt"
allow = "@/etc/pinhold/two.txt , 203.0.113.0/24,@/etc/pinhold/three.txt"
limit = "50/second burst 100"
hook = "/etc/pinhold/hook"
publish = "worker"
hook-events = "up, change"

[mapping game]
protocol = "udp"
family = "ipv4"
interface = "pppoe-dsl"
bind = "27015-27030"
target = ":27015"
rotate = "6h"
reply-route = "no"

[mapping off]
enabled = "no"
bind = "9000"
target = ":9000"

[publish worker]
type = "webhook"
url = "https://go.example.com/update-port"
header = "Authorization: Bearer ${file:/etc/pinhold/worker.token}"
body = "{\"port\":\"${public_port}\",\"say\":\"a \\ b # c ; d\"}"
events = "up, down"
# jail 1
"""


def test_everything(router):
    """Each option, and what procd is told: one instance that SIGHUP reaches, and that is never given up."""
    router.write("/etc/pinhold/hook", "#!/bin/sh\n", 0o755)
    lists = [f"/etc/pinhold/{name}.txt" for name in ("one", "three", "two")]
    for path in lists:
        router.write(path, "192.0.2.0/24\n")
    router.configure(FULL)
    router.service("start")
    assert router.conf() == RENDERED, router.log()
    assert router.run("pinhold", "test", "-c", "/var/etc/pinhold.conf") is not None
    told = router.parameters()
    assert told["command"] == ["/usr/sbin/pinhold", "run", "-c", "/var/etc/pinhold.conf"]
    assert told["respawn"] == ["3600", "5", "0"] and told["reload_signal"] == ["HUP"]
    assert told["file"] == ["/var/etc/pinhold.conf", *lists] and told["netdev"] == ["pppoe-dsl", "wan"]
    calls = router.procd()
    assert [c for c in calls if c[0] == "open_instance"] == [["open_instance"]]
    triggers = [c[1] for c in calls if c[0] == "add_reload_interface_trigger"]
    assert [c[1] for c in calls if c[0] == "add_validation"] == [
        "validate_pinhold", "validate_mapping", "validate_publish"]
    assert sorted(triggers) == ["dsl", "wan"] and ["add_reload_trigger", "pinhold"] in calls
    assert not [line for line in router.log() if line.startswith("err")]


def test_shipped_configuration(router):
    """It is valid, and holds nothing before somebody switches a mapping on."""
    router.service("start")
    assert router.conf() is None and not router.parameters()
    assert any("no mapping is enabled" in line for line in router.log())
    router.write("/etc/config/pinhold", router.read("/etc/config/pinhold").replace("enabled '0'", "enabled '1'"))
    router.service("start")
    assert "[mapping web]" in router.conf() and router.parameters()["command"]


def test_quick_start_of_the_readme(router):
    """Its commands on a router with the configuration that is shipped."""
    with open(f"{TOP}/README.md", encoding="utf-8") as f:
        section = f.read().split("\n## Quick start on OpenWrt", 1)[1].split("\n## ", 1)[0]
    commands = [line.strip() for line in section.splitlines() if line.startswith("    uci ")]
    assert len(commands) > 3
    for command in commands:
        router.run(*command.split())
    router.service("start")
    assert '[mapping web]\nenabled = "yes"' in router.conf() and 'target = "192.168.1.50:443"' in router.conf(), router.log()
    assert router.parameters()["command"]


MAPPING = "config mapping 'web'\n\toption bind '8443'\n\toption target ':443'\n"


@pytest.mark.parametrize("text, said", [
    (MAPPING + "\toption bund '1'\n", "mapping 'web': there is no option bund"),
    (MAPPING.replace("8443", "84430"), "mapping 'web': .*84430"),
    (MAPPING.replace(":443", "nas:443"), "mapping 'web': .*nas"),
    (MAPPING + "\toption protocol 'sctp'\n", "mapping 'web': .*protocol"),
    (MAPPING + "\toption enabled 'perhaps'\n", "mapping 'web': .*enabled"),
    (MAPPING + "\toption interval '1 fortnight'\n", "mapping 'web': .*fortnight"),
    (MAPPING + "\tlist allow '10.0.0.0/40'\n", "mapping 'web': .*10.0.0.0/40"),
    (MAPPING + "\tlist hook '/no/such/hook'\n", "mapping 'web': .*/no/such/hook"),
    (MAPPING + "\tlist publish 'nobody'\n", "mapping 'web': .*nobody"),
    (MAPPING + "\toption limit 'fast'\n", "mapping 'web': .*fast"),
    (MAPPING + "\toption target ':443\n[global]'\n", "mapping 'web': option target: has a line break in it"),
    (MAPPING + "\nconfig publish 'a'\n\toption type 'webhook'\n", "publish 'a': .*url"),
    (MAPPING + "\nconfig publish 'a'\n\toption type 'pigeon'\n", "publish 'a': .*type"),
    (MAPPING + "\nconfig publish 'a'\n\toption type 'webhook'\n\toption url 'http://h/${colour}'\n", "publish 'a': .*colour"),
    (MAPPING.replace(" 'web'", ""), "mapping 'cfg......': that section has no name"),
    (MAPPING + "\nconfig pinhold\n\toption mark '1'\n", "that section must be called: config pinhold 'global'"),
    (MAPPING + "\nconfig pinhold 'global'\n\toption mark 'seven'\n", "global: option mark: \"seven\""),
    (MAPPING + "\nconfig pinhold 'global'\n\toption stun '::::'\n", "global: .*::::"),
    (MAPPING + "\nconfig pinhold 'global'\n\tlist zone '../wan'\n", "global: option zone: \"../wan\" is no name"),
    (MAPPING + "\nconfig tunnel 'a'\n", "tunnel 'a': there are no sections of that type"),
    (MAPPING + "\noption target ':444\n", "cannot be read: .*[Uu]nbalanced quote"),  # half-written
    (MAPPING[:-3], "cannot be read: .*[Uu]nbalanced quote"),
    ("garbage\n" + MAPPING, "cannot be read: "),
], ids=map(str, range(99)))
def test_refused(router, text, said):
    """The section and the option are named, and what ran goes on: procd hears of the same file as before."""
    router.configure(WEB)
    router.service("start")
    before, told = router.conf(), router.procd()
    assert before and not [line for line in router.log() if line.startswith("err")]
    router.configure(text)
    router.service("reload")
    errors = [line for line in router.log() if line.startswith("err")]
    assert subprocess.run(["grep", "-qE", f"^err /etc/config/pinhold: .*{said}"], input="\n".join(errors), text=True,
                          check=False).returncode == 0, errors
    assert any("is not used" in line and "the settings before go on" in line for line in errors), errors
    assert router.conf() == before
    assert router.procd() == told
    # And nothing is begun with it, where nothing ran.
    router.delete("/var/etc/pinhold.conf")
    router.service("start")
    assert router.conf() is None and not router.parameters()
    assert any("pinhold is not started" in line for line in router.log())


def test_interfaces(router):
    """A logical interface is its device: the one that it has, had, or will have."""
    def interface(name):
        router.configure(WEB.replace("'wan'", f"'{name}'"))
        router.service("start")
        return next(line.split('"')[1] for line in router.conf().splitlines() if line.startswith("interface"))

    assert interface("wan") == "wan"  # of network.sh
    router.delete("/tmp/up/wan")
    assert interface("wan") == "wan"  # as before
    router.delete("/var/etc/pinhold.conf")
    assert interface("wan") == "eth1"  # of /etc/config/network
    assert interface("dsl") == "pppoe-dsl"
    assert interface("eth7.2") == "eth7.2" and interface("auto") == "auto" and interface("192.0.2.7") == "192.0.2.7"


def test_root_or_not(router):
    router.configure(WEB)
    router.service("start")
    assert "user" not in router.parameters()
    assert "notice runs as root: there is no ujail (package procd-ujail)" in router.log()
    router.write("/sbin/ujail", "#!/bin/sh\n", 0o755)
    router.service("start")
    assert any("or the user pinhold is missing" in line for line in router.log())
    router.run("sh", "-c", "echo pinhold:x:4711:4711::/:/bin/false >>/etc/passwd; echo pinhold:x:4711: >>/etc/group")
    router.service("start")
    told = router.parameters()
    assert (told["user"], told["group"], told["no_new_privs"]) == (["pinhold"], ["pinhold"], ["1"])
    assert told["capabilities"] == ["/etc/capabilities/pinhold.json"]
    assert set(router.capabilities()["bounding"]) == {"CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"}
    # No namespace of its own: nothing of the jail but its name.
    assert [c for c in router.procd() if c[0] == "add_jail"] == [["add_jail", "pinhold"]]
    assert any("runs as the user pinhold in ujail" in line for line in router.log())
    for path, mode in (("/var/run/pinhold", 0o755), ("/var/lib/pinhold", 0o700)):
        assert (os.stat(router.root + os.path.realpath(path)).st_uid, router.mode(os.path.realpath(path))) == (4711, mode)
    assert router.mode("/var/etc/pinhold.conf") == 0o640
    router.configure(WEB.replace("'wan'\n", "'wan'\n\toption jail '0'\n"))
    router.service("start")
    assert "user" not in router.parameters() and "notice runs as root: option jail is 0" in router.log()
    # It takes a restart: by a reload nobody's files become another user's.
    directories = [router.root + os.path.realpath(path) for path in ("/var/run/pinhold", "/var/lib/pinhold")]
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(f"{directories[0]}/control.sock")
        router.configure(WEB)
        for action, owner in (("reload", 0), ("reload", 0), ("start", 4711)):
            router.service(action)
            assert [os.stat(path).st_uid for path in directories] == [owner, owner], action
            said = [line for line in router.log() if line.endswith("option jail: needs a restart (service pinhold restart)")]
            assert len(said) == 1, action
    os.unlink(f"{directories[0]}/control.sock")
    # What is refused or cannot be read changes nothing of that, either way.
    for jail in ("0", "1"):
        router.configure(WEB.replace("'wan'\n", f"'wan'\n\toption jail '{jail}'\n"))
        router.service("start")
        before = router.parameters()
        assert ("user" in before) == (jail == "1")
        other = WEB.replace("'wan'\n", f"'wan'\n\toption jail '{1 - int(jail)}'\n")
        for broken in (other.replace("8443", "84430"), "garbage\n"):
            assert broken != other
            router.configure(broken)
            router.service("reload")
            assert router.parameters() == before, broken


# What becomes of it.

def daemon_with(lab, router):
    """pinhold with the file that procd would run it with, beside the lab's servers."""
    servers = f"stun = {', '.join(lab.stun_names())}\nkeepalive = {', '.join(lab.keepalive_names())}\n"
    return router.conf().replace("[global]\n", f"[global]\n{servers}")


def test_from_interface_up_to_mapping_up(lab, router):
    """Started before its interface is up, as at boot: it is not told of it by anybody but the kernel."""
    router.configure(WEB)
    router.service("start")
    lab.isp.full_cone(32451)
    lab.gw.ip("link set wan down")
    with lab.pinhold_file(daemon_with(lab, router)) as p:
        p.wait_state("web", lambda s: s["why"] == "the interface is down")
        begin = time.monotonic()
        lab.gw.ip("link set wan up", "addr replace 100.64.0.2/24 dev wan", "route replace default via 100.64.0.1 dev wan")
        p.wait_state("web", "up")
        took = time.monotonic() - begin
        print(f"from interface up to mapping up: {took * 1000:.0f} ms")
        assert took < 1


def test_reload_disturbs_nobody_else(lab, router):
    """procd sends SIGHUP for a changed file; the mapping that did not change keeps its connections and its port."""
    lab.isp.full_cone_range(8443, 8444, 24008)
    both = WEB + "\nconfig mapping 'game'\n\toption bind '8444'\n\toption target '192.168.10.50:443'\n"
    router.configure(both)
    router.service("start")
    with lab.pinhold_file(daemon_with(lab, router)) as p:
        p.wait_state("web", "up")
        p.wait_state("game", "up")
        with lab.client.connect(("203.0.113.7", 32451)) as connection:
            before = p.status("web")
            router.configure(both.replace("8444'\n\toption target '192.168.10.50:443'", "8444'\n\toption target ':443'"))
            router.service("reload")
            assert router.parameters()["reload_signal"] == ["HUP"]
            p.write(daemon_with(lab, router))
            p.hup()
            p.wait_log("reloaded unchanged=1 changed=1 added=0 removed=0")
            assert connection.get().body == "nas"
            after = p.status("web")
            assert [h["since"] for h in after["holders"]] == [h["since"] for h in before["holders"]]
            assert (after["public"], after["since"]) == (before["public"], before["since"])
        assert lab.client.get(("203.0.113.7", 32452)).body == "gw"
