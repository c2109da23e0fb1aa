"""Runs in the virtual environment: grows a forest, and times how each library scores rows with it.

    python score_forest.py prepare WORK MODELS     from WORK/rows.csv: the forest, in every library's form
    python score_forest.py score LIBRARY WORK --batch N --seconds S
    python score_forest.py apart WORK SCORES.csv   the greatest difference between our scores and scikit-learn's
"""

import argparse
import csv
import importlib.metadata
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

TREES, SUBSAMPLE, SEED = 100, 256, 7
# How often a library is asked at least.
CALLS_MIN = 3


def prepare(work, models):
    import joblib
    from sklearn.ensemble import IsolationForest

    sys.path.insert(0, str(models))
    from export_sklearn import SENSOR_FEATURES, export

    with open(work / "rows.csv", newline="", encoding="utf-8") as file:
        rows = np.array([[row[name] for name in SENSOR_FEATURES] for row in csv.DictReader(file)], dtype=np.float32)
    forest = IsolationForest(n_estimators=TREES, max_samples=SUBSAMPLE, random_state=SEED).fit(rows)
    np.save(work / "rows.npy", rows)
    np.save(work / "expected.npy", forest.score_samples(rows))
    joblib.dump(forest, work / "forest.joblib")
    export(forest, work / "forest.json", SENSOR_FEATURES, rows)

    made, missing = {}, {}
    for name, convert in {"skl2onnx": to_onnx, "tl2cgen": compile_trees, "isotree": grow_with_isotree}.items():
        # Whatever a library fails with, the others are still to be had.
        try:
            convert(forest, rows, work)
            made[name] = True
        except Exception as error:
            missing[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    return {"rows": len(rows), "trees": TREES, "subsample": SUBSAMPLE, "nodes": nodes, "missing": missing}


def to_onnx(forest, rows, work):
    from skl2onnx import to_onnx as convert

    # The newest versions of operators that it knows for this kind of model.
    model = convert(forest, rows[:1], target_opset={"": 15, "ai.onnx.ml": 3})
    (work / "forest.onnx").write_bytes(model.SerializeToString())


def compile_trees(forest, _rows, work):
    import tl2cgen
    import treelite

    model = treelite.sklearn.import_model(forest)
    tl2cgen.export_lib(model, toolchain="gcc", libpath=str(work / "forest.so"), params={"parallel_comp": 4}, nthread=1)


def grow_with_isotree(_forest, rows, work):
    """It reads no forest of others, so it grows one of the same size from the same rows."""
    import joblib
    from isotree import IsolationForest

    grown = IsolationForest(
        ntrees=TREES, sample_size=SUBSAMPLE, ndim=1, missing_action="fail", nthreads=1, random_seed=SEED
    ).fit(rows.astype(np.float64))
    joblib.dump(grown, work / "isotree.joblib")


# Each gives what scores an array of rows, in scikit-learn's sense (the lower, the more unusual), and whose version counts.


def with_sklearn(work):
    import joblib

    return joblib.load(work / "forest.joblib").score_samples, "scikit-learn"


def with_onnxruntime(work):
    import joblib
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(work / "forest.onnx"), options, providers=["CPUExecutionProvider"])
    offset = joblib.load(work / "forest.joblib").offset_
    name = session.get_inputs()[0].name
    return lambda rows: session.run(["scores"], {name: rows})[0].ravel() + offset, "onnxruntime"


def with_treelite(work):
    import joblib
    import treelite

    model = treelite.sklearn.import_model(joblib.load(work / "forest.joblib"))
    return lambda rows: -treelite.gtil.predict(model, rows, nthread=1).ravel(), "treelite"


def with_tl2cgen(work):
    import tl2cgen

    predictor = tl2cgen.Predictor(str(work / "forest.so"), nthread=1)
    return lambda rows: -predictor.predict(tl2cgen.DMatrix(rows, dtype="float32")).ravel(), "tl2cgen"


def with_isotree(work):
    import joblib

    forest = joblib.load(work / "isotree.joblib")
    # Its own type of number, so that what is timed is no conversion.
    return lambda rows: -forest.predict(rows), "isotree"


LIBRARIES = {
    "scikit-learn": with_sklearn,
    "onnxruntime": with_onnxruntime,
    "treelite": with_treelite,
    "tl2cgen": with_tl2cgen,
    "isotree": with_isotree,
}


def score(library, work, batch, seconds):
    rows = np.load(work / "rows.npy")
    expected = np.load(work / "expected.npy")
    scorer, package = LIBRARIES[library](work)
    if library == "isotree":
        rows = rows.astype(np.float64)
    # The first call warms it up; it is timed for nothing.
    scorer(rows[:batch])
    times, apart, at = [], 0.0, 0
    over = time.monotonic() + seconds
    while len(times) < CALLS_MIN or time.monotonic() < over:
        some = rows[at : at + batch]
        begun = time.perf_counter_ns()
        scores = scorer(some)
        times.append((time.perf_counter_ns() - begun) / len(some))
        apart = max(apart, float(np.abs(scores - expected[at : at + batch]).max()))
        at = (at + batch) % len(rows)
    return {
        "version": importlib.metadata.version(package),
        "batch": min(batch, len(rows)),
        "calls": len(times),
        "ns_per_row": {"median": statistics.median(times), "minimum": min(times), "maximum": max(times)},
        # A forest of its own has other scores.
        "apart": None if library == "isotree" else apart,
    }


def apart(work, path):
    with open(path, newline="", encoding="utf-8") as file:
        ours = np.array([row["anomaly_score"] for row in csv.DictReader(file)], dtype=np.float64)
    return {"apart": float(np.abs(-ours - np.load(work / "expected.npy")).max())}


def main():
    parser = argparse.ArgumentParser(description="Grow a forest, and time how libraries score rows with it.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("prepare")
    command.add_argument("work", type=Path)
    command.add_argument("models", type=Path)
    command = commands.add_parser("score")
    command.add_argument("library", choices=LIBRARIES)
    command.add_argument("work", type=Path)
    command.add_argument("--batch", type=int, required=True)
    command.add_argument("--seconds", type=float, required=True)
    command = commands.add_parser("apart")
    command.add_argument("work", type=Path)
    command.add_argument("scores", type=Path)
    arguments = vars(parser.parse_args())
    do = {"prepare": prepare, "score": score, "apart": apart}[arguments.pop("command")]
    if do is apart:
        arguments = {"work": arguments["work"], "path": arguments["scores"]}
    print(json.dumps(do(**arguments)))


if __name__ == "__main__":
    main()
