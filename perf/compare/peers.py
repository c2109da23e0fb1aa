"""The peers on captures: how each is called, what of ours it is held against, and where it says how much it read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Peer:
    """A program in one setting, beside the sensor in the setting that does the like."""

    name: str
    package: str
    program: str
    # Its arguments; {capture} and {out} stand for the capture and a folder to write to.
    arguments: tuple
    # Where it says how many packets it read: numbers that sum to it. None of them where it says nothing.
    said: tuple
    # Our own arguments beyond `replay --summary json --workers 1`; {work} stands for the folder of the configurations.
    ours: tuple = ()
    # What both write, to be counted: theirs under {out}.
    events: str | None = None
    version: tuple = ("--version",)
    # Text files that it needs under {out}, by name.
    files: dict = field(default_factory=dict)


def suricata(name, outputs, rules, ours, events=None):
    # Its own configuration as the package brings it, but for what is written.
    configuration = f"%YAML 1.1\n---\ninclude: /etc/suricata/suricata.yaml\n{outputs}"
    return Peer(
        name=f"Suricata, {name}",
        package="suricata",
        program="suricata",
        arguments=(
            *("-r", "{capture}", "--runmode", "single", "-c", "{out}/suricata.yaml"),
            *("-S", "/dev/null" if rules is None else "{out}/fifty.rules", "-l", "{out}"),
            # Else it would leave out a rule that it refuses.
            "--init-errors-fatal",
        ),
        said=(r"pcap: read 1 file, (\d+) packets",),
        ours=ours,
        events=events,
        version=("-V",),
        files={"suricata.yaml": configuration} | ({} if rules is None else {"fifty.rules": rules}),
    )


NO_OUTPUT = "outputs: []\n"
ALERTS = """outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      community-id: true
      types:
        - alert
"""


def all_peers(fifty):
    """Every peer, the cheapest work first. `fifty` is the text of the rules for both sides."""
    return [
        Peer(
            name="tcpdump",
            package="tcpdump",
            program="tcpdump",
            arguments=("-r", "{capture}", "-w", "/dev/null"),
            said=(),
        ),
        Peer(
            name="softflowd",
            package="softflowd",
            program="softflowd",
            # Without -6 it ignores IPv6.
            arguments=("-r", "{capture}", "-6", "-d", "-c", "none", "-p", "{out}/softflowd.pid"),
            said=(r"Packets processed: (\d+)", r"Ignored packets: (\d+)"),
            version=("-h",),
        ),
        suricata("no rules, no output", NO_OUTPUT, None, ("--config", "{work}/no-rules.toml")),
        suricata("50 rules, no output", NO_OUTPUT, fifty, ("--config", "{work}/fifty-rules.toml")),
        suricata(
            "50 rules, EVE alerts",
            ALERTS,
            fifty,
            ("--config", "{work}/fifty-rules.toml", "--eve", "{work}/eve.json"),
            events="eve.json",
        ),
        Peer(
            name="ndpiReader",
            package="libndpi-bin",
            program="ndpiReader",
            arguments=("-i", "{capture}"),
            said=(r"of (\d+) packets total",),
            version=("-h",),
        ),
    ]


def packets_said(peer, text):
    """How many packets it says it has read: None where it never does, -1 where it should have."""
    if not peer.said:
        return None
    found = [re.search(pattern, text) for pattern in peer.said]
    return sum(int(each.group(1)) for each in found) if all(found) else -1


def packets_judged(text):
    """The same of our own summary: every packet has a verdict, or a reason why it can have none; -1 where the sums do not close."""
    try:
        summary = json.loads(text)
    except ValueError:
        return -1
    if summary["unaccounted"] != 0:
        return -1
    return sum(summary["verdicts"].values()) + summary["not_ip"] + sum(summary["undecodable"].values())


def version_of(text):
    """The first line of what a program says of itself that holds a version."""
    for line in text.splitlines():
        if found := re.search(r"\b[vV]?(\d+(?:\.\d+)+(?:[-+~]\w+)*)", line):
            return found.group(1)
    return "not known"
