# SPDX-License-Identifier: GPL-2.0-or-later
"""Services that only say their name, and callers that only ask for it: many connections a second."""
import collections
import itertools
import socket
import struct
import threading
import time

Call = collections.namedtuple("Call", "begin end endpoint said")  # times of time.monotonic()


class Greeter:
    """Says its name to whoever connects."""

    def __init__(self, ns, name, port):
        self._name = name.encode()
        self._socket = ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("0.0.0.0", port))
        self._socket.listen(1024)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.send(self._name)
                except OSError:
                    pass  # the caller is gone


class Caller:
    """Connects to some endpoints in turn, without a rest, and notes who answered.

    `calls` says of each when it was and what was said: a greeter's name, or "refused", "reset", "timeout".
    """

    PATIENCE = 0.9  # seconds; less than the first retransmission of a SYN: one that is lost is a failure

    def __init__(self, client, endpoints, ports=(1100, 64999)):
        """ports: the first and the last of its own, which it takes in turn.

        A port that comes again while a conntrack still knows its last connection (10 s after a RST) would be
        taken for that one, and led where that was led.
        """
        self._client, self._endpoints = client, endpoints
        self._ports = itertools.cycle(range(ports[0], ports[1] + 1))
        self.calls = []
        self._condition = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._go, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.wait(2 * len(self._endpoints))
        return self

    def __exit__(self, *_):
        self._stopped = True
        self._thread.join()

    def wait(self, more, timeout=20):
        """Until so many further calls have been made."""
        with self._condition:
            wanted = len(self.calls) + more
            assert self._condition.wait_for(lambda: len(self.calls) >= wanted, timeout), self.calls[-5:]

    def _go(self):
        while not self._stopped:
            for endpoint in self._endpoints:
                begin = time.monotonic()
                said = self._call(endpoint)
                with self._condition:
                    self.calls.append(Call(begin, time.monotonic(), endpoint, said))
                    self._condition.notify_all()

    def _bind(self, s):
        for port in self._ports:
            try:
                s.bind(("0.0.0.0", port))
                return
            except OSError:
                pass  # a service of this host has it

    def _call(self, endpoint):
        with self._client.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            # It ends with a RST, and leaves no port in TIME_WAIT.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.settimeout(self.PATIENCE)
            self._bind(s)
            try:
                s.connect(endpoint)
                return s.recv(64).decode() or "nothing"
            except TimeoutError:
                return "timeout"
            except ConnectionRefusedError:
                return "refused"
            except OSError:
                return "reset"
