# SPDX-License-Identifier: GPL-2.0-or-later
"""What is real out there: coturn for STUN, nginx for keep-alive and for the services, and a name server."""
import contextlib
import json
import os
import signal
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

    def wait_connections(self, count, timeout=5):
        """Until so many different connections have brought a request."""
        def connections():
            return {(e["server"], e["connection"]) for e in self.entries}

        with self._condition:
            assert self._condition.wait_for(lambda: len(connections()) >= count, timeout), \
                f"{len(connections())} connections, not {count}"

    def clear(self):
        with self._condition:
            self.entries = []


class Process:
    """A server's process, which can be killed for real and started again; `group` is its process group."""

    group = None

    def start(self):
        """Returns when it listens."""
        raise NotImplementedError

    def kill(self):
        """Its kernel answers RST and port unreachable from now on."""
        if self.group:
            # nginx's workers have its sockets, too, and may outlive it by a moment.
            members = net.group(self.group)
            os.killpg(self.group, signal.SIGKILL)
            for pid in members:
                assert net.wait_exit(pid, 5)
            self.group = None


class Nginx(Process):
    """One nginx in a namespace. `servers` are server blocks; the log speaks as AccessLog reads it."""

    def __init__(self, ns, servers, name=None, log=None):
        name = name or ns.name
        self.log = log or AccessLog(name)
        self._ns = ns
        self._root = root = f"{DIRECTORY}/nginx-{name}"
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
        self.start()

    def start(self):
        # It returns when its sockets listen; the daemon has a session, and so a group, of its own.
        self._ns.run(["nginx", "-q", "-c", self.config, "-e", f"{self._root}/error.log"])
        with open(f"{self._root}/pid", encoding="ascii") as f:
            self.group = int(f.read())

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

    def groups(self):
        """The process groups of what runs for it."""
        return {self._nginx.group}

    def reset(self):
        self._nginx.log.clear()


class EchoService:
    """Answers each datagram with its name and the peer it sees: `nas 198.51.100.20 40123 PAYLOAD`.

    From the address to which it was sent, as a server with several of them has to.
    """

    port = 7777

    def __init__(self, ns, name):
        self._name = name
        # One socket for both families would answer IPv4 from the wildcard too, but with mapped addresses.
        for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            s = ns.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                s.setsockopt(socket.IPPROTO_IP, self.IP_PKTINFO, 1)
            s.bind((any_address, self.port))
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    IP_PKTINFO = 8  # linux/in.h

    @staticmethod
    def _from(ancillary):
        """Ancillary data: a reply leaves from where the datagram came to, by whatever interface."""
        (level, kind, data), = ancillary
        if level == socket.IPPROTO_IP:
            return level, kind, struct.pack("=i4s4s", 0, data[8:12], bytes(4))
        return level, kind, data[:16] + bytes(4)

    def _serve(self, s):
        while True:
            data, ancillary, _, peer = s.recvmsg(65536, 64)
            with contextlib.suppress(OSError):
                s.sendmsg([f"{self._name} {peer[0]} {peer[1]} ".encode(), data],
                          [self._from(ancillary)], 0, peer)


class Coturn(Process):
    """STUN over TCP and UDP at the addresses of some servers."""

    def __init__(self, ns, name, servers):
        self._ns, self._name = ns, name
        self._addresses = [a for s in servers for a in (s.address, s.address6)]
        self._process = None
        self.start()

    def start(self):
        # -v makes it say when it listens; one relay address with few ports, because it walks through all of
        # them at its start, though it will never relay here.
        listening = [word for a in self._addresses for word in ("-L", a)]
        process = self._ns.spawn(
            ["turnserver", "-n", "-v", "--stun-only", "--no-tls", "--no-dtls", "--no-cli", "--simple-log",
             "--log-file", "stdout", "--pidfile", f"{DIRECTORY}/coturn-{self._name}.pid", "-m", "1",
             "--realm", "lab", "--userdb", f"{DIRECTORY}/turndb-{self._name}", "-E", "192.0.2.10",
             "--min-port", "50000", "--max-port", "50009", *listening],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True)
        said, opened = [], 0
        for line in process.stdout:
            said.append(line)
            opened += "listener opened on" in line and line.rstrip().endswith((":3478", ":3479"))
            if opened == 4 * len(self._addresses):  # TCP and UDP, at both ports
                break
        else:
            raise net.CommandFailed("coturn did not start:\n" + "".join(said))
        threading.Thread(target=self._drain, args=(process,), daemon=True).start()
        self._process, self.group = process, process.pid

    @staticmethod
    def _drain(process):
        for _ in process.stdout:
            pass
        process.stdout.close()

    def kill(self):
        super().kill()
        self._process.wait()


class Server:
    """One address of the Internet's servers: coturn on 3478, nginx on 80; `scripted` ones have neither.

    nginx listens on more ports, with other habits: see Internet.HTTP_HABITS.
    """

    stun = http = None  # its processes

    def __init__(self, internet, number):
        self._internet = internet
        self.ns = internet.ns
        self.number = number
        self.name = f"s{number}.lab"
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

    def kill(self, what="all"):
        """Kills the processes (stun, http or all) that serve this address."""
        for process in self._processes(what):
            process.kill()

    def restart(self, what="all"):
        for process in self._processes(what):
            if not process.group:
                process.start()

    def _processes(self, what):
        return {"stun": [self.stun], "http": [self.http], "all": [self.stun, self.http]}[what]


