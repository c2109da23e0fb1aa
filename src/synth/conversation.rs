//! One TCP conversation as both sides' segments pass the sensor: SYN to FIN, with sequence numbers, acknowledgements,
//! congestion window, and now and then a lost segment (RFC 9293, RFC 5681).

use std::collections::VecDeque;

use super::attack::Attack;
use super::dice::{Dice, MICRO, MILLI};
use super::network::{Family, HostId};
use super::stage::{Actor, Next, Stage};
use super::wire::{ACK, FIN, PSH, Protocol, RST, SYN, TcpHeader};
use super::words::{POOL_BYTES, Texture};
use crate::time::Timestamp;

/// Behind a SYN: SYN-ACK, ACK, FIN, FIN, ACK.
const PACKETS_BEHIND_SYN: u64 = 5;
const PACKETS_OF_CLOSING: u64 = 3;
const WINDOW_SEGMENTS_FIRST: u32 = 10;
const WINDOW_SEGMENTS_MAX: u32 = 40;
/// A receiver that answers within this time lets its answer carry the acknowledgement (RFC 1122, section 4.2.3.2).
const DELAYED_ACK: i64 = 40 * MILLI;
/// How many flights lose a segment behind the sensor.
const LOSS: f64 = 0.004;
const RETRANSMISSION_TIMEOUT: i64 = 210 * MILLI;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Something said without interruption.
#[derive(Clone, Debug)]
pub(super) struct Say {
    pub(super) by: Side,
    /// Time to think after the other side (or the speaker himself) was done, nanoseconds.
    pub(super) after: i64,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    /// How many bytes follow that mean nothing, and what they look like.
    pub(super) filler: u32,
    pub(super) texture: Texture,
}

impl Say {
    pub(super) fn new(by: Side, after: i64, head: impl Into<Vec<u8>>) -> Self {
        Self { by, after, head: head.into(), filler: 0, texture: Texture::Text }
    }

    pub(super) fn client(after: i64, head: impl Into<Vec<u8>>) -> Self {
        Self::new(Side::Client, after, head)
    }

    pub(super) fn server(after: i64, head: impl Into<Vec<u8>>) -> Self {
        Self::new(Side::Server, after, head)
    }

    pub(super) fn and(mut self, filler: u32, texture: Texture) -> Self {
        self.filler = filler;
        self.texture = texture;
        self
    }

    fn length(&self) -> u32 {
        u32::try_from(self.head.len()).unwrap_or(u32::MAX).saturating_add(self.filler)
    }
}

/// What two sides say to each other, over TCP.
pub(super) trait Dialogue: Send {
    /// What is said next; `None` when all has been said.
    fn next(&mut self, dice: &mut Dice) -> Option<Say>;

    /// Who hangs up.
    fn closer(&self) -> Side {
        Side::Client
    }
}

/// Who calls whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) client: HostId,
    pub(super) server: HostId,
    pub(super) port: u16,
    pub(super) family: Family,
    /// The attack that the client's packets are part of.
    pub(super) label: Option<Attack>,
}

impl Call {
    pub(super) const fn new(client: HostId, server: HostId, port: u16) -> Self {
        Self { client, server, port, family: Family::V4, label: None }
    }

    pub(super) const fn over(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    pub(super) const fn part_of(mut self, attack: Attack) -> Self {
        self.label = Some(attack);
        self
    }
}

/// A conversation from its first SYN on.
pub(super) struct Conversation<D> {
    call: Call,
    dialogue: D,
    dice: Dice,
    client: Speaker,
    server: Speaker,
    phase: Phase,
    /// What passes the sensor next, in order of time.
    ahead: VecDeque<Segment>,
    /// What is being said, and how many bytes of it have been planned.
    current: Option<Say>,
    planned: u32,
    /// What is said after that, once known.
    upcoming: Option<Say>,
    window: u32,
    gap: i64,
    filler_at: u32,
}

#[derive(Clone, Copy, Debug)]
struct Speaker {
    host: HostId,
    port: u16,
    /// Behind everything that this side has sent.
    next: u32,
    ident: u16,
    delay: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unopened,
    Opening,
    Talking,
    Closing,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    at: Timestamp,
    from: Side,
    flags: u8,
    sequence: u32,
    acknowledged: u32,
    /// Where its payload lies in what is being said.
    offset: u32,
    length: u32,
    /// Whether it was reserved when the conversation opened, and how many reserved packets it makes unnecessary.
    releases: u64,
}

impl<D: Dialogue> Conversation<D> {
    pub(super) fn new(call: Call, dialogue: D, mut dice: Dice, stage: &mut Stage) -> Self {
        let port = stage.network.ephemeral_port(call.client);
        let mut speaker = |host: HostId, port: u16| {
            let [a, b, c, d, e, f, ..] = dice.bits().to_be_bytes();
            let next = u32::from_be_bytes([a, b, c, d]);
            let ident = u16::from_be_bytes([e, f]);
            Speaker { host, port, next, ident, delay: stage.network.delay(host) }
        };
        Self {
            client: speaker(call.client, port),
            server: speaker(call.server, call.port),
            gap: stage.network.gap(call.client, call.server),
            filler_at: dice.below(POOL_BYTES),
            call,
            dialogue,
            dice,
            phase: Phase::Unopened,
            ahead: VecDeque::new(),
            current: None,
            planned: 0,
            upcoming: None,
            window: WINDOW_SEGMENTS_FIRST,
        }
    }

