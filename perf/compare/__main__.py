#!/usr/bin/env python3
"""How fast the sensor is beside its peers: pairs of runs on the same captures and the same core. README.md says how to read it."""

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import captures
import forest
import install
import measure
import peers
import report
import rules

PROJECT = Path(__file__).resolve().parents[2]
# Set in the process that has mounts of its own.
OWN_MOUNTS = "PHANTOMNET_COMPARE_OWN_MOUNTS"


def options_of(arguments):
    parser = argparse.ArgumentParser(
        prog="perf/compare",
        description="Runs the sensor and its peers in turn on the same captures and the same core, and prints the ratios. "
        "Gets what it can of the peers into the work folder; names what it can't, and why.",
    )
    parser.add_argument("captures", metavar="CAPTURE", nargs="*", type=Path, help="pcap files; without one, generated traffic")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each peer and capture [default: 5]")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core of every run [default: the last]")
    parser.add_argument("--packets", type=int, default=1_000_000, help="how many packets to generate [default: 1000000]")
    parser.add_argument("--only", default="", metavar="A,B", help="only peers whose name has one of these in it, such as suricata,forest")
    parser.add_argument("--limit", type=int, default=900, metavar="SECONDS", help="when a run that does not end has failed [default: 900]")
    parser.add_argument("--work", type=Path, default=PROJECT / "target/peers", help="where everything goes [default: target/peers]")
    parser.add_argument("--sensor", type=Path, default=PROJECT / "target/release/phantomnet", help="the program")
    parser.add_argument("--json", type=Path, help="where the figures of each run go [default: figures.json in the work folder]")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds: must be at least 1")
    if options.core not in os.sched_getaffinity(0):
        parser.error(f"--core {options.core}: this process may not run there, but on {sorted(os.sched_getaffinity(0))}")
    return options


def get_own_mounts():
    """Starts over with mounts that nobody else sees, and that are gone when this ends, however it ends."""
    if os.geteuid() == 0 and OWN_MOUNTS not in os.environ:
        os.environ[OWN_MOUNTS] = "1"
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", *sys.argv]
        try:
            os.execvp(command[0], command)
        except OSError as error:
            sys.exit(f"perf/compare: unshare: {error}; it is in the package util-linux")


class Comparison:
    """What all pairs have in common."""

    def __init__(self, options, programs):
        self.options = options
        self.programs = programs
        self.work = options.work
        self.versions = {}

    def peer(self, peer, capture):
        """All pairs of a peer on a capture, as the JSON file has them."""
        path, _ = self.programs.find(peer)
        self.version(peer, path)
        result = {"capture": capture["name"], "peer": peer.name, "pairs": []}
        try:
            starts = [self.pair(peer, path, capture, "one", 1)[:2] for _ in range(self.options.rounds)]
            pairs = [self.pair(peer, path, capture, "file", capture["packets"]) for _ in range(self.options.rounds)]
        except measure.Failed as error:
            return result | {"failed": str(error)}
        sides = {"ours": 0, "theirs": 1}
        result["starts"] = [{side: each[nth].as_json() for side, nth in sides.items()} for each in starts]
        result["pairs"] = [{side: each[nth].as_json() for side, nth in sides.items()} for each in pairs]
        cpu = {side: [each[nth].cpu for each in pairs] for side, nth in sides.items()}
        wall = {side: [each[nth].wall for each in pairs] for side, nth in sides.items()}
        start = {side: measure.spread([each[nth].cpu for each in starts]).median for side, nth in sides.items()}
        for side, nth in sides.items():
            largest = max((each[nth] for each in pairs), key=lambda run: run.rss)
            result[side] = {
                "packets_per_cpu_second": measure.spread(measure.rates(capture["packets"], cpu[side])).as_json(),
                "packets_per_second": measure.spread(measure.rates(capture["packets"], wall[side])).as_json(),
                "wall_s": measure.spread(wall[side]).as_json(),
                "start_cpu_s": start[side],
                "rss_kib": largest.rss,
                "rss_is_upper_bound": largest.rss_is_ours,
                "events": pairs[-1][2 + nth],
            }
        result["ratio_cpu"] = measure.spread(measure.ratios(cpu["ours"], cpu["theirs"])).as_json()
        net = measure.ratios(cpu["ours"], cpu["theirs"], start["ours"], start["theirs"])
        result["ratio_cpu_net"] = None if net is None else measure.spread(net).as_json()
        result["ratio_wall"] = measure.spread(measure.ratios(wall["ours"], wall["theirs"])).as_json()
        return result

    def pair(self, peer, path, capture, which, packets):
        """One run of the sensor and one of the peer: both runs, and how many events each wrote."""
        ours = self.sensor(peer, capture[which], packets)
        ours_events = lines_in(self.work / "eve.json") if peer.events else None
        folder, seen = self.programs.out(self.work)
        for name, text in peer.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        arguments = [each.format(capture=capture["seen_" + which], out=seen) for each in peer.arguments]
        log = self.work / "theirs.log"
        try:
            theirs = measure.run(self.programs.command(path, arguments), self.options.core, log, self.options.limit)
        except measure.Failed as error:
            raise measure.Failed(f"{peer.name} {error}") from error
        said = peers.packets_said(peer, log.read_text(encoding="utf-8", errors="replace"))
        if said is not None and said != packets:
            raise measure.Failed(f"{peer.name} says that it read {said} packets of {packets}: {measure.last_line(log)}")
        theirs_events = lines_in(folder / peer.events) if peer.events else None
        return ours, theirs, ours_events, theirs_events

    def sensor(self, peer, capture, packets):
        log = self.work / "ours.log"
        arguments = [each.format(work=self.work) for each in peer.ours]
        command = [str(self.options.sensor), "replay", "--summary", "json", "--workers", "1", *arguments, str(capture)]
        try:
            run = measure.run(command, self.options.core, log, self.options.limit)
            judged = peers.packets_judged(measure.json_in(log))
        except measure.Failed as error:
            raise measure.Failed(f"phantomnet {error}") from error
        if judged != packets:
            raise measure.Failed(f"phantomnet judged {judged} packets of {packets}; {log} has its summary")
        return run

    def version(self, peer, path):
        if peer.program in self.versions:
            return
        command = self.programs.command(path, list(peer.version))
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
        self.versions[peer.program] = peers.version_of(ended.stdout + ended.stderr)


