# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab is built once; each test finds it as new, and must leave nothing behind."""
import contextlib

import pytest

from pinlab import Lab, daemon
from pinlab.receivers import Receiver
from pinlab.router import Router
from pinlab.witness import PUBLIC


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; tests/run --long runs it too")


@pytest.fixture(scope="session")
def _the_lab():
    try:
        daemon.program()
    except AssertionError as e:
        pytest.exit(str(e), returncode=2)
    return Lab()


@pytest.fixture
def lab(_the_lab):
    yield _the_lab
    left = _the_lab.reset()
    assert not left, "the test left something behind:\n" + "\n".join(left)


@pytest.fixture
def receiver(lab):
    """A web server out there."""
    with Receiver(lab) as made:
        yield made


@pytest.fixture
def router(lab, tmp_path):
    """The gateway as an OpenWrt router with the package."""
    made = Router(lab, tmp_path)
    yield made
    made.remove()
    lab.gw.run("nft delete table inet fw4", check=False)


@pytest.fixture
def web(lab):
    """Starts pinhold with the mapping `web`, bind port 8443, public port 32451, to the host in the LAN.

    It is up, and its holders are open, when that returns. witness: see pinlab/witness.py.
    """
    with contextlib.ExitStack() as stack:
        def start(settings=None, witness=None, protocol="tcp", common=None, holders=None, more=None,
                  **options):
            lab.isp.full_cone(PUBLIC[1])
            port = 443 if protocol == "tcp" else lab.nas.echo.port
            sections = {"global": common or {},
                        "web": {"protocol": protocol, "bind": 8443, "target": f"{lab.nas.address}:{port}",
                                **(settings or {})}}
            if witness:
                sections["witness"] = witness.section
            sections |= more or {}
            p = stack.enter_context(lab.pinhold_file(sections, **options))
            up = p.wait_hook("web")
            assert up.event == "up" and up.endpoint == PUBLIC
            if holders is None:
                holders = 2 if protocol == "tcp" else 1
            p.wait_state("web", lambda s: [h["state"] for h in s["holders"]].count("open") >= holders)
            if witness:
                witness.seen(p)
            return p

        yield start
