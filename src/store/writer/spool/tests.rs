//! The spool against a model of it: what went in, what the disk confirmed, what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus as Dice;

use super::frame::PAYLOAD_SCHEMA;
use super::simulated::Simulated;
use super::storage::Folder;
use super::{Limits, Refusal, Spool};
use crate::event::Batch;
use crate::store::writer::Tally;
use crate::store::writer::tests::sample::batch;

const LIMITS: Limits = Limits { bytes_max: 1 << 20, sync_within: Duration::from_secs(3600) };

fn open(disk: &Simulated) -> Spool {
    Spool::open(Box::new(disk.clone()), LIMITS).expect("it opens whatever lies there")
}

/// Reads to the end without acknowledging, and checks the sums.
fn read_all(spool: &mut Spool) -> Vec<Batch> {
    let mut read = Vec::new();
    while let Some(batch) = spool.next() {
        read.push(batch);
    }
    check(spool);
    let tally = sum(&read);
    assert_eq!(spool.figures().held, tally, "what is held is what was given out");
    read
}

/// What is true between any two calls.
fn check(spool: &Spool) {
    let unread: Tally =
        spool.segments.iter().fold(Tally::default(), |sum, each| sum.plus(each.unread));
    let taken = spool.taken.iter().fold(Tally::default(), |sum, each| sum.plus(each.tally));
    assert_eq!(spool.figures.held, unread.plus(taken));
    let housed: u64 = spool.segments.iter().map(|each| each.taken).sum();
    assert_eq!(spool.taken.iter().filter(|each| each.segment.is_some()).count() as u64, housed);
    if let Some(active) = &spool.active {
        assert_eq!(spool.segments.back().unwrap().limit, active.end);
    }
}

fn sum<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Tally {
    batches.into_iter().fold(Tally::default(), |sum, batch| sum.plus(Tally::of(batch)))
}

fn numbers(batches: &[Batch]) -> Vec<u64> {
    batches.iter().map(|batch| batch.number).collect()
}

#[test]
fn batches_come_out_as_they_went_in_also_after_a_restart() {
    let disk = Simulated::default();
    let mut spool = open(&disk);
    let batches: Vec<Batch> = (1..=500).map(|number| batch(number, 7)).collect();
    for batch in &batches {
        spool.append(batch, false).unwrap();
    }
    assert!(spool.segments.len() > 3, "it has to turn over segments");
    spool.close();
    drop(spool);
    let mut spool = open(&disk);
    assert_eq!(spool.figures().found, sum(&batches));
    assert_eq!(spool.figures().damaged, 0);
    for expected in &batches {
        assert_eq!(spool.next().as_ref(), Some(expected));
        spool.acknowledge();
        check(&spool);
    }
    assert_eq!(spool.next(), None);
    assert_eq!(spool.segments(), 0);
    drop(spool);
    assert_eq!(disk.names(), ["position"]);
    assert_eq!(open(&disk).figures().found, Tally::default());
}

