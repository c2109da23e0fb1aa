//! Searches for events: back in time, one window after the other, until the page is full.
//!
//! A question about all of a month makes PostgreSQL plan for every partition of it, and makes either of two ways of finding rows
//! look at far too many. In a window neither matters: `event_hours` says where the next older events are, the first window is
//! their day, and the page is mostly full with it. If not, windows grow.
//!
//! * What one index gives in the order of the list is walked along it.
//! * What no index serves is walked along the newest rows.
//! * Else rows of a window are counted by each index that would find them, up to a limit. None: the next window. A few: their keys
//!   are gathered and sorted. Many: the window is made smaller, down to a day; in it what is very common is found by walking
//!   a few times the rows that are wanted, and more of them if there were enough in these. Else the window is made smaller again,
//!   down to an hour, which is walked with a larger budget. Only what is then still not found is gathered whatever it costs.
//!
//! No index leads to a port, a protocol or a score. Where one is rare and no span is named, the search is refused when the time of a
//! question is over: a page is whole, or it is not given.

use super::condition::{Condition, write_where};
use super::page::{Asked, Budget, Way};
use super::{Dialect, Sql, Value};
use crate::store::rollup::{HOUR_NANOS, Rollup};
use crate::time::Timestamp;

const NANOS_PER_MICRO: i64 = 1000;

/// Hours of the first window, and of the one in which what is common is walked.
const DAY: i64 = 24;

/// The widest window, hours.
const WIDEST: i64 = 1 << 17;

/// What gathering may cost without a second thought, where an entry of an index costs 1.
const GATHER_COST_MAX: u32 = 10_000;

/// The same in a window of more than a day, where it is found out quickly whether there are many.
const WIDE_COST_MAX: u32 = 2_000;

/// The same where all is one window.
const ONCE_COST_MAX: u32 = 50_000;

/// A search, step by step: whoever drives it asks the store what [`Self::next`] says and tells it the answer.
#[derive(Debug)]
pub(in crate::store) struct Search {
    dialect: Dialect,
    asked: Asked,
    /// Verdicts of which the list is, if it is not of all.
    levels: Vec<i64>,
    /// Everything newer has been searched.
    until: Option<Timestamp>,
    /// Rows that are still wanted.
    wanted: u32,
    /// How wide the next window is to be, in hours.
    hours: i64,
    /// From here on up to what has been searched there are many.
    dense: Option<Timestamp>,
    /// Whether windows do not help: see [`is_one_window`].
    at_once: bool,
    window: Window,
    stage: Stage,
}

/// The window that is searched: from a moment on, up to what has been searched.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// The hour of the newest events in it.
    newest: Timestamp,
    from: Timestamp,
}

#[derive(Debug)]
enum Stage {
    /// Where the next older events are.
    Jump,
    /// How many rows each way would look at.
    Count { way: usize, best: Option<(u64, usize)> },
    /// Along the one index that has the order of the list, or along the newest rows.
    Walk,
    /// The same, but not far; then, in the smallest window, by gathering after all.
    WalkWithinBudget { budget: Budget, or_gather: Option<usize> },
    /// All of the window.
    Gather { way: usize },
    /// There is nothing more to find.
    Done,
}

/// What is to be asked next.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Step {
    /// A moment, or none: for [`Search::moment`].
    Moment(Sql),
    /// A number: for [`Search::number`].
    Number(Sql),
    /// Rows: for [`Search::rows`].
    Rows(Sql),
    /// Nothing: the page is full, or there is no other event.
    Done,
}

impl Search {
    /// A search for `asked`, of events of these verdicts; empty: of all.
    pub(super) fn new(dialect: Dialect, asked: Asked, levels: Vec<i64>) -> Self {
        let window = Window { newest: Timestamp::EPOCH, from: Timestamp::EPOCH };
        let (wanted, stage) = (asked.rows, Stage::Jump);
        let at_once = is_one_window(dialect, &asked);
        let hours = if at_once { WIDEST } else { DAY };
        let (until, dense) = (None, None);
        Self { dialect, asked, levels, until, wanted, hours, dense, at_once, window, stage }
    }

    /// What to ask.
    pub(in crate::store) fn next(&self) -> Step {
        match self.stage {
            Stage::Jump => Step::Moment(self.jump()),
            Stage::Count { way, .. } => {
                self.way(way).map_or(Step::Done, |way| Step::Number(way.count))
            }
            Stage::Walk => Step::Rows(self.asked_here().walk(self.dialect)),
            Stage::WalkWithinBudget { budget, .. } => {
                Step::Rows(self.asked_here().walk_within_budget(self.dialect, budget))
            }
            Stage::Gather { way } => self.way(way).map_or(Step::Done, |way| Step::Rows(way.rows)),
            Stage::Done => Step::Done,
        }
    }

    /// The answer to [`Step::Moment`].
    pub(in crate::store) fn moment(&mut self, moment: Option<Timestamp>) {
        let Some(newest) = moment else {
            self.stage = Stage::Done;
            return;
        };
        self.window.newest = newest;
        self.enter();
    }

    /// The answer to [`Step::Number`].
    pub(in crate::store) fn number(&mut self, rows: u64) {
        let Stage::Count { way, best } = self.stage else { return };
        let row_cost = self.way(way).map_or(1, |way| way.row_cost);
        let cost = rows.saturating_mul(row_cost.into());
        // Of equals the first is best.
        let best = best.filter(|(least, _)| *least <= cost).unwrap_or((cost, way));
        if way + 1 < self.asked.served.len() && best.0 > 0 {
            self.stage = Stage::Count { way: way + 1, best: Some(best) };
            return;
        }
        let (cost, way) = best;
        match self.hours {
            _ if cost == 0 => self.leave(2 * self.hours),
            _ if cost < self.cost_max().into() => self.stage = Stage::Gather { way },
            DAY => {
                let budget = Budget::of(self.wanted);
                self.stage = Stage::WalkWithinBudget { budget, or_gather: None };
            }
            _ if self.hours == 1 || self.at_once => {
                let or_gather = Some(way);
                self.stage = Stage::WalkWithinBudget { budget: Budget::MAX, or_gather };
            }
            _ => self.shrink(),
        }
    }

