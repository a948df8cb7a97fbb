# SPDX-License-Identifier: GPL-2.0-or-later
"""What is real out there: coturn for STUN, nginx for keep-alive and for the services, and a name server."""
import contextlib
import json
import os
import socket
import struct
import subprocess
import threading

from . import net

DIRECTORY = "/run/lab"


class AccessLog:
    """nginx's access log, sent as JSON to a unix socket, so that an entry can be awaited."""

    def __init__(self, name):
        self.path = f"{DIRECTORY}/{name}.log.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self._condition = threading.Condition()
        self.entries = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            line = self._socket.recv(65536).decode(errors="replace")
            with self._condition:
                self.entries.append(json.loads(line[line.index("{"):]))
                self._condition.notify_all()

    def wait(self, wanted, timeout=5):
        """The first entry, past or future, for which wanted(entry) holds."""
        def find():
            return next((e for e in self.entries if wanted(e)), None)

        with self._condition:
            assert self._condition.wait_for(find, timeout), f"no such request in {self.entries[-5:]}"
            return find()

    def clear(self):
        with self._condition:
            self.entries = []


class Nginx:
    """One nginx in a namespace. `servers` are server blocks; the log speaks as AccessLog reads it."""

    def __init__(self, ns, servers, name=None):
        name = name or ns.name
        self.log = AccessLog(name)
        self._ns = ns
        root = f"{DIRECTORY}/nginx-{name}"
        os.makedirs(root)
        self.config = f"{root}/nginx.conf"
        with open(self.config, "w", encoding="ascii") as f:
            f.write(f"""
                daemon on;
                user root;
                worker_processes 1;
                pid {root}/pid;
                error_log {root}/error.log;
                events {{ worker_connections 4096; }}
                http {{
                    log_format lab escape=json '{{"client":"$remote_addr","port":"$remote_port",'
                        '"server":"$server_addr","connection":$connection,"nth":$connection_requests,'
                        '"request":"$request","status":$status,"id":"$http_x_request_id"}}';
                    access_log syslog:server=unix:{self.log.path},nohostname lab;
                    default_type text/plain;
                    sendfile on;
                    client_body_temp_path {root}/body;
                    proxy_temp_path {root}/proxy;
                    fastcgi_temp_path {root}/fastcgi;
                    uwsgi_temp_path {root}/uwsgi;
                    scgi_temp_path {root}/scgi;
                    ssl_certificate {DIRECTORY}/tls.pem;
                    ssl_certificate_key {DIRECTORY}/tls.key;
                    {servers}
                }}
                """)
        # It returns when its sockets listen.
        ns.run(["nginx", "-q", "-c", self.config, "-e", f"{root}/error.log"])

    def reload(self):
        self._ns.run(["nginx", "-q", "-c", self.config, "-s", "reload"])


class Service:
    """A web server behind the mapping, over TLS; it serves its own name and a big file."""

    def __init__(self, ns, name, address, address6):
        self.ns, self.name, self.address, self.address6 = ns, name, address, address6
        root = f"{DIRECTORY}/www-{name}"
        os.makedirs(root)
        with open(f"{root}/big", "wb") as f:
            f.truncate(1 << 30)  # sparse: 1 GiB that takes no memory
        self._nginx = Nginx(ns, f"""
            server {{
                listen 443 ssl;
                listen [::]:443 ssl;
                root {root};
                location = / {{ return 200 "{name}"; }}
                location = /big {{ }}
            }}
            """)
        self.echo = EchoService(ns, name)

    def saw(self, page):
        """The client's address as the server logged it for this very request."""
        return self.logged(page.id)["client"]

    def logged(self, request_id):
        """The log's entry of the request that came with this X-Request-Id."""
        return self._nginx.log.wait(lambda e: e["id"] == request_id)

    def reset(self):
        self._nginx.log.clear()


class EchoService:
    """Answers each datagram with its name and the peer it sees: `nas 198.51.100.20 40123 PAYLOAD`."""

    port = 7777

    def __init__(self, ns, name):
        self._name = name
        # One socket for both families would answer IPv4 from the wildcard too, but with mapped addresses.
        for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            s = ns.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((any_address, self.port))
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        while True:
            data, peer = s.recvfrom(65536)
            with contextlib.suppress(OSError):
                s.sendto(f"{self._name} {peer[0]} {peer[1]} ".encode() + data, peer)


class Server:
    """One address of the Internet's servers: coturn on 3478, nginx on 80; `scripted` ones have neither."""

    def __init__(self, internet, number):
        self._internet = internet
        self.ns = internet.ns
        self.address = f"192.0.2.{number}"
        self.address6 = f"2001:db8:2::{number}"

    def __repr__(self):
        return self.address

    def down(self, what="all", how="rst"):
        """Takes stun (3478), http (80) or all of this address away: rst refuses, drop is silent."""
        self._internet.outages[self.address, what] = how
        self._internet.apply_outages()

    def up(self, what="all"):
        self._internet.outages.pop((self.address, what), None)
        self._internet.apply_outages()


