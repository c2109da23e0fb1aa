//! Pages of lists, newest first: which way to the rows is tried first, and which one answers in any case. Pages of events are found
//! window by window with the same statements, see `search`.
//!
//! A filter that an index serves in the order of the list (one address, a rule, a verdict) is walked along that index: the
//! page is full after as many rows as it has. The trap is a filter whose index has another order (a prefix), or two filters
//! with an index each: walking the newest rows is over at once if what is wanted is common, and never ends if it lies far back;
//! gathering all that match and sorting them is the other way round. Nobody knows beforehand which it is, least of all
//! a planner without statistics. So what an index holds of it is counted, up to a limit: a few rows are gathered at once, their
//! keys only. Of many, the newest rows are walked first, with a budget; if they do not fill the page, all
//! are gathered after all.

use super::condition::{Condition, write_where};
use super::{Dialect, Sql};

/// How many rows a walk looks at along the newest rows, which lie side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(pub(super) u32);

impl Budget {
    /// The largest.
    pub(super) const MAX: Self = Self(20_000);

    /// One that finds so many rows if one row in fifty is such a one.
    pub(super) fn of(rows: u32) -> Self {
        Self(rows.saturating_mul(50).min(Self::MAX.0))
    }

    /// Whether the largest would find the `wanted` rows, where this one has found `rows`.
    pub(super) fn larger_would_do(self, rows: u32, wanted: u32) -> bool {
        let found_with_more = u64::from(rows) * u64::from(Self::MAX.0);
        self.0 < Self::MAX.0 && found_with_more >= u64::from(wanted) * u64::from(self.0)
    }

    /// How many rows along another index, where they lie anywhere.
    const fn scattered(self) -> u32 {
        self.0.div_ceil(LOOK_COST)
    }
}

/// How far the ways of gathering are counted, and what a way may cost that is taken at once.
const WAY_COST_MAX: u32 = 50_000;

/// What a row costs that has to be looked at, where one that the index holds costs 1.
const LOOK_COST: u32 = 10;

/// Statements that answer one question.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Question {
    /// Cheap ones: the answer counts if it has as many rows as were asked for.
    pub(in crate::store) tries: Vec<Sql>,
    /// The one whose answer counts in any case.
    pub(in crate::store) last: Last,
}

/// How a question is answered in the end.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Last {
    /// By this statement.
    Sql(Sql),
    /// By one of these: how common a value is shows when it is counted.
    Cheapest(Vec<Way>),
}

/// One way to gather the rows.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Way {
    /// How many rows it would look at (one number), counted up to a limit.
    pub(in crate::store) count: Sql,
    /// What each of them costs.
    pub(in crate::store) row_cost: u32,
    /// The statement.
    pub(in crate::store) rows: Sql,
}

/// The cheapest of several ways.
#[derive(Debug, Default)]
pub(in crate::store) struct Best<'a>(Option<(u64, &'a Way)>);

impl<'a> Best<'a> {
    /// Whether it is this one, which would look at so many rows. Of equals it is the first.
    pub(in crate::store) fn is_it(&mut self, way: &'a Way, rows: u64) {
        let cost = rows.saturating_mul(way.row_cost.into());
        if self.0.is_none_or(|(least, _)| cost < least) {
            self.0 = Some((cost, way));
        }
    }

    /// How it gathers the rows.
    pub(in crate::store) fn way(&self) -> Option<&'a Sql> {
        self.0.map(|(_, way)| &way.rows)
    }

    /// Whether it costs so little that nothing else has to be tried.
    pub(in crate::store) fn is_cheap(&self) -> bool {
        self.0.is_some_and(|(cost, _)| cost < WAY_COST_MAX.into())
    }
}

