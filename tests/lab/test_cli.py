# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: what it takes, what it refuses, and how it says so."""
import os
import re
import signal
import socket
import subprocess

import pytest

from pinlab import daemon, net, scripted
from pinlab.daemon import finished, script

WORKING = ["-b", "8443", "-p", "443"]


def refused(lab, *arguments, **options):
    """Exit status 2 and one line on standard error; the line."""
    done = finished(*arguments, ns=lab.gw.ns, **options)
    assert done.returncode == 2, done
    assert done.stdout == "" and re.fullmatch(r"pinhold: [^\n]+\n", done.stderr), done
    assert lab.gw.table() == ""
    return done.stderr


def test_help():
    done = finished("--help")
    assert done.returncode == 0 and done.stderr == ""
    for option in "46udikcshefbtp":
        assert re.search(rf"(?m)(^|[ ,])-{option}\b", done.stdout), f"-{option} is missing"
    assert max(map(len, done.stdout.split("\n"))) <= 100


def test_version():
    done = finished("--version")
    assert done.returncode == 0 and re.fullmatch(r"pinhold \d+\.\d+(\.\d+)?\n", done.stdout)


@pytest.mark.parametrize("arguments", [
    [],
    ["-b", "65536", "-p", "443"],
    ["-b", "-1", "-p", "443"],
    ["-b", "http", "-p", "443"],
    ["-b", "8443x", "-p", "443"],
    ["-b", "", "-p", "443"],
    ["-b", " 8443", "-p", "443"],
    ["-b", "9000-8000", "-p", "443"],
    ["-b", "9000~8000", "-p", "443"],
    ["-b", "8000-", "-p", "443"],
    ["-b", "-8000", "-p", "443"],
    ["-b", "8000-65536", "-p", "443"],
    ["-b", "0-8000", "-p", "443"],
    ["-b", "18446744073709559059", "-p", "443"],
    ["-b"],
    ["-b", "8443", "-p", "65536"],
    ["-b", "8443", "-p", "https"],
    ["-b", "8443", "-p", ""],
    ["-b", "8443", "-p", "-443"],
    ["-b", "8443", "-t", "300.1.1.1", "-p", "443"],
    ["-b", "8443", "-t", "nas", "-p", "443"],
    ["-b", "8443", "-t", "192.168.10.50:443", "-p", "443"],
    ["-b", "8443", "-t", "2001:db8:10::50", "-p", "443"],
    ["-6", "-b", "8443", "-t", "192.168.10.50", "-p", "443"],
    ["-b", "8443", "-t", "", "-p", "443"],
    [*WORKING, "-i", "no-such-if"],
    [*WORKING, "-i", "192.0.2.77"],
    [*WORKING, "-i", "an-interface-name-that-is-too-long"],
    [*WORKING, "-i", ""],
    [*WORKING, "-i", "2001:db8:64::2"],
    ["-b", "8443", "-t", "192.168.10.50"],
    ["-b", "8443", "-t", "0.0.0.0", "-p", "443"],
    ["-b", "8443", "-i", "100.64.0.2", "-t", "100.64.0.2", "-p", "8443"],
    ["-b", "8000-9000", "-i", "100.64.0.2", "-t", "100.64.0.2", "-p", "8443"],
    ["-b", "8443", "-t", "224.0.0.1", "-p", "443"],
    ["-b", "8443", "-t", "255.255.255.255", "-p", "443"],
    ["-6", "-b", "8443", "-t", "::", "-p", "443"],
    ["-6", "-b", "8443", "-t", "::1", "-p", "443"],
    ["-6", "-b", "8443", "-t", "fe80::1", "-p", "443"],
    ["-6", "-b", "8443", "-t", "ff02::1", "-p", "443"],
    [*WORKING, "-s", "::1"],
    [*WORKING, "-6", "-h", "192.0.2.11"],
    [*WORKING, "-k", "3601"],
    [*WORKING, "-k", "x"],
    [*WORKING, "-k", "-5"],
    [*WORKING, "-k", "99999999999999999999"],
    [*WORKING, "-c", "many"],
    [*WORKING, "-f", "red"],
    [*WORKING, "-f", "0x100000000"],
    [*WORKING, "-f", "0x08000000"],
    [*WORKING, "-s", ""],
    [*WORKING, "-s", "host:0"],
    [*WORKING, "-s", "host:65536"],
    [*WORKING, "-s", "host:port"],
    [*WORKING, "-s", ":3478"],
    [*WORKING, "-s", "a host"],
    [*WORKING, "-s", "host\r\nX-Header: 1"],
    [*WORKING, "-s", "[2001:db8::1"],
    [*WORKING, "-s", "x" * 300],
    [*WORKING, "-h", "host:0"],
    [*WORKING, "-h", "host/path"],
    [*WORKING, "-h", "host\r\nX-Header: 1"],
    [*WORKING, "-h", ""],
    [*WORKING, *["-s", "stun.lab"] * 17],
    [*WORKING, "-e", "/no/such/hook"],
    [*WORKING, "-e", "/etc/hosts"],
    [*WORKING, "-e", "/etc"],
    [*WORKING, "-e", ""],
    [*WORKING, "-x"],
    [*WORKING, "--unknown"],
    [*WORKING, "superfluous"],
    [*WORKING, "-C"],
], ids=lambda a: " ".join(a).replace("\r\n", "<CR><LF>")[:60] or "nothing")
def test_bad_line(lab, arguments):
    line = refused(lab, *arguments)
    assert len(line) < 400


