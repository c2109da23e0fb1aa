//! What a sensor asks of the machine beyond a share of it: cores of its own, real-time workers, memory that stays.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::live::Sensor;
use crate::netns::{self, Wire};
use crate::support;

/// The policy of real-time threads in the kernel's tables.
const FIFO: u32 = 1;

/// A thread as the kernel sees it.
#[derive(Debug)]
struct Thread {
    name: String,
    policy: u32,
    priority: u32,
    /// Cores that it may use, as a list with ranges.
    cores: String,
}

/// The value of a line of a `status` in /proc.
fn of_status(path: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(path.join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.map(|line| line.trim().to_owned())
}

fn threads_of(process: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    // One may end while it is looked at.
    let thread = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        // Behind the name, which may hold anything: the state is field 3 of proc(5).
        let (_, fields) = stat.rsplit_once(") ")?;
        let field = |number: usize| fields.split(' ').nth(number - 3)?.parse().ok();
        Some(Thread {
            name: of_status(&task.path(), "Name")?,
            policy: field(41)?,
            priority: field(40)?,
            cores: of_status(&task.path(), "Cpus_allowed_list")?,
        })
    };
    tasks.filter_map(|task| thread(task.unwrap())).collect()
}

/// All threads, when the worker is there and of this policy.
fn threads_with_worker(process: u32, policy: u32) -> Vec<Thread> {
    let began = Instant::now();
    loop {
        let threads = threads_of(process);
        if threads.iter().any(|thread| thread.name == "worker-0" && thread.policy == policy) {
            return threads;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{threads:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether there are cores for a worker and for everything else.
fn has_cores() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    if cores < 2 {
        support::tell("SKIPPED: a worker with a core of its own needs two cores");
    }
    cores >= 2
}

#[test]
fn real_time_workers_have_their_core_alone_and_nothing_leaves_memory() {
    if !netns::available() || !has_cores() {
        return;
    }
    let wire = Wire::new(1);
    let capture = "frames = 4096\n\
         [workers]\ncount = 1\ncores = [1]\nscheduling = 'fifo'\npriority = 7\nlock_memory = true";
    let sensor = Sensor::start(&wire, capture);
    let process = sensor.id();
    let threads = threads_with_worker(process, FIFO);
    assert!(threads.len() > 4, "{threads:?}");
    for thread in &threads {
        let is_worker = thread.name == "worker-0";
        let expected = if is_worker { (FIFO, 7) } else { (0, 0) };
        assert_eq!((thread.policy, thread.priority), expected, "{thread:?}");
        assert_eq!(thread.cores == "1", is_worker, "{thread:?}");
        assert!(is_worker || thread.cores.starts_with('0'), "{thread:?}");
    }
    let locked = of_status(&Path::new("/proc").join(process.to_string()), "VmLck").unwrap();
    let kilobytes: u64 = locked.split(' ').next().unwrap().parse().unwrap();
    assert!(kilobytes > 10_000, "{locked}");

    let frames: Vec<Vec<u8>> = (0..200).map(|_| vec![0; 60]).collect();
    wire.sender().send(&frames);
    let stopped = sensor.stop();
    assert!(stopped.log.contains(r#""taken":200"#), "{}", stopped.log);
}

#[test]
fn a_sensor_that_asks_for_nothing_has_ordinary_threads() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let sensor = Sensor::start(&wire, "frames = 4096");
    let threads = threads_with_worker(sensor.id(), 0);
    assert!(threads.iter().all(|thread| thread.policy == 0), "{threads:?}");
    let process = Path::new("/proc").join(sensor.id().to_string());
    assert_eq!(of_status(&process, "VmLck").as_deref(), Some("0 kB"));
    sensor.stop();
}

/// A sensor, or its check, without the rights of root that matter here.
fn without_rights(command: &str, workers: &str) -> Output {
    let folder = support::folder();
    let config = folder.path().join("sensor.toml");
    let text = format!("sensor.folder = 'data'\nhttp.listen = ''\n[workers]\n{workers}\n");
    fs::write(&config, text).unwrap();
    let program = support::sensor();
    let mut confined = Command::new("prlimit");
    confined.args(["--rtprio=0", "--memlock=1048576"]);
    confined.args(["setpriv", "--bounding-set=-sys_nice,-ipc_lock"]).arg(program.get_program());
    confined.arg(command).arg("--config").arg(&config);
    if command == "run" {
        confined.arg("--source").arg(support::generated_traffic()).args(["--speed", "max"]);
    }
    support::run(&mut confined)
}

#[test]
fn a_right_that_is_missing_is_said_at_the_start_with_the_key_that_needs_it() {
    if !netns::available() || !has_cores() {
        return;
    }
    let cases = [
        (
            "scheduling = 'fifo'",
            "workers.scheduling = \"fifo\" with workers.priority = 10: Operation not permitted",
        ),
        ("lock_memory = true", "workers.lock_memory = true: only 1048576 bytes may be locked"),
    ];
    for (workers, said) in cases {
        let run = without_rights("run", workers);
        assert_eq!(run.status.code(), Some(78), "{}", support::stderr(&run));
        assert!(support::stderr(&run).contains(said), "{}", support::stderr(&run));
        assert!(support::stderr(&run).contains("needs Limit"), "{}", support::stderr(&run));
        // Another user may have it.
        let check = without_rights("check", workers);
        assert!(check.status.success(), "{}", support::stderr(&check));
        let page = String::from_utf8(check.stdout).unwrap();
        assert!(page.contains("NOT GRANTED to who asks now: ") && page.contains(said), "{page}");
    }
}

#[test]
fn a_core_that_there_is_not_and_real_time_workers_on_every_core_are_refused() {
    let cores = std::thread::available_parallelism().unwrap();
    let cases = [
        ("cores = [1000]".to_owned(), "workers.cores names core 1000, which this machine"),
        (format!("count = {cores}\nscheduling = 'fifo'"), "workers leave no core of ["),
    ];
    for (workers, said) in cases {
        for command in ["run", "check"] {
            let output = without_rights(command, &workers);
            assert_eq!(output.status.code(), Some(78), "{command} {workers}");
            assert!(support::stderr(&output).contains(said), "{}", support::stderr(&output));
        }
    }
}
