//! `phantomnet migrate`: makes a store's tables, or brings them to this program's version.

use clap::Args;

use super::store::StoreArgument;
use super::{ConfigArgument, Failure, output, setup};
use crate::store::{self, SCHEMA_VERSION};

/// Arguments of `migrate`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/migrate.txt"))]
pub(super) struct Migrate {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    store: StoreArgument,
}

impl Migrate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = setup::load_config(&self.config)?;
        let location = self.store.location(&config)?;
        let before = store::migrate(&location).map_err(Failure::operation)?;
        let done = match before {
            SCHEMA_VERSION => format!("schema version {SCHEMA_VERSION} already"),
            0 => format!("made, schema version {SCHEMA_VERSION}"),
            older => format!("brought from schema version {older} to {SCHEMA_VERSION}"),
        };
        output::print(&format!("{location}: {done}\n"))
    }
}
