//! What the short names of attack classes stand for in EVE's `alert.category`.

/// The description that Suricata's own `classification.config` gives a class; an unknown class describes itself.
pub(super) fn description_of(classtype: &str) -> &str {
    DESCRIPTIONS
        .iter()
        .find(|(name, _)| *name == classtype)
        .map_or(classtype, |(_, description)| description)
}

const DESCRIPTIONS: [(&str, &str); 22] = [
    ("attempted-admin", "Attempted Administrator Privilege Gain"),
    ("attempted-dos", "Attempted Denial of Service"),
    ("attempted-recon", "Attempted Information Leak"),
    ("attempted-user", "Attempted User Privilege Gain"),
    ("bad-unknown", "Potentially Bad Traffic"),
    ("command-and-control", "Malware Command and Control Activity Detected"),
    ("credential-theft", "Successful Credential Theft Detected"),
    ("denial-of-service", "Detection of a Denial of Service Attack"),
    ("misc-activity", "Misc activity"),
    ("misc-attack", "Misc Attack"),
    ("network-scan", "Detection of a Network Scan"),
    ("non-standard-protocol", "Detection of a non-standard protocol or event"),
    ("policy-violation", "Potential Corporate Privacy Violation"),
    ("protocol-command-decode", "Generic Protocol Command Decode"),
    ("shellcode-detect", "Executable code was detected"),
    ("successful-admin", "Successful Administrator Privilege Gain"),
    ("successful-dos", "Denial of Service"),
    ("successful-recon-limited", "Information Leak"),
    ("suspicious-login", "An attempted login using a suspicious username was detected"),
    ("trojan-activity", "A Network Trojan was detected"),
    ("unsuccessful-user", "Unsuccessful User Privilege Gain"),
    ("web-application-attack", "Web Application Attack"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_ones_own_describes_itself() {
        assert_eq!(description_of("network-scan"), "Detection of a Network Scan");
        assert_eq!(description_of("house-rules"), "house-rules");
    }
}
