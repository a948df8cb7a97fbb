# SPDX-License-Identifier: GPL-2.0-or-later
"""Who saw what, and when: the hook itself, the kernel's table, the wire. All on CLOCK_MONOTONIC, nanoseconds."""
import collections
import os
import shutil
import socket
import struct
import threading
import time

from common import program

NETLINK_NETFILTER, NFNLGRP_NFTABLES = 12, 7
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
ETH_P_IP = 0x0800
TCP, RESET = 6, 4

Call = collections.namedtuple("Call", "time event mapping address port")


class Observer:
    """A thread that reads until close(), and what it has read, to be awaited."""

    def __init__(self):
        self._condition = threading.Condition()
        self.seen = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        while not self._closed:
            items = self._read()
            if items:
                with self._condition:
                    self.seen += items
                    self._condition.notify_all()

    def first(self, wanted):
        return next((x for x in list(self.seen) if wanted(x)), None)

    def wait(self, wanted, timeout, start=0):
        """The first item from the start-th on for which wanted(item) holds, or None."""
        at = [start]

        def find():
            # What was looked at once is not looked at again: there may be very many.
            while at[0] < len(self.seen):
                at[0] += 1
                if wanted(self.seen[at[0] - 1]):
                    return self.seen[at[0] - 1]
            return None

        with self._condition:
            return self._condition.wait_for(find, timeout)

    def count(self):
        with self._condition:
            return len(self.seen)


class Stamps(Observer):
    """The hook's calls, with the time that the hook's first instructions took from the clock."""

    def __init__(self, directory):
        super().__init__()
        self.path = os.path.join(directory, "hook")
        shutil.copy(program("stamp"), self.path)
        os.mkfifo(self.path + ".fifo")
        # Open for writing too: no end of file between two hooks.
        self._fd = os.open(self.path + ".fifo", os.O_RDWR | os.O_CLOEXEC)
        self._rest = b""
        self.start()

    def _read(self):
        data = self._rest + os.read(self._fd, 65536)
        *lines, self._rest = data.split(b"\n")
        calls = []
        for line in lines:
            when, event, mapping, address, port = line.decode().split(" ")
            if event != "close":
                calls.append(Call(int(when), event, mapping, address, 0 if port == "-" else int(port)))
        return calls

    def close(self):
        self._closed = True
        os.write(self._fd, b"0 close - - -\n")
        self._thread.join()
        os.close(self._fd)


class Table(Observer):
    """The kernel's own notices of changed tables: (time, octets), as `nft monitor` gets them.

    Read directly, because nft(8) would add the time that it takes to print.
    """

    def __init__(self, ns):
        super().__init__()
        with ns.entered():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self._socket.settimeout(0.2)
        self.start()

    def _read(self):
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError:
            return []
        return [(time.monotonic_ns(), data)]

    def when(self, text, timeout, start=0):
        """When a rule whose comment has this text came, or None."""
        found = self.wait(lambda item: text.encode() in item[1], timeout, start)
        return found and found[0]

    def close(self):
        self._closed = True
        self._thread.join()
        self._socket.close()


class Resets(Observer):
    """TCP segments with RST that come in on an interface: (time, destination port); the kernel's time stamp."""

    def __init__(self, ns, interface):
        super().__init__()
        with ns.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((interface, ETH_P_IP))
        self._socket.settimeout(0.2)
        self.start()

    def _read(self):
        try:
            data, ancillary, _, source = self._socket.recvmsg(2048, 64)
        except OSError:
            return []  # time to look whether this is the end; or the interface is down
        offset = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - time.clock_gettime_ns(time.CLOCK_REALTIME)
        header = (data[0] & 15) * 4
        if source[2] == socket.PACKET_OUTGOING or data[9] != TCP or not data[header + 13] & RESET:
            return []
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                return [(seconds * 10**9 + nanoseconds + offset,
                         struct.unpack_from("!H", data, header + 2)[0])]
        return []

    def close(self):
        self._closed = True
        self._thread.join()
        self._socket.close()
