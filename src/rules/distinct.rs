//! How many different values were seen, in a fixed number of bytes.

use libm::{log, round};

/// Up to this many different values are counted exactly (but for values whose 32-bit hashes are equal).
pub const DISTINCT_EXACT_MAX: usize = 32;

/// Standard error of the count beyond [`DISTINCT_EXACT_MAX`], as a share of it: 1.04 / sqrt(128).
pub const DISTINCT_STANDARD_ERROR: f64 = 0.092;

/// A count of different values: their hashes while there are few, then registers of a HyperLogLog (Flajolet, Fusy, Gandouet
/// and Meunier, 2007) with its correction for small counts, in the same bytes. These lie apart, in [`Cells`], which every call is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct DistinctCount {
    /// The sum of `2^-rank` over the registers that are above 0, in units of `2^-RANK_MAX`: exact, and kept up to date.
    powers: u32,
    /// How many registers are 0.
    zeros: u8,
    /// How many hashes stand in the cells, or [`REGISTERS`].
    kept: u8,
}

/// The bytes of a count, two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Cells([u8; CELLS]);

const CELLS: usize = 128;
const HASH_BYTES: usize = 4;
/// `kept` has this value when the cells are registers.
const REGISTERS: u8 = u8::MAX;
/// Bits of a hash that choose its register.
const REGISTER_BITS: u32 = CELLS.trailing_zeros();
/// The highest rank: the zeros before the first 1 of the other bits, and one, fewer than there could be by one, so that the powers of all
/// registers sum to less than 2^32.
const RANK_MAX: u32 = u32::BITS - REGISTER_BITS;

const _: () = {
    assert!(CELLS.is_power_of_two(), "a register is chosen by whole bits");
    assert!(DISTINCT_EXACT_MAX * HASH_BYTES == CELLS, "hashes and registers share their bytes");
    assert!(DISTINCT_EXACT_MAX < REGISTERS as usize, "the mark is no count of hashes");
};

impl Default for Cells {
    fn default() -> Self {
        Self([0; CELLS])
    }
}

impl DistinctCount {
    /// Of nothing, whatever stands in its cells.
    pub(super) const NONE: Self = Self { powers: 0, zeros: 0, kept: 0 };

    /// Takes in the hash of a value. Returns whether it was certainly not there before.
    pub(super) fn insert(&mut self, cells: &mut Cells, hash: u32) -> bool {
        if self.kept == REGISTERS {
            return self.raise(cells, hash);
        }
        let (kept, free) = cells.0.split_at_mut(usize::from(self.kept) * HASH_BYTES);
        if kept.as_chunks().0.contains(&hash.to_le_bytes()) {
            return false;
        }
        if let Some(place) = free.first_chunk_mut() {
            *place = hash.to_le_bytes();
            self.kept += 1;
            return true;
        }
        self.begin_registers(cells, hash);
        true
    }

    /// Makes registers of the hashes, and takes in one more.
    #[cold]
    fn begin_registers(&mut self, cells: &mut Cells, hash: u32) {
        let hashes = std::mem::take(cells);
        *self = Self { powers: 0, zeros: CELLS_U8, kept: REGISTERS };
        for known in hashes.0.as_chunks().0.iter().chain([&hash.to_le_bytes()]) {
            self.raise(cells, u32::from_le_bytes(*known));
        }
    }

    /// Lifts the register of `hash` to its rank. Returns whether that changed it.
    fn raise(&mut self, cells: &mut Cells, hash: u32) -> bool {
        let rank = ((hash << REGISTER_BITS).leading_zeros() + 1).min(RANK_MAX);
        let Some(register) = cells.0.get_mut((hash >> (u32::BITS - REGISTER_BITS)) as usize) else {
            return false;
        };
        let before = u32::from(*register);
        if before >= rank {
            return false;
        }
        *register = u8::try_from(rank).unwrap_or(u8::MAX);
        self.powers += power(rank);
        if before == 0 {
            self.zeros -= 1;
        } else {
            self.powers -= power(before);
        }
        true
    }

    /// How many different values there were, about.
    pub(super) fn estimate(&self) -> u32 {
        if self.kept != REGISTERS {
            return u32::from(self.kept);
        }
        let least = u32::from(EXACT_MAX) + 1;
        estimate(self.powers, self.zeros).max(least)
    }
}

/// `2^-rank` in units of `2^-RANK_MAX`.
const fn power(rank: u32) -> u32 {
    1 << (RANK_MAX - rank)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks are at most 25, so the estimate lies between 0 and 128^2 * 2^25 / 128 = 2^32; the cast saturates"
)]
fn estimate(powers: u32, zeros: u8) -> u32 {
    let (cells, zeros) = (f64::from(CELLS_U8), f64::from(zeros));
    let alpha = 0.7213 / (1.0 + 1.079 / cells);
    let sum = zeros + f64::from(powers) / f64::from(power(0));
    let raw = alpha * cells * cells / sum;
    let few = raw <= 2.5 * cells && zeros > 0.0;
    round(if few { cells * log(cells / zeros) } else { raw }) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "it is 128")]
const CELLS_U8: u8 = CELLS as u8;

#[expect(clippy::cast_possible_truncation, reason = "asserted above to be below 255")]
const EXACT_MAX: u8 = DISTINCT_EXACT_MAX as u8;

#[cfg(test)]
mod tests {
    use super::*;

    /// A count with its cells.
    struct Counted(DistinctCount, Cells);

    impl Counted {
        fn new() -> Self {
            Self(DistinctCount::NONE, Cells::default())
        }

        fn insert(&mut self, hash: u32) -> bool {
            self.0.insert(&mut self.1, hash)
        }

        fn estimate(&self) -> u32 {
            self.0.estimate()
        }
    }

    fn spread(value: u32) -> u32 {
        let mut x = u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((x ^ (x >> 31)) >> 32).unwrap()
    }

    #[test]
    fn few_values_are_counted_exactly_and_once() {
        let mut count = Counted::new();
        for value in 0..32 {
            assert!(count.insert(spread(value)));
            assert!(!count.insert(spread(value / 2)));
            assert_eq!(count.estimate(), value + 1);
        }
    }

    #[test]
    fn many_values_are_counted_within_four_standard_errors() {
        for total in [33, 50, 100, 300, 320, 340, 1_000, 10_000, 1_000_000] {
            let mut count = Counted::new();
            for value in 0..total {
                count.insert(spread(value ^ 0x55aa));
                count.insert(spread((value / 3) ^ 0x55aa));
            }
            let error = f64::from(count.estimate()) / f64::from(total) - 1.0;
            assert!(error.abs() < 4.0 * DISTINCT_STANDARD_ERROR, "{total}: {}", count.estimate());
        }
    }
}
