# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that do what a test tells them: STUN and HTTP, in every wrong way.

A behaviour is a function. A STUN server calls it with each request (an Ask), an HTTP server with each
connection; both count, and let the test wait.
"""
import binascii
import socket
import struct
import threading

COOKIE = 0x2112A442
SUCCESS, ERROR = 0x0101, 0x0111
MAPPED, ERROR_CODE, XOR_MAPPED, ALTERNATE, FINGERPRINT = 0x0001, 0x0009, 0x0020, 0x8023, 0x8028

LIE = ("198.18.0.1", 666)  # what malformed answers claim; nobody may ever hear of it


# STUN messages (RFC 8489).

def attribute(kind, value, length=None):
    """length: what the attribute claims, if not the truth."""
    padding = b"\0" * (-len(value) % 4)
    return struct.pack("!HH", kind, len(value) if length is None else length) + value + padding


def address_value(endpoint, transaction=None, family=None):
    """An address attribute's value; with a transaction it is XORed (RFC 8489 section 14.2)."""
    v6 = ":" in endpoint[0]
    octets = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, endpoint[0])
    port = endpoint[1]
    if transaction is not None:
        key = struct.pack("!I", COOKIE) + transaction
        octets = bytes(a ^ b for a, b in zip(octets, key))
        port ^= COOKIE >> 16
    return struct.pack("!BBH", 0, family or (2 if v6 else 1), port) + octets


def message(kind, transaction, *attributes, cookie=COOKIE, length=None):
    body = b"".join(attributes)
    return struct.pack("!HHI", kind, len(body) if length is None else length, cookie) + transaction + body


def fingerprint(text):
    """The message with a FINGERPRINT (RFC 8489 section 14.7): a CRC over all before it."""
    head = text[:2] + struct.pack("!H", len(text) - 20 + 8) + text[4:]
    return head + attribute(FINGERPRINT, struct.pack("!I", binascii.crc32(head) ^ 0x5354554E))


class Ask:
    """One Binding request at a scripted server."""

    def __init__(self, server, transaction, peer, send, close):
        self.server, self.transaction, self.peer = server, transaction, peer
        self.send = send    # bytes to the asker
        self.close = close  # of the TCP connection

    def xor(self, endpoint):
        return attribute(XOR_MAPPED, address_value(endpoint, self.transaction))

    def success(self, endpoint=None):
        """The answer as it ought to be, or the same with another endpoint."""
        return message(SUCCESS, self.transaction, self.xor(endpoint or self.peer))

    def error(self, code, *attributes):
        return message(ERROR, self.transaction,
                       attribute(ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + b"no"),
                       *attributes)


def honest(ask):
    ask.send(ask.success())


