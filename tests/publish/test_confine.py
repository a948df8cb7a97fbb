# SPDX-License-Identifier: GPL-2.0-or-later
"""What the process is allowed while it speaks to the network, and its arguments."""
import os
import pathlib
import shutil
import subprocess

from publisher import environment, finish, job, program, start
from receivers import hanging

SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_confined(directory):
    inherited = os.open(directory / "inherited", os.O_RDWR | os.O_CREAT)
    with hanging() as server:
        p = start(job("webhook", [("url", server.url)], {"total_ms": 1500}), pass_fds=[inherited])
        assert server.accepted.wait(20)
        s = status(p.pid)
        for name in (*SETS, "CapBnd"):
            assert int(s[name], 16) == 0, name
        assert s["NoNewPrivs"] == "1" and s["Umask"] == "0077"
        limits = pathlib.Path(f"/proc/{p.pid}/limits").read_text(encoding="ascii")
        [core] = [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")]
        assert core == ["0", "0"]
        files = [os.readlink(f"/proc/{p.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{p.pid}/fd")]
        assert not any("inherited" in name for name in files), files
        assert finish(p).status == 1
    os.close(inherited)


def test_ambient_capabilities_of_another_user():
    """As a daemon that is not root, with the capabilities that it has, would start it."""
    copy = "/run/pinhold-publish"  # where everybody may read it
    shutil.copy(program(), copy)
    os.chmod(copy, 0o755)
    with hanging() as server:
        p = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                              "--inh-caps=+net_admin,+net_bind_service",
                              "--ambient-caps=+net_admin,+net_bind_service", copy], cwd="/",
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment() | {"PATH": os.environ["PATH"]})
        p.stdin.write(job("webhook", [("url", server.url)], {"total_ms": 1500}).encode())
        p.stdin.close()
        p.stdin = None
        assert server.accepted.wait(20)
        s = status(p.pid)
        assert s["Uid"].split() == ["65534"] * 4
        assert [int(s[name], 16) for name in SETS] == [0] * 4
        # Not dumpable: what is the process's belongs to root, and none of its user's may attach.
        assert os.stat(f"/proc/{p.pid}/mem").st_uid == 0
        assert finish(p).status == 1


def test_arguments():
    def run(*arguments):
        return subprocess.run([program(), *arguments], env=environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)

    p = run("--version")
    assert p.returncode == 0 and p.stdout.startswith("pinhold-publish ")
    p = run("--help")
    assert p.returncode == 0 and p.stdout.startswith("usage: ")
    p = run("https://example.com/")
    assert p.returncode == 2 and p.stdout == "" and p.stderr.startswith("usage: ")


def test_nobody_reads_the_result():
    with hanging() as server:
        p = start(job("webhook", [("url", server.url)], {"total_ms": 300}))
        p.stdout.close()
        assert p.wait(30) == 1
        assert p.stderr.read() == b""
