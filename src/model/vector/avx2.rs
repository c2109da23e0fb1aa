//! AVX2: 32 rows an instruction.
//!
//! Why `unsafe`: the compiler can't know what the processor has. Why it is sound: an [`Avx2`] is made by [`Avx2::detected`] alone, so
//! whoever holds one runs where all of these instructions are; and memory is touched through references to arrays of the size that
//! is read or written.
#![expect(unsafe_code, reason = "vector instructions that the processor was found to have")]

use std::arch::x86_64::{
    __m256i, _CMP_LT_OQ, _mm256_blendv_epi8, _mm256_cmp_ps, _mm256_cmpeq_epi8, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_ps, _mm256_set1_epi8, _mm256_set1_ps,
    _mm256_storeu_si256,
};

use super::kernel::{Bytes, Instructions, sum_rows};
use super::{BATCH_ROWS, FEW_ROWS};
use crate::features::FeatureVector;
use crate::model::ranked::{Cuts, PATHS_MAX, RankedForest};

/// Bytes of a vector.
const LANES: usize = 32;

/// Proof that the processor has these instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detected() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")).then_some(Self(()))
    }

    pub(super) fn sum_batch(
        self,
        forest: &RankedForest,
        rows: &[FeatureVector],
        sums: &mut [u64; BATCH_ROWS],
    ) {
        #[target_feature(enable = "avx2,popcnt")]
        fn run(
            here: Avx2,
            forest: &RankedForest,
            rows: &[FeatureVector],
            sums: &mut [u64; BATCH_ROWS],
        ) {
            sum_rows::<_, { BATCH_ROWS / LANES }, BATCH_ROWS>(here, forest, rows, sums);
        }
        // SAFETY: `self` proves that the processor has these features.
        unsafe { run(self, forest, rows, sums) }
    }

    pub(super) fn sum_few(
        self,
        forest: &RankedForest,
        rows: &[FeatureVector],
        sums: &mut [u64; FEW_ROWS],
    ) {
        #[target_feature(enable = "avx2,popcnt")]
        fn run(
            here: Avx2,
            forest: &RankedForest,
            rows: &[FeatureVector],
            sums: &mut [u64; FEW_ROWS],
        ) {
            sum_rows::<_, { FEW_ROWS / LANES }, FEW_ROWS>(here, forest, rows, sums);
        }
        // SAFETY: as above.
        unsafe { run(self, forest, rows, sums) }
    }
}

impl Instructions for Avx2 {
    type Bytes = __m256i;

    #[inline(always)]
    fn splat(self, byte: u8) -> __m256i {
        // SAFETY: `self` proves that the processor has the instruction.
        unsafe { _mm256_set1_epi8(byte.cast_signed()) }
    }

    #[inline(always)]
    fn load<const ROWS: usize>(self, column: &Bytes<ROWS>, nth: usize) -> __m256i {
        match column.0.as_chunks::<LANES>().0.get(nth) {
            // SAFETY: `self` proves that the processor has the instruction; the array has the 32 bytes that are read.
            Some(place) => unsafe { _mm256_loadu_si256(place.as_ptr().cast()) },
            None => self.splat(0),
        }
    }

    #[inline(always)]
    fn store<const ROWS: usize>(self, bytes: __m256i, column: &mut Bytes<ROWS>, nth: usize) {
        if let Some(place) = column.0.as_chunks_mut::<LANES>().0.get_mut(nth) {
            // SAFETY: `self` proves that the processor has the instruction; the array has the 32 bytes that are written.
            unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), bytes) }
        }
    }

    /// Bytes are compared without a sign through their minimum: it is the value where that is not above the bound.
    #[inline(always)]
    fn choose(self, value: __m256i, bound: __m256i, left: __m256i, right: __m256i) -> __m256i {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            let not_above = _mm256_cmpeq_epi8(_mm256_min_epu8(value, bound), value);
            _mm256_blendv_epi8(right, left, not_above)
        }
    }

    #[inline(always)]
    fn count_below(self, cuts: &Cuts, value: f32) -> usize {
        let (halves, _) = cuts.0.as_chunks::<8>();
        let mut below = 0;
        for half in halves {
            // SAFETY: `self` proves that the processor has the instructions; the array has the 8 numbers that are read.
            let mask = unsafe {
                let cuts = _mm256_loadu_ps(half.as_ptr());
                _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(cuts, _mm256_set1_ps(value)))
            };
            below = below << 8 | mask.cast_unsigned();
        }
        below.count_ones() as usize
    }

    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "below PATHS_MAX by the remainder: no check is left, none is needed"
    )]
    fn add_paths<const ROWS: usize>(
        self,
        paths: &[u32; PATHS_MAX],
        codes: &[Bytes<ROWS>],
        sums: &mut [u64; ROWS],
    ) {
        for Bytes(codes) in codes {
            for (sum, code) in sums.iter_mut().zip(codes) {
                // Cannot wrap: a path sum is below 2^42.
                *sum = sum.wrapping_add(u64::from(paths[usize::from(*code) % PATHS_MAX]));
            }
        }
    }
}
