//! Looks at a sensor again and again, and says what happened between two looks.

use std::time::{Duration, Instant};

use super::snapshot::{Notable, Rates, Snapshot, View};
use crate::cli::client::{AskError, Client};
use crate::cli::setup;

/// Sources, rules and incidents take the store some work, and change slowly.
const NOTABLE_EVERY: Duration = Duration::from_secs(5);

/// One who looks.
#[derive(Debug)]
pub(super) struct Looker {
    client: Client,
    /// Rows of each list that are asked for.
    rows: usize,
    before: Option<Snapshot>,
    notable: Option<(Instant, Notable)>,
}

impl Looker {
    pub(super) const fn new(client: Client, rows: usize) -> Self {
        Self { client, rows, before: None, notable: None }
    }

    /// What the sensor says now. After a look that failed the next one is the first again: what happened between them is no rate of now.
    pub(super) fn look(&mut self) -> Result<View, AskError> {
        let before = self.before.take();
        let now = Snapshot::ask(&self.client)?;
        let notable = self.notable()?;
        let rates = before.and_then(|before| Rates::between(&before, &now));
        self.before = Some(now.clone());
        Ok(View { at: setup::now().to_string(), now, rates, notable })
    }

    fn notable(&mut self) -> Result<Notable, AskError> {
        if let Some((at, known)) = &self.notable
            && at.elapsed() < NOTABLE_EVERY
        {
            return Ok(known.clone());
        }
        let notable = Notable::ask(&self.client, self.rows)?;
        self.notable = Some((Instant::now(), notable.clone()));
        Ok(notable)
    }
}
