#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Distance: a relay between two TUN devices that keeps each packet for a while.

Many kernels come without sch_netem; a tunnel through userspace works with all. As a program (started by
class Relay) it is given two TUN file descriptors and the delay in milliseconds.
"""
import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def open_tun(ns, name):
    with ns.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


class Relay:
    """Between the router `inet` and the servers: their traffic goes through the relay until stop()."""

    def __init__(self, inet, servers, milliseconds):
        self._inet, self._servers = inet, servers
        fds = [open_tun(inet, "far"), open_tun(servers, "far")]
        self._process = subprocess.Popen([sys.executable, __file__, *map(str, fds), str(milliseconds)],
                                         pass_fds=fds, stdout=subprocess.PIPE)
        for fd in fds:
            os.close(fd)
        self._process.stdout.read(1)
        inet.ip("link set far up txqueuelen 10000", "route add 192.0.2.0/25 dev far",
                "route add 192.0.2.128/25 dev far", "route add 2001:db8:2::/65 dev far")
        servers.ip("link set far up txqueuelen 10000", "route replace default dev far",
                   "route replace ::/0 dev far")

    def stop(self):
        self._process.kill()  # the devices go with it, and the routes through them
        self._process.wait()
        self._process.stdout.close()
        self._servers.ip("route replace default via 192.0.2.1", "route replace default via 2001:db8:2::1")


def main():
    fds, delay = [int(sys.argv[1]), int(sys.argv[2])], float(sys.argv[3]) / 1000
    other = {fds[0]: fds[1], fds[1]: fds[0]}
    queue = collections.deque()  # (when, where to, packet): all wait equally long, so it is in order
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    os.write(1, b".")
    while True:
        wait = max(0.0, queue[0][0] - time.monotonic()) * 1000 if queue else None
        for fd, _ in poll.poll(wait):
            try:
                while True:
                    queue.append((time.monotonic() + delay, other[fd], os.read(fd, 65536)))
            except BlockingIOError:
                pass
        while queue and queue[0][0] <= time.monotonic():
            _, fd, packet = queue.popleft()
            try:
                os.write(fd, packet)
            except OSError:
                pass  # the device is down at this moment: packets get lost


if __name__ == "__main__":
    main()
