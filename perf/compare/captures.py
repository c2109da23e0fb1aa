"""Captures: what they hold, and the one that holds a single packet."""

import hashlib
import struct
from dataclasses import dataclass

# The first four bytes, and how the integers behind them are written.
PCAP = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\x3c\x4d": ">",
}
HEADER, RECORD = 24, 16


class NotPcap(Exception):
    """A file that is no plain pcap file, or a damaged one."""


ETHERNET = 1
SYN, ACK = 2, 16


@dataclass
class Contents:
    """What a capture holds."""

    packets: int = 0
    # TCP over IPv4 and plain Ethernet: conversations that begin, and beginnings that are answered.
    opened: int = 0
    answered: int = 0

    def add(self, frame):
        self.packets += 1
        if len(frame) < 34 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
            return
        flags = 14 + 4 * (frame[14] & 15) + 13
        if len(frame) > flags and frame[flags] & SYN:
            if frame[flags] & ACK:
                self.answered += 1
            else:
                self.opened += 1

    def one_sided(self):
        """Whether it shows one side of its conversations only: who follows streams has nothing to do then."""
        return self.opened > 0 and self.answered < self.opened / 10


def read(path):
    """What is in a pcap file, by its own record headers: so many packets every program has to have read."""
    contents = Contents()
    with open(path, "rb") as file:
        header = file.read(HEADER)
        order = PCAP.get(header[:4])
        if order is None or len(header) < HEADER:
            raise NotPcap(f"{path}: is no plain pcap file, which every peer can read; write one with tcpdump -r {path} -w NEW")
        (link,) = struct.unpack(order + "I", header[20:])
        if link != ETHERNET:
            raise NotPcap(f"{path}: its frames are of link type {link}; not every peer reads others than Ethernet, 1")
        while head := file.read(RECORD):
            if len(head) < RECORD:
                raise NotPcap(f"{path}: is torn behind packet {contents.packets}")
            _, _, captured, _ = struct.unpack(order + "IIII", head)
            frame = file.read(captured)
            if len(frame) < captured:
                raise NotPcap(f"{path}: is torn in packet {contents.packets + 1}")
            contents.add(frame)
    if contents.packets == 0:
        raise NotPcap(f"{path}: holds no packet")
    return contents


def first_packet(path, out):
    """Writes a capture of the first packet alone: what a program takes to start and to end."""
    with open(path, "rb") as file, open(out, "wb") as one:
        header = file.read(HEADER)
        head = file.read(RECORD)
        _, _, captured, _ = struct.unpack(PCAP[header[:4]] + "IIII", head)
        one.write(header + head + file.read(captured))


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
