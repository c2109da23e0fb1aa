"""The forest against the libraries that score the same trees, on the same rows and the same core."""

import json
import subprocess
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent
ROWS = 100_000
# Some packets are not IP, and have no row.
PACKETS = 103_000
# Library, rows at a time, seconds at least that it is asked for in one run.
SETTINGS = [
    ("scikit-learn", 100_000, 2.0),
    ("scikit-learn", 1, 2.0),
    ("isotree", 100_000, 2.0),
    ("onnxruntime", 20_000, 2.0),
    ("treelite", 100_000, 2.0),
    ("tl2cgen", 100_000, 2.0),
    ("tl2cgen", 1, 2.0),
]
# What the form of the forest that a library reads is made with.
MADE_WITH = {"onnxruntime": "skl2onnx", "tl2cgen": "tl2cgen", "isotree": "isotree"}


def compare(sensor, python, work, options):
    """Everything about the forest, as the JSON file has it."""
    if python.why is not None:
        return {"results": [], "skipped": [{"peer": "all libraries of forests", "reason": python.why}]}
    folder = work / "forest"
    folder.mkdir(exist_ok=True)
    try:
        return compare_in(folder, sensor, python, options)
    except measure.Failed as error:
        return {"results": [], "skipped": [{"peer": "all libraries of forests", "reason": str(error)}]}


def compare_in(folder, sensor, python, options):
    (folder / "scores.csv").unlink(missing_ok=True)
    write_rows(folder, sensor)
    prepared = ask(python, folder, "prepare", folder, HERE.parent.parent / "models")
    call([sensor, "model", "import", folder / "forest.json", "--out", folder / "model.json"], folder / "import.log")
    skipped, results = [], []
    benched = has_bench(sensor, folder)
    scores = folder / "scores.csv"
    if not benched:
        skipped.append({"peer": "phantomnet's side of the forest", "reason": "this phantomnet has no `model bench`; run: make build"})
        command = [sensor, "model", "score", "--model", folder / "model.json", "--in", folder / "rows.csv", "--out", scores]
        call(command, folder / "score.log")
    for library, batch, seconds in SETTINGS:
        name = f"{library}, {batch:,} rows at a time" if batch > 1 else f"{library}, row by row"
        made_with = MADE_WITH.get(library, library)
        why = python.missing.get(library) or python.missing.get(made_with) or prepared["missing"].get(made_with)
        if why is not None:
            skipped.append({"peer": name, "reason": why})
            continue
        print(f"forest: {name}", flush=True)
        result = {"peer": name, "library": library, "batch": batch, "pairs": []}
        try:
            for _ in range(options.rounds):
                pair = {}
                if benched:
                    pair["ours"] = bench(sensor, folder, batch, options)
                command = [python.python, HERE / "score_forest.py", "score", library, folder]
                pair["theirs"] = timed(command + ["--batch", str(batch), "--seconds", str(seconds)], folder / "theirs.log", options)
                result["pairs"].append(pair)
            summarise(result)
        except measure.Failed as error:
            result["failed"] = str(error)
        results.append(result)
    # Its scores are the same for any number of rows at a time; those of the last run stand there.
    apart = ask(python, folder, "apart", folder, scores)["apart"] if scores.exists() else None
    return {"forest": prepared, "ours_apart": apart, "results": results, "skipped": skipped}


def write_rows(folder, sensor):
    """The features of generated traffic: those that the forest is grown from, and that everybody scores."""
    dump = folder / "all.csv"
    call([sensor, "dataset", "generate", "--out", folder / "traffic", "--packets", str(PACKETS), "--seed", "7"], folder / "generate.log")
    call([sensor, "replay", "--dump-features", dump, folder / "traffic" / "traffic.pcap"], folder / "replay.log")
    with open(dump, encoding="utf-8") as file, open(folder / "rows.csv", "w", encoding="utf-8") as rows:
        written = sum(1 for _, line in zip(range(ROWS + 1), file) if rows.write(line))
    dump.unlink()
    if written != ROWS + 1:
        raise measure.Failed(f"{PACKETS} generated packets gave {written - 1} rows instead of {ROWS}")


def has_bench(sensor, folder):
    try:
        call([sensor, "model", "bench", "--help"], folder / "bench.log")
    except measure.Failed:
        return False
    return True


def bench(sensor, folder, batch, options):
    command = [sensor, "model", "bench", "--json", "--model", folder / "model.json", "--in", folder / "rows.csv"]
    return timed([*command, "--batch", str(batch), "--out", folder / "scores.csv"], folder / "ours.log", options)


def timed(command, log, options):
    """Runs it on the core, and reads what it says of itself: a Python starts for longer than it scores."""
    measure.run([str(part) for part in command], options.core, log, options.limit)
    return json.loads(measure.json_in(log))


def ask(python, folder, *arguments):
    log = folder / "asked.log"
    call([python.python, HERE / "score_forest.py", *arguments], log)
    return json.loads(measure.json_in(log))


def call(command, log):
    with open(log, "wb") as out:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False)
    if ended.returncode != 0:
        raise measure.Failed(f"{Path(command[0]).name} {command[1]} ended with {ended.returncode}: {measure.last_line(log)}")


def summarise(result):
    theirs = [pair["theirs"]["ns_per_row"]["median"] for pair in result["pairs"]]
    result["version"] = result["pairs"][0]["theirs"]["version"]
    result["apart"] = result["pairs"][0]["theirs"]["apart"]
    result["theirs_ns"] = measure.spread(theirs).as_json()
    if "ours" in result["pairs"][0]:
        ours = [pair["ours"]["ns_per_row"]["median"] for pair in result["pairs"]]
        result["ours_ns"] = measure.spread(ours).as_json()
        result["ratio"] = measure.spread(measure.ratios(ours, theirs)).as_json()