class StunServer:
    """At server.address:port, over TCP and UDP both, on a `scripted` server of the lab."""

    def __init__(self, server, behaviour=honest, port=3478, six=False):
        """six: at server.address6."""
        self.server, self.port, self.behaviour = server, port, behaviour
        self.address, family = ((server.address6, socket.AF_INET6) if six else
                                (server.address, socket.AF_INET))
        self._condition = threading.Condition()
        self.asked = []   # all requests
        self._served = []  # those whose behaviour has run
        self._udp = server.ns.socket(family, socket.SOCK_DGRAM)
        self._udp.bind((self.address, port))
        self._tcp = server.ns.socket(family, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind((self.address, port))
        self._tcp.listen(64)
        for loop in (self._datagrams, self._accept):
            threading.Thread(target=loop, daemon=True).start()

    @property
    def name(self):
        """As -s wants it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    def speak(self, peer):
        """The server speaks first, over UDP, and says nothing that anybody would understand."""
        self._udp.sendto(b"unasked", peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in (self._udp, self._tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)  # wakes the thread in it
            except OSError:
                pass
            s.close()

    def wait_asked(self, count=1, timeout=20):
        """The count-th request since the beginning, when it has been dealt with."""
        with self._condition:
            assert self._condition.wait_for(lambda: len(self._served) >= count, timeout), \
                f"{len(self._served)} requests at {self.name}, not {count}"
            return self._served[count - 1]

    def _ask(self, data, peer, send, close):
        ask = Ask(self, data[8:20], peer, send, close)
        self.asked.append(ask)
        try:
            self.behaviour(ask)
        finally:
            with self._condition:
                self._served.append(ask)
                self._condition.notify_all()

    def _datagrams(self):
        try:
            while True:
                data, peer = self._udp.recvfrom(2048)
                if len(data) < 20:
                    return  # shutdown
                self._ask(data, peer, lambda b, p=peer: self._udp.sendto(b, p), lambda: None)
        except OSError:
            pass

    def _accept(self):
        try:
            while True:
                connection, peer = self._tcp.accept()
                threading.Thread(target=self._session, args=(connection, peer), daemon=True).start()
        except OSError:
            pass

    def _session(self, connection, peer):
        def close():
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

        with connection:
            try:
                while True:
                    data = connection.recv(2048)
                    if len(data) < 20:
                        return
                    self._ask(data, peer, connection.sendall, close)
            except OSError:
                pass


# HTTP.

class HttpConnection:
    """One connection at a scripted HTTP server."""

    def __init__(self, connection, peer):
        self.socket, self.peer = connection, peer
        self.condition = threading.Condition()
        self.requests = 0
        self.ended = None  # how: "closed" by the client in order, "reset", or an errno's text

    def read_request(self):
        """The next request's text, or None at the end."""
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                part = self.socket.recv(4096)
                if not part:
                    self._end("closed")
                    return None
                data += part
        except ConnectionResetError:
            self._end("reset")
            return None
        except OSError as e:
            self._end(str(e))
            return None
        with self.condition:
            self.requests += 1
            self.condition.notify_all()
        return data.decode(errors="replace")

    def send(self, data):
        try:
            self.socket.sendall(data)
            return True
        except OSError as e:
            self._end(str(e))
            return False

    def _end(self, how):
        with self.condition:
            self.ended = self.ended or how
            self.condition.notify_all()

    def wait_request(self, count, timeout=20):
        """Until this very connection has brought `count` requests."""
        with self.condition:
            self.condition.wait_for(lambda: self.requests >= count or self.ended, timeout)
            assert self.requests >= count, \
                f"{self.requests} requests from {self.peer}, not {count}; connection: {self.ended or 'open'}"

    def wait_end(self, timeout=20):
        with self.condition:
            assert self.condition.wait_for(lambda: self.ended, timeout), "the connection is still open"
            return self.ended

    def speak(self):
        """The server speaks first, without saying anything: a TCP keep-alive within a second."""
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
            self.socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def keep_alive(connection):
    while connection.read_request():
        if not connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"):
            return


def close_after_each(connection):
    if connection.read_request():
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")


def close_at_once(connection):
    pass


def close_unanswered(connection):
    connection.read_request()


def mute(connection):
    while connection.read_request():
        pass


def garbage(connection):
    if connection.read_request():
        connection.send(bytes(range(256)) * 16)
        connection.read_request()


def megabytes(connection):
    """A header without end."""
    line = b"X-Filler: " + b"y" * 8000 + b"\r\n"
    if connection.read_request() and connection.send(b"HTTP/1.1 200 OK\r\n"):
        for _ in range(8000):
            if not connection.send(line):
                return


def body_after_head(connection):
    """Sends a body although the method was HEAD."""
    while connection.read_request():
        if not connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"z" * 1000):
            return


class HttpServer:
    """At server.address:port, on a `scripted` server of the lab."""

    def __init__(self, server, behaviour=keep_alive, port=80):
        self.server, self.port, self.behaviour = server, port, behaviour
        self._condition = threading.Condition()
        self.connections = []
        self._socket = server.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((server.address, port))
        self._socket.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def name(self):
        """As -h wants it."""
        return f"{self.server.address}:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in (self._socket, *(c.socket for c in self.connections)):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._socket.close()

    def wait_connection(self, count=1, timeout=20):
        """The count-th connection since the beginning."""
        with self._condition:
            assert self._condition.wait_for(lambda: len(self.connections) >= count, timeout), \
                f"{len(self.connections)} connections at {self.name}, not {count}"
            return self.connections[count - 1]

    def open_connections(self):
        with self._condition:
            return [c for c in self.connections if not c.ended]

    def _accept(self):
        try:
            while True:
                connection, peer = self._socket.accept()
                c = HttpConnection(connection, peer)
                with self._condition:
                    self.connections.append(c)
                    self._condition.notify_all()
                threading.Thread(target=self._session, args=(c,), daemon=True).start()
        except OSError:
            pass

    def _session(self, c):
        with c.socket:
            self.behaviour(c)
            c._end("closed by the server")
