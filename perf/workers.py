#!/usr/bin/env python3
"""How many instructions each thread of a replay takes per packet, with one worker and with several.

    perf/workers.py [--sensor target/release/phantomnet] [--workers 2] CAPTURE [-- --config FILE ...]

CAPTURE is a plain pcap file of little-endian byte order with 200,000 packets or more. Its first 100,000 and its first 200,000 are replayed under
callgrind (valgrind), which counts by thread; the difference leaves out what starting takes. Counts do not depend on what else the
machine does, so they tell how work divides where there are too few processors to see it. valgrind shows the program a processor with AVX2,
and one thread runs at a time, so waiting for another is short.
"""

import argparse
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HEADER, RECORD = 24, 16
SHORT, LONG = 100_000, 200_000


def cut(capture, packets, into):
    """Writes the first so many packets."""
    with open(capture, "rb") as source, open(into, "wb") as out:
        out.write(source.read(HEADER))
        for nth in range(packets):
            record = source.read(RECORD)
            if len(record) < RECORD:
                sys.exit(f"{capture} has only {nth} packets; it must have {packets} or more")
            (captured,) = struct.unpack_from("<I", record, 8)
            out.write(record)
            out.write(source.read(captured))


def totals(command, folder):
    """Instructions by thread; threads are numbered as they begin, the first is 1."""
    out = Path(folder) / "counts"
    for old in Path(folder).glob("counts*"):
        old.unlink()
    subprocess.run(
        ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}", *command],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    found = {}
    for file in sorted(Path(folder).glob("counts-*")):
        total = re.search(r"^(?:totals|summary): (\d+)", file.read_text(), re.MULTILINE)
        found[int(file.name.rpartition("-")[2])] = int(total.group(1))
    return found


def per_packet(options, workers, folder):
    """Of each thread but the first, which starts and collects."""
    counts = []
    for packets in (SHORT, LONG):
        capture = Path(folder) / f"{packets}.pcap"
        if not capture.exists():
            cut(options.capture, packets, capture)
        command = [options.sensor, "replay", "--summary", "json", "--workers", str(workers), *options.more, capture]
        counts.append(totals([str(word) for word in command], folder))
    short, long = counts
    return [(long[thread] - short[thread]) / (LONG - SHORT) for thread in sorted(long)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sensor", default="target/release/phantomnet")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("capture", type=Path)
    parser.add_argument("more", nargs="*", help="more words for the replay, behind --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="phantomnet-workers-") as folder:
        _, one = per_packet(options, 1, folder)
        _, dealer, *several = per_packet(options, options.workers, folder)
    print(f"1 worker: {one:.0f} instructions a packet")
    print(f"{options.workers} workers: {', '.join(f'{count:.0f}' for count in several)}; the reader {dealer:.0f}")
    print(f"the one over the busiest: {one / max(several):.2f}; over their mean: {one * len(several) / sum(several):.2f}")


if __name__ == "__main__":
    main()
