//! A file of lines that is rotated: by size, or by whoever moves it away (logrotate, say).
//!
//! A line is in it whole or not at all: what a full disk tore is cut off again, and so is what a killed run had torn. Not synced: what
//! a loss of power costs is in the store. `file-rotate` and `rolling-file` were looked at: neither cuts torn lines off, nor notices that
//! the file was moved.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::destination::{Delivery, Destination};
use super::params::FileParams;

/// Bytes written with one call.
const CHUNK_BYTES: usize = 1 << 20;

/// How often the name is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How far back from the end of the file the end of the last whole line is looked for: the longest line there is, and more.
const TORN_BYTES_MAX: u64 = 1 << 20;

/// How each line of EVE begins.
const LINE_BEGIN: &[u8] = b"{\"timestamp\":";

/// The file.
#[derive(Debug)]
pub(super) struct RotatedFile {
    params: FileParams,
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    /// Whole lines; there is nothing behind them.
    bytes: u64,
    looked: Instant,
}

impl RotatedFile {
    /// Opens the file, and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// What keeps it from being written.
    pub(super) fn open(params: FileParams) -> io::Result<Self> {
        let open = Some(OpenFile::at(&params.path)?);
        Ok(Self { params, open })
    }

    fn write(&mut self, lines: &[Vec<u8>]) -> io::Result<usize> {
        self.leave_if_moved();
        if self.open.as_ref().is_some_and(|open| open.bytes >= self.params.rotate_bytes) {
            self.rotate()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(OpenFile::at(&self.params.path)?),
        };
        let room = self.params.rotate_bytes.saturating_sub(open.bytes);
        let (chunk, taken) = chunk_of(lines, room);
        if let Err(error) = open.append(&chunk) {
            // Whatever is wrong with the file, it is opened anew.
            self.open = None;
            return Err(error);
        }
        Ok(taken)
    }

    /// Somebody may have moved the file away, removed it, or emptied it when it was copied.
    fn leave_if_moved(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.looked.elapsed() < LOOK_EVERY {
            return;
        }
        open.looked = Instant::now();
        let identity = |of: &fs::Metadata| (of.dev(), of.ino());
        let named = fs::metadata(&self.params.path).ok();
        let held = open.file.metadata().ok();
        open.bytes = held.as_ref().map_or(open.bytes, |held| open.bytes.min(held.len()));
        if named.as_ref().map(identity) != held.as_ref().map(identity) {
            self.open = None;
        }
    }

    /// Every old file gets the next number, the last goes, and the next line begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.params.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let absent_is_fine = |done: io::Result<()>| match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
        if self.params.keep == 0 {
            absent_is_fine(fs::remove_file(&self.params.path))?;
        } else {
            for number in (1..self.params.keep).rev() {
                absent_is_fine(fs::rename(numbered(number), numbered(number + 1)))?;
            }
            absent_is_fine(fs::rename(&self.params.path, numbered(1)))?;
        }
        self.open = None;
        Ok(())
    }
}

impl Destination for RotatedFile {
    fn deliver(&mut self, messages: &[Vec<u8>]) -> Delivery {
        let mut taken = 0;
        while let Some(rest) = messages.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.write(rest) {
                Ok(lines) => taken += lines,
                Err(error) => {
                    let path = self.params.path.display();
                    return Delivery::later(taken, format!("{path}: {error}"));
                }
            }
        }
        Delivery::all(messages)
    }
}

impl OpenFile {
    fn at(path: &std::path::Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        let mut file = match options.clone().create_new(true).open(path) {
            Ok(file) => {
                // Readable by the group, whatever the umask: collectors of logs run as users of their own.
                file.set_permissions(fs::Permissions::from_mode(0o640))?;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path)?,
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            let why =
                "not a file; a socket is outputs.eve.type = \"unix_stream\" or \"unix_dgram\"";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let bytes = end_of_last_line(&mut file)?;
        file.set_len(bytes)?;
        Ok(Self { file, bytes, looked: Instant::now() })
    }

    /// Appends all of it or nothing: what of it the disk took before it refused is cut off, for all of it will come again.
    fn append(&mut self, chunk: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(chunk);
        if written.is_ok() {
            self.bytes += chunk.len() as u64;
        } else if self.file.metadata()?.len() > self.bytes {
            self.file.set_len(self.bytes)?;
        }
        written
    }
}

/// So many of the first lines as one chunk takes and as `room` lets begin; at least one.
fn chunk_of(lines: &[Vec<u8>], room: u64) -> (Vec<u8>, usize) {
    let most = usize::try_from(room).unwrap_or(usize::MAX).min(CHUNK_BYTES);
    let mut chunk = Vec::new();
    let mut taken = 0;
    for line in lines {
        if taken > 0 && chunk.len() >= most {
            break;
        }
        chunk.extend_from_slice(line);
        taken += 1;
    }
    (chunk, taken)
}

/// Where the last whole line ends: what is behind it was torn by the end of an earlier run.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TORN_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TORN_BYTES_MAX).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = tail.get(whole..).unwrap_or_default();
    if torn.starts_with(LINE_BEGIN) || LINE_BEGIN.starts_with(torn) {
        return Ok(from + whole as u64);
    }
    let why =
        "it ends in the middle of a line that is not EVE's: another file? Nothing of it is cut off";
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use super::super::destination::Fault;
    use super::*;

    fn lines(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
        range.map(|number| format!("{{\"timestamp\":{number:03}}}\n").into_bytes()).collect()
    }

