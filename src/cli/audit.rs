//! `phantomnet audit`: recounts a store against the sums that the sensor itself wrote into it.

use clap::{Args, ValueEnum};

use super::progress::Bar;
use super::store::StoreArgument;
use super::{ConfigArgument, Failure, output, setup};
use crate::store;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/audit.txt"))]
pub(super) struct Audit {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    store: StoreArgument,

    /// How the findings are written.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    form: Form,

    /// The same as --form json.
    #[arg(long, conflicts_with = "form")]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A page for people.
    Text,
    /// One JSON object.
    Json,
}

impl Audit {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = setup::load_config(&self.config)?;
        let location = self.store.location(&config)?;
        let bar = Bar::waiting(&format!("recounting {location}"));
        let report = store::audit(&location).map_err(Failure::operation)?;
        drop(bar);
        output::print(&match self.form {
            Form::Text if !self.json => report.render(),
            Form::Text | Form::Json => output::as_json(&report)?,
        })?;
        if report.is_clean() {
            return Ok(());
        }
        Err(Failure::operation(format!("{location}: the sums do not hold; see above")))
    }
}
