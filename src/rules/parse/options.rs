//! The options of a rule: `(msg:"..."; content:"..."; nocase; sid:1;)`.

use std::collections::BTreeMap;

use super::header::Header;
use super::{Fault, ParsedRule, content, printable};
use crate::rules::class::{AttackClass, PRIORITY_DEFAULT, of_classtype, risk_of_priority};
use crate::rules::condition::{Condition, Direction, FlagsTest, FlowTest, Protocol};
use crate::rules::number::NumberTest;
use crate::rules::payload::{CONTENTS_MAX, Content, Place};
use crate::rules::rule::{Distinct, Reference, Rule, Threshold, ThresholdKind, Track};

/// Reads the options between the parentheses; `offset` is where they begin in the rule.
pub(super) fn read(body: &str, offset: usize, header: Header) -> Result<ParsedRule, Fault> {
    let mut reading = Reading::new(header);
    for option in split(body) {
        let at = offset + option.at;
        if !option.ends {
            let reason =
                format!("option \"{}\" does not end; close it with \";\"", printable(option.text));
            return Err(Fault::malformed(at, reason));
        }
        let (name, value) = match option.text.split_once(':') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (option.text, None),
        };
        reading.accept(name, value).map_err(|wrong| match wrong {
            Wrong::Unsupported(keyword) => Fault::unsupported(at, &keyword),
            Wrong::Value(reason) => Fault::malformed(at, format!("{}: {reason}", printable(name))),
        })?;
    }
    reading.finish(offset)
}

/// The number of a rule that may be faulty otherwise.
pub(super) fn sid_of(text: &str) -> Option<u32> {
    let (_, body) = text.split_once('(')?;
    split(body).find_map(|option| {
        let (name, value) = option.text.split_once(':')?;
        (name.trim() == "sid").then(|| value.trim().parse().ok())?
    })
}

/// One option as it stands.
struct OptionText<'a> {
    at: usize,
    text: &'a str,
    /// It is closed by a semicolon.
    ends: bool,
}

/// The options of a body, parted by the semicolons that no backslash stands before.
fn split(body: &str) -> impl Iterator<Item = OptionText<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = body.get(from..)?;
        let lead = rest.len() - rest.trim_start().len();
        let (at, rest) = (from + lead, rest.trim_start());
        if rest.is_empty() {
            return None;
        }
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let ends = byte == b';' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        from = at + end.map_or(rest.len(), |end| end + 1);
        let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().trim_end();
        Some(OptionText { at, text, ends: end.is_some() })
    })
}

/// What stands between quotes.
pub(super) fn unquote(value: &str) -> Result<&str, String> {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(|| {
        "it does not stand in quotes; write \"...\", and \\; for a semicolon inside".to_owned()
    })
}

/// What can be wrong with an option.
enum Wrong {
    Unsupported(String),
    Value(String),
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Value(reason)
    }
}

impl From<&str> for Wrong {
    fn from(reason: &str) -> Self {
        Self::Value(reason.to_owned())
    }
}

/// A rule whose options are being read.
struct Reading {
    condition: Condition,
    variables: BTreeMap<String, String>,
    contents: Vec<Content>,
    /// The last content is held to the start of the payload and can be placed no more.
    starts: bool,
    fast_pattern: Option<usize>,
    sid: Option<u32>,
    gid: Option<u32>,
    revision: Option<u32>,
    message: Option<Box<str>>,
    classtype: Option<Box<str>>,
    priority: Option<u8>,
    references: Vec<Reference>,
    metadata: Vec<(Box<str>, Box<str>)>,
    risk: Option<u8>,
    class: Option<AttackClass>,
    distinct: Option<Distinct>,
    threshold: Option<Threshold>,
}

impl Reading {
    fn new(header: Header) -> Self {
        let Header { protocol, source, destination, both_ways, variables } = header;
        Self {
            condition: Condition {
                protocol,
                source,
                destination,
                both_ways,
                flags: None,
                payload_length: None,
                ttl: None,
                icmp_type: None,
                icmp_code: None,
                flow: FlowTest::default(),
            },
            variables,
            contents: Vec::new(),
            starts: false,
            fast_pattern: None,
            sid: None,
            gid: None,
            revision: None,
            message: None,
            classtype: None,
            priority: None,
            references: Vec::new(),
            metadata: Vec::new(),
            risk: None,
            class: None,
            distinct: None,
            threshold: None,
        }
    }

