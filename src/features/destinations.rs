//! How many different destinations a source has sent to: feature 13.

use super::schema::DESTINATIONS_EXACT;

/// The distinct destinations of one session, by their keyed hashes. How many there are is the owner's to keep: it is wanted with every packet,
/// and these words only with those that go elsewhere than the one before.
///
/// Up to [`DESTINATIONS_EXACT`] they are kept one by one, above that in a sketch. Adding one that is known changes nothing.
///
/// The sketch is a HyperLogLog of 256 registers (Flajolet, Fusy, Gandouet and Meunier, AofA 2007) with the estimator of Ertl, "New
/// cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284, 2017), algorithm 6, which needs no
/// correction tables and no change of method between small and large counts. Its standard error is 6.5 %.
///
/// A register has four bits: enough for about two million destinations; beyond that the estimate falls behind, and it
/// never exceeds about six million.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destinations([u64; WORDS]);

/// The words of a sketch: one for its sums, then the registers. The hashes of few destinations lie in the first ones.
const WORDS: usize = 1 + REGISTERS / REGISTERS_PER_WORD;
const REGISTERS_PER_WORD: usize = (u64::BITS / REGISTER_BITS) as usize;

const _: () = assert!(DESTINATIONS_EXACT <= WORDS, "few destinations share the words of many");

impl Destinations {
    /// Adds the destination with this hash to `known` ones. Returns how many there are, or are estimated to be, with it.
    ///
    /// With none known, whatever lies in the words is forgotten.
    pub(super) fn add(&mut self, known: u32, hash: u64) -> u32 {
        let count = usize::try_from(known).unwrap_or(usize::MAX);
        let Some(few) = self.0.get_mut(..DESTINATIONS_EXACT).filter(|few| count <= few.len())
        else {
            return if self.raise(hash) { self.estimate() } else { known };
        };
        if few.iter().take(count).any(|&other| other == hash) {
            return known;
        }
        if let Some(free) = few.get_mut(count) {
            *free = hash;
            return known + 1;
        }
        let kept = std::mem::take(self);
        for &hash in kept.0.iter().take(DESTINATIONS_EXACT).chain([&hash]) {
            self.raise(hash);
        }
        self.estimate()
    }

    /// Raises the register that `hash` falls to, if its rank is higher. Returns whether it was.
    fn raise(&mut self, hash: u64) -> bool {
        let [sums, registers @ ..] = &mut self.0;
        let [register, ..] = hash.to_le_bytes();
        let register = usize::from(register);
        let Some(word) = registers.get_mut(register / REGISTERS_PER_WORD) else { return false };
        let shift = (register % REGISTERS_PER_WORD) * REGISTER_BITS as usize;
        let (before, rank) = (*word >> shift & RANK_MAX, rank_of(hash));
        if rank <= before {
            return false;
        }
        *word ^= (before ^ rank) << shift;
        *sums += power(rank);
        if before == 0 {
            *sums += ONE_FILLED;
        } else {
            *sums -= power(before);
        }
        true
    }

    /// The sum of `2^-r` over the filled registers, in units of `2^-RANK_MAX`: exact, and kept up to date.
    const fn powers(&self) -> u64 {
        let [sums, ..] = self.0;
        sums % ONE_FILLED
    }

    /// How many registers are filled, which is to say above 0.
    const fn filled(&self) -> u64 {
        let [sums, ..] = self.0;
        sums / ONE_FILLED
    }

    /// The estimate of the sketch, rounded; at least one more than is kept exactly, for so many there were.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "below 2^23, see the type; a sum of 256 powers of at most 2^14"
    )]
    fn estimate(&self) -> u32 {
        let filled = usize::try_from(self.filled()).unwrap_or(REGISTERS).min(REGISTERS);
        let of_empty = EMPTY_TERMS.get(REGISTERS - filled).copied().unwrap_or_default();
        let of_filled = self.powers() as f64 / power(0) as f64;
        let estimate = SCALE / (of_empty + of_filled);
        ((estimate + 0.5) as u32).max(DESTINATIONS_EXACT as u32 + 1)
    }
}

