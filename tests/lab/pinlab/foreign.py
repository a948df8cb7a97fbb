# SPDX-License-Identifier: GPL-2.0-or-later
"""When pinhold's table was deleted and when it was back, as the kernel's own notifications tell it."""
import contextlib
import socket
import struct
import threading
import time

NETLINK_NETFILTER, NFNLGRP_NFTABLES = 12, 7
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
NEWTABLE, DELTABLE, NEWGEN = 0x0a00, 0x0a02, 0x0a0f


class TableWatch:
    """Notes each transaction that makes or deletes `inet pinhold`: (time, "made" or "deleted")."""

    def __init__(self, ns):
        with ns.entered():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self._socket.settimeout(0.1)
        self._condition = threading.Condition()
        self.seen = []
        self._now = None  # what the transaction does that has not ended
        self._stopped = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopped = True
        self._thread.join()
        self._socket.close()

    def wait(self, what, start=0, timeout=20):
        """The time of the first such transaction, from the start-th noted on."""
        def find():
            return next((when for when, did in self.seen[start:] if did == what), None)

        with self._condition:
            assert self._condition.wait_for(find, timeout), \
                f"not {what} within {timeout} s: {self.seen[start:]}"
            return find()

    def last(self, what, count, timeout=20):
        """Which of `seen` the count-th such transaction was."""
        def find():
            found = [n for n, (_, did) in enumerate(self.seen) if did == what]
            return found[count - 1] if len(found) >= count else None

        with self._condition:
            assert self._condition.wait_for(lambda: find() is not None, timeout), self.seen
            return find()

    def count(self):
        with self._condition:
            return len(self.seen)

    def _read(self):
        while not self._stopped:
            with contextlib.suppress(TimeoutError):
                self._take(self._socket.recv(1 << 16), time.monotonic())

    def _take(self, data, now):
        at = 0
        while at + 20 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            # A table's name is the first attribute (linux/netfilter/nf_tables.h, NFTA_TABLE_NAME).
            if kind in (NEWTABLE, DELTABLE) and data[at + 24:at + length].startswith(b"pinhold\0"):
                self._now = {NEWTABLE: "made", DELTABLE: "deleted"}[kind]
            if kind == NEWGEN and self._now:
                with self._condition:
                    self.seen.append((now, self._now))
                    self._condition.notify_all()
                self._now = None
            at += (length + 3) & ~3
