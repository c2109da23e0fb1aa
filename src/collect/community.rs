//! The flow's name that other network sensors use too, so that their records can be joined with ours.

use crate::handover::Digest;

/// The Community ID, version 1, of the packet's flow (github.com/corelight/community-id-spec); `None` where the
/// specification has none.
pub(super) fn community_id(packet: &Digest) -> Option<String> {
    let icmp = || packet.icmp().map(|(kind, code)| (kind.into(), code.into()));
    let (source, destination) = packet.ports().or_else(icmp).unzip();
    let (from, to) = (packet.source.to_ip(), packet.destination.to_ip());
    community_id::calculate_community_id(0, from, to, source, destination, packet.protocol, false)
        .ok()
}
