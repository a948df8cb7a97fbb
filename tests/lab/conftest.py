# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab is built once; each test finds it as new, and must leave nothing behind."""
import pytest

from pinlab import Lab, daemon


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
