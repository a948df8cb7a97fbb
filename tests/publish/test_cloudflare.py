# SPDX-License-Identifier: GPL-2.0-or-later
"""cloudflare-dns and cloudflare-kv before a strict stand-in of the API."""
import copy

import pytest

from cloudflare import ACCOUNT, NAMESPACE, TOKEN, Cloudflare, slow
from publisher import publish
from receivers import RawServer


@pytest.fixture
def api():
    with Cloudflare() as server:
        yield server
    assert server.violations == []


@pytest.fixture
def dns(api, secret):
    token = secret(TOKEN + "\n", name="token")

    def run(*records, settings=(), limits=None, **event):
        before = copy.deepcopy(api.records)
        r = publish("cloudflare-dns", [("token-file", token), ("api", api.api), *settings,
                                       *(("record", record) for record in records)], limits, **event)
        assert TOKEN not in r.text
        run.touched = [x for x in api.records if x not in before]
        return r

    return run


IPV6 = {"family": "ipv6", "public_address": "2001:db8::7", "public_endpoint": "[2001:db8::7]:32451", "ip4p": "",
        "previous_address": "2001:db8::6"}

# Setting, event, and what the record then says.
TYPES = [
    ("A h.example.com", {}, "A", "h.example.com", "203.0.113.7"),
    ("AAAA h.example.com", IPV6, "AAAA", "h.example.com", "2001:db8::7"),
    ("IP4P h.example.com", {}, "AAAA", "h.example.com", "2001::7ec3:cb00:7107"),
    ("SRV _minecraft._tcp.example.com mc.example.com", {}, "SRV", "_minecraft._tcp.example.com",
     {"priority": 0, "weight": 0, "port": 32451, "target": "mc.example.com"}),
    ("HTTPS example.com", {}, "HTTPS", "example.com", {"priority": 1, "target": ".", "value": 'port="32451"'}),
    ("TXT e.example.com", {}, "TXT", "e.example.com", '"203.0.113.7:32451"'),
    ("TXT e.example.com v=1 p=${public_port} \"${mapping}\"", {}, "TXT", "e.example.com",
     '"v=1 p=32451 \\"web\\""'),
    ("A *.example.com", {}, "A", "*.example.com", "203.0.113.7"),
]


@pytest.mark.parametrize("setting, event, kind, name, value", TYPES)
def test_created_and_then_left_alone(api, dns, setting, event, kind, name, value):
    api.zone("example.com")
    r = dns(setting, **event)
    assert r.result == "ok" and r.text == "records: 1 changed, 0 unchanged"
    [record] = api.records
    assert (record["type"], record["name"]) == (kind, name)
    assert record.get("content", record.get("data")) == value
    assert record["ttl"] == 1 and record["proxied"] is False and record["comment"] == "pinhold: web"
    writes = len(api.writes())
    r = dns(setting, **event)
    assert r.result == "unchanged" and r.text == "records: all 1 are right"
    assert len(api.writes()) == writes == 1


@pytest.mark.parametrize("setting, event, kind, name, value", TYPES)
def test_followed(api, dns, setting, event, kind, name, value):
    """The port, and with it the address, moves on twice."""
    api.zone("example.com")
    dns(setting, **event)
    [before] = copy.deepcopy(api.records)
    if event:
        new = {**event, "public_address": "2001:db8::8", "public_endpoint": "[2001:db8::8]:40000"}
    else:
        new = {"public_address": "203.0.113.8", "public_endpoint": "203.0.113.8:40000",
               "ip4p": "2001::9c40:cb00:7108"}
    r = dns(setting, public_port=40000, previous_port=32451, **new)
    assert r.result == "ok" and r.text == "records: 1 changed, 0 unchanged"
    [after] = api.records
    assert after["id"] == before["id"] and after["comment"] == before["comment"]
    assert after.get("content", after.get("data")) != value
    assert "40000" in str(after) or after["content"] in ("203.0.113.8", "2001:db8::8", "2001::9c40:cb00:7108")


