# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets in 127.0.0.0/8: route_localnet is set while they are there, guarded, and set back."""
import os
import signal

import pytest

from pinlab import daemon, scenarios
from pinlab.greeter import Greeter, greet
from pinlab.scenarios import LOCAL, PUBLIC, itself, mapping, running
from pinlab.servers import DIRECTORY

protocols = pytest.mark.parametrize("protocol", ["tcp", "udp"])
SETTING = "net/ipv4/conf/{}/route_localnet"


def localnet(lab, interface="wan"):
    return lab.gw.ns.read_sysctl(SETTING.format(interface))


def section(lab, protocol="tcp", **settings):
    return {**mapping(lab, protocol=protocol, **settings), "target": f"127.0.0.1:{LOCAL}"}


@pytest.fixture
def service(lab):
    with Greeter(lab.gw.ns, LOCAL, "tcp", "127.0.0.1") as s:
        yield s


@pytest.fixture
def state(tmp_path):
    """STATE_DIRECTORY: what a killed pinhold leaves the next one to know."""
    return {"STATE_DIRECTORY": str(tmp_path)}


@protocols
def test_from_outside(lab, protocol):
    scenarios.localhost(lab, protocol)


@protocols
def test_from_the_gateway_itself(lab, protocol):
    scenarios.localhost_from_itself(lab, protocol)


def test_from_the_lan(lab, service):
    """It is for whoever is outside, and for this machine; nobody routes 127/8 for clients inside."""
    with running(lab, section(lab)):
        assert lab.pc.refused(PUBLIC) == "refused"  # by the ISP, where it looked for it
        assert greet(lab.client, PUBLIC) == lab.client.address


def test_nobody_else_gets_in(lab):
    scenarios.localhost_guarded(lab)


def test_nobody_pretends_to_be_this_machine(lab):
    scenarios.localhost_spoofed(lab)


def test_set_while_it_is_needed(lab, service):
    assert localnet(lab) == "0"
    with running(lab, section(lab)) as p:
        assert greet(lab.client, PUBLIC) == lab.client.address
        assert localnet(lab) == "1"
        assert [localnet(lab, name) for name in ("wan2", "lan", "all", "default")] == ["0"] * 4
        assert not p.logged("was set already")
        # It goes with the last mapping that needs it, not with pinhold alone.
        p.change("web", target=scenarios.target(lab))
        p.reload()
        assert localnet(lab) == "0" and "chain guard" not in lab.gw.table()
        p.change("web", target=f"127.0.0.1:{LOCAL}")
        p.reload()
        assert localnet(lab) == "1" and "chain guard" in lab.gw.table()
        assert greet(lab.client, PUBLIC) == lab.client.address
    assert localnet(lab) == "0"


def test_set_back_by_others(lab, service):
    """A reload sets it again, as `sysctl --system` may have set it back."""
    with running(lab, section(lab)) as p:
        lab.gw.ns.sysctl(SETTING.format("wan"), 0)
        p.reload()
        assert localnet(lab) == "1"
    assert localnet(lab) == "0"


def test_an_admins_setting_is_left_alone(lab, service):
    lab.gw.ns.sysctl(SETTING.format("wan"), 1)
    try:
        with running(lab, section(lab)) as p:
            assert greet(lab.client, PUBLIC) == lab.client.address
            p.change("web", target=scenarios.target(lab))
            p.reload()
            p.change("web", target=f"127.0.0.1:{LOCAL}")
            p.reload()
            assert localnet(lab) == "1"
            assert len(p.logged(r"conf\.wan\.route_localnet was set already: it stays set")) == 1
        assert localnet(lab) == "1"
    finally:
        lab.gw.ns.sysctl(SETTING.format("wan"), 0)


@pytest.mark.parametrize("needed", [True, False])
def test_after_a_kill(lab, service, state, needed):
    """The next start sets it back, whether or not it sets it again."""
    state["STATE_DIRECTORY"] += ":/proc/nowhere"  # a service manager's list: the first one counts
    with running(lab, section(lab), env=state) as p:
        assert localnet(lab) == "1"
        p.stop(signal.SIGKILL)
    assert localnet(lab) == "1" and not lab.gw.table()
    with running(lab, section(lab) if needed else mapping(lab), env=state):
        assert localnet(lab) == ("1" if needed else "0")
        if needed:
            assert greet(lab.client, PUBLIC) == lab.client.address
    assert localnet(lab) == "0"


def test_an_admins_setting_after_a_kill(lab, service, state):
    """What was set before is not taken for a left-over."""
    lab.gw.ns.sysctl(SETTING.format("wan"), 1)
    try:
        with running(lab, section(lab), env=state) as p:
            p.stop(signal.SIGKILL)
        with running(lab, mapping(lab), env=state):
            pass
        assert localnet(lab) == "1"
    finally:
        lab.gw.ns.sysctl(SETTING.format("wan"), 0)


