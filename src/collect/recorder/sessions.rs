//! Sources from their first packet to their silence, and what is to be added to their profiles.
//!
//! Forged sources make no rows: a session of one SAFE packet is counted only, and of the sessions that begin in one second
//! only so many are stored.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use hashlink::LinkedHashMap;

use super::budget::{Budget, Lane};
use super::describe::whole_micros;
use super::params::{EventParams, nanos};
use crate::event::{ProfileChange, SESSION_RULES_MAX, Session, SessionState};
use crate::handover::RULE_HITS_MAX;
use crate::sources::SourceKey;
use crate::time::Timestamp;
use crate::verdict::{Detection, Level, Verdict};

/// How many sessions are closed, and how many reported, at most with each packet: each begins and changes one at most, so
/// the rest follows soon, and a jump of the time makes no pause.
const AT_ONCE: usize = 64;

/// The sessions that are open, and the records that wait to be put into a batch.
#[derive(Debug)]
pub(super) struct Sessions {
    /// In the order of their last packets.
    open: BySource<OpenSession>,
    /// Those with something to report, in the order in which they began to have it: since when.
    changed: BySource<Timestamp>,
    open_max: usize,
    idle_nanos: u64,
    report_nanos: u64,
    budget: Budget,
    reports: VecDeque<SessionReport>,
    stored: u64,
    closed: u64,
    not_stored: u64,
}

/// By source, in an order of its own.
type BySource<T> = LinkedHashMap<Source, T, BuildHasherDefault<HashedAlready>>;

/// A source with its hash, which a [`Keyer`](crate::sources::Keyer) made under its key: it is not hashed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    key: SourceKey,
    hash: u64,
}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Gives back the one number that it is given.
#[derive(Debug, Default)]
struct HashedAlready(u64);

impl Hasher for HashedAlready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A session as it stands, and what came to it since it was last reported.
#[derive(Debug)]
pub(super) struct SessionReport {
    pub(super) session: Session,
    pub(super) profile: Option<ProfileChange>,
}

impl Sessions {
    pub(super) fn new(params: &EventParams) -> Self {
        Self {
            open: BySource::default(),
            changed: BySource::default(),
            open_max: params.open_sessions_max.max(1),
            idle_nanos: nanos(params.session_idle),
            report_nanos: nanos(params.session_report),
            budget: Budget::new(params.sessions_per_second, params.notable_sessions_per_second),
            reports: VecDeque::new(),
            stored: 0,
            closed: 0,
            not_stored: 0,
        }
    }

    /// Adds a packet to the session of its source, whose key and hash the keyer made.
    pub(super) fn take(
        &mut self,
        (key, hash): (SourceKey, u64),
        verdict: &Verdict,
        by: &Detection,
    ) {
        let source = Source { key, hash };
        let time = verdict.digest.time;
        let found = self.open.to_back(&source);
        let is_new = found.is_none();
        if let Some(session) = found
            && !session.was_silent(time, self.idle_nanos)
        {
            if session.add(verdict, by) {
                self.changed.insert(source, time);
            }
            return;
        }
        if is_new {
            self.make_room();
        } else if let Some(ended) = self.open.remove(&source) {
            self.end(&source, ended, SessionState::Idle);
        }
        let mut session = OpenSession::begin(time);
        if session.add(verdict, by) {
            self.changed.insert(source, time);
        }
        self.open.insert(source, session);
    }

    /// Closes what was silent for the idle time at `time`, and reports what has something to report for long enough: of
    /// each at most [`AT_ONCE`].
    pub(super) fn advance(&mut self, time: Timestamp) {
        for _ in 0..AT_ONCE {
            if !self.close_if_silent(time) {
                break;
            }
        }
        for _ in 0..AT_ONCE {
            if !self.report_if_due(time) {
                break;
            }
        }
    }

    /// The same without a bound but their number.
    pub(super) fn catch_up(&mut self, time: Timestamp) {
        while self.close_if_silent(time) {}
        while self.report_if_due(time) {}
    }

    /// Closes all.
    pub(super) fn finish(&mut self) {
        while let Some((source, ended)) = self.open.pop_front() {
            self.end(&source, ended, SessionState::Stopped);
        }
    }