def test_hook_not_executable(lab):
    path = script("#!/bin/sh\n", mode=0o644)
    line = refused(lab, *WORKING, "-e", path)
    assert path in line and "executable" in line


def test_hook_missing(lab):
    assert "/no/such/hook" in refused(lab, *WORKING, "-e", "/no/such/hook")


@pytest.mark.parametrize("option", ["-C", "-T"])
def test_options_of_userspace_forwarding_get_one_notice(lab, option):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold(*WORKING, option, "10") as p:
        p.wait_hook()
        assert len(p.logged(rf"{option}\b.*no effect")) == 1


def test_fwmark_is_on_every_packet_of_its_own(lab):
    lab.isp.full_cone(public_port=32451)
    lab.gw.nft("""
        table inet hand {
            counter marked { }
            counter unmarked { }
            chain output {
                type filter hook output priority -150;
                th sport 8443 meta mark 0x66 counter name "marked"
                th sport 8443 meta mark != 0x66 counter name "unmarked"
            }
        }
        """)
    with lab.pinhold(*WORKING, "-f", "0x66") as p:
        p.wait_hook()
        p.wait_log("holder open")
        listing = lab.gw.run(["nft", "list", "table", "inet", "hand"])
    lab.gw.nft("delete table inet hand")
    count = {name: int(n) for name, n in re.findall(r"counter (\w+) \{\s*packets (\d+)", listing)}
    assert count["marked"] > 3 and count["unmarked"] == 0


@pytest.mark.parametrize("interface", ["wan", "100.64.0.2"])
def test_interface_by_name_and_by_address(lab, interface):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold(*WORKING, "-i", interface) as p:
        assert p.wait_hook().env["PINHOLD_INTERFACE"] == "wan"


def listen(lab, kind, port=8443, family=socket.AF_INET):
    s = lab.gw.ns.socket(family, kind)
    s.bind(("100.64.0.2", port))
    if kind == socket.SOCK_STREAM:
        s.listen()
    return s


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_bind_port_held_by_another_process(lab, protocol):
    kind = {"tcp": "STREAM", "udp": "DGRAM"}[protocol]
    holder = lab.gw.ns.spawn(
        ["/usr/bin/python3", "-c",
         f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_{kind})\ns.bind(('0.0.0.0', 8443))\n"
         f"{'s.listen()' if kind == 'STREAM' else ''}\nprint('ready', flush=True)\n"
         "import signal\nsignal.pause()"], stdout=subprocess.PIPE)
    holder.stdout.readline()
    try:
        line = refused(lab, *["-u"][:protocol == "udp"], *WORKING)
        assert "8443" in line and str(holder.pid) in line and "python3" in line
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


@pytest.mark.parametrize("ports", ["8443-8445", "8443~8443"])
def test_next_port_of_a_range_where_one_is_taken(lab, ports):
    first = 8444 if "-" in ports else 8443
    lab.isp.full_cone_range(8443, 8445, offset=20000)
    taken = listen(lab, socket.SOCK_STREAM) if first == 8444 else None
    with lab.pinhold("-b", ports, "-p", "443") as p:
        up = p.wait_hook()
        assert (up.private_port, up.port) == (str(first), str(first + 20000))
        assert lab.client.get(up.endpoint).body == "gw"
    if taken:
        taken.close()


def test_any_bind_port(lab):
    low, high = map(int, lab.gw.ns.read_sysctl("net/ipv4/ip_local_port_range").split())
    with lab.pinhold("-b", "0", "-p", "443") as p:
        up = p.wait_hook()
        assert low <= int(up.private_port) <= high
        assert lab.internet.wait_holder_request()["port"] == up.port


WITHOUT_NET_ADMIN = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]


def test_without_the_capability(lab):
    line = refused(lab, *WORKING, prefix=WITHOUT_NET_ADMIN)
    assert "CAP_NET_ADMIN" in line


def test_capability_is_enough(lab):
    """No root is needed: an ordinary user with CAP_NET_ADMIN alone."""
    lab.isp.full_cone(public_port=32451)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_admin",
              "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin"]
    # The lab's socket and script directory are root's; the hook says what the test needs by its output.
    os.chmod("/run/lab", 0o755)
    hook = script("#!/bin/sh\ngrep ^CapAmb: /proc/self/status\n")
    with lab.pinhold(*WORKING, "-e", hook, hook=False, prefix=prefix) as p:
        p.wait_log("up mapping")
        assert lab.client.get(("203.0.113.7", 32451)).body == "gw"
        # What the daemon may, its hooks may not.
        p.wait_log("hook output .*CapAmb:\t0000000000000000")


