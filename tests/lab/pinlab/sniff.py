# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes in by an interface: TCP and UDP, as records that can be awaited."""
import collections
import socket
import struct
import threading

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
FIN, SYN, RESET, ACK = 1, 2, 4, 16

Packet = collections.namedtuple("Packet", "source destination protocol flags length")


class Sniffer:
    """Records from its making until stop()."""

    def __init__(self, ns, interface, family=4):
        self._socket = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self._socket.bind((interface, {4: ETH_P_IP, 6: ETH_P_IPV6}[family]))
        self._condition = threading.Condition()
        self.packets = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._stopped = False
        self._socket.settimeout(0.1)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopped = True
        self._thread.join()
        self._socket.close()

    def _read(self):
        while not self._stopped:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return  # the interface is gone
            packet = self._parse4(data) if data[0] >> 4 == 4 else self._parse6(data)
            if packet:
                with self._condition:
                    self.packets.append(packet)
                    self._condition.notify_all()

    @classmethod
    def _parse4(cls, data):
        header = (data[0] & 15) * 4
        total, = struct.unpack_from("!H", data, 2)
        return cls._parse(data[9], data[header:total], *(socket.inet_ntoa(data[n:n + 4]) for n in (12, 16)))

    @classmethod
    def _parse6(cls, data):
        length, = struct.unpack_from("!H", data, 4)
        return cls._parse(data[6], data[40:40 + length],
                          *(socket.inet_ntop(socket.AF_INET6, data[n:n + 16]) for n in (8, 24)))

    @staticmethod
    def _parse(protocol, data, source, destination):
        if protocol not in (6, 17):
            return None
        ports = struct.unpack_from("!HH", data)
        flags, length = 0, len(data) - 8
        if protocol == 6:
            flags = data[13]
            length = len(data) - (data[12] >> 4) * 4
        return Packet((source, ports[0]), (destination, ports[1]), {6: "tcp", 17: "udp"}[protocol], flags,
                      length)

    def wait(self, wanted, timeout=10, start=0):
        """The first packet for which wanted(packet) holds, from the start-th on."""
        def find():
            return next((p for p in self.packets[start:] if wanted(p)), None)

        with self._condition:
            assert self._condition.wait_for(find, timeout), f"no such packet in {self.packets[start:][-20:]}"
            return find()
