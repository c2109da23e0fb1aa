//! How many different destinations a source has sent to: feature 13.

use std::num::NonZeroU16;

use super::schema::DESTINATIONS_EXACT;

/// The distinct destinations of one session, by their keyed hashes.
///
/// Up to [`DESTINATIONS_EXACT`] they are kept one by one, above that in a sketch. Adding one that is known changes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destinations {
    Few { hashes: [u64; DESTINATIONS_EXACT], count: u8 },
    Many(Sketch),
}

impl Destinations {
    /// Adds the destination with this hash.
    pub(super) fn add(&mut self, hash: u64) {
        match self {
            Self::Many(sketch) => sketch.add(hash),
            Self::Few { hashes, count } => {
                let known = usize::from(*count);
                if hashes.iter().take(known).any(|&other| other == hash) {
                    return;
                }
                match hashes.get_mut(known) {
                    Some(free) => {
                        *free = hash;
                        *count += 1;
                    }
                    None => *self = Self::Many(Sketch::of(hashes, hash)),
                }
            }
        }
    }

    /// How many there are, or are estimated to be.
    pub(super) fn count(&self) -> u32 {
        match self {
            Self::Few { count, .. } => u32::from(*count),
            Self::Many(sketch) => sketch.estimate(),
        }
    }
}

impl Default for Destinations {
    fn default() -> Self {
        Self::Few { hashes: [0; DESTINATIONS_EXACT], count: 0 }
    }
}

/// A HyperLogLog of 256 registers (Flajolet, Fusy, Gandouet and Meunier, AofA 2007) with the estimator of Ertl, "New
/// cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284, 2017), algorithm 6, which needs no
/// correction tables and no change of method between small and large counts. Its standard error is 6.5 %.
///
/// A register has four bits: enough for about two million destinations; beyond that the estimate falls behind, and it
/// never exceeds about six million.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sketch {
    registers: Registers,
    /// The sum of `2^-r` over the filled registers, in units of `2^-RANK_MAX`: exact, and kept up to date.
    powers: u32,
    /// How many registers are filled, which is to say above 0.
    filled: NonZeroU16,
}

impl Sketch {
    /// A sketch of the destinations with the hashes `known` and `another`.
    fn of(known: &[u64; DESTINATIONS_EXACT], another: u64) -> Self {
        let mut registers = Registers::default();
        let powers = registers.raise(another).map_or(0, |(_, rank)| power(rank));
        let mut sketch = Self { registers, powers, filled: NonZeroU16::MIN };
        for &hash in known {
            sketch.add(hash);
        }
        sketch
    }

    fn add(&mut self, hash: u64) {
        let Some((before, rank)) = self.registers.raise(hash) else { return };
        self.powers += power(rank);
        if before == 0 {
            self.filled = self.filled.saturating_add(1);
        } else {
            self.powers -= power(before);
        }
    }

    /// The estimate, rounded; at least one more than is kept exactly, for so many there were.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below 2^23, see the type"
    )]
    fn estimate(&self) -> u32 {
        let empty = REGISTERS - usize::from(self.filled.get()).min(REGISTERS);
        let of_empty = EMPTY_TERMS.get(empty).copied().unwrap_or_default();
        let of_filled = f64::from(self.powers) / f64::from(power(0));
        let estimate = SCALE / (of_empty + of_filled);
        ((estimate + 0.5) as u32).max(DESTINATIONS_EXACT as u32 + 1)
    }
}

/// 256 registers of four bits, two to a byte.
#[derive(Clone, Copy, Debug)]
struct Registers([u8; REGISTERS / 2]);

impl Registers {
    /// Raises the register that `hash` falls to, if its rank is higher: then the rank before and the rank now.
    fn raise(&mut self, hash: u64) -> Option<(u8, u8)> {
        let [register, ..] = hash.to_le_bytes();
        let pair = self.0.get_mut(usize::from(register >> 1))?;
        let (before, other) = match register & 1 {
            0 => (*pair & RANK_MAX, *pair & !RANK_MAX),
            _ => (*pair >> REGISTER_BITS, *pair & RANK_MAX),
        };
        let rank = rank_of(hash);
        if rank <= before {
            return None;
        }
        *pair = other | (rank << ((register & 1) * REGISTER_BITS));
        Some((before, rank))
    }
}

impl Default for Registers {
    fn default() -> Self {
        Self([0; REGISTERS / 2])
    }
}

/// One more than the zeros at the end of the hash, above the byte that names the register.
fn rank_of(hash: u64) -> u8 {
    let zeros = (hash >> u8::BITS).trailing_zeros();
    u8::try_from(zeros + 1).unwrap_or(RANK_MAX).min(RANK_MAX)
}

/// `2^-rank` in units of `2^-RANK_MAX`.
const fn power(rank: u8) -> u32 {
    1 << (RANK_MAX - rank)
}

