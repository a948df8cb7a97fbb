# SPDX-License-Identifier: GPL-2.0-or-later
"""The unit, under a real systemd on the lab's gateway: what `meson install` puts there, and nothing more."""
import json
import os
import re
import subprocess

import pytest

from pinlab import daemon, net, recipes
from pinlab.machine import Machine

PUBLIC = ("203.0.113.7", 32451)
BUILD = os.path.dirname(os.path.dirname(daemon.program()))
UNIT = "/lib/systemd/system/pinhold.service"
CONF = "[mapping web]\nbind = 8443\ntarget = {target}\nhook = /etc/pinhold/hook\n"
PUBLISHED = (CONF + "publish = a\n\n[publish a]\ntype = webhook\nurl = {url}\n"
             "header = X-Token: ${{file:/etc/pinhold/token}}\nbody = ${{public_port}}\n")
HOOK = "#!/bin/sh\necho \"$PINHOLD_EVENT $2 as $(id -un) in $(pwd): $(touch /srv/www/endpoint 2>&1)\"\n"


def install(root):
    """`meson install` of what the tests run, into that directory; for a packager's prefix."""
    net.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root, "--quiet"], timeout=60)


def prefix():
    options = json.loads(net.run(["meson", "introspect", BUILD, "--buildoptions"], timeout=60))
    return next(o["value"] for o in options if o["name"] == "prefix")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("root"))
    install(root)
    return root


def test_install_puts_everything_where_it_belongs(installed):
    found = {os.path.join(directory, name)[len(installed):] for directory, _, names in os.walk(installed) for name in names}
    home = prefix()
    assert found >= {f"{home}/sbin/pinhold", f"{home}/libexec/pinhold-publish", UNIT, "/usr/lib/sysusers.d/pinhold.conf",
                     f"{home}/share/man/man8/pinhold.8", f"{home}/share/man/man5/pinhold.conf.5",
                     f"{home}/share/man/man7/pinhold-recipes.7",
                     f"{home}/share/bash-completion/completions/pinhold"}, found
    with open(installed + UNIT, encoding="utf-8") as f:
        assert f"ExecStart={home}/sbin/pinhold run\n" in f.read()


def test_unit_is_tight(installed):
    """Its exposure, as systemd counts, is at most 2.0 of 10."""
    done = subprocess.run(["systemd-analyze", "security", "--no-pager", "--offline=true", f"--root={installed}",
                           "pinhold.service"], text=True, capture_output=True, check=False)
    exposure = float(re.search(r"Overall exposure level for pinhold.service: ([0-9.]+)", done.stdout)[1])
    print(f"exposure {exposure}")
    assert exposure <= 2.0, done.stdout


@pytest.fixture
def machine(lab):
    lab.isp.full_cone(PUBLIC[1])
    made = Machine(lab)
    install(made.root)
    made.write("/etc/pinhold/hook", HOOK, 0o755)
    # LeakSanitizer would trace the process, which the sandbox does not allow; other reports are in the journal.
    made.write("/etc/systemd/system/pinhold.service.d/lab.conf",
               '[Service]\nEnvironment="ASAN_OPTIONS=detect_leaks=0:exitcode=88"\n')
    made.write("/etc/pinhold.conf", configuration(lab, CONF.format(target="192.168.10.50:443")))
    os.makedirs(made.root + "/srv/www", exist_ok=True)
    os.chmod(made.root + "/srv/www", 0o777)
    with made:
        made.run("systemd-sysusers")
        yield made
        made.run("systemctl", "stop", "pinhold")
        assert not daemon.SANITIZER.search(made.log())


def configuration(lab, text):
    return (f"[global]\ndetect = 1s\nstun = {', '.join(lab.stun_names())}\nkeepalive = {', '.join(lab.keepalive_names())}\n\n"
            + text)


