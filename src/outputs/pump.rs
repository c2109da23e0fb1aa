//! The thread of an output: makes records and delivers them, again and again where it must.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::destination::{Delivery, Destination, Fault};
use super::queue::Taken;
use super::stats::OutputStats;
use crate::event::Board;
use crate::logs::limited;

/// Makes records of what is offered.
pub(super) trait Form<T>: Send {
    /// The records of something that was offered: as many as were counted when it was.
    fn records(&mut self, of: &T) -> Vec<Vec<u8>>;

    /// How often there are records that nobody offers; `None`: never.
    fn own_every(&self) -> Option<Duration> {
        None
    }

    /// Those records, as of now.
    fn own(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// What the thread has.
pub(super) struct Pump<T> {
    pub(super) name: &'static str,
    pub(super) taken: Taken<T>,
    /// Its sender is dropped when what could not be delivered by now is given up.
    pub(super) given_up: Receiver<()>,
    pub(super) form: Box<dyn Form<T>>,
    pub(super) destination: Box<dyn Destination>,
    pub(super) stats: Board<OutputStats>,
    pub(super) backoff: Backoff,
}

/// How long to wait after a failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// After the first.
    pub(super) first: Duration,
    /// Doubled with each, up to this.
    pub(super) longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(15) }
    }
}

impl<T> Pump<T> {
    /// Works until nobody can offer any more and everything is delivered or given up.
    pub(super) fn run(mut self) {
        let every = self.form.own_every();
        let mut due = every.map(|every| Instant::now() + every);
        loop {
            // First: pieces that keep coming must not put it off.
            if let Some((was_due, every)) = due.zip(every).filter(|(due, _)| *due <= Instant::now())
            {
                self.deliver_own();
                due = Some((was_due + every).max(Instant::now()));
            }
            let received = match due {
                Some(due) => self.taken.receiver.recv_deadline(due),
                None => self.taken.receiver.recv().map_err(|_gone| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(piece) => {
                    let records = self.form.records(&piece.of);
                    self.deliver(&records);
                    self.taken.let_go(piece);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // The last word: what was counted up to the end.
        self.deliver_own();
    }

    fn deliver_own(&mut self) {
        let records = self.form.own();
        let count = number(records.len());
        self.stats.change(|stats| stats.offer(count));
        self.deliver(&records);
    }

    fn deliver(&mut self, records: &[Vec<u8>]) {
        let mut rest = records;
        let mut wait = self.backoff.first;
        while !rest.is_empty() {
            let Delivery { taken, fault } = self.destination.deliver(rest);
            rest = rest.get(taken..).unwrap_or_default();
            if taken > 0 {
                wait = self.backoff.first;
                self.arrived(number(taken), fault.is_none());
            }
            match fault {
                None => {}
                Some(Fault::Never(why)) => {
                    rest = rest.get(1..).unwrap_or_default();
                    self.stats.change(|stats| stats.fail(1));
                    limited!(warn, output = self.name, why, "a record was refused for good");
                }
                Some(Fault::Later(why)) => {
                    self.failed(&why);
                    if !matches!(self.given_up.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                        self.stats.change(|stats| stats.fail(number(rest.len())));
                        return;
                    }
                    wait = (wait * 2).min(self.backoff.longest);
                }
            }
        }
    }

    fn arrived(&self, records: u64, is_up: bool) {
        let mut was_down = false;
        self.stats.change(|stats| {
            stats.write(records);
            if is_up {
                was_down = stats.last_error.take().is_some();
                stats.is_up = true;
            }
        });
        if was_down {
            tracing::info!(output = self.name, "records are taken again");
        }
    }

    fn failed(&self, why: &str) {
        let mut is_new = false;
        self.stats.change(|stats| {
            stats.failures += 1;
            stats.is_up = false;
            is_new = stats.last_error.as_deref() != Some(why);
            stats.last_error = Some(why.to_owned());
        });
        if is_new {
            limited!(warn, output = self.name, why, "records can't be delivered; they wait");
        }
    }
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::thread;

    use crossbeam_channel::{Sender, bounded};

    use super::super::queue::{Offer, queue};
    use super::*;

    /// Takes what a test lets it take.
    #[derive(Clone, Default)]
    struct Scripted(Arc<Mutex<Script>>);

    #[derive(Default)]
    struct Script {
        is_away: bool,
        taken: Vec<Vec<u8>>,
        tries: u64,
    }

    impl Destination for Scripted {
        fn deliver(&mut self, messages: &[Vec<u8>]) -> Delivery {
            let mut script = self.0.lock().unwrap();
            script.tries += 1;
            if script.is_away {
                return Delivery::later(0, "away");
            }
            // One at a time, and never one that is called bad.
            let first = messages[0].clone();
            if first == b"bad" {
                return Delivery::never(0, "bad");
            }
            script.taken.push(first);
            Delivery { taken: 1, fault: None }
        }
    }

    struct Same;

    impl Form<Vec<&'static str>> for Same {
        fn records(&mut self, of: &Vec<&'static str>) -> Vec<Vec<u8>> {
            of.iter().map(|text| text.as_bytes().to_vec()).collect()
        }
    }

    type Running = (Offer<Vec<&'static str>>, Sender<()>, thread::JoinHandle<()>);

    fn start(destination: &Scripted, stats: &Board<OutputStats>) -> Running {
        let (offer, taken) = queue(4, 100, stats);
        let (give_up, given_up) = bounded(0);
        let pump = Pump {
            name: "test",
            taken,
            given_up,
            form: Box::new(Same),
            destination: Box::new(destination.clone()),
            stats: stats.clone(),
            backoff: Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(4) },
        };
        (offer, give_up, thread::spawn(move || pump.run()))
    }

    fn wait_until(holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_the_other_side_did_not_take_arrives_later_once_and_in_order() {
        let (destination, stats) = (Scripted::default(), Board::default());
        destination.0.lock().unwrap().is_away = true;
        let (offer, _give_up, thread) = start(&destination, &stats);
        offer.offer(vec!["one", "two"], 2, 2);
        offer.offer(vec!["bad", "three"], 2, 2);
        wait_until(|| destination.0.lock().unwrap().tries > 3);
        assert!(!stats.read().is_up);
        destination.0.lock().unwrap().is_away = false;
        drop(offer);
        thread.join().unwrap();
        assert_eq!(destination.0.lock().unwrap().taken, [&b"one"[..], b"two", b"three"]);
        let seen = stats.read();
        assert_eq!((seen.offered, seen.written, seen.failed, seen.waiting), (4, 3, 1, 0));
        assert_eq!((seen.is_up, seen.last_error), (true, None));
    }

    #[test]
    fn what_is_given_up_at_the_end_is_counted() {
        let (destination, stats) = (Scripted::default(), Board::default());
        destination.0.lock().unwrap().is_away = true;
        let (offer, give_up, thread) = start(&destination, &stats);
        offer.offer(vec!["one", "two"], 2, 2);
        offer.offer(vec!["three"], 1, 1);
        wait_until(|| destination.0.lock().unwrap().tries > 0);
        drop((offer, give_up));
        thread.join().unwrap();
        let seen = stats.read();
        assert_eq!((seen.offered, seen.failed, seen.waiting, seen.unaccounted()), (3, 3, 0, 0));
    }
}
