//! A session that has ended as a `flow` record. A session is all that one source sent, so it has no destination and no ports.

use serde::Serialize;

use crate::eve::{self, Origin};
use crate::event::{Epoch, Session, SessionState};
use crate::time::NANOS_PER_SECOND;
use crate::verdict::Level;

/// One line. Its moment is the session's last packet.
#[derive(Serialize)]
pub(super) struct FlowRecord<'a> {
    timestamp: String,
    event_type: &'static str,
    #[serde(flatten)]
    origin: Origin<'a>,
    src_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<[u16; 1]>,
    flow: Flow,
    phantomnet: Own<'a>,
}

#[derive(Serialize)]
struct Flow {
    pkts_toserver: u64,
    bytes_toserver: u64,
    start: String,
    end: String,
    /// Whole seconds.
    age: i64,
    state: &'static str,
    /// Suricata's words: the time ran out, the place was needed, the sensor stopped.
    reason: &'static str,
    alerted: bool,
}

/// What only this sensor knows.
#[derive(Serialize)]
struct Own<'a> {
    /// As the API calls it.
    session: String,
    worst: &'static str,
    rules: &'a [u32],
}

impl<'a> FlowRecord<'a> {
    pub(super) fn of(session: &'a Session, epoch: Epoch, origin: Origin<'a>) -> Self {
        let nanos = session.last.as_nanos().saturating_sub(session.first.as_nanos());
        Self {
            timestamp: eve::time(session.last),
            event_type: "flow",
            origin,
            src_ip: session.source.to_string(),
            vlan: (session.tenant != 0).then_some([session.tenant]),
            flow: Flow {
                pkts_toserver: session.packets,
                bytes_toserver: session.bytes,
                start: eve::time(session.first),
                end: eve::time(session.last),
                age: nanos / NANOS_PER_SECOND,
                state: "closed",
                reason: match session.state {
                    SessionState::Open | SessionState::Idle => "timeout",
                    SessionState::Evicted => "forced",
                    SessionState::Stopped => "shutdown",
                },
                alerted: session.worst > Level::Safe,
            },
            phantomnet: Own {
                session: format!("{epoch}-{}", session.number),
                worst: session.worst.name(),
                rules: &session.rules,
            },
        }
    }
}