    const fn speaker(&self, side: Side) -> &Speaker {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The time from a packet at the sensor to the receiver's reaction at the sensor, a little different each time.
    fn delay(&mut self, side: Side) -> i64 {
        let delay = self.speaker(side).delay;
        self.dice.about(delay, 0.08)
    }

    /// A segment without payload, at the end of everything that was sent.
    const fn bare(&self, at: Timestamp, from: Side, flags: u8) -> Segment {
        let (sequence, acknowledged) = (self.speaker(from).next, self.speaker(from.other()).next);
        Segment { at, from, flags, sequence, acknowledged, offset: 0, length: 0, releases: 0 }
    }

    fn plan_opening(&mut self, now: Timestamp) {
        let mut syn = self.bare(now, Side::Client, SYN);
        syn.acknowledged = 0;
        let at = now.plus_nanos(self.delay(Side::Server));
        let mut answer = self.bare(at, Side::Server, SYN | ACK);
        answer.acknowledged = syn.sequence.wrapping_add(1);
        answer.releases = 1;
        let at = at.plus_nanos(self.delay(Side::Client));
        let mut ack = self.bare(at, Side::Client, ACK);
        ack.sequence = syn.sequence.wrapping_add(1);
        ack.acknowledged = answer.sequence.wrapping_add(1);
        ack.releases = 1;
        self.ahead.extend([syn, answer, ack]);
        self.phase = Phase::Opening;
    }

    /// Plans what follows once everything planned has passed.
    fn plan_on(&mut self, now: Timestamp, stage: &Stage) {
        match self.phase {
            Phase::Unopened | Phase::Closing => return,
            Phase::Opening => {
                self.phase = Phase::Talking;
                self.upcoming = self.dialogue.next(&mut self.dice);
            }
            Phase::Talking => {}
        }
        if stage.is_closing() {
            return self.plan_closing(now);
        }
        let is_unfinished = self.current.as_ref().is_some_and(|say| say.length() > self.planned);
        if is_unfinished {
            let by = self.current.as_ref().map_or(Side::Client, |say| say.by);
            let start = now.plus_nanos(self.delay(by));
            return self.plan_flight(start);
        }
        let Some(say) = self.upcoming.take().filter(|say| say.length() > 0) else {
            let pause = self.dice.pause(2 * MILLI, 1.0);
            return self.plan_closing(now.plus_nanos(pause));
        };
        // The last segment that passed came from the other side, or was the other side's acknowledgement.
        let start = now.plus_nanos(self.delay(say.by)).plus_nanos(say.after);
        self.planned = 0;
        self.current = Some(say);
        self.plan_flight(start);
    }

    /// Plans as many segments as the window allows, and the other side's acknowledgements.
    fn plan_flight(&mut self, start: Timestamp) {
        let Some((by, length)) = self.current.as_ref().map(|say| (say.by, say.length())) else {
            return;
        };
        let segment_bytes = self.segment_bytes_max();
        let listener = by.other();
        let first = self.bare(start, by, ACK);
        // One for the whole flight: acknowledgements don't overtake each other.
        let echo = self.delay(listener) + 10 * MICRO;
        let segments = (length - self.planned).div_ceil(segment_bytes).min(self.window);
        let lost = self.dice.chance(LOSS).then(|| self.dice.below(segments));
        let mut hole: Option<Segment> = None;
        let mut sent = 0;
        for nth in 0..segments {
            let at = start.plus_nanos(self.gap * i64::from(nth));
            let payload = segment_bytes.min(length - self.planned);
            let is_last = self.planned + payload == length;
            let mut segment = Segment {
                at,
                sequence: first.sequence.wrapping_add(sent),
                offset: self.planned,
                length: payload,
                ..first
            };
            if is_last {
                segment.flags |= PSH;
            }
            self.ahead.push_back(segment);
            if lost == Some(nth) {
                hole = Some(segment);
            }
            sent += payload;
            self.planned += payload;
            if nth % 2 == 1 || nth + 1 == segments {
                let seen = hole.map_or(first.sequence.wrapping_add(sent), |hole| hole.sequence);
                if lost != Some(nth) {
                    self.acknowledge(listener, at.plus_nanos(echo), seen);
                }
            }
        }
        self.window = (self.window * 2).min(WINDOW_SEGMENTS_MAX);
        if let Some(mut again) = hole {
            self.window = WINDOW_SEGMENTS_FIRST;
            let delay = self.delay(by) + RETRANSMISSION_TIMEOUT;
            again.at = start.plus_nanos(self.gap * i64::from(segments)).plus_nanos(delay);
            self.ahead.push_back(again);
            let at = again.at.plus_nanos(echo);
            self.acknowledge(listener, at, first.sequence.wrapping_add(sent));
        }
        if self.planned == length {
            self.upcoming = self.dialogue.next(&mut self.dice);
            self.let_the_answer_acknowledge(listener);
        }
        // Stable, so that what was planned first for one moment passes first.
        self.ahead.make_contiguous().sort_by_key(|segment| segment.at);
    }

    fn acknowledge(&mut self, listener: Side, at: Timestamp, seen: u32) {
        let mut ack = self.bare(at, listener, ACK);
        ack.acknowledged = seen;
        self.ahead.push_back(ack);
    }

    /// Takes back the last acknowledgement of what was said when the listener answers at once.
    fn let_the_answer_acknowledge(&mut self, listener: Side) {
        let answers_at_once =
            self.upcoming.as_ref().is_some_and(|say| say.by == listener && say.after < DELAYED_ACK);
        if answers_at_once && self.ahead.back().is_some_and(|last| last.from == listener) {
            self.ahead.pop_back();
        }
    }

    fn plan_closing(&mut self, now: Timestamp) {
        self.phase = Phase::Closing;
        let closer = self.dialogue.closer();
        if closer == Side::Client && self.dice.chance(0.06) {
            let mut reset = self.bare(now, closer, RST | ACK);
            reset.releases = PACKETS_OF_CLOSING;
            self.ahead.push_back(reset);
            return;
        }
        let mut first = self.bare(now, closer, FIN | ACK);
        first.releases = 1;
        let at = now.plus_nanos(self.delay(closer.other()));
        let mut second = self.bare(at, closer.other(), FIN | ACK);
        second.acknowledged = first.sequence.wrapping_add(1);
        second.releases = 1;
        let at = at.plus_nanos(self.delay(closer));
        let mut last = self.bare(at, closer, ACK);
        last.sequence = first.sequence.wrapping_add(1);
        last.acknowledged = second.sequence.wrapping_add(1);
        last.releases = 1;
        self.ahead.extend([first, second, last]);
    }

    fn segment_bytes_max(&self) -> u32 {
        match self.call.family {
            Family::V4 => 1_460,
            Family::V6 => 1_440,
        }
    }

    fn emit(&mut self, now: Timestamp, segment: &Segment, stage: &mut Stage) {
        let segment_bytes_max = u16::try_from(self.segment_bytes_max()).unwrap_or(u16::MAX);
        let (from, to) = (*self.speaker(segment.from), *self.speaker(segment.from.other()));
        let header = TcpHeader {
            from_port: from.port,
            to_port: to.port,
            sequence: segment.sequence,
            acknowledged: segment.acknowledged,
            flags: segment.flags,
            window: if segment.flags & SYN != 0 { 64_240 } else { 501 },
            segment_bytes_max,
        };
        let takes_a_number = u32::from(segment.flags & (SYN | FIN) != 0);
        let end = segment.sequence.wrapping_add(segment.length).wrapping_add(takes_a_number);
        let speaker = match segment.from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        speaker.ident = speaker.ident.wrapping_add(1);
        // A segment sent again doesn't move what comes next (sequence numbers wrap: RFC 9293, section 3.4).
        if end.wrapping_sub(speaker.next) < 1 << 31 {
            speaker.next = end;
        }
        let label = self.call.label.filter(|_| segment.from == Side::Client);
        let hop = stage.network.hop(from.host, to.host, self.call.family, from.ident);
        let (current, filler_at) = (self.current.as_ref(), self.filler_at);
        stage.release(segment.releases);
        stage.emit_ip(now, label, &hop, Protocol::Tcp, |filler, bytes| {
            header.write(bytes);
            let Some(say) = current.filter(|_| segment.length > 0) else { return };
            let head = say.head.get(segment.offset as usize..).unwrap_or_default();
            let head = head.get(..segment.length as usize).unwrap_or(head);
            bytes.extend_from_slice(head);
            let written = u32::try_from(head.len()).unwrap_or(segment.length);
            let at = filler_at.wrapping_add(segment.offset + written);
            filler.write(say.texture, at, segment.length - written, bytes);
        });
    }
}

impl<D: Dialogue> Actor for Conversation<D> {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        match self.phase {
            Phase::Unopened if stage.may_open(PACKETS_BEHIND_SYN) => {
                self.plan_opening(now);
                stage.reserve(PACKETS_BEHIND_SYN);
            }
            Phase::Unopened => return Next::Never,
            Phase::Talking if stage.is_closing() => {
                self.ahead.clear();
                self.plan_closing(now);
            }
            Phase::Opening | Phase::Talking | Phase::Closing => {}
        }
        let Some(segment) = self.ahead.pop_front() else { return Next::Never };
        self.emit(now, &segment, stage);
        if self.ahead.is_empty() {
            self.plan_on(now, stage);
        }
        self.ahead.front().map_or(Next::Never, |segment| Next::At(segment.at.max(now)))
    }

    fn is_conversation(&self) -> bool {
        true
    }
}
