//! Longest prefix match as a search among ranges that do not overlap.
//!
//! Nested prefixes are flattened when the set is built: each stretch of addresses knows the most specific prefix over
//! it. A lookup then reads one pair of bounds (by the upper 16 bits of the address) and searches the few ranges between
//! them: no hash that an outsider could aim at, no probe per prefix length, at most log2 of the ranges steps, and a miss
//! costs what a hit costs.

use std::num::NonZeroU32;

use crate::prefetch::prefetch;

/// How many leading bits choose a bucket.
const BUCKET_BITS: u32 = 16;

/// An address as a number of its family's width.
pub(super) trait Key: Copy + Ord {
    /// The smallest one.
    const ZERO: Self;
    /// The leading [`BUCKET_BITS`].
    fn bucket(self) -> usize;
    /// The number that follows; none after the largest.
    fn next(self) -> Option<Self>;
}

impl Key for u32 {
    const ZERO: Self = 0;
    fn bucket(self) -> usize {
        (self >> (Self::BITS - BUCKET_BITS)) as usize
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u128 {
    const ZERO: Self = 0;
    fn bucket(self) -> usize {
        (self >> (Self::BITS - BUCKET_BITS)) as usize
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A prefix as its first and last key, and what it leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<K> {
    pub(super) first: K,
    pub(super) last: K,
    pub(super) value: NonZeroU32,
}

/// The keys from `first` up to the next range's `first`.
#[derive(Clone, Copy, Debug)]
struct Range<K> {
    first: K,
    value: Option<NonZeroU32>,
}

/// Which of the prefixes over a key is the most specific one. Immutable.
#[derive(Clone, Debug)]
pub(super) struct Ranges<K> {
    /// By `first`; the first one begins at zero. Empty when there is no prefix at all.
    ranges: Vec<Range<K>>,
    /// For each bucket the place of the last range that begins in an earlier one, so that the range over any key of bucket
    /// `b` lies in `buckets[b]..=buckets[b + 1]`. One more than there are buckets; empty when `ranges` is.
    buckets: Vec<u32>,
}

impl<K> Default for Ranges<K> {
    fn default() -> Self {
        Self { ranges: Vec::new(), buckets: Vec::new() }
    }
}

impl<K: Key> Ranges<K> {
    /// Flattens `spans`: any two are apart, or one lies inside the other, and they stand in the order of `first`, the
    /// wider one first. At most 2^30.
    pub(super) fn from_nested(spans: impl IntoIterator<Item = Span<K>>) -> Self {
        let mut ranges = vec![Range { first: K::ZERO, value: None }];
        let mut open: Vec<Span<K>> = Vec::new();
        for span in spans {
            close_before(Some(span.first), &mut open, &mut ranges);
            begin(&mut ranges, span.first, Some(span.value));
            open.push(span);
        }
        close_before(None, &mut open, &mut ranges);
        if matches!(ranges.as_slice(), [Range { value: None, .. }]) {
            return Self::default();
        }
        let buckets = bucket_bounds(&ranges);
        Self { ranges, buckets }
    }

    /// Asks for the bounds that `key` needs. Changes nothing but the cost of what follows.
    pub(super) fn prefetch_bounds(&self, key: K) {
        if let Some(bounds) = self.buckets.get(key.bucket()) {
            prefetch(bounds, size_of_val(bounds));
        }
    }

    /// Asks for the middle of the ranges that `key` needs: there the search begins. The bounds should be there by now.
    pub(super) fn prefetch_middle(&self, key: K) {
        if let Some(&[from, to]) = self.buckets.get(key.bucket()..).and_then(<[u32]>::first_chunk)
            && let Some(middle) = self.ranges.get(from.midpoint(to) as usize)
        {
            prefetch(middle, size_of_val(middle));
        }
    }

    /// What the most specific prefix over `key` leads to.
    pub(super) fn at(&self, key: K) -> Option<NonZeroU32> {
        let bucket = key.bucket();
        let &[from, to] = self.buckets.get(bucket..)?.first_chunk()?;
        let near = self.ranges.get(from as usize..=to as usize)?;
        let after = near.partition_point(|range| range.first <= key);
        near.get(after.checked_sub(1)?)?.value
    }
}

/// Ends the open spans that do not reach `key` (all of them for none), the innermost first: behind a span, what was
/// around it goes on.
fn close_before<K: Key>(key: Option<K>, open: &mut Vec<Span<K>>, ranges: &mut Vec<Range<K>>) {
    while let Some(inner) = open.pop_if(|inner| key.is_none_or(|key| inner.last < key)) {
        if let Some(behind) = inner.last.next() {
            begin(ranges, behind, open.last().map(|outer| outer.value));
        }
    }
}

/// Begins a range at `first`; one that began there too was empty, and gives way.
fn begin<K: Key>(ranges: &mut Vec<Range<K>>, first: K, value: Option<NonZeroU32>) {
    match ranges.last_mut() {
        Some(last) if last.first == first => last.value = value,
        _ => ranges.push(Range { first, value }),
    }
}

/// See [`Ranges::buckets`].
fn bucket_bounds<K: Key>(ranges: &[Range<K>]) -> Vec<u32> {
    let place = |at: usize| u32::try_from(at).expect("a span makes two ranges at most");
    let mut bounds = Vec::with_capacity((1 << BUCKET_BITS) + 1);
    for (at, range) in ranges.iter().enumerate() {
        // The buckets after the last range's, up to this one's, begin inside the last range.
        let begun = range.first.bucket() + 1;
        bounds.resize(begun.max(bounds.len()), place(at.saturating_sub(1)));
    }
    bounds.resize((1 << BUCKET_BITS) + 1, place(ranges.len() - 1));
    bounds
}
