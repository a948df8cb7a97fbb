# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages in LuCI, in Chromium, on a stand-in for LuCI's modules (tests/luci)."""
import http.server
import json
import os
import re
import subprocess
import threading
import time

import pytest

from pinlab.browser import Browser
from pinlab.router import TOP

APP = f"{TOP}/openwrt-package/luci-app-pinhold"
VIEWS = f"{APP}/htdocs/luci-static/resources/view/pinhold"
INSTALLED = os.path.join(APP, "root")
NAMES = ("overview", "settings")

HOLDERS = [{"server": "192.0.2.13:80", "state": "open", "since": None, "rtt_ms": 23},
           {"server": "192.0.2.14:80", "state": "connecting", "since": None, "rtt_ms": None}]
UP = {"name": "web", "protocol": "tcp", "family": "ipv4", "state": "up", "why": None,
      "public": {"address": "203.0.113.7", "port": 32451, "ip4p": "2001::7ec3:cb00:7107"}, "target": "192.168.10.50:443",
      "endpoint_since": "2026-11-21T08:00:10Z", "connections": 1873, "holders": HOLDERS,
      "hooks": [{"path": "/etc/pinhold/on-change", "running": False, "retry": None,
                 "last": {"event": "up", "result": "ok", "status": 0, "signal": None, "error": None}}],
      "publishers": [{"name": "dns", "type": "cloudflare-dns", "running": False, "retry": "2026-11-21T08:01:00Z",
                      "last": {"event": "up", "result": "failed", "text": "status 503 <img src=x onerror=alert(1)>"}}]}
DOWN = {**UP, "name": "spare", "state": "opening", "public": None, "why": "the interface is down", "endpoint_since": None,
        "connections": None, "holders": [], "hooks": [], "publishers": []}


def strings():
    """What the views have translated, in order."""
    found = []
    for name in NAMES:
        with open(f"{VIEWS}/{name}.js", encoding="utf-8") as f:
            found += [m.replace("\\'", "'") for m in re.findall(r"_\('((?:[^'\\]|\\.)*)'\)", f.read())]
    return list(dict.fromkeys(found))


def catalogue(path):
    """msgid -> msgstr."""
    with open(f"{APP}/po/{path}", encoding="utf-8") as f:
        pairs = re.findall(r'^msgid (".*")\nmsgstr (".*")$', f.read(), re.M)
    return {json.loads(a): json.loads(b) for a, b in pairs if a != '""'}


class Site:
    """Serves the stand-in, the views, and what they are to find."""

    def __init__(self):
        self.answers, self.configuration, self.words = "", [], {}
        self.readable = {"network": [{".type": "interface", ".name": name} for name in ("loopback", "lan", "wan")],
                         "firewall": [{".type": "zone", ".name": f"cfg{n}", "name": name}
                                      for n, name in enumerate(("lan", "wan"))]}
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.split("?")[0]
                if path == "/setup.js":
                    data = site.setup().encode()
                elif path.startswith("/view/pinhold/"):
                    data = read(f"{VIEWS}/{os.path.basename(path)}")
                else:
                    data = read(f"{TOP}/tests/luci/{os.path.basename(path) or 'index.html'}")
                kind = "text/javascript" if path.endswith(".js") else "text/html"
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def setup(self):
        with open(f"{INSTALLED}/usr/share/rpcd/acl.d/luci-app-pinhold.json", encoding="utf-8") as f:
            allowed = json.load(f)["luci-app-pinhold"]["read"]
        values = {"answers": self.answers, "configuration": self.configuration, "words": self.words, "readable": self.readable,
                  "cgi": allowed["cgi-io"], "allowed": [line for line, what in allowed["file"].items() if what == ["exec"]]}
        return "".join(f"window.{name} = {json.dumps(value)};\n" for name, value in values.items())

    def says(self, *mappings, error=None):
        self.answers = json.dumps({"daemon": {"version": "0.1.0", "table": {"error": error}}, "mappings": mappings})

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.close()


@pytest.fixture
def site():
    made = Site()
    yield made
    made.close()


def show(browser, site, name):
    browser.open("about:blank")
    browser.open(f"{site.url}/?{time.monotonic_ns()}#pinhold/{name}")
    done = browser.run("return new Promise((f) => { const look = () => document.body.dataset.done ? "
                       "f(document.body.dataset.done) : setTimeout(look, 5); look(); })")
    assert done == "yes", done


def text(browser, selector):
    return browser.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector)


# What is in the package.

