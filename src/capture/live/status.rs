//! What is counted of a capture's queues before frames reach a worker.

/// What became of the frames of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Frames that came.
    pub seen: u64,
    /// Given to the socket of the queue.
    pub redirected: u64,
    /// Passed to the kernel's network stack, for want of a socket.
    pub passed_no_socket: u64,
    /// Dropped for want of a socket.
    pub dropped_no_socket: u64,
    /// Dropped because of an address in the list.
    pub dropped_ignored: u64,
}

impl QueueCounts {
    /// What is accounted for of the frames seen.
    #[must_use]
    pub const fn accounted(&self) -> u64 {
        self.redirected + self.without_socket() + self.dropped_ignored
    }

    /// Frames that found no socket on their queue.
    #[must_use]
    pub const fn without_socket(&self) -> u64 {
        self.passed_no_socket + self.dropped_no_socket
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            seen: self.seen + other.seen,
            redirected: self.redirected + other.redirected,
            passed_no_socket: self.passed_no_socket + other.passed_no_socket,
            dropped_no_socket: self.dropped_no_socket + other.dropped_no_socket,
            dropped_ignored: self.dropped_ignored + other.dropped_ignored,
        }
    }
}

/// What the kernel counts for one socket.
///
/// In copy mode of `AF_XDP` a frame that finds the fill ring empty is in `dropped` *and* in `fill_ring_empty`: the latter is a reason,
/// never a term of a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketStatistics {
    /// Frames dropped: no place to put them, or too long for one.
    pub dropped: u64,
    /// Frames dropped because the ring of received frames was full.
    pub ring_full: u64,
    /// Places that the kernel could not make sense of.
    pub invalid_places: u64,
    /// How often there was no place for a frame.
    pub fill_ring_empty: u64,
}

impl SocketStatistics {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            dropped: self.dropped + other.dropped,
            ring_full: self.ring_full + other.ring_full,
            invalid_places: self.invalid_places + other.invalid_places,
            fill_ring_empty: self.fill_ring_empty + other.fill_ring_empty,
        }
    }

    /// Frames that came to the socket and were not received.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.dropped + self.ring_full
    }
}

/// What is known of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// Its number.
    pub queue: u32,
    /// What became of its frames.
    pub counts: QueueCounts,
    /// What its socket has counted.
    pub statistics: SocketStatistics,
}
