//! The part of a rule before its options: `alert tcp $HOME_NET any -> any [80,8080]`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Fault, printable};
use crate::address::Address;
use crate::rules::condition::{Endpoint, Protocol};
use crate::rules::intervals::{Intervals, Whole};
use crate::rules::variables::Variables;

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) protocol: Protocol,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) both_ways: bool,
    pub(super) variables: BTreeMap<String, String>,
}

/// Reads a header; faults are told by their place in `text`.
pub(super) fn read(text: &str, variables: &Variables) -> Result<Header, Fault> {
    let words = words(text);
    let [action, protocol, source, source_ports, arrow, destination, destination_ports] = *words
    else {
        return Err(Fault::malformed(
            0,
            format!(
                "its header has {} words; write seven: alert PROTOCOL ADDRESS PORT -> ADDRESS PORT",
                words.len()
            ),
        ));
    };
    accept_action(action)?;
    let protocol = read_protocol(protocol)?;
    let both_ways = match arrow.1 {
        "->" => false,
        "<>" => true,
        other => {
            let reason = format!("\"{}\" is no direction; write -> or <>", printable(other));
            return Err(Fault::malformed(arrow.0, reason));
        }
    };
    let mut lists = Lists { variables, used: BTreeMap::new() };
    let source = lists.endpoint(source, source_ports)?;
    let destination = lists.endpoint(destination, destination_ports)?;
    if protocol.is_icmp() && (source.ports.is_some() || destination.ports.is_some()) {
        return Err(Fault::malformed(source_ports.0, "icmp has no ports; write any for both"));
    }
    Ok(Header { protocol, source, destination, both_ways, variables: lists.used })
}

/// A word of the header and where it stands.
type Word<'a> = (usize, &'a str);

fn accept_action((at, action): Word<'_>) -> Result<(), Fault> {
    match action {
        "alert" => Ok(()),
        "drop" | "pass" | "reject" | "rejectsrc" | "rejectdst" | "rejectboth" | "config" => {
            Err(Fault::unsupported(at, &format!("action {action}")))
        }
        other => {
            let reason = format!("\"{}\" is no action; write alert", printable(other));
            Err(Fault::malformed(at, reason))
        }
    }
}

fn read_protocol((at, name): Word<'_>) -> Result<Protocol, Fault> {
    Protocol::named(name).ok_or_else(|| {
        if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            Fault::unsupported(at, &format!("protocol {name}"))
        } else {
            let reason =
                format!("\"{}\" is no protocol; write ip, tcp, udp or icmp", printable(name));
            Fault::malformed(at, reason)
        }
    })
}

/// The words of a header; spaces inside brackets belong to the list.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut depth, mut start) = (0_usize, None);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter.is_whitespace() && depth == 0 {
            if let Some(from) = start.take() {
                words.push((from, text.get(from..at).unwrap_or_default()));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(from) = start {
        words.push((from, text.get(from..).unwrap_or_default()));
    }
    words
}

/// Reads lists of addresses and ports, which differ in nothing but their smallest piece.
struct Lists<'a> {
    variables: &'a Variables,
    used: BTreeMap<String, String>,
}

/// How deep lists and variables may stand in each other.
const NESTING_MAX: usize = 8;
/// How many pieces one address or port of a rule may have, those of its variables included.
const PIECES_MAX: usize = 4096;

