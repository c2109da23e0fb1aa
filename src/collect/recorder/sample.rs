//! Which packets get a row, and for how many each stands.

use super::params::{EventParams, StorePolicy};
use crate::verdict::Level;

/// Lets one in so many SAFE packets through, exactly: the last of every so many. No chance is involved, so that a replay
/// gives the same rows again.
#[derive(Debug)]
pub(super) struct Sampler {
    one_in: u32,
    left_out: u32,
}

impl Sampler {
    pub(super) const fn new(params: &EventParams) -> Self {
        let one_in = match params.store {
            StorePolicy::All => 1,
            StorePolicy::Notable => params.safe_one_in,
        };
        Self { one_in, left_out: 0 }
    }

    /// For how many packets the next one stands that was judged `level`; `None` if it is left out.
    pub(super) fn weight(&mut self, level: Level) -> Option<u64> {
        if level > Level::Safe {
            return Some(1);
        }
        self.left_out = self.left_out.saturating_add(1);
        (self.left_out == self.one_in).then(|| {
            self.left_out = 0;
            u64::from(self.one_in)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(store: StorePolicy, safe_one_in: u32, levels: &[Level]) -> Vec<Option<u64>> {
        let params = EventParams { store, safe_one_in, ..EventParams::default() };
        let mut sampler = Sampler::new(&params);
        levels.iter().map(|level| sampler.weight(*level)).collect()
    }

    #[test]
    fn the_last_of_every_so_many_stands_for_all_of_them() {
        use Level::{Critical, Safe, Warning};
        let levels = [Safe, Warning, Safe, Critical, Safe, Safe, Safe];
        let kept = [None, Some(1), None, Some(1), Some(3), None, None];
        assert_eq!(weights(StorePolicy::Notable, 3, &levels), kept);
        assert_eq!(weights(StorePolicy::All, 3, &levels), [Some(1); 7]);
        assert_eq!(weights(StorePolicy::Notable, 1, &levels), [Some(1); 7]);
        let notable = [None, Some(1), None, Some(1), None, None, None];
        assert_eq!(weights(StorePolicy::Notable, 0, &levels), notable);
    }
}
