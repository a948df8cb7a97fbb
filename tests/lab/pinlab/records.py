# SPDX-License-Identifier: GPL-2.0-or-later
"""Cloudflare's API by its strict stand-in (tests/publish/cloudflare.py), and its zones in the lab's DNS."""
import contextlib
import os
import re
import socket
import struct
import sys

from .servers import DIRECTORY

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "..", "publish"))
from cloudflare import TOKEN, Cloudflare  # noqa: E402  pylint: disable=wrong-import-position

SERVER, NAME_SERVER = "192.0.2.10", "192.0.2.53"
A, NS, SOA, TXT, AAAA, SRV = 1, 2, 6, 16, 28, 33

__all__ = ["TOKEN", "cloudflare"]


def _name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def _data(record):
    kind, data = record["type"], record.get("data")
    if kind == "A":
        return A, socket.inet_aton(record["content"])
    if kind == "AAAA":
        return AAAA, socket.inet_pton(socket.AF_INET6, record["content"])
    if kind == "TXT":
        chunks = [re.sub(r"\\(.)", r"\1", c).encode() for c in re.findall(r'"((?:[^"\\]|\\.)*)"', record["content"])]
        return TXT, b"".join(bytes([len(c)]) + c for c in chunks)
    if kind == "SRV":
        return SRV, struct.pack("!HHH", data["priority"], data["weight"], data["port"]) + _name(data["target"])
    return None


def _published(stand_in):
    found = {"ns.example.com": [(A, socket.inet_aton(NAME_SERVER))]}
    for zone in stand_in.zones:
        soa = _name("ns.example.com") + _name(f"hostmaster.{zone['name']}") + struct.pack("!5I", 1, 60, 60, 60, 60)
        found[zone["name"]] = [(SOA, soa), (NS, _name("ns.example.com"))]
    for record in list(stand_in.records):
        data = _data(record)
        if data:
            found.setdefault(record["name"].lower(), []).append(data)
    return found


@contextlib.contextmanager
def cloudflare(lab):
    """api.cloudflare.com, where the zone example.com is, which the lab's DNS serves from its records."""
    with lab.ns["servers"].entered():
        stand_in = Cloudflare(certificate=(f"{DIRECTORY}/tls.pem", f"{DIRECTORY}/tls.key"), address=(SERVER, 443))
    stand_in.zone("example.com")
    lab.internet.dns.names["api.cloudflare.com"] = [SERVER]
    with stand_in:
        lab.internet.dns.published = lambda: _published(stand_in)
        yield stand_in
    assert not stand_in.violations, stand_in.violations
