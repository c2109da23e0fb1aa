//! `phantomnet run` on a network interface.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::appliance::{Appliance, Attended, DataPath, Plan, notice};
use super::complaints::{fail_on, sums_and_sinks};
use super::doctor::intended;
use super::hangup::{Asked, Hangup, HangupParts};
use super::interrupt::Interrupt;
use super::reloader::Reloader;
use super::watchdog::Watchdog;
use super::{Failure, output, setup, store};
use crate::api::{self, CaptureStatus, InterfaceStatus};
use crate::capture::af_packet::{AfPacketCapture, AfPacketParams};
use crate::capture::af_xdp::{
    AfXdpCapture, AfXdpError, AfXdpParams, ProgramParams, QUEUES_MAX, UNDER_WAY,
};
use crate::capture::interface::{Interface, has_default_route};
use crate::capture::live::{Change, LiveClock, LiveSource, Port, QueueStatus};
use crate::capture::{Batch, FrameSource, Received};
use crate::collect::{NoticeKind, Sink};
use crate::config::{Backend, CaptureParams, Config};
use crate::doctor;
use crate::event::{Board, StageSum};
use crate::sensor::{self, Live, Replayed};
use crate::worker::WhenFull;

/// How often somebody looks whether the sensor is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often the interface is looked at, and what the kernel has counted is shown.
const LOOK_AT_INTERFACE_EVERY: Duration = Duration::from_millis(250);

/// Judges the frames of an interface until the sensor is told to end.
///
/// # Errors
///
/// When the interface can't be captured, the appliance does not start, or something is missing at the end.
pub(super) fn run(
    name: &str,
    config: &Config,
    interrupt: &Interrupt,
    asked: Asked,
    others: Vec<&mut dyn Sink>,
) -> Result<(), Failure> {
    let interface = Interface::find(name).map_err(Failure::configuration)?;
    let backend = backend(&config.capture, name)?;
    let params = setup::live_params(config, interface.queues);
    setup::demands(config, &params).take().map_err(Failure::configuration)?;
    let workers = params.workers;
    let clock = LiveClock::start();
    let reloader = Reloader::start(config, clock.now())?;
    let appliance = Appliance::start(Plan {
        location: store::configured(config),
        params,
        events: setup::event_params(config, Attended::Sensor),
        detection: Arc::clone(reloader.published()),
        config,
        source: name.to_owned(),
        attended: Attended::Sensor,
        when_full: WhenFull::Count,
    })?;
    if let Some(address) = appliance.address() {
        output::print_to_stderr(&format!("phantomnet: listening on http://{address}\n"));
    }
    let _reloads = Hangup::start(HangupParts {
        asked,
        reloader,
        clock: Some(clock),
        watched: appliance.watched().clone(),
        live: appliance.live().clone(),
    })?;
    // Last: from here on frames come.
    let refused = match backend {
        Backend::AfPacket => None,
        Backend::Auto | Backend::AfXdp => {
            let params = af_xdp_params(config);
            match AfXdpCapture::open(interface.clone(), params, workers, clock, interrupt.flag()) {
                Ok((capture, sources)) => {
                    let capture = Capture::AfXdp(Box::new(capture));
                    return judge(appliance, capture, sources, config, interrupt, others);
                }
                Err(AfXdpError::ToldToEnd) => return end_before_frames(appliance, others),
                Err(error) => Some(error),
            }
        }
    };
    match &refused {
        // Where another program decides what becomes of frames, a copy of what it leaves is not what was asked for.
        Some(error) if backend == Backend::AfXdp || error.is_final() || has_program(name) => {
            return give_up(appliance, others, error);
        }
        Some(error) => tracing::warn!(%error, "no AF_XDP here: frames are copied by AF_PACKET"),
        None => {}
    }
    if config.capture.busy_poll_micros > 0 {
        tracing::warn!("capture.busy_poll_us is for AF_XDP: packet sockets are not polled busily");
    }
    let params = af_packet_params(config, &interface);
    match AfPacketCapture::open(interface, params, workers, clock) {
        Ok((capture, sources)) => {
            let capture = Capture::AfPacket(capture);
            judge(appliance, capture, sources, config, interrupt, others)
        }
        Err(error) => match refused {
            // The first may be the one to mend.
            Some(first) => {
                let both = format!("no AF_XDP here: {first}; and no copies of frames: {error}");
                give_up(appliance, others, &both)
            }
            None => give_up(appliance, others, &error),
        },
    }
}

