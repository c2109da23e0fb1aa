//! The gate. Every line is proven before the next is looked at; only what passed all of it becomes a [`Model`].

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::features::{FEATURES, FeatureVector};
use crate::time::Timestamp;

use super::super::calibration::{Calibration, Knot};
use super::super::forest::{Forest, NODES_MAX, Node, TREES_MAX, Tree};
use super::super::passport::{
    self, About, DataSource, ExpectedSchema, GOLDEN_ROWS, GoldenRow, Origin, TrainingData,
};
use super::super::score::AnomalyScore;
use super::super::{Model, Parts};
use super::error::{Fault, ModelError};
use super::seal::unseal;
use super::write::MAGIC;
use super::{FILE_BYTES_MAX, FIXED_LINES, FORMAT_VERSION};

pub(super) fn read(
    file: &str,
    bytes: &[u8],
    expected: &ExpectedSchema,
) -> Result<Model, ModelError> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ModelError::whole_file(file, Fault::TooLarge));
    }
    check_version(bytes).map_err(|fault| ModelError::at(file, 1, fault))?;
    let body = unseal(file, bytes)?;
    let mut lines = Lines::of(file, body)?;
    lines.next()?; // The version, read above.
    let about = lines.section("about", about)?;
    let schema = lines.section("schema", |found| schema(found, expected))?;
    let training = lines.section("training", |found| training(found, &about))?;
    let calibration = lines.section("calibration", calibration)?;
    let declared = lines.section("forest", |found| Declared::check(&found))?;
    let forest = forest(&mut lines, &declared)?;
    let golden = golden(&mut lines, &declared, &forest)?;
    lines.end()?;
    prove(
        file,
        bytes,
        Model::assemble(Parts { about, schema, training, forest, calibration, golden }),
    )
}

/// What can be asked of the whole model only: it scores as it will score packets, and it is spelled as it would be written.
pub(super) fn prove(file: &str, bytes: &[u8], model: Model) -> Result<Model, ModelError> {
    check_live_scores(file, &model)?;
    check_spelling(file, bytes, &model)?;
    Ok(model)
}

/// The golden rows once more, through the forest that packets meet: all of them as one batch, and each alone.
fn check_live_scores(file: &str, model: &Model) -> Result<(), ModelError> {
    let rows: Vec<FeatureVector> = model.golden.iter().map(|golden| golden.row).collect();
    let mut together = vec![AnomalyScore::default(); rows.len()];
    model.score_batch(&rows, &mut together);
    let first_line = FIXED_LINES + model.forest.trees().len();
    for ((golden, in_batch), nth) in model.golden.iter().zip(together).zip(1..) {
        let stated = golden.score.value();
        for (way, found) in [("in a batch", in_batch), ("alone", model.score(&golden.row))] {
            if found.value().to_bits() != stated.to_bits() {
                let found = found.value();
                let fault = Fault::LiveScore { row: nth, way, found, stated };
                return Err(ModelError::at(file, (first_line + nth - 1) as u64, fault));
            }
        }
    }
    Ok(())
}

fn check_version(bytes: &[u8]) -> Result<(), Fault> {
    let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or(Fault::NotAModel)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    let found = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    match found {
        Some(FORMAT_VERSION) if rest.starts_with(b",\n") => Ok(()),
        Some(FORMAT_VERSION) | None => Err(Fault::NotAModel),
        Some(found) => Err(Fault::Version { found }),
    }
}

/// A model has one spelling, so its bytes can be compared, hashed and signed.
fn check_spelling(file: &str, bytes: &[u8], model: &Model) -> Result<(), ModelError> {
    let canonical = model.to_bytes();
    if bytes == canonical {
        return Ok(());
    }
    let line_feed = |byte: &u8| *byte == b'\n';
    let pairs = bytes.split(line_feed).zip(canonical.split(line_feed));
    let line =
        pairs.zip(1..).find(|((found, right), _)| found != right).map_or(1, |(_, line)| line);
    Err(ModelError::at(file, line, Fault::Spelling))
}

/// The lines of a file that has been unsealed.
struct Lines<'a> {
    file: &'a str,
    rest: std::str::Lines<'a>,
    number: u64,
}

impl<'a> Lines<'a> {
    fn of(file: &'a str, body: &'a [u8]) -> Result<Self, ModelError> {
        match std::str::from_utf8(body) {
            Ok(text) => Ok(Self { file, rest: text.lines(), number: 0 }),
            Err(error) => {
                let before = body.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
                Err(ModelError::at(file, line, Fault::Form("not UTF-8".into())))
            }
        }
    }

    fn fail(&self, fault: Fault) -> ModelError {
        ModelError::at(self.file, self.number, fault)
    }

