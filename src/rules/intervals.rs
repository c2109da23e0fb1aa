//! Sets of addresses or ports as sorted ranges that neither touch nor overlap.

/// A set of values: inclusive ranges, ascending, with a gap between any two.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Intervals<T>(Vec<(T, T)>);

/// A whole number that ranges can be made of.
pub(super) trait Whole: Copy + Ord {
    const MIN: Self;
    const MAX: Self;
    fn next(self) -> Option<Self>;
    fn previous(self) -> Option<Self>;
}

impl<T: Whole> Intervals<T> {
    /// Every value there is.
    pub(super) fn all() -> Self {
        Self(vec![(T::MIN, T::MAX)])
    }

    /// No value.
    pub(super) const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The values from `low` to `high`, both in; none when they stand the wrong way round.
    pub(super) fn range(low: T, high: T) -> Self {
        Self(if low <= high { vec![(low, high)] } else { Vec::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_all(&self) -> bool {
        self.0 == [(T::MIN, T::MAX)]
    }

    pub(super) fn ranges(&self) -> &[(T, T)] {
        &self.0
    }

    pub(super) fn contains(&self, value: T) -> bool {
        let after = self.0.partition_point(|&(low, _)| low <= value);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, high)| value <= high)
    }

    /// What is in either set.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut joined: Vec<(T, T)> = Vec::with_capacity(all.len());
        for (low, high) in all {
            match joined.last_mut() {
                Some((_, end)) if end.next().is_none_or(|beyond| low <= beyond) => {
                    *end = high.max(*end);
                }
                _ => joined.push((low, high)),
            }
        }
        Self(joined)
    }

    /// What is not in the set.
    pub(super) fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(T::MIN);
        for &(low, high) in &self.0 {
            if let (Some(start), Some(end)) = (from, low.previous())
                && start <= end
            {
                gaps.push((start, end));
            }
            from = high.next();
        }
        if let Some(start) = from {
            gaps.push((start, T::MAX));
        }
        Self(gaps)
    }

    /// What is in this set and not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        self.complement().union(other).complement()
    }
}

macro_rules! whole {
    ($($number:ty),*) => {$(
        impl Whole for $number {
            const MIN: Self = <$number>::MIN;
            const MAX: Self = <$number>::MAX;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}

whole!(u8, u16, u128);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_set() -> impl Strategy<Value = (Intervals<u8>, [bool; 256])> {
        proptest::collection::vec((any::<u8>(), any::<u8>()), 0..6).prop_map(|pairs| {
            let mut set = Intervals::empty();
            let mut members = [false; 256];
            for (low, high) in pairs {
                set = set.union(&Intervals::range(low, high));
                (low..=high).for_each(|value| members[usize::from(value)] = true);
            }
            (set, members)
        })
    }

    proptest! {
        #[test]
        fn sets_behave_like_lists_of_members((a, in_a) in any_set(), (b, in_b) in any_set()) {
            let (union, outside, without) = (a.union(&b), a.complement(), a.without(&b));
            for value in 0..=u8::MAX {
                let at = usize::from(value);
                prop_assert_eq!(a.contains(value), in_a[at]);
                prop_assert_eq!(union.contains(value), in_a[at] || in_b[at]);
                prop_assert_eq!(outside.contains(value), !in_a[at]);
                prop_assert_eq!(without.contains(value), in_a[at] && !in_b[at]);
            }
            for set in [a, union, outside, without] {
                prop_assert!(set.ranges().windows(2).all(|pair| pair[0].1.next() < Some(pair[1].0)));
            }
        }
    }
}
