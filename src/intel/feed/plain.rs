//! Plain lists: one address or prefix per line.

use super::super::label::excerpt;
use super::super::prefix::Prefix;
use super::Contents;

/// The longest line, bytes. A longer one is no list.
const LINE_BYTES_MAX: usize = 4096;

/// `192.0.2.7  LABEL OF SEVERAL WORDS  # comment`
pub(super) fn read(bytes: &[u8], contents: &mut Contents) {
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if line.len() > LINE_BYTES_MAX {
            contents.records += 1;
            contents.malformed(number, || format!("a line of {} bytes is too long", line.len()));
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let stated = line.split(['#', ';']).next().unwrap_or_default().trim();
        if stated.is_empty() {
            continue;
        }
        contents.records += 1;
        let (address, label) = match stated.split_once(char::is_whitespace) {
            Some((address, label)) => (address, Some(label)),
            None => (stated, None),
        };
        match address.parse::<Prefix>() {
            Ok(prefix) => contents.found(number, prefix, label, None),
            Err(error) => contents.malformed(number, || format!("{}: {error}", excerpt(address))),
        }
    }
}