def test_port_below_1024_without_the_capability(lab):
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_admin",
              "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin"]
    assert "CAP_NET_BIND_SERVICE" in refused(lab, "-b", "843", "-p", "443", prefix=prefix)


def test_second_pinhold(lab):
    lab.isp.full_cone(public_port=32451)
    with lab.pinhold(*WORKING) as p:
        p.wait_hook()
        done = finished("-b", "9443", "-p", "443", ns=lab.gw.ns)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert str(p.pid) in done.stderr
        assert lab.client.get(("203.0.113.7", 32451)).body == "gw"


def test_left_over_plain_table_is_purged(lab):
    """As after the crash of a pinhold on a kernel without owned tables."""
    lab.isp.full_cone(public_port=32451)
    lab.gw.nft("table inet pinhold {\nchain in-old {\ncounter\n}\n}")
    with lab.pinhold(*WORKING) as p:
        p.wait_hook()
        assert "in-old" not in lab.gw.table()


def daemonised(lab, *arguments):
    """Starts it with -d; the process that stays."""
    done = finished("-d", *arguments, ns=lab.gw.ns)
    assert done.returncode == 0, done
    # Its hook looks the same between fork and exec, but is younger.
    return min(lab.running(daemon.program() + " -d")), done


def test_in_the_background(lab):
    lab.isp.full_cone(public_port=32451)
    hooks = daemon.HookReceiver()
    servers = ["-s", lab.internet.real[0].address, "-h", lab.internet.real[0].address]
    pid, _ = daemonised(lab, *WORKING, *servers, "-e", hooks.path)
    call = hooks.wait(20)
    assert call and lab.client.get(call.endpoint).body == "gw"
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"
    os.kill(pid, signal.SIGTERM)
    assert net.wait_exit(pid, 5)
    assert lab.gw.table() == ""


def test_closed_standard_descriptors(lab):
    """Files opened later would take their places, and be written to."""
    lab.isp.full_cone(public_port=32451)
    server = lab.internet.real[0].address
    closed = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash"]
    hooks = daemon.HookReceiver()
    done = finished("-d", *WORKING, "-s", server, "-h", server, "-e", hooks.path, ns=lab.gw.ns, prefix=closed)
    assert done.returncode == 0
    assert hooks.wait(20)
    pid = min(lab.running(daemon.program() + " -d"))
    os.kill(pid, signal.SIGTERM)
    assert net.wait_exit(pid, 5)
    assert lab.gw.table() == ""
    assert finished("--help", ns=lab.gw.ns, prefix=closed).returncode == 1


def test_failure_in_the_background_is_told_in_the_foreground(lab):
    refused(lab, "-d", *WORKING, prefix=WITHOUT_NET_ADMIN)
    assert not lab.running(daemon.program())


@pytest.mark.parametrize("arguments", [WORKING, [*WORKING, "-t", "192.168.10.50"], ["-u", *WORKING],
                                       ["-6", *WORKING, "-t", "2001:db8:10::50"]], ids=" ".join)
def test_ruleset_needs_no_root_and_loads(lab, arguments):
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    server = lab.internet.real[0].address6 if "-6" in arguments else lab.internet.real[0].address
    done = finished("ruleset", *arguments, "-s", server, "-h", server, ns=lab.pc.ns, prefix=nobody)
    assert done.returncode == 0 and done.stderr == "", done
    lab.pc.ns.nft(done.stdout)
    listing = lab.pc.ns.run(["nft", "list", "table", "inet", "pinhold"])
    lab.pc.ns.nft("delete table inet pinhold")
    assert "chain prerouting" in listing


def test_own_flows_leave_by_the_interface(lab):
    """Bound to the device: a wrong route does not divert them."""
    lab.isp.full_cone(public_port=32451)
    lab.gw.ip("route add 192.0.2.0/24 via 192.168.10.60 dev lan metric 1")
    try:
        with lab.pinhold(*WORKING, "-i", "wan") as p:
            assert p.wait_hook().endpoint == ("203.0.113.7", 32451)
    finally:
        lab.gw.ip("route del 192.0.2.0/24 via 192.168.10.60 dev lan metric 1")


def test_one_server_of_each_kind_is_said_to_be_few(lab):
    lab.isp.full_cone(public_port=32451)
    one = lab.internet.real[0].address
    with lab.pinhold(*WORKING, "-s", one, "-h", one) as p:
        up = p.wait_hook()
        p.wait_log("one holder only")
        assert len(p.logged("one holder only")) == 1
        assert lab.client.get(up.endpoint).body == "gw"


def test_stun_server_with_its_port_and_a_name(lab):
    lab.isp.full_cone(public_port=32451)
    lab.hosts({"stun.lab": lab.internet.scripted[0].address})
    with scripted.StunServer(lab.internet.scripted[0], port=5349) as server:
        with lab.pinhold(*WORKING, "-s", "stun.lab:5349") as p:
            assert p.wait_hook().endpoint == ("203.0.113.7", 32451)
            assert server.wait_asked().peer == ("203.0.113.7", 32451)
