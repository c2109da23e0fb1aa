//! A disk in memory that can fail, fill up, and lose power: everything that was asked of it is recorded, and any state that a
//! loss of power may leave behind can be made from the record.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use rand::Rng;

use super::frame::SECTOR_BYTES;
use super::storage::{Entry, Storage, StorageFile};

/// The disk; all clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Simulated(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    names: BTreeMap<String, usize>,
    /// As programs see them.
    files: Vec<Vec<u8>>,
    /// What was durable before the record begins.
    durable_names: BTreeMap<String, usize>,
    durable_files: Vec<Vec<u8>>,
    record: Vec<Operation>,
    /// Failing operations, by their number since the start.
    faults: BTreeSet<u64>,
    operations: u64,
    /// Bytes that all files may have together.
    room: Option<u64>,
    /// Whether nothing can be opened.
    closed: bool,
    reserved: BTreeMap<usize, u64>,
}

#[derive(Clone, Debug)]
enum Operation {
    Name(String, usize),
    Rename(String, String),
    Unlink(String),
    SyncFolder,
    Write(usize, usize, Vec<u8>),
    Cut(usize, usize),
    Sync(usize),
    /// What was written since the last success will never be durable, but for what already is by chance.
    SyncFailed(usize),
}

impl Simulated {
    /// Makes these operations fail, by their number.
    pub(super) fn fail_at(&self, faults: impl IntoIterator<Item = u64>) {
        self.with(|world| world.faults = faults.into_iter().collect());
    }

    /// Sets how many bytes there is room for.
    pub(super) fn room(&self, bytes: Option<u64>) {
        self.with(|world| world.room = bytes);
    }

    /// Lets nothing be opened, or everything again.
    pub(super) fn close(&self, closed: bool) {
        self.with(|world| world.closed = closed);
    }

    /// How many operations are recorded.
    pub(super) fn recorded(&self) -> usize {
        self.with(|world| world.record.len())
    }

    /// How many operations could have failed.
    pub(super) fn operations(&self) -> u64 {
        self.with(|world| world.operations)
    }

    /// The names of the files.
    pub(super) fn names(&self) -> Vec<String> {
        self.with(|world| world.names.keys().cloned().collect())
    }

    fn with<T>(&self, what: impl FnOnce(&mut World) -> T) -> T {
        what(&mut self.0.lock().unwrap())
    }

    /// What may be found after power was lost behind the first `operations`: names change in their order, up to any one since
    /// the last sync; of the bytes not confirmed, each sector is there or not.
    pub(super) fn after_power_loss(&self, operations: usize, dice: &mut impl Rng) -> Self {
        self.with(|world| {
            let mut names = world.durable_names.clone();
            let mut files = world.durable_files.clone();
            files.resize(world.files.len(), Vec::new());
            let mut naming: Vec<&Operation> = Vec::new();
            let mut changes: BTreeMap<usize, Vec<(&Operation, bool)>> = BTreeMap::new();
            for operation in &world.record[..operations] {
                match operation {
                    Operation::Name(..) | Operation::Rename(..) | Operation::Unlink(_) => {
                        naming.push(operation);
                    }
                    Operation::SyncFolder => {
                        naming.drain(..).for_each(|change| rename(&mut names, change));
                    }
                    Operation::Write(file, ..) | Operation::Cut(file, _) => {
                        changes.entry(*file).or_default().push((operation, false));
                    }
                    Operation::Sync(file) => {
                        for (change, doomed) in changes.remove(file).unwrap_or_default() {
                            alter(&mut files[*file], change, &mut |_| {
                                !doomed || dice.gen_bool(0.5)
                            });
                        }
                    }
                    Operation::SyncFailed(file) => {
                        let waiting = changes.entry(*file).or_default();
                        waiting.iter_mut().for_each(|(_, doomed)| *doomed = true);
                    }
                }
            }
            let done = dice.gen_range(0..=naming.len());
            naming.drain(..done).for_each(|change| rename(&mut names, change));
            for (file, waiting) in changes {
                // None of it, all of it, or some sectors here and there.
                let share = [0.0, 0.5, 0.9, 1.0][dice.gen_range(0..4)];
                for (change, _) in waiting {
                    alter(&mut files[file], change, &mut |_| dice.gen_bool(share));
                }
            }
            let (durable_names, durable_files) = (names.clone(), files.clone());
            Self(Arc::new(Mutex::new(World {
                names,
                files,
                durable_names,
                durable_files,
                ..World::default()
            })))
        })
    }
}

