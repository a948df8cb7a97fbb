# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs pinhold-publish, and holds every answer against the contract (include/pinhold/publish.h)."""
import json
import os
import subprocess

EVENT = {"event": "change", "mapping": "web", "protocol": "tcp", "family": "ipv4", "interface": "wan",
         "public_address": "203.0.113.7", "public_port": 32451, "public_endpoint": "203.0.113.7:32451",
         "ip4p": "2001::7ec3:cb00:7107", "previous_address": "203.0.113.7", "previous_port": 30000,
         "private_address": "100.64.0.2", "private_port": 8443, "target": "192.168.10.50:443"}


def program():
    return os.environ["PINHOLD_PUBLISH"]


def environment():
    return {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}


def job(kind, settings, limits=None, **event):
    """settings: pairs, as the lines of the file."""
    result = {"publisher": {"name": "p", "type": kind, "settings": [list(s) for s in settings]},
              "event": EVENT | event}
    return json.dumps(result | ({"limits": limits} if limits else {}))


def start(text, env=None, **options):
    process = subprocess.Popen([program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment() | (env or {}), **options)
    process.stdin.write(text if isinstance(text, bytes) else text.encode())
    process.stdin.close()
    process.stdin = None
    return process


class Outcome:
    def __init__(self, status, stdout, stderr):
        assert stderr == b"", stderr.decode(errors="replace")
        assert stdout.endswith(b"\n") and stdout.count(b"\n") == 1 and len(stdout) <= 4096, stdout
        line = json.loads(stdout)
        assert set(line) == {"result", "text", "retry", "retry_after"}
        self.result, self.text = line["result"], line["text"]
        self.retry, self.retry_after = line["retry"], line["retry_after"]
        assert self.text and self.text.isascii() and self.text.isprintable(), self.text
        expected = {"ok": 0, "unchanged": 0, "failed": 1 if self.retry else 2}[self.result]
        assert status == expected, (status, line)
        assert self.result == "failed" or (not self.retry and self.retry_after is None)
        self.status, self.stdout = status, stdout

    def __repr__(self):
        return self.stdout.decode()


def finish(process, timeout=30):
    stdout, stderr = process.communicate(timeout=timeout)
    return Outcome(process.returncode, stdout, stderr)


def deliver(text, env=None, **options):
    return finish(start(text, env, **options))


def publish(kind, settings, limits=None, **event):
    return deliver(job(kind, settings, limits, **event))
