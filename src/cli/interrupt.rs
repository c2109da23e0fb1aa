//! Ctrl-C and SIGTERM end a replay in order: what was read is judged, outputs are written, the summary is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Failure;
use crate::capture::{Batch, FrameSource, Received};

/// How often a wait looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether the program was asked to end.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. The first signal asks for an orderly end, the second one ends at once.
    pub(super) fn listen() -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag set by the first.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))
                .and_then(|_id| flag::register(signal, Arc::clone(&asked)))
                .map_err(|error| Failure::operation(format!("signal {signal}: {error}")))?;
        }
        Ok(Self(asked))
    }

    /// Waits until the program is asked to end.
    pub(super) fn wait(&self) {
        while !self.was_asked() {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Set when the program is asked to end.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    pub(super) fn was_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Frames until somebody asks to end.
#[derive(Debug)]
pub(super) struct Interruptible<S> {
    source: S,
    interrupt: Interrupt,
}

impl<S> Interruptible<S> {
    pub(super) const fn new(source: S, interrupt: Interrupt) -> Self {
        Self { source, interrupt }
    }

    /// What is interrupted.
    pub(super) const fn source(&self) -> &S {
        &self.source
    }

    pub(super) fn into_inner(self) -> S {
        self.source
    }
}

impl<S: FrameSource> FrameSource for Interruptible<S> {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        if self.interrupt.was_asked() { Received::End } else { self.source.receive(batch) }
    }
}