/// A table that is listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// The columns of its key, in the order of the list.
    pub(super) key: [&'static str; 3],
    /// Its index in that order.
    pub(super) newest: &'static str,
    /// What conditions look at, `p.` before each.
    pub(super) looked_at: &'static str,
    /// What an answer has, of `p` and what is joined.
    pub(super) columns: &'static str,
    /// What is joined to each row of the answer.
    pub(super) joined: &'static str,
}

/// Conditions that an index serves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    /// The index; for a rule the table `event_rules` stands for one.
    pub(super) index: Index,
    /// The conditions on its first column.
    pub(super) conditions: Vec<Condition>,
    /// Columns that it holds beside that and the key.
    pub(super) holds: &'static [&'static str],
    /// Whether its rows, so limited, come in the order of the list. Several numbers of one column: each by itself.
    pub(super) ordered: bool,
}

impl Served {
    /// Whether its index holds what `other` asks for.
    fn has(&self, other: &Self) -> bool {
        let held = |condition: &Condition| {
            condition.column().is_some_and(|column| self.holds.contains(&column))
        };
        other.conditions.iter().all(held)
    }
}

/// What finds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// This index of the table.
    Of(&'static str),
    /// The table of the events that a rule fired for.
    Rules(u32),
}

/// A list as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// What is listed.
    pub(super) table: Table,
    /// Conditions on the columns of the key.
    pub(super) bounds: Vec<Condition>,
    /// What indexes serve, best first.
    pub(super) served: Vec<Served>,
    /// What no index serves.
    pub(super) others: Vec<Condition>,
    /// How many rows.
    pub(super) rows: u32,
}

impl Asked {
    /// The statements that answer it.
    pub(super) fn question(self, dialect: Dialect) -> Question {
        if self.is_walked() {
            return Question { tries: Vec::new(), last: Last::Sql(self.walk(dialect)) };
        }
        let ways = self.served.iter().map(|by| self.way(dialect, by, WAY_COST_MAX)).collect();
        let tries = vec![self.walk_within_budget(dialect, Budget::MAX)];
        Question { tries, last: Last::Cheapest(ways) }
    }

    /// Whether one index gives the list in its order, and no other one would find fewer rows.
    pub(super) fn is_walked(&self) -> bool {
        match self.served.as_slice() {
            [] => true,
            [first, rest @ ..] => first.ordered && rest.iter().all(|other| first.has(other)),
        }
    }

    /// Walks one index in the order of the list until the page is full.
    pub(super) fn walk(&self, dialect: Dialect) -> Sql {
        let mut sql = Sql::new(dialect);
        sql.push("SELECT ").push(self.table.columns).push(" FROM (");
        let index = Index::Of(self.table.newest);
        let newest = Served { index, conditions: Vec::new(), holds: &[], ordered: true };
        let along = self.served.first().unwrap_or(&newest);
        for (branch, at) in branches(along).iter().zip(0_u32..) {
            let apart = if at == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" };
            sql.push(apart).push("SELECT p.* FROM ");
            self.write_from(&mut sql, branch.index);
            let rest = self.served.iter().skip(1).flat_map(|other| &other.conditions);
            let conditions = branch.conditions.iter().chain(rest).chain(&self.others);
            self.write_found(&mut sql, branch.index, conditions);
            self.write_order(&mut sql, row_of(branch.index));
            sql.limit(self.rows).push(") AS b");
        }
        sql.push(") AS p").push(self.table.joined);
        self.write_order(&mut sql, "p");
        sql.limit(self.rows);
        sql
    }