@pytest.mark.parametrize("name", NAMES)
def test_syntax(name, tmp_path):
    """As LuCI takes it: the body of a function."""
    with open(f"{VIEWS}/{name}.js", encoding="utf-8") as f:
        source = f.read()
    (tmp_path / "view.js").write_text(f"(function() {{{source}\n}})", encoding="utf-8")
    subprocess.run(["node", "--check", str(tmp_path / "view.js")], check=True)
    assert "console.log" not in source and "innerHTML" not in source
    assert all(len(line.expandtabs(4)) <= 170 for line in source.splitlines())


def test_makefile():
    sdk = f"{TOP}/tests/openwrt/sdk"
    said = subprocess.run(["make", "-s", "-C", APP, f"TOPDIR={sdk}", "describe"], check=True, capture_output=True, text=True)
    with open(f"{TOP}/meson.build", encoding="utf-8") as f:
        version = re.search(r"version: '(.*)'", f.read())[1]
    assert said.stdout == f"LuCI pages for pinhold | +luci-base +pinhold | all | {version}\n"


def test_menu_and_access():
    with open(f"{INSTALLED}/usr/share/luci/menu.d/luci-app-pinhold.json", encoding="utf-8") as f:
        menu = json.load(f)
    shown = {m["action"]["path"] for m in menu.values() if m["action"]["type"] == "view"}
    assert shown == {f"pinhold/{name}" for name in NAMES}
    with open(f"{INSTALLED}/usr/share/rpcd/acl.d/luci-app-pinhold.json", encoding="utf-8") as f:
        acl = json.load(f)["luci-app-pinhold"]
    # Without the one for cgi-io the other is good for nothing.
    assert acl["read"] == {"cgi-io": ["exec"], "file": {"/usr/sbin/pinhold status --json": ["exec"]}, "uci": ["pinhold"]}
    assert acl["write"] == {"uci": ["pinhold"]}


def test_translations():
    assert list(catalogue("templates/pinhold.pot")) == strings()
    chinese = catalogue("zh_Hans/pinhold.po")
    assert list(chinese) == strings()
    for english, translated in chinese.items():
        assert translated and translated.count("%s") == english.count("%s"), english


# The overview.

def test_overview(chromium, site):
    site.says(UP, DOWN)
    show(chromium, site, "overview")
    web, spare = text(chromium, "#pinhold tr:not(.table-titles)")
    for said in ("web", "tcp, ipv4", "up", "203.0.113.7:32451", "1873", "192.168.10.50:443", "on-change: ok", "dns: failed",
                 "tried again soon", "192.0.2.13:80, 23 ms", "192.0.2.14:80, connecting"):
        assert said in web, (said, web)
    assert "spare" in spare and "opening" in spare and "the interface is down" in spare
    # What others say is text, and nothing else.
    assert "<img src=x" in web and chromium.run("return document.images.length") == 0
    results = os.environ.get("BROWSER_PICTURES")
    if results:
        chromium.picture(f"{results}/overview.png")


def test_overview_follows(chromium, site):
    site.says(DOWN)
    show(chromium, site, "overview")
    assert "203.0.113.7" not in text(chromium, "#pinhold")[0]
    site.says(UP)
    chromium.run("window.answers = arguments[0]; return Promise.all(window.polls.map(([ f ]) => f()))", site.answers)
    assert "203.0.113.7:32451" in text(chromium, "#pinhold")[0]
    assert chromium.run("return window.polls.map(([ , seconds ]) => seconds)") == [5]


def test_copy(chromium, site):
    site.says(UP)
    chromium.allow_clipboard()
    show(chromium, site, "overview")
    chromium.run("document.querySelector('#pinhold button').click();"
                 "return new Promise((f) => { const look = () => document.querySelector('#notes p') ? f() : "
                 "setTimeout(look, 5); look(); })")
    assert text(chromium, "#notes p") == ["Copied: 203.0.113.7:32451"]
    assert chromium.run("return navigator.clipboard.readText()") == "203.0.113.7:32451"


@pytest.mark.parametrize("answers, said", [("", "pinhold is not running"), ("{", "JSON")])
def test_overview_without_a_daemon(chromium, site, answers, said):
    site.answers = answers
    show(chromium, site, "overview")
    assert said in text(chromium, ".alert-message")[0]


def test_overview_of_nothing(chromium, site):
    site.says(error="Operation not permitted")
    show(chromium, site, "overview")
    assert "There is no mapping yet." in text(chromium, "#pinhold")[0]
    assert "The nftables table is not installed: Operation not permitted" in text(chromium, ".alert-message")[0]