/// Whether an XDP program is attached to the interface now.
fn has_program(name: &str) -> bool {
    Interface::find(name).is_ok_and(|interface| !interface.xdp_programs.is_empty())
}

/// By which kind of socket the frames of an interface are received: the interface of the default route is left to this machine, unless
/// that is asked for.
fn backend(capture: &CaptureParams, name: &str) -> Result<Backend, Failure> {
    let harms = has_default_route(name) && !capture.force;
    match capture.backend {
        Backend::Auto if harms => Ok(Backend::AfPacket),
        Backend::AfXdp if harms => Err(Failure::configuration(format!(
            "{name} has the default route: AF_XDP takes its frames away from this machine, and whoever reaches it through {name} is cut off; capture.backend = \"af_packet\" copies them, capture.force = true takes them all the same"
        ))),
        backend => Ok(backend),
    }
}

/// Ends what has started already in order, as it was told to.
fn end_before_frames(appliance: Appliance, others: Vec<&mut dyn Sink>) -> Result<(), Failure> {
    tracing::info!("told to end before frames were received");
    let ended = appliance.run(NoFrames, others, |_| None, |_| ());
    let mut lines = ended.complaints();
    lines.extend(sums_and_sinks(&ended.replayed));
    fail_on(lines)
}

/// Ends what has started already in order.
fn give_up(
    appliance: Appliance,
    others: Vec<&mut dyn Sink>,
    error: &dyn std::fmt::Display,
) -> Result<(), Failure> {
    drop(appliance.run(NoFrames, others, |_| Some(error.to_string()), |_| ()));
    Err(Failure::operation(error))
}

/// An interface that is captured, by whichever kind of socket.
#[derive(Debug)]
enum Capture {
    AfXdp(Box<AfXdpCapture>),
    AfPacket(AfPacketCapture),
}

impl Capture {
    fn interface(&self) -> &Interface {
        match self {
            Self::AfXdp(capture) => capture.interface(),
            Self::AfPacket(capture) => capture.interface(),
        }
    }

    const fn backend(&self) -> &'static str {
        match self {
            Self::AfXdp(_) => "af_xdp",
            Self::AfPacket(_) => "af_packet",
        }
    }

    fn mode(&self) -> &'static str {
        match self {
            Self::AfXdp(capture) => capture.mode().name(),
            Self::AfPacket(_) => "copy",
        }
    }

    fn look(&mut self) -> Vec<Change> {
        match self {
            Self::AfXdp(capture) => capture.look(),
            Self::AfPacket(capture) => capture.look(),
        }
    }

    fn status(&mut self) -> Result<Vec<QueueStatus>, String> {
        match self {
            Self::AfXdp(capture) => capture.status().map_err(|error| error.to_string()),
            Self::AfPacket(capture) => capture.status().map_err(|error| error.to_string()),
        }
    }

    /// Whether frames to other stations come.
    const fn sees_all_stations(&self) -> bool {
        match self {
            Self::AfXdp(capture) => capture.sees_all_stations(),
            Self::AfPacket(_) => true,
        }
    }

    /// That there are more queues than can be received, if there are.
    fn queues_left_out(&self) -> Option<String> {
        let Self::AfXdp(capture) = self else { return None };
        let (without, all) = (capture.queues_without_place(), capture.interface().queues);
        (without > 0).then(|| {
            format!(
                "{without} of {all} queues are not received, and what comes on them is counted as without a socket: a sensor that starts has room for {QUEUES_MAX}"
            )
        })
    }

    /// What is wrong with a capture that goes on.
    fn shortcoming(&self) -> Option<String> {
        let not_promiscuous = || (!self.sees_all_stations()).then(|| NOT_PROMISCUOUS.to_owned());
        self.queues_left_out().or_else(not_promiscuous)
    }

    /// Lets no further frame in.
    fn stop(&mut self) {
        match self {
            Self::AfXdp(capture) => capture.stop(UNDER_WAY),
            Self::AfPacket(capture) => {
                if let Err(error) = capture.stop() {
                    tracing::error!(%error, "packet sockets can't be stopped");
                }
            }
        }
    }
}

