//! What measuring needs besides the state of the source.

use jiff::tz::TimeZone;
use siphasher::sip::SipHasher13;

use super::DayClock;
use crate::address::Address;

/// What an operator may choose about features.
#[derive(Clone, Debug)]
pub struct FeatureParams {
    /// The time zone whose night feature 8 means.
    pub zone: TimeZone,
    /// The key under which destinations are hashed: random in `run`, configured in `replay`.
    pub destination_key: [u64; 2],
}

/// The instruments of one worker. All of its memory is taken when it is made.
#[derive(Clone, Debug)]
pub struct Meter {
    day: DayClock,
    destinations: SipHasher13,
    logarithms: Box<[f64]>,
}

/// How many logarithms are kept: 512 KiB, of which a source that counts on from packet to packet needs a line at a time.
const LOGARITHMS: u32 = 1 << 16;

impl Meter {
    /// Instruments that measure as `params` say.
    #[must_use]
    pub fn new(params: &FeatureParams) -> Self {
        let [key0, key1] = params.destination_key;
        Self {
            day: DayClock::new(params.zone.clone()),
            destinations: SipHasher13::new_with_keys(key0, key1),
            logarithms: (0..LOGARITHMS).map(|count| libm::log1p(f64::from(count))).collect(),
        }
    }

    /// The clock of feature 8.
    pub(super) const fn day(&mut self) -> &mut DayClock {
        &mut self.day
    }

    /// The keyed hash of a destination.
    pub(super) fn destination_hash(&self, destination: Address) -> u64 {
        self.destinations.hash(&destination.octets())
    }

    /// `ln(1 + count)`; the same bits whether it was kept or is computed.
    pub(super) fn log_of_one_more_than(&self, count: u64) -> f64 {
        let kept = usize::try_from(count).ok().and_then(|place| self.logarithms.get(place));
        kept.copied().unwrap_or_else(|| libm::log1p(count as f64))
    }
}
