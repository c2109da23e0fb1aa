//! As much of OpenMetrics as the sensor writes: samples with labels, whole counters, histograms.

use std::collections::BTreeMap;

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    /// As written: counters are whole numbers of 64 bits, more than a float can hold.
    value: String,
}

/// Every sample of one answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// Reads what `/metrics` answers. Lines that are no samples are left out: what is asked for and not there is not known.
    pub(super) fn of(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The samples of a name that have all these labels.
    fn named<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &Sample| {
            labels
                .iter()
                .all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        };
        self.0.iter().filter(move |sample| sample.name == name && has(sample))
    }

    /// The sum of a counter over every series that has these labels; none where there is no such series.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let mut counts = self.named(name, labels).map(|sample| sample.value.parse::<u64>().ok());
        let first = counts.next()??;
        counts.try_fold(first, |sum, count| sum.checked_add(count?))
    }

    /// A single figure.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.named(name, &[]).next()?.value.parse().ok()
    }

    /// A label of the first series of that name.
    pub(super) fn label(&self, name: &str, label: &str) -> Option<&str> {
        let first = self.0.iter().find(|sample| sample.name == name)?;
        first.labels.get(label).map(String::as_str)
    }

    /// A histogram without labels of its own.
    pub(super) fn histogram(&self, name: &str) -> Histogram {
        let name = format!("{name}_bucket");
        let bucket = |sample: &Sample| {
            let bound = match sample.labels.get("le")?.as_str() {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().ok()?,
            };
            Some((bound, sample.value.parse().ok()?))
        };
        let mut buckets: Vec<(f64, u64)> = self.named(&name, &[]).filter_map(bucket).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        Histogram { buckets }
    }
}

/// `name{label="value",...} value`, the label part optional.
fn sample(line: &str) -> Option<Sample> {
    let at = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(at);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next()?.to_owned();
    Some(Sample { name: name.to_owned(), labels, value })
}

/// The labels up to the closing brace, and what stands behind it.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.strip_prefix(',').unwrap_or(text);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (label, rest) = text.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        labels.insert(label.to_owned(), value);
        text = rest;
    }
}

/// A value up to its closing quote, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            char => value.push(char),
        }
    }
    None
}

/// How often something took at most how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram {
    /// Upper bounds, rising, with everything below them.
    buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, count)| *count)
    }

    /// What came between `earlier` and this; none where it was not counted on.
    pub(super) fn since(&self, earlier: &Self) -> Option<Self> {
        let buckets = self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| {
            (now.0.total_cmp(&then.0).is_eq()).then_some((now.0, now.1.checked_sub(then.1)?))
        });
        let is_alike = self.buckets.len() == earlier.buckets.len();
        is_alike.then(|| buckets.collect::<Option<Vec<_>>>().map(|buckets| Self { buckets }))?
    }

    /// Below which that share lies, by interpolation in its bucket as Prometheus does it; none where nothing was counted. What lies above
    /// the last bound is given as that bound.
    #[expect(clippy::cast_precision_loss, reason = "shares of counts; 2^53 of them are far away")]
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count() as f64;
        if self.count() == 0 {
            return None;
        }
        let (mut from, mut before) = (0.0, 0.0);
        for (bound, below) in &self.buckets {
            let below = *below as f64;
            if below >= rank {
                let is_open = bound.is_infinite() || below <= before;
                return Some(if is_open {
                    from
                } else {
                    (bound - from).mul_add((rank - before) / (below - before), from)
                });
            }
            (from, before) = (*bound, below);
        }
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "# TYPE phantomnet_frames counter\n\
        phantomnet_frames_total{stage=\"capture\",outcome=\"taken\"} 18446744073709551614\n\
        phantomnet_lost_total{queue=\"0\",reason=\"a\"} 3 1795446492.5\n\
        phantomnet_lost_total{queue=\"1\",reason=\"b\"} 4\n\
        phantomnet_gap_seconds_total{} 0.25\n\
        phantomnet_model_info{name=\"a \\\"b\\\" {c},\\\\\\n\",sha256=\"00\"} 1\n\
        phantomnet_up 1\n# EOF\n";

    #[test]
    fn counters_are_whole_to_the_last_digit_and_added_up_over_series() {
        let samples = Samples::of(ANSWER);
        let taken = samples.count("phantomnet_frames_total", &[("outcome", "taken")]);
        assert_eq!(taken, Some(u64::MAX - 1));
        assert_eq!(samples.count("phantomnet_lost_total", &[]), Some(7));
        assert_eq!(samples.count("phantomnet_lost_total", &[("reason", "b")]), Some(4));
        assert_eq!(samples.number("phantomnet_gap_seconds_total"), Some(0.25));
        assert_eq!(samples.label("phantomnet_model_info", "name"), Some("a \"b\" {c},\\\n"));
    }

    #[test]
    fn what_is_not_there_is_not_known_and_never_0() {
        let samples = Samples::of(ANSWER);
        assert_eq!(samples.count("phantomnet_lost_total", &[("reason", "c")]), None);
        assert_eq!(samples.count("phantomnet_gap_seconds_total", &[]), None);
        assert_eq!(samples.number("phantomnet_none"), None);
        assert_eq!(samples.histogram("phantomnet_none").quantile(0.5), None);
    }

    #[test]
    fn a_quantile_is_interpolated_in_its_bucket() {
        let text = "a_bucket{le=\"1.0\"} 10\na_bucket{le=\"+Inf\"} 100\na_bucket{le=\"3.0\"} 90\n";
        let histogram = Samples::of(text).histogram("a");
        let near = |share: f64, must: f64| {
            let is = histogram.quantile(share).unwrap();
            assert!((is - must).abs() < 1e-9, "{share}: {is}, not {must}");
        };
        near(0.05, 0.5);
        near(0.5, 2.0);
        near(0.99, 3.0);
        assert_eq!(histogram.since(&histogram).unwrap().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_read(text in "\\PC*", inside in "[a-z=\"{},\\\\ 0-9\\n]*") {
            drop(Samples::of(&text));
            drop(Samples::of(&inside));
        }

        #[test]
        fn later_less_earlier_and_earlier_make_later(counts in proptest::collection::vec((0..1_000_u64, 0..1_000_u64), 1..20)) {
            let bound = |at: usize| f64::from(u32::try_from(at).unwrap());
            let build = |of: &dyn Fn(&(u64, u64)) -> u64| {
                let mut sum = 0;
                let buckets = counts.iter().enumerate().map(|(at, one)| { sum += of(one); (bound(at), sum) });
                Histogram { buckets: buckets.collect() }
            };
            let earlier = build(&|one| one.0);
            let later = build(&|one| one.0 + one.1);
            prop_assert_eq!(later.since(&earlier), Some(build(&|one| one.1)));
        }
    }
}