/// Bytes of a ring's block of packet sockets: room for the longest frame, and for many of the usual length.
const BLOCK_BYTES: u32 = 1 << 18;

/// After how many milliseconds a packet socket hands over a block that is not full.
const RETIRE_MILLIS: u32 = 2;

/// As many bytes as there would be places for frames.
fn af_packet_params(config: &Config, interface: &Interface) -> AfPacketParams {
    let bytes = u64::from(config.capture.frames) * 2_048;
    let blocks = u32::try_from(bytes / u64::from(BLOCK_BYTES)).unwrap_or(u32::MAX).max(4);
    AfPacketParams {
        blocks,
        block_bytes: BLOCK_BYTES,
        retire_millis: RETIRE_MILLIS,
        ..AfPacketParams::on(interface.index)
    }
}

fn af_xdp_params(config: &Config) -> AfXdpParams {
    let capture = &config.capture;
    AfXdpParams {
        modes: capture.modes.clone(),
        frames: capture.frames,
        busy_poll_micros: capture.busy_poll_micros,
        program: ProgramParams {
            no_socket: capture.no_socket,
            stamps: capture.kernel_time,
            ignored: capture.ignored.clone(),
        },
        replace: capture.replace,
    }
}

/// Runs the data path while the interface is watched.
fn judge<P: Port>(
    appliance: Appliance,
    capture: Capture,
    sources: Vec<LiveSource<P>>,
    config: &Config,
    interrupt: &Interrupt,
    others: Vec<&mut dyn Sink>,
) -> Result<(), Failure> {
    if let Capture::AfXdp(capture) = &capture
        && !capture.replaced().is_empty()
    {
        tracing::warn!("{}", Change::Replaced(capture.replaced().to_vec()));
    }
    tracing::info!(
        interface = capture.interface().name,
        backend = capture.backend(),
        mode = capture.mode(),
        queues = capture.interface().queues,
        workers = sources.len(),
        "frames are received"
    );
    if let Some(left_out) = capture.queues_left_out() {
        tracing::warn!("{left_out}");
    }
    if !capture.sees_all_stations() {
        let interface = &capture.interface().name;
        tracing::warn!(
            "{interface} is not promiscuous, and no packet socket is allowed that would make it so: frames to other stations do not come; `ip link set {interface} promisc on`"
        );
    }
    let live = Live { patience: config.capture.patience };
    let shown = appliance.live().clone();
    let examined = doctor::examine(
        Some(capture.interface()),
        &intended(config, Some(capture.interface())),
        None,
    );
    shown.doctor.change(|report| *report = examined);
    let watchdog = Watchdog::start(appliance.live().workers.clone())?;
    let (ended, end) = channel();
    let (status_out, status) = channel();
    let mut last = Vec::new();
    let appliance_ended = thread::scope(|scope| {
        let watching = (&shown, &watchdog);
        let watch = move || {
            // Nobody who would want to know is gone before.
            drop(status_out.send(watch(capture, watching, interrupt, &end)));
        };
        let watching = thread::Builder::new().name("capture".to_owned()).spawn_scoped(scope, watch);
        watching.map_err(|error| Failure::operation(format!("thread capture: {error}")))?;
        let work = |path: &DataPath<'_>, sinks: Vec<&mut dyn Sink>| {
            let before = |replayed: &Replayed<_>| {
                last = last_status(&ended, &status);
                stages(&last, replayed.delivered)
            };
            let DataPath { detection, params, watched } = *path;
            sensor::run_queues(sources, live, detection, params, watched, sinks, before)
        };
        Ok(appliance.run_as(work, others, |_| None, |_| watchdog.stopping()))
    })?;
    tell_what_became_of_frames(&last, appliance_ended.replayed.delivered);
    let mut lines = appliance_ended.complaints();
    lines.extend(sums_and_sinks(&appliance_ended.replayed));
    let whose = if appliance_ended.replayed.deaths.is_empty() {
        "the kernel counts the others nowhere"
    } else {
        "the others lay in the rings of a worker that panicked"
    };
    lines.extend(unexplained(&stages(&last, appliance_ended.replayed.delivered), whose));
    fail_on(lines)
}

