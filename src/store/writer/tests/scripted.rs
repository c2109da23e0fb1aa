//! A store that does as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use crate::event::{Batch, RefusedBatches};
use crate::store::writer::Opener;
use crate::store::{Committed, Expiry, Maintained, Store, StoreError};
use crate::time::Timestamp;

/// How it answers one try to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Commits.
    Commit,
    /// Commits, and the answer is lost.
    CommitAndForget,
    /// Commits after a while.
    Slow,
    /// Fails.
    Away,
    /// Fails.
    Refused,
    /// Fails.
    Schema,
    /// Does not come back until it is let go; then it commits.
    Hang,
    /// Panics.
    Panic,
}

/// Any answer but those that end a thread or never come.
pub(super) fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Commit),
        2 => Just(Answer::CommitAndForget),
        1 => Just(Answer::Slow),
        2 => Just(Answer::Away),
        1 => Just(Answer::Refused),
        1 => Just(Answer::Schema),
    ]
}

/// The store; all clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Scripted(Arc<(Mutex<Tables>, Condvar)>);

#[derive(Default)]
struct Tables {
    /// The ledger: numbers in the order of their commits.
    committed: Vec<u64>,
    rows: BTreeMap<u64, usize>,
    refused: Vec<RefusedBatches>,
    script: VecDeque<Answer>,
    away: bool,
    let_go: bool,
    opened: u64,
    maintained: u64,
    maintenance_fails: bool,
}

impl Scripted {
    pub(super) fn opener(&self) -> Opener {
        let store = self.clone();
        Box::new(move || {
            store.with(|tables| {
                if tables.away {
                    return Err(away());
                }
                tables.opened += 1;
                Ok(())
            })?;
            Ok(Box::new(store.clone()))
        })
    }

    /// What it answers to the next tries; then it commits.
    pub(super) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.with(|tables| tables.script = answers.into_iter().collect());
    }

    pub(super) fn stay_away(&self, away: bool) {
        self.with(|tables| tables.away = away);
    }

    /// Ends every hanging.
    pub(super) fn let_go(&self) {
        self.with(|tables| tables.let_go = true);
        self.0.1.notify_all();
    }

    pub(super) fn fail_maintenance(&self) {
        self.with(|tables| tables.maintenance_fails = true);
    }

    pub(super) fn committed(&self) -> Vec<u64> {
        self.with(|tables| tables.committed.clone())
    }

    pub(super) fn rows(&self) -> BTreeMap<u64, usize> {
        self.with(|tables| tables.rows.clone())
    }

    /// What committed batches said was refused before them.
    pub(super) fn refused(&self) -> Vec<RefusedBatches> {
        self.with(|tables| tables.refused.clone())
    }

    pub(super) fn opened(&self) -> u64 {
        self.with(|tables| tables.opened)
    }

    pub(super) fn maintained(&self) -> u64 {
        self.with(|tables| tables.maintained)
    }

    fn with<T>(&self, what: impl FnOnce(&mut Tables) -> T) -> T {
        what(&mut self.0.0.lock().unwrap())
    }
}

impl Tables {
    fn commit(&mut self, batch: &Batch) -> Committed {
        let already = self.committed.contains(&batch.number);
        if !already {
            self.committed.push(batch.number);
            self.rows.insert(batch.number, batch.events.len());
            self.refused.extend(batch.refused);
        }
        Committed { already, ..Committed::default() }
    }
}

fn away() -> StoreError {
    StoreError::Away { store: "scripted".to_owned(), reason: "away".to_owned() }
}

impl Store for Scripted {
    fn commit(&mut self, batch: &Batch, _now: Timestamp) -> Result<Committed, StoreError> {
        let store = "scripted".to_owned();
        let answer = self.with(|tables| {
            if tables.away {
                Answer::Away
            } else {
                tables.script.pop_front().unwrap_or(Answer::Commit)
            }
        });
        match answer {
            Answer::Commit => Ok(self.with(|tables| tables.commit(batch))),
            Answer::CommitAndForget => {
                self.with(|tables| tables.commit(batch));
                Err(away())
            }
            Answer::Slow => {
                std::thread::sleep(Duration::from_millis(5));
                Ok(self.with(|tables| tables.commit(batch)))
            }
            Answer::Away => Err(away()),
            Answer::Refused => Err(StoreError::Refused { store, reason: "no".to_owned() }),
            Answer::Schema => {
                Err(StoreError::Schema { store, found: 2, needed: 1, advice: "run migrate" })
            }
            Answer::Hang => {
                let mut tables = self.0.0.lock().unwrap();
                while !tables.let_go {
                    tables = self.0.1.wait(tables).unwrap();
                }
                Ok(tables.commit(batch))
            }
            Answer::Panic => panic!("as scripted"),
        }
    }

    fn maintain_with(
        &mut self,
        _now: Timestamp,
        _expiry: Expiry,
    ) -> Result<Maintained, StoreError> {
        self.with(|tables| {
            tables.maintained += 1;
            if tables.maintenance_fails {
                Err(away())
            } else {
                Ok(Maintained { pruned_rows: 1, ..Maintained::default() })
            }
        })
    }

    fn name(&self) -> String {
        "scripted".to_owned()
    }
}
