//! Whether an interface is how this machine reaches the world.

use std::fs;

/// Whether a default route leads through `interface`, of IPv4 or IPv6 (`proc_net(5)`).
#[must_use]
pub fn has_default_route(interface: &str) -> bool {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    v4_default(&read("/proc/self/net/route"), interface)
        || v6_default(&read("/proc/self/net/ipv6_route"), interface)
}

/// Lines of `/proc/net/route`: interface, destination, gateway, flags, ..., mask in the eighth column.
fn v4_default(table: &str, interface: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.first() == Some(&interface)
            && columns.get(1) == Some(&"00000000")
            && columns.get(7) == Some(&"00000000")
    })
}

/// Lines of `/proc/net/ipv6_route`: destination, its prefix length, ..., flags, interface. The unreachable default on `lo` is none.
fn v6_default(table: &str, interface: &str) -> bool {
    table.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.last() == Some(&interface)
            && interface != "lo"
            && columns.first().is_some_and(|destination| destination.bytes().all(|b| b == b'0'))
            && columns.get(1) == Some(&"00")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_is_told_from_others() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     eth1\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        assert!(v4_default(table, "eth0"));
        assert!(!v4_default(table, "eth1"));
        assert!(!v4_default(table, "eth"));
    }

    #[test]
    fn a_default_route_of_ipv6_is_told_from_others() {
        let zero = "0".repeat(32);
        let table = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003 eth2\n\
             fe800000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth3\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n"
        );
        assert!(v6_default(&table, "eth2"));
        assert!(!v6_default(&table, "eth3"));
        assert!(!v6_default(&table, "lo"));
    }
}