def lines_in(path):
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def wanted(options, name):
    words = [word for word in options.only.lower().split(",") if word]
    return not words or any(word in name.lower() for word in words)


def the_captures(options):
    """The captures of the command line, or one of generated traffic."""
    files = options.captures
    if not files:
        folder = options.work / "generated"
        print(f"captures: generating {options.packets} packets", flush=True)
        command = [options.sensor, "dataset", "generate", "--out", folder, "--packets", str(options.packets), "--seed", "7"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        files = [folder / "traffic.pcap"]
    found = []
    for nth, file in enumerate(files):
        one = options.work / f"one-{nth}.pcap"
        contents = captures.read(file)
        captures.first_packet(file, one)
        name = "generated" if not options.captures else file.stem
        about = {"packets": contents.packets, "bytes": file.stat().st_size, "sha256": captures.sha256(file)}
        tcp = {"tcp_opened": contents.opened, "tcp_answered": contents.answered, "one_sided": contents.one_sided()}
        found.append({"name": name} | about | tcp | {"file": file.resolve(), "one": one})
    return found


def compare_programs(options, document, found):
    fifty = "\n".join(rules.fifty((PROJECT / "configs/rules/phantomnet.rules").read_text(encoding="utf-8"))) + "\n"
    (options.work / "fifty.rules").write_text(fifty, encoding="utf-8")
    (options.work / "fifty-rules.toml").write_text('rules.files = ["fifty.rules"]\n', encoding="utf-8")
    (options.work / "no-rules.toml").write_text("rules.files = []\n", encoding="utf-8")
    print("peers: getting them, which takes minutes the first time", flush=True)
    programs = install.Programs(options.work)
    comparison = Comparison(options, programs)
    had = []
    for peer in peers.all_peers(fifty):
        if not wanted(options, peer.name):
            continue
        path, why = programs.find(peer)
        if path is None:
            document["skipped"].append({"peer": peer.name, "reason": why})
        else:
            had.append(peer)
    for nth, capture in enumerate(found):
        for which in ("file", "one"):
            capture["seen_" + which] = programs.show(capture[which], f"{which}-{nth}.pcap")
        for peer in had:
            print(f"{capture['name']}: {peer.name}", flush=True)
            document["results"].append(comparison.peer(peer, capture))
            document["versions"] |= comparison.versions
            # A whole comparison takes long: what is measured is kept, whatever comes after it.
            save(options, document)


def save(options, document):
    figures = options.json or options.work / "figures.json"
    figures.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main():
    options = options_of(sys.argv[1:])
    options.work = options.work.resolve()
    options.sensor = options.sensor.resolve()
    if not options.sensor.exists():
        sys.exit(f"perf/compare: {options.sensor} is not there; run: make build")
    get_own_mounts()
    # As an interruption: what runs is ended with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.work.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([options.sensor, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    document = {
        "date": datetime.date.today().isoformat(),
        "machine": subprocess.run(["sh", PROJECT / "perf/machine.sh"], capture_output=True, text=True, check=True).stdout,
        "core": options.core,
        "rounds": options.rounds,
        "versions": {"PhantomNet": version},
        "captures": [],
        "results": [],
        "skipped": [],
        "forest": None,
    }
    if any(wanted(options, peer.name) for peer in peers.all_peers("")):
        try:
            found = the_captures(options)
        except (captures.NotPcap, OSError) as error:
            sys.exit(f"perf/compare: {error}")
        document["captures"] = [{key: each[key] for key in each if key not in ("file", "one")} for each in found]
        compare_programs(options, document, found)
    if wanted(options, "forest"):
        document["forest"] = forest.compare(options.sensor, install.Python(options.work), options.work, options)
    save(options, document)
    print()
    print(report.markdown(document), end="")


if __name__ == "__main__":
    main()
