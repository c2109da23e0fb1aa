//! The parameters there are, each with its rule.

use std::net::IpAddr;

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Required, Schema};

use super::super::cursor::CURSOR_CHARS_MAX;
use super::super::problem::{FieldError, Problem};
use super::super::protocol;
use super::fields::{Param, Refusal};
use crate::event::{EventId, SessionState};
use crate::store::query::{IncidentState, Network, PAGE_ROWS_MAX};
use crate::time::Timestamp;
use crate::verdict::Level;

/// Characters of the name of a kind of incident.
const KIND_CHARS_MAX: usize = 64;

/// Buckets of a timeline.
pub(super) const BUCKETS_MAX: u32 = 1_000;

/// What an event is called towards people: CRITICAL is malicious, HIGH and WARNING are suspicious, SAFE is benign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Threat {
    Benign,
    Suspicious,
    Malicious,
}

impl Threat {
    pub(in super::super) const ALL: [Self; 3] = [Self::Benign, Self::Suspicious, Self::Malicious];

    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Benign => "BENIGN",
            Self::Suspicious => "SUSPICIOUS",
            Self::Malicious => "MALICIOUS",
        }
    }

    pub(in super::super) const fn of(level: Level) -> Self {
        match level {
            Level::Safe => Self::Benign,
            Level::Warning | Level::High => Self::Suspicious,
            Level::Critical => Self::Malicious,
        }
    }
}

pub(super) const LIMIT: Param<u32> = Param {
    name: "limit",
    about: "Rows of one page.",
    read: |text| whole(text, 1, PAGE_ROWS_MAX),
    schema: || number(1, PAGE_ROWS_MAX).default(Some(100.into())).into(),
};

/// Rows of a page, where nobody says.
pub(super) const LIMIT_DEFAULT: u32 = 100;

pub(super) const MOST: Param<u32> = Param {
    name: "limit",
    about: "How many of each.",
    read: |text| whole(text, 1, MOST_MAX),
    schema: || number(1, MOST_MAX).default(Some(MOST_DEFAULT.into())).into(),
};

/// How many of the largest there are at most, and where nobody says.
const MOST_MAX: u32 = 100;
pub(super) const MOST_DEFAULT: u32 = 10;

pub(super) const CURSOR: Param<String> = Param {
    name: "cursor",
    about: "Where the list goes on: `next` of the page before, with the same filters.",
    read: |text| Ok(text.to_owned()),
    schema: || string().max_length(Some(CURSOR_CHARS_MAX)).pattern(Some("^[A-Za-z0-9_-]*$")).into(),
};

pub(super) const FROM: Param<Timestamp> = Param {
    name: "from",
    about: "At or after this moment (RFC 3339).",
    read: moment,
    schema: moment_schema,
};

pub(super) const TO: Param<Timestamp> = Param {
    name: "to",
    about: "Before this moment (RFC 3339); later than `from`.",
    read: moment,
    schema: moment_schema,
};

pub(super) const THREAT: Param<Threat> = Param {
    name: "threat",
    about: "CRITICAL is MALICIOUS, HIGH and WARNING are SUSPICIOUS, SAFE is BENIGN.",
    read: |text| word(text, &Threat::ALL, Threat::name),
    schema: || words(Threat::ALL.map(Threat::name)),
};

pub(super) const VERDICT: Param<Vec<Level>> = Param {
    name: "verdict",
    about: "Any of these verdicts, separated by commas.",
    read: |text| text.split(',').map(|one| word(one, &Level::ALL, Level::name)).collect(),
    schema: || {
        let one = string().enum_values(Some(Level::ALL.map(Level::name)));
        let verdicts = ArrayBuilder::new().items(one);
        verdicts.min_items(Some(1)).examples([["HIGH", "CRITICAL"]]).into()
    },
};

pub(super) const WORST: Param<Level> = Param {
    name: "verdict",
    about: "The worst verdict is at least this.",
    read: |text| word(text, &Level::ALL, Level::name),
    schema: || words(Level::ALL.map(Level::name)),
};

pub(super) const PROTOCOL: Param<u8> = Param {
    name: "protocol",
    about: "IP protocol, by name (`tcp`, `udp`, `icmp`, `icmpv6`, `gre`, `esp`, `sctp`, ...) or IANA number.",
    read: |text| {
        let rule = "must be a name such as tcp, udp or icmp, or a number from 0 to 255";
        protocol::number_of(text).ok_or_else(|| refusal(rule, "protocol"))
    },
    schema: || string().max_length(Some(16)).examples(["tcp"]).into(),
};

pub(super) const SOURCE: Param<Network> = Param {
    name: "src_ip",
    about: "The sender: an address, or a prefix without host bits.",
    read: network,
    schema: network_schema,
};

