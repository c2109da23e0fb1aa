"""Fits isolation forests of several settings, exports them, and writes scikit-learn's own scores beside them.

    python forests.py EXPORTER_FOLDER OUT_FOLDER

For each setting NAME: OUT/NAME.json as the exporter writes it, OUT/NAME.scores as pairs of little-endian f64 (score_samples,
decision_function), one pair for each row of OUT/rows.f32 (little-endian, fifteen values a row).
"""

import pathlib
import sys

import numpy as np
from sklearn.ensemble import IsolationForest

exporter, out = sys.argv[1], pathlib.Path(sys.argv[2])
sys.path.insert(0, exporter)
from export_sklearn import export  # noqa: E402

NAMES = [f"feature_{letter}" for letter in "abcdefghijklmno"]
ROWS = 10_000
random = np.random.default_rng(7)


def traffic(count):
    rows = random.gamma(2.0, 50.0, (count, 15))
    rows[:, 0] = np.rint(random.uniform(40, 1500, count))
    rows[:, 1] = random.integers(0, 4, count)
    rows[:, 3] = random.integers(0, 4, count)
    rows[:, 4:7] *= random.random((count, 3)) < 0.1
    rows[:, 7] = random.integers(0, 2, count)
    rows[:, 10] = 0.0
    rows[:, 13:] = random.normal(0, 3, (count, 2))
    return rows.astype(np.float32)


train, rows = traffic(4_000), traffic(ROWS)
# Integers everywhere: thresholds fall on and beside values, so ties decide.
train_ties, rows_ties = np.rint(train / 20), np.rint(rows / 20)

SETTINGS = {
    "default": (train, IsolationForest(random_state=1)),
    "some_features": (train, IsolationForest(max_features=0.4, random_state=2)),
    "contamination": (train, IsolationForest(contamination=0.05, random_state=3)),
    "few_rows": (train[:50], IsolationForest(n_estimators=20, random_state=4)),
    "many_rows": (train, IsolationForest(n_estimators=30, max_samples=4_000, random_state=5)),
    "bootstrap": (train, IsolationForest(bootstrap=True, random_state=6)),
    "ties": (train_ties, IsolationForest(random_state=7)),
}

rows = np.concatenate([rows[: ROWS // 2], rows_ties[ROWS // 2 :]]).astype("<f4")
rows.tofile(out / "rows.f32")
for name, (fitted, forest) in SETTINGS.items():
    forest.fit(fitted)
    export(forest, out / f"{name}.json", NAMES, rows=fitted)
    scores = np.stack([forest.score_samples(rows), forest.decision_function(rows)], axis=1)
    scores.astype("<f8").tofile(out / f"{name}.scores")