    /// The answer to [`Step::Rows`], so many. Returns whether they belong to the page; else they are found again.
    pub(in crate::store) fn rows(&mut self, rows: usize) -> bool {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        if let Stage::WalkWithinBudget { budget, or_gather } = self.stage
            && rows < self.wanted
        {
            // There may be more of them in the window than the walk came by.
            match or_gather {
                Some(way) => self.stage = Stage::Gather { way },
                None if budget.larger_would_do(rows, self.wanted) => {
                    self.stage = Stage::WalkWithinBudget { budget: Budget::MAX, or_gather };
                }
                None => self.shrink(),
            }
            return false;
        }
        self.wanted = self.wanted.saturating_sub(rows);
        match self.stage {
            _ if self.wanted == 0 => self.stage = Stage::Done,
            // What walking costs is the planning, which wide windows do not have more of.
            Stage::Walk => self.leave(4 * self.hours),
            _ => self.leave(2 * self.hours),
        }
        true
    }

    /// Begins with a window of [`Self::hours`].
    fn enter(&mut self) {
        self.window.from = from(self.window.newest, self.hours);
        self.stage =
            if self.asked.is_walked() { Stage::Walk } else { Stage::Count { way: 0, best: None } };
    }

    /// Goes on with what is older than the window, in one of so many hours.
    fn leave(&mut self, hours: i64) {
        self.until = Some(self.window.from);
        if self.dense.is_none_or(|dense| self.window.from <= dense) {
            self.hours = hours.min(WIDEST);
            self.dense = None;
        }
        self.stage = Stage::Jump;
    }

    /// Looks at the newer part of the window first.
    fn shrink(&mut self) {
        self.dense = Some(self.window.from);
        self.hours =
            if self.hours > DAY { (self.hours / 2).max(DAY) } else { self.hours / 4 }.max(1);
        self.enter();
    }

    /// What is asked for, in the window alone.
    fn asked_here(&self) -> Asked {
        let mut here = self.asked.clone();
        here.rows = self.wanted;
        let mut from = self.window.from;
        // One bound on each side: SQLite takes the first that it finds.
        here.bounds.retain(|bound| match bound {
            Condition::Since(_, since) => {
                from = from.max(*since);
                false
            }
            _ => self.until.is_none(),
        });
        here.bounds.extend(self.until.map(|until| Condition::Before("time", until)));
        here.bounds.push(Condition::Since("time", from));
        here
    }

    fn way(&self, way: usize) -> Option<Way> {
        let here = self.asked_here();
        here.served.get(way).map(|by| here.way(self.dialect, by, self.cost_max()))
    }

    /// What gathering a window as wide as this one may cost.
    const fn cost_max(&self) -> u32 {
        match self.hours {
            _ if self.at_once => ONCE_COST_MAX,
            hours if hours > DAY => WIDE_COST_MAX,
            _ => GATHER_COST_MAX,
        }
    }

    /// The newest hour with such events that is older than what has been searched.
    fn jump(&self) -> Sql {
        // What passed before the first hour is counted in it.
        let first = Rollup::Hours.earliest().plus_nanos(NANOS_PER_MICRO);
        let mut before = self.until;
        let mut bounds = Vec::new();
        for bound in &self.asked.bounds {
            let other = match bound {
                Condition::Since(_, since) => {
                    let over = since.as_nanos().rem_euclid(HOUR_NANOS);
                    bounds.push(Condition::Since("hour", since.plus_nanos(-over)));
                    continue;
                }
                Condition::Before(_, other) => other.max(&first).to_owned(),
                Condition::Behind(_, [Value::Time(time), ..]) => {
                    time.plus_nanos(NANOS_PER_MICRO).max(first)
                }
                _ => continue,
            };
            before = Some(before.map_or(other, |before| before.min(other)));
        }
        bounds.extend(before.map(|before| Condition::Before("hour", before)));
        if !self.levels.is_empty() {
            bounds.push(Condition::OneOf("verdict", self.levels.clone()));
        }
        let mut sql = Sql::new(self.dialect);
        sql.push("SELECT p.hour FROM event_hours AS p");
        write_where(&mut sql, "p", &bounds);
        sql.push(" ORDER BY p.hour DESC").limit(1);
        sql
    }
}

/// Whether the first window is the widest, and stays it. SQLite has no partitions: of an index by address, a network's part is read
/// for all times, however small the window is. So it is read once.
fn is_one_window(dialect: Dialect, asked: &Asked) -> bool {
    dialect == Dialect::Sqlite && asked.served.first().is_some_and(|first| !first.ordered)
}

/// Where a window of so many hours begins that ends with this hour: those of whole days with a day, as partitions do.
fn from(newest: Timestamp, hours: i64) -> Timestamp {
    if newest <= Rollup::Hours.earliest() {
        return Timestamp::from_nanos(i64::MIN);
    }
    let hours = hours.saturating_mul(HOUR_NANOS);
    let (grain, more) = if hours < DAY * HOUR_NANOS {
        (HOUR_NANOS, hours - HOUR_NANOS)
    } else {
        (DAY * HOUR_NANOS, hours - DAY * HOUR_NANOS)
    };
    newest.plus_nanos(-newest.as_nanos().rem_euclid(grain)).plus_nanos(-more)
}
