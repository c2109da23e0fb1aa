//! Brings a plan to life: a heap of actors, each due at a moment; the earliest acts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use super::attack::Attack;
use super::dice::{Dice, SECOND};
use super::hostile;
use super::network::Network;
use super::normal;
use super::plan::{Plan, PlanError};
use super::stage::{Actor, Next, Stage};
use crate::address::Address;
use crate::time::Timestamp;

/// Within this time all conversations end when the plan does, nanoseconds.
const CLOSING_TIME: i64 = 2 * SECOND;

/// One generated packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// When it passes the sensor; never earlier than the one before.
    pub time: Timestamp,
    /// The Ethernet frame without its check sequence, at least 60 bytes.
    pub frame: Vec<u8>,
    /// The attack that it is part of; `None` for normal traffic, a victim's answers among it.
    pub label: Option<Attack>,
    /// Sender; `None` for ARP.
    pub source: Option<Address>,
    /// Receiver; `None` for ARP.
    pub destination: Option<Address>,
}

impl Labelled {
    /// The sender, if the packet is part of an attack.
    #[must_use]
    pub fn attacker(&self) -> Option<Address> {
        self.label.and(self.source)
    }
}

/// A plan being carried out: an iterator over exactly as many packets as the plan asks for, in order of time.
pub struct Generator {
    stage: Stage,
    agenda: BinaryHeap<Reverse<Due>>,
    actors: Vec<Option<Box<dyn Actor>>>,
    vacant: Vec<usize>,
    /// Attacks that have not begun, the next one last.
    attacks: Vec<hostile::Intent>,
    dice: Dice,
    entries: u64,
    now: Timestamp,
    packets: u64,
}

/// An entry of the agenda. Entries for the same moment keep the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Timestamp,
    entry: u64,
    actor: usize,
}

impl Generator {
    /// Sets the stage.
    ///
    /// # Errors
    /// When the plan has a value out of its range ([`Plan::check`]).
    pub fn new(plan: &Plan) -> Result<Self, PlanError> {
        plan.check()?;
        let mut dice = Dice::from_seed(plan.seed);
        let network = Network::new(plan.clients, &mut dice);
        let mut stage = Stage::new(plan.packets, network, &mut dice);
        normal::move_in(&mut stage, plan.start, &mut dice);
        let attacks = hostile::intents(plan, &mut dice);
        let mut generator = Self {
            stage,
            agenda: BinaryHeap::new(),
            actors: Vec::new(),
            vacant: Vec::new(),
            attacks,
            dice,
            entries: 0,
            now: plan.start,
            packets: plan.packets,
        };
        generator.admit();
        Ok(generator)
    }

    /// Lets attacks begin, admits new actors, and tells the conversations when it is time to go.
    fn direct(&mut self) {
        let progress = self.packets - self.stage.remaining();
        while let Some(intent) = self.attacks.pop_if(|intent| intent.begins_at <= progress) {
            self.stage.grant(intent.attack, intent.budget);
            let dice = self.dice.fork();
            hostile::begin(intent.attack, self.now, &mut self.stage, dice);
        }
        self.admit();
        if !self.stage.is_closing() && !self.stage.may_emit() {
            self.stage.close();
            self.hurry_conversations();
        }
    }

    fn admit(&mut self) {
        let started = std::mem::take(&mut self.stage.started);
        for (at, actor) in started {
            let place = self.vacant.pop().unwrap_or_else(|| {
                self.actors.push(None);
                self.actors.len() - 1
            });
            if let Some(slot) = self.actors.get_mut(place) {
                *slot = Some(actor);
            }
            self.enter(at, place);
        }
    }

    /// Brings every conversation's next turn forward, so that the plan doesn't end with one idle conversation after the
    /// other. The order of the heap's inside doesn't matter: moments come from the entries' own order.
    fn hurry_conversations(&mut self) {
        let mut entries = std::mem::take(&mut self.agenda).into_sorted_vec();
        entries.reverse();
        for Reverse(due) in entries {
            let talks = self
                .actors
                .get(due.actor)
                .is_some_and(|a| a.as_ref().is_some_and(|a| a.is_conversation()));
            let soon = self.now.plus_nanos(self.dice.about(CLOSING_TIME / 2, 1.0));
            self.enter(if talks { due.at.min(soon) } else { due.at }, due.actor);
        }
    }

    fn enter(&mut self, at: Timestamp, actor: usize) {
        self.agenda.push(Reverse(Due { at: at.max(self.now), entry: self.entries, actor }));
        self.entries += 1;
    }
}

impl Iterator for Generator {
    type Item = Labelled;

    fn next(&mut self) -> Option<Labelled> {
        while self.stage.remaining() > 0 {
            self.direct();
            let Reverse(due) = self.agenda.pop()?;
            self.now = due.at;
            let mut actor = self.actors.get_mut(due.actor)?.take()?;
            match actor.act(due.at, &mut self.stage) {
                Next::At(at) => {
                    if let Some(slot) = self.actors.get_mut(due.actor) {
                        *slot = Some(actor);
                    }
                    self.enter(at, due.actor);
                }
                Next::Never => self.vacant.push(due.actor),
            }
            if let Some(emitted) = self.stage.emitted.take() {
                return Some(Labelled {
                    time: emitted.time,
                    frame: self.stage.frame.clone(),
                    label: emitted.label,
                    source: emitted.source,
                    destination: emitted.destination,
                });
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.stage.remaining()).ok();
        (left.unwrap_or(usize::MAX), left)
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("now", &self.now)
            .field("remaining", &self.stage.remaining())
            .field("actors", &(self.actors.len() - self.vacant.len()))
            .finish_non_exhaustive()
    }
}