    fn accept(&mut self, name: &str, value: Option<&str>) -> Result<(), Wrong> {
        if let Some(done) = self.accept_flag(name, value) {
            return done;
        }
        if !VALUED.contains(&name) {
            return Err(Wrong::Unsupported(name.to_owned()));
        }
        let value = value
            .filter(|value| !value.is_empty())
            .ok_or("it has no value; write one behind \":\"")?;
        match name {
            "msg" => once(&mut self.message, unescaped(unquote(value)?).into()),
            "sid" => once(&mut self.sid, whole(value, 1, u32::MAX)?),
            "gid" => once(&mut self.gid, whole(value, 0, u32::MAX)?),
            "rev" => once(&mut self.revision, whole(value, 0, u32::MAX)?),
            "classtype" => once(&mut self.classtype, value.into()),
            "priority" => once(&mut self.priority, byte(value, 1, u8::MAX)?),
            "reference" => self.accept_reference(value),
            "metadata" => value.split(',').try_for_each(|pair| self.accept_metadata(pair)),
            "content" => self.accept_content(value),
            "offset" | "depth" | "distance" | "within" => self.accept_place(name, value),
            "flow" => self.accept_flow(value),
            "threshold" => self.accept_threshold(value, None),
            "detection_filter" => {
                self.accept_threshold(value, Some(ThresholdKind::DetectionFilter))
            }
            "flags" => once(&mut self.condition.flags, FlagsTest::read(value)?),
            "dsize" => once(&mut self.condition.payload_length, NumberTest::read(value, 65_535)?),
            "ttl" => once(&mut self.condition.ttl, NumberTest::read(value, 255)?),
            "itype" => once(&mut self.condition.icmp_type, NumberTest::read(value, 255)?),
            _ => once(&mut self.condition.icmp_code, NumberTest::read(value, 255)?),
        }
    }

    /// Takes a keyword that has no value; `None` if it is none of those.
    fn accept_flag(&mut self, name: &str, value: Option<&str>) -> Option<Result<(), Wrong>> {
        if !matches!(name, "nocase" | "startswith" | "endswith" | "fast_pattern" | "rawbytes") {
            return None;
        }
        if let Some(value) = value {
            return Some(Err(Wrong::Unsupported(format!("{name}:{value}"))));
        }
        let number = self.contents.len().wrapping_sub(1);
        let Some(content) = self.contents.last_mut() else {
            return Some(Err("it stands before any content; write it behind one".into()));
        };
        Some(match name {
            "nocase" => {
                content.nocase = true;
                content.bytes.make_ascii_lowercase();
                Ok(())
            }
            "startswith" if content.place == UNPLACED => {
                content.place = Place::Absolute { offset: 0, depth: Some(length(content)) };
                self.starts = true;
                Ok(())
            }
            "startswith" => Err(MIXED.into()),
            "endswith" => {
                content.at_end = true;
                Ok(())
            }
            "fast_pattern" if content.negated => {
                Err("a negated content cannot be looked for first; write it behind another".into())
            }
            "fast_pattern" => once(&mut self.fast_pattern, number),
            _ => Ok(()),
        })
    }

    fn accept_reference(&mut self, value: &str) -> Result<(), Wrong> {
        let (system, id) = value
            .split_once(',')
            .ok_or("it has no comma; write SYSTEM,ID such as url,example.org")?;
        self.references
            .push(Reference { system: system.trim().into(), id: unescaped(id.trim()).into() });
        Ok(())
    }

    fn accept_metadata(&mut self, pair: &str) -> Result<(), Wrong> {
        let pair = pair.trim();
        let (key, value) = pair.split_once(char::is_whitespace).unwrap_or((pair, ""));
        let value = value.trim();
        match key {
            "" => return Ok(()),
            "risk" => once(&mut self.risk, byte(value, 0, 100)?)?,
            "attack_class" => {
                let class = AttackClass::named(value).ok_or_else(|| {
                    let names = AttackClass::ALL.map(AttackClass::name).join(", ");
                    format!("\"{}\" is no attack class; write one of {names}", printable(value))
                })?;
                once(&mut self.class, class)?;
            }
            "count_distinct" => {
                let distinct =
                    match value {
                        "dst_port" => Distinct::DestinationPort,
                        "dst_ip" => Distinct::DestinationAddress,
                        "src_ip" => Distinct::SourceAddress,
                        _ => return Err(
                            "count_distinct counts dst_port, dst_ip or src_ip; write one of them"
                                .into(),
                        ),
                    };
                once(&mut self.distinct, distinct)?;
            }
            _ => {}
        }
        self.metadata.push((key.into(), value.into()));
        Ok(())
    }

