# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold-publish before real receivers, all on 127.0.0.1 of a sandbox (tests/lab/sandbox)."""
import os
import pathlib
import subprocess

import pytest

from receivers import Authority, WebServer

NAMES = ("good.test", "other.test", "expired.test")


def pytest_configure(config):
    if "PINHOLD_SANDBOX" not in os.environ:
        pytest.exit("these tests run in a sandbox: tests/lab/sandbox python3 -m pytest ...", returncode=2)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/etc/hosts", "a", encoding="ascii") as hosts:
        hosts.write(f"127.0.0.1 {' '.join(NAMES)}\n")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def web():
    """An HTTP server; each test says what it answers."""
    with WebServer() as server:
        yield server


@pytest.fixture
def secret(tmp_path):
    """Writes a secret's file and returns its path."""
    def write(text, mode=0o600, name="secret"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    yield write


@pytest.fixture
def directory(tmp_path) -> pathlib.Path:
    return tmp_path
