//! Events as binary COPY wants them (PostgreSQL manual, COPY, "Binary Format"): written straight into the bytes that are sent.

use tokio_postgres::types::Type;

use crate::address::Address;
use crate::event::{Epoch, Event};
use crate::store::printable::printable;
use crate::store::score::threat_score;
use crate::time::Timestamp;

/// The statement. Its columns stand in the order in which [`Rows::push`] writes them.
pub(super) const COPY: &str = "COPY packet_logs (time, last_time, recorded_at, epoch, number, packet, count, alerts, weight, bytes, \
     detection, length, src_port, dst_port, vlan, sources, threat_score, model_risk, rule_risk, intel_risk, anomaly_score, quantile, \
     protocol, icmp_type, icmp_code, verdict, floor, merged, rules_left_out, intel_matched, in_training_range, src_ip, dst_ip, \
     features, rules, intel_label, decoy, reason, community_id) FROM STDIN (FORMAT binary)";

/// How many columns it names.
const COLUMNS: i16 = 39;

/// Signature, flags and the length of an extension that is not there.
const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands in place of a row's number of columns behind the last one.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// What stands in place of the length of a field that is null.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Rows on their way to the server.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    recorded: i64,
}

impl Rows {
    /// The beginning of a COPY.
    pub(super) fn new(recorded: Timestamp) -> Self {
        Self { bytes: HEADER.to_vec(), recorded: since_2000(recorded) }
    }

    /// How many bytes wait to be taken.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What there is to be sent so far; `capacity` is for what comes.
    pub(super) fn take(&mut self, capacity: usize) -> Vec<u8> {
        std::mem::replace(&mut self.bytes, Vec::with_capacity(capacity))
    }

    /// The end of the COPY.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(TRAILER);
        self.bytes
    }

    /// Adds an event of an epoch. On failure it is as if it had never been there.
    ///
    /// # Errors
    ///
    /// When one of its numbers is none, or larger than its column holds, in words.
    pub(super) fn push(&mut self, epoch: Epoch, event: &Event) -> Result<(), String> {
        let before = self.bytes.len();
        let mut row = Row { bytes: &mut self.bytes, refused: None };
        row.bytes.extend(COLUMNS.to_be_bytes());
        row.big(since_2000(event.first));
        row.big(since_2000(event.last));
        row.big(self.recorded);
        row.big(epoch.stored());
        row.counts(event);
        row.ports(event);
        row.scores(event);
        row.kinds(event);
        row.address(event.source);
        row.address(event.destination);
        row.features(event);
        row.rules(&event.rules);
        row.text(event.intel.as_ref().map(|(label, _side)| &**label));
        row.text(event.decoy.as_deref());
        row.text(Some(&event.reason));
        row.text(event.community_id.as_deref());
        match row.refused {
            None => Ok(()),
            Some(reason) => {
                self.bytes.truncate(before);
                Err(reason)
            }
        }
    }
}

/// One row, field by field: its length, then its bytes.
struct Row<'a> {
    bytes: &'a mut Vec<u8>,
    /// Why it can't be kept as it is.
    refused: Option<String>,
}

