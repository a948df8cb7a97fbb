# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel without the owner flag: the table is anybody's, and pinhold puts it back."""
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from pinlab import daemon
from pinlab.foreign import TableWatch

PUBLIC = ("203.0.113.7", 32451)
PUBLIC_UDP = ("203.0.113.7", 32452)

FOREIGN = {
    "table deleted": "delete table inet pinhold",
    "everything deleted": "flush ruleset",
    "another configuration loaded": """
        flush ruleset
        table inet filter {
            chain input { type filter hook input priority filter; policy accept; }
            chain forward { type filter hook forward priority filter; policy accept; }
        }
        """,
    "all rules deleted": "flush table inet pinhold",
    "rules of a chain deleted": "flush chain inet pinhold prerouting",
    "element deleted": 'delete element inet pinhold inbound4 { "wan" . 100.64.0.2 . tcp . 8443 }',
    "elements deleted": "flush map inet pinhold inbound4",
    "element added": 'add element inet pinhold inbound4 { "wan" . 100.64.0.2 . tcp . 22 : goto in-web }',
    "rule added": "insert rule inet pinhold prerouting meta l4proto { tcp, udp } drop",
    "chain added": "add chain inet pinhold mine { type filter hook forward priority 10; policy drop; }",
    "table asleep": "add table inet pinhold { flags dormant; }",
    "table replaced": "delete table inet pinhold\nadd table inet pinhold\nadd chain inet pinhold mine",
}
DELETED = ("table deleted", "everything deleted", "another configuration loaded", "table replaced")


def sections(lab):
    return {"global": {"interval": "1s"},
            "web": {"bind": 8443, "target": f"{lab.nas.address}:443"},
            "dns": {"protocol": "udp", "bind": 8444, "target": f"{lab.nas.address}:{lab.nas.echo.port}"}}


def plain(lab, wanted=None, **options):
    """A pinhold with a plain table; its mappings are up, and their table is the last it wanted."""
    lab.isp.full_cone(PUBLIC[1])
    lab.isp.full_cone(PUBLIC_UDP[1], 8444)
    p = lab.pinhold_file(wanted or sections(lab), program=daemon.plain_program(), **options)
    p.wait_hooks()
    return p


def listing(lab):
    """What is in the table, whatever its counters say and in whatever order it came."""
    text = lab.gw.run("nft -s list table inet pinhold")
    assert text.startswith("table inet pinhold {")
    return dict(re.findall(r"^\t(\w+ \S+) \{\n(.*?)^\t\}$", text, re.M | re.S))


def wait_put_back(p, what, start, when="now"):
    """Who did it is known by name; and when the next question is answered the table is there."""
    p.wait_log(rf"table inet pinhold was {what} by nft \(pid \d+\): put back {when}", start=start)
    return p.status()


class Flow:
    """A client of the UDP service that keeps its port, and so its flow."""

    def __init__(self, lab):
        self._socket = lab.client.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(5)
        self._socket.connect(PUBLIC_UDP)
        self.ask()

    def ask(self):
        self._socket.send(b"hello")
        assert self._socket.recv(65536).startswith(b"nas 198.51.100.20 ")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


@pytest.mark.parametrize("nat", ["plain", None])
@pytest.mark.parametrize("foreign", FOREIGN)
def test_put_back(lab, foreign, nat):
    """nat: whether this gateway has a NAT chain beside ours, or the kernel's NAT goes with our table."""
    lab.gw.masquerade(nat)
    what = "deleted" if foreign in DELETED else "changed"
    with plain(lab) as p, Flow(lab) as flow, lab.client.connect(PUBLIC) as connection:
        table = p.status()["daemon"]["table"]
        assert (table["ownership"], table["foreign_change"]) == ("plain", None)
        assert connection.get().body == "nas"
        # Where the kernel's NAT goes with the table, a late acknowledgement would meet the gateway's own RST.
        connection.acknowledge()
        before, seen = listing(lab), p.count()
        lab.gw.nft(FOREIGN[foreign])
        table = wait_put_back(p, what, seen)["daemon"]["table"]
        assert listing(lab) == before
        assert table["installed"] and table["foreign_change"]
        assert "another program changed it" in " ".join(p.command_line("status").stdout.split())
        assert connection.get().body == "nas"
        flow.ask()
        assert lab.client.get(PUBLIC).body == "nas"
        assert len(p.logged("table inet pinhold was")) == 1
        assert not p.logged("lost mapping|down mapping|change mapping")
    assert lab.gw.table() == ""


def test_back_at_once(lab):
    """The bench measures it; here a machine under load with sanitizers still does it within a second."""
    with plain(lab) as p, TableWatch(lab.gw.ns) as watch:
        for _ in range(4):
            start = watch.count()
            lab.gw.nft("delete table inet pinhold")
            deleted = watch.wait("deleted", start)
            assert watch.wait("made", start) - deleted < 1
        assert p.status()["daemon"]["table"]["installed"]


