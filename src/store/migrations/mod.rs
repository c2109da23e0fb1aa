//! The tables, as numbered steps: `migrations/postgres` and `migrations/sqlite`.
//!
//! What a store has been through stands in its table `schema_versions`. All steps that are missing are taken in one transaction
//! under a lock, so that of two programs that migrate at once the second finds the work done.

mod postgres;
pub(super) mod sqlite;

use super::{Location, StoreError};

pub(super) use postgres::check as check_postgres;

/// The version that this program writes and reads: the number of the last step.
pub const SCHEMA_VERSION: u32 = 2;

/// Brings a store to [`SCHEMA_VERSION`]. Returns the version that it had; 0 for none.
///
/// # Errors
///
/// When it can't be reached, or is newer than this program.
pub fn migrate(location: &Location) -> Result<u32, StoreError> {
    match location {
        Location::Postgres(config) => postgres::migrate(config),
        Location::Sqlite(path) => sqlite::migrate(path),
    }
}

/// One step of a schema.
struct Step {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

/// Where the versions stand, in both dialects.
const HISTORY: &str = "schema_versions";

/// The steps from version `found` on.
fn missing(steps: &[Step], found: u32) -> impl Iterator<Item = &Step> {
    steps.iter().filter(move |step| step.version > found)
}

/// Holds a version found against [`SCHEMA_VERSION`].
fn compare(store: &str, found: u32) -> Result<(), StoreError> {
    let advice = match found {
        SCHEMA_VERSION => return Ok(()),
        0 => "it has no tables yet: run `phantomnet migrate --store ...`",
        older if older < SCHEMA_VERSION => "run `phantomnet migrate --store ...`",
        _newer => "this program is older than the store: update it",
    };
    Err(StoreError::Schema { store: store.to_owned(), found, needed: SCHEMA_VERSION, advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a folder of migrations as `(version, name, content)`.
    fn files(dialect: &str) -> Vec<(u32, String, String)> {
        let folder = format!("{}/migrations/{dialect}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let stem = path.file_stem().unwrap().to_str().unwrap();
                let (version, name) = stem.strip_prefix('V').unwrap().split_once("__").unwrap();
                let content = std::fs::read_to_string(&path).unwrap();
                (version.parse().unwrap(), name.to_owned(), content)
            })
            .collect();
        files.sort();
        files
    }

    fn steps(steps: &[Step]) -> Vec<(u32, String, String)> {
        steps.iter().map(|s| (s.version, s.name.to_owned(), s.sql.to_owned())).collect()
    }

    #[test]
    fn both_dialects_take_the_same_steps_and_forget_no_file() {
        assert_eq!(steps(&postgres::STEPS), files("postgres"));
        assert_eq!(steps(&sqlite::STEPS), files("sqlite"));
        let numbers = |steps: &[Step]| steps.iter().map(|s| s.version).collect::<Vec<_>>();
        assert_eq!(numbers(&postgres::STEPS), numbers(&sqlite::STEPS));
        assert_eq!(numbers(&sqlite::STEPS), (1..=SCHEMA_VERSION).collect::<Vec<_>>());
    }

    #[test]
    fn another_version_says_what_to_do() {
        compare("s", SCHEMA_VERSION).unwrap();
        let said = |found| compare("s", found).unwrap_err().to_string();
        assert!(said(0).contains("phantomnet migrate"), "{}", said(0));
        assert!(said(SCHEMA_VERSION + 1).contains("older than the store"));
    }
}