    fn next(&mut self) -> Result<&'a str, ModelError> {
        self.number += 1;
        self.rest.next().ok_or_else(|| self.fail(Fault::Form("a line is missing here".into())))
    }

    /// A line that can only be this one.
    fn literal(&mut self, wanted: &str) -> Result<(), ModelError> {
        if self.next()? == wanted {
            return Ok(());
        }
        Err(self.fail(Fault::Form(format!("expected {wanted}"))))
    }

    /// The line `"key":VALUE,`, proven by `prove`.
    fn section<T: DeserializeOwned, R>(
        &mut self,
        key: &str,
        prove: impl FnOnce(T) -> Result<R, Fault>,
    ) -> Result<R, ModelError> {
        let line = self.next()?;
        let value = line
            .strip_prefix('"')
            .and_then(|rest| rest.strip_prefix(key))
            .and_then(|rest| rest.strip_prefix("\":"))
            .and_then(|rest| rest.strip_suffix(','))
            .ok_or_else(|| self.fail(Fault::Form(format!("expected \"{key}\": and a value"))))?;
        self.value(value, prove)
    }

    /// `count` lines, one item each, between `"key":[` and `],`.
    fn items<T: DeserializeOwned, R>(
        &mut self,
        key: &str,
        count: usize,
        mut prove: impl FnMut(usize, T) -> Result<R, Fault>,
    ) -> Result<Vec<R>, ModelError> {
        self.literal(&format!("\"{key}\":["))?;
        let mut items = Vec::with_capacity(count);
        for nth in 1..=count {
            let line = self.next()?;
            let item = if nth < count { line.strip_suffix(',') } else { Some(line) };
            let item =
                item.ok_or_else(|| self.fail(Fault::Form("expected a comma at its end".into())))?;
            items.push(self.value(item, |value| prove(nth, value))?);
        }
        self.literal("],")?;
        Ok(items)
    }

    fn value<T: DeserializeOwned, R>(
        &self,
        text: &str,
        prove: impl FnOnce(T) -> Result<R, Fault>,
    ) -> Result<R, ModelError> {
        let value = serde_json::from_str(text).map_err(|error| {
            // The library counts lines within the value; ours is the line that the operator sees.
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default().to_owned();
            self.fail(Fault::Form(said))
        })?;
        prove(value).map_err(|fault| self.fail(fault))
    }

    fn end(&mut self) -> Result<(), ModelError> {
        match self.rest.next() {
            None => Ok(()),
            Some(_) => {
                self.number += 1;
                Err(self.fail(Fault::Form("a line too many".into())))
            }
        }
    }
}

/// An f64 that is an f32, finite.
fn exact(value: f64) -> Result<f32, Fault> {
    #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
    let narrow = value as f32;
    if narrow.is_finite() && f64::from(narrow) == value {
        return Ok(narrow);
    }
    Err(Fault::Content(format!("{value} is not a finite 32-bit float")))
}

fn exact_row(values: [f64; FEATURES]) -> Result<[f32; FEATURES], Fault> {
    let mut row = [0.0; FEATURES];
    for (slot, value) in row.iter_mut().zip(values) {
        *slot = exact(value)?;
    }
    Ok(row)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAbout {
    name: String,
    created_at: String,
    origin: Origin,
}

fn about(raw: RawAbout) -> Result<About, Fault> {
    let RawAbout { name, created_at, origin } = raw;
    let nanos = created_at
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|moment| i64::try_from(moment.as_nanosecond()).ok())
        .ok_or_else(|| {
            Fault::Content(format!("created_at is {created_at:?}, not a time of RFC 3339"))
        })?;
    let about = About { name, created_at: Timestamp::from_nanos(nanos), origin };
    passport::check_words(&about, &[]).map_err(Fault::Content)?;
    Ok(about)
}