impl Row<'_> {
    fn counts(&mut self, event: &Event) {
        self.count("number", event.number);
        self.count("packet", event.packet);
        self.count("count", event.count);
        self.count("alerts", event.alerts);
        self.count("weight", event.weight);
        self.count("bytes", event.bytes);
        self.big(i64::from(event.detection));
        self.big(i64::from(event.length));
    }

    fn ports(&mut self, event: &Event) {
        self.integer(event.source_port.map(i32::from));
        self.integer(event.destination_port.map(i32::from));
        self.integer(Some(i32::from(event.vlan)));
        self.big(i64::from(event.sources));
    }

    fn scores(&mut self, event: &Event) {
        self.real("threat_score", Some(threat_score(event.total)));
        self.real("model_risk", Some(event.model_risk));
        self.real("rule_risk", Some(event.rule_risk));
        self.real("intel_risk", Some(event.intel_risk));
        self.real("anomaly_score", event.anomaly_score);
        self.real("quantile", event.quantile);
    }

    fn kinds(&mut self, event: &Event) {
        self.small(Some(event.protocol));
        self.small(event.icmp.map(|(kind, _code)| kind));
        self.small(event.icmp.map(|(_kind, code)| code));
        self.small(Some(event.level as u8));
        self.small(Some(event.floor as u8));
        self.small(Some(event.merged as u8));
        self.small(Some(event.rules_left_out));
        self.small(event.intel.as_ref().map(|(_label, side)| *side as u8));
        self.field(event.in_training_range.map(|inside| [u8::from(inside)]));
    }

    /// A count of 64 bits, of which the store keeps 63.
    fn count(&mut self, name: &'static str, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.big(value),
            Err(_) => {
                self.big(i64::MAX);
                self.refused = Some(format!("{name} is {value}, more than the column holds"));
            }
        }
    }

    fn big(&mut self, value: i64) {
        self.field(Some(value.to_be_bytes()));
    }

    fn integer(&mut self, value: Option<i32>) {
        self.field(value.map(i32::to_be_bytes));
    }

    fn small(&mut self, value: Option<u8>) {
        self.field(value.map(|value| i16::from(value).to_be_bytes()));
    }

    /// A finite number: no sum can be made of any other, and no JSON.
    fn real(&mut self, name: &'static str, value: Option<f32>) {
        if let Some(odd) = value.filter(|value| !value.is_finite()) {
            self.refused = Some(format!("{name} is {odd}, which is no finite number"));
        }
        self.field(value.map(f32::to_be_bytes));
    }

    /// `inet`: family, bits of the mask, whether it is a `cidr`, bytes that follow.
    fn address(&mut self, address: Option<Address>) {
        match address {
            None => self.bytes.extend(NULL),
            Some(address) => match address.v4_octets() {
                Some([a, b, c, d]) => self.field(Some([2, 32, 0, 4, a, b, c, d])),
                None => {
                    self.length(4 + 16);
                    self.bytes.extend([3, 128, 0, 16]);
                    self.bytes.extend(address.octets());
                }
            },
        }
    }

    fn features(&mut self, event: &Event) {
        match &event.features {
            None => self.bytes.extend(NULL),
            Some(features) => {
                self.array(&Type::FLOAT4, &features.0, |value| value.to_be_bytes());
            }
        }
    }

    fn rules(&mut self, rules: &[u32]) {
        self.array(&Type::INT8, rules, |rule| i64::from(rule).to_be_bytes());
    }

    /// An array of one dimension without nulls: dimensions, nulls, type, then elements, lower bound, and each element as a field.
    fn array<T: Copy, const N: usize>(
        &mut self,
        kind: &Type,
        values: &[T],
        encoded: impl Fn(T) -> [u8; N],
    ) {
        let elements = values.len() * (4 + N);
        // An empty array has no dimension at all.
        let dimensions = i32::from(!values.is_empty());
        self.length(if values.is_empty() { 12 } else { 20 + elements });
        self.bytes.extend(dimensions.to_be_bytes());
        self.bytes.extend(0_i32.to_be_bytes());
        self.bytes.extend(kind.oid().to_be_bytes());
        if !values.is_empty() {
            self.length(values.len());
            self.bytes.extend(1_i32.to_be_bytes());
        }
        for value in values {
            self.field(Some(encoded(*value)));
        }
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            None => self.bytes.extend(NULL),
            Some(text) => {
                let text = printable(text);
                self.length(text.len());
                self.bytes.extend(text.as_bytes());
            }
        }
    }

    fn field<const N: usize>(&mut self, value: Option<[u8; N]>) {
        match value {
            None => self.bytes.extend(NULL),
            Some(bytes) => {
                self.length(N);
                self.bytes.extend(bytes);
            }
        }
    }

    /// A length or a number of elements. Nothing in an event comes near 2 GiB; if it did, the server would refuse the row.
    fn length(&mut self, length: usize) {
        self.bytes.extend(i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
    }
}

/// A moment as PostgreSQL keeps it: microseconds since 2000-01-01T00:00:00Z.
const fn since_2000(moment: Timestamp) -> i64 {
    micros(moment) - 946_684_800_000_000
}

/// Whole microseconds since 1970-01-01T00:00:00Z, rounded towards the past.
pub(super) const fn micros(moment: Timestamp) -> i64 {
    moment.as_nanos().div_euclid(1000)
}
