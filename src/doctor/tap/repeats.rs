//! IP packets that come twice.

use std::hash::{BuildHasher, RandomState};

use crate::time::Timestamp;

/// How long a packet is remembered at most: both copies of a mirrored frame pass within the queue of one switch.
const WINDOW_NANOS: i64 = 100_000_000;

/// Packets that are remembered at once; a later one takes the place of an earlier one.
const PLACES: usize = 1 << 16;

/// The packets of the last moment, each as the hash of its bytes and when it came.
///
/// The hash has a random key and 64 bits: that two different packets look the same is not to be expected within a lifetime.
#[derive(Debug)]
pub(super) struct Repeats {
    key: RandomState,
    places: Vec<(u64, Timestamp)>,
}

impl Repeats {
    pub(super) fn new() -> Self {
        Self { key: RandomState::new(), places: vec![(0, Timestamp::EPOCH); PLACES] }
    }

    /// Whether the same bytes came a moment ago; from now on they have.
    pub(super) fn has_come_twice(
        &mut self,
        packet: &[u8],
        wire_length: u32,
        time: Timestamp,
    ) -> bool {
        let hash = self.key.hash_one((packet, wire_length));
        #[expect(clippy::cast_possible_truncation, reason = "some of its bits choose a place")]
        let place = hash as usize % PLACES;
        let Some(place) = self.places.get_mut(place) else { return false };
        let (before, when) = std::mem::replace(place, (hash, time));
        // The queues of a card are read one after the other, so the second can be the earlier one.
        before == hash && time.nanos_since(when).max(when.nanos_since(time)) <= WINDOW_NANOS
    }
}
