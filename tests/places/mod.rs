//! The stores that the conformance suite runs against, and a way to look at their rows that owes nothing to the program.

#![cfg(test)]

pub(crate) mod model;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;

use phantomnet::store::{Location, RetentionParams, Store, StoreError};
use serde_json::Value;

use crate::cluster::{Cluster, Database};
pub(crate) use tables::{Column, Kind, TABLES, Table, table};

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

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    pub(crate) fn location(&self) -> Location {
        let text = match self {
            Self::Sqlite(_) => format!("sqlite:{}", self.file().display()),
            Self::Postgres(database) => database.url(),
        };
        text.parse().expect("it names a store")
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

    /// Every table.
    pub(crate) fn all_rows(&self) -> BTreeMap<&'static str, Rows> {
        TABLES.iter().map(|table| (table.name, self.rows(table))).collect()
    }
}
