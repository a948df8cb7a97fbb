# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that has its port for itself, as most do: no SO_REUSEPORT, one address if it so wishes."""
import contextlib
import socket
import threading

NAME = "greeter"


class Greeter:
    """Greets whoever connects (TCP), or answers each datagram (UDP): `greeter ADDRESS PORT`."""

    def __init__(self, ns, port, protocol="tcp", address="0.0.0.0"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.endpoint = (address, port)
        self._condition = threading.Condition()
        self.heard = []  # datagrams
        self._socket = ns.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        if protocol == "tcp":
            # As servers do, lest their own old connections keep them from starting again.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.bind((address, port))
        if protocol == "tcp":
            self._socket.listen(64)
        threading.Thread(target=self._accept if protocol == "tcp" else self._answer, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread in it
        self._socket.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, peer = self._socket.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(f"{NAME} {peer[0]} {peer[1]}".encode())

    def _answer(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self._socket.recvfrom(65536)
                if not data:
                    return  # shutdown
                with self._condition:
                    self.heard.append(data)
                    self._condition.notify_all()
                self._socket.sendto(f"{NAME} {peer[0]} {peer[1]}".encode(), peer)

    def wait_heard(self, data, timeout=5):
        with self._condition:
            assert self._condition.wait_for(lambda: data in self.heard, timeout), self.heard


def greet(client, endpoint, protocol="tcp", timeout=5):
    """The address that the greeter has seen."""
    if protocol == "udp":
        name, address, _ = client.udp(endpoint, timeout=timeout)
    else:
        family = socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET
        with client.ns.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(timeout)
            s.connect(endpoint)
            said = b""
            while True:
                more = s.recv(4096)
                if not more:
                    break
                said += more
        name, address, _ = said.decode().split()
    assert name == NAME, name
    return address