pub(super) const DESTINATION: Param<Network> = Param {
    name: "dst_ip",
    about: "The receiver: an address, or a prefix without host bits.",
    read: network,
    schema: network_schema,
};

pub(super) const NETWORK: Param<Network> = Param {
    name: "network",
    about: "Sources in this network: an address, or a prefix without host bits.",
    read: network,
    schema: network_schema,
};

pub(super) const SUBJECT: Param<Network> = Param {
    name: "subject",
    about: "About this address, or addresses in this prefix (without host bits).",
    read: network,
    schema: network_schema,
};

pub(super) const PORT: Param<u16> = Param {
    name: "port",
    about: "Source or destination port.",
    read: |text| {
        whole(text, 0, u16::MAX.into()).and_then(|port| {
            u16::try_from(port)
                .map_err(|_too_large| refusal("must be from 0 to 65535", "out_of_range"))
        })
    },
    schema: || number(0, u16::MAX.into()).into(),
};

pub(super) const MIN_SCORE: Param<f32> = Param {
    name: "min_score",
    about: "The threat score is at least this.",
    read: share,
    schema: || {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Number))
            .minimum(Some(0.0))
            .maximum(Some(1.0))
            .into()
    },
};

pub(super) const RULE: Param<u32> = Param {
    name: "rule",
    about: "This rule fired: its signature id.",
    read: |text| whole(text, 0, u32::MAX),
    schema: || number(0, u32::MAX).into(),
};

pub(super) const SESSION_STATE: Param<SessionState> = Param {
    name: "state",
    about: "Whether it may go on, or why not.",
    read: |text| word(text, &SESSION_STATES, session_state_name),
    schema: || words(SESSION_STATES.map(session_state_name)),
};

const SESSION_STATES: [SessionState; 4] =
    [SessionState::Open, SessionState::Idle, SessionState::Evicted, SessionState::Stopped];

pub(in super::super) const fn session_state_name(state: SessionState) -> &'static str {
    match state {
        SessionState::Open => "open",
        SessionState::Idle => "idle",
        SessionState::Evicted => "evicted",
        SessionState::Stopped => "stopped",
    }
}

pub(super) const INCIDENT_STATE: Param<IncidentState> = Param {
    name: "state",
    about: "What people made of it.",
    read: |text| word(text, &IncidentState::ALL, IncidentState::name),
    schema: || words(IncidentState::ALL.map(IncidentState::name)),
};

pub(super) const KIND: Param<String> = Param {
    name: "kind",
    about: "What is going on: the attack class of a rule, `known-bad-address`, `decoy`, `rare` or `sum`.",
    read: |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !text.is_empty() && text.len() <= KIND_CHARS_MAX && text.bytes().all(fits) {
            return Ok(text.to_owned());
        }
        Err(refusal("must be a name of letters, digits and hyphens", "kind"))
    },
    schema: || string().pattern(Some("^[A-Za-z0-9_-]{1,64}$")).examples(["network-scan"]).into(),
};

pub(super) const BUCKETS: Param<u32> = Param {
    name: "buckets",
    about: "At most this many buckets; their width is the smallest round one that does.",
    read: |text| whole(text, 1, BUCKETS_MAX),
    schema: || number(1, BUCKETS_MAX).default(Some(240.into())).into(),
};

pub(super) const LAST_EVENT_ID: Param<String> = Param {
    name: "last_event_id",
    about: "The last event seen; the header `Last-Event-ID` goes before it. Empty: none.",
    read: |text| {
        if text.is_empty() || text.parse::<EventId>().is_ok() {
            return Ok(text.to_owned());
        }
        Err(refusal(crate::event::EventIdError.to_string(), "id"))
    },
    schema: || string().max_length(Some(36)).examples(["0192a3b4c5d6e7f8-17"]).into(),
};

pub(super) const EPOCHS: Param<u32> = Param {
    name: "limit",
    about: "Ledgers of at most this many runs, newest first.",
    read: |text| whole(text, 1, 100),
    schema: || number(1, 100).default(Some(10.into())).into(),
};

/// The parameter `id` of a path.
pub(in super::super) struct EventName;

/// The parameter `ip` of a path.
pub(in super::super) struct SourceName;

impl IntoParams for EventName {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let name = string().pattern(Some("^[0-7][0-9A-Fa-f]{15}-[0-9]{1,19}$"));
        let about = "The name of an event or an incident.";
        vec![path_parameter("id", about, name.examples(["0192a3b4c5d6e7f8-17"]).into())]
    }
}

impl IntoParams for SourceName {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let either = AnyOfBuilder::new()
            .item(string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv4))))
            .item(string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6))));
        let about = "The address of a source.";
        vec![path_parameter("ip", about, either.examples(["192.0.2.7"]).into())]
    }
}

fn path_parameter(name: &str, about: &str, schema: Schema) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