#[test]
fn a_name_is_never_used_again() {
    let disk = Simulated::default();
    let mut seen = BTreeSet::new();
    for round in 1..=20 {
        let mut spool = open(&disk);
        spool.append(&batch(round, 3), false).unwrap();
        let segment = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
        assert!(seen.insert(segment.clone()), "{segment} again");
        spool.next().unwrap();
        spool.acknowledge();
        assert!(!disk.names().contains(&segment));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_room_comes_back() {
    let disk = Simulated::default();
    let mut spool = open(&disk);
    let mut taken = 0;
    while spool.append(&batch(taken + 1, 50), false).is_ok() {
        taken += 1;
        assert!(spool.bytes() <= LIMITS.bytes_max, "{} bytes", spool.bytes());
    }
    assert!(matches!(spool.append(&batch(9999, 50), false), Err(Refusal::Bound)));
    check(&spool);
    let used = spool.figures().held.batches;
    assert_eq!(used, taken);
    for number in 1..=taken / 2 {
        assert_eq!(spool.next().unwrap().number, number);
        spool.acknowledge();
    }
    spool.append(&batch(taken + 1, 50), false).unwrap();
    assert_eq!(numbers(&read_all(&mut spool)), (taken / 2 + 1..=taken + 1).collect::<Vec<_>>());
}

#[test]
fn a_batch_that_is_in_hand_already_is_not_given_out_again_but_after_a_restart() {
    let disk = Simulated::default();
    let mut spool = open(&disk);
    spool.append(&batch(1, 1), true).unwrap();
    spool.append(&batch(2, 1), true).unwrap();
    spool.append(&batch(3, 1), false).unwrap();
    assert_eq!(spool.next().unwrap().number, 3);
    spool.acknowledge();
    check(&spool);
    spool.close();
    drop(spool);
    assert_eq!(numbers(&read_all(&mut open(&disk))), [2, 3]);
}

#[test]
fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let disk = Simulated::default();
    let mut spool = open(&disk);
    disk.room(Some(100 << 10));
    let mut refused = 0;
    let mut kept = Vec::new();
    for number in 1..=200 {
        match spool.append(&batch(number, 20), false) {
            Ok(()) => kept.push(number),
            Err(Refusal::Io) => refused += 1,
            Err(Refusal::Bound) => panic!("the bound is farther away"),
        }
        spool.sync();
        check(&spool);
    }
    assert!(refused > 0 && !kept.is_empty());
    assert_eq!(spool.figures().io, Tally::default(), "what was taken has its room");
    assert!(spool.figures().error.is_some());
    disk.room(None);
    spool.append(&batch(201, 20), false).unwrap();
    kept.push(201);
    spool.sync();
    assert_eq!(spool.figures().error, None);
    assert_eq!(numbers(&read_all(&mut spool)), kept);
}

#[test]
fn a_segment_that_cannot_be_opened_just_now_is_not_given_up() {
    let disk = Simulated::default();
    let mut spool = open(&disk);
    spool.append(&batch(1, 1), false).unwrap();
    disk.close(true);
    assert_eq!(spool.next(), None);
    assert!(spool.has_unread() && spool.figures().error.is_some());
    check(&spool);
    disk.close(false);
    assert_eq!(spool.next().unwrap().number, 1);
    assert_eq!(spool.figures().corrupt, Tally::default());
}

#[test]
fn the_payload_of_this_schema_is_frozen() {
    let payload = postcard::to_stdvec(&batch(3, 2)).unwrap();
    assert_eq!(
        (PAYLOAD_SCHEMA, payload.len(), crc32fast::hash(&payload)),
        (1, FROZEN.0, FROZEN.1),
        "a batch is written differently now: raise PAYLOAD_SCHEMA, and keep reading the older one"
    );
}

const FROZEN: (usize, u32) = (352, 456_103_938);

#[test]
fn a_record_of_a_later_version_is_counted_and_its_segment_kept() {
    let disk = Simulated::default();
    let mut spool = open(&disk);
    spool.append(&batch(1, 1), false).unwrap();
    spool.close();
    drop(spool);
    // The same record, saying that it is of schema 2.
    let name = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let file = super::storage::Storage::open(&disk, &name).unwrap();
    let (mut walk, header) =
        super::segment::Walk::open(super::storage::Storage::open(&disk, &name).unwrap())
            .unwrap()
            .unwrap();
    let super::segment::Step::Record(mut record) = walk.step(u64::MAX).unwrap() else { panic!() };
    record.schema = 2;
    let place = super::frame::HEAD_BYTES as u64;
    file.write_at(&record.encode(header.salt, place), place).unwrap();
    let mut spool = open(&disk);
    assert_eq!(spool.next(), None);
    assert_eq!(spool.figures().corrupt.batches, 1);
    check(&spool);
    assert!(disk.names().contains(&name.replace(".seg", ".bad")), "{:?}", disk.names());
}

// --- loss of power ---------------------------------------------------------------------------------------------------

/// What a run knows of itself at some point of the disk's record.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Length of the disk's record.
    operations: usize,
    /// Batches that the disk has confirmed.
    durable: BTreeSet<u64>,
    /// Batches acknowledged.
    acknowledged: BTreeSet<u64>,
}

/// Something that happened: a spool used for a while, and what it knew after each step.
struct History {
    known: Vec<Known>,
}