    /// The next record for a batch.
    pub(super) fn next_report(&mut self) -> Option<SessionReport> {
        self.reports.pop_front()
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many were closed, stored or not.
    pub(super) const fn closed(&self) -> u64 {
        self.closed
    }

    /// Of how many no row was made.
    pub(super) const fn not_stored(&self) -> u64 {
        self.not_stored
    }

    fn make_room(&mut self) {
        if self.open.len() >= self.open_max
            && let Some((source, longest_silent)) = self.open.pop_front()
        {
            self.end(&source, longest_silent, SessionState::Evicted);
        }
    }

    fn close_if_silent(&mut self, time: Timestamp) -> bool {
        let front = self.open.front();
        if !front.is_some_and(|(_, session)| session.was_silent(time, self.idle_nanos)) {
            return false;
        }
        if let Some((source, ended)) = self.open.pop_front() {
            self.end(&source, ended, SessionState::Idle);
        }
        true
    }

    fn report_if_due(&mut self, time: Timestamp) -> bool {
        let due = |since: &Timestamp| apart(time, *since) >= self.report_nanos;
        if !self.changed.front().is_some_and(|(_, since)| due(since)) {
            return false;
        }
        if let Some((source, _)) = self.changed.pop_front()
            && let Some(session) = self.open.get_mut(&source)
        {
            session.waits = false;
            if admit(&mut self.budget, &mut self.stored, session) {
                self.reports.extend(session.report(&source.key, SessionState::Open));
            }
        }
        true
    }

    fn end(&mut self, source: &Source, mut session: OpenSession, state: SessionState) {
        if session.waits {
            self.changed.remove(source);
        }
        self.closed += 1;
        if admit(&mut self.budget, &mut self.stored, &mut session) {
            self.reports.extend(session.report(&source.key, state));
        } else {
            self.not_stored += 1;
        }
    }
}

/// Whether the session has rows. One that has none yet gets its number if the second in which it began has room.
fn admit(budget: &mut Budget, stored: &mut u64, session: &mut OpenSession) -> bool {
    if session.number.is_none() && session.is_storable() {
        let lane = if session.worst > Level::Safe { Lane::Severe } else { Lane::Common };
        if budget.used_up(session.begun, lane) == 0 {
            budget.spend(session.begun, lane);
            *stored += 1;
            session.number = Some(*stored);
        }
    }
    session.number.is_some()
}

/// Nanoseconds between two moments, whichever is the later.
const fn apart(one: Timestamp, other: Timestamp) -> u64 {
    one.as_nanos().abs_diff(other.as_nanos())
}

/// A session that may go on.
#[derive(Debug)]
struct OpenSession {
    /// Given with its first row.
    number: Option<u64>,
    /// The time of the packet that began it.
    begun: Timestamp,
    /// The time of its newest packet: silence is measured from here.
    newest: Timestamp,
    reported: Sums,
    since: Sums,
    worst: Level,
    rules: Vec<u32>,
    /// Version and rules of the newest packet that had any: the next one's are mostly the same.
    known: (u32, u8, [u16; RULE_HITS_MAX]),
    /// Whether it stands in `changed`.
    waits: bool,
}

impl OpenSession {
    fn begin(time: Timestamp) -> Self {
        Self {
            number: None,
            begun: time,
            newest: time,
            reported: Sums::default(),
            since: Sums::default(),
            worst: Level::Safe,
            rules: Vec::new(),
            known: (0, 0, [0; RULE_HITS_MAX]),
            waits: false,
        }
    }

    /// Adds a packet. Returns whether from now on it has something to report.
    fn add(&mut self, verdict: &Verdict, detection: &Detection) -> bool {
        self.newest = verdict.digest.time;
        self.worst = self.worst.max(verdict.level);
        self.since.add(verdict);
        if verdict.rule_count > 0 {
            self.add_rules(verdict, detection);
        }
        let begins = !self.waits && self.is_storable();
        self.waits |= begins;
        begins
    }

    fn add_rules(&mut self, verdict: &Verdict, detection: &Detection) {
        let rules = (verdict.detection, verdict.rule_count, verdict.rules);
        if self.known != rules {
            self.known = rules;
            for rule in detection.rules_at(verdict.rules()) {
                add_rule(&mut self.rules, rule.sid);
            }
        }
    }

    /// One SAFE packet is what each source of a flood from forged addresses is.
    fn is_storable(&self) -> bool {
        self.worst > Level::Safe || self.reported.packets + self.since.packets > 1
    }

    /// Whether its source was silent for longer than the idle time when a packet passed at `time`.
    const fn was_silent(&self, time: Timestamp, idle_nanos: u64) -> bool {
        apart(time, self.newest) > idle_nanos
    }

    /// Its record, if it has a number, and what came since the one before.
    fn report(&mut self, key: &SourceKey, state: SessionState) -> Option<SessionReport> {
        let number = self.number?;
        let is_first = self.reported.packets == 0;
        let since = std::mem::take(&mut self.since);
        self.reported = if is_first { since } else { self.reported.plus(&since) };
        let all = &self.reported;
        let session = Session {
            number,
            source: key.network,
            tenant: key.tenant,
            first: whole_micros(all.first),
            last: whole_micros(all.last),
            packets: all.packets,
            bytes: all.bytes,
            levels: all.levels,
            worst: self.worst,
            rules: self.rules.clone(),
            state,
        };
        let profile = (since.packets > 0).then(|| ProfileChange {
            source: key.network,
            tenant: key.tenant,
            first: whole_micros(since.first),
            last: whole_micros(since.last),
            sessions: u64::from(is_first),
            packets: since.packets,
            bytes: since.bytes,
            levels: since.levels,
        });
        Some(SessionReport { session, profile })
    }
}

/// Adds a signature id to an ascending list that names at most [`SESSION_RULES_MAX`]: the first ones met.
pub(super) fn add_rule(rules: &mut Vec<u32>, sid: u32) {
    if let Err(place) = rules.binary_search(&sid)
        && rules.len() < SESSION_RULES_MAX
    {
        rules.insert(place, sid);
    }
}

/// Packets added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    first: Timestamp,
    last: Timestamp,
    packets: u64,
    bytes: u64,
    levels: [u64; 4],
}

impl Sums {
    fn add(&mut self, verdict: &Verdict) {
        let time = verdict.digest.time;
        self.first = if self.packets == 0 { time } else { self.first.min(time) };
        self.last = if self.packets == 0 { time } else { self.last.max(time) };
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(u64::from(verdict.digest.wire_length));
        if let Some(count) = self.levels.get_mut(verdict.level as usize) {
            *count += 1;
        }
    }

    /// Both; there are packets in `self`.
    fn plus(&self, other: &Self) -> Self {
        if other.packets == 0 {
            return *self;
        }
        let mut levels = self.levels;
        for (level, more) in levels.iter_mut().zip(other.levels) {
            *level += more;
        }
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            packets: self.packets + other.packets,
            bytes: self.bytes.saturating_add(other.bytes),
            levels,
        }
    }
}

/// What an open session takes in both tables, without its list of rules: twice a key, two links and a place in an index.
#[cfg(test)]
pub(super) const ENTRY_BYTES: usize =
    size_of::<OpenSession>() + size_of::<Timestamp>() + 2 * (size_of::<Source>() + 3 * 8);
