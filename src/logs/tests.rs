use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::limit::{BURST, EVERY};
use super::line::VALUE_CHARS_MAX;
use super::outlet::WAITING_MAX;
use super::*;

/// Tests that look at the one counter of the process take turns.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A stream into memory, which can be made to stand still.
#[derive(Clone, Default)]
struct Stream(Arc<Standing>);

#[derive(Default)]
struct Standing {
    written: Mutex<Vec<u8>>,
    still: Mutex<bool>,
    goes_on: Condvar,
}

impl Stream {
    fn text(&self) -> String {
        String::from_utf8(self.0.written.lock().unwrap().clone()).unwrap()
    }

    fn stand_still(&self, still: bool) {
        *self.0.still.lock().unwrap() = still;
        self.0.goes_on.notify_all();
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let still = self.0.still.lock().unwrap();
        drop(self.0.goes_on.wait_while(still, |still| *still).unwrap());
        self.0.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is said in `speak`, as it is written in this form.
fn said(form: Form, speak: impl FnOnce()) -> String {
    let stream = Stream::default();
    let queue = Queue::start(stream.clone()).unwrap();
    let says = Says::new(LevelFilter::INFO, Outlet::Lines(form, queue.clone()));
    tracing::subscriber::with_default(says, speak);
    queue.flush();
    stream.text()
}

const TEXT: Form = Form::Text { colour: false };

/// What an attacker might like to have in a log: another line, colours, a bell, C1 codes, text that runs backwards.
const HOSTILE: &str = "a\nWARN forged\r\x1b[31m\x07\u{9b}2J\u{7f}\0\u{202e}\u{2028}\"\\=b";

fn hostile_line() {
    tracing::warn!(value = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, "said: {HOSTILE}");
}

#[track_caller]
fn assert_tame(text: &str) {
    let wild: Vec<char> = text
        .trim_end_matches('\n')
        .chars()
        .filter(|char| char.is_control() || ['\u{202e}', '\u{2028}'].contains(char))
        .collect();
    assert!(wild.is_empty(), "{wild:?} in {text:?}");
}

#[test]
fn hostile_bytes_come_out_escaped_as_text() {
    let text = said(TEXT, hostile_line);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_tame(&text);
    assert!(
        text.contains(r"a\nWARN forged\r\u{1b}[31m\u{7}\u{9b}2J\u{7f}\u{0}\u{202e}\u{2028}"),
        "{text}"
    );
    assert!(text.contains(r#"value="a\n"#), "{text}");
}

#[test]
fn hostile_bytes_come_out_escaped_as_json() {
    let text = said(Form::Json, hostile_line);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_tame(&text);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["value"], HOSTILE, "and read back as they were");
    assert_eq!(line["shown"], HOSTILE);
    assert_eq!(line["debug"], format!("{HOSTILE:?}"));
    assert_eq!(line["message"], format!("said: {HOSTILE}"));
    assert_eq!(line["level"], "warn");
}

#[test]
fn hostile_bytes_come_out_escaped_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let journal = UnixDatagram::bind(&socket).unwrap();
    let says = Says::new(LevelFilter::INFO, Outlet::Journal(Journal::open(&socket).unwrap()));
    tracing::subscriber::with_default(says, || {
        hostile_line();
        tracing::info!(rows = 7, "committed");
    });
    let mut buffer = [0; 65_536];
    let mut receive = || {
        let length = journal.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let hostile = receive();
    let fields: Vec<(&str, &str)> =
        hostile.lines().map(|line| line.split_once('=').unwrap()).collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let expected = [
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_IDENTIFIER",
        "TARGET",
        "PHANTOMNET_VALUE",
        "PHANTOMNET_SHOWN",
        "PHANTOMNET_DEBUG",
    ];
    assert_eq!(names, expected, "nothing is forged");
    assert_eq!(fields[1].1, "4");
    fields.iter().for_each(|(_, value)| assert_tame(value));
    let plain = receive();
    assert!(plain.starts_with("MESSAGE=committed rows=7\nPRIORITY=6\n"), "{plain}");
    assert!(plain.ends_with("\nPHANTOMNET_ROWS=7\n"), "{plain}");
}

#[test]
fn a_journal_that_takes_no_more_makes_nobody_wait() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _never_read = UnixDatagram::bind(&socket).unwrap();
    let says = Says::new(LevelFilter::INFO, Outlet::Journal(Journal::open(&socket).unwrap()));
    let before = lines_left_out();
    tracing::subscriber::with_default(says, || {
        (0..10_000).for_each(|nth| tracing::info!(nth, "a line"));
    });
    assert!(lines_left_out() - before > 5_000);
}

#[test]
fn a_reader_that_stands_still_makes_nobody_wait() {
    let _alone = alone();
    let stream = Stream::default();
    stream.stand_still(true);
    let queue = Queue::start(stream.clone()).unwrap();
    let says = Says::new(LevelFilter::INFO, Outlet::Lines(TEXT, queue.clone()));
    let before = lines_left_out();
    let started = Instant::now();
    tracing::subscriber::with_default(says, || {
        (0..5_000).for_each(|nth| tracing::info!(nth, "a line"));
    });
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let left_out = lines_left_out() - before;
    stream.stand_still(false);
    queue.flush();
    let written = stream.text().lines().count();
    assert_eq!(written as u64 + left_out, 5_000, "every line is written or counted");
    assert!(written >= WAITING_MAX);
}

#[test]
fn a_line_that_comes_again_and_again_is_written_a_few_times_and_counted() {
    let _alone = alone();
    let limited = Limited::new();
    let start = Instant::now();
    let before = lines_left_out();
    // A million lines within 100 seconds.
    let mut written = 0_u64;
    let mut told = 0;
    for nth in 0..1_000_000 {
        if let Some(left_out) = limited.admit_at(start + Duration::from_micros(100 * nth)) {
            written += 1;
            told += left_out.unwrap_or(0);
        }
    }
    assert_eq!(written, u64::from(BURST) + 100 / EVERY.as_secs() - 1);
    let total = lines_left_out() - before;
    assert_eq!(written + total, 1_000_000);
    // What no line has told of yet, the next one tells.
    let last = limited.admit_at(start + Duration::from_secs(1_000)).unwrap();
    assert_eq!(told + last.unwrap(), total);
    // After a long silence a burst goes out again, and no more than that.
    let late = start + Duration::from_secs(100_000);
    let burst = (0..100).filter(|_| limited.admit_at(late).is_some()).count();
    assert_eq!(burst, BURST as usize);
}

#[test]
fn each_place_has_its_own_limit_and_says_what_it_left_out() {
    let _alone = alone();
    let text = said(TEXT, || {
        for nth in 0..100 {
            limited!(warn, nth, "one place");
            limited!(error, "{nth}: another place");
        }
    });
    assert_eq!(text.lines().count(), 2 * BURST as usize, "{text}");
    assert!(!text.contains("left_out"), "nothing was left out before these: {text}");
    let place = Limited::new();
    let start = Instant::now();
    let text = said(TEXT, || {
        for nth in 0..20 {
            if let Some(left_out) = place.admit_at(start + Duration::from_secs(nth)) {
                tracing::info!(left_out, "a line");
            }
        }
    });
    assert!(text.lines().last().unwrap().ends_with("a line left_out=5"), "{text}");
}

#[test]
fn a_line_for_people_reads_well() {
    let text = said(TEXT, || {
        tracing::debug!("below the level");
        tracing::info!(store = "postgres://db/phantomnet", rows = 7, up = true, "committed");
        tracing::error!(reason = "disk full", factor = 1.5, "the spool is full");
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].ends_with(
            "Z  INFO phantomnet::logs::tests: committed store=postgres://db/phantomnet rows=7 up=true"
        ),
        "{text}"
    );
    assert!(
        lines[1].ends_with(
            "Z ERROR phantomnet::logs::tests: the spool is full reason=\"disk full\" factor=1.5"
        ),
        "{text}"
    );
    let coloured = said(Form::Text { colour: true }, || tracing::error!("bad"));
    assert!(coloured.contains("\x1b[31mERROR\x1b[0m "), "{coloured}");
}

#[test]
fn json_keeps_numbers_and_its_own_names() {
    let text = said(Form::Json, || {
        tracing::info!(rows = 7, ratio = f64::NAN, time = "noon", level = -1, "hello");
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["rows"], 7);
    assert_eq!(line["ratio"], "NaN");
    assert_eq!(line["field_time"], "noon");
    assert_eq!(line["field_level"], -1);
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{text}");
}

#[test]
fn a_value_without_end_is_cut() {
    let text = said(TEXT, || {
        tracing::info!(long = "x".repeat(1 << 20), list = ?vec![0; 1 << 20], "long");
    });
    assert!(text.len() < 3 * VALUE_CHARS_MAX, "{}", text.len());
    assert!(text.contains("xxx... "), "it says that it was cut");
}

#[test]
fn only_the_stream_that_systemd_made_is_the_journals() {
    let file = tempfile::tempfile().unwrap();
    let stat = rustix::fs::fstat(&file).unwrap();
    let named = format!("{}:{}", stat.st_dev, stat.st_ino);
    assert!(journal::takes_stream(Some(&named), file.as_fd()));
    let other = format!("{}:{}", stat.st_dev, stat.st_ino + 1);
    for named in [Some(other.as_str()), Some(""), Some("8:x"), None] {
        assert!(!journal::takes_stream(named, file.as_fd()), "{named:?}");
    }
}
