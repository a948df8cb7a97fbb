# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever wants in: the client outside, or one in the LAN."""
import itertools
import os
import socket
import ssl
import threading
import time

from . import servers

_serial = itertools.count(1)


class Page:
    """What a GET brought: status, body, the request's id, and the client's port."""

    def __init__(self, status, body, request_id, port):
        self.status, self.body, self.id, self.port = status, body, request_id, port

    def __repr__(self):
        return f"<{self.status} {self.body!r}>"


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class From:
    """A namespace whose sockets have one of several addresses, whichever the kernel would have chosen."""

    def __init__(self, ns, address, address6):
        self._ns = ns
        self._addresses = {socket.AF_INET: address, socket.AF_INET6: address6}

    def socket(self, family, kind):
        made = self._ns.socket(family, kind)
        made.bind((self._addresses[family], 0))
        return made


class Connection:
    """One TLS connection to a service, which stays open between requests."""

    def __init__(self, ns, endpoint, timeout):
        raw = ns.socket(_family(endpoint[0]), socket.SOCK_STREAM)
        raw.settimeout(timeout)
        try:
            raw.connect(tuple(endpoint))
            context = ssl.create_default_context(cafile=f"{servers.DIRECTORY}/tls.pem")
            self._tls = context.wrap_socket(raw, server_hostname="service.lab")
        except BaseException:
            raw.close()
            raise
        self.port = self._tls.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._tls.close()

    def get(self, path="/"):
        request_id = f"lab-{next(_serial)}"
        self._tls.sendall(f"GET {path} HTTP/1.1\r\nHost: service.lab\r\nX-Request-Id: {request_id}\r\n\r\n"
                          .encode())
        status, length, rest = self._head()
        body = bytearray(rest)
        while len(body) < length:
            body += self._some()
        return Page(status, body.decode(), request_id, self.port)

    def acknowledge(self):
        """Nothing is on the way any more: what has come is acknowledged now, and not in a while."""
        self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def download(self, path, on_start=None):
        """Reads and drops a big file; its size. on_start() is called when the first bytes have come."""
        self._tls.sendall(f"GET {path} HTTP/1.1\r\nHost: service.lab\r\n\r\n".encode())
        status, length, rest = self._head()
        assert status == 200, status
        if on_start:
            on_start()
        have, buffer = len(rest), bytearray(1 << 18)
        while have < length:
            n = self._tls.recv_into(buffer)
            assert n, f"cut off after {have} of {length} octets"
            have += n
        return have

    def _some(self):
        data = self._tls.recv(65536)
        assert data, "the server closed the connection"
        return data

    def _head(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, rest = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        return int(lines[0].split()[1]), int(fields["content-length"]), rest


class Visitor:
    """Fetches a page again and again, each time by a new connection, until the end of the `with` block.

    `gaps` are the times without a page, in seconds: from the last success before a failure to the next one.
    """

    PACE = 0.02  # seconds between two visits

    def __init__(self, client, endpoint, body):
        self._client, self._body = client, body
        self.endpoint = endpoint  # may be changed on the way
        self._condition = threading.Condition()
        self._stopped = False
        self.visits = 0
        self.gaps = []
        self.failures = []
        self._last = time.monotonic()
        self._failed = False
        self._thread = threading.Thread(target=self._go, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.wait_visits(3)
        return self

    def __exit__(self, *_):
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._thread.join()
        if self._failed:
            self.gaps.append(time.monotonic() - self._last)

    def wait_visits(self, more, timeout=20):
        """Until so many further visits have succeeded."""
        with self._condition:
            wanted = self.visits + more
            assert self._condition.wait_for(lambda: self.visits >= wanted, timeout), self

    def wait_failure(self, timeout=20):
        with self._condition:
            assert self._condition.wait_for(lambda: self._failed, timeout), self

    def __repr__(self):
        return f"<{self.visits} visits, gaps {self.gaps}, failures {self.failures[-5:]}>"

    def _go(self):
        while not self._stopped:
            try:
                page = self._client.get(self.endpoint, timeout=0.5)
                why = None if page.body == self._body else repr(page)
            except (OSError, AssertionError) as e:
                why = repr(e)
            now = time.monotonic()
            with self._condition:
                if why:
                    self.failures.append((round(now - self._last, 3), why))
                    self._failed = True
                else:
                    if self._failed:
                        self.gaps.append(now - self._last)
                    self._failed = False
                    self._last = now
                    self.visits += 1
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._stopped, self.PACE)


class Client:
    def __init__(self, ns, address, address6):
        self.ns, self.address, self.address6 = ns, address, address6

    def connect(self, endpoint, timeout=5):
        """endpoint: (address, port)."""
        return Connection(self.ns, endpoint, timeout)

    def get(self, endpoint, path="/", timeout=5):
        with self.connect(endpoint, timeout) as c:
            return c.get(path)

    def visiting(self, endpoint, body):
        """For a `with` block in which the page ought to be there all the time."""
        return Visitor(self, endpoint, body)

    def refused(self, endpoint, timeout=1):
        """Says how a TCP connection fails: "refused", "timeout", ...; None if it succeeds."""
        with self.ns.socket(_family(endpoint[0]), socket.SOCK_STREAM) as s:
            s.settimeout(timeout)
            try:
                s.connect(tuple(endpoint))
            except TimeoutError:
                return "timeout"
            except ConnectionRefusedError:
                return "refused"
            except OSError as e:
                return os.strerror(e.errno)
        return None

    def udp(self, endpoint, payload="hello", timeout=5):
        """Sends one datagram and returns the words of the answer."""
        with self.ns.socket(_family(endpoint[0]), socket.SOCK_DGRAM) as s:
            s.settimeout(timeout)
            s.connect(tuple(endpoint))
            s.send(payload.encode())
            return s.recv(65536).decode().split(" ")