    /// Walks the best index that has the order of the list, but not far.
    pub(super) fn walk_within_budget(&self, dialect: Dialect, budget: Budget) -> Sql {
        // Several verdicts lie each in an order of its own, and could end at different times.
        let best = self.served.iter().find(|served| served.ordered && branches(served).len() == 1);
        let index = best.map_or(Index::Of(self.table.newest), |best| best.index);
        let others = self.served.iter().filter(|served| Some(*served) != best);
        let others = others.flat_map(|served| &served.conditions).chain(&self.others);

        let mut sql = Sql::new(dialect);
        sql.push("SELECT ").push(self.table.columns).push(" FROM (SELECT ");
        self.write_key(&mut sql, "p").push(" FROM (SELECT ");
        match index {
            Index::Of(index) => {
                sql.push(self.table.looked_at).push(" FROM ").push(self.table.name).push(" AS p");
                self.write_hint(&mut sql, index);
                let served = best.into_iter().flat_map(|best| &best.conditions);
                write_where(&mut sql, "p", served.chain(&self.bounds));
                self.write_order(&mut sql, "p");
                sql.limit(if best.is_some() { budget.scattered() } else { budget.0 });
                sql.push(") AS p");
            }
            Index::Rules(rule) => {
                self.write_key(&mut sql, "r").push(" FROM event_rules AS r");
                let fired = Condition::Is("rule", rule.into());
                write_where(&mut sql, "r", std::iter::once(&fired).chain(&self.bounds));
                self.write_order(&mut sql, "r");
                sql.limit(budget.scattered()).push(") AS r");
                self.write_same(&mut sql, "r");
            }
        }
        write_where(&mut sql, "p", others);
        if dialect == Dialect::Postgres {
            // SQLite would sort what lies in order already, and so look at all of it.
            self.write_order(&mut sql, row_of(index));
        }
        sql.limit(self.rows);
        self.write_rows_of_keys(&mut sql);
        sql
    }

    /// Gathers the keys of all rows that match, by this index (PostgreSQL's planner may know a better one), and sorts them.
    fn gather(&self, dialect: Dialect, by: &Served) -> Sql {
        let others = self.served.iter().filter(|served| *served != by);
        let others = others.flat_map(|served| &served.conditions).chain(&self.others);

        let mut sql = Sql::new(dialect);
        sql.push("SELECT ").push(self.table.columns).push(" FROM (SELECT ");
        self.write_key(&mut sql, "p").push(" FROM (SELECT ");
        self.write_key(&mut sql, "p").push(" FROM ");
        self.write_from(&mut sql, by.index);
        self.write_found(&mut sql, by.index, by.conditions.iter().chain(others));
        // A fence: without it PostgreSQL might walk the newest rows after all.
        sql.push_for(" OFFSET 0", "").push(") AS p");
        self.write_order(&mut sql, "p");
        sql.limit(self.rows);
        self.write_rows_of_keys(&mut sql);
        sql
    }

    /// One way to gather, and what it would cost: counted as far as it costs no more than `cost_max`.
    pub(super) fn way(&self, dialect: Dialect, by: &Served, cost_max: u32) -> Way {
        let row_cost = if self.is_covered(by) { 1 } else { LOOK_COST };
        let mut count = Sql::new(dialect);
        count.push("SELECT count(*) FROM (SELECT 1 FROM ");
        match by.index {
            Index::Of(index) => {
                count.push(self.table.name).push(" AS p");
                self.write_hint(&mut count, index);
                write_where(&mut count, "p", by.conditions.iter().chain(&self.bounds));
            }
            Index::Rules(rule) => {
                count.push("event_rules AS r");
                let fired = Condition::Is("rule", rule.into());
                write_where(&mut count, "r", std::iter::once(&fired).chain(&self.bounds));
            }
        }
        count.limit(cost_max.div_ceil(row_cost)).push(") AS p");
        Way { count, row_cost, rows: self.gather(dialect, by) }
    }

    /// Whether the index holds all that is asked for.
    fn is_covered(&self, by: &Served) -> bool {
        let mut others = self.served.iter().filter(|other| *other != by);
        self.others.is_empty() && others.all(|other| by.has(other))
    }

    /// The table as `p`, found by this index.
    fn write_from(&self, sql: &mut Sql, index: Index) {
        match index {
            Index::Of(index) => {
                sql.push(self.table.name).push(" AS p");
                self.write_hint(sql, index);
            }
            Index::Rules(_) => {
                sql.push("event_rules AS r");
                self.write_same(sql, "r");
            }
        }
    }