def test_only_what_was_given(api, dns):
    """Others of the zone, of the name, of the type; and what a record has beside its value."""
    api.zone("example.com")
    mine = api.record("A", "h.example.com", content="198.51.100.1", proxied=True, ttl=1, comment="my server")
    api.record("A", "x.example.com", content="198.51.100.1")
    api.record("AAAA", "h.example.com", content="2001:db8::1")
    api.record("TXT", "h.example.com", content='"v=spf1 -all"')
    srv = api.record("SRV", "_m._tcp.example.com",
                     data={"priority": 5, "weight": 6, "port": 1, "target": "h.example.com"})
    api.record("SRV", "_m._tcp.example.com", data={"priority": 5, "weight": 6, "port": 1, "target": "x.example.com"})
    https = api.record("HTTPS", "h.example.com",
                       data={"priority": 1, "target": ".", "value": 'alpn="h3,h2" port="1" ipv4hint="192.0.2.1"'})
    r = dns("A h.example.com", "SRV _m._tcp.example.com h.example.com", "HTTPS h.example.com",
            "TXT h.example.com", "IP4P h.example.com")
    assert r.result == "ok" and r.text == "records: 5 changed, 0 unchanged"
    assert sorted(x["type"] for x in dns.touched) == ["A", "AAAA", "HTTPS", "SRV", "TXT"]
    assert len(api.records) == 9
    assert (mine["content"], mine["proxied"], mine["ttl"], mine["comment"]) == ("203.0.113.7", True, 1, "my server")
    assert srv["data"] == {"priority": 5, "weight": 6, "port": 32451, "target": "h.example.com"}
    assert https["data"]["value"] == 'alpn="h3,h2" port="32451" ipv4hint="192.0.2.1"'
    # Two were not there.
    assert sorted(c.split()[0] for c in api.writes()) == ["PATCH"] * 3 + ["POST"] * 2


def test_unclear_is_not_touched(api, dns):
    api.zone("example.com")
    api.record("A", "h.example.com", content="198.51.100.1")
    api.record("A", "h.example.com", content="198.51.100.2")
    r = dns("A h.example.com", previous_address="")
    assert r.status == 2 and "A h.example.com: there are several records" in r.text
    assert api.writes() == []
    r = dns("A h.example.com", previous_address="198.51.100.2")
    assert r.result == "ok"
    assert [x["content"] for x in api.records] == ["198.51.100.1", "203.0.113.7"]


def test_ttl(api, dns):
    api.zone("example.com")
    record = api.record("A", "h.example.com", content="203.0.113.7", ttl=300)
    assert dns("A h.example.com").result == "unchanged"
    assert dns("A h.example.com", settings=[("ttl", "2m")]).result == "ok"
    assert record["ttl"] == 120


def test_zone_is_found(api, dns):
    """The nearest that there is, an active one; each name is asked for once."""
    api.zone("example.com")
    api.zone("sub.example.com", "pending")
    sub = api.zone("sub.example.com")
    api.zone("sub.example.com", "moved")
    assert dns("A a.b.sub.example.com", "IP4P a.b.sub.example.com", "TXT b.sub.example.com").result == "ok"
    assert {r["zone"] for r in api.records} == {sub}
    assert api.calls.count("GET /zones") == 3
    r = dns("A h.elsewhere.org")
    assert r.status == 2 and r.text == "A h.elsewhere.org: the token sees no zone of h.elsewhere.org"


def test_zone_is_given(api, dns):
    zone = api.zone("example.com")
    api.zone("sub.example.com")
    assert dns("A h.sub.example.com", settings=[("zone", "example.com")]).result == "ok"
    assert api.records[0]["zone"] == zone
    r = dns("A h.example.com", settings=[("zone", "example.org")])
    assert r.status == 2 and "the token sees no zone example.org" in r.text


def test_pages(api, dns):
    api.zone("example.com")
    for i in range(7):
        api.record("TXT", "e.example.com", content=f'"other {i}"')
    last = api.record("TXT", "e.example.com", content='"203.0.113.7:30000"')
    api.page = 3
    assert dns("TXT e.example.com").result == "ok"
    assert last["content"] == '"203.0.113.7:32451"' and len(dns.touched) == 1


def test_families(api, dns):
    api.zone("example.com")
    assert dns("A h.example.com", "AAAA h.example.com").text == "records: 1 changed, 0 unchanged"
    r = dns("AAAA h.example.com")
    assert r.status == 2 and r.text == "no record is for an ipv4 mapping"


def test_down_leaves_them(api, dns):
    assert dns("A h.example.com", event="down").result == "unchanged"
    assert api.calls == []


def test_some_fail(api, dns):
    api.zone("example.com")
    r = dns("A h.example.org", "A h.example.com")
    assert r.status == 2
    assert r.text == ("A h.example.org: the token sees no zone of h.example.org "
                      "(1 failed, 1 changed, 0 unchanged)")


