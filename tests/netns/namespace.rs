//! A network namespace of the test's own.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{self, Command};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where iproute2 keeps the names of namespaces.
pub(crate) const FOLDER: &str = "/run/netns";

/// What the names of all ours begin with; the process and a running number follow.
const PREFIX: &str = "phantomnet-test";

/// Gone when dropped.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// A fresh one, without IPv6; its loopback is down.
    pub(super) fn new(role: &str) -> Self {
        Self::try_new(role).expect("netns::available was asked")
    }

    /// The same; what refused it, if the right is missing or the program `ip`.
    pub(super) fn try_new(role: &str) -> Result<Self, String> {
        static STALE: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        STALE.call_once(delete_those_of_the_dead);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}-{role}", process::id());
        ip(["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.enter(without_ipv6);
        Ok(namespace)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// `ip` with these arguments, inside; must be good.
    pub(super) fn ip<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let inside = ["-netns", self.name.as_str()];
        ip(inside.into_iter().chain(arguments)).expect("the arguments make sense")
    }

    /// A program that will run inside. `ip` becomes that program, so a child's process id is the program's.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Does `work` inside, on a thread of its own: a namespace belongs to a thread, and tests share theirs.
    ///
    /// A socket that is made there stays there, whichever thread uses it later.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let door = File::open(Path::new(FOLDER).join(&self.name)).expect("it was made");
        let inside = || {
            move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("who makes a namespace may enter it");
            work()
        };
        let done = std::thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let deleted = ip(["netns", "delete", &self.name]);
        assert!(std::thread::panicking() || deleted.is_ok(), "{deleted:?}");
    }
}

/// The kernel gives a device IPv6 and solicits routers as soon as it is up, unless told before.
fn without_ipv6() {
    for which in ["all", "default"] {
        let switch = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
        if Path::new(&switch).exists() {
            fs::write(switch, "1").expect("the namespace is ours");
        }
    }
}

/// A test program that was killed leaves its namespaces behind; their names say whose they are.
fn delete_those_of_the_dead() {
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let rest = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-'));
        let Some((process, _)) = rest.and_then(|rest| rest.split_once('-')) else { continue };
        if !Path::new("/proc").join(process).exists() {
            // Another test program may be at it too.
            drop(ip(["netns", "delete", &name]));
        }
    }
}

/// `ip` of iproute2. What it printed, or what it complained of.
fn ip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let mut command = Command::new("ip");
    let output = command.args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}", complaint.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
