//! The pcap registry of link types: which numbers are decoded, and what the others are called.

use std::fmt;

use super::LinkType;

/// A number of the registry (<https://www.tcpdump.org/linktypes.html>); prints with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkNumber(pub(super) u16);

/// The link types that are decoded, by their names in the registry.
pub(super) const DECODED: &str = "NULL, ETHERNET, RAW, LOOP, LINUX_SLL, LINUX_SLL2, IPV4 and IPV6";

impl LinkNumber {
    /// What the frames of this type are to the decoder.
    pub(super) const fn link_type(self) -> LinkType {
        match self.0 {
            0 => LinkType::Null,
            1 => LinkType::Ethernet,
            // 101 is the registry's number; 12 and 14 are what BSD systems call the same and sometimes write.
            12 | 14 | 101 => LinkType::RawIp,
            108 => LinkType::Loop,
            113 => LinkType::LinuxSll,
            228 => LinkType::Ipv4,
            229 => LinkType::Ipv6,
            276 => LinkType::LinuxSll2,
            _ => LinkType::Unsupported,
        }
    }
}

impl fmt::Display for LinkNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((number, name)) => write!(f, "{number} ({name})"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Those that an operator is likely to meet.
const NAMES: [(u16, &str); 42] = [
    (3, "AX25"),
    (6, "IEEE802_5, token ring"),
    (7, "ARCNET_BSD"),
    (8, "SLIP"),
    (9, "PPP"),
    (10, "FDDI"),
    (11, "ATM_RFC1483 of BSD"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (100, "ATM_RFC1483"),
    (104, "C_HDLC"),
    (105, "IEEE802_11, wireless"),
    (107, "FRELAY"),
    (114, "LTALK"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM, wireless"),
    (122, "IP_OVER_FC"),
    (123, "SUNATM"),
    (127, "IEEE802_11_RADIOTAP, wireless"),
    (129, "ARCNET_LINUX"),
    (138, "APPLE_IP_OVER_IEEE1394"),
    (140, "MTP2"),
    (141, "MTP3"),
    (143, "DOCSIS"),
    (147, "USER0"),
    (149, "USER2"),
    (163, "IEEE802_11_AVS, wireless"),
    (166, "PPP_PPPD"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (192, "PPI"),
    (195, "IEEE802_15_4_WITHFCS"),
    (220, "USB_LINUX_MMAPPED"),
    (226, "IPNET"),
    (227, "CAN_SOCKETCAN"),
    (239, "NFLOG"),
    (249, "USBPCAP"),
    (252, "WIRESHARK_UPPER_PDU"),
    (253, "NETLINK"),
    (258, "PKTAP"),
    (271, "VSOCK"),
    (285, "DSA_TAG_EDSA"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_number_is_the_link_types_own() {
        for link in [
            LinkType::Null,
            LinkType::Ethernet,
            LinkType::RawIp,
            LinkType::Loop,
            LinkType::LinuxSll,
            LinkType::Ipv4,
            LinkType::Ipv6,
            LinkType::LinuxSll2,
        ] {
            assert_eq!(LinkNumber(link as u16).link_type(), link);
        }
    }

    #[test]
    fn only_undecoded_numbers_have_a_name_here() {
        for (number, name) in NAMES {
            assert_eq!(LinkNumber(number).link_type(), LinkType::Unsupported, "{name}");
        }
        assert_eq!(LinkNumber(9).to_string(), "9 (PPP)");
        assert_eq!(LinkNumber(9999).to_string(), "9999");
    }
}
