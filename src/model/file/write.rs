//! A model as its file. Numbers are written by hand, so that no library's taste becomes part of the format.

use std::fmt::{Display, Write};

use super::super::Model;
use super::super::forest::{Node, Tree};
use super::super::passport::{About, GoldenRow, TrainingData};
use super::FORMAT_VERSION;
use super::seal::seal;

/// How a model file begins.
pub(super) const MAGIC: &str = "{\"format\":\"phantomnet-model\",\"version\":";

pub(super) fn write(model: &Model) -> Vec<u8> {
    let mut body = String::new();
    let mut line = |text: String| {
        body.push_str(&text);
        body.push('\n');
    };
    line(format!("{MAGIC}{FORMAT_VERSION},"));
    line(format!("\"about\":{},", about(&model.about)));
    line(format!("\"schema\":{},", json(&model.schema)));
    line(format!("\"training\":{},", training(&model.training)));
    line(format!("\"calibration\":{},", calibration(model)));
    line(format!(
        "\"forest\":{{\"trees\":{},\"subsample\":{},\"depth\":{},\"nodes\":{},\"golden\":{}}},",
        model.forest.trees().len(),
        model.forest.subsample(),
        model.forest.depth(),
        model.forest.node_count(),
        model.golden.len(),
    ));
    line("\"trees\":[".into());
    separated(model.forest.trees().iter().map(tree), &mut line);
    line("],".into());
    line("\"golden\":[".into());
    separated(model.golden.iter().map(golden), &mut line);
    line("],".into());
    let seal = seal(body.as_bytes());
    body.push_str(&seal);
    body.into_bytes()
}

/// One item a line, a comma after all but the last.
fn separated(items: impl Iterator<Item = String>, line: &mut impl FnMut(String)) {
    let mut items = items.peekable();
    while let Some(mut item) = items.next() {
        if items.peek().is_some() {
            item.push(',');
        }
        line(item);
    }
}

fn about(about: &About) -> String {
    format!(
        "{{\"name\":{},\"created_at\":\"{}\",\"origin\":{}}}",
        json(&about.name),
        about.created_at,
        json(&about.origin)
    )
}

fn training(training: &TrainingData) -> String {
    format!(
        "{{\"rows\":{},\"sha256\":\"{}\",\"sources\":{},\"minimum\":{},\"maximum\":{}}}",
        training.rows,
        training.sha256,
        json(&training.sources),
        array(training.minimum.map(f64::from)),
        array(training.maximum.map(f64::from)),
    )
}

fn calibration(model: &Model) -> String {
    let calibration = &model.calibration;
    format!(
        "{{\"rows\":{},\"contamination\":{},\"offset\":{},\"scores\":{},\"below\":{},\"up_to\":{}}}",
        calibration.rows(),
        calibration.contamination(),
        calibration.offset(),
        array(calibration.knots().map(|knot| f64::from(knot.score))),
        array(calibration.knots().map(|knot| knot.below)),
        array(calibration.knots().map(|knot| knot.up_to)),
    )
}

/// Columns rather than nodes: half the size. A leaf has the feature -1, no children and some rows; a split has no rows.
fn tree(tree: &Tree) -> String {
    let nodes = tree.nodes().iter().map(|node| match *node {
        Node::Split { feature, threshold, left, right } => {
            (i16::from(feature), f64::from(threshold), left, right, 0)
        }
        Node::Leaf { rows } => (-1, 0.0, 0, 0, rows),
    });
    format!(
        "{{\"feature\":{},\"threshold\":{},\"left\":{},\"right\":{},\"rows\":{}}}",
        array(nodes.clone().map(|node| node.0)),
        array(nodes.clone().map(|node| node.1)),
        array(nodes.clone().map(|node| node.2)),
        array(nodes.clone().map(|node| node.3)),
        array(nodes.map(|node| node.4)),
    )
}

fn golden(golden: &GoldenRow) -> String {
    format!(
        "{{\"row\":{},\"path_sum\":{},\"score_bits\":{}}}",
        array(golden.row.0.map(f64::from)),
        golden.path_sum,
        golden.score.value().to_bits()
    )
}

/// The shortest decimals that give the same number back; no exponent, ever. An f32 is written as the f64 it equals, because
/// reading goes through f64 and must not round twice.
fn array<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let mut text = String::from("[");
    for (nth, value) in values.into_iter().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        write!(text, "{comma}{value}").expect("a String takes everything");
    }
    text.push(']');
    text
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("strings and integers always serialise")
}
