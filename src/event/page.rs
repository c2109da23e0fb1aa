//! What a killed process leaves behind of its sums: a small file, written several times a second, never synced.
//!
//! Its bytes lie in the page cache, which outlives the process (not a power failure), so the next start can say exactly what was
//! judged up to a moment shortly before the kill.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Epoch, Marker, MarkerKind, Totals};
use crate::time::Timestamp;

/// The file's name in the sensor's folder.
pub const PAGE_FILE: &str = "running.json";

/// The file is always this long, so that one write replaces it whole.
const PAGE_BYTES: usize = 1024;

/// The page of a running epoch.
#[derive(Debug)]
pub struct EpochPage {
    file: File,
    path: PathBuf,
    epoch: Epoch,
}

/// What a page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// The run that did not end in order.
    pub epoch: Epoch,
    /// When its sums were written.
    pub at: Timestamp,
    /// Its sums then.
    pub totals: Totals,
}

impl Leftover {
    /// As the last marker of that epoch.
    #[must_use]
    pub const fn marker(&self) -> Marker {
        let Self { at, totals, .. } = *self;
        Marker { number: LAST_MARKER, at, kind: MarkerKind::Crashed, totals, stages: Vec::new() }
    }
}

/// Behind every marker that the epoch itself can have made.
const LAST_MARKER: u64 = i64::MAX.unsigned_abs();

#[derive(Serialize, Deserialize)]
struct Page {
    crc32: u32,
    leftover: Leftover,
}

impl EpochPage {
    /// Begins the page of `epoch` in `folder`. What an earlier epoch left there must have been read before.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn begin(folder: &Path, epoch: Epoch, at: Timestamp) -> io::Result<Self> {
        let path = folder.join(PAGE_FILE);
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let page = Self { file, path, epoch };
        page.write(at, Totals::default())?;
        Ok(page)
    }

    /// Replaces the sums.
    ///
    /// # Errors
    ///
    /// When they can't be written.
    pub fn write(&self, at: Timestamp, totals: Totals) -> io::Result<()> {
        let leftover = Leftover { epoch: self.epoch, at, totals };
        let mut bytes = serde_json::to_vec(&Page { crc32: crc32_of(&leftover), leftover })?;
        bytes.resize(PAGE_BYTES, b' ');
        self.file.write_all_at(&bytes, 0)
    }

    /// The epoch has ended in order: there is nothing left to find out.
    ///
    /// # Errors
    ///
    /// When the file can't be removed.
    pub fn end(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// What an epoch that did not end in order has left in `folder`; `None` when the last one did. A page that can't be read says
/// nothing.
#[must_use]
pub fn leftover(folder: &Path) -> Option<Leftover> {
    let bytes = std::fs::read(folder.join(PAGE_FILE)).ok()?;
    let page: Page = serde_json::from_slice(bytes.get(..PAGE_BYTES)?).ok()?;
    (page.crc32 == crc32_of(&page.leftover)).then_some(page.leftover)
}

fn crc32_of(leftover: &Leftover) -> u32 {
    let text = serde_json::to_vec(leftover).expect("numbers can be written as JSON");
    crc32fast::hash(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(packets: u64) -> Totals {
        Totals { dequeued: packets, packets, event_packets: packets, ..Totals::default() }
    }

    #[test]
    fn what_was_written_last_is_found_and_a_clean_end_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = Timestamp::from_secs(1_790_000_000);
        let epoch = Epoch::new(at, 3);
        assert_eq!(leftover(folder.path()), None);
        let page = EpochPage::begin(folder.path(), epoch, at).unwrap();
        page.write(at, totals(u64::MAX)).unwrap();
        page.write(at, totals(5)).unwrap();
        assert_eq!(leftover(folder.path()), Some(Leftover { epoch, at, totals: totals(5) }));
        page.end().unwrap();
        assert_eq!(leftover(folder.path()), None);
    }

    #[test]
    fn a_damaged_page_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = Timestamp::from_secs(1_790_000_000);
        EpochPage::begin(folder.path(), Epoch::new(at, 3), at).unwrap();
        let file = folder.path().join(PAGE_FILE);
        let whole = std::fs::read(&file).unwrap();
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            std::fs::write(&file, &damaged).unwrap();
            let found = leftover(folder.path());
            assert!(
                found.is_none() || whole[byte] == b' ',
                "byte {byte} changed and nobody saw it"
            );
            std::fs::write(&file, &whole[..byte]).unwrap();
            assert_eq!(leftover(folder.path()), None, "cut to {byte} bytes");
        }
    }
}