    fn accept_content(&mut self, value: &str) -> Result<(), Wrong> {
        if self.contents.len() == CONTENTS_MAX {
            return Err(format!("it is one too many; a rule has at most {CONTENTS_MAX}").into());
        }
        self.contents.push(content::read(value)?);
        self.starts = false;
        Ok(())
    }

    fn accept_place(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        let content =
            self.contents.last_mut().ok_or("it stands before any content; write it behind one")?;
        let shortest = length(content);
        let range = |name, value: &str| match name {
            "depth" | "within" => whole(value, shortest, PLACE_MAX),
            _ => whole(value, 0, PLACE_MAX),
        };
        if self.starts {
            return Err(MIXED.into());
        }
        content.place = match (name, content.place) {
            ("offset", Place::Absolute { offset: 0, depth }) => {
                Place::Absolute { offset: range(name, value)?, depth }
            }
            ("depth", Place::Absolute { offset, depth: None }) => {
                Place::Absolute { offset, depth: Some(range(name, value)?) }
            }
            ("distance", UNPLACED) => Place::Relative { distance: distance(value)?, within: None },
            ("within", UNPLACED) => {
                Place::Relative { distance: 0, within: Some(range(name, value)?) }
            }
            ("distance", Place::Relative { distance: 0, within }) => {
                Place::Relative { distance: distance(value)?, within }
            }
            ("within", Place::Relative { distance, within: None }) => {
                Place::Relative { distance, within: Some(range(name, value)?) }
            }
            ("offset" | "depth", Place::Absolute { .. })
            | ("distance" | "within", Place::Relative { .. }) => return Err(TWICE.into()),
            _ => return Err(MIXED.into()),
        };
        Ok(())
    }

    fn accept_flow(&mut self, value: &str) -> Result<(), Wrong> {
        let flow = &mut self.condition.flow;
        for word in value.split(',') {
            match word.trim() {
                "to_server" | "from_client" => once(&mut flow.direction, Direction::ToServer)?,
                "to_client" | "from_server" => once(&mut flow.direction, Direction::ToClient)?,
                "established" => once(&mut flow.established, true)?,
                "not_established" => once(&mut flow.established, false)?,
                "stateless" | "no_stream" => {}
                other @ ("only_stream" | "no_frag" | "only_frag") => {
                    return Err(Wrong::Unsupported(format!("flow:{other}")));
                }
                other => {
                    return Err(format!(
                        "\"{}\" is no state of a flow; write to_server, to_client or established",
                        printable(other)
                    )
                    .into());
                }
            }
        }
        Ok(())
    }

    /// Reads `type KIND, track by_src, count N, seconds S`, in any order; a filter has no type.
    fn accept_threshold(&mut self, value: &str, kind: Option<ThresholdKind>) -> Result<(), Wrong> {
        let keyword = if kind.is_some() { "detection_filter" } else { "threshold" };
        let (mut kind, mut track, mut count, mut seconds) = (kind, None, None, None);
        for part in value.split(',') {
            let part = part.trim();
            let (name, value) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
            match (name, value.trim()) {
                ("type", "threshold") => once(&mut kind, ThresholdKind::Threshold)?,
                ("type", "limit") => once(&mut kind, ThresholdKind::Limit)?,
                ("type", "both") => once(&mut kind, ThresholdKind::Both)?,
                ("track", "by_src") => once(&mut track, Track::BySource)?,
                ("track", "by_dst") => once(&mut track, Track::ByDestination)?,
                ("type", "backoff")
                | ("track", "by_rule" | "by_both" | "by_flow")
                | ("multiplier", _) => {
                    return Err(Wrong::Unsupported(format!("{keyword}: {part}")));
                }
                ("count", number) => once(&mut count, whole(number, 1, u32::MAX)?)?,
                ("seconds", number) => once(&mut seconds, whole(number, 1, u32::MAX)?)?,
                _ => {
                    return Err(format!(
                        "\"{}\" is unknown; write {THRESHOLD_FORM}",
                        printable(part)
                    )
                    .into());
                }
            }
        }
        let (Some(kind), Some(track), Some(count), Some(seconds)) = (kind, track, count, seconds)
        else {
            return Err(format!(
                "a part is missing; write {THRESHOLD_FORM} (a filter has no type)"
            )
            .into());
        };
        once(&mut self.threshold, Threshold { kind, track, count, seconds, distinct: None })
    }

