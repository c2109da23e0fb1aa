//! Figures as they are read at a glance. What is not known is a dash.

const UNKNOWN: &str = "-";

/// A whole number, its digits in groups of three.
pub(super) fn count(count: Option<u64>) -> String {
    let Some(count) = count else { return UNKNOWN.to_owned() };
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate or a size with three digits or four and the power of a thousand.
pub(super) fn short(number: Option<f64>) -> String {
    let Some(mut number) = number.filter(|number| number.is_finite()) else {
        return UNKNOWN.to_owned();
    };
    // What 999.95 is rounded to has four digits before the point.
    let mut units = [" k", " M", " G", " T", " P"].into_iter();
    let mut unit = "";
    while number.abs() >= 999.95 {
        let Some(larger) = units.next() else { break };
        (number, unit) = (number / 1_000.0, larger);
    }
    if unit.is_empty() && number.fract() == 0.0 {
        return format!("{number:.0}");
    }
    format!("{number:.1}{unit}")
}

/// Units of time, each with how many seconds it has.
const UNITS: [(&str, f64); 4] = [("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)];

/// A duration in the largest unit that it has one of.
pub(super) fn span(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0) else {
        return UNKNOWN.to_owned();
    };
    let unit = UNITS.iter().find(|(_, long)| seconds >= *long).or(UNITS.last());
    let (name, long) = unit.copied().unwrap_or(("s", 1.0));
    let digits = usize::from(seconds / long < 100.0);
    format!("{:.digits$} {name}", seconds / long)
}

/// A share in percent. One that is not whole is not rounded to it.
pub(super) fn percent(share: Option<f64>) -> String {
    let Some(share) = share.filter(|share| share.is_finite()) else { return UNKNOWN.to_owned() };
    let floor = (share * 100.0).floor();
    if floor > 0.0 || share <= 0.0 { format!("{floor:.0} %") } else { "< 1 %".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_what_is_not_known_is_a_dash() {
        for (is, must) in [
            (count(None), "-"),
            (count(Some(0)), "0"),
            (count(Some(999)), "999"),
            (count(Some(1_000)), "1,000"),
            (count(Some(u64::MAX)), "18,446,744,073,709,551,615"),
            (short(None), "-"),
            (short(Some(f64::NAN)), "-"),
            (short(Some(0.0)), "0"),
            (short(Some(0.25)), "0.2"),
            (short(Some(812.0)), "812"),
            (short(Some(999.96)), "1.0 k"),
            (short(Some(1_250.0)), "1.2 k"),
            (short(Some(9.87e9)), "9.9 G"),
            (span(None), "-"),
            (span(Some(-1.0)), "-"),
            (span(Some(0.000_012_34)), "12.3 us"),
            (span(Some(0.0123)), "12.3 ms"),
            (span(Some(0.15)), "150 ms"),
            (span(Some(1.5)), "1.5 s"),
            (span(Some(0.0)), "0.0 ns"),
            (percent(None), "-"),
            (percent(Some(0.0)), "0 %"),
            (percent(Some(0.001)), "< 1 %"),
            (percent(Some(0.999)), "99 %"),
        ] {
            assert_eq!(is, must);
        }
    }
}
