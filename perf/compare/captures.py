"""Captures: how many packets they hold, and the one that holds a single packet."""

import hashlib
import struct

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


def count(path):
    """The packets of a pcap file, by its own record headers: what every program has to have read."""
    with open(path, "rb") as file:
        order = PCAP.get(file.read(HEADER)[:4])
        if order is None:
            raise NotPcap(f"{path}: is no plain pcap file, which every peer can read; write one with tcpdump -r {path} -w NEW")
        packets = 0
        while head := file.read(RECORD):
            if len(head) < RECORD:
                raise NotPcap(f"{path}: is torn behind packet {packets}")
            _, _, captured, _ = struct.unpack(order + "IIII", head)
            if len(file.read(captured)) < captured:
                raise NotPcap(f"{path}: is torn in packet {packets + 1}")
            packets += 1
    if packets == 0:
        raise NotPcap(f"{path}: holds no packet")
    return packets


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
