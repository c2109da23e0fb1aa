//! What an actor may do when it acts, and the account of how many packets are left for whom.

use super::attack::Attack;
use super::dice::Dice;
use super::network::Network;
use super::wire::{self, Arp, Hop, Protocol};
use super::words;
use crate::address::Address;
use crate::time::Timestamp;

/// Something that acts at moments of its own choosing: a habit of a host, an open conversation, an attack.
pub(super) trait Actor: Send {
    /// Acts at `now`: emits at most one frame, may start other actors, and says when it acts next.
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next;

    /// Whether it is a conversation, which has to be brought to its end before the plan ends.
    fn is_conversation(&self) -> bool {
        false
    }
}

/// When an actor acts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    At(Timestamp),
    Never,
}

/// What is known of the frame that was just emitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emitted {
    pub(super) time: Timestamp,
    pub(super) label: Option<Attack>,
    pub(super) source: Option<Address>,
    pub(super) destination: Option<Address>,
}

/// The stage that all actors share.
pub(super) struct Stage {
    pub(super) network: Network,
    pub(super) filler: words::Filler,
    pub(super) started: Vec<(Timestamp, Box<dyn Actor>)>,
    pub(super) frame: Vec<u8>,
    pub(super) emitted: Option<Emitted>,
    /// Packets that the plan still asks for; never less than `reserved`.
    remaining: u64,
    /// Packets that the open conversations need to come to their end.
    reserved: u64,
    is_closing: bool,
    /// By attack: packets sent, and the most that may be sent.
    spent: [(u64, u64); Attack::ALL.len()],
}

impl Stage {
    pub(super) fn new(packets: u64, network: Network, dice: &mut Dice) -> Self {
        Self {
            network,
            filler: words::Filler::new(dice),
            started: Vec::new(),
            frame: Vec::with_capacity(1_600),
            emitted: None,
            remaining: packets,
            reserved: 0,
            is_closing: false,
            spent: [(0, 0); Attack::ALL.len()],
        }
    }

    pub(super) const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether a packet that nobody reserved may be sent.
    pub(super) const fn may_emit(&self) -> bool {
        self.remaining > self.reserved
    }

    /// Whether a conversation may open that needs `reserve` packets behind its first one to come to its end.
    pub(super) const fn may_open(&self, reserve: u64) -> bool {
        !self.is_closing && self.remaining > self.reserved + reserve
    }

    pub(super) const fn reserve(&mut self, packets: u64) {
        self.reserved += packets;
    }

    pub(super) const fn release(&mut self, packets: u64) {
        self.reserved = self.reserved.saturating_sub(packets);
    }

    /// Whether every conversation has to come to its end now.
    pub(super) const fn is_closing(&self) -> bool {
        self.is_closing
    }

    pub(super) const fn close(&mut self) {
        self.is_closing = true;
    }

    pub(super) fn grant(&mut self, attack: Attack, packets: u64) {
        if let Some((_, limit)) = self.spent.get_mut(attack as usize) {
            *limit = packets;
        }
    }

    /// Packets that `attack` may still send.
    pub(super) fn left_for(&self, attack: Attack) -> u64 {
        self.spent.get(attack as usize).map_or(0, |(spent, limit)| limit.saturating_sub(*spent))
    }

    /// Lets `actor` act for the first time at `at`.
    pub(super) fn start(&mut self, at: Timestamp, actor: impl Actor + 'static) {
        self.started.push((at, Box::new(actor)));
    }

    pub(super) fn emit_ip(
        &mut self,
        now: Timestamp,
        label: Option<Attack>,
        hop: &Hop,
        protocol: Protocol,
        transport: impl FnOnce(&words::Filler, &mut Vec<u8>),
    ) {
        let filler = &self.filler;
        wire::ip(&mut self.frame, hop, protocol, |bytes| transport(filler, bytes));
        self.count(Emitted { time: now, label, source: Some(hop.from), destination: Some(hop.to) });
    }

    pub(super) fn emit_arp(&mut self, now: Timestamp, message: &Arp) {
        wire::arp(&mut self.frame, message);
        self.count(Emitted { time: now, label: None, source: None, destination: None });
    }

    fn count(&mut self, emitted: Emitted) {
        debug_assert!(self.emitted.is_none(), "an actor emitted two frames at once");
        debug_assert!(self.remaining > self.reserved, "a reserved packet was taken");
        self.remaining -= 1;
        if let Some((spent, _)) =
            emitted.label.and_then(|attack| self.spent.get_mut(attack as usize))
        {
            *spent += 1;
        }
        self.emitted = Some(emitted);
    }
}
