//! What SQLite's file goes through: full disks, locks, damage, other programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use phantomnet::store::sqlite::{SqliteParams, SqliteStore};
use phantomnet::store::{RetentionParams, SCHEMA_VERSION, Store, StoreError, audit};

use super::NOW;
use crate::batches::Stream;
use crate::places::Place;

const FOR_EVER: RetentionParams = RetentionParams { days: None, bytes: None };

fn refused(result: Result<SqliteStore, StoreError>) -> String {
    match result {
        Err(error @ StoreError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn folder_and_file_are_for_the_owner_alone() {
    let folder = crate::support::folder();
    let file = folder.path().join("data").join("deeper").join("phantomnet.db");
    let mut store = SqliteStore::open(&file, FOR_EVER).unwrap();
    store.commit(&Stream::new(1).batch(10), NOW).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(file.parent().unwrap().parent().unwrap()), 0o700);
    for entry in fs::read_dir(file.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(store.name(), format!("sqlite:{}", file.display()));
}

#[test]
fn a_name_that_sqlite_gives_a_meaning_of_its_own_is_a_file() {
    let folder = crate::support::folder();
    for name in [":memory:", "file:other.db?mode=memory"] {
        let file = folder.path().join(name);
        let mut store = SqliteStore::open(&file, FOR_EVER).unwrap();
        store.commit(&Stream::new(1).batch(10), NOW).unwrap();
        drop(store);
        assert!(file.metadata().unwrap().len() > 0, "{name}");
    }
}

#[test]
fn what_is_no_database_is_refused_and_left_as_it_is() {
    let folder = crate::support::folder();
    let file = folder.path().join("notes.txt");
    let text = "no database at all, but long enough to be taken for one\n".repeat(100);
    fs::write(&file, &text).unwrap();
    let said = refused(SqliteStore::open(&file, FOR_EVER));
    assert!(said.contains("notes.txt") && said.contains("another file"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let said = refused(SqliteStore::open(folder.path(), FOR_EVER));
    assert!(said.contains(&folder.path().display().to_string()), "{said}");
    let said = refused(SqliteStore::open(&file.join("below.db"), FOR_EVER));
    assert!(said.contains("below.db"), "{said}");
    assert!(matches!(
        audit(&format!("sqlite:{}/missing.db", folder.path().display()).parse().unwrap()),
        Err(StoreError::Refused { .. })
    ));
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let place = Place::sqlite();
    place.open().commit(&Stream::new(1).batch(2000), NOW).unwrap();
    let file = place.file();
    let mut bytes = fs::read(&file).unwrap();
    // Everything but the first page.
    bytes[4096..].fill(0x5a);
    fs::write(&file, &bytes).unwrap();
    let result = SqliteStore::open(&file, FOR_EVER)
        .and_then(|mut store| store.commit(&Stream::new(2).batch(2000), NOW));
    match result {
        Err(StoreError::Refused { reason, .. }) => assert!(reason.contains("damaged"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&file).unwrap()[8192..], bytes[8192..]);
}

#[test]
fn a_newer_schema_is_refused_with_both_versions() {
    let place = Place::sqlite();
    drop(place.open());
    place.tamper("UPDATE schema_versions SET version = 99 WHERE version = (SELECT max(version) FROM schema_versions)");
    let said = SqliteStore::open(&place.file(), FOR_EVER).unwrap_err().to_string();
    assert!(said.contains("99") && said.contains(&SCHEMA_VERSION.to_string()), "{said}");
    assert!(matches!(audit(&place.location()), Err(StoreError::Schema { found: 99, .. })));
}

#[test]
fn a_locked_file_is_away_until_it_is_free() {
    let place = Place::sqlite();
    drop(place.open());
    let params = SqliteParams { busy_max: Duration::from_millis(50), ..SqliteParams::default() };
    let mut store = SqliteStore::open_with(&place.file(), FOR_EVER, params).unwrap();
    let batch = Stream::new(1).batch(100);
    let other = rusqlite::Connection::open(place.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let away = store.commit(&batch, NOW).unwrap_err();
    assert!(matches!(away, StoreError::Away { .. }), "{away}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    other.execute_batch("ROLLBACK").unwrap();
    assert!(!store.commit(&batch, NOW).unwrap().already);
    let report = audit(&place.location()).unwrap();
    assert!(report.is_clean(), "{}", report.render());
}

#[test]
fn a_reader_that_stays_holds_up_nobody_and_the_log_shrinks_when_it_goes() {
    let place = Place::sqlite();
    drop(place.open());
    let params = SqliteParams { wal_bytes: 100 * 1024, ..SqliteParams::default() };
    let mut store = SqliteStore::open_with(&place.file(), FOR_EVER, params).unwrap();
    let mut stream = Stream::new(1);
    store.commit(&stream.batch(10), NOW).unwrap();
    let reader = rusqlite::Connection::open(place.file()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM packet_logs").unwrap();
    for _ in 0..10 {
        store.commit(&stream.batch(500), NOW).unwrap();
        store.maintain(NOW).unwrap();
    }
    let mut log = place.file().into_os_string();
    log.push("-wal");
    let log_bytes = || fs::metadata(&log).unwrap().len();
    assert!(log_bytes() > 1_000_000, "{} bytes: the reader held nothing", log_bytes());
    reader.execute_batch("ROLLBACK").unwrap();
    store.maintain(NOW).unwrap();
    assert_eq!(log_bytes(), 0);
}

/// A small file system of its own, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mounted(megabytes: u32) -> Self {
        let folder = crate::support::folder().keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "phantomnet-test"])
            .arg(&folder)
            .output()
            .expect("there is mount");
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: files may still be open after a panic.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        drop(fs::remove_dir(&self.0));
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_full_disk_is_away_and_the_store_recovers_by_itself() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount a small disk; a full one was not tried");
        return;
    }
    let disk = SmallDisk::mounted(4);
    let file = disk.0.join("phantomnet.db");
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let mut store = SqliteStore::open(&file, FOR_EVER).unwrap();
    let mut stream = Stream::new(1);
    let mut committed = 0;
    let (refused, reason) = loop {
        let batch = stream.batch(500);
        match store.commit(&batch, NOW) {
            Ok(_) => committed += 1,
            Err(StoreError::Away { reason, .. }) => break (batch, reason),
            Err(other) => panic!("{other}"),
        }
        assert!(committed < 100, "4 MB are never full");
    };
    assert!(committed > 0 && reason.contains("full"), "{committed} batches, then {reason}");
    // It stays so, without harm.
    assert!(matches!(store.commit(&refused, NOW), Err(StoreError::Away { .. })));
    drop(store.maintain(NOW));
    fs::remove_file(&ballast).unwrap();
    assert!(!store.commit(&refused, NOW).expect("there is room again").already);
    drop(store);
    let report = audit(&format!("sqlite:{}", file.display()).parse().unwrap()).unwrap();
    assert!(report.is_clean(), "{}", report.render());
    assert_eq!(report.epochs[0].batches, committed + 1);
}

/// What this thread has worked so far: what it would take on a machine that does nothing else.
fn processor_time() -> Duration {
    // Nanoseconds on a processor come first (proc(5)).
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
}

/// How many rows a second go in. Run with `--ignored --nocapture`; on an optimised build it says something.
#[test]
#[ignore = "it measures, and says how fast"]
fn rows_per_second() {
    let place = Place::sqlite();
    let mut store = place.open();
    let mut stream = Stream::new(1);
    let batches: Vec<_> = (0..20).map(|_| stream.batch(10_000)).collect();
    let (begun, worked) = (Instant::now(), processor_time());
    for batch in &batches {
        store.commit(batch, NOW).unwrap();
    }
    let (took, worked) = (begun.elapsed(), processor_time() - worked);
    let per_second = |took: Duration| 200_000.0 / took.as_secs_f64();
    eprintln!(
        "200,000 rows in {took:?}: {:.0} rows/s; of one processor's time {worked:?}: {:.0} rows/s",
        per_second(took),
        per_second(worked)
    );
    let begun = Instant::now();
    let report = audit(&place.location()).unwrap();
    assert!(report.is_clean(), "{}", report.render());
    eprintln!("audited in {:?}", begun.elapsed());
}