class Internet:
    """The servers' namespace."""

    REAL = (11, 12, 13, 14)
    SCRIPTED = (15, 16, 17, 18)
    DNS = "192.0.2.53"

    def __init__(self, ns):
        self.ns = ns
        self.real = [Server(self, n) for n in self.REAL]
        self.scripted = [Server(self, n) for n in self.SCRIPTED]
        self.outages = {}
        self._coturn = self._start_coturn()
        listens = "".join(f"listen {s.address}:80; listen [{s.address6}]:80;\n" for s in self.real)
        # Limits of its own: a holder asks each half minute at most, tests ask far more often.
        self.nginx = Nginx(ns, f"""
            server {{
                {listens}
                keepalive_requests 100000;
                keepalive_timeout 300s;
                location / {{ return 200 "keep-alive"; }}
            }}
            """)
        self.http_log = self.nginx.log
        # Public STUN servers listen on many a port.
        ns.nft("""
            table inet ports {
                chain prerouting {
                    type nat hook prerouting priority dstnat;
                    meta l4proto { tcp, udp } th dport { 443, 3470-3477, 3479-3489, 19302-19309 } \
                        dnat to :3478
                }
            }
            """)
        self.dns = NameServer(ns, self.DNS)
        with open(f"{DIRECTORY}/resolv.conf", "w", encoding="ascii") as f:
            f.write(f"nameserver {self.DNS}\noptions timeout:1 attempts:1\n")

    def _start_coturn(self):
        listening = []
        for s in self.real:
            listening += ["-L", s.address, "-L", s.address6]
        # -v makes it say when it listens; one relay address with few ports, because it walks through all of
        # them at its start, though it will never relay here.
        process = self.ns.spawn(
            ["turnserver", "-n", "-v", "--stun-only", "--no-tls", "--no-dtls", "--no-cli", "--simple-log",
             "--log-file", "stdout", "--pidfile", f"{DIRECTORY}/coturn.pid", "-m", "1", "--realm", "lab",
             "--userdb", f"{DIRECTORY}/turndb", "-E", "192.0.2.10", "--min-port", "50000",
             "--max-port", "50009", *listening],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, opened = [], 0
        for line in process.stdout:
            said.append(line)
            opened += "listener opened on" in line and line.rstrip().endswith(":3478")
            if opened == 4 * len(self.real):  # TCP and UDP, IPv4 and IPv6
                break
        else:
            raise net.CommandFailed("coturn did not start:\n" + "".join(said))
        threading.Thread(target=lambda: [None for _ in process.stdout], daemon=True).start()
        return process

    def reset(self):
        self.outages = {}
        self.apply_outages()
        self.http_log.clear()
        self.dns.reset()
        hosts({})

    def apply_outages(self):
        rules = ""
        for (address, what), how in self.outages.items():
            ports = {"stun": "th dport 3478", "http": "th dport 80", "all": ""}[what]
            match = f"ip daddr {address} meta l4proto {{ tcp, udp }} {ports}"
            if how == "rst":
                rules += f"{match} meta l4proto tcp reject with tcp reset\n{match} reject\n"
            else:
                rules += f"{match} drop\n"
        self.ns.nft("table inet outages {}\ndelete table inet outages\n"
                    "table inet outages {\nchain input {\ntype filter hook input priority 0\n"
                    f"{rules}}}\n}}\n")

    def wait_holder_request(self, timeout=10):
        """A HEAD that nginx has logged: the entry says from where, by which connection, and how often."""
        return self.http_log.wait(lambda e: e["request"].startswith("HEAD"), timeout)


def hosts(names):
    """Fills the sandbox's /etc/hosts: {"stun.example.net": "192.0.2.11", ...}; lists are understood."""
    text = "127.0.0.1 localhost\n::1 localhost\n"
    for name, addresses in names.items():
        for address in [addresses] if isinstance(addresses, str) else addresses:
            text += f"{address} {name}\n"
    with open(f"{DIRECTORY}/hosts", "w", encoding="ascii") as f:
        f.write(text)


class NameServer:
    """DNS over UDP (RFC 1035): A and AAAA of the names it was given, NXDOMAIN for others, or silence."""

    def __init__(self, ns, address):
        self.reset()
        self._socket = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._condition = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self):
        self.names = {}
        self.everything = None  # what all other names resolve to, in turn
        self.silent = False
        self.asked = []

    def wait_asked(self, name, timeout=10):
        with self._condition:
            assert self._condition.wait_for(lambda: name in self.asked, timeout), self.asked

    def _serve(self):
        while True:
            query, peer = self._socket.recvfrom(4096)
            name, kind, end = self._question(query)
            with self._condition:
                self.asked.append(name)
                self._condition.notify_all()
            if not self.silent:
                self._socket.sendto(self._answer(query, name, kind, end), peer)

    @staticmethod
    def _question(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, = struct.unpack_from("!H", query, at + 1)
        return ".".join(labels).lower(), kind, at + 5

    def _answer(self, query, name, kind, end):
        if name not in self.names and self.everything:
            self.names[name] = [self.everything[len(self.names) % len(self.everything)]]
        addresses = self.names.get(name)
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        records = [a for a in addresses or [] if family == (socket.AF_INET6 if ":" in a else socket.AF_INET)]
        code = 0 if addresses is not None else 3
        text = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0) + query[12:end]
        for a in records:
            data = socket.inet_pton(family, a)
            text += struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data
        return text


def make_certificate():
    net.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=service.lab",
             "-addext", "subjectAltName=DNS:service.lab,IP:203.0.113.7,IP:203.0.113.9",
             "-keyout", f"{DIRECTORY}/tls.key", "-out", f"{DIRECTORY}/tls.pem"])
