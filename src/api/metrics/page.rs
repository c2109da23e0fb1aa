//! Writes metric families, by their names as they are exported.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
    NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::store::writer::Buckets;

/// The longest value of a label, characters: names that an operator chose can be of any length.
const LABEL_CHARS_MAX: usize = 128;

/// Labels of one series: names are fixed, values are of closed sets or from the operator. Never from the wire.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Where families are written to.
#[derive(Debug)]
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    pub(super) const fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A counter without labels; `name` ends in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str, value: u64) -> fmt::Result {
        let name = Name::of(name, MetricType::Counter);
        self.family(&name, help)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// A counter of time without labels.
    pub(super) fn counter_of_seconds(
        &mut self,
        name: &'static str,
        help: &str,
        nanos: u64,
    ) -> fmt::Result {
        let name = Name::of(name, MetricType::Counter);
        let mut family = self.family(&name, help)?;
        family.encode_counter::<NoLabelSet, _, u64>(&seconds(nanos), None)
    }

    /// A counter with labels.
    pub(super) fn counters<'l, V: EncodeCounterValue, const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> fmt::Result {
        let name = Name::of(name, MetricType::Counter);
        let mut family = self.family(&name, help)?;
        for (labels, value) in series {
            family
                .encode_family(&Short(labels))?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    /// A counter of time with labels.
    pub(super) fn counters_of_seconds<'l, const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let series = series.into_iter().map(|(labels, nanos)| (labels, seconds(nanos)));
        self.counters(name, help, series)
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: u64) -> fmt::Result {
        let name = Name::of(name, MetricType::Gauge);
        self.family(&name, help)?.encode_gauge(&value)
    }

    /// A gauge of time without labels; `None`: there is nothing to say.
    pub(super) fn gauge_of_seconds(
        &mut self,
        name: &'static str,
        help: &str,
        value: Option<f64>,
    ) -> fmt::Result {
        let name = Name::of(name, MetricType::Gauge);
        let mut family = self.family(&name, help)?;
        value.map_or(Ok(()), |value| family.encode_gauge(&value))
    }

    /// A gauge with labels.
    pub(super) fn gauges<'l, V: EncodeGaugeValue, const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> fmt::Result {
        let name = Name::of(name, MetricType::Gauge);
        let mut family = self.family(&name, help)?;
        for (labels, value) in series {
            family.encode_family(&Short(labels))?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A gauge of time with labels.
    pub(super) fn gauges_of_seconds<'l, const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let series = series.into_iter().map(|(labels, nanos)| (labels, seconds(nanos)));
        self.gauges(name, help, series)
    }

    /// Facts as labels; `name` ends in `_info`.
    pub(super) fn info<const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        labels: Labels<'_, N>,
    ) -> fmt::Result {
        let name = Name::of(name, MetricType::Info);
        self.family(&name, help)?.encode_info(&Short(labels))
    }

    /// A histogram without labels.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        counted: &Counted<'_>,
    ) -> fmt::Result {
        let name = Name::of(name, MetricType::Histogram);
        counted.encode(&mut self.family(&name, help)?)
    }

    /// A histogram with labels.
    pub(super) fn histograms<'l, const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, Counted<'l>)>,
    ) -> fmt::Result {
        let name = Name::of(name, MetricType::Histogram);
        let mut family = self.family(&name, help)?;
        for (labels, counted) in series {
            counted.encode(&mut family.encode_family(&Short(labels))?)?;
        }
        Ok(())
    }

    fn family<'s>(
        &'s mut self,
        name: &'s Name,
        help: &str,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name.stem, help, name.unit.as_ref(), name.kind)
    }
}

/// A name cut into what the encoder wants to put together.
#[derive(Debug)]
struct Name {
    stem: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
}

impl Name {
    fn of(name: &'static str, kind: MetricType) -> Self {
        let suffix = match kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            MetricType::Gauge | MetricType::Histogram | MetricType::Unknown => "",
        };
        let stem = name.strip_suffix(suffix).unwrap_or(name);
        for (ending, unit) in [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)] {
            if let Some(stem) = stem.strip_suffix(ending) {
                return Self { stem, unit: Some(unit), kind };
            }
        }
        Self { stem, unit: None, kind }
    }
}

/// What a histogram counted.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    counts: Cow<'a, [u64]>,
    sum: u64,
    bounds: &'static [u64],
    /// How many of the recorded unit are one of the exported.
    per_unit: f64,
}

/// Nanoseconds of a second.
const NANOS: f64 = 1e9;

impl<'a> Counted<'a> {
    /// Times in nanoseconds, exported in seconds.
    pub(super) const fn nanos(buckets: &'a Buckets, bounds: &'static [u64; 15]) -> Self {
        Self { counts: Cow::Borrowed(&buckets.counts), sum: buckets.sum, bounds, per_unit: NANOS }
    }

    /// Numbers, exported as they are.
    pub(super) const fn numbers(buckets: &'a Buckets, bounds: &'static [u64; 15]) -> Self {
        Self { counts: Cow::Borrowed(&buckets.counts), sum: buckets.sum, bounds, per_unit: 1.0 }
    }

    /// Times in nanoseconds, counted elsewhere; one more count than bounds.
    pub(super) const fn nanos_in(counts: Vec<u64>, sum: u64, bounds: &'static [u64]) -> Self {
        Self { counts: Cow::Owned(counts), sum, bounds, per_unit: NANOS }
    }

    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.per_unit);
        let buckets: Vec<(f64, u64)> =
            bounds.chain([f64::INFINITY]).zip(self.counts.iter().copied()).collect();
        // From the same numbers as the buckets, so that the two agree whatever is counted meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(
            self.sum as f64 / self.per_unit,
            count,
            &buckets,
            None,
        )
    }
}

/// Labels whose values are cut to [`LABEL_CHARS_MAX`].
struct Short<'a, const N: usize>(Labels<'a, N>);

impl<const N: usize> EncodeLabelSet for Short<'_, N> {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> fmt::Result {
        let short = self.0.map(|(name, value)| {
            let end = value.char_indices().nth(LABEL_CHARS_MAX).map_or(value.len(), |(at, _)| at);
            (name, value.get(..end).unwrap_or_default())
        });
        short.encode(encoder)
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS
}
