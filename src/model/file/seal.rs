//! The last line of a model file: what makes every changed byte seen, and names its line.

use super::super::passport::sha256_hex;
use super::error::{Fault, ModelError};

/// How a seal begins.
const OPENING: &str = "\"check\":";

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
        let crc32 = body.split_inclusive(|&byte| byte == b'\n').map(crc32_hex).collect();
        Self { crc32, sha256: sha256_hex(body) }
    }

    fn line(&self) -> String {
        let seal = serde_json::to_string(self).expect("strings always serialise");
        format!("{OPENING}{seal}}}\n")
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        serde_json::from_str(text.strip_prefix(OPENING)?.strip_suffix("}\n")?).ok()
    }
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
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let last = lines.next_back().unwrap_or_default();
    let last_number = lines.count() as u64 + 1;
    let fail = |line, fault| Err(ModelError::at(file, line, fault));
    if !last.starts_with(OPENING.as_bytes()) || !last.ends_with(b"\n") {
        return fail(last_number, Fault::CutShort);
    }
    let (body, stated) = bytes.split_at(bytes.len() - last.len());
    let true_seal = Seal::over(body);
    if stated == true_seal.line().as_bytes() {
        return Ok(body);
    }
    // Something was changed. What follows only finds out where.
    let Some(stated) = Seal::parse(stated) else {
        return fail(last_number, Fault::Seal("it cannot be read"));
    };
    if stated.sha256 == true_seal.sha256 {
        return fail(last_number, Fault::Seal("the lines are as they were, the seal is not"));
    }
    let changed = true_seal.crc32.iter().zip(&stated.crc32).zip(1..).find(|((a, b), _)| a != b);
    if let Some(((found, sealed), line)) = changed {
        let (found, sealed) = (found.clone(), sealed.clone());
        return fail(line, Fault::Changed { found, sealed });
    }
    let why = if true_seal.crc32.len() == stated.crc32.len() {
        "its SHA-256 is not that of the lines"
    } else {
        "lines were added or removed"
    };
    fail(last_number, Fault::Seal(why))
}
