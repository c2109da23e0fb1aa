//! One client's stream: what it missed, then what comes, in the pace in which its connection takes it.

use std::convert::Infallible;
use std::rc::Rc;

use actix_web::web::Bytes;
use futures_util::stream::{self, Stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::frames;
use super::replay::{Part, Past, Replay};
use super::{CHUNK_UPDATES, StreamFilter, StreamGap, Streams};
use crate::collect::{Gap, Start, Subscription, Update};
use crate::event::{Event, EventId};

/// The body of one answer.
pub(super) struct Body<P> {
    source: Rc<Streams<P>>,
    subscription: Subscription,
    filter: StreamFilter,
    /// What is still to be read from the store, before anything of the hub.
    replay: Option<Replay>,
    opened: bool,
    /// The event that the client has seen, if nothing is known of it.
    unknown: Option<EventId>,
    /// The last event that this client has got, or that the filter left out: where it can resume without loss.
    position: EventId,
    stats: Interval,
    /// When something was last sent.
    sent: Instant,
    /// Updates are not looked for before this.
    rests_until: Instant,
}

/// Why the body has something to send.
enum Occasion {
    Updates(Option<Vec<Update>>),
    Stats,
    Heartbeat,
}

impl<P: Past> Body<P> {
    pub(super) fn new(
        source: Rc<Streams<P>>,
        subscription: Subscription,
        filter: StreamFilter,
        unknown: Option<EventId>,
    ) -> Self {
        let params = source.params;
        let until_of = |first: Option<EventId>| {
            // Nothing of this run was emitted yet: the hub will begin with its first event.
            first.unwrap_or(EventId { epoch: source.live.epoch, number: 1 })
        };
        let replay = match subscription.start() {
            Start::Behind { after, first } => {
                Some(Replay::new(after, until_of(first), params.replay_max))
            }
            Start::Now { .. } | Start::Resumed { .. } => None,
        };
        let beginning = EventId { epoch: source.live.epoch, number: 0 };
        let now = Instant::now();
        let mut stats = interval_at(now + params.stats_every, params.stats_every);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            position: subscription.position().unwrap_or(beginning),
            source,
            subscription,
            filter,
            replay,
            opened: false,
            unknown,
            stats,
            sent: now,
            rests_until: now,
        }
    }

    /// As a stream of chunks; one is made only when the one before was taken.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut body| async move {
            let chunk = body.next_chunk().await?;
            Some((Ok(Bytes::from(chunk)), body))
        })
    }

    /// The next thing to send, never empty; `None` at the end.
    async fn next_chunk(&mut self) -> Option<String> {
        let mut out = String::new();
        if !self.opened {
            self.opened = true;
            frames::opening(&mut out, self.source.params.retry, self.position);
            if let Some(after) = self.unknown.map(|id| id.to_string()) {
                frames::gap(
                    &mut out,
                    &StreamGap { missed: None, notices: 0, after, reason: "unknown" },
                );
            }
        }
        while out.is_empty() {
            if self.replay.is_some() {
                self.replay_page(&mut out).await;
            } else {
                self.live_chunk(&mut out).await?;
            }
        }
        self.sent = Instant::now();
        Some(out)
    }

    /// Reads one page of what the client has missed.
    async fn replay_page(&mut self, out: &mut String) {
        let Some(replay) = &mut self.replay else { return };
        let source = &*self.source;
        let page = replay.next(source.past.as_ref(), &source.live.sensor).await;
        for part in page.parts {
            match part {
                Part::Event(row) => {
                    self.position = EventId { epoch: row.epoch, number: row.event.number };
                    self.show_event(out, &row.event);
                }
                Part::Gap(gap) => frames::gap(out, &gap),
            }
        }
        if !page.more {
            self.replay = None;
        }
    }

    /// Waits for what comes next. `None`: the hub was closed.
    async fn live_chunk(&mut self, out: &mut String) -> Option<()> {
        match self.occasion().await {
            Occasion::Updates(updates) => {
                for update in updates? {
                    self.show(out, update);
                }
                self.rests_until = Instant::now() + self.source.params.pause;
            }
            Occasion::Stats => {
                frames::stats(out, self.position, &self.source.live.collector.read());
            }
            Occasion::Heartbeat => frames::heartbeat(out),
        }
        Some(())
    }

    async fn occasion(&mut self) -> Occasion {
        let heartbeat = self.sent + self.source.params.heartbeat;
        let (subscription, rests_until) = (&mut self.subscription, self.rests_until);
        let updates = async {
            sleep_until(rests_until).await;
            subscription.next(CHUNK_UPDATES).await
        };
        tokio::select! {
            biased;
            _ = self.stats.tick() => Occasion::Stats,
            updates = updates => Occasion::Updates(updates),
            () = sleep_until(heartbeat) => Occasion::Heartbeat,
        }
    }

    fn show(&mut self, out: &mut String, update: Update) {
        match update {
            Update::Event(id, event) => {
                self.position = id;
                self.show_event(out, &event);
            }
            Update::Notice(notice) => frames::notice(out, &notice),
            Update::Gap(Gap { events, notices, .. }) => {
                let after = self.position.to_string();
                frames::gap(
                    out,
                    &StreamGap { missed: Some(events), notices, after, reason: "slow" },
                );
            }
        }
    }

    /// Shows the event that the client has come to, if it wants it.
    fn show_event(&self, out: &mut String, event: &Event) {
        if self.filter.admits(event) {
            let source = &self.source;
            let detection = source.live.detection();
            let json = (source.event_json)(self.position.epoch, event, &detection);
            frames::verdict(out, self.position, &json);
        }
    }
}
