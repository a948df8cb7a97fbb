# SPDX-License-Identifier: GPL-2.0-or-later
"""The mapping beside: whatever happens to others, it must not notice."""
import calendar
import time

from . import scripted

PUBLIC = ("203.0.113.7", 32451)  # of the mapping `web` (conftest.py)
BIND, OFFSET = 9000, 20000


def reach(lab, endpoint, protocol="tcp"):
    """A client outside gets to the service in the LAN."""
    if protocol == "tcp":
        assert lab.client.get(endpoint).body == "nas"
    else:
        assert lab.client.udp(endpoint)[0] == "nas"


def seconds(instant):
    """An instant of status (RFC 3339, UTC, whole seconds) as a number."""
    return calendar.timegm(time.strptime(instant, "%Y-%m-%dT%H:%M:%SZ"))


def same_moment(a, b):
    """Two answers about one instant: each is told by the clock of its own time, hence a second's tolerance."""
    return abs(seconds(a) - seconds(b)) <= 1


class Witness:
    """A mapping with two keep-alive servers of its own (TCP), held beside the one that a test disturbs.

    It is a section of the file until pinhold runs with it; seen() notes what there is to lose: the holders'
    connections, the table's chain and rule, the counter, what status and the hook have said. unmoved() says
    that nothing of it has changed, and that it still works.
    """

    STATUS = ("state", "changes", "public", "private")

    def __init__(self, lab, interface="wan", isp=None, name="witness", bind=BIND, target=None):
        self._lab, self.name = lab, name
        self.isp = isp or lab.isp
        self.isp.full_cone(bind + OFFSET, bind)
        self.endpoint = (self.isp.public, bind + OFFSET)
        # A port of its own at the servers: several witnesses share the addresses.
        self._servers = [scripted.HttpServer(s, port=bind - 1000) for s in lab.internet.scripted[2:]]
        self.section = {"interface": interface, "bind": bind, "target": target or f"{lab.nas.address}:443",
                        "keepalive": [s.name for s in self._servers], "interval": "1s"}
        self._p = self._before = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self._servers:
            s.__exit__()

    def seen(self, p):
        self._p = p
        up = p.wait_hook(self.name)
        assert up.event == "up" and up.endpoint == self.endpoint
        for s in self._servers:
            s.wait_connection().wait_request(1)
        assert self._lab.client.get(self.endpoint).body == "nas"
        self._before = self._now()
        assert [len(c) for c in self._before["connections"]] == [1, 1], self._before

    def unmoved(self, body="nas", table=True):
        """body: what the page says now. table: its chain and rule are the very same, too."""
        self.in_use()
        now = self._now()
        for key in ("since", "endpoint_since"):
            assert same_moment(now.pop(key), self._before.pop(key)), key
        if not table:
            now["handles"] = self._before["handles"]
        assert now == self._before
        assert not self._p.hook(self.name).pending()
        assert not self._p.logged(rf"(holder lost|down|change|lost) mapping={self.name}\b")
        assert self._lab.client.get(self.endpoint).body == body
        self._before = self._now()

    def in_use(self):
        """The very same connections bring further requests: they are not merely there."""
        for connections in self._before["connections"]:
            for c in connections:
                c.wait_request(c.requests + 1)

    def _now(self):
        handles = self._lab.gw.handles()
        status = self._p.status(self.name)
        return {
            "connections": [list(s.connections) for s in self._servers],
            "ended": [c.ended for s in self._servers for c in s.connections],
            "counter": self._lab.gw.counter(self.name),
            "handles": {k: v for k, v in handles.items() if k.split()[0] == f"in-{self.name}"},
            "status": {k: status[k] for k in self.STATUS},
            "since": status["since"],
            "endpoint_since": status["endpoint_since"],
        }
