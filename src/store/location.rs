//! Where a store is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::postgres::PostgresConfig;

/// A store, as `--store` and `store.url` name it.
#[derive(Clone, Debug)]
pub enum Location {
    /// `postgres://user:password@host:port/database?sslmode=verify-full` (libpq's URL), or `postgres:` for what the `PG*`
    /// environment variables say.
    Postgres(Box<PostgresConfig>),
    /// `sqlite:PATH`, made if it is missing.
    Sqlite(PathBuf),
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LocationError(String);

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "postgres" | "postgresql" => text
                .parse()
                .map(Box::new)
                .map(Self::Postgres)
                .map_err(|error| LocationError(format!("{error}"))),
            "sqlite" => {
                let path = text.trim_start_matches("sqlite:");
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() || path.contains('\0') {
                    return Err(LocationError("sqlite: must be followed by a path".to_owned()));
                }
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            // The text is not repeated: it may hold a password.
            _ => Err(LocationError(
                "must begin with postgres: or sqlite:, such as sqlite:phantomnet.db".to_owned(),
            )),
        }
    }
}

impl fmt::Display for Location {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(config) => config.fmt(f),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}
