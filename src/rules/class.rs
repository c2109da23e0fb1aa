//! What kind of attack a rule speaks of, and how much it weighs.

/// How many attack classes there are; feature 7 holds one counter for each.
pub const ATTACK_CLASSES: usize = 16;

/// The kind of attack. The number is the bit by which feature 7 counts it: it is part of the feature schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AttackClass {
    /// Many ports of a host tried.
    PortScan = 0,
    /// One service tried on many hosts.
    HostSweep = 1,
    /// The mark of a scanning tool, or a probe that no ordinary client sends.
    Probe = 2,
    /// Many attempts to log in.
    BruteForce = 3,
    /// A service drowned in packets.
    Flood = 4,
    /// A service kept busy by few packets.
    SlowDenial = 5,
    /// SQL in a request.
    SqlInjection = 6,
    /// Script in a request.
    CrossSiteScripting = 7,
    /// A path that climbs out of its folder.
    PathTraversal = 8,
    /// A command or code handed to the server to run.
    CodeExecution = 9,
    /// A flaw of a service used through its own protocol.
    Exploit = 10,
    /// Traffic hidden in another protocol.
    Tunnel = 11,
    /// Data carried out.
    Exfiltration = 12,
    /// A machine that takes orders from outside.
    CommandAndControl = 13,
    /// An address that intelligence names.
    KnownBadAddress = 14,
    /// None of the others.
    Other = 15,
}

impl AttackClass {
    /// All classes, by number.
    pub const ALL: [Self; ATTACK_CLASSES] = [
        Self::PortScan,
        Self::HostSweep,
        Self::Probe,
        Self::BruteForce,
        Self::Flood,
        Self::SlowDenial,
        Self::SqlInjection,
        Self::CrossSiteScripting,
        Self::PathTraversal,
        Self::CodeExecution,
        Self::Exploit,
        Self::Tunnel,
        Self::Exfiltration,
        Self::CommandAndControl,
        Self::KnownBadAddress,
        Self::Other,
    ];

    /// Its number, 0 to 15.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name, as in `metadata: attack_class NAME`, events and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PortScan => "port_scan",
            Self::HostSweep => "host_sweep",
            Self::Probe => "probe",
            Self::BruteForce => "brute_force",
            Self::Flood => "flood",
            Self::SlowDenial => "slow_denial",
            Self::SqlInjection => "sql_injection",
            Self::CrossSiteScripting => "cross_site_scripting",
            Self::PathTraversal => "path_traversal",
            Self::CodeExecution => "code_execution",
            Self::Exploit => "exploit",
            Self::Tunnel => "tunnel",
            Self::Exfiltration => "exfiltration",
            Self::CommandAndControl => "command_and_control",
            Self::KnownBadAddress => "known_bad_address",
            Self::Other => "other",
        }
    }

    /// The class of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What a rule weighs that states no risk: priority 1 weighs 80, 2 weighs 50, 3 weighs 20, and any higher number 10.
#[must_use]
pub const fn risk_of_priority(priority: u8) -> u8 {
    match priority {
        0 | 1 => 80,
        2 => 50,
        3 => 20,
        _ => 10,
    }
}

/// The priority of a rule that states neither priority nor a known classtype.
pub(super) const PRIORITY_DEFAULT: u8 = 3;

/// Priority and attack class of a classtype; names and priorities as Suricata's `classification.config` has them.
pub(super) fn of_classtype(name: &str) -> Option<(u8, AttackClass)> {
    CLASSTYPES
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|&(_, priority, class)| (priority, class))
}

const CLASSTYPES: [(&str, u8, AttackClass); 38] = [
    ("attempted-admin", 1, AttackClass::Exploit),
    ("attempted-dos", 2, AttackClass::Flood),
    ("attempted-recon", 2, AttackClass::Probe),
    ("attempted-user", 1, AttackClass::Exploit),
    ("bad-unknown", 2, AttackClass::Other),
    ("coin-mining", 2, AttackClass::CommandAndControl),
    ("command-and-control", 1, AttackClass::CommandAndControl),
    ("credential-theft", 1, AttackClass::Exfiltration),
    ("default-login-attempt", 2, AttackClass::BruteForce),
    ("denial-of-service", 2, AttackClass::Flood),
    ("domain-c2", 1, AttackClass::CommandAndControl),
    ("exploit-kit", 1, AttackClass::Exploit),
    ("external-ip-check", 2, AttackClass::Other),
    ("icmp-event", 3, AttackClass::Other),
    ("inappropriate-content", 1, AttackClass::Other),
    ("misc-activity", 3, AttackClass::Other),
    ("misc-attack", 2, AttackClass::Exploit),
    ("network-scan", 3, AttackClass::PortScan),
    ("non-standard-protocol", 2, AttackClass::Tunnel),
    ("not-suspicious", 3, AttackClass::Other),
    ("policy-violation", 1, AttackClass::Other),
    ("protocol-command-decode", 3, AttackClass::Other),
    ("pup-activity", 2, AttackClass::CommandAndControl),
    ("rpc-portmap-decode", 2, AttackClass::Probe),
    ("shellcode-detect", 1, AttackClass::CodeExecution),
    ("social-engineering", 2, AttackClass::Other),
    ("string-detect", 3, AttackClass::Other),
    ("successful-admin", 1, AttackClass::Exploit),
    ("successful-dos", 2, AttackClass::Flood),
    ("successful-recon-largescale", 2, AttackClass::Exfiltration),
    ("successful-recon-limited", 2, AttackClass::Exfiltration),
    ("successful-user", 1, AttackClass::Exploit),
    ("suspicious-filename-detect", 2, AttackClass::Other),
    ("suspicious-login", 2, AttackClass::BruteForce),
    ("system-call-detect", 2, AttackClass::CodeExecution),
    ("targeted-activity", 1, AttackClass::CommandAndControl),
    ("trojan-activity", 1, AttackClass::CommandAndControl),
    ("web-application-attack", 1, AttackClass::Exploit),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_found_by_its_name_and_stands_at_its_number() {
        for (number, class) in AttackClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), number);
            assert_eq!(AttackClass::named(class.name()), Some(class));
        }
        assert_eq!(AttackClass::named("Port_Scan"), None);
    }

    #[test]
    fn every_classtype_stands_once() {
        assert!(CLASSTYPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