/// Uses a spool for some steps: appends batches from `next`, reads, acknowledges, syncs.
fn use_spool(disk: &Simulated, steps: usize, next: &mut u64, dice: &mut Dice) -> History {
    let mut spool = open(disk);
    let mut known = vec![Known { operations: 0, ..Known::default() }];
    let mut appended = BTreeSet::new();
    let mut in_hand = Vec::new();
    let mut now = Known::default();
    let mut lost = Tally::default();
    // Most disks are sound.
    let faults = if dice.gen_bool(0.4) { dice.gen_range(1..8) } else { 0 };
    disk.fail_at(
        (0..faults).map(|_| disk.operations() + dice.gen_range(1..60)).collect::<Vec<_>>(),
    );
    for _ in 0..steps {
        match dice.gen_range(0..10) {
            0..5 => {
                let rows = *[0, 1, 3, 40].choose(dice).unwrap();
                if spool.append(&batch(*next, rows), false).is_ok() {
                    appended.insert(*next);
                }
                *next += 1;
            }
            5..7 => in_hand.extend(spool.next().map(|batch| batch.number)),
            7..9 => {
                if !in_hand.is_empty() {
                    now.acknowledged.insert(in_hand.remove(0));
                    spool.acknowledge();
                }
            }
            _ => spool.sync(),
        }
        check(&spool);
        // The disk failed twice: what was given out then is in memory alone.
        let homeless = spool.taken.iter().any(|taken| taken.segment.is_none());
        if homeless || spool.figures().io != lost {
            // It says how many were lost, not which: nothing is known of those not confirmed before.
            lost = spool.figures().io;
            appended.clear();
        }
        if spool.sync_due().is_none() {
            now.durable.append(&mut appended);
        }
        now.operations = disk.recorded();
        known.push(now.clone());
    }
    if dice.gen_bool(0.3) {
        spool.close();
        let housed = spool.taken.iter().all(|taken| taken.segment.is_some());
        if housed && spool.figures().io == lost {
            now.durable.append(&mut appended);
        }
        now.operations = disk.recorded();
        known.push(now);
    }
    History { known }
}

/// Opens what a loss of power left, and checks it against what was known.
fn check_after_power_loss(disk: &Simulated, wanted: &BTreeSet<u64>, told: &str) -> Vec<u64> {
    let mut spool = open(disk);
    let read = read_all(&mut spool);
    let numbers = numbers(&read);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{told}: out of order or twice: {numbers:?}");
    for batch_read in &read {
        let rows = batch_read.events.len();
        assert_eq!(*batch_read, batch(batch_read.number, rows), "{told}: a wrong record");
    }
    let missing: Vec<u64> =
        wanted.difference(&numbers.iter().copied().collect()).copied().collect();
    assert!(missing.is_empty(), "{told}: lost {missing:?} of {wanted:?}, got {numbers:?}");
    let figures = spool.figures();
    assert_eq!(figures.found, figures.held.plus(figures.corrupt));
    numbers
}

#[test]
fn a_loss_of_power_loses_nothing_that_the_disk_had_confirmed() {
    let states: u64 =
        std::env::var("PHANTOMNET_CRASH_STATES").map_or(10_000, |states| states.parse().unwrap());
    let mut checked = 0;
    for seed in 0.. {
        if checked >= states {
            break;
        }
        let mut dice = Dice::seed_from_u64(seed);
        let disk = Simulated::default();
        let mut next = 1;
        let steps = dice.gen_range(5..60);
        let history = use_spool(&disk, steps, &mut next, &mut dice);
        for _ in 0..20 {
            let cut = dice.gen_range(0..=disk.recorded());
            let known = history.known.iter().rev().find(|known| known.operations <= cut).unwrap();
            let after = history.known.iter().find(|known| known.operations >= cut).unwrap_or(known);
            let told = format!("seed {seed}, behind operation {cut}");
            let wanted = &known.durable - &after.acknowledged;
            let lost_power = disk.after_power_loss(cut, &mut dice);
            let left = check_after_power_loss(&lost_power, &wanted, &told);
            checked += 1;
            // It goes on from there, and loses power again.
            let mut next = next + 1000;
            let again = use_spool(&lost_power, 15, &mut next, &mut dice);
            let cut = dice.gen_range(0..=lost_power.recorded());
            let known = again.known.iter().rev().find(|known| known.operations <= cut).unwrap();
            let after = again.known.iter().find(|known| known.operations >= cut).unwrap_or(known);
            let all = &known.durable | &left.into_iter().collect();
            let twice = lost_power.after_power_loss(cut, &mut dice);
            let told = format!("{told}, then behind operation {cut}");
            check_after_power_loss(&twice, &(&all - &after.acknowledged), &told);
            checked += 1;
        }
    }
    eprintln!("{checked} states after a loss of power");
}