impl Default for Destinations {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

/// One more than the zeros at the end of the hash, above the byte that names the register.
fn rank_of(hash: u64) -> u64 {
    let zeros = (hash >> u8::BITS).trailing_zeros();
    u64::from(zeros + 1).min(RANK_MAX)
}

/// `2^-rank` in units of `2^-RANK_MAX`.
const fn power(rank: u64) -> u64 {
    1 << (RANK_MAX - rank)
}

const REGISTERS: usize = 256;
const REGISTER_BITS: u32 = 4;
/// The highest rank that a register holds.
const RANK_MAX: u64 = (1 << REGISTER_BITS) - 1;
/// In the word of the sums: the powers below, the number of filled registers from here on.
const ONE_FILLED: u64 = 1 << 32;

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

    /// The words, and how many destinations they stand for.
    #[derive(Default)]
    struct Counted {
        words: Destinations,
        count: u32,
    }

    impl Counted {
        fn add(&mut self, hash: u64) {
            self.count = self.words.add(self.count, hash);
        }
    }

    fn hash_of(key: u64, nth: u32) -> u64 {
        SipHasher13::new_with_keys(key, !key).hash(&nth.to_le_bytes())
    }

    #[test]
    fn up_to_eight_are_counted_exactly_and_repeats_not_at_all() {
        let mut destinations = Counted::default();
        for distinct in 1..=8 {
            for _ in 0..3 {
                for nth in 0..distinct {
                    destinations.add(hash_of(1, nth));
                }
            }
            assert_eq!(destinations.count, distinct);
        }
        destinations.add(hash_of(1, 8));
        assert!(destinations.count >= 9);
    }

    #[test]
    fn with_none_known_what_was_left_by_another_session_does_not_count() {
        let mut destinations = Counted::default();
        (0..1_000).for_each(|nth| destinations.add(hash_of(1, nth)));
        destinations.count = 0;
        let mut fresh = Counted::default();
        for nth in 500..2_000 {
            destinations.add(hash_of(1, nth));
            fresh.add(hash_of(1, nth));
            assert_eq!(destinations.count, fresh.count);
        }
    }

    /// The contract: a standard error of at most 8 % up to 10,000; held here up to 20,000.
    #[test]
    fn the_standard_error_is_at_most_eight_percent_everywhere() {
        const KEYS: u32 = 400;
        const UP_TO: u32 = 20_000;
        let mut squares = vec![0.0_f64; UP_TO as usize + 1];
        let mut sums = vec![0.0_f64; UP_TO as usize + 1];
        for key in 0..KEYS {
            let mut destinations = Counted::default();
            for distinct in 1..=UP_TO {
                destinations.add(hash_of(u64::from(key), distinct));
                let error = f64::from(destinations.count) / f64::from(distinct) - 1.0;
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
        let mut destinations = Counted::default();
        for register in 0..256_u64 {
            destinations.add(register);
        }
        assert_eq!(destinations.count, 6_051_102);
    }

    proptest! {
        #[test]
        fn it_neither_shrinks_nor_depends_on_order(mut hashes in prop::collection::vec(any::<u64>(), 0..400)) {
            let mut destinations = Counted::default();
            let mut before = 0;
            for &hash in &hashes {
                destinations.add(hash);
                prop_assert!(destinations.count >= before);
                before = destinations.count;
            }
            hashes.sort_unstable();
            let mut sorted = Counted::default();
            hashes.iter().for_each(|&hash| sorted.add(hash));
            prop_assert_eq!(sorted.count, before);
        }

        #[test]
        fn what_is_kept_beside_the_registers_agrees_with_them(hashes in prop::collection::vec(any::<u64>(), 9..2000)) {
            let mut destinations = Counted::default();
            hashes.iter().for_each(|&hash| destinations.add(hash));
            if destinations.count > 8 {
                let [_, registers @ ..] = destinations.words.0;
                let ranks: Vec<u64> = registers.iter().flat_map(|word| (0..16).map(move |nth| word >> (4 * nth) & 15))
                    .filter(|&rank| rank > 0)
                    .collect();
                prop_assert_eq!(destinations.words.filled(), ranks.len() as u64);
                prop_assert_eq!(destinations.words.powers(), ranks.into_iter().map(power).sum::<u64>());
            }
        }
    }
}