fn schema(found: ExpectedSchema, expected: &ExpectedSchema) -> Result<ExpectedSchema, Fault> {
    if found == *expected {
        return Ok(found);
    }
    let describe = |schema: &ExpectedSchema| {
        format!("features of schema {} with the fingerprint {}", schema.version, schema.fingerprint)
    };
    let (mut found_text, mut expected_text) = (describe(&found), describe(expected));
    if found_text == expected_text {
        found_text = format!("the features {}", found.names.join(", "));
        expected_text = expected.names.join(", ");
    }
    Err(Fault::Schema { found: found_text, expected: expected_text })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTraining {
    rows: u64,
    sha256: String,
    sources: Vec<DataSource>,
    minimum: [f64; FEATURES],
    maximum: [f64; FEATURES],
}

fn training(raw: RawTraining, about: &About) -> Result<TrainingData, Fault> {
    let RawTraining { rows, sha256, sources, minimum, maximum } = raw;
    passport::check_words(about, &sources).map_err(Fault::Content)?;
    passport::check_sha256("sha256", &sha256).map_err(Fault::Content)?;
    let (minimum, maximum) = (exact_row(minimum)?, exact_row(maximum)?);
    if let Some(feature) = minimum.iter().zip(&maximum).position(|(least, most)| least > most) {
        return Err(Fault::Content(format!("feature {feature}: the minimum is above the maximum")));
    }
    Ok(TrainingData { rows, sha256, sources, minimum, maximum })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalibration {
    rows: u64,
    contamination: f64,
    offset: f64,
    scores: Vec<f64>,
    below: Vec<u64>,
    up_to: Vec<u64>,
}

fn calibration(raw: RawCalibration) -> Result<Calibration, Fault> {
    let RawCalibration { rows, contamination, offset, scores, below, up_to } = raw;
    if scores.len() != below.len() || scores.len() != up_to.len() {
        return Err(Fault::Content("scores, below and up_to differ in length".into()));
    }
    let counts = below.into_iter().zip(up_to);
    let knots = scores
        .into_iter()
        .zip(counts)
        .map(|(score, (below, up_to))| Ok(Knot { score: exact(score)?, below, up_to }));
    let knots = knots.collect::<Result<Vec<Knot>, Fault>>()?;
    Calibration::from_knots(rows, contamination, offset, &knots).map_err(Fault::Content)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeclared {
    trees: usize,
    subsample: u32,
    depth: u32,
    nodes: usize,
    golden: usize,
}

/// What the file says is to come, within limits: how many lines to expect.
struct Declared(RawDeclared);

impl Declared {
    fn check(raw: &RawDeclared) -> Result<Self, Fault> {
        let RawDeclared { trees, subsample, depth, nodes, golden } = *raw;
        if trees == 0 || trees > TREES_MAX {
            return Err(Fault::Content(format!(
                "{trees} trees; from 1 to {TREES_MAX} are allowed"
            )));
        }
        if nodes > NODES_MAX {
            return Err(Fault::Content(format!("{nodes} nodes; at most {NODES_MAX} are allowed")));
        }
        if !GOLDEN_ROWS.contains(&golden) {
            let (least, most) = (GOLDEN_ROWS.start(), GOLDEN_ROWS.end());
            return Err(Fault::Content(format!(
                "{golden} golden rows; from {least} to {most} are needed"
            )));
        }
        Ok(Self(RawDeclared { trees, subsample, depth, nodes, golden }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTree {
    feature: Vec<i16>,
    threshold: Vec<f64>,
    left: Vec<u32>,
    right: Vec<u32>,
    rows: Vec<u32>,
}

fn tree(raw: RawTree) -> Result<Tree, Fault> {
    let RawTree { feature, threshold, left, right, rows } = raw;
    let count = feature.len();
    if [threshold.len(), left.len(), right.len(), rows.len()] != [count; 4] {
        return Err(Fault::Content("the columns of the tree differ in length".into()));
    }
    let children = left.into_iter().zip(right);
    let splits = feature.into_iter().zip(threshold).zip(children).zip(rows);
    let nodes = splits.map(|(((feature, threshold), (left, right)), rows)| {
        let threshold = exact(threshold)?;
        match u8::try_from(feature) {
            Ok(feature) => Ok(Node::Split { feature, threshold, left, right }),
            Err(_) if feature == -1 => Ok(Node::Leaf { rows }),
            Err(_) => Err(Fault::Content(format!("feature {feature}; the schema has {FEATURES}"))),
        }
    });
    let nodes = nodes.collect::<Result<Vec<Node>, Fault>>()?;
    Tree::new(nodes).map_err(|why| Fault::Content(why.to_string()))
}

fn forest(lines: &mut Lines<'_>, declared: &Declared) -> Result<Forest, ModelError> {
    let RawDeclared { trees, subsample, depth, nodes, .. } = declared.0;
    let mut nodes_left = nodes;
    let trees = lines.items("trees", trees, |_, raw| {
        let tree = tree(raw)?;
        nodes_left = nodes_left.checked_sub(tree.nodes().len()).ok_or_else(|| {
            Fault::Content(format!("more than the {nodes} nodes that \"forest\" states"))
        })?;
        Ok(tree)
    })?;
    let forest =
        Forest::new(trees, subsample).map_err(|why| lines.fail(Fault::Content(why.to_string())))?;
    if nodes_left != 0 || forest.depth() != depth {
        let (nodes, depth) = (forest.node_count(), forest.depth());
        let why =
            format!("the trees have {nodes} nodes and depth {depth}; \"forest\" states otherwise");
        return Err(lines.fail(Fault::Content(why)));
    }
    Ok(forest)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGolden {
    row: [f64; FEATURES],
    path_sum: u64,
    score_bits: u32,
}

fn golden(
    lines: &mut Lines<'_>,
    declared: &Declared,
    forest: &Forest,
) -> Result<Vec<GoldenRow>, ModelError> {
    lines.items("golden", declared.0.golden, |nth, raw: RawGolden| {
        let row = FeatureVector(exact_row(raw.row)?);
        let score = AnomalyScore::new(f32::from_bits(raw.score_bits))
            .ok_or_else(|| Fault::Content("score_bits are not a score".into()))?;
        let found = forest.path_sum(&row);
        if found != raw.path_sum || forest.score(&row) != score {
            return Err(Fault::Golden { row: nth, found, stated: raw.path_sum });
        }
        Ok(GoldenRow { row, path_sum: found, score })
    })
}