class Internet:
    """The servers' namespace.

    The `real` ones have processes of their own, so that each can be killed; those in `more` share one coturn
    and one nginx. `all` are the two together: enough for a fresh STUN server every few seconds.
    """

    REAL = (11, 12, 13, 14)
    SCRIPTED = (15, 16, 17, 18)
    MORE = (19, 20, 21, 22)
    DNS = "192.0.2.53"

    # port: how nginx treats a connection there. By default as if nothing were ever enough: a holder asks
    # each half minute at most, tests ask far more often.
    HTTP_HABITS = {
        80: "keepalive_requests 100000; keepalive_timeout 300s;",
        8002: "keepalive_requests 2; keepalive_timeout 300s;",     # closes after each second request
        8003: "keepalive_requests 100000; keepalive_timeout 2s;",  # closes what has been idle for 2 s
    }

    def __init__(self, ns):
        self.ns = ns
        self.real, self.scripted, self.more = (
            [Server(self, n) for n in numbers] for numbers in (self.REAL, self.SCRIPTED, self.MORE))
        self.all = self.real + self.more
        self.outages = {}
        self.http_log = AccessLog("servers")
        self._processes = []
        for servers in (*([s] for s in self.real), self.more):
            self._start(servers)
        # Public STUN servers listen on many a port. Several of them at one address lead to the same socket of
        # coturn, and whoever asks two of these from one port within conntrack's memory is given another port
        # by this very translation: 3478 and 3479 are coturn's own. 192.0.2.10 and the name
        # server's address are for web servers.
        ns.nft("""
            table inet ports {
                chain prerouting {
                    type nat hook prerouting priority dstnat;
                    ip daddr { 192.0.2.10, 192.0.2.53 } accept
                    meta l4proto { tcp, udp } th dport { 443, 3470-3477, 3480-3489, 19302-19309 } \
                        dnat to :3478
                }
            }
            """)
        self.dns = NameServer(ns, self.DNS, {s.name: [s.address, s.address6]
                                             for s in self.all + self.scripted})
        with open(f"{DIRECTORY}/resolv.conf", "w", encoding="ascii") as f:
            f.write(f"nameserver {self.DNS}\noptions timeout:1 attempts:1\n")

    def _start(self, servers):
        name = f"servers-{servers[0].number}"
        blocks = ""
        for port, habits in self.HTTP_HABITS.items():
            listens = "".join(f"listen {s.address}:{port}; listen [{s.address6}]:{port};\n" for s in servers)
            blocks += f'server {{\n{listens}{habits}\nlocation / {{ return 200 "keep-alive"; }}\n}}\n'
        stun, http = Coturn(self.ns, name, servers), Nginx(self.ns, blocks, name, self.http_log)
        self._processes += [stun, http]
        for s in servers:
            s.stun, s.http = stun, http

    def groups(self):
        """The process groups of all servers that run."""
        return {p.group for p in self._processes if p.group}

    def reset(self):
        for process in self._processes:
            if not process.group:
                process.start()
        self.outages = {}
        self.apply_outages()
        self.http_log.clear()
        self.dns.reset()
        hosts({})

    def apply_outages(self):
        rules = ""
        for (address, what), how in self.outages.items():
            ports = {"stun": "th dport { 3478, 3479 }", "http": "th dport 80", "all": ""}[what]
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
    """DNS over UDP (RFC 1035): A and AAAA of the names it was given, NXDOMAIN for others, or silence.

    And the zones of `published`: a function that gives {name: [(type, data on the wire)]}; see pinlab/records.py.
    """

    def __init__(self, ns, address, zone):
        """zone: what it always knows; `names` come and go with a test."""
        self._zone = zone
        self.reset()
        self._socket = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._condition = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self):
        self.names = {}
        self.published = dict
        self.everything = None  # what all other names resolve to, in turn
        self.silent = False
        self.asked = []
        self._unanswered = []

    def wait_asked(self, name, timeout=10):
        with self._condition:
            assert self._condition.wait_for(lambda: name in self.asked, timeout), self.asked

    def speak(self):
        """Ends the silence, and answers what was asked in it: late, but not never."""
        with self._condition:
            self.silent = False
            for query, peer in self._unanswered:
                self._send(query, peer)
            self._unanswered = []

    def _send(self, query, peer):
        self._socket.sendto(self._answer(query, *self._question(query)), peer)

    def _serve(self):
        while True:
            query, peer = self._socket.recvfrom(4096)
            with self._condition:
                self.asked.append(self._question(query)[0])
                self._condition.notify_all()
                if self.silent:
                    self._unanswered.append((query, peer))
                else:
                    self._send(query, peer)

    @staticmethod
    def _question(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, = struct.unpack_from("!H", query, at + 1)
        return ".".join(labels).lower(), kind, at + 5

    def _answer(self, query, name, kind, end):
        known = self._zone | self.names
        if name not in known and self.everything:
            self.names[name] = [self.everything[len(self.names) % len(self.everything)]]
            known = self.names
        published = self.published()
        # As RFC 4592 has it, but for names below the one that takes the asterisk's place.
        here = published.get(name, published.get("*." + name.partition(".")[2]))
        if here is not None:
            records = [data for its, data in here if its == kind]
        else:
            family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
            records = [socket.inet_pton(family, a) for a in known.get(name, [])
                       if family == (socket.AF_INET6 if ":" in a else socket.AF_INET)]
        code = 0 if here is not None or name in known else 3
        text = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0) + query[12:end]
        for data in records:
            text += struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data
        return text


# The services that pinhold-recipes(7) names, and the reader's own.
CERTIFIED = ("service.lab", "example.com", "*.example.com", "pinhold.account.workers.dev", "api.cloudflare.com", "ntfy.sh",
             "api.telegram.org", "api.day.app")


def make_certificate():
    net.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=service.lab",
             "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in CERTIFIED) +
             ",IP:203.0.113.7,IP:203.0.113.9",
             "-keyout", f"{DIRECTORY}/tls.key", "-out", f"{DIRECTORY}/tls.pem"])
