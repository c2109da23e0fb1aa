//! The stores that the conformance suite runs against, and a way to look at their rows that owes nothing to the program.

#![cfg(test)]

pub(crate) mod model;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;

use phantomnet::store::{Location, RetentionParams, Store, StoreError};
use serde_json::Value;

use crate::cluster::{Cluster, Database};
pub(crate) use tables::{TABLES, Table, table};

/// A fresh store of its own.
pub(crate) enum Place {
    Sqlite(tempfile::TempDir),
    Postgres(Database<'static>),
}

/// Rows by key, each as the values of its columns.
pub(crate) type Rows = BTreeMap<String, Vec<Value>>;

impl Place {
    /// One of each kind, with its tables.
    pub(crate) fn all() -> Vec<Self> {
        vec![Self::sqlite(), Self::postgres()]
    }

    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(crate::support::folder())
    }

    pub(crate) fn postgres() -> Self {
        let place = Self::Postgres(Cluster::shared().database("conformance"));
        phantomnet::store::migrate(&place.location()).expect("a fresh database takes the tables");
        place
    }

    /// The same, each with where it is, as `--store` takes it.
    pub(crate) fn all_with_urls() -> Vec<(Self, String)> {
        Self::all()
            .into_iter()
            .map(|place| {
                let url = place.url();
                (place, url)
            })
            .collect()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    pub(crate) fn location(&self) -> Location {
        self.url().parse().expect("it names a store")
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite:{}", self.file().display()),
            Self::Postgres(database) => database.url(),
        }
    }

    /// Of SQLite alone.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("phantomnet.db"),
            Self::Postgres(_) => panic!("a server is no file"),
        }
    }

    pub(crate) fn open(&self) -> Box<dyn Store> {
        self.open_keeping(RetentionParams { days: None, bytes: None }).expect("it is there")
    }

    pub(crate) fn open_keeping(
        &self,
        retention: RetentionParams,
    ) -> Result<Box<dyn Store>, StoreError> {
        phantomnet::store::open(&self.location(), retention)
    }

    /// Runs statements that both understand, behind the program's back.
    pub(crate) fn tamper(&self, statements: &str) {
        match self {
            Self::Sqlite(_) => {
                let connection = rusqlite::Connection::open(self.file()).expect("it is there");
                connection.execute_batch(statements).expect("SQLite understands");
            }
            Self::Postgres(database) => drop(database.psql(statements)),
        }
    }

    /// Removes every row.
    pub(crate) fn empty(&self) {
        let delete = |table: &Table| format!("DELETE FROM {};", table.name);
        self.tamper(&TABLES.iter().map(delete).collect::<String>());
    }

    /// What a table holds.
    pub(crate) fn rows(&self, table: &Table) -> Rows {
        let rows = match self {
            Self::Sqlite(_) => table.read_sqlite(&self.file()),
            Self::Postgres(database) => table.read_postgres(database),
        };
        let mut by_key = Rows::new();
        for row in rows {
            let key = table.key_of(&row);
            let before = by_key.insert(key, row);
            assert!(before.is_none(), "{}: {} has a key twice", self.name(), table.name);
        }
        by_key
    }

    /// Holds some tables against a model; the first difference is told.
    #[track_caller]
    pub(crate) fn assert_holds(&self, model: &model::Model, tables: &[&str]) {
        for name in tables {
            let differs = first_difference(&self.rows(table(name)), model.rows(name));
            assert!(differs.is_none(), "{}: {name}: {}", self.name(), differs.unwrap_or_default());
        }
    }

    /// Holds every table against a model.
    #[track_caller]
    pub(crate) fn assert_is(&self, model: &model::Model) {
        self.assert_holds(model, &TABLES.map(|table| table.name));
    }

    /// Every table.
    pub(crate) fn all_rows(&self) -> BTreeMap<&'static str, Rows> {
        TABLES.iter().map(|table| (table.name, self.rows(table))).collect()
    }
}

/// The first row that differs, from both sides.
fn first_difference(found: &Rows, expected: &Rows) -> Option<String> {
    let keys: std::collections::BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let key = keys.into_iter().find(|key| found.get(*key) != expected.get(*key))?;
    let shown = |rows: &Rows| {
        rows.get(key)
            .map_or_else(|| "no row".to_owned(), |row| Value::from(row.clone()).to_string())
    };
    Some(format!(
        "{} rows, {} expected; of {key}\n  found    {}\n  expected {}",
        found.len(),
        expected.len(),
        shown(found),
        shown(expected)
    ))
}