    /// Conditions on what [`Self::write_from`] names, the bounds included.
    fn write_found<'a>(
        &'a self,
        sql: &mut Sql,
        index: Index,
        conditions: impl Iterator<Item = &'a Condition>,
    ) {
        match index {
            Index::Of(_) => write_where(sql, "p", conditions.chain(&self.bounds)),
            Index::Rules(rule) => {
                let fired = Condition::Is("rule", rule.into());
                write_where(sql, "r", std::iter::once(&fired).chain(&self.bounds));
                for condition in conditions {
                    if !matches!(condition, Condition::Fired(_)) {
                        sql.push(" AND ");
                        condition.write(sql, "p");
                    }
                }
            }
        }
    }

    /// Which index SQLite is to take; it knows nothing of how common a value is.
    fn write_hint(&self, sql: &mut Sql, index: &'static str) {
        if sql.dialect == Dialect::Sqlite && !index.is_empty() {
            sql.push(" INDEXED BY ").push(index);
        }
    }

    /// Joins the table as `p` to the same key of `row`, from `row` to it.
    fn write_same(&self, sql: &mut Sql, row: &'static str) {
        // A fence: without it PostgreSQL might read all of the table and look for each of its rows among the keys.
        sql.push_for(" CROSS JOIN LATERAL (SELECT p.* FROM ", " CROSS JOIN ");
        sql.push(self.table.name).push(" AS p");
        for (column, at) in self.table.key.into_iter().zip(0_u32..) {
            let first = if sql.dialect == Dialect::Postgres { " WHERE " } else { " ON " };
            sql.push(if at == 0 { first } else { " AND " });
            sql.column("p", column).push(" = ").column(row, column);
        }
        if sql.dialect == Dialect::Postgres {
            // It does not conclude this from what holds for `row`, and would plan for every partition.
            for bound in &self.bounds {
                bound.write_time(sql.push(" AND "), "p");
            }
            sql.push(" OFFSET 0) AS p");
        }
    }

    /// Closes a list of keys and takes their rows.
    fn write_rows_of_keys(&self, sql: &mut Sql) {
        sql.push(") AS k");
        self.write_same(sql, "k");
        sql.push(self.table.joined);
        self.write_order(sql, "p");
    }

    fn write_key<'a>(&self, sql: &'a mut Sql, row: &'static str) -> &'a mut Sql {
        let [first, second, third] = self.table.key;
        sql.column(row, first).push(", ").column(row, second).push(", ").column(row, third)
    }

    fn write_order(&self, sql: &mut Sql, row: &'static str) {
        let [first, second, third] = self.table.key;
        sql.push(" ORDER BY ").column(row, first).push(" DESC, ").column(row, second);
        sql.push(" DESC, ").column(row, third).push(" DESC");
    }
}

/// One for each number that an ordered index is asked for: each by itself is in order.
fn branches(served: &Served) -> Vec<Served> {
    let numbers = served.conditions.iter().find_map(|condition| match condition {
        Condition::OneOf(column, numbers) => Some((*column, numbers)),
        _ => None,
    });
    let Some((column, numbers)) = numbers else { return vec![served.clone()] };
    let others = served.conditions.iter().filter(|one| !matches!(one, Condition::OneOf(..)));
    let others: Vec<Condition> = others.cloned().collect();
    let branch = |number: &i64| {
        let mut conditions = others.clone();
        conditions.push(Condition::Is(column, *number));
        Served { conditions, ..served.clone() }
    };
    numbers.iter().map(branch).collect()
}

/// What the rows go by whose order is that of the list.
const fn row_of(index: Index) -> &'static str {
    match index {
        Index::Of(_) => "p",
        Index::Rules(_) => "r",
    }
}
