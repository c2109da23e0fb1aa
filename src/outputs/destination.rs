//! What takes messages: a file, a socket, a server.

/// Somewhere that messages go. It may block for a second or two, no longer: the queue before it is bounded.
pub(super) trait Destination: Send {
    /// Delivers messages in their order, as many as it can. Each is whole: framed as the destination wants it.
    fn deliver(&mut self, messages: &[Vec<u8>]) -> Delivery;
}

/// What became of messages.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// How many of the first were taken.
    pub(super) taken: usize,
    /// What is wrong with the one behind them.
    pub(super) fault: Option<Fault>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// It may be, later.
    Later(String),
    /// This one never will.
    Never(String),
}

impl Delivery {
    /// All of them were taken.
    pub(super) const fn all(messages: &[Vec<u8>]) -> Self {
        Self { taken: messages.len(), fault: None }
    }

    /// So many were taken, and what is wrong will pass.
    pub(super) fn later(taken: usize, why: impl std::fmt::Display) -> Self {
        Self { taken, fault: Some(Fault::Later(why.to_string())) }
    }

    /// So many were taken, and the next will never be.
    pub(super) fn never(taken: usize, why: impl std::fmt::Display) -> Self {
        Self { taken, fault: Some(Fault::Never(why.to_string())) }
    }
}