def status(machine):
    path = f"{prefix()}/sbin/pinhold"
    done = machine.run(path, "status", "--json", "web", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def wait_up(machine):
    machine.wait(lambda: (status(machine) or {}).get("state") == "up")


def main_pid(machine):
    return int(machine.show("MainPID"))


def test_life(lab, machine, receiver):
    done = machine.run("systemd-analyze", "verify", "pinhold.service")
    assert (done.stdout, done.stderr) == ("", ""), "systemd has something to say of the unit"
    # A secret that the group may read.
    machine.run("install", "-m", "0640", "-g", "pinhold", "/dev/null", "/etc/pinhold/token")
    machine.run("sh", "-c", "echo secret-of-the-group >/etc/pinhold/token")
    machine.write("/etc/pinhold.conf", configuration(
        lab, PUBLISHED.format(target="192.168.10.50:443", url=receiver.url)))
    machine.run("systemctl", "start", "pinhold")  # returns when the daemon says that it is ready
    wait_up(machine)
    assert lab.client.get(PUBLIC).body == "nas"
    assert machine.show("StatusText") and machine.show("WatchdogUSec") == "30s"
    told = receiver.wait()
    assert (told.headers["X-Token"], told.body) == ("secret-of-the-group", "32451")
    process = machine.run("cat", f"/proc/{main_pid(machine)}/status").stdout
    user = machine.run("id", "-u", "pinhold").stdout.strip()
    assert re.search(rf"^Uid:\s{user}\s{user}\s", process, re.M) and re.search(r"^CapEff:\t0*1400$", process, re.M), process
    # The hook is the user's as well, and cannot write where nobody has let it.
    machine.wait(lambda: "up 32451 as pinhold in /: touch: cannot touch" in machine.log())
    assert "Read-only file system" in machine.log()
    assert machine.run("stat", "-c", "%U %a", "/var/lib/pinhold", "/run/pinhold").stdout == "pinhold 700\npinhold 755\n"

    # Killed: it is back by itself, and nobody is told again what he was told.
    old = main_pid(machine)
    machine.run("kill", "-KILL", str(old))
    machine.wait(lambda: main_pid(machine) not in (0, old))
    wait_up(machine)
    assert lab.client.get(PUBLIC).body == "nas"
    assert machine.log().count("up 32451 as pinhold") == 1 and len(receiver.calls) == 1

    # A mistake in the file: the reload fails and says it, and all goes on.
    machine.write("/etc/pinhold.conf", configuration(lab, CONF.format(target="nonsense")))
    done = machine.run("systemctl", "reload", "pinhold", check=False)
    assert done.returncode != 0
    machine.wait(lambda: re.search(r"pinhold\.conf:\d+: .*nonsense", machine.log()))  # the journal takes its time
    assert lab.client.get(PUBLIC).body == "nas"
    machine.write("/etc/pinhold.conf", configuration(lab, CONF.format(target=":443")))
    machine.run("systemctl", "reload", "pinhold")
    assert lab.client.get(PUBLIC).body == "gw"

    # It stops in time, and nothing is left of it.
    machine.run("systemctl", "stop", "pinhold")
    assert machine.show("Result") == "success"
    assert lab.gw.table() == ""
    assert machine.run("ls", "/run/pinhold", check=False).returncode != 0


def test_mistake_at_the_start_is_not_repeated(machine):
    machine.write("/etc/pinhold.conf", "[mapping web]\nbind = 8443\n")
    assert machine.run("systemctl", "start", "pinhold", check=False).returncode != 0
    machine.wait(lambda: machine.show("ActiveState") == "failed")
    assert machine.show("NRestarts") == "0" and machine.show("ExecMainStatus") == "2"
    machine.wait(lambda: re.search(r"/etc/pinhold\.conf:\d+: ", machine.log()))
    machine.run("systemctl", "reset-failed", "pinhold")


def test_last_word_of_a_slow_hook(lab, machine):
    """`systemctl stop` ends the daemon, and the daemon waits for what it says last."""
    machine.write("/etc/pinhold/hook", "#!/bin/sh\n[ $PINHOLD_EVENT != down ] || { sleep 1; echo down was heard; }\n", 0o755)
    machine.run("systemctl", "start", "pinhold")
    wait_up(machine)
    machine.run("systemctl", "stop", "pinhold")
    machine.wait(lambda: "down was heard" in machine.log())
    # One that runs already ends as it would, too: `up` is not cut off by the signal.
    machine.write("/etc/pinhold/hook", "#!/bin/sh\necho $PINHOLD_EVENT begins\nsleep 1\necho $PINHOLD_EVENT was heard\n", 0o755)
    machine.run("rm", "-rf", "/var/lib/pinhold")
    machine.run("systemctl", "start", "pinhold")
    machine.wait(lambda: "up begins" in machine.log())
    machine.run("systemctl", "stop", "pinhold")
    machine.wait(lambda: "up was heard" in machine.log())


def test_watchdog(lab, machine):
    """Who does not give a sign of life is ended, and another begins."""
    machine.write("/etc/systemd/system/pinhold.service.d/watchdog.conf", "[Service]\nWatchdogSec=4\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "pinhold")
    wait_up(machine)
    old = main_pid(machine)
    machine.run("kill", "-STOP", str(old))
    machine.wait(lambda: main_pid(machine) not in (0, old), 40)
    wait_up(machine)
    assert lab.client.get(PUBLIC).body == "nas"
    assert machine.show("NRestarts") == "1"


def test_credential(lab, machine, receiver):
    """A secret that is root's alone, by the manual's drop-in; without it the publisher cannot read it."""
    machine.write("/etc/pinhold/worker.token", "secret-of-roots\n", 0o600)
    text = PUBLISHED.replace("/etc/pinhold/token", "/run/credentials/pinhold.service/worker.token")
    machine.write("/etc/pinhold.conf", configuration(lab, text.format(target=":443", url=receiver.url)))
    machine.run("systemctl", "start", "pinhold")
    machine.wait(lambda: "not published mapping=web publisher=a: /run/credentials" in machine.log())
    machine.run("systemctl", "stop", "pinhold")
    machine.write("/etc/systemd/system/pinhold.service.d/credential.conf",
                  recipes.recipe("systemd", "credential", recipes.MANUAL))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "pinhold")
    assert receiver.wait().headers["X-Token"] == "secret-of-roots"


def test_drop_ins_of_the_manual(lab, machine):
    """What targets on 127.0.0.1 and demanding hooks need, and that they need it."""
    machine.write("/etc/pinhold.conf", configuration(lab, CONF.format(target="127.0.0.1:443")))
    machine.run("systemctl", "start", "pinhold")
    machine.wait(lambda: "route_localnet" in ((status(machine) or {}).get("why") or ""))
    machine.wait(lambda: "cannot touch" in machine.log())
    machine.run("systemctl", "stop", "pinhold")
    for name in ("route_localnet", "write"):
        machine.write(f"/etc/systemd/system/pinhold.service.d/{name}.conf",
                      recipes.recipe("systemd", name, recipes.MANUAL))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "pinhold")
    wait_up(machine)
    machine.wait(lambda: os.path.exists(machine.root + "/srv/www/endpoint"))
    assert lab.client.get(PUBLIC).body == "gw"