def test_overview_in_chinese(chromium, site):
    site.says(UP)
    site.words = catalogue("zh_Hans/pinhold.po")
    show(chromium, site, "overview")
    assert "公网地址和端口" in text(chromium, "#pinhold")[0] and "已就绪" in text(chromium, "#pinhold")[0]


# The settings.

def fields(browser):
    return browser.run("return [...document.querySelectorAll('fieldset')].flatMap((s) => [...s.querySelectorAll("
                       "'[data-option]')].map((o) => [s.dataset.section, o.dataset.option, o.dataset.widget]))")


def type_in(browser, section, option, value):
    """What the page says of it."""
    return browser.run("""
        const node = document.querySelector(`[data-section=${arguments[0]}] [data-option=${arguments[1]}]`);
        const input = node.querySelector('input, select');
        input.value = arguments[2];
        input.dispatchEvent(new Event('input', { bubbles: true }));
        return node.querySelector('.error').textContent;""", section, option, value)


def test_every_field_is_an_option_of_the_package(chromium, site):
    """What the form writes, the init script takes; lists are lists in both."""
    show(chromium, site, "settings")
    with open(f"{TOP}/openwrt-package/pinhold/files/config.sh", encoding="utf-8") as f:
        source = f.read()
    rules = {}
    for section, variable in (("pinhold", "GLOBAL"), ("mapping", "MAPPING"), ("publish", "PUBLISH")):
        for name in ("BOTH", variable) if section != "publish" else (variable,):
            words = re.search(rf"^{name}=(.*?)'?\n(?=[A-Z\n])", source, re.M | re.S)[1]
            rules[section] = rules.get(section, "") + words
    for section, option, kind in fields(chromium):
        rule = re.search(rf"[\s'\"]{option}:(\S+)", rules[section])
        assert rule, (section, option)
        several = kind in ("DynamicList", "MultiValue")
        assert rule[1].startswith("list(") == several, (section, option, kind)
    results = os.environ.get("BROWSER_PICTURES")
    if results:
        chromium.picture(f"{results}/settings.png")


@pytest.mark.parametrize("section, option, good, bad", [
    ("mapping", "bind", ["8443", "0", "27015-27030", "27015~27030", "65535"], ["", "65536", "8-7", "http", "1-70000", "-1"]),
    ("mapping", "target", ["192.168.1.50:443", ":443", ":public", "192.168.1.50:public", "[2001:db8::1]:443", "none"],
     ["", "nas:443", "192.168.1.50", "192.168.1.50:99999", "2001:db8::1:443", "443"]),
    ("mapping", "limit", ["50/second", "50/second burst 100"], ["fast", "50/fortnight", "50"]),
    ("mapping", "allow", ["198.51.100.0/24", "2001:db8::/32", "203.0.113.9", "@/etc/pinhold/cn.txt"], ["all", "@cn.txt"]),
    ("mapping", "hook", ["/etc/pinhold/hook"], ["hook"]),
    ("mapping", "rotate", ["6h", ""], ["often"]),
    ("pinhold", "stun", ["turn.cloudflare.com", "stun.nextcloud.com:443", "[2001:db8::1]:3478"], ["a b", "host:port"]),
    ("pinhold", "interval", ["30s", "30"], ["30 s", "half a minute"]),
    ("publish", "url", ["https://go.example.com/x?y=${public_port}"], ["", "go.example.com"]),
    ("publish", "token_file", ["/etc/pinhold/t"], ["", "t"]),
    ("publish", "record", ["A home.example.com", "SRV _m._tcp.example.com home.example.com"], ["MX example.com", "SRV one"])])
def test_validation(chromium, site, section, option, good, bad):
    show(chromium, site, "settings")
    assert {value: type_in(chromium, section, option, value) for value in good} == dict.fromkeys(good, "")
    refused = {value: type_in(chromium, section, option, value) for value in bad}
    assert all(refused.values()), refused


def visible(browser, section):
    return {option for option in browser.run(
        "return [...document.querySelectorAll(`[data-section=${arguments[0]}] [data-option]`)]"
        ".filter((n) => n.style.display !== 'none').map((n) => n.dataset.option)", section)}


@pytest.mark.parametrize("kind, shown", [
    ("webhook", {"url", "method", "header", "body"}), ("cloudflare-dns", {"token_file", "record"}),
    ("cloudflare-kv", {"token_file", "account", "namespace", "key"}),
    ("qbittorrent", {"url", "username", "password_file"}), ("transmission", {"url", "username", "password_file"})])
