//! AVX-512 with byte shuffles (F, BW, VL, VBMI: Ice Lake and Zen 4 on): 64 rows an instruction.
//!
//! Why `unsafe`: the compiler can't know what the processor has. Why it is sound: an [`Avx512`] is made by [`Avx512::detected`]
//! alone, so whoever holds one runs where all of these instructions are; and memory is touched through references to arrays of the
//! size that is read or written.
#![expect(unsafe_code, reason = "vector instructions that the processor was found to have")]

use std::arch::x86_64::{
    __m512i, _CMP_LT_OQ, _mm512_add_epi16, _mm512_and_si512, _mm512_cmp_ps_mask,
    _mm512_cmpgt_epu8_mask, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_blend_epi8,
    _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_ps,
    _mm512_setzero_si512, _mm512_srli_epi16, _mm512_storeu_si512,
};

use super::kernel::{Bytes, Instructions, sum_rows};
use super::{BATCH_ROWS, FEW_ROWS};
use crate::features::FeatureVector;
use crate::model::ranked::{Cuts, PATHS_MAX, RankedForest};

/// Bytes of a vector.
const LANES: usize = 64;
/// Bytes of a path length.
const PLANES: usize = size_of::<u32>();

/// Proof that the processor has these instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detected() -> Option<Self> {
        let here = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("popcnt");
        here.then_some(Self(()))
    }

    pub(super) fn sum_batch(
        self,
        forest: &RankedForest,
        rows: &[FeatureVector],
        sums: &mut [u64; BATCH_ROWS],
    ) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
        fn run(
            here: Avx512,
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
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
        fn run(
            here: Avx512,
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

#[inline(always)]
fn load(from: &[u8; LANES]) -> __m512i {
    // SAFETY: only reached from functions with these features; the array has the 64 bytes that are read, at any alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

impl Instructions for Avx512 {
    type Bytes = __m512i;

    #[inline(always)]
    fn splat(self, byte: u8) -> __m512i {
        // SAFETY: `self` proves that the processor has the instruction.
        unsafe { _mm512_set1_epi8(byte.cast_signed()) }
    }

    #[inline(always)]
    fn load<const ROWS: usize>(self, column: &Bytes<ROWS>, nth: usize) -> __m512i {
        match column.0.as_chunks().0.get(nth) {
            Some(place) => load(place),
            None => self.splat(0),
        }
    }

    #[inline(always)]
    fn store<const ROWS: usize>(self, bytes: __m512i, column: &mut Bytes<ROWS>, nth: usize) {
        if let Some(place) = column.0.as_chunks_mut::<LANES>().0.get_mut(nth) {
            // SAFETY: `self` proves that the processor has the instruction; the array has the 64 bytes that are written.
            unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), bytes) }
        }
    }

    #[inline(always)]
    fn choose(self, value: __m512i, bound: __m512i, left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { _mm512_mask_blend_epi8(_mm512_cmpgt_epu8_mask(value, bound), left, right) }
    }

    #[inline(always)]
    fn count_below(self, cuts: &Cuts, value: f32) -> usize {
        // SAFETY: `self` proves that the processor has the instructions; the array has the 16 numbers that are read.
        let below = unsafe {
            let cuts = _mm512_loadu_ps(cuts.0.as_ptr());
            _mm512_cmp_ps_mask::<_CMP_LT_OQ>(cuts, _mm512_set1_ps(value))
        };
        below.count_ones() as usize
    }

    /// Looks up each byte of the path lengths by itself, sums those in 16 bits, and puts the sums together at the end.
    #[inline(always)]
    fn add_paths<const ROWS: usize>(
        self,
        paths: &[u32; PATHS_MAX],
        codes: &[Bytes<ROWS>],
        sums: &mut [u64; ROWS],
    ) {
        let tables = planes(paths);
        let (groups, _) = sums.as_chunks_mut::<LANES>();
        for (nth, sums) in groups.iter_mut().enumerate() {
            // SAFETY: `self` proves that the processor has the instructions; what is stored is as large as what it is stored in.
            unsafe {
                let low_bytes = _mm512_set1_epi16(0xff);
                let mut even = [_mm512_setzero_si512(); PLANES];
                let mut odd = even;
                for codes in codes {
                    let codes = self.load(codes, nth);
                    for (([low, high], even), odd) in tables.iter().zip(&mut even).zip(&mut odd) {
                        let bytes = _mm512_permutex2var_epi8(*low, codes, *high);
                        *even = _mm512_add_epi16(*even, _mm512_and_si512(bytes, low_bytes));
                        *odd = _mm512_add_epi16(*odd, _mm512_srli_epi16::<8>(bytes));
                    }
                }
                for (plane, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                    let mut words = [[0_u16; LANES / 2]; 2];
                    let [evens, odds] = &mut words;
                    _mm512_storeu_si512(evens.as_mut_ptr().cast(), even);
                    _mm512_storeu_si512(odds.as_mut_ptr().cast(), odd);
                    let (pairs, _) = sums.as_chunks_mut::<2>();
                    for (([first, second], even), odd) in pairs.iter_mut().zip(evens).zip(odds) {
                        // Cannot wrap: a path sum is below 2^42.
                        *first = first.wrapping_add(u64::from(*even) << (8 * plane));
                        *second = second.wrapping_add(u64::from(*odd) << (8 * plane));
                    }
                }
            }
        }
    }
}

/// The path lengths byte by byte: tables of 128 entries in two vectors each.
#[inline(always)]
fn planes(paths: &[u32; PATHS_MAX]) -> [[__m512i; 2]; PLANES] {
    let mut bytes = [[[0_u8; LANES]; 2]; PLANES];
    for (at, path) in paths.iter().enumerate() {
        for (plane, byte) in bytes.iter_mut().zip(path.to_le_bytes()) {
            if let Some(entry) = plane.as_flattened_mut().get_mut(at) {
                *entry = byte;
            }
        }
    }
    bytes.map(|halves| halves.each_ref().map(load))
}

const _: () = assert!(PATHS_MAX == 2 * LANES, "two vectors are a table of path lengths");