    fn params(folder: &std::path::Path, rotate_bytes: u64, keep: u32) -> FileParams {
        FileParams { path: folder.join("eve.json"), rotate_bytes, keep }
    }

    #[test]
    fn rotated_files_hold_every_line_once_in_order_and_none_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::open(params(folder.path(), 100, 50)).unwrap();
        let all = lines(0..100);
        for some in all.chunks(7) {
            assert!(file.deliver(some).fault.is_none());
        }
        let mut names: Vec<PathBuf> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let number = |path: &PathBuf| {
            path.extension().unwrap().to_str().unwrap().parse::<i32>().unwrap_or(0)
        };
        names.sort_by_key(|path| -number(path));
        assert!(names.len() > 10, "{names:?}");
        let read: Vec<u8> = names.iter().flat_map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(read, all.concat());
        for path in &names {
            let text = fs::read(path).unwrap();
            assert!(text.ends_with(b"\n"));
            // The line with which the bound is passed is still in it.
            assert!(text.len() < 100 + 18, "{}", text.len());
        }
    }

    #[test]
    fn no_more_old_files_are_kept_than_were_asked_for() {
        for keep in [0, 1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let mut file = RotatedFile::open(params(folder.path(), 18, keep)).unwrap();
            for line in lines(0..9) {
                assert!(file.deliver(&[line]).fault.is_none());
            }
            let count = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(count, 1 + keep as usize);
            let newest = fs::read_to_string(folder.path().join("eve.json")).unwrap();
            assert_eq!(newest, "{\"timestamp\":008}\n");
        }
    }

    #[test]
    fn a_line_that_a_killed_run_tore_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        fs::write(&path, b"{\"timestamp\":1}\n{\"timestamp\":2").unwrap();
        let mut file = RotatedFile::open(params(folder.path(), 1 << 20, 1)).unwrap();
        assert!(file.deliver(&[b"{\"timestamp\":3}\n".to_vec()]).fault.is_none());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"timestamp\":1}\n{\"timestamp\":3}\n");
    }

    #[test]
    fn nothing_is_cut_off_a_file_that_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let params = params(folder.path(), 1 << 20, 1);
        for text in ["a-token-without-an-end-of-line", "first\nsecond", "{\"other\":1"] {
            fs::write(&params.path, text).unwrap();
            let error = RotatedFile::open(params.clone()).unwrap_err();
            assert!(error.to_string().contains("another file?"), "{error}");
            assert_eq!(fs::read_to_string(&params.path).unwrap(), text);
        }
    }

    #[test]
    fn a_file_that_was_emptied_goes_on_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::open(params(folder.path(), 1 << 20, 1)).unwrap();
        let all = lines(0..2);
        assert!(file.deliver(&all[..1]).fault.is_none());
        File::options().write(true).open(&file.params.path).unwrap().set_len(0).unwrap();
        file.open.as_mut().unwrap().looked = Instant::now() - LOOK_EVERY;
        assert!(file.deliver(&all[1..]).fault.is_none());
        assert_eq!(fs::read(&file.params.path).unwrap(), all[1]);
        assert_eq!(file.open.unwrap().bytes, all[1].len() as u64);
    }

    #[test]
    fn a_file_that_was_moved_away_is_left_to_whoever_moved_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::open(params(folder.path(), 1 << 20, 1)).unwrap();
        let all = lines(0..2);
        assert!(file.deliver(&all[..1]).fault.is_none());
        fs::rename(folder.path().join("eve.json"), folder.path().join("moved")).unwrap();
        file.open.as_mut().unwrap().looked = Instant::now() - LOOK_EVERY;
        assert!(file.deliver(&all[1..]).fault.is_none());
        assert_eq!(fs::read(folder.path().join("moved")).unwrap(), all[0]);
        assert_eq!(fs::read(folder.path().join("eve.json")).unwrap(), all[1]);
    }

    #[test]
    fn a_line_that_could_not_be_written_is_written_later_and_none_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::open(params(folder.path(), 1 << 20, 1)).unwrap();
        let all = lines(0..3);
        assert!(file.deliver(&all[..1]).fault.is_none());
        // A descriptor that nothing can be written to stands in for a disk that refuses.
        let refusing = File::open(folder.path().join("eve.json")).unwrap();
        file.open.as_mut().unwrap().file = refusing;
        let refused = file.deliver(&all[1..]);
        assert_eq!(refused.taken, 0);
        assert!(matches!(refused.fault, Some(Fault::Later(_))), "{refused:?}");
        assert!(file.deliver(&all[1..]).fault.is_none());
        assert_eq!(fs::read(folder.path().join("eve.json")).unwrap(), all.concat());
    }

    #[test]
    fn the_group_may_read_a_new_file_and_what_was_there_keeps_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        let rights = |name: &str| {
            fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777
        };
        drop(RotatedFile::open(params(folder.path(), 1 << 20, 1)).unwrap());
        assert_eq!(rights("eve.json"), 0o640);
        let own = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.path().join("eve.json"), own).unwrap();
        drop(RotatedFile::open(params(folder.path(), 1 << 20, 1)).unwrap());
        assert_eq!(rights("eve.json"), 0o600);
    }

    #[test]
    fn a_device_is_refused() {
        let Err(error) = RotatedFile::open(FileParams {
            path: PathBuf::from("/dev/full"),
            rotate_bytes: 100,
            keep: 1,
        }) else {
            panic!("a device is no file");
        };
        assert!(error.to_string().contains("not a file"), "{error}");
    }
}