fn rename(names: &mut BTreeMap<String, usize>, change: &Operation) {
    match change {
        Operation::Name(name, file) => drop(names.insert(name.clone(), *file)),
        Operation::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Operation::Unlink(name) => drop(names.remove(name)),
        _ => {}
    }
}

/// Does to a file what was asked for, each sector only if `is_there` says so.
fn alter(file: &mut Vec<u8>, change: &Operation, is_there: &mut dyn FnMut(usize) -> bool) {
    match change {
        Operation::Write(_, at, bytes) => {
            let (mut from, end) = (*at, at + bytes.len());
            while from < end {
                let to = end.min((from / SECTOR_BYTES + 1) * SECTOR_BYTES);
                if is_there(from) {
                    file.resize(file.len().max(to), 0);
                    file[from..to].copy_from_slice(&bytes[from - at..to - at]);
                }
                from = to;
            }
        }
        Operation::Cut(_, length) if is_there(0) => file.resize(*length, 0),
        _ => {}
    }
}

impl World {
    /// Counts an operation; an error if it is one that fails.
    fn count(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.faults.contains(&self.operations) {
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }

    fn taken(&self) -> u64 {
        let bytes = |file: &usize| {
            let reserved = self.reserved.get(file).copied().unwrap_or(0);
            reserved.max(self.files[*file].len() as u64)
        };
        self.names.values().map(bytes).sum()
    }

    fn has_room(&self, file: usize, bytes: u64) -> io::Result<()> {
        let has = self.reserved.get(&file).copied().unwrap_or(0).max(self.files[file].len() as u64);
        let more = bytes.saturating_sub(has);
        if self.room.is_some_and(|room| self.taken() + more > room) && more > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Storage for Simulated {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.with(|world| {
            let entry = |(name, file): (&String, &usize)| Entry {
                name: name.clone(),
                bytes: world.files[*file].len() as u64,
                is_file: true,
            };
            Ok(world.names.iter().map(entry).collect())
        })
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.with(|world| {
            world.count()?;
            if world.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let file = world.files.len();
            world.files.push(Vec::new());
            world.names.insert(name.to_owned(), file);
            world.record.push(Operation::Name(name.to_owned(), file));
            Ok(Box::new(SimulatedFile { disk: self.clone(), file }) as Box<dyn StorageFile>)
        })
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let (file, closed) = self.with(|world| (world.names.get(name).copied(), world.closed));
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        if closed {
            return Err(io::Error::other("too many open files"));
        }
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|world| {
            world.count()?;
            let change = Operation::Rename(from.to_owned(), to.to_owned());
            rename(&mut world.names, &change);
            world.record.push(change);
            Ok(())
        })
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.with(|world| {
            world.count()?;
            let change = Operation::Unlink(name.to_owned());
            world.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
            world.record.push(change);
            Ok(())
        })
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.with(|world| {
            world.count()?;
            world.record.push(Operation::SyncFolder);
            Ok(())
        })
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: Simulated,
    file: usize,
}

impl StorageFile for SimulatedFile {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.with(|world| {
            let at = usize::try_from(at).unwrap();
            let rest = world.files[self.file].get(at..).unwrap_or_default();
            let read = rest.len().min(bytes.len());
            bytes[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.with(|world| {
            world.has_room(self.file, at + bytes.len() as u64)?;
            let counted = world.count();
            // A write that fails has written a part.
            let part = if counted.is_ok() { bytes.len() } else { bytes.len() / 2 };
            let write =
                Operation::Write(self.file, usize::try_from(at).unwrap(), bytes[..part].to_vec());
            alter(&mut world.files[self.file], &write, &mut |_| true);
            world.record.push(write);
            counted
        })
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.disk.with(|world| {
            world.has_room(self.file, bytes)?;
            world.reserved.insert(self.file, bytes);
            Ok(())
        })
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.disk.with(|world| {
            world.count()?;
            let cut = Operation::Cut(self.file, usize::try_from(bytes).unwrap());
            alter(&mut world.files[self.file], &cut, &mut |_| true);
            world.reserved.remove(&self.file);
            world.record.push(cut);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.with(|world| {
            let counted = world.count();
            let sync = if counted.is_ok() {
                Operation::Sync(self.file)
            } else {
                Operation::SyncFailed(self.file)
            };
            world.record.push(sync);
            counted
        })
    }
}
