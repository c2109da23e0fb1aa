//! The few things that a spool asks of a file system, so that a test can put its own in the place of the real one.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock};
use rustix::io::Errno;

/// One folder.
pub(super) trait Storage: Debug + Send {
    /// What lies in it, in no order.
    fn list(&self) -> io::Result<Vec<Entry>>;
    /// Makes a file that must not be there yet.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;
    /// Opens a file that is there, to read and write.
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;
    /// Renames a file; one that has the new name already is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, name: &str) -> io::Result<()>;
    /// Makes durable what was created, renamed and removed.
    fn sync_folder(&self) -> io::Result<()>;
}

/// One file of it.
pub(super) trait StorageFile: Debug + Send {
    /// Reads from `at` until `bytes` is full or the file ends; returns how many.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of `bytes` from `at`. After an error, any part of them may be there.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Takes room for `bytes` in all without making the file longer, so that a full disk shows now. Where that is not
    /// possible, nothing is done.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    /// Cuts the file to `bytes`, and gives back the room beyond.
    fn cut(&self, bytes: u64) -> io::Result<()>;
    /// Makes what was written durable. After an error nothing is known of what was written since the last success, and
    /// trying again may succeed without having written it.
    fn sync(&self) -> io::Result<()>;
}

/// Something in a folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its name; for one that is no text, something alike.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// Whether it is a plain file.
    pub(super) is_file: bool,
}

/// The real one.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked for as long as it is open. The folder itself, so that there is no lock file to be lost or left behind, and
    /// none to be made on a full disk.
    folder: File,
}

impl Folder {
    /// Opens a folder for this process alone, and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// When it can't be made or opened, or another process has it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let told = |error: io::Error, what: &str| {
            io::Error::new(error.kind(), format!("spool {}: {what}: {error}", path.display()))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| told(error, "the folder can't be made"))?;
        let folder = File::open(path).map_err(|error| told(error, "the folder can't be opened"))?;
        match lock(&folder) {
            Ok(()) => Ok(Self { path: path.to_owned(), folder }),
            Err(Errno::WOULDBLOCK) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!(
                    "spool {}: in use by another process; stop that one, or give this one a folder of its own",
                    path.display()
                ),
            )),
            Err(error) => Err(told(error.into(), "the folder can't be locked")),
        }
    }
}

/// Locks the folder. A program that is being started holds what its parent had open for a moment, also a lock that the parent has
/// just given back; and a process that is ending has not quite ended: neither is a reason to give up at once.
fn lock(folder: &File) -> Result<(), Errno> {
    for _ in 1..LOCK_TRIES {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            done => return done,
        }
    }
    flock(folder, FlockOperation::NonBlockingLockExclusive)
}

/// How often the lock is tried, and how long is waited in between.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

impl Storage for Folder {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // One that vanishes meanwhile is none.
            let Ok(about) = entry.metadata() else { continue };
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: about.len(),
                is_file: about.is_file(),
            });
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        // A link or a pipe that took the file's place is neither followed nor waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

impl StorageFile for File {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, at.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
