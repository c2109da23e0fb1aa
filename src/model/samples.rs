//! Forests and rows for tests.

use ndarray::Array2;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::features::{FEATURES, FeatureVector};

use super::Model;
use super::forest::{Forest, Node, Tree};
use super::passport::{DataSource, ExpectedSchema};
use super::train::{TrainParams, train};

/// A schema of fifteen features that are named by letters.
pub(super) fn schema() -> ExpectedSchema {
    let letters: [char; FEATURES] =
        "abcdefghijklmno".chars().collect::<Vec<_>>().try_into().unwrap();
    let names = letters.map(|letter| format!("feature_{letter}"));
    ExpectedSchema { version: 1, fingerprint: "5".repeat(64), names }
}

/// A model small enough to be damaged a thousand times.
pub(super) fn model() -> Model {
    let params = TrainParams {
        trees: 3,
        subsample: 16,
        name: "sample \"quoted\"".into(),
        sources: vec![DataSource { name: "a.csv".into(), sha256: "0".repeat(64), rows: 40 }],
        ..TrainParams::default()
    };
    train(&rows(40, 5), &params, &schema()).unwrap()
}

/// Rows shaped like traffic: lengths, codes, rates, many zeros, many ties.
pub(super) fn rows(count: usize, seed: u64) -> Vec<FeatureVector> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            let mut row = [0.0_f32; FEATURES];
            for (feature, value) in row.iter_mut().enumerate() {
                let share: f32 = random.r#gen();
                *value = match feature {
                    0 => (40.0 + share * share * 1_460.0).round(),
                    1 | 3 => (share * 4.0).floor(),
                    4..=7 | 10 if share < 0.8 => 0.0,
                    13 | 14 => share * 20.0 - 10.0,
                    _ => (-100.0 * (1.0 - share).ln()).round() / 4.0,
                };
            }
            FeatureVector(row)
        })
        .collect()
}

pub(super) fn matrix(count: usize, seed: u64) -> Array2<f32> {
    let values = rows(count, seed).into_iter().flat_map(|row| row.0).collect();
    Array2::from_shape_vec((count, FEATURES), values).unwrap()
}

/// A small forest, the same in every test.
pub(super) fn forest() -> Forest {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    any_shape(&mut random, 7, 5)
}

/// Any forest: 1 to 24 trees of any shape, down to a single leaf, at most 12 deep.
pub(super) fn any_forest() -> impl Strategy<Value = Forest> {
    (any::<u64>(), 1..25_usize, 0..13_u32).prop_map(|(seed, trees, depth)| {
        any_shape(&mut Xoshiro256PlusPlus::seed_from_u64(seed), trees, depth)
    })
}

/// Any row, half of its values on a grid that thresholds lie on too.
pub(super) fn any_row() -> impl Strategy<Value = FeatureVector> {
    prop::array::uniform15(prop_oneof![
        (-8_i8..8).prop_map(f32::from),
        any::<f32>().prop_filter("finite", |value| value.is_finite()),
    ])
    .prop_map(FeatureVector)
}

fn any_shape(random: &mut Xoshiro256PlusPlus, trees: usize, depth: u32) -> Forest {
    let trees = (0..trees)
        .map(|_| {
            let mut nodes = vec![];
            grow(random, &mut nodes, depth);
            Tree::new(nodes).unwrap()
        })
        .collect();
    Forest::new(trees, random.gen_range(2..1_000)).unwrap()
}

fn grow(random: &mut Xoshiro256PlusPlus, nodes: &mut Vec<Node>, depth: u32) -> u32 {
    let index = nodes.len();
    nodes.push(Node::Leaf { rows: random.gen_range(1..50) });
    if depth > 0 && random.gen_range(0..10) > 2 {
        let feature = random.gen_range(0..15);
        let threshold = f32::from(random.gen_range(-8_i8..8));
        let left = grow(random, nodes, depth - 1);
        let right = grow(random, nodes, depth - 1);
        nodes[index] = Node::Split { feature, threshold, left, right };
    }
    u32::try_from(index).unwrap()
}