def test_words_of_the_api(api, dns, secret):
    secret("wrong-token", name="token")
    r = dns("A h.example.com")
    assert r.status == 2 and r.text.endswith(": status 403: 9109 Invalid access token")
    secret("no token", name="token")
    assert "this is no API token" in dns("A h.example.com").text


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("step, retry, after, words", [
    ((429, {"Retry-After": "21"}, '{"success":false,"errors":[{"code":10429,"message":"slow down"}]}'),
     True, 21, "too many requests (status 429): 10429 slow down"),
    ((500, {}, "oops"), True, None, "status 500"),
    ((503, {"Retry-After": "5"}, "<html>"), True, 5, "status 503"),
    ((200, {}, "<html>"), True, None, "not one of Cloudflare's API"),
    ((200, {}, "[1"), True, None, "not one of Cloudflare's API"),
    ((200, {}, '{"success":false,"errors":[{"code":1,"message":"a\\nb"}]}'), True, None, "no success: 1 a?b"),
    ((200, {}, '{"success":true,"result":{"id":1}}'), True, None, ""),
    ((302, {"Location": "https://login.test/?x"}, ""), False, None, "redirects (status 302) to https://login.test/"),
    ((400, {}, '{"errors":[{"code":9005,"message":"Content for A record is invalid"}]}'), False, None,
     "9005 Content for A record is invalid"),
])
def test_bad_answers(api, dns, at, step, retry, after, words):
    """To the question for the zone, for the records, and to the new record."""
    api.zone("example.com")
    api.script = [None] * at + [step]
    if at == 2 and words == "":
        return  # what the API says of the record that it has made is not looked at
    r = dns("A h.example.com", "TXT e.example.com")
    assert r.result == "failed" and (r.retry, r.retry_after) == (retry, after), r
    assert words in r.text
    # Who asks to wait is not asked on.
    if retry:
        assert len(api.calls) == at + 1
    api.script = []
    assert dns("A h.example.com", "TXT e.example.com").result == "ok"


def test_slow(api, dns):
    api.zone("example.com")
    api.script = [slow(0.3), slow(0.3)]
    assert dns("A h.example.com").result == "ok"
    # All calls together have one time limit.
    api.script = [slow(0.4)] * 10
    r = dns("A a.b.c.d.e.example.com", limits={"total_ms": 1000})
    assert r.result == "failed" and r.retry and "Timeout" in r.text


def test_cut_off(secret):
    token = secret(TOKEN)
    with RawServer(lambda c: c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"success":true,')) as server:
        r = publish("cloudflare-dns", [("token-file", token), ("api", server.url), ("record", "A h.example.com")])
        assert r.result == "failed" and r.retry


# ---- Workers KV ----

@pytest.fixture
def kv(api, secret):
    token = secret(TOKEN, name="token")

    def run(*settings, account=ACCOUNT, namespace=NAMESPACE, **event):
        return publish("cloudflare-kv", [("token-file", token), ("api", api.api + "/"), ("account", account),
                                         ("namespace", namespace), *settings], **event)

    return run


def test_value(api, kv):
    first = {"event": "up", "previous_port": 0, "previous_address": ""}
    r = kv(("key", "home"), **first)
    assert r.result == "ok" and api.values == {"home": "32451"}
    # A look-up could be answered from before the last change, which this one may undo: nobody looks.
    assert kv(("key", "home"), **first).result == "ok"
    assert kv(("key", "home"), public_port=40000, previous_port=40000).result == "ok"
    assert len(api.writes()) == len(api.calls) == 3
    assert api.values == {"home": "40000"}
    assert kv(("key", "home"), event="down").result == "unchanged"
    assert api.values == {"home": "40000"}


def test_odd_keys_and_values(api, kv):
    assert kv(("key", "a/b ?&#%:${mapping}\u00e4"), ("value", '{"e":"${public_endpoint}"}')).result == "ok"
    assert api.values == {"a/b ?&#%:web\u00e4": '{"e":"203.0.113.7:32451"}'}
    for key in (".", "..", "x" * 513):
        assert kv(("key", key)).status == 2
    assert len(api.values) == 1


def test_kv_errors(api, kv):
    r = kv(("key", "k"), namespace="0" * 32)
    assert r.status == 2 and r.text.endswith("status 404: 10013 namespace not found")
    r = kv(("key", "k"), account="0" * 32)
    assert r.status == 2 and r.text.endswith("status 403: 10000 Authentication error")
    api.script = [(429, {"Retry-After": "9"}, "")]
    r = kv(("key", "k"), previous_port=0)
    assert r.retry and r.retry_after == 9
    api.script = [(200, {}, "garbage")]
    assert kv(("key", "k")).retry
    assert api.values == {}
