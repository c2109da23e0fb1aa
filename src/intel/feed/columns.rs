//! Comma-separated values with a header (RFC 4180).

use csv::{ByteRecord, ReaderBuilder};

use super::super::label::excerpt;
use super::super::prefix::Prefix;
use super::{Contents, Lines, Unreadable};

/// What the column with the address may be called.
const ADDRESS_COLUMNS: [&str; 3] = ["indicator", "ip", "address"];

/// What a header without such a column breaks.
const HEADER_RULE: &str =
    "the header must name a column indicator, ip or address, such as indicator,label,risk";

/// Where the columns stand that are read; others are passed over.
struct Columns {
    address: usize,
    label: Option<usize>,
    risk: Option<usize>,
}

impl Columns {
    fn named_in(header: &ByteRecord) -> Option<Self> {
        let place = |name: &str| {
            header.iter().position(|cell| cell.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        };
        let address = ADDRESS_COLUMNS.iter().find_map(|name| place(name))?;
        Some(Self { address, label: place("label"), risk: place("risk") })
    }
}

/// Whether the first line that is no comment could be a header of ours.
pub(super) fn looks_like(content: &[u8]) -> bool {
    let first = content
        .split(|&byte| byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
    first.is_some_and(|line| {
        line.split(|&byte| byte == b',').any(|cell| {
            let name = cell.trim_ascii();
            let name = name.strip_prefix(b"\"").and_then(|n| n.strip_suffix(b"\"")).unwrap_or(name);
            ADDRESS_COLUMNS.iter().any(|column| name.eq_ignore_ascii_case(column.as_bytes()))
        })
    })
}

/// Reads every row behind the header.
pub(super) fn read(bytes: &[u8], contents: &mut Contents) -> Result<(), Unreadable> {
    let mut reader = ReaderBuilder::new()
        .comment(Some(b'#'))
        .flexible(true)
        .has_headers(false)
        .from_reader(bytes);
    let mut lines = Lines::of(bytes);
    let mut columns = None;
    let mut row = ByteRecord::new();
    loop {
        let more = reader.read_byte_record(&mut row);
        let line = lines.at(row_start(bytes, row.position()));
        match more {
            Ok(true) => {}
            Ok(false) if columns.is_some() => return Ok(()),
            Ok(false) => return Err(Unreadable { line: 1, reason: HEADER_RULE.to_owned() }),
            // Reading from memory, with rows of any length allowed, nothing is left to fail.
            Err(error) => return Err(Unreadable { line, reason: excerpt(&error.to_string()) }),
        }
        let Some(columns) = &columns else {
            columns = Columns::named_in(&row);
            if columns.is_none() {
                return Err(Unreadable { line, reason: HEADER_RULE.to_owned() });
            }
            continue;
        };
        contents.records += 1;
        match indicator(&row, columns) {
            Ok((prefix, label, risk)) => contents.found(line, prefix, label.as_deref(), risk),
            Err(reason) => contents.malformed(line, || reason),
        }
    }
}

/// Where a row begins. The reader's position is where it began to look for one: before empty lines and comments.
fn row_start(bytes: &[u8], position: Option<&csv::Position>) -> usize {
    let looked = position.map_or(0, csv::Position::byte);
    let mut start = usize::try_from(looked).unwrap_or(bytes.len());
    loop {
        start += match bytes.get(start) {
            Some(b'\r' | b'\n') => 1,
            Some(b'#') => {
                let rest = bytes.get(start..).unwrap_or_default();
                rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
            }
            _ => return start,
        };
    }
}

/// What one row states: prefix, label, risk.
fn indicator(
    row: &ByteRecord,
    columns: &Columns,
) -> Result<(Prefix, Option<String>, Option<u8>), String> {
    let cell = |place: Option<usize>| {
        let text = String::from_utf8_lossy(row.get(place?)?);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let Some(address) = cell(Some(columns.address)) else {
        return Err("the row has no address".to_owned());
    };
    let prefix =
        address.parse::<Prefix>().map_err(|error| format!("{}: {error}", excerpt(&address)))?;
    let risk = match cell(columns.risk) {
        None => None,
        Some(text) => match text.parse::<u8>() {
            Ok(risk @ 1..=100) => Some(risk),
            _ => {
                return Err(format!(
                    "risk {}: must be a whole number from 1 to 100, such as 80",
                    excerpt(&text)
                ));
            }
        },
    };
    Ok((prefix, cell(columns.label), risk))
}
