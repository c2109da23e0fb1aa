#!/usr/bin/env python3
"""Export a scikit-learn IsolationForest for `phantomnet model import`.

Run it where scikit-learn and the fitted forest live; the sensor needs no Python.

    python export_sklearn.py forest.joblib forest.json --rows training.csv
    phantomnet model import forest.json --out models/imported.json

or from the training script itself:

    from export_sklearn import export
    export(forest, "forest.json", feature_names, rows=X_train)

The JSON holds the trees, scikit-learn's offset, up to 100,000 of the rows (what the model is calibrated on), and 64 rows
with scikit-learn's own scores, against which the import proves itself. Thresholds are written in full 64-bit precision;
the import rounds them *down* to 32 bits, because scikit-learn compares 32-bit values with 64-bit thresholds and rounding
to the nearest would send rows between the two the other way.

A pickle runs code when it is loaded: only load one that you trust.
"""

import argparse
import csv
import json
import sys

import numpy as np

FORMAT, VERSION = "phantomnet-sklearn-forest", 1
ROWS_MAX = 100_000
CHECK_ROWS = 64


# The sensor's features in the order of schema 1: what the columns of a forest are taken for that knows no names.
SENSOR_FEATURES = [
    "packet_length",
    "protocol_encoding",
    "source_ip_event_rate",
    "destination_port_class",
    "threat_score",
    "malicious_flag_ratio",
    "attack_type_frequency",
    "time_of_day_deviation",
    "burst_rate",
    "packet_size_variance",
    "honeypot_interaction_count",
    "session_duration_estimate",
    "unique_destination_count",
    "rolling_average_deviation",
    "z_score_anomaly",
]


def export(estimator, path, feature_names, rows=None):
    """Write a fitted IsolationForest to `path` as JSON.

    estimator      a fitted sklearn.ensemble.IsolationForest
    feature_names  the sensor's feature names, in the order of the columns the forest was fitted on
    rows           array of shape (n, features) to calibrate on: the training rows, or other ordinary traffic. Without them
                   the import asks for a CSV file.
    """
    import sklearn

    names = [str(name) for name in feature_names]
    if len(names) != estimator.n_features_in_:
        raise ValueError(f"{len(names)} feature names, but the forest was fitted on {estimator.n_features_in_} columns")
    rows = np.empty((0, len(names)), np.float32) if rows is None else np.asarray(rows, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError(f"rows have the shape {rows.shape}; expected (n, {len(names)})")
    if not np.isfinite(rows).all():
        raise ValueError("rows hold a value that is not finite")

    trees = [_tree(tree, columns) for tree, columns in zip(estimator.estimators_, estimator.estimators_features_)]
    check = _check_rows(estimator, trees, rows, len(names))
    # A frame's column names were for training; scoring goes by position.
    scores = _score_samples(estimator, check)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "sklearn": sklearn.__version__,
        "feature_names": names,
        "max_samples": int(estimator.max_samples_),
        "offset": float(estimator.offset_),
        "contamination": None if estimator.contamination == "auto" else float(estimator.contamination),
        "trees": trees,
        "rows": _floats(_evenly(rows, ROWS_MAX)),
        "check": [{"row": row, "score_samples": float(score)} for row, score in zip(_floats(check), scores)],
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, allow_nan=False)


def _tree(estimator, columns):
    """One tree as columns; features renumbered from the columns that the tree was given to those of the forest."""
    tree = estimator.tree_
    leaf = tree.children_left == -1
    return {
        "feature": np.where(leaf, -1, np.asarray(columns)[np.where(leaf, 0, tree.feature)]).tolist(),
        "threshold": np.where(leaf, 0.0, tree.threshold).tolist(),
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "rows": tree.n_node_samples.tolist(),
    }


def _check_rows(estimator, trees, rows, features):
    """Half of them given rows where there are any, the others built from thresholds, where mistakes would show."""
    random = np.random.default_rng(0)
    check = np.zeros((CHECK_ROWS, features), np.float32)
    for feature in range(features):
        seen = [t for tree in trees for f, t in zip(tree["feature"], tree["threshold"]) if f == feature]
        if seen:
            check[:, feature] = random.choice(np.asarray(seen, np.float64), CHECK_ROWS).astype(np.float32)
    given = _evenly(rows, CHECK_ROWS // 2)
    check[: len(given)] = given
    return check


def _score_samples(estimator, rows):
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        import pandas

        rows = pandas.DataFrame(rows, columns=names)
    return estimator.score_samples(rows)


def _evenly(rows, count):
    """At most `count` rows, spread evenly, so that the same rows give the same file."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def _floats(rows):
    return np.asarray(rows, np.float64).tolist()


def _read_csv(path, names):
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in names if name not in (reader.fieldnames or [])]
        if missing:
            sys.exit(f"{path}:1: the columns {', '.join(missing)} are missing")
        return np.array([[float(row[name]) for name in names] for row in reader], np.float32).reshape(-1, len(names))


def main():
    parser = argparse.ArgumentParser(description="Export a scikit-learn IsolationForest for `phantomnet model import`.")
    parser.add_argument("forest", help="the fitted forest, as joblib or pickle wrote it (loading runs code in it)")
    parser.add_argument("out", help="the JSON file to write")
    parser.add_argument("--rows", metavar="CSV", help="rows to calibrate on; columns are found by name")
    parser.add_argument("--features", metavar="A,B,...", help="feature names in the order of the forest's columns")
    arguments = parser.parse_args()

    import joblib  # reads plain pickles too

    forest = joblib.load(arguments.forest)
    if arguments.features:
        names = arguments.features.split(",")
    elif hasattr(forest, "feature_names_in_"):
        names = list(forest.feature_names_in_)
    elif forest.n_features_in_ == len(SENSOR_FEATURES):
        names = SENSOR_FEATURES
    else:
        sys.exit(
            f"the forest does not know the names of its {forest.n_features_in_} columns: give them with --features, "
            "in the order it was fitted on"
        )
    rows = _read_csv(arguments.rows, names) if arguments.rows else None
    export(forest, arguments.out, names, rows)


if __name__ == "__main__":
    main()