const REGISTERS: usize = 256;
const REGISTER_BITS: u8 = 4;
/// The highest rank that a register holds.
const RANK_MAX: u8 = (1 << REGISTER_BITS) - 1;

const _: () = assert!(REGISTERS == 1 << u8::BITS, "one byte of the hash names the register");

/// `m^2 / (2 ln 2)`.
const SCALE: f64 = (REGISTERS * REGISTERS) as f64 * 0.5 / std::f64::consts::LN_2;

/// `m * sigma(empty / m)` for every number of empty registers, where sigma(x) is the sum of x and all
/// `2^(k-1) * x^(2^k)` for k >= 1. With all of them empty the sum is infinite; a sketch is never so.
const EMPTY_TERMS: [f64; REGISTERS + 1] = {
    let mut terms = [0.0; REGISTERS + 1];
    let mut empty = 0;
    #[expect(clippy::indexing_slicing, reason = "computed when the crate is built")]
    while empty < REGISTERS {
        let mut power = empty as f64 / REGISTERS as f64;
        let mut factor = 1.0;
        let mut sum = power;
        while power > 1e-30 {
            power *= power;
            sum += power * factor;
            factor *= 2.0;
        }
        terms[empty] = REGISTERS as f64 * sum;
        empty += 1;
    }
    terms[REGISTERS] = f64::INFINITY;
    terms
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    use super::*;

    fn hash_of(key: u64, nth: u32) -> u64 {
        SipHasher13::new_with_keys(key, !key).hash(&nth.to_le_bytes())
    }

    #[test]
    fn up_to_eight_are_counted_exactly_and_repeats_not_at_all() {
        let mut destinations = Destinations::default();
        for distinct in 1..=8 {
            for _ in 0..3 {
                for nth in 0..distinct {
                    destinations.add(hash_of(1, nth));
                }
            }
            assert_eq!(destinations.count(), distinct);
        }
        destinations.add(hash_of(1, 8));
        assert!(destinations.count() >= 9);
    }

    /// The contract: a standard error of at most 8 % up to 10,000; held here up to 20,000.
    #[test]
    fn the_standard_error_is_at_most_eight_percent_everywhere() {
        const KEYS: u32 = 400;
        const UP_TO: u32 = 20_000;
        let mut squares = vec![0.0_f64; UP_TO as usize + 1];
        let mut sums = vec![0.0_f64; UP_TO as usize + 1];
        for key in 0..KEYS {
            let mut destinations = Destinations::default();
            for distinct in 1..=UP_TO {
                destinations.add(hash_of(u64::from(key), distinct));
                let error = f64::from(destinations.count()) / f64::from(distinct) - 1.0;
                squares[distinct as usize] += error * error;
                sums[distinct as usize] += error;
            }
        }
        let keys = f64::from(KEYS);
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let error = largest(&mut squares.iter().map(|square| (square / keys).sqrt()));
        // Just above eight, rounding to whole destinations shows.
        let (small, large) = sums.split_at(32);
        let bias_small = largest(&mut small.iter().map(|sum| (sum / keys).abs()));
        let bias_large = largest(&mut large.iter().map(|sum| (sum / keys).abs()));
        println!(
            "standard error {error:.4}; mean error {bias_small:.4}, {bias_large:.4} from 32 on"
        );
        assert!(error <= 0.08 && bias_small <= 0.03 && bias_large <= 0.015);
    }

    #[test]
    fn a_full_sketch_still_has_a_finite_estimate() {
        let mut destinations = Destinations::default();
        for register in 0..256_u64 {
            destinations.add(register);
        }
        assert_eq!(destinations.count(), 6_051_102);
    }

    proptest! {
        #[test]
        fn it_neither_shrinks_nor_depends_on_order(mut hashes in prop::collection::vec(any::<u64>(), 0..400)) {
            let mut destinations = Destinations::default();
            let mut before = 0;
            for &hash in &hashes {
                destinations.add(hash);
                prop_assert!(destinations.count() >= before);
                before = destinations.count();
            }
            hashes.sort_unstable();
            let mut sorted = Destinations::default();
            hashes.iter().for_each(|&hash| sorted.add(hash));
            prop_assert_eq!(sorted.count(), before);
        }

        #[test]
        fn what_is_kept_beside_the_registers_agrees_with_them(hashes in prop::collection::vec(any::<u64>(), 9..2000)) {
            let mut destinations = Destinations::default();
            hashes.iter().for_each(|&hash| destinations.add(hash));
            if let Destinations::Many(sketch) = destinations {
                let ranks: Vec<u8> = sketch.registers.0.iter().flat_map(|pair| [pair & 15, pair >> 4])
                    .filter(|&rank| rank > 0)
                    .collect();
                prop_assert_eq!(usize::from(sketch.filled.get()), ranks.len());
                prop_assert_eq!(sketch.powers, ranks.into_iter().map(power).sum::<u32>());
            }
        }
    }
}