#[test]
fn a_disk_that_fails_costs_only_what_is_counted() {
    for seed in 0..1500 {
        let mut dice = Dice::seed_from_u64(seed);
        let disk = Simulated::default();
        let mut spool = open(&disk);
        let from = disk.operations();
        disk.fail_at((0..dice.gen_range(0..12)).map(|_| from + dice.gen_range(1..80)));
        let mut appended = Tally::default();
        let mut delivered = BTreeMap::new();
        let (mut in_hand, mut acknowledged) = (Vec::new(), 0);
        for number in 1..=60 {
            let wanted = batch(number, dice.gen_range(0..20));
            if spool.append(&wanted, false).is_ok() {
                appended += Tally::of(&wanted);
            }
            check(&spool);
            if dice.gen_bool(0.3) {
                spool.sync();
            }
            let read = if dice.gen_bool(0.4) { spool.next() } else { None };
            if let Some(read) = read {
                in_hand.push(read.number);
                delivered.insert(read.number, read);
            }
            if dice.gen_bool(0.3) && !in_hand.is_empty() {
                in_hand.remove(0);
                acknowledged += 1;
                spool.acknowledge();
            }
            check(&spool);
        }
        assert!(acknowledged <= delivered.len());
        disk.fail_at([]);
        while let Some(read) = spool.next() {
            assert!(delivered.insert(read.number, read).is_none(), "seed {seed}: twice");
        }
        check(&spool);
        let figures = spool.figures().clone();
        let all = sum(delivered.values()).plus(figures.io).plus(figures.corrupt);
        assert_eq!(all, appended, "seed {seed}: {figures:?}");
        assert_eq!(figures.corrupt, Tally::default(), "seed {seed}: nothing was damaged");
        for (number, read) in &delivered {
            assert_eq!(*read, batch(*number, read.events.len()));
        }
        // What was not acknowledged is there after a loss of power, if the end was in order.
        let housed: BTreeSet<u64> = spool
            .taken
            .iter()
            .filter(|taken| taken.segment.is_some())
            .filter_map(|taken| taken.sequence)
            .collect();
        spool.close();
        drop(spool);
        let later = disk.after_power_loss(disk.recorded(), &mut dice);
        let mut later = open(&later);
        read_all(&mut later);
        let again: BTreeSet<u64> = later.taken.iter().filter_map(|taken| taken.sequence).collect();
        let lost: Vec<&u64> = housed.difference(&again).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?} of {housed:?}");
    }
}

// --- damage ----------------------------------------------------------------------------------------------------------

/// Where files are cheap.
fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn open_folder(folder: &Path) -> Spool {
    Spool::open(Box::new(Folder::open(folder).unwrap()), LIMITS).expect("it starts")
}

/// A folder of segments with something acknowledged, and what is left in it.
fn spool_on_disk(folder: &Path) -> Vec<Batch> {
    let mut spool = open_folder(folder);
    let all: Vec<Batch> =
        (1..=WRITTEN).map(|n| batch(n, usize::try_from(n % 13).unwrap())).collect();
    for batch in &all {
        spool.append(batch, false).unwrap();
    }
    for _ in 0..ACKNOWLEDGED {
        spool.next().unwrap();
        spool.acknowledge();
    }
    spool.close();
    all
}

const WRITTEN: u64 = 120;
const ACKNOWLEDGED: u64 = 3;

