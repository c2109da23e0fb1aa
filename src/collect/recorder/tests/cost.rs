//! What a verdict costs. A measurement: run it in an optimised build, with
//! `cargo test --lib --config profile.test.opt-level=3 what_a_verdict_costs -- --ignored --nocapture`.

use std::time::Duration;

use super::*;

/// Packets at one million in a second of packet time.
const PACKETS: u32 = 4_000_000;
const MICRO: i64 = 1_000;

fn measure(name: &str, params: &EventParams, mut verdict: impl FnMut(u32) -> Verdict) {
    let made: Vec<Verdict> = (0..PACKETS / 10).map(&mut verdict).collect();
    let mut bench = Bench::new(params);
    bench.recorder.hub = None;
    let mut took = 0;
    for round in 0..10_u32 {
        let shift = i64::from(round) * i64::from(PACKETS / 10) * MICRO;
        for part in made.chunks(10_000) {
            let shifted: Vec<Verdict> = part
                .iter()
                .map(|verdict| {
                    let mut verdict = *verdict;
                    verdict.digest.time = verdict.digest.time.plus_nanos(shift);
                    verdict
                })
                .collect();
            let begun = nanos_of_this_thread();
            shifted.iter().for_each(|verdict| bench.take(verdict));
            took += nanos_of_this_thread() - begun;
            bench.batches.try_iter().for_each(drop);
        }
    }
    let events = bench.recorder.totals().events;
    let each = took / u64::from(PACKETS);
    println!("{name}: {each} ns a verdict, {events} events of {PACKETS} packets");
}

/// Time on a core: what others do on the machine is left out.
fn nanos_of_this_thread() -> u64 {
    let stated = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stated.split(' ').next().unwrap().parse().unwrap()
}

/// One of 2,000 flows of 250 sources; one packet in `notable_one_in` is a WARNING.
fn mix(notable_one_in: u64) -> impl FnMut(u32) -> Verdict {
    let mut dice = Dice(1);
    move |n| {
        let flow = dice.below(2_000);
        let source = u8::try_from(flow % 250).unwrap();
        let mut verdict = safe(source, i64::from(n) * MICRO);
        if dice.below(notable_one_in) == 0 {
            verdict = bad(source, i64::from(n) * MICRO, Level::Warning, &[1]);
        }
        verdict.digest.destination_port = u16::try_from(flow / 250).unwrap();
        verdict.total += f32::from(dice.byte(100)) / 50.0;
        verdict
    }
}

fn forged(level: Level, rules: &[u16]) -> impl FnMut(u32) -> Verdict {
    move |n| {
        let mut verdict = bad(1, i64::from(n) * MICRO, level, rules);
        let [a, b, c, d] = n.wrapping_mul(0x9e37_79b1).to_be_bytes();
        verdict.digest.source = Address::v4([a, b, c, d]);
        verdict
    }
}

#[test]
#[ignore = "a measurement, for an optimised build"]
fn what_a_verdict_costs() {
    let all = EventParams { store: StorePolicy::All, ..EventParams::default() };
    let notable = EventParams::default();
    measure("mix, all stored", &all, mix(100));
    measure("mix, notable stored", &notable, mix(100));
    measure("forged SAFE flood, all stored", &all, forged(Level::Safe, &[]));
    measure("forged SAFE flood, notable stored", &notable, forged(Level::Safe, &[]));
    measure("forged WARNING flood", &notable, forged(Level::Warning, &[1]));
    let single = EventParams { coalesce: Duration::ZERO, ..all };
    measure("an event for each packet", &single, mix(100));
}
