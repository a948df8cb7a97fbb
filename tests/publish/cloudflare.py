# SPDX-License-Identifier: GPL-2.0-or-later
"""A strict stand-in for Cloudflare's API v4.

It knows what https://developers.cloudflare.com/api/ documents of GET /zones, GET, POST and PATCH
/zones/ID/dns_records and PUT /accounts/ID/storage/kv/namespaces/ID/values/KEY. Whatever else it is
asked (another method, path, parameter, header field, member of a body, a value out of range) is refused as
the real one would, and remembered in `violations`, which every test wants empty.
"""
import ipaddress
import json
import re
import secrets
import time
import urllib.parse

from receivers import WebServer

BASE = "/client/v4"
TOKEN = "cf-canary_Ab1-0123456789012345678901234567"
ACCOUNT = "0123456789abcdef0123456789abcdef"
NAMESPACE = "fedcba9876543210fedcba9876543210"
DATA = {"SRV": {"priority": int, "weight": int, "port": int, "target": str},
        "HTTPS": {"priority": int, "target": str, "value": str}}


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def envelope(result, **more):
    return {"success": True, "errors": [], "messages": [], "result": result} | more


class Cloudflare(WebServer):
    def __init__(self, **where):
        super().__init__(**where)
        self.zones, self.records, self.values = [], [], {}
        self.calls, self.violations = [], []
        self.script = []  # what the next requests get instead: (status, headers, body), or a function
        self.certbot = False  # whether that may come too, which does what the API takes and we do not
        self.page = None  # shorter pages than asked for, as the real one may choose
        self.answer = self._answer
        self.api = self.url + BASE

    # ---- what a test prepares and looks at ----

    def zone(self, name, status="active"):
        self.zones.append({"id": secrets.token_hex(16), "name": name, "status": status})
        return self.zones[-1]["id"]

    def record(self, kind, name, **more):
        [zone] = [z["id"] for z in self.zones if name == z["name"] or name.endswith("." + z["name"])][-1:]
        self.records.append({"id": secrets.token_hex(16), "zone": zone, "type": kind, "name": name, "ttl": 300,
                             "proxied": False, "comment": None} | more)
        return self.records[-1]

    def writes(self):
        return [c for c in self.calls if not c.startswith("GET ")]

    # ---- the API ----

    def _answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        self.calls.append(f"{request.method} {url.path.removeprefix(BASE)}")
        if self.script:
            step = self.script.pop(0)
            step = step(request) if callable(step) else step
            if step:
                return step
        try:
            result = self._dispatch(request, url)
        except Refused as e:
            body = {"success": False, "errors": [{"code": e.code, "message": e.message}], "messages": [],
                    "result": None}
            return e.status, {"Content-Type": "application/json"}, json.dumps(body)
        if isinstance(result, bytes):
            return 200, {"Content-Type": "application/octet-stream"}, result
        return 200, {"Content-Type": "application/json"}, json.dumps(result)

    def _violation(self, what):
        self.violations.append(what)
        raise Refused(400, 7003, what)

    def _need(self, condition, what):
        if not condition:
            self._violation(what)

    def _dispatch(self, request, url):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(403, 9109, "Invalid access token")
        agent = request.headers.get("User-Agent", "")
        ours = re.fullmatch(r"pinhold/[0-9.]+", agent)
        self._need(ours or self.certbot and agent.startswith("python-cloudflare/"), f"User-Agent {agent}")
        query = dict(urllib.parse.parse_qsl(url.query, strict_parsing=bool(url.query)))
        routes = [("GET", r"/zones", self._list_zones),
                  ("GET", r"/zones/([0-9a-f]{32})/dns_records", self._list_records),
                  ("POST", r"/zones/([0-9a-f]{32})/dns_records", self._create),
                  ("PATCH", r"/zones/([0-9a-f]{32})/dns_records/([0-9a-f]{32})", self._change),
                  ("PUT", r"/accounts/([^/]+)/storage/kv/namespaces/([^/]+)/values/([^/]+)", self._put_value)]
        for method, pattern, function in routes:
            match = re.fullmatch(BASE + pattern, url.path)
            if match and method == request.method:
                if not ours and method == "POST":
                    request.body = self._quoted(request.body)
                if method == "GET" and ours:
                    self._need(not request.body and "Content-Type" not in request.headers, "a body with GET")
                    self._need(int(query.get("per_page", 20)) >= 5, "per_page")
                return function(request, query, *match.groups())
        match = re.fullmatch(BASE + r"/zones/([0-9a-f]{32})/dns_records/([0-9a-f]{32})", url.path)
        if match and request.method == "DELETE" and not ours:
            return self._delete(*match.groups())
        return self._violation(f"{request.method} {url.path}")

    def _pages(self, found, query, allowed, most):
        self._need(set(query) <= set(allowed) | {"page", "per_page"}, f"parameters {query}")
        size, page = int(query.get("per_page", 20)), int(query.get("page", 1))
        self._need(1 <= size <= most and page >= 1, "page or per_page")
        size = self.page or size
        part = found[(page - 1) * size:page * size]
        return envelope(part, result_info={"page": page, "per_page": size, "count": len(part),
                                           "total_count": len(found), "total_pages": -(-len(found) // size)})

    def _list_zones(self, _, query):
        found = [z for z in self.zones if query.get("name") in (None, z["name"])]
        return self._pages(found, query, ("name", "status"), 50)

    def _list_records(self, _, query, zone):
        self._zone(zone)
        found = [{k: v for k, v in r.items() if k != "zone"} for r in self.records
                 if r["zone"] == zone and query.get("type") in (None, r["type"]) and
                 query.get("name", r["name"]).lower() == r["name"].lower() and
                 query.get("content") in (None, r.get("content"), r.get("content", "").strip('"'))]
        return self._pages(found, query, ("name", "type", "content"), 5000000)

    def _zone(self, zone):
        for z in self.zones:
            if z["id"] == zone:
                return z
        raise Refused(404, 7003, "Could not route to the zone")

    def _body(self, request):
        self._need(request.headers.get("Content-Type") == "application/json", "Content-Type")
        return json.loads(request.body)

    def _check_record(self, body, zone):
        self._need({"type", "name", "ttl"} <= set(body), f"type, name, ttl: {body}")
        kind = body["type"]
        self._need(kind in ("A", "AAAA", "SRV", "HTTPS", "TXT"), kind)
        value = "data" if kind in DATA else "content"
        self._need(set(body) <= {"type", "name", "ttl", "proxied", "comment", value}, f"members {set(body)}")
        self._need(body["ttl"] == 1 or 60 <= body["ttl"] <= 86400, "ttl")
        self._need(body["name"] == zone["name"] or body["name"].endswith("." + zone["name"]), "name")
        self._need(isinstance(body.get("proxied", False), bool), "proxied")
        self._need("proxied" not in body or kind in ("A", "AAAA"), "proxied")
        self._need(len(body.get("comment", "")) <= 100, "comment")
        if value not in body:
            return
        if kind == "A":
            ipaddress.IPv4Address(body["content"])
        elif kind == "AAAA":
            ipaddress.IPv6Address(body["content"])
        elif kind == "TXT":
            self._need(re.fullmatch(r'"([^"\\]|\\.){0,255}"( "([^"\\]|\\.){0,255}")*', body["content"]), "TXT")
        else:
            self._need({k: type(v) for k, v in body["data"].items()} == DATA[kind], f"data {body['data']}")

    def _create(self, request, query, zone):
        body = self._body(request)
        self._need(not query, "query")
        self._check_record(body, self._zone(zone))
        self._need("content" in body or "data" in body, "no value")
        for r in self.records:
            if (r["type"], r["name"], r.get("content"), r.get("data")) == (
                    body["type"], body["name"], body.get("content"), body.get("data")):
                raise Refused(400, 81058, "An identical record already exists.")
        self.records.append({"id": secrets.token_hex(16), "zone": zone, "proxied": False} | body)
        return envelope(self.records[-1])

    def _change(self, request, query, zone, record):
        body = self._body(request)
        self._need(not query, "query")
        self._check_record(body, self._zone(zone))
        for r in self.records:
            if r["id"] == record and r["zone"] == zone:
                self._need((r["type"], r["name"].lower()) == (body["type"], body["name"].lower()), "another record")
                r.update(body)
                return envelope(r)
        raise Refused(404, 81044, "Record does not exist.")

    @staticmethod
    def _quoted(body):
        """The API takes a text without quotation marks, too, and puts them around it."""
        record = json.loads(body)
        if record["type"] == "TXT" and not record["content"].startswith('"'):
            record["content"] = f'"{record["content"]}"'
        return json.dumps(record)

    def _delete(self, zone, record):
        for r in self.records:
            if r["id"] == record and r["zone"] == zone:
                self.records.remove(r)
                return envelope({"id": record})
        raise Refused(404, 81044, "Record does not exist.")

    def _entry(self, query, account, space, key):
        self._need(not query, "query")
        if account != ACCOUNT:
            raise Refused(403, 10000, "Authentication error")
        if space != NAMESPACE:
            raise Refused(404, 10013, "namespace not found")
        return urllib.parse.unquote(key)

    def _put_value(self, request, query, *path):
        key = self._entry(query, *path)
        self._need(request.headers.get("Content-Type") in ("application/octet-stream", "text/plain"),
                   "Content-Type")
        self.values[key] = request.body
        return envelope(None)


def slow(seconds):
    return lambda request: time.sleep(seconds)