/// Ends the watch, which has nothing to watch any more, and takes what the kernel has counted by then.
fn last_status(ended: &Sender<()>, status: &Receiver<Vec<QueueStatus>>) -> Vec<QueueStatus> {
    // A watch that is gone has left its status.
    let _gone: Result<(), _> = ended.send(());
    status.recv().unwrap_or_default()
}

/// Watches over the interface until the workers have ended, and stops the capture when the sensor is told to end, or a worker has
/// panicked: what comes on its queues is nobody's then, and what the others hold is to be stored.
fn watch(
    mut capture: Capture,
    (live, watchdog): (&api::Live, &Watchdog),
    interrupt: &Interrupt,
    end: &Receiver<()>,
) -> Vec<QueueStatus> {
    let mut looked = Instant::now();
    let mut state = State::default();
    let mut stopped = false;
    state.show(&mut capture, &live.capture);
    loop {
        let died = live.workers.iter().any(|worker| worker.has_died());
        if (interrupt.was_asked() || died) && !stopped {
            stopped = true;
            if died {
                watchdog.stopping();
            }
            capture.stop();
        }
        if looked.elapsed() >= LOOK_AT_INTERFACE_EVERY && !stopped {
            looked = Instant::now();
            for change in capture.look() {
                state.tell(&change, live);
            }
            state.show(&mut capture, &live.capture);
        }
        match end.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    state.end(live);
    state.show(&mut capture, &live.capture);
    state.queues
}

/// The fault of an interface that is set so that a mirror's frames do not come in.
const NOT_PROMISCUOUS: &str =
    "the interface is not promiscuous: frames to other stations do not come";

/// What is known of the interface.
#[derive(Debug, Default)]
struct State {
    /// Since when no frames can come.
    lost_since: Option<Instant>,
    /// Why they can't.
    lost: Option<String>,
    /// Why it can't be received as it is now.
    refused: Option<String>,
    /// Why the kernel does not tell what it has counted.
    untold: Option<String>,
    /// What it told last.
    queues: Vec<QueueStatus>,
}

impl State {
    /// Tells whoever watches, and writes down how long nothing came.
    fn tell(&mut self, change: &Change, live: &api::Live) {
        match change {
            Change::Lost(_) => {
                self.lost_since.get_or_insert_with(Instant::now);
                self.lost = Some(change.to_string());
                tracing::warn!("{change}: no frames come");
                notice(live, NoticeKind::CaptureLost, &change.to_string());
            }
            Change::Back { .. } => {
                let took = self.close_gap(live);
                (self.lost, self.refused) = (None, None);
                let text = format!("{change}, after {:.1} s without", took.as_secs_f64());
                tracing::warn!("{text}");
                notice(live, NoticeKind::CaptureBack, &text);
            }
            Change::Queues { there_are, received } if there_are > received => {
                self.refused = None;
                tracing::warn!("{change}");
            }
            Change::Queues { .. } | Change::Accepted => {
                self.refused = None;
                tracing::info!("{change}");
            }
            Change::Replaced(_) => tracing::warn!("{change}"),
            Change::Refused(_) => {
                self.refused = Some(change.to_string());
                tracing::error!("{change}");
            }
        }
    }

    /// Adds a gap that has ended to those before. Returns how long it was.
    fn close_gap(&mut self, live: &api::Live) -> Duration {
        let took = self.lost_since.take().map(|since| since.elapsed()).unwrap_or_default();
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        live.capture.change(|status| status.gap_nanos = status.gap_nanos.saturating_add(nanos));
        took
    }

    /// The capture ends: a gap that is open ends with it.
    fn end(&mut self, live: &api::Live) {
        if self.lost_since.is_some() {
            let secs = self.close_gap(live).as_secs_f64();
            tracing::warn!("at the end no frames had come for {secs:.1} s");
        }
    }

    /// Asks what the kernel has counted, and shows what is known.
    fn show(&mut self, capture: &mut Capture, board: &Board<CaptureStatus>) {
        match capture.status() {
            Ok(queues) => (self.queues, self.untold) = (queues, None),
            // What it told last is the best that is known.
            Err(error) => self.untold = Some(error),
        }
        let interface = InterfaceStatus {
            name: capture.interface().name.clone(),
            backend: capture.backend(),
            mode: capture.mode(),
            queues: self.queues.clone(),
        };
        // Why it is not received any more says more than that it is not.
        let lost = match (&self.lost, &self.refused) {
            (Some(lost), Some(refused)) => Some(format!("{lost}; {refused}")),
            (lost, refused) => lost.as_ref().or(refused.as_ref()).cloned(),
        };
        let fault = lost.or_else(|| self.untold.clone()).or_else(|| capture.shortcoming());
        board.change(|status| {
            status.interface = Some(interface);
            status.fault = fault;
        });
    }
}

/// Says at the end what was seen, and what was not judged.
fn tell_what_became_of_frames(queues: &[QueueStatus], taken: u64) {
    let sum = |count: fn(&QueueStatus) -> u64| queues.iter().map(count).sum::<u64>();
    tracing::info!(
        seen = sum(|queue| queue.counts.seen),
        taken,
        lost_by_sockets = sum(|queue| queue.statistics.lost()),
        without_socket = sum(|queue| queue.counts.without_socket()),
        ignored = sum(|queue| queue.counts.dropped_ignored),
        "no more frames are received"
    );
}

/// The sums of the stages before the workers, when nothing is under way any more.
fn stages(queues: &[QueueStatus], taken: u64) -> Vec<StageSum> {
    let sum = |count: fn(&QueueStatus) -> u64| queues.iter().map(count).sum::<u64>();
    vec![
        StageSum {
            stage: "xdp".into(),
            came: sum(|queue| queue.counts.seen),
            accounted: sum(|queue| queue.counts.accounted()),
        },
        StageSum {
            stage: "socket".into(),
            came: sum(|queue| queue.counts.redirected),
            accounted: taken + sum(|queue| queue.statistics.lost()),
        },
    ]
}

fn unexplained(stages: &[StageSum], whose: &str) -> Vec<String> {
    let broken = stages.iter().filter(|stage| stage.came != stage.accounted);
    let line = |stage: &StageSum| {
        format!(
            "stage {} took {} frames and accounts for {}: {whose}",
            stage.stage, stage.came, stage.accounted
        )
    };
    broken.map(line).collect()
}

/// What an appliance is given that has nothing to receive.
#[derive(Debug)]
struct NoFrames;

impl FrameSource for NoFrames {
    fn receive(&mut self, _: &mut Batch) -> Received {
        Received::End
    }
}
