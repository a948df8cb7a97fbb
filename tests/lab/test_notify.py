# SPDX-License-Identifier: GPL-2.0-or-later
"""What the service manager hears (sd_notify(3)): without its library, and at the right moments."""
import os
import signal
import socket
import time

import pytest

from pinlab.witness import PUBLIC, reach


@pytest.fixture
def sections(lab):
    lab.isp.full_cone(PUBLIC[1])
    return {"web": {"bind": 8443, "target": f"{lab.nas.address}:443"}}


def test_ready_when_the_table_is_there(lab, sections):
    """Before that it is not; and a mapping need not be up for it."""
    for server in lab.internet.all:
        server.down("all", "drop")
    with lab.pinhold_file(sections) as p:
        p.wait_ready()
        assert "chain prerouting" in lab.gw.table()
        assert p.status("web")["state"] == "opening"
        assert p.notices.count_of("READY") == 1


def test_status_line_follows(lab, sections):
    with lab.pinhold_file(sections) as p:
        p.wait_hook("web")
        _, pairs = p.notices.wait_for(lambda pairs: "1 of 1" in pairs.get("STATUS", ""))
        seen = p.notices.count()
        lab.gw.ip("link set wan down")
        p.wait_hook("web")
        _, later = p.notices.wait("STATUS", start=seen)
        assert later["STATUS"] != pairs["STATUS"]


@pytest.mark.parametrize("good", [True, False])
def test_reloading(lab, sections, good):
    """RELOADING=1 with the time (Type=notify-reload wants it), then READY=1; after a bad file too."""
    with lab.pinhold_file(sections) as p:
        p.wait_hook("web")
        if good:
            p.change("web", target=":443")
        else:
            p.write("[mapping web]\nbind = http\n")
        seen, begin = p.notices.count(), time.monotonic()
        p.process.send_signal(signal.SIGHUP)
        _, pairs = p.notices.wait("RELOADING", "1", start=seen)
        assert begin <= int(pairs["MONOTONIC_USEC"]) / 1e6 <= time.monotonic()
        p.notices.wait("READY", "1", start=p.notices.index("RELOADING", seen))
        assert lab.client.get(PUBLIC).body == ("gw" if good else "nas")


def test_stopping(lab, sections):
    with lab.pinhold_file(sections) as p:
        p.wait_hook("web")
        assert p.stop() == 0
        p.notices.wait("STOPPING", "1")


def test_watchdog(lab, sections):
    """Half of the time that is asked for; and only while the loop turns."""
    with lab.pinhold_file(sections, env={"WATCHDOG_USEC": "1000000"}) as p:
        p.wait_hook("web")
        seen = p.notices.count()
        times = []
        for _ in range(4):
            when, _ = p.notices.wait("WATCHDOG", "1", start=seen)
            seen = p.notices.index("WATCHDOG", seen) + 1
            times.append(when)
        # Each in time for the manager's second, and not by far too often.
        assert all(0.2 < b - a < 1 for a, b in zip(times, times[1:])), times
        p.process.send_signal(signal.SIGSTOP)
        seen = p.notices.count()
        with pytest.raises(AssertionError):
            p.notices.wait("WATCHDOG", start=seen + 1, timeout=1.5)
        p.process.send_signal(signal.SIGCONT)
        p.notices.wait("WATCHDOG", start=seen)


@pytest.mark.parametrize("env", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
                         ids=["unasked", "others"])
def test_no_watchdog_where_none_is_asked_for(lab, sections, env):
    with lab.pinhold_file(sections, env=env) as p:
        p.wait_hook("web")
        with pytest.raises(AssertionError):
            p.notices.wait("WATCHDOG", timeout=1.5)


def test_abstract_socket(lab, sections):
    name = f"pinhold-lab-{os.getpid()}"
    with lab.gw.ns.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0" + name)
        s.settimeout(20)
        with lab.pinhold_file(sections, env={"NOTIFY_SOCKET": "@" + name}):
            received = b""
            while b"READY=1" not in received:
                received = s.recv(65536)


@pytest.mark.parametrize("path", ["/no/such/socket", "", "relative", "/run", "@" + "x" * 200, "/" + "x" * 300])
def test_a_manager_that_is_not_there(lab, sections, path):
    with lab.pinhold_file(sections, env={"NOTIFY_SOCKET": path}) as p:
        assert p.wait_hook("web").endpoint == PUBLIC


def test_a_manager_that_does_not_read(lab, sections):
    """Its queue is full: nobody waits for it."""
    path = "/run/lab/deaf.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        deaf.bind(path)
        filler.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                filler.sendto(b"x", path)
        with lab.pinhold_file(sections, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}) as p:
            assert p.wait_hook("web").endpoint == PUBLIC
            p.reload()
            reach(lab, PUBLIC)
            begin = time.monotonic()
            assert p.stop() == 0
            assert time.monotonic() - begin < 4
    os.unlink(path)
