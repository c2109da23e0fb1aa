//! Incidents as syslog messages (RFC 5424), over a datagram socket of this machine, UDP (RFC 5426) or TCP (RFC 6587, octet counting).
//!
//! Whoever receives by UDP or by a plain TCP connection does not confirm: written means given to the kernel.

use super::destination::Destination;
use super::moment;
use super::news::News;
use super::params::{SyslogParams, SyslogPlace};
use super::pump::Form;
use super::socket::{Datagrams, Peer, Stream};
use crate::time::Timestamp;
use crate::verdict::Level;

/// The name of the structured data. 32473 is the enterprise number for examples (RFC 5612): this project has none of its own.
const DATA_ID: &str = "phantomnet@32473";

/// Makes messages.
pub(super) struct SyslogMessages {
    sensor: Box<str>,
    facility: u8,
    host: String,
    process: u32,
    is_counted: bool,
    clock: fn() -> Timestamp,
}

impl SyslogMessages {
    /// For where `params` says, in the name of this machine and process.
    pub(super) fn new(sensor: Box<str>, params: &SyslogParams, clock: fn() -> Timestamp) -> Self {
        let system = rustix::system::uname();
        Self {
            sensor,
            facility: params.facility,
            host: header_field(&system.nodename().to_string_lossy(), 255),
            process: std::process::id(),
            is_counted: matches!(params.place, SyslogPlace::Tcp(_)),
            clock,
        }
    }

    fn message(&self, news: &News) -> String {
        let incident = &news.incident;
        let priority = u32::from(self.facility) * 8 + u32::from(severity(incident.worst));
        let rules: Vec<String> = incident.rules.iter().map(ToString::to_string).collect();
        let subject = incident.subject.map_or_else(String::new, |subject| subject.to_string());
        let data = [
            ("sensor", self.sensor.to_string()),
            ("incident", news.id()),
            ("verdict", incident.worst.name().to_owned()),
            ("kind", incident.kind.to_string()),
            ("title", incident.title.to_string()),
            (news.role(), subject),
            ("first", moment(incident.first)),
            ("last", moment(incident.last)),
            ("count", incident.count.to_string()),
            ("rules", rules.join(",")),
        ];
        let data: String = data
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!(" {name}=\"{}\"", escaped(value)))
            .collect();
        format!(
            "<{priority}>1 {} {} phantomnet {} {} [{DATA_ID}{data}] {}",
            moment((self.clock)()),
            self.host,
            self.process,
            news.what.name(),
            news.text(),
        )
    }
}

impl Form<News> for SyslogMessages {
    fn records(&mut self, news: &News) -> Vec<Vec<u8>> {
        let message = self.message(news);
        let framed = if self.is_counted { format!("{} {message}", message.len()) } else { message };
        vec![framed.into_bytes()]
    }
}

/// Who takes the messages.
pub(super) fn destination(place: &SyslogPlace) -> Box<dyn Destination> {
    match place {
        SyslogPlace::Unix(path) => Box::new(Datagrams::to(Peer::Unix(path.clone()))),
        SyslogPlace::Udp(place) => Box::new(Datagrams::to(Peer::Network(place.clone()))),
        SyslogPlace::Tcp(place) => Box::new(Stream::to(Peer::Network(place.clone()))),
    }
}

/// RFC 5424, section 6.2.1.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Critical => 2,
        Level::High => 3,
        Level::Warning => 4,
        Level::Safe => 6,
    }
}

/// Printable ASCII without spaces, as header fields must be; `-` stands for nothing.
fn header_field(text: &str, longest: usize) -> String {
    let field: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

/// A value of structured data: three characters are escaped (section 6.3.3), control characters are none of a line's business.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(if letter.is_control() { ' ' } else { letter });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::news::NewsDesk;
    use super::super::news::tests::{batch, incident};
    use super::*;

    #[test]
    fn a_message_is_as_rfc_5424_has_it() {
        let params = SyslogParams {
            place: SyslogPlace::Unix(PathBuf::from("/dev/log")),
            facility: 16,
            level: Level::High,
        };
        let clock = || Timestamp::from_nanos(1_790_000_002_000_001_000);
        let mut messages = SyslogMessages::new("here".into(), &params, clock);
        messages.host = header_field("sensor 1", 255);
        messages.process = 77;
        let news = NewsDesk::new(Level::High).of(&batch(vec![incident(5, Level::Critical)]));
        let id = news[0].id();
        assert_eq!(
            String::from_utf8(messages.records(&news[0]).remove(0)).unwrap(),
            format!(
                "<130>1 2026-09-21T14:13:22.000001Z sensor1 phantomnet 77 incident-opened [phantomnet@32473 sensor=\"here\" incident=\"{id}\" verdict=\"CRITICAL\" kind=\"network-scan\" title=\"Ports \\\"scanned\\\" [all\\] \\\\ of them\" source=\"192.0.2.7\" first=\"2026-09-21T14:13:20.123456Z\" last=\"2026-09-21T14:13:21.000000Z\" count=\"42\" rules=\"1000001,1000002\"] CRITICAL: Ports \"scanned\" [all] \\ of them by 192.0.2.7 (network-scan, 42 packets)"
            )
        );
    }

    #[test]
    fn over_tcp_each_message_says_how_long_it_is() {
        let params = SyslogParams {
            place: SyslogPlace::Tcp("localhost:601".to_owned()),
            facility: 1,
            level: Level::High,
        };
        let mut messages = SyslogMessages::new("here".into(), &params, || Timestamp::EPOCH);
        let news = NewsDesk::new(Level::High).of(&batch(vec![incident(5, Level::High)]));
        let framed = String::from_utf8(messages.records(&news[0]).remove(0)).unwrap();
        let (length, message) = framed.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        assert!(message.starts_with("<11>1 "), "{message}");
    }
}
