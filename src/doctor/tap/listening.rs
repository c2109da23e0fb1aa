//! A packet socket for each receive queue, and a look at every frame that comes by. Nobody else misses a frame for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::measure::{Heard, Measure};
use crate::capture::af_packet::{
    self, AfPacketError, AfPacketParams, AfPacketSource, Fanout, InterfaceState,
};
use crate::capture::interface::Interface;
use crate::capture::{Batch, FrameSource as _, Received};
use crate::doctor::known::{folder, text};

/// For how long to listen.
#[expect(missing_debug_implementations, reason = "a question has no form to print")]
pub struct Listening<'a> {
    /// At most.
    pub time: Duration,
    /// Whether to stop before.
    pub is_over: &'a dyn Fn() -> bool,
}

/// The most sockets; the frames of more queues can't be told apart.
const SOCKETS_MAX: u32 = 64;

/// How often the kernel is asked what it counted.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of all rings together.
const RING_BYTES: u32 = 64 << 20;

/// What of a frame is looked at, bytes: all headers, and enough to tell packets apart.
const SNAP_BYTES: u32 = 2_048;

/// After how many milliseconds the kernel hands over what has come.
const RETIRE_MILLIS: u32 = 10;

/// Counts by their names in `/sys/class/net/IF/statistics`.
type Losses = BTreeMap<&'static str, u64>;

/// What drivers count of frames that a card had to drop or cut.
const LOSSES: [&str; 5] =
    ["rx_missed_errors", "rx_fifo_errors", "rx_over_errors", "rx_length_errors", "rx_crc_errors"];

/// Listens on an interface.
///
/// # Errors
///
/// When no packet socket can be opened on it.
pub(in crate::doctor) fn listen(
    interface: &Interface,
    listening: &Listening<'_>,
) -> Result<Heard, AfPacketError> {
    let sockets = interface.queues.clamp(1, SOCKETS_MAX);
    let mut sources = af_packet::open(&params(interface, sockets), sockets as usize)?;
    let mut ears = Ears {
        measure: Measure::new(interface.mtu),
        by_queue: vec![0; sources.len()],
        batch: Batch::new(),
    };
    let lost_before = losses(interface);
    let begun = Instant::now();
    let (mut asked, mut interrupted) = (begun, false);
    while begun.elapsed() < listening.time && !(listening.is_over)() {
        if asked.elapsed() >= ASK_EVERY {
            asked = Instant::now();
            interrupted |= ask(&mut sources)?;
        }
        if !ears.hear(&mut sources) {
            std::thread::sleep(Duration::from_millis(RETIRE_MILLIS.into()) / 2);
        }
    }
    interrupted |= ask(&mut sources)?;
    let seconds = begun.elapsed().as_secs_f64();
    let lost = lost_before.zip(losses(interface)).map(|(before, after)| grown(&before, &after));
    for source in &mut sources {
        source.stop()?;
    }
    // The last block of each ring is handed over a moment later.
    std::thread::sleep(3 * Duration::from_millis(RETIRE_MILLIS.into()));
    while ears.hear(&mut sources) {}
    let mut missed = 0;
    for source in &mut sources {
        missed += source.counters()?.dropped;
    }
    let is_by_queue = interface.queues <= SOCKETS_MAX;
    let heard = ears.measure.heard(seconds);
    let by_queue = is_by_queue.then_some(ears.by_queue);
    let frames = heard.frames + missed;
    Ok(Heard { frames, interrupted, missed, by_queue, lost_by_card: lost, ..heard })
}

/// Has the kernel tell what it counted, which it does in 32 bits, and whether the interface went down.
fn ask(sources: &mut [AfPacketSource]) -> Result<bool, AfPacketError> {
    let mut interrupted = false;
    for source in sources {
        source.counters()?;
        let health = source.health()?;
        interrupted |= health.interrupted
            || matches!(health.interface, InterfaceState::Down | InterfaceState::Gone);
    }
    Ok(interrupted)
}

/// Rings that share [`RING_BYTES`].
fn params(interface: &Interface, sockets: u32) -> AfPacketParams {
    /// A block has room for any frame that is cut to [`SNAP_BYTES`], and for many.
    const BLOCK_BYTES: u32 = 1 << 18;
    AfPacketParams {
        blocks: (RING_BYTES / sockets / BLOCK_BYTES).max(2),
        block_bytes: BLOCK_BYTES,
        retire_millis: RETIRE_MILLIS,
        snap_bytes: SNAP_BYTES,
        fanout: Fanout::Queue,
        ..AfPacketParams::on(interface.index)
    }
}

/// What is counted while sockets are read.
struct Ears {
    measure: Measure,
    by_queue: Vec<u64>,
    batch: Batch,
}

impl Ears {
    /// Takes a batch from each socket. Returns whether there was any.
    fn hear(&mut self, sources: &mut [AfPacketSource]) -> bool {
        let mut any = false;
        for (source, frames) in sources.iter_mut().zip(&mut self.by_queue) {
            if source.receive(&mut self.batch) != Received::Frames {
                continue;
            }
            any = true;
            *frames += self.batch.len() as u64;
            for frame in self.batch.frames() {
                self.measure.take(&frame);
            }
        }
        any
    }
}

/// What the card has counted of its losses so far; nothing where the kernel does not say.
fn losses(interface: &Interface) -> Option<Losses> {
    let folder = folder(interface).ok()?.join("statistics");
    let count = |of: &str| text(folder.join(of)).ok()?.parse().ok();
    LOSSES.into_iter().map(|of| Some((of, count(of)?))).collect()
}

/// By how much each has grown, where it has.
fn grown(before: &Losses, after: &Losses) -> Losses {
    let by = |name: &str, count: u64| before.get(name).map(|before| count.saturating_sub(*before));
    let grown = after.iter().filter_map(|(name, count)| Some((*name, by(name, *count)?)));
    grown.filter(|(_, by)| *by > 0).collect()
}