impl Lists<'_> {
    fn endpoint(&mut self, addresses: Word<'_>, ports: Word<'_>) -> Result<Endpoint, Fault> {
        Ok(Endpoint {
            addresses: self.set(addresses, "address", read_addresses)?,
            ports: self.set(ports, "port", read_ports)?,
        })
    }

    /// A whole expression; `None` for any.
    fn set<T: Whole>(
        &mut self,
        (at, text): Word<'_>,
        what: &str,
        piece: Piece<T>,
    ) -> Result<Option<Intervals<T>>, Fault> {
        let mut pieces = 0;
        let set = self.read(text, piece, NESTING_MAX, &mut pieces).map_err(|reason| {
            Fault::malformed(at, format!("{what} {}: {reason}", printable(text)))
        })?;
        if set.is_empty() {
            let reason = format!("{what} {} leaves none; write one that does", printable(text));
            return Err(Fault::malformed(at, reason));
        }
        Ok((!set.is_all()).then_some(set))
    }

    fn read<T: Whole>(
        &mut self,
        text: &str,
        piece: Piece<T>,
        depth: usize,
        pieces: &mut usize,
    ) -> Result<Intervals<T>, String> {
        *pieces += 1;
        let Some(depth) = depth.checked_sub(1) else {
            return Err(format!(
                "lists or variables stand more than {NESTING_MAX} deep in each other; flatten them"
            ));
        };
        if *pieces > PIECES_MAX {
            return Err(format!(
                "it has more than {PIECES_MAX} pieces; join neighbours into prefixes or ranges"
            ));
        }
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('!') {
            Ok(self.read(rest, piece, depth, pieces)?.complement())
        } else if let Some(name) = text.strip_prefix('$') {
            let Some(value) = self.variables.value(name) else {
                return Err(format!(
                    "variable ${} is not set; set it, or write what it stands for",
                    printable(name)
                ));
            };
            self.used.insert(name.to_owned(), value.to_owned());
            self.read(value, piece, depth, pieces)
        } else if let Some(rest) = text.strip_prefix('[') {
            let Some(list) = rest.strip_suffix(']') else {
                return Err("a list does not end; close it with \"]\"".to_owned());
            };
            self.list(list, piece, depth, pieces)
        } else if text == "any" {
            Ok(Intervals::all())
        } else {
            piece(text)
        }
    }

    /// What the list names, less what it names with `!`; a list of nothing but `!` begins with all there is.
    fn list<T: Whole>(
        &mut self,
        list: &str,
        piece: Piece<T>,
        depth: usize,
        pieces: &mut usize,
    ) -> Result<Intervals<T>, String> {
        let (mut named, mut excluded) = (None, Intervals::empty());
        for item in items(list)? {
            if let Some(item) = item.trim().strip_prefix('!') {
                excluded = excluded.union(&self.read(item, piece, depth, pieces)?);
            } else {
                let set = self.read(item, piece, depth, pieces)?;
                named = Some(named.unwrap_or_else(Intervals::empty).union(&set));
            }
        }
        Ok(named.unwrap_or_else(Intervals::all).without(&excluded))
    }
}

/// Reads the smallest piece of a list.
type Piece<T> = fn(&str) -> Result<Intervals<T>, String>;

/// The items of a list, parted by the commas that stand in no inner list.
fn items(list: &str) -> Result<Vec<&str>, String> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in list.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1).ok_or("a \"]\" has no \"[\"; take it out")?,
            ',' if depth == 0 => {
                items.push(list.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("an inner list does not end; close it with \"]\"".to_owned());
    }
    items.push(list.get(start..).unwrap_or_default());
    Ok(items)
}

/// An address, a prefix, or a range of addresses.
fn read_addresses(text: &str) -> Result<Intervals<u128>, String> {
    let wrong = || {
        format!(
            "\"{}\" is no address; write one such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
            printable(text)
        )
    };
    if let Some((low, high)) = text.split_once('-') {
        let one = |text: &str| text.trim().parse::<IpAddr>().map_err(|_not_one| wrong());
        let (low, high) = (one(low)?, one(high)?);
        if low.is_ipv4() != high.is_ipv4() || low > high {
            return Err(format!(
                "\"{}\" is no range; write the lower address first",
                printable(text)
            ));
        }
        return Ok(Intervals::range(Address::from(low).as_u128(), Address::from(high).as_u128()));
    }
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.trim().parse().map_err(|_not_one| wrong())?;
    let (family, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    let length = match length {
        None => family,
        Some(digits) => match digits.trim().parse::<u32>() {
            Ok(length) if length <= family => length,
            _ => {
                return Err(format!(
                    "\"{}\" is no prefix length; write 0 to {family}",
                    printable(digits)
                ));
            }
        },
    };
    // All bits behind the prefix.
    let span = u128::MAX.checked_shr(length + offset).unwrap_or(0);
    let low = Address::from(address).as_u128() & !span;
    Ok(Intervals::range(low, low | span))
}

/// A port or a range of ports.
fn read_ports(text: &str) -> Result<Intervals<u16>, String> {
    let one = |digits: &str| {
        let digits = digits.trim();
        match digits.parse::<u16>() {
            Ok(port) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
            _ => Err(format!(
                "\"{}\" is no port; write one such as 80, or a range such as 8000:8080",
                printable(digits)
            )),
        }
    };
    let Some((low, high)) = text.split_once(':') else {
        return one(text).map(|port| Intervals::range(port, port));
    };
    let low = if low.trim().is_empty() { 0 } else { one(low)? };
    let high = if high.trim().is_empty() { u16::MAX } else { one(high)? };
    if low > high {
        return Err(format!("\"{}\" is no range; write the lower port first", printable(text)));
    }
    Ok(Intervals::range(low, high))
}
