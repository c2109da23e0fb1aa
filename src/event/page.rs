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

/// How the file's name in the sensor's folder begins; behind it stand the epoch and [`PAGE_END`].
const PAGE_BEGIN: &str = "running-";

/// How it ends.
const PAGE_END: &str = ".json";

/// How many pages of earlier epochs are read: the newest. The epoch in the name begins with the time.
const PAGES_MAX: usize = 64;

/// The file is always this long, so that one write replaces it whole.
const PAGE_BYTES: usize = 1024;

/// The page of a running epoch.
#[derive(Debug)]
pub struct EpochPage {
    file: File,
    folder: PathBuf,
    epoch: Epoch,
    /// Earlier runs whose pages were read.
    left: Vec<Leftover>,
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
    /// Begins the page of `epoch` in `folder`. The pages of the earlier epochs in `left` stay until this one ends in order. A
    /// full disk is no reason not to start: then it is written later.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn begin(
        folder: &Path,
        epoch: Epoch,
        at: Timestamp,
        left: Vec<Leftover>,
    ) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path_of(folder, epoch))?;
        let page = Self { file, folder: folder.to_owned(), epoch, left };
        drop(page.write(at, Totals::default()));
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

    /// The epoch has ended in order, and what it was told of earlier ones is stored or in the spool: there is nothing left to
    /// find out.
    ///
    /// # Errors
    ///
    /// When a file can't be removed.
    pub fn end(self) -> io::Result<()> {
        let earlier = self.left.iter().map(|left| left.epoch);
        earlier.chain([self.epoch]).try_for_each(|epoch| {
            match std::fs::remove_file(path_of(&self.folder, epoch)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            }
        })
    }
}

fn path_of(folder: &Path, epoch: Epoch) -> PathBuf {
    folder.join(format!("{PAGE_BEGIN}{epoch}{PAGE_END}"))
}

/// What epochs that did not end in order have left in `folder`, oldest first. A page that can't be read says nothing.
#[must_use]
pub fn leftovers(folder: &Path) -> Vec<Leftover> {
    let mut found: Vec<Leftover> = pages(folder).iter().filter_map(|path| read(path)).collect();
    found.sort_by_key(|left| left.epoch);
    found
}

fn read(path: &Path) -> Option<Leftover> {
    let bytes = std::fs::read(path).ok()?;
    let page: Page = serde_json::from_slice(bytes.get(..PAGE_BYTES)?).ok()?;
    (page.crc32 == crc32_of(&page.leftover)).then_some(page.leftover)
}

/// The files of pages in `folder`.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_page = |name: &str| name.starts_with(PAGE_BEGIN) && name.ends_with(PAGE_END);
    let pages = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_page));
    let mut pages: Vec<PathBuf> = pages.map(|entry| entry.path()).collect();
    pages.sort_unstable();
    pages.split_off(pages.len().saturating_sub(PAGES_MAX))
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
        assert_eq!(leftovers(folder.path()), []);
        let page = EpochPage::begin(folder.path(), epoch, at, Vec::new()).unwrap();
        page.write(at, totals(u64::MAX)).unwrap();
        page.write(at, totals(5)).unwrap();
        let left = Leftover { epoch, at, totals: totals(5) };
        assert_eq!(leftovers(folder.path()), [left]);
        drop(page);
        let next = Epoch::new(at, 4);
        let page = EpochPage::begin(folder.path(), next, at, vec![left]).unwrap();
        let begun = Leftover { epoch: next, at, totals: totals(0) };
        assert_eq!(leftovers(folder.path()), [left, begun], "it stays until a run ends in order");
        // Another run, which this one did not know of when it began.
        let other = Epoch::new(at, 5);
        EpochPage::begin(folder.path(), other, at, Vec::new()).unwrap();
        page.end().unwrap();
        let left: Vec<Epoch> = leftovers(folder.path()).iter().map(|left| left.epoch).collect();
        assert_eq!(left, [other], "only what it knew of is done with");
    }

    #[test]
    fn a_damaged_page_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = Timestamp::from_secs(1_790_000_000);
        EpochPage::begin(folder.path(), Epoch::new(at, 3), at, Vec::new()).unwrap();
        let file = pages(folder.path()).pop().unwrap();
        let whole = std::fs::read(&file).unwrap();
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            std::fs::write(&file, &damaged).unwrap();
            let found = read(&file);
            assert!(
                found.is_none() || whole[byte] == b' ',
                "byte {byte} changed and nobody saw it"
            );
            std::fs::write(&file, &whole[..byte]).unwrap();
            assert_eq!(read(&file), None, "cut to {byte} bytes");
        }
    }
}