/// The name of an event or an incident in a path.
pub(in super::super) fn path_id(text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|error: crate::event::EventIdError| {
        Problem::invalid(FieldError::new("path", "id", Some(text), error.to_string(), "id"))
    })
}

/// An address in a path.
pub(in super::super) fn path_address(text: &str) -> Result<IpAddr, Problem> {
    text.parse().map(|ip: IpAddr| ip.to_canonical()).map_err(|_no_address| {
        let rule = "must be an IPv4 or IPv6 address";
        Problem::invalid(FieldError::new("path", "ip", Some(text), rule, "address"))
    })
}

fn refusal(rule: impl Into<String>, kind: &'static str) -> Refusal {
    Refusal { rule: rule.into(), kind }
}

/// A whole number in plain digits.
fn whole(text: &str, least: u32, most: u32) -> Result<u32, Refusal> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if plain { text.parse::<u32>().ok() } else { None };
    number.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        let kind = if plain { "out_of_range" } else { "whole_number" };
        refusal(format!("must be a whole number from {least} to {most}"), kind)
    })
}

/// Held against its bounds before it is rounded: what is just above 1 is not 1.
#[expect(clippy::cast_possible_truncation, reason = "a share is compared as f32")]
fn share(text: &str) -> Result<f32, Refusal> {
    let shape = |byte: u8| byte.is_ascii_digit() || b".-+eE".contains(&byte);
    let number = if text.bytes().all(shape) { text.parse::<f64>().ok() } else { None };
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .map(|number| number as f32)
        .ok_or_else(|| refusal("must be a number from 0 to 1", "out_of_range"))
}

fn word<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, Refusal> {
    let known = all.iter().copied().find(|word| name(*word) == text);
    known.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|word| name(*word)).collect();
        refusal(format!("must be one of {}", names.join(", ")), "enum")
    })
}

/// RFC 3339, which is narrower than what jiff reads.
fn moment(text: &str) -> Result<Timestamp, Refusal> {
    if text.contains(' ') {
        let rule = "must be a moment such as 2026-01-31T12:00:00Z; a plus is written %2B";
        return Err(refusal(rule, "moment"));
    }
    let nanos = if has_moment_shape(text.as_bytes()) {
        text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond)
    } else {
        None
    };
    let Some(nanos) = nanos else {
        return Err(refusal("must be a moment such as 2026-01-31T12:00:00Z (RFC 3339)", "moment"));
    };
    match i64::try_from(nanos) {
        Ok(nanos) => Ok(Timestamp::from_nanos(nanos)),
        Err(_) => Err(refusal("must be between the years 1678 and 2262", "out_of_range")),
    }
}

/// `2026-01-31T12:00:00`, a fraction or none, `Z` or `+01:00`.
fn has_moment_shape(text: &[u8]) -> bool {
    let matches = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                letter => byte.eq_ignore_ascii_case(letter),
            })
    };
    let Some((date, rest)) = text.split_at_checked(19) else { return false };
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let zone = match rest.split_first() {
        Some((b'.', fraction)) => match digits(fraction) {
            0 => return false,
            count => fraction.get(count..).unwrap_or_default(),
        },
        _ => rest,
    };
    let is_zone = matches(zone, b"z") || matches(zone, b"+00:00") || matches(zone, b"-00:00");
    matches(date, b"0000-00-00t00:00:00") && is_zone
}

/// An address, or a prefix without host bits. An IPv4-mapped one is the IPv4 one that it maps.
fn network(text: &str) -> Result<Network, Refusal> {
    let wrong = || refusal("must be an address or a prefix such as 192.0.2.0/24", "network");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_no_address| wrong())?;
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => bits,
        Some(length) => {
            let plain = length.bytes().all(|byte| byte.is_ascii_digit());
            let length = if plain { length.parse().ok() } else { None };
            length.filter(|length| *length <= bits).ok_or_else(wrong)?
        }
    };
    let lowest = lowest_of(address, length);
    if lowest != address {
        let rule = format!("has host bits: did you mean {lowest}/{length}?");
        return Err(refusal(rule, "host_bits"));
    }
    Ok(match address.to_canonical() {
        canonical @ IpAddr::V4(_) if address.is_ipv6() && length >= 96 => {
            Network { address: canonical, length: length - 96 }
        }
        _ => Network { address, length },
    })
}

fn lowest_of(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

fn number(least: u32, most: u32) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(f64::from(least)))
        .maximum(Some(f64::from(most)))
}

fn words<const N: usize>(words: [&'static str; N]) -> Schema {
    string().enum_values(Some(words)).into()
}

fn moment_schema() -> Schema {
    string()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-31T12:00:00Z"])
        .into()
}

fn network_schema() -> Schema {
    string().max_length(Some(49)).examples(["192.0.2.0/24"]).into()
}
