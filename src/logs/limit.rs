//! Lines that can come again and again: a few go out, the rest are counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one place that go out at once.
pub(super) const BURST: u32 = 5;

/// After those, one goes out in this time.
pub(super) const EVERY: Duration = Duration::from_secs(10);

/// Lines left out by all places together, and by outlets whose reader was too slow.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// How many lines were left out since the process started.
#[must_use]
pub fn lines_left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// A line is not written.
pub(super) fn leave_out() {
    LEFT_OUT.fetch_add(1, Ordering::Relaxed);
}

/// The limit of one place in the source: five lines at once, then one in ten seconds. Made by `limited!`.
#[derive(Debug)]
pub struct Limited(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Lines that may go out now.
    tokens: u32,
    /// When a token was last added; `None` before the first line.
    filled: Option<Instant>,
    /// Lines left out since the last one that went out.
    left_out: u64,
}

impl Limited {
    /// A limit that nothing has counted against yet.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "made in a static, where Default can't be called"
    )]
    pub const fn new() -> Self {
        Self(Mutex::new(Bucket { tokens: BURST, filled: None, left_out: 0 }))
    }

    /// Whether a line may go out now, and how many were left out since the last one that did; `None` where there were none.
    pub fn admit(&self) -> Option<Option<u64>> {
        self.admit_at(Instant::now())
    }

    pub(super) fn admit_at(&self, now: Instant) -> Option<Option<u64>> {
        // Whole after each change: nothing in here can panic.
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(now);
        if bucket.tokens == 0 {
            bucket.left_out += 1;
            leave_out();
            return None;
        }
        bucket.tokens -= 1;
        let left_out = std::mem::take(&mut bucket.left_out);
        Some((left_out > 0).then_some(left_out))
    }
}

impl Bucket {
    /// Adds a token for each whole [`EVERY`] since the last one.
    fn fill(&mut self, now: Instant) {
        let Some(filled) = self.filled else {
            self.filled = Some(now);
            return;
        };
        let due = now.saturating_duration_since(filled).as_secs() / EVERY.as_secs();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due == 0 {
            return;
        }
        self.tokens = self.tokens.saturating_add(due).min(BURST);
        self.filled = if self.tokens == BURST { Some(now) } else { Some(filled + EVERY * due) };
    }
}

/// Logs a line that can come again and again, such as one that traffic can cause: `limited!(warn, key = value, "message")`. At most
/// [`Limited`]'s share of them goes out; the next one that does says in `left_out` how many did not.
macro_rules! limited {
    ($level:ident, $($line:tt)+) => {{
        static PLACE: $crate::logs::Limited = $crate::logs::Limited::new();
        if let Some(left_out) = PLACE.admit() {
            ::tracing::$level!(left_out, $($line)+);
        }
    }};
}

pub(crate) use limited;
