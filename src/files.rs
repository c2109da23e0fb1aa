//! Reading the small files that the sensor is told to use: whole, never more than a stated length, and nothing but files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What the file system said.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A directory, a device, a pipe.
    #[error("cannot be read: it is not a regular file")]
    NotAFile,
    /// Longer than the caller takes.
    #[error("is larger than {max} bytes")]
    TooLarge {
        /// The most that the caller takes, bytes.
        max: u64,
    },
}

/// The bytes of the regular file at `path`, if they are no more than `max`.
///
/// # Errors
///
/// [`ReadError`]; the caller names the file.
pub fn read_limited(path: &Path, max: u64) -> Result<Vec<u8>, ReadError> {
    // Asked before it is opened: opening a pipe would wait for a writer.
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(ReadError::NotAFile);
    }
    // The byte beyond shows the end without more room. Bounded while it is read, too: a file may grow, and those under
    // /proc state no length.
    let room = about.len().min(max).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    let length = File::open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if length as u64 > max {
        return Err(ReadError::TooLarge { max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_just_the_length_is_read_and_one_byte_more_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"12345678").unwrap();
        assert_eq!(read_limited(&path, 8).unwrap(), b"12345678");
        assert_eq!(read_limited(&path, u64::MAX).unwrap(), b"12345678");
        let error = read_limited(&path, 7).unwrap_err();
        assert_eq!(error.to_string(), "is larger than 7 bytes");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read_limited(&path, 8), Err(ReadError::TooLarge { max: 8 })));
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [&pipe, folder.path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
            let error = read_limited(path, 8).unwrap_err();
            assert!(matches!(error, ReadError::NotAFile), "{}: {error}", path.display());
        }
        let missing = read_limited(&folder.path().join("missing"), 8).unwrap_err();
        assert!(missing.to_string().starts_with("cannot be read: No such file"), "{missing}");
    }
}
