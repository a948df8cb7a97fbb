# SPDX-License-Identifier: GPL-2.0-or-later
"""What passes an interface: TCP and UDP over IPv4, as records that can be awaited."""
import collections
import socket
import struct
import threading

ETH_P_IP = 0x0800
FIN, SYN, RESET, ACK = 1, 2, 4, 16

Packet = collections.namedtuple("Packet", "source destination protocol flags length")


class Sniffer:
    """Records from its making until stop()."""

    def __init__(self, ns, interface):
        self._socket = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self._socket.bind((interface, ETH_P_IP))
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
            packet = self._parse(data)
            if packet:
                with self._condition:
                    self.packets.append(packet)
                    self._condition.notify_all()

    @staticmethod
    def _parse(data):
        header = (data[0] & 15) * 4
        if data[0] >> 4 != 4 or data[9] not in (6, 17):
            return None
        source, destination = struct.unpack_from("!HH", data, header)
        total, = struct.unpack_from("!H", data, 2)
        flags, length = 0, total - header - 8
        if data[9] == 6:
            flags = data[header + 13]
            length = total - header - (data[header + 12] >> 4) * 4
        return Packet((socket.inet_ntoa(data[12:16]), source), (socket.inet_ntoa(data[16:20]), destination),
                      {6: "tcp", 17: "udp"}[data[9]], flags, length)

    def wait(self, wanted, timeout=10, start=0):
        """The first packet for which wanted(packet) holds, from the start-th on."""
        def find():
            return next((p for p in self.packets[start:] if wanted(p)), None)

        with self._condition:
            assert self._condition.wait_for(find, timeout), f"no such packet in {self.packets[start:][-20:]}"
            return find()
