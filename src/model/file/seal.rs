//! The last line of a model file: what makes every changed byte seen, and names its line.

use super::super::passport::sha256_hex;
use super::BODY_LINES_MAX;
use super::error::{Fault, ModelError};

/// How a seal begins.
const OPENING: &str = "\"check\":";

/// Bytes that a seal may have: eleven for each line, `"01234567",`, and its frame with the SHA-256.
const SEAL_BYTES_MAX: usize = 11 * BODY_LINES_MAX + 128;

/// The seal, as it stands in the file.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    /// The CRC-32 (IEEE 802.3) of each line before the seal, with its line feed.
    crc32: Vec<String>,
    /// The SHA-256 over all of them.
    sha256: String,
}

impl Seal {
    fn over(body: &[u8]) -> Self {
        Self { crc32: lines(body).map(crc32_hex).collect(), sha256: sha256_hex(body) }
    }

    fn line(&self) -> String {
        let seal = serde_json::to_string(self).expect("strings always serialise");
        format!("{OPENING}{seal}}}\n")
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        serde_json::from_str(text.strip_prefix(OPENING)?.strip_suffix("}\n")?).ok()
    }

    /// The first line of `body` that is not the one that was sealed: its number, from 1, and what is wrong with it.
    fn changed_line(&self, body: &[u8]) -> Option<(u64, Fault)> {
        lines(body).zip(&self.crc32).zip(1..).find_map(|((line, sealed), number)| {
            let found = crc32_hex(line);
            let changed = found != *sealed;
            changed.then(|| (number, Fault::Changed { found, sealed: sealed.clone() }))
        })
    }
}

/// The lines of a file, each with its line feed.
fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n')
}

fn crc32_hex(line: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(line))
}

/// The line that seals `body`.
pub(super) fn seal(body: &[u8]) -> String {
    Seal::over(body).line()
}

/// The lines before the seal, when every byte of the file is the one that was written.
pub(super) fn unseal<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a [u8], ModelError> {
    let fail = |line, fault| Err(ModelError::at(file, line, fault));
    // Asked first: what follows takes some memory for each line.
    let too_many = BODY_LINES_MAX + 2;
    if lines(bytes).nth(too_many - 1).is_some() {
        let why = format!("more than the {} lines of the largest model", too_many - 1);
        return fail(too_many as u64, Fault::Form(why));
    }
    let last = lines(bytes).next_back().unwrap_or_default();
    let last_number = lines(bytes).count().max(1) as u64;
    if !last.starts_with(OPENING.as_bytes()) || !last.ends_with(b"\n") {
        return fail(last_number, Fault::CutShort);
    }
    if last.len() > SEAL_BYTES_MAX {
        return fail(last_number, Fault::Seal("it is longer than that of the largest model"));
    }
    let (body, _) = bytes.split_at(bytes.len() - last.len());
    let Some(stated) = Seal::parse(last) else {
        return fail(last_number, Fault::Seal("it cannot be read"));
    };
    let changed = stated.changed_line(body);
    let as_many = stated.crc32.len() == lines(body).count();
    if stated.sha256 == sha256_hex(body) {
        if changed.is_none() && as_many && stated.line().as_bytes() == last {
            return Ok(body);
        }
        return fail(last_number, Fault::Seal("the lines are as they were, the seal is not"));
    }
    if let Some((line, fault)) = changed {
        return fail(line, fault);
    }
    let why = if as_many {
        "its SHA-256 is not that of the lines"
    } else {
        "lines were added or removed"
    };
    fail(last_number, Fault::Seal(why))
}