    fn finish(mut self, at: usize) -> Result<ParsedRule, Fault> {
        let wrong = |reason: &str| Fault::malformed(at, reason);
        let sid = self.sid.ok_or_else(|| {
            wrong("it has no sid; give it a number of its own, such as sid:9000001")
        })?;
        self.check_protocol().map_err(wrong)?;
        self.attach_distinct().map_err(wrong)?;
        let known = self.classtype.as_deref().and_then(of_classtype);
        let priority =
            self.priority.or(known.map(|(priority, _)| priority)).unwrap_or(PRIORITY_DEFAULT);
        let class = self.class.or(known.map(|(_, class)| class)).unwrap_or(AttackClass::Other);
        Ok(ParsedRule {
            rule: Rule {
                sid,
                gid: self.gid.unwrap_or(1),
                revision: self.revision.unwrap_or(0),
                message: self.message.unwrap_or_default(),
                classtype: self.classtype,
                priority,
                risk: self.risk.unwrap_or_else(|| risk_of_priority(priority)),
                class,
                references: self.references,
                metadata: self.metadata,
                threshold: self.threshold,
                file: Box::default(),
                line: 0,
            },
            condition: self.condition,
            contents: self.contents,
            fast_pattern: self.fast_pattern,
            text: String::new(),
            variables: self.variables,
        })
    }

    fn check_protocol(&self) -> Result<(), &'static str> {
        let condition = &self.condition;
        if condition.flags.is_some() && condition.protocol != Protocol::Tcp {
            return Err("flags are of tcp alone; write the protocol tcp, or leave them out");
        }
        if (condition.icmp_type.is_some() || condition.icmp_code.is_some())
            && !condition.protocol.is_icmp()
        {
            return Err(
                "itype and icode are of icmp alone; write the protocol icmp, or leave them out",
            );
        }
        Ok(())
    }

    fn attach_distinct(&mut self) -> Result<(), &'static str> {
        let Some(distinct) = self.distinct else {
            return Ok(());
        };
        let Some(threshold) = &mut self.threshold else {
            return Err(
                "count_distinct needs a threshold or detection_filter that counts; write one",
            );
        };
        if matches!(
            (threshold.track, distinct),
            (Track::BySource, Distinct::SourceAddress)
                | (Track::ByDestination, Distinct::DestinationAddress)
        ) {
            return Err(
                "count_distinct counts the address that is tracked, which is always one; count the other",
            );
        }
        threshold.distinct = Some(distinct);
        Ok(())
    }
}

/// Keywords that have a value.
const VALUED: [&str; 21] = [
    "msg",
    "sid",
    "gid",
    "rev",
    "classtype",
    "priority",
    "reference",
    "metadata",
    "content",
    "offset",
    "depth",
    "distance",
    "within",
    "flow",
    "threshold",
    "detection_filter",
    "flags",
    "dsize",
    "ttl",
    "itype",
    "icode",
];

const UNPLACED: Place = Place::Absolute { offset: 0, depth: None };

/// No payload is longer, so no place need be.
const PLACE_MAX: u32 = 65_535;

const MIXED: &str = "startswith, offset with depth, and distance with within each place a content alone; leave out the others";

const TWICE: &str = "it stands twice; leave out one";

const THRESHOLD_FORM: &str = "type limit|threshold|both, track by_src|by_dst, count N, seconds N";

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Wrong> {
    if place.is_some() {
        return Err(TWICE.into());
    }
    *place = Some(value);
    Ok(())
}

fn length(content: &Content) -> u32 {
    u32::try_from(content.bytes.len()).unwrap_or(u32::MAX)
}

fn whole(value: &str, least: u32, most: u32) -> Result<u32, Wrong> {
    match value.parse::<u32>() {
        Ok(number)
            if (least..=most).contains(&number) && value.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Ok(number)
        }
        _ => {
            Err(format!("\"{}\" is no number from {least} to {most}; write one", printable(value))
                .into())
        }
    }
}

fn byte(value: &str, least: u8, most: u8) -> Result<u8, Wrong> {
    whole(value, least.into(), most.into()).map(|number| u8::try_from(number).unwrap_or(most))
}

fn distance(value: &str) -> Result<i32, Wrong> {
    let (back, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let bytes = i32::try_from(whole(digits, 0, PLACE_MAX)?).unwrap_or(i32::MAX);
    Ok(if back { -bytes } else { bytes })
}

/// Text without the backslashes that the language asks for.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut escaped = false;
    for letter in text.chars() {
        escaped = letter == '\\' && !escaped;
        if !escaped {
            plain.push(letter);
        }
    }
    plain
}
