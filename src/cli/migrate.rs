//! `phantomnet migrate`: makes a store's tables, or brings them to this program's version.

use clap::Args;
use serde::Serialize;

use super::output::JsonArgument;
use super::progress::Bar;
use super::store::StoreArgument;
use super::{ConfigArgument, Failure, setup};
use crate::store::{self, SCHEMA_VERSION};

/// Arguments of `migrate`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/migrate.txt"))]
pub(super) struct Migrate {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    store: StoreArgument,
    #[command(flatten)]
    json: JsonArgument,
}

/// What was there, and what is.
#[derive(Debug, Serialize)]
struct Migrated {
    store: String,
    /// 0 where there were no tables.
    schema_version_before: u32,
    schema_version: u32,
}

impl Migrate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = setup::load_config(&self.config)?;
        let location = self.store.location(&config)?;
        let bar = Bar::waiting(&format!("changing {location}"));
        let before = store::migrate(&location).map_err(Failure::operation)?;
        drop(bar);
        let done = match before {
            SCHEMA_VERSION => format!("schema version {SCHEMA_VERSION} already"),
            0 => format!("made, schema version {SCHEMA_VERSION}"),
            older => format!("brought from schema version {older} to {SCHEMA_VERSION}"),
        };
        let migrated = Migrated {
            store: location.to_string(),
            schema_version_before: before,
            schema_version: SCHEMA_VERSION,
        };
        self.json.print(&migrated, &format!("{location}: {done}\n"))
    }
}
