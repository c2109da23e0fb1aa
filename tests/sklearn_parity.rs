//! Forests that scikit-learn grew score here what they score there. Needs `python3` (3.9 to 3.12, with `venv`) and, on the first
//! run, a package registry; without them it fails, because a comparison that did not happen proves nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use phantomnet::features::{FEATURES, FeatureVector};
use phantomnet::model::{AnomalyScore, ExpectedSchema, ImportParams, Model, import};
use phantomnet::time::Timestamp;

use crate::support::{folder, python_with, run_or_say};

/// What one comparison may differ by: the score is an f32, and so is `decision_function` here.
const TOLERANCE: f64 = 1e-6;

#[test]
fn imported_forests_score_what_scikit_learn_scores() {
    let python = python_with("sklearn", "scikit-learn");
    let out = folder();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    run_or_say(
        Command::new(python)
            .arg(project.join("tests/sklearn/forests.py"))
            .arg(project.join("models"))
            .arg(out.path())
            .env("PYTHONDONTWRITEBYTECODE", "1"),
        "the comparison's own script failed",
    );

    let rows = rows(&out.path().join("rows.f32"));
    assert_eq!(rows.len(), 10_000);
    let settings =
        ["default", "some_features", "contamination", "few_rows", "many_rows", "bootstrap", "ties"];
    for setting in settings {
        let worst = compare(setting, out.path(), &rows);
        println!("{setting}: at most {worst:.1e} apart");
        assert!(worst <= TOLERANCE, "{setting}: {worst} apart");
    }
}

/// The greatest difference of any row's score or decision.
fn compare(setting: &str, folder: &Path, rows: &[FeatureVector]) -> f64 {
    let exported = fs::File::open(folder.join(format!("{setting}.json"))).expect("an export");
    let params = ImportParams {
        name: setting.into(),
        created_at: Timestamp::EPOCH,
        sources: vec![],
        calibration_rows: None,
    };
    let imported = import(exported, &params, &schema()).expect(setting);
    // What counts is the model that comes out of the file.
    let model = Model::from_bytes(setting, &imported.to_bytes(), &schema()).expect(setting);

    let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
    model.score_batch(rows, &mut scores);
    let theirs = fs::read(folder.join(format!("{setting}.scores"))).expect("scores");
    let (theirs, _) = theirs.as_chunks::<16>();
    assert_eq!(theirs.len(), rows.len());
    let apart = theirs.iter().zip(scores).flat_map(|(pair, score)| {
        let (score_samples, decision_function) = pair.split_at(8);
        let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        let score_apart = f64::from(score.value()) + number(score_samples);
        let decision_apart = f64::from(model.ai_score(score)) - number(decision_function);
        [score_apart.abs(), decision_apart.abs()]
    });
    // Not `max`: that would pass over a NaN.
    apart.fold(0.0, |worst, apart| if worst.is_nan() || apart <= worst { worst } else { apart })
}

fn schema() -> ExpectedSchema {
    let names: Vec<String> = ('a'..='o').map(|letter| format!("feature_{letter}")).collect();
    ExpectedSchema {
        version: 1,
        fingerprint: "0".repeat(64),
        names: names.try_into().expect("15 names"),
    }
}

fn rows(path: &Path) -> Vec<FeatureVector> {
    let bytes = fs::read(path).expect("rows");
    let values: Vec<f32> =
        bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    values.as_chunks::<FEATURES>().0.iter().map(|&row| FeatureVector(row)).collect()
}
