//! The attacks that can be planned, and their names.

use std::fmt;
use std::str::FromStr;

/// One kind of attack. Its name is what stands in `--attacks` and in the label files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attack {
    /// One stranger tries many TCP ports of the servers.
    PortScan,
    /// An infected client tries one service on every address of the network.
    HostSweep,
    /// Bots send SYNs to the web server faster than it can answer.
    SynFlood,
    /// Bots send large datagrams to the servers.
    UdpFlood,
    /// Strangers guess passwords of the ssh server.
    SshBruteForce,
    /// A stranger guesses passwords of the FTP server.
    FtpBruteForce,
    /// A stranger puts SQL into requests to the web server.
    SqlInjection,
    /// A stranger puts script into requests to the web server.
    Xss,
    /// A stranger asks the web server for files outside its tree.
    PathTraversal,
    /// An infected client carries data in DNS names.
    DnsTunnel,
    /// Infected clients call home at a steady pace.
    Beacon,
    /// An infected client uploads large amounts to the outside.
    Exfiltration,
}

impl Attack {
    /// Every attack, in the order of the catalogue.
    pub const ALL: [Self; 12] = [
        Self::PortScan,
        Self::HostSweep,
        Self::SynFlood,
        Self::UdpFlood,
        Self::SshBruteForce,
        Self::FtpBruteForce,
        Self::SqlInjection,
        Self::Xss,
        Self::PathTraversal,
        Self::DnsTunnel,
        Self::Beacon,
        Self::Exfiltration,
    ];

    /// The name, in lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PortScan => "port_scan",
            Self::HostSweep => "host_sweep",
            Self::SynFlood => "syn_flood",
            Self::UdpFlood => "udp_flood",
            Self::SshBruteForce => "ssh_brute_force",
            Self::FtpBruteForce => "ftp_brute_force",
            Self::SqlInjection => "sql_injection",
            Self::Xss => "xss",
            Self::PathTraversal => "path_traversal",
            Self::DnsTunnel => "dns_tunnel",
            Self::Beacon => "beacon",
            Self::Exfiltration => "exfiltration",
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Attack {
    type Err = UnknownAttack;

    fn from_str(name: &str) -> Result<Self, UnknownAttack> {
        Self::ALL
            .into_iter()
            .find(|attack| attack.name() == name)
            .ok_or_else(|| UnknownAttack { name: name.to_owned() })
    }
}

/// A name that is no attack's.
#[derive(Debug, thiserror::Error)]
#[error("unknown attack {name:?}: choose from {}", Attack::ALL.map(Attack::name).join(", "))]
pub struct UnknownAttack {
    name: String,
}
