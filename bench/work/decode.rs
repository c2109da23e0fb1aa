//! Decoding: frames of one kind each, and the mixes.

use std::hint::black_box;

use phantomnet::capture::{Batch, TURN_FRAMES_MAX};
use phantomnet::decode;

use super::{Turn, Work};
use crate::inputs::frames::{batch_of, kinds};
use crate::inputs::mixes::Mix;

pub(super) fn works() -> Vec<Work> {
    let of_kinds = kinds().into_iter().map(|(name, frame)| {
        let turn = move || decoding(batch_of(std::iter::repeat_n(&frame[..], TURN_FRAMES_MAX)));
        Work::new(format!("decode/{name}"), TURN_FRAMES_MAX, turn)
    });
    let all_kinds = || {
        let kinds = kinds();
        let frames = kinds.iter().map(|(_, frame)| &frame[..]).cycle();
        decoding(batch_of(frames.take(TURN_FRAMES_MAX)))
    };
    let of_mixes = Mix::ALL.map(|mix| {
        Work::new(format!("decode/{}", mix.name()), TURN_FRAMES_MAX, move || {
            decoding(mix.play().next_batch())
        })
    });
    of_kinds
        .chain([Work::new("decode/all kinds", TURN_FRAMES_MAX, all_kinds)])
        .chain(of_mixes)
        .collect()
}

fn decoding(batch: Batch) -> Turn {
    Box::new(move || {
        for frame in batch.frames() {
            let _decoded_or_refused = black_box(decode::decode(&frame));
        }
    })
}
