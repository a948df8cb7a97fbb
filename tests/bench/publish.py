# SPDX-License-Identifier: GPL-2.0-or-later
"""From a remap to the Worker's KV, in workerd with a KV of its own; and what publishers cost the daemon's memory."""
import http.client
import os
import random
import ssl
import statistics
import tempfile
import time

from common import Mapping, daemon, memory, servers_text, table
from observe import Resets
from pinlab.receivers import SERVER, worker
from pinlab.servers import DIRECTORY

MS = 1e6
COUNT = 5  # of mappings: what befalls one of them again and again is looked into less and less often


def publisher(token):
    return "\n".join(["[publish worker]", "type = webhook", "url = https://service.lab:8788/update-port",
                      f"header = Authorization: Bearer ${{file:{token}}}", f"ca-file = {DIRECTORY}/tls.pem",
                      'body = {"port":"${public_port}","address":"${public_address}","key":"${mapping}"}', "", ""])


class Visitor:
    """Somebody outside with a connection to the Worker, who asks where the service is."""

    def __init__(self, lab):
        context = ssl.create_default_context(cafile=f"{DIRECTORY}/tls.pem")
        with lab.ns["client"].entered():
            self._connection = http.client.HTTPSConnection("service.lab", 8788, timeout=10, context=context)
            self._connection.connect()

    def wait(self, name, port, timeout=20):
        """When the Worker leads to the mapping's port, ns, or None."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self._connection.request("GET", f"/nas/?key={name}")
            answer = self._connection.getresponse()
            answer.read()
            if f":{port}/" in (answer.headers.get("Location") or ""):
                return time.monotonic_ns()
            time.sleep(0.005)  # the measurement's resolution
        return None


def public(m, n):
    """A mapping's n-th public port."""
    return m.bind + 30000 + 100 * n


def remaps(lab, mappings, runs):
    """Milliseconds from each remap, and from its RST on the wire, to the Worker's answer."""
    visitor = Visitor(lab)
    for m in mappings:
        if not visitor.wait(m.name, public(m, 0)):
            raise RuntimeError(f"the Worker has not been told of {m.name} within 20 s")
    of_remap, of_reset = [], []
    with Resets(lab.gw.ns, "wan") as resets:
        for n, m in ((n, m) for n in range(1, runs + 1) for m in mappings):
            time.sleep(random.uniform(0, 1))  # any moment between two requests of the holders
            begin = time.monotonic_ns()
            lab.isp.remap(public(m, n), m.bind)
            end = visitor.wait(m.name, public(m, n))
            reset = resets.first(lambda r, m=m, begin=begin: r[0] > begin and r[1] == m.bind)
            of_remap.append((end - begin) / MS if end else float("inf"))
            of_reset.append((end - reset[0]) / MS if end and reset else float("inf"))
    return of_remap, of_reset


def unheard(lab, p, mappings, runs):
    """The same remaps, of which nobody is told."""
    for m in mappings:
        p.wait_log(f"up mapping={m.name} ")
    for n, m in ((n, m) for n in range(1, runs + 1) for m in mappings):
        start = p.count()
        lab.isp.remap(public(m, n), m.bind)
        p.wait_log(f"change mapping={m.name} ", start=start)


def row(what, found, asked=""):
    cells = [statistics.median(found), min(found), max(found)]
    return [what, *(f"{x:.0f}" for x in cells), str(len(found)), asked]


def main(lab, quick):
    runs = 1 if quick else 3
    lab.hosts({"service.lab": SERVER, **{s.name: s.address for s in lab.internet.all}})
    mappings = [Mapping(f"t{i}", "tcp", 8441 + i, f"{lab.nas.address}:443") for i in range(COUNT)]
    text = "[global]\ninterface = wan\ndetect = 1s\n" + servers_text(lab) + "\n"
    token = f"{DIRECTORY}/worker-token"
    with open(token, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write("0123456789abcdef" * 2)
    hook = f"{DIRECTORY}/bench-hook"
    with open(hook, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o755)) as f:
        f.write("#!/bin/sh\nexit 0\n")
    used = []
    for more in (["publish = worker"], [f"hook = {hook}"], []):
        told = more and more[0].startswith("publish")
        for m in mappings:
            lab.isp.full_cone(public(m, 0), m.bind)
        with worker(lab, token), tempfile.TemporaryDirectory() as directory, \
                daemon(lab, directory, text + (publisher(token) if told else "") +
                       "".join(m.section(*more) for m in mappings)) as p:
            if told:
                of_remap, of_reset = remaps(lab, mappings, runs)
            else:
                unheard(lab, p, mappings, runs)
            used.append(memory(p.pid))
    print("publish: milliseconds until the Worker's KV has the new port; detect 1 s")
    table([row("from the remap, old flows answered with RST", of_remap),
           row("from the RST on the wire", of_reset, "<= 500")],
          ["", "median", "least", "most", "runs", "asked"])
    print("\npublish: the daemon's memory after these changes, kB")
    table([[key, *(str(u[name]) for u in used)]
           for key, name in (("resident set size", "Rss"), ("private dirty", "Private_Dirty"))],
          ["", "with a publisher", "with a hook", "with neither"])
