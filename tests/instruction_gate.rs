//! The gate that `make instructions` is: what closes it, what passes, what it says. It is a part of the program that counts.

#![cfg(test)]

#[path = "../bench/instructions/gate.rs"]
mod gate;

use gate::{Counts, Finding, compare};

fn counts(counts: &[(&str, f64)]) -> Counts {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Whether the gate is open, and what it says.
fn held(baseline: &[(&str, f64)], counted: &[(&str, f64)]) -> (bool, Vec<String>) {
    let findings = compare(&counts(baseline), &counts(counted));
    let open = !findings.iter().any(Finding::fails);
    (open, findings.iter().map(ToString::to_string).collect())
}

#[test]
fn a_growth_of_four_percent_passes_and_one_of_six_fails() {
    assert_eq!(held(&[("a", 100.0)], &[("a", 104.0)]), (true, vec![]));
    let (open, said) = held(&[("a", 100.0), ("b", 50.0)], &[("a", 106.0), ("b", 50.0)]);
    assert!(!open);
    let [said] = &said[..] else { panic!("{said:?}") };
    for part in ["a: 100.0 -> 106.0", "+6.0 %", "make it cheaper", "bench/instructions.toml"] {
        assert!(said.contains(part), "{said:?} does not say {part:?}");
    }
}

#[test]
fn five_percent_is_still_allowed() {
    assert!(held(&[("a", 1_000.0)], &[("a", 1_050.0)]).0);
    assert!(!held(&[("a", 1_000.0)], &[("a", 1_050.1)]).0);
}

#[test]
fn a_shrinking_by_six_percent_passes_and_is_told() {
    assert_eq!(held(&[("a", 100.0)], &[("a", 96.0)]), (true, vec![]));
    let (open, said) = held(&[("a", 100.0)], &[("a", 94.0)]);
    assert!(open);
    let [said] = &said[..] else { panic!("{said:?}") };
    for part in ["a: 100.0 -> 94.0", "-6.0 %", "stale", "make instructions-baseline"] {
        assert!(said.contains(part), "{said:?} does not say {part:?}");
    }
}

#[test]
fn a_scenario_missing_from_either_side_fails() {
    let (open, said) = held(&[("a", 1.0), ("gone", 1.0)], &[("a", 1.0), ("new", 2.0)]);
    assert!(!open);
    let [gone, new] = &said[..] else { panic!("{said:?}") };
    assert!(gone.contains("gone: in bench/instructions.toml, but not counted"), "{gone}");
    assert!(new.contains("new: counted"), "{new}");
    assert!(!held(&[("a", 1.0)], &[]).0);
    assert!(!held(&[], &[("a", 1.0)]).0);
}

#[test]
fn a_count_that_is_no_number_or_a_baseline_of_nothing_fails() {
    assert!(!held(&[("a", 0.0)], &[("a", 100.0)]).0);
    assert!(!held(&[("a", f64::NAN)], &[("a", 100.0)]).0);
    assert!(!held(&[("a", 100.0)], &[("a", f64::NAN)]).0);
}
