use linfa::traits::Predict;
use ndarray::{Array2, s};
use proptest::prelude::*;

use super::*;
use crate::model::samples;

fn fit(rows: Array2<f32>, params: &IsolationForestParams) -> Result<Forest, TrainError> {
    params.fit(&DatasetBase::from(rows))
}

#[test]
fn the_same_seed_grows_the_same_forest_and_another_seed_another() {
    let rows = samples::matrix(1_000, 7);
    let forest = |seed| fit(rows.clone(), &IsolationForestParams::default().seed(seed)).unwrap();
    assert_eq!(forest(1), forest(1));
    assert_ne!(forest(1), forest(2));
}

#[test]
fn more_trees_begin_with_the_same_trees() {
    let rows = samples::matrix(500, 7);
    let forest = |trees| fit(rows.clone(), &IsolationForestParams::default().trees(trees)).unwrap();
    assert_eq!(forest(3).trees(), &forest(10).trees()[..3]);
}

#[test]
fn a_forest_has_the_shape_of_the_paper() {
    let forest = fit(samples::matrix(2_000, 3), &IsolationForestParams::default()).unwrap();
    assert_eq!(forest.trees().len(), 100);
    assert_eq!(forest.depth(), 8);
    for tree in forest.trees() {
        let rows: u32 = tree
            .nodes()
            .iter()
            .map(|node| if let Node::Leaf { rows } = node { *rows } else { 0 })
            .sum();
        assert_eq!(rows, 256, "every row of the subsample ends in one leaf");
    }
}

#[test]
fn fewer_rows_than_the_subsample_are_all_taken() {
    let forest = fit(samples::matrix(20, 3), &IsolationForestParams::default()).unwrap();
    assert_eq!(forest.subsample(), 20);
    assert!(forest.depth() <= 5, "ceil(log2 20)");
}

#[test]
fn constant_features_are_never_split() {
    let mut rows = samples::matrix(300, 3);
    rows.slice_mut(s![.., 1..]).fill(4.0);
    let forest = fit(rows, &IsolationForestParams::default()).unwrap();
    let splits = forest.trees().iter().flat_map(Tree::nodes);
    assert!(splits.clone().any(|node| matches!(node, Node::Split { .. })));
    assert!(splits.clone().all(|node| !matches!(node, Node::Split { feature: 1.., .. })));
}

#[test]
fn rows_that_are_all_equal_give_trees_of_one_leaf_and_average_scores() {
    let forest =
        fit(Array2::from_elem((300, FEATURES), 2.5), &IsolationForestParams::default()).unwrap();
    assert_eq!(forest.node_count(), 100);
    assert!((forest.score(&FeatureVector::default()).value() - 0.5).abs() < 1e-6);
}

#[test]
fn what_cannot_be_trained_on_is_refused_with_a_reason() {
    let params = IsolationForestParams::default;
    let said = |result: Result<Forest, TrainError>| result.unwrap_err().to_string();
    let good = samples::matrix(10, 3);
    assert!(said(fit(Array2::zeros((10, 14)), &params())).contains("14 columns"));
    assert!(said(fit(Array2::zeros((1, FEATURES)), &params())).contains("at least 2"));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut rows = good.clone();
        rows[(4, 2)] = bad;
        assert!(said(fit(rows, &params())).starts_with("training row 5: feature 3 is"));
    }
    assert!(said(fit(good.clone(), &params().trees(0))).starts_with("trees = 0: must be from 1"));
    assert!(said(fit(good.clone(), &params().trees(1025))).starts_with("trees = 1025"));
    assert!(said(fit(good, &params().subsample(1))).starts_with("subsample = 1: must be from 2"));
}

#[test]
fn an_outlier_scores_above_every_row_of_the_crowd() {
    let rows = samples::matrix(2_000, 5);
    let forest = fit(rows.clone(), &IsolationForestParams::default()).unwrap();
    let scores = forest.predict(&rows);
    let far = forest.score(&FeatureVector([1e6; FEATURES])).value();
    assert!(scores.iter().all(|&score| score < far));
}

proptest! {
    #[test]
    fn a_drawn_threshold_leaves_a_row_on_each_side(low in any::<f32>(), high in any::<f32>(), seed in any::<u64>()) {
        prop_assume!(low.is_finite() && high.is_finite() && low < high);
        let rows = Array2::zeros((2, FEATURES));
        let mut grower = Grower {
            rows: rows.view(),
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            depth_limit: 1,
            nodes: vec![],
        };
        let threshold = grower.draw_between(low, high);
        prop_assert!(low <= threshold && threshold < high);
    }
}

fn schema() -> ExpectedSchema {
    samples::schema()
}

#[test]
fn the_same_arguments_make_the_same_file() {
    let rows = samples::rows(600, 9);
    let params = TrainParams { trees: 20, name: "twice".into(), ..TrainParams::default() };
    let file = |params: &TrainParams| train(&rows, params, &schema()).unwrap().to_bytes();
    assert_eq!(file(&params), file(&params));
    assert_ne!(file(&params), file(&TrainParams { seed: 43, ..params.clone() }));
}

#[test]
fn a_model_counts_its_contamination_among_its_training_rows() {
    let rows = samples::rows(5_000, 9);
    let params = TrainParams { contamination: 0.05, ..TrainParams::default() };
    let model = train(&rows, &params, &schema()).unwrap();
    let anomalous = rows.iter().filter(|row| model.ai_score(model.score(row)) < 0.0).count();
    assert!(anomalous.abs_diff(250) <= 5, "{anomalous}");
    let risky = rows.iter().filter(|row| model.risk(model.score(row)) > 0.0).count();
    assert!(risky.abs_diff(250) <= 10, "{risky}");
}

#[test]
fn a_row_beyond_the_training_range_is_told_apart() {
    let rows = samples::rows(500, 9);
    let model =
        train(&rows, &TrainParams { trees: 5, ..TrainParams::default() }, &schema()).unwrap();
    for row in &rows {
        assert!(model.confidence(row, model.score(row)).inside_training_range());
    }
    let mut beyond = rows[0];
    beyond.0[0] = 1e9;
    beyond.0[14] = -1e9;
    let confidence = model.confidence(&beyond, model.score(&beyond));
    assert_eq!(confidence.outside, 1 << 14 | 1);
    assert_eq!(confidence.calibration_rows, 500);
}

#[test]
fn training_names_the_feature_that_is_not_finite() {
    let mut rows = samples::rows(10, 9);
    rows[3].0[1] = f32::NAN;
    let said = train(&rows, &TrainParams::default(), &schema()).unwrap_err().to_string();
    assert_eq!(said, "training row 4: feature_b is NaN, which is not finite");
}

#[test]
fn words_that_a_file_cannot_hold_are_refused() {
    let rows = samples::rows(10, 9);
    for name in ["", "two\nlines", &"x".repeat(300)] {
        let params = TrainParams { name: name.to_owned(), ..TrainParams::default() };
        assert!(train(&rows, &params, &schema()).is_err(), "{name:?}");
    }
    for contamination in [0.0, 0.51, -1.0, f64::NAN] {
        let params = TrainParams { contamination, ..TrainParams::default() };
        let said = train(&rows, &params, &schema()).unwrap_err().to_string();
        assert!(said.starts_with("contamination = "), "{said}");
    }
}
