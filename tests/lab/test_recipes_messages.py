# SPDX-License-Identifier: GPL-2.0-or-later
"""pinhold-recipes(7): a message on the phone. The services are stand-ins that know what theirs is documented to take."""
import json
import urllib.parse

import pytest

from pinlab import recipes
from pinlab.receivers import Receiver, wait_last

SECRET = "canary:AAF-0123456789_abcdefghijklmnopqrstu"
MAPPING = "[mapping web]\nbind = 8443\ntarget = 192.168.10.50:443\npublish = {}\n\n"


class Refused(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Refused(what)


def ntfy(call, token=None):
    """https://docs.ntfy.sh/publish/"""
    need(call.method in ("POST", "PUT"), call.method)
    need(call.path == "/my-secret-topic", call.path)
    need(call.headers.get("Authorization") == (token and f"Bearer {token}"), "Authorization")
    need(call.headers["Host"] == "ntfy.sh" and call.headers["Tags"] == "satellite", call.headers)
    need(0 < len(call.body) <= 4096 and not call.body.startswith("{"), call.body)
    return call.headers["Title"], call.body


def telegram(call):
    """https://core.telegram.org/bots/api#sendmessage"""
    need(call.method == "POST" and call.headers["Host"] == "api.telegram.org", call)
    # What a path segment may hold as it is need not be escaped, but may be.
    need(urllib.parse.unquote(call.path) == f"/bot{SECRET}/sendMessage", call.path)
    need(call.headers["Content-Type"] == "application/json", call.headers)
    body = json.loads(call.body)
    need(set(body) == {"chat_id", "text"} and body["chat_id"] == "123456789", body)
    return None, body["text"]


def bark(call):
    """https://bark.day.app/#/tutorial, the push of JSON"""
    need(call.method == "POST" and call.headers["Host"] == "api.day.app" and call.path == "/push", call)
    need(call.headers["Content-Type"].startswith("application/json"), call.headers)
    body = json.loads(call.body)
    need(set(body) == {"device_key", "title", "body"} and body["device_key"] == SECRET, body)
    return body["title"], body["body"]


class Service:
    """What it took, and why it refused what it did not."""

    def __init__(self, check):
        self._check = check
        self.taken, self.refused = [], []

    def __call__(self, call):
        try:
            self.taken.append(self._check(call))
        except (Refused, KeyError, ValueError) as e:
            self.refused.append(repr(e))
            return 400
        return 200


@pytest.mark.parametrize("name, host, secret, check, expected", [
    ("ntfy", "ntfy.sh", None, ntfy, [("pinhold up", "web is at 203.0.113.7:32451"),
                                     ("pinhold change", "web is at 203.0.113.7:32999"),
                                     ("pinhold down", "web is at 203.0.113.7:32999")]),
    ("ntfy-token", "ntfy.sh", "ntfy.token", lambda call: ntfy(call, SECRET),
     [("pinhold up", "web is at 203.0.113.7:32451"), ("pinhold change", "web is at 203.0.113.7:32999"),
      ("pinhold down", "web is at 203.0.113.7:32999")]),
    ("telegram", "api.telegram.org", "telegram.token", telegram,
     [(None, "web (up): 203.0.113.7:32451"), (None, "web (change): 203.0.113.7:32999")]),
    ("bark", "api.day.app", "bark.key", bark,
     [("pinhold", "web: 203.0.113.7:32451"), ("pinhold", "web: 203.0.113.7:32999")])])
def test_message(lab, name, host, secret, check, expected):
    recipes.furnish()
    lab.isp.full_cone(32451)
    lab.internet.dns.names[host] = ["192.0.2.10"]
    if secret:
        recipes.secret(secret, SECRET)
    text = recipes.recipe(name.split("-")[0], "pinhold.conf")
    if name == "ntfy-token":
        text += recipes.recipe(name, "pinhold.conf")
    with Receiver(lab, port=443, tls=True) as receiver:
        receiver.answer = service = Service(check)
        with recipes.pinhold(lab, MAPPING.format(name.split("-")[0]) + text) as p:
            wait_last(p, "ok", lambda q: not q["owed"])
            lab.isp.remap(32999)
            wait_last(p, "ok", lambda q: q["last"]["event"] == "change" and not q["owed"])
            seen = p.command_line("status", "web").stdout + p.command_line("status", "--json").stdout
            assert p.stop() == 0
        assert not service.refused
        assert service.taken == expected
        assert SECRET not in seen + "\n".join(p.lines)