def test_each_type_has_its_fields(chromium, site, kind, shown):
    show(chromium, site, "settings")
    type_in(chromium, "publish", "type", kind)
    assert visible(chromium, "publish") == shown | {"type"}


def chosen(browser, option):
    """What can be chosen there in the first mapping."""
    return browser.run("return [...document.querySelector('[data-section=mapping]').querySelectorAll("
                       "`[data-option=${arguments[0]}] option`)].map((o) => o.value)", option)


def add(browser, kind, name):
    """The button `Add`; what UCI has then."""
    return browser.run("return window.page.children.find((s) => s.type === arguments[0]).handleAdd(null, arguments[1])"
                       ".then(() => window.configuration)", kind, name)


def saved(browser):
    return browser.run("return window.page.save().then(() => window.configuration)")


PUBLISHER = {".type": "publish", ".name": "worker", "type": "cloudflare-kv", "token_file": "/etc/pinhold/t", "account": "a",
             "namespace": "n", "key": "home"}
MAPPING = {".type": "mapping", ".name": "web", "enabled": "1", "protocol": "tcp", "family": "ipv4", "bind": "8443",
           "target": "192.168.1.50:443", "loopback": "1"}


def test_publishers_can_be_chosen(chromium, site):
    site.configuration = [PUBLISHER, MAPPING]
    show(chromium, site, "settings")
    assert chosen(chromium, "publish") == ["worker"]
    # One that has just been made, too.
    add(chromium, "publish", "messages")
    assert chosen(chromium, "publish") == ["worker", "messages"]


GLOBAL = {".type": "pinhold", ".name": "global", "jail": "1"}


@pytest.mark.parametrize("interface", ["wan", "eth1", "pppoe-wan", "auto", "100.64.0.2", "2001:db8::2", None])
@pytest.mark.parametrize("zones", [["wan"], ["lan", "guest"], None])
def test_saved_as_it_was(chromium, site, interface, zones):
    """A page that nobody has touched takes nothing away, whatever the router has of it at that moment."""
    given = {"interface": interface, "zone": zones, "stun": ["turn.cloudflare.com"]}
    one = {**MAPPING, "interface": interface, "protocol": "udp", "publish": ["worker"], "hook": ["/etc/pinhold/a", "/b"],
           "allow": ["@/etc/pinhold/cn.txt"], "snat": "1", "rotate": "6h", "limit": "5/second"}
    before = [{name: value for name, value in s.items() if value} for s in ({**GLOBAL, **given}, PUBLISHER, one)]
    site.configuration = before
    show(chromium, site, "settings")
    assert saved(chromium) == before
    site.readable = {}
    show(chromium, site, "settings")
    assert saved(chromium) == before, "whoever may not read what networks there are"


@pytest.mark.parametrize("yes, no", [("1", "0"), ("yes", "no"), ("on", "off"), ("true", "false"), ("enabled", "disabled")])
def test_words_for_yes_and_no(chromium, site, yes, no):
    """The init script takes them all; the page must not make a no of a yes."""
    flags = ("enabled", "loopback", "snat")
    site.configuration = [{**GLOBAL, "jail": yes}, {**MAPPING, **dict.fromkeys(flags, yes)},
                          {**MAPPING, ".name": "dns", **dict.fromkeys(flags, no)}]
    show(chromium, site, "settings")
    common, web, dns = saved(chromium)
    assert common["jail"] == "1"
    assert [web.get(flag) for flag in flags] == ["1", "1", "1"]
    assert [dns.get(flag, "0") for flag in flags] == ["0", "0", "0"]


@pytest.mark.parametrize("kind", ["mapping", "publish"])
@pytest.mark.parametrize("name, refused", [("nas", False), ("global", True), ("web", True), ("worker", True), ("2nd", True),
                                           ("_a", True), ("a" * 32, False), ("a" * 33, True)])
def test_names(chromium, site, kind, name, refused):
    """What UCI takes for a name and pinhold does not, or what another section has."""
    site.configuration = [GLOBAL, PUBLISHER, MAPPING]
    show(chromium, site, "settings")
    after = add(chromium, kind, name)
    assert after == [GLOBAL, PUBLISHER, MAPPING] + ([] if refused else [{".type": kind, ".name": name}])
    assert len(text(chromium, "#notes p")) == refused
