//! The isolation forest: rows in batches of several sizes, on the model that comes with the program.

use std::hint::black_box;

use phantomnet::capture::TURN_FRAMES_MAX;
use phantomnet::model::AnomalyScore;

use super::{Turn, Work};
use crate::inputs::detection::model;
use crate::inputs::rows::rows;

/// Rows that are scored at once.
const BATCHES: [usize; 4] = [1, 8, 64, 256];

/// Different rows, in turns: with few of them the processor would learn each one's way through the trees.
const ROWS: usize = 16 * TURN_FRAMES_MAX;

pub(super) fn works() -> Vec<Work> {
    let work = |batch| {
        Work::new(format!("forest/{batch} at once"), TURN_FRAMES_MAX, move || scoring(batch))
    };
    BATCHES.map(work).into()
}

fn scoring(batch: usize) -> Turn {
    let (model, rows) = (model(), rows(ROWS));
    let mut scores = [AnomalyScore::AVERAGE; TURN_FRAMES_MAX];
    let mut turn = 0;
    Box::new(move || {
        let rows = rows.chunks(TURN_FRAMES_MAX).nth(turn % (ROWS / TURN_FRAMES_MAX));
        for (rows, scores) in rows.unwrap_or_default().chunks(batch).zip(scores.chunks_mut(batch)) {
            model.score_batch(rows, scores);
        }
        black_box(&mut scores);
        turn += 1;
    })
}
