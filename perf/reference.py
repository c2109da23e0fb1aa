#!/usr/bin/env python3
"""Writes what the aims of docs/PERFORMANCE.md are stated for, into a folder: reference.py FOLDER

fifty.rules      the fifty of the built-in rules that compare/ takes
prefixes.txt     100,000 IPv4 prefixes from a fixed seed: four of five single addresses, the others /24 and /20
reference.toml   the configuration with both: phantomnet replay --config FOLDER/reference.toml --workers 1 CAPTURE
"""

import ipaddress
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "compare"))

import rules  # noqa: E402 -- beside the comparison that they were chosen for

PREFIXES = 100_000
LENGTHS = [32] * 80 + [24] * 15 + [20] * 5


def prefixes():
    """Different prefixes, outside of what feeds may not name."""
    dice, known = random.Random(5), set()
    while len(known) < PREFIXES:
        length = dice.choice(LENGTHS)
        network = dice.getrandbits(32) >> (32 - length) << (32 - length)
        first = network >> 24
        if first not in (0, 10, 127) and first < 224:
            known.add(f"{ipaddress.IPv4Address(network)}/{length}")
    return sorted(known)


def main():
    if len(sys.argv) != 2:
        sys.exit("reference.py FOLDER: name the folder to write to")
    folder = pathlib.Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    built_in = (HERE.parent / "configs/rules/phantomnet.rules").read_text()
    (folder / "fifty.rules").write_text("\n".join(rules.fifty(built_in)) + "\n")
    (folder / "prefixes.txt").write_text("\n".join(prefixes()) + "\n")
    (folder / "reference.toml").write_text(
        f'[rules]\nfiles = ["{folder}/fifty.rules"]\n[[intel.feeds]]\npath = "{folder}/prefixes.txt"\nformat = "plain"\n'
    )


main()