def test_deleted_again_and_again(lab):
    """Five times it is back at once, then once a second: nobody is kept busy by it, nor is the log."""
    with plain(lab) as p, TableWatch(lab.gw.ns) as watch:
        before, start, begin = listing(lab), watch.count(), time.monotonic()
        for _ in range(50):
            lab.gw.nft("add table inet pinhold\ndelete table inet pinhold")
        last = time.monotonic()
        assert watch.wait("made", watch.last("deleted", 50)) - last < 2
        assert lab.client.get(PUBLIC).body == "nas"
        assert listing(lab) == before
        made = sum(did == "made" for _, did in watch.seen[start:])
        lasted = time.monotonic() - begin
        assert 5 <= made <= 6 + lasted, watch.seen[start:]
        assert len(p.logged("table inet pinhold was")) <= 6 + lasted


def test_own_changes_are_not_foreign(lab):
    with plain(lab) as p:
        # As often as there are fresh STUN servers.
        for n in range(6):
            lab.isp.remap(public_port=41000 + n)
            change = p.wait_hook("web")
            assert (change.event, change.endpoint) == ("change", ("203.0.113.7", 41000 + n))
        for n in range(10):
            p.change("web", target=(f"{lab.nas.address}:443", ":443")[n % 2])
            p.reload()
            assert lab.client.get(change.endpoint).body == ("nas", "gw")[n % 2]
        assert p.status()["daemon"]["table"]["foreign_change"] is None
        assert not p.logged("table inet pinhold was")


def test_others_tables_are_not_looked_at(lab):
    """Whatever goes on in them, and in one of our name but another family."""
    with plain(lab) as p:
        lab.gw.nft("add table ip pinhold\nadd chain ip pinhold web\nadd table inet pinhold2")
        lab.gw.nft("delete table ip pinhold\ndelete table inet pinhold2")
        assert p.status()["daemon"]["table"]["foreign_change"] is None


def test_second_pinhold(lab):
    """They would put back their tables for ever, whatever directories they have: the second one gives up."""
    with plain(lab) as p:
        before = listing(lab)
        for _ in range(2):
            second = lab.pinhold_file({"other": {"bind": 9443, "target": ":443"}}, program=daemon.plain_program())
            assert second.wait_exit() == 2
            said = rf"table inet pinhold belongs to another pinhold \(pid {p.pid}\): stop that one first$"
            assert second.logged(said), second.story()
        assert p.status()["daemon"]["table"]["foreign_change"] is None
        assert listing(lab) == before
    with plain(lab):
        pass


def test_strangers_have_no_lock(lab):
    """Anybody can take its name; from whom that could not have the table it keeps nobody away."""
    code = """import socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.bind("\\0pinhold-table")
    s.listen()
    print("ready", flush=True)
    sys.stdin.read()
"""
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    with lab.gw.ns.spawn([*nobody, sys.executable, "-c", code], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout.readline() == b"ready\n"
        with plain(lab) as p:
            assert p.status()["daemon"]["table"]["installed"]
        stranger.stdin.close()


@pytest.mark.parametrize("owner", [False, True])
def test_left_by_a_killed_process(lab, owner):
    """The rules stay and work; the next start takes away what it finds, and makes its own."""
    p = plain(lab)
    p.stop(signal.SIGKILL)
    left = listing(lab)
    assert "chain in-dns" in left
    assert lab.client.get(PUBLIC).body == "nas"
    lab.isp.full_cone(40000, 9443)
    wanted = {"other": {"bind": 9443, "target": ":443"}}
    with lab.pinhold_file(wanted, **({} if owner else {"program": daemon.plain_program()})) as p:
        up = p.wait_hook("other")
        now = listing(lab)
        assert "chain in-other" in now and not {"chain in-dns", "chain in-web"} & now.keys()
        assert p.status()["daemon"]["table"]["ownership"] == ("owner" if owner else "plain")
        assert lab.client.get(up.endpoint).body == "gw"
        assert lab.client.refused(PUBLIC)
    assert lab.gw.table() == ""


def test_deleted_while_the_endpoint_changes(lab):
    """Both at once: what is put back is what is wanted by then."""
    with plain(lab) as p:
        for n in range(5):
            lab.isp.remap(public_port=42000 + n)
            lab.gw.run(["nft", "delete", "table", "inet", "pinhold"], check=False)
            endpoint = p.wait_hook("web").endpoint
            assert endpoint == ("203.0.113.7", 42000 + n)
        p.wait_log("table inet pinhold was deleted by nft")
        assert 'comment "web: 203.0.113.7:42004"' in wait_listing(lab, p)["set bound4"]
        assert lab.client.get(endpoint).body == "nas"


def wait_listing(lab, p, timeout=5):
    """The table, when it is there."""
    deadline = time.monotonic() + timeout
    while not lab.gw.table():
        assert time.monotonic() < deadline, p.story()
        p.status()
    return listing(lab)


def test_download_goes_on(lab):
    """Packets that come while the table is away find the kernel's NAT, because the gateway has its own."""
    with plain(lab) as p, lab.client.connect(PUBLIC) as connection:
        def delete():
            lab.gw.nft("delete table inet pinhold")

        assert connection.download("/big", on_start=delete) == 1 << 30
        wait_put_back(p, "deleted", 0)


def test_the_flag_is_refused_by_this_kernel_only(lab):
    """Where the kernel knows the flag nobody can delete the table: the tests above test something."""
    with lab.pinhold_file(sections(lab)) as p:
        p.wait_ready()
        assert p.status()["daemon"]["table"]["ownership"] == "owner"
        done = lab.gw.run(["nft", "delete", "table", "inet", "pinhold"], check=False)
        assert done.returncode != 0 and "Operation not permitted" in done.stderr