def test_the_interface_comes_back(lab, service):
    """Its settings went with it."""
    with running(lab, section(lab)) as p:
        lab.gw.delete_wan()
        lab.gw.create_wan()
        scenarios.wait_until(lambda: localnet(lab) == "1", 20, "it is not set on the new interface")
        p.wait_state("web", "up")
        assert greet(lab.client, PUBLIC) == lab.client.address
    assert localnet(lab) == "0"


def test_nowhere_to_remember(lab, service):
    """What could not be set back after a crash is not set; the log blames the directory, once."""
    lab.isp.full_cone(PUBLIC[1])
    with lab.pinhold_file({"web": section(lab)}, env={"STATE_DIRECTORY": "/proc/nowhere"}) as p:
        p.wait_log(r"mapping=web: /proc/nowhere/route_localnet cannot be written: No such file or directory; "
                   r"without it pinhold does not set net\.ipv4\.conf\.wan\.route_localnet; make the directory")
        p.wait_state("web", lambda s: (s["why"] or "").endswith("so nobody reaches the target; the log says why"))
        assert localnet(lab) == "0"
        assert len(p.logged("route_localnet")) == 1, p.story()
        assert lab.client.refused(PUBLIC, timeout=0.3)


def test_state_directory_must_be_absolute(lab):
    done = daemon.finished("-b", "8443", "-p", "443", ns=lab.gw.ns, env={"STATE_DIRECTORY": "state"})
    assert done.returncode == 2
    assert "STATE_DIRECTORY: state is not an absolute path" in done.stderr


@pytest.mark.parametrize("running_on", [True, False])
def test_the_interface_is_renamed(lab, service, running_on):
    """Its settings go along, to where no guard is; stopped at once, pinhold finds it as well."""
    with running(lab, {**section(lab), "interface": "wan"}) as p:
        assert localnet(lab) == "1"
        if not running_on:
            os.kill(p.pid, signal.SIGSTOP)
        lab.gw.run("ip link set wan name wanx")
        try:
            if running_on:
                scenarios.wait_until(lambda: localnet(lab, "wanx") == "0", 20, "it stays set")
            else:
                os.kill(p.pid, signal.SIGTERM)
                os.kill(p.pid, signal.SIGCONT)
                p.wait_exit()
                assert localnet(lab, "wanx") == "0"
        finally:
            lab.gw.run("ip link set wanx name wan")
            lab.gw.delete_wan()
            lab.gw.create_wan()
        assert localnet(lab) == "0"


@pytest.mark.parametrize("what", ["fifo", "directory"])
def test_no_file_to_remember_it_in(lab, service, state, what):
    """What can be replaced is; otherwise status says why nothing arrives."""
    file = os.path.join(state["STATE_DIRECTORY"], "route_localnet")
    (os.mkfifo if what == "fifo" else os.mkdir)(file)
    with running(lab, section(lab), env=state) as p:
        assert p.logged("what a killed pinhold left set cannot be looked up")
        if what == "fifo":
            assert greet(lab.client, PUBLIC) == lab.client.address
            assert os.path.isfile(file)
        else:
            assert localnet(lab) == "0"
            assert "route_localnet cannot be set" in p.status("web")["why"]
    assert localnet(lab) == "0"


# As a hardened unit has it: /proc/sys is read-only, and the user is nobody in particular.
CONFINED = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec setpriv "
            "--reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_admin "
            '--ambient-caps=-all,+net_admin "$@"', "sh"]


def test_not_permitted(lab, service):
    """The log says what to set, status says why it does not work; everything else goes on."""
    lab.isp.full_cone(PUBLIC[1])
    lab.isp.full_cone(40000, 9000)
    directory = f"{DIRECTORY}/confined-{os.getpid()}"
    os.makedirs(directory, exist_ok=True)
    os.chown(directory, 65534, 65534)
    env = {"RUNTIME_DIRECTORY": directory}
    sections = {"web": section(lab, hook=False), "nas": {**mapping(lab, hook=False), "bind": 9000}}
    with lab.pinhold_file(sections, prefix=CONFINED, env=env) as p:
        for name in sections:
            p.wait_log(f"up mapping={name} ")
        line = p.wait_log(r"mapping=web: net\.ipv4\.conf\.wan\.route_localnet cannot be set: .*")[0]
        assert "Read-only file system" in line and "sysctl" in line and "ProtectKernelTunables=no" in line
        assert "drop 127.0.0.0/8" in line and not p.logged("obstacle"), p.story()
        scenarios.ask(lab, lab.client, ("203.0.113.7", 40000))
        assert lab.client.refused(PUBLIC, timeout=0.3)
        done = p.command_line("status", "--json", "web", env=env)
        assert '"why": "route_localnet cannot be set' in done.stdout, done.stdout + done.stderr
        # The admin does as he was told: it works.
        lab.gw.ns.sysctl(SETTING.format("wan"), 1)
        try:
            assert greet(lab.client, PUBLIC) == lab.client.address
            greet(itself(lab), PUBLIC)
        finally:
            lab.gw.ns.sysctl(SETTING.format("wan"), 0)