/// Every file of a folder.
fn files_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Puts the files back as they were.
fn restore(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn damage_costs_the_damaged_records_and_says_how_many() {
    let folder = fast_folder();
    let all = spool_on_disk(folder.path());
    let files = files_of(folder.path());
    let segments: Vec<_> =
        files.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "seg")).collect();
    assert!(segments.len() >= 3, "{} segments", segments.len());
    let mut dice = Dice::seed_from_u64(5);
    let mut lost_in_all = 0;
    for round in 0..10_000 {
        restore(folder.path(), &files);
        let (path, bytes) = files.choose(&mut dice).unwrap();
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        let mut mutated = bytes.clone();
        let place = dice.gen_range(0..bytes.len());
        let (kind, lost_max) = match dice.gen_range(0..5) {
            0 => {
                mutated[place] ^= 1 << dice.gen_range(0..8);
                fs::write(path, &mutated).unwrap();
                ("flip", 1)
            }
            1 => {
                let end = (place + dice.gen_range(1..300)).min(bytes.len());
                mutated[place..end].iter_mut().for_each(|byte| *byte = dice.r#gen());
                fs::write(path, &mutated).unwrap();
                ("scribble", 5)
            }
            2 => {
                fs::write(path, &bytes[..place]).unwrap();
                ("truncate", 200)
            }
            3 => {
                fs::remove_file(path).unwrap();
                ("delete", 200)
            }
            _ => {
                let name = format!("{:020}.seg", dice.gen_range(50_u64..60));
                fs::copy(path, folder.path().join(name)).unwrap();
                ("duplicate", 0)
            }
        };
        let told =
            format!("round {round}, {kind} {} at {place} of {}", path.display(), bytes.len());
        let mut spool = open_folder(folder.path());
        let read = read_all(&mut spool);
        assert!(read.is_sorted_by(|a, b| a.number < b.number), "{told}: {:?}", numbers(&read));
        let mut missing: Vec<&Batch> =
            all.iter().filter(|each| each.number > ACKNOWLEDGED).collect();
        for batch in &read {
            assert!(all.contains(batch), "{told}: a wrong record");
            missing.retain(|each| each.number != batch.number);
        }
        let lost_max = if is_segment { lost_max } else { 0 };
        assert!(missing.len() <= lost_max, "{told}: lost {}", missing.len());
        assert_eq!(spool.figures().corrupt, sum(missing.iter().copied()), "{told}");
        if kind == "duplicate" && is_segment {
            assert_eq!(spool.figures().foreign, 1, "{told}");
        }
        if !missing.is_empty() && kind != "delete" {
            assert!(spool.figures().damaged > 0 || kind == "truncate", "{told}");
        }
        lost_in_all += missing.len();
        // It goes on, and what comes is not mixed up with what was.
        spool.append(&batch(1000, 1), false).unwrap();
        assert_eq!(spool.next().unwrap().number, 1000, "{told}");
    }
    eprintln!("10000 mutations, {lost_in_all} records lost and counted");
}

#[test]
fn whatever_lies_in_the_folder_it_starts() {
    let folder = fast_folder();
    spool_on_disk(folder.path());
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("00000000000000000099.seg")).unwrap();
    fs::create_dir(at("position.new")).unwrap();
    fs::remove_file(at("position")).unwrap();
    fs::create_dir(at("position")).unwrap();
    fs::write(at("position/inside"), "x").unwrap();
    fs::write(at("18446744073709551615.seg"), "x").unwrap();
    fs::write(at("00000000000000000100.seg"), "").unwrap();
    fs::write(at("00000000000000000101.seg"), [0; 5000]).unwrap();
    fs::write(at("00000000000000000102.seg"), "no segment").unwrap();
    fs::write(at("00000000000000000103.bad"), "set aside before").unwrap();
    fs::write(at("notes \u{1b}[31m.txt"), "mine").unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("00000000000000000104.seg")).unwrap();
    let pipe = at("00000000000000000105.seg");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::File::create(at("00000000000000000106.seg")).unwrap().set_len(1 << 40).unwrap();
    let mut spool = open_folder(folder.path());
    assert_eq!(
        spool.figures().foreign,
        5,
        "{:?}",
        fs::read_dir(folder.path()).unwrap().collect::<Vec<_>>()
    );
    // Without the position, what was acknowledged is there once more.
    assert_eq!(numbers(&read_all(&mut spool)), (1..=WRITTEN).collect::<Vec<_>>());
    assert!(at("00000000000000000102.bad").exists());
    assert!(!at("00000000000000000101.seg").exists());
    spool.append(&batch(1000, 1), false).unwrap();
    assert!(at("00000000000000000107.seg").exists());
}

#[test]
fn a_folder_is_for_one_process_at_a_time() {
    let folder = fast_folder();
    let spool = open_folder(folder.path());
    let error = Folder::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(spool);
    Folder::open(folder.path()).unwrap();
}
