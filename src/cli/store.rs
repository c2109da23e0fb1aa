//! Which store a command works on: `--store`, else the configuration's, else SQLite in the sensor's folder.

use clap::Args;

use super::Failure;
use crate::config::Config;
use crate::store::Location;

/// The embedded store's file in the sensor's folder.
const EMBEDDED: &str = "phantomnet.db";

/// `--store`.
#[derive(Debug, Args)]
pub(super) struct StoreArgument {
    /// The store: sqlite:PATH, postgres://user@host/database, or postgres: for what PGHOST and the like say. Without it,
    /// what the configuration says.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

impl StoreArgument {
    /// The store that is meant.
    pub(super) fn location(&self, config: &Config) -> Result<Location, Failure> {
        self.store.as_deref().map_or_else(|| Ok(configured(config)), parsed)
    }
}

/// The store that `text`, an argument, names. What it says is not repeated in errors: it may hold a password.
pub(super) fn parsed(text: &str) -> Result<Location, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("--store: {error}")))
}

/// The store that the configuration names.
pub(super) fn configured(config: &Config) -> Location {
    match &config.store.url {
        Some(url) => url.location(),
        None => Location::Sqlite(config.sensor.folder.join(EMBEDDED)),
    }
}
