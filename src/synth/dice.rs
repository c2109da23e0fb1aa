//! Chance that is the same everywhere: Xoshiro256++ and distributions that use `libm` alone.

use rand::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub(super) const MICRO: i64 = 1_000;
pub(super) const MILLI: i64 = 1_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;

/// A stream of chance. Everything that acts holds its own, so that one actor's choices never shift another's.
#[derive(Clone, Debug)]
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(super) fn from_seed(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A new stream that has nothing in common with this one but its origin.
    pub(super) fn fork(&mut self) -> Self {
        Self::from_seed(self.bits())
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// 0 to `limit - 1`; 0 when `limit` is 0.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// `low` to `high`, both included.
    pub(super) fn port(&mut self, low: u16, high: u16) -> u16 {
        u16::try_from(self.between(u32::from(low), u32::from(high))).unwrap_or(high)
    }

    /// 0 up to but not including 1, in steps of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        let count = u32::try_from(among.len()).unwrap_or(u32::MAX);
        let chosen = among.get(self.below(count) as usize);
        *chosen.expect("callers choose from lists that are never empty")
    }

    /// The place of a choice among `count` whose popularity falls as 1/rank (Zipf's law, exponent 1).
    pub(super) fn popular(&mut self, count: u32) -> u32 {
        let ranks = f64::from(count.max(1)) + 1.0;
        whole(libm::exp(self.unit() * libm::log(ranks)) - 1.0, count.saturating_sub(1))
    }

    /// Waiting time of a Poisson process, nanoseconds.
    pub(super) fn wait(&mut self, mean_nanos: i64) -> i64 {
        nanos(-libm::log(1.0 - self.unit()) * as_float(mean_nanos))
    }

    /// A normal deviate (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// A log-normal duration in nanoseconds: what human pauses look like.
    pub(super) fn pause(&mut self, median_nanos: i64, sigma: f64) -> i64 {
        nanos(as_float(median_nanos) * libm::exp(sigma * self.normal()))
    }

    /// A log-normal size in bytes, at most `limit`: what documents look like.
    pub(super) fn size(&mut self, median: u32, sigma: f64, limit: u32) -> u32 {
        whole(f64::from(median) * libm::exp(sigma * self.normal()), limit)
    }

    /// `nanos` moved up or down by at most `share` of itself.
    pub(super) fn about(&mut self, around_nanos: i64, share: f64) -> i64 {
        nanos(as_float(around_nanos) * (1.0 + share * (2.0 * self.unit() - 1.0)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations here are far below 2^53 ns (104 days)")]
pub(super) const fn as_float(nanos: i64) -> f64 {
    nanos as f64
}

/// A duration that is a whole number of nanoseconds and not negative.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
pub(super) const fn nanos(value: f64) -> i64 {
    if value > 0.0 { value as i64 } else { 0 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
fn whole(value: f64, limit: u32) -> u32 {
    (value as u32).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_algorithm() {
        // First outputs of SplitMix64-seeded Xoshiro256++ (Blackman and Vigna 2019), seed 0: computed by the formulas.
        let mut state = {
            let mut z = 0_u64;
            [0; 4].map(|_: u64| {
                z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let a = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                b ^ (b >> 31)
            })
        };
        let mut dice = Dice::from_seed(0);
        for _ in 0..100 {
            let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
            let t = state[1] << 17;
            state[2] ^= state[0];
            state[3] ^= state[1];
            state[1] ^= state[2];
            state[0] ^= state[3];
            state[2] ^= t;
            state[3] = state[3].rotate_left(45);
            assert_eq!(dice.bits(), result);
        }
    }

    #[test]
    fn means_are_what_they_say() {
        let mut dice = Dice::from_seed(1);
        let mean =
            |mut draw: Box<dyn FnMut() -> f64>| (0..20_000).map(|_| draw()).sum::<f64>() / 20_000.0;
        let mut d = dice.fork();
        assert!((mean(Box::new(move || as_float(d.wait(SECOND)))) / 1e9 - 1.0).abs() < 0.03);
        let mut d = dice.fork();
        assert!(mean(Box::new(move || d.normal())).abs() < 0.03);
        let mut d = dice.fork();
        assert!((mean(Box::new(move || f64::from(d.between(3, 7)))) - 5.0).abs() < 0.05);
    }

    #[test]
    fn the_first_choice_is_the_most_popular() {
        let mut dice = Dice::from_seed(2);
        let mut seen = [0_u32; 50];
        for _ in 0..10_000 {
            seen[dice.popular(50) as usize] += 1;
        }
        assert!(seen[0] > seen[1] && seen[1] > seen[9] && seen[49] > 0, "{seen:?}");
    }
}
