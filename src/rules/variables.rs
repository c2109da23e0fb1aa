//! The variables that a rule's header may name: `$HOME_NET`, `$HTTP_PORTS`.

use std::collections::BTreeMap;

/// Names and what they stand for, as text of the rule language; one may name another.
///
/// [`Variables::default`] has Suricata's names, so that rules written for it load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// No variable at all.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Gives `name` (without `$`) a value: an address, a port, or a list of them, as a rule would have it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// What `name` (without `$`) stands for.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Default for Variables {
    fn default() -> Self {
        let mut variables = Self::none();
        for (name, value) in DEFAULTS {
            variables.set(name, value);
        }
        variables
    }
}

impl<N: Into<String>, V: Into<String>> Extend<(N, V)> for Variables {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        for (name, value) in pairs {
            self.set(name, value);
        }
    }
}

/// Private networks are at home (RFC 1918, RFC 4193); everything else follows from that.
const DEFAULTS: [(&str, &str); 21] = [
    ("HOME_NET", "[10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7]"),
    ("EXTERNAL_NET", "!$HOME_NET"),
    ("HTTP_SERVERS", "$HOME_NET"),
    ("SMTP_SERVERS", "$HOME_NET"),
    ("SQL_SERVERS", "$HOME_NET"),
    ("DNS_SERVERS", "$HOME_NET"),
    ("TELNET_SERVERS", "$HOME_NET"),
    ("AIM_SERVERS", "$EXTERNAL_NET"),
    ("DC_SERVERS", "$HOME_NET"),
    ("DNP3_SERVER", "$HOME_NET"),
    ("DNP3_CLIENT", "$HOME_NET"),
    ("MODBUS_SERVER", "$HOME_NET"),
    ("MODBUS_CLIENT", "$HOME_NET"),
    (
        "HTTP_PORTS",
        "[80,81,591,3000,3128,5000,5601,7001,8000:8010,8080:8090,8180,8888,9000,9080,9090,9200]",
    ),
    ("SHELLCODE_PORTS", "!80"),
    ("ORACLE_PORTS", "1521"),
    ("SSH_PORTS", "[22,2222]"),
    ("FTP_PORTS", "[21,2121]"),
    ("SMTP_PORTS", "[25,587,2525]"),
    ("DNP3_PORTS", "20000"),
    ("MODBUS_PORTS", "502"),
];
