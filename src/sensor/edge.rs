//! The edge of a thread of the data path: where a panic stops.
//!
//! A panic in a worker is a bug, and whatever the worker held is lost. What the others hold is not: they end in order, and so do the
//! collector and the store. A panic anywhere else but in the server's threads still ends the process at once.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

const _: () = assert!(cfg!(panic = "unwind"), "a panic that aborts takes every worker with it");

thread_local! {
    /// Whether this thread is inside of [`guarded`].
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where it panicked, for whoever catches that.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A thread of the data path has panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The thread's name.
    pub thread: String,
    /// File, line and column, where the hook of the program has told [`will_be_caught`].
    pub place: Option<String>,
    /// What it said.
    pub message: String,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, place, message } = self;
        match place {
            Some(place) => write!(f, "{thread} panicked at {place}: {message}"),
            None => write!(f, "{thread} panicked: {message}"),
        }
    }
}

/// For the hook of the program: whether this panic stops at the edge of its thread, where it is logged too.
pub fn will_be_caught(panic: &PanicHookInfo<'_>) -> bool {
    let guarded = IS_GUARDED.get();
    if guarded {
        PLACE.set(panic.location().map(ToString::to_string));
    }
    guarded
}

/// Does `work` on this thread, and logs a panic of it. `work` must leave nothing half done that is used afterwards as if it were whole.
pub(super) fn guarded(work: impl FnOnce()) -> Result<(), Death> {
    IS_GUARDED.set(true);
    // Whether what `work` has touched may still be used is what callers promise.
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(false);
    done.map_err(|payload| {
        let death = Death {
            thread: std::thread::current().name().unwrap_or("a worker").to_owned(),
            place: PLACE.take(),
            message: said(&*payload),
        };
        let Death { thread, place, message } = &death;
        tracing::error!(
            thread,
            place,
            said = message,
            "a panic: what this thread held is lost, the others end in order"
        );
        death
    })
}

/// The text that a panic carries.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("nothing that could be shown").to_owned()
}

/// A panic for a test of the whole program, which has none to show. The build for release knows nothing of it.
#[cfg(debug_assertions)]
#[derive(Debug)]
pub(super) struct Injected(Option<u64>);

#[cfg(debug_assertions)]
impl Injected {
    /// The thread that `PHANTOMNET_PANIC=THREAD:FRAMES` names panics when it has received so many frames.
    pub(super) fn into(thread: &str) -> Self {
        let asked = std::env::var("PHANTOMNET_PANIC").ok();
        let asked = asked.as_deref().and_then(|asked| asked.split_once(':'));
        let frames = asked.filter(|(whom, _)| *whom == thread);
        Self(frames.and_then(|(_, frames)| frames.parse().ok()))
    }

    #[expect(clippy::panic, reason = "this is what it is for")]
    pub(super) fn after(&self, frames: u64) {
        if self.0.is_some_and(|asked| frames >= asked) {
            panic!("as PHANTOMNET_PANIC asks");
        }
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
#[derive(Debug)]
pub(super) struct Injected;

#[cfg(not(debug_assertions))]
impl Injected {
    pub(super) const fn into(_: &str) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as in builds for tests")]
    pub(super) const fn after(&self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_thread_and_message_and_the_thread_goes_on() {
        let work = || {
            let text = guarded(|| panic!("no {}", "luck")).unwrap_err();
            let constant = guarded(|| panic!("none")).unwrap_err();
            let other = guarded(|| std::panic::panic_any(7)).unwrap_err();
            (text, constant, other, guarded(|| {}))
        };
        let thread = std::thread::Builder::new().name("worker-5".to_owned()).spawn(work).unwrap();
        let (text, constant, other, well) = thread.join().unwrap();
        assert_eq!(text.to_string(), "worker-5 panicked: no luck");
        assert_eq!(constant.message, "none");
        assert_eq!(other.message, "nothing that could be shown");
        assert_eq!(well, Ok(()));
    }
}
