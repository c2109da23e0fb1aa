//! Names of IP protocols, as they are shown and asked for.

/// Names and numbers of the IANA registry "Protocol Numbers"; the first name of a number is the one that is shown.
const NAMES: [(&str, u8); 16] = [
    ("ICMP", 1),
    ("IGMP", 2),
    ("IPIP", 4),
    ("TCP", 6),
    ("UDP", 17),
    ("IPv6", 41),
    ("GRE", 47),
    ("ESP", 50),
    ("AH", 51),
    ("IPv6-ICMP", 58),
    ("ICMPv6", 58),
    ("EIGRP", 88),
    ("OSPF", 89),
    ("PIM", 103),
    ("VRRP", 112),
    ("SCTP", 132),
];

/// As shown: its name, or its number where it has none here.
pub(super) fn name_of(protocol: u8) -> String {
    NAMES
        .iter()
        .find(|(_, number)| *number == protocol)
        .map_or_else(|| protocol.to_string(), |(name, _)| (*name).to_owned())
}

/// From a name in any case, or a number.
pub(super) fn number_of(text: &str) -> Option<u8> {
    let by_name = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    by_name.map(|(_, number)| *number).or_else(|| plain_number(text))
}

/// One to three digits, without a sign.
fn plain_number(text: &str) -> Option<u8> {
    let plain = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_reads_back_from_its_name() {
        for number in 0..=u8::MAX {
            assert_eq!(number_of(&name_of(number)), Some(number));
        }
        assert_eq!(number_of("icmpv6"), Some(58));
        assert_eq!(number_of("tcp"), Some(6));
        for text in ["", "256", "0006", "+6", "tcp ", "6.0", "-1"] {
            assert_eq!(number_of(text), None, "{text}");
        }
    }
}
