//! Wires of the tests' own: what is captured on them is what a test has sent, and nothing else.
//!
//! ```text
//!   namespace of the sensor                namespace of the sender
//!        mirror0  <------- a veth pair ------->  sender0 <--- Sender
//!     rx queue i  <-----------------------------  tx queue i
//! ```
//!
//! No address, no ARP, no IPv6, no multicast, no offload that joins frames. Both namespaces go with the [`Wire`], also when its
//! test panics; those of a test program that was killed go when the next one begins.

#![cfg(test)]

mod link_socket;
pub(crate) mod namespace;
mod sender;
mod wire;

use std::io::{self, Write};
use std::sync::OnceLock;

pub(crate) use link_socket::LinkSocket;
pub(crate) use sender::Sender;
pub(crate) use wire::Wire;

use namespace::Namespace;

/// Whether namespaces can be made here. If not, a loud line says so, and the test that asked has nothing to do; where the
/// environment says `CI` that is a failure.
pub(crate) fn available() -> bool {
    static REFUSED: OnceLock<Option<String>> = OnceLock::new();
    let Some(reason) = REFUSED.get_or_init(|| Namespace::try_new("trial").err()) else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "no network namespace can be made: {reason}");
    // Straight to the terminal: the test harness keeps what a passing test prints.
    writeln!(io::stderr(), "SKIPPED: what needs a network namespace of its own: {reason}")
        .expect("a terminal");
    false
}

/// Frames that differ in their number, which is their payload, and in rotation in their flow: one of `flows`.
pub(crate) fn numbered_frames(count: u32, flows: u16) -> Vec<Vec<u8>> {
    let frame = |number: u32| {
        let port =
            1_000 + u16::try_from(number % u32::from(flows)).expect("it was taken modulo 16 bits");
        let payload = number.to_be_bytes();
        let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .udp(port, 53);
        let mut frame = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut frame, &payload).expect("a vector takes everything");
        frame
    };
    (0..count).map(frame).collect()
}

/// The number of such a frame.
pub(crate) fn number_of(frame: &[u8]) -> u32 {
    let (_headers, payload) = frame.split_at(14 + 20 + 8);
    u32::from_be_bytes(payload[..4].try_into().expect("four bytes"))
}
