//! Intelligence: what is known of an address, in small and in large sets.

use std::hint::black_box;

use phantomnet::address::Address;

use super::{Turn, Work};
use crate::inputs::detection::intel;
use crate::inputs::random::Random;

/// So many addresses are asked for in one turn: more than the upper levels of the caches keep.
const ADDRESSES: usize = 1 << 16;

/// Random networks; few of the largest set are drawn twice.
const PREFIXES: [usize; 3] = [10, 100_000, 5_000_000];

pub(super) fn works() -> Vec<Work> {
    let work = |prefixes| {
        Work::new(format!("intel/{prefixes} prefixes"), ADDRESSES, move || asking(prefixes))
    };
    PREFIXES.map(work).into()
}

fn asking(prefixes: usize) -> Turn {
    let (set, mut random) = (intel(prefixes), Random::new(9));
    let addresses: Vec<Address> =
        (0..ADDRESSES).map(|_| Address::v4(random.below(u32::MAX).to_be_bytes())).collect();
    Box::new(move || {
        for address in &addresses {
            black_box(set.lookup(*address));
        }
    })
}
