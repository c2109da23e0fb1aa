//! One interface as the kernel's routing socket shows it (`rtnetlink(7)`).

use std::{fs, io};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::ethtool;

/// The longest answer about one interface, bytes; statistics and virtual functions make them long.
const ANSWER_BYTES_MAX: usize = 1 << 16;

/// An interface as it is just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number: another one of the same name has another number.
    pub index: u32,
    /// The largest payload of its frames, bytes.
    pub mtu: u32,
    /// Whether it is switched on, with or without a carrier.
    pub is_on: bool,
    /// Whether it is switched on and has a carrier.
    pub is_up: bool,
    /// Whether it receives frames for other hosts too.
    pub is_promiscuous: bool,
    /// How many receive queues are in use.
    pub queues: u32,
    /// The numbers of the XDP programs that are attached to it.
    pub xdp_programs: Vec<u32>,
}

/// Why nothing is known of an interface.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// There is none of this name.
    #[error("there is no interface {name}; there are {}", there_are(.present))]
    Missing {
        /// What was asked for.
        name: String,
        /// What there is.
        present: Vec<String>,
    },
    /// The kernel does not answer.
    #[error("interface {name}: {source}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

fn there_are(present: &[String]) -> String {
    if present.is_empty() { "none".to_owned() } else { present.join(" ") }
}

impl Interface {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// When there is no such interface, or the kernel does not answer.
    pub fn find(name: &str) -> Result<Self, InterfaceError> {
        let link = match ask(name) {
            Ok(Some(link)) => link,
            Ok(None) => {
                return Err(InterfaceError::Missing { name: name.to_owned(), present: names() });
            }
            Err(source) => return Err(InterfaceError::Unknown { name: name.to_owned(), source }),
        };
        let flags = link.header.flags;
        let mut found = Self {
            name: name.to_owned(),
            index: link.header.index,
            mtu: 0,
            is_on: flags.contains(LinkFlags::Up),
            is_up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::LowerUp),
            is_promiscuous: flags.contains(LinkFlags::Promisc),
            queues: queues(name),
            xdp_programs: Vec::new(),
        };
        for attribute in link.attributes {
            match attribute {
                LinkAttribute::Mtu(mtu) => found.mtu = mtu,
                LinkAttribute::Promiscuity(times) => found.is_promiscuous |= times > 0,
                LinkAttribute::Xdp(xdp) => found.xdp_programs = programs(&xdp),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn programs(xdp: &[LinkXdp]) -> Vec<u32> {
    let id = |attribute: &LinkXdp| match attribute {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    };
    let mut ids: Vec<u32> = xdp.iter().filter_map(id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The receive queues in use: what the driver says, else what the file system shows, else one.
fn queues(name: &str) -> u32 {
    let shown = || {
        let folder = fs::read_dir(format!("/sys/class/net/{name}/queues")).ok()?;
        let names = folder.flatten().map(|entry| entry.file_name());
        let count = names.filter(|name| name.to_string_lossy().starts_with("rx-")).count();
        u32::try_from(count).ok()
    };
    let said = ethtool::receive_queues(name).ok().filter(|queues| *queues > 0);
    said.or_else(shown).unwrap_or(1).max(1)
}

/// The names of all interfaces there are.
#[must_use]
pub fn names() -> Vec<String> {
    let Ok(entries) = fs::read_to_string("/proc/self/net/dev") else { return Vec::new() };
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_owned());
    let mut names: Vec<String> = entries.lines().filter_map(name).collect();
    names.sort_unstable();
    names
}

/// `RTM_GETLINK` of one name; nothing when there is none.
fn ask(name: &str) -> io::Result<Option<LinkMessage>> {
    let mut question = LinkMessage::default();
    question.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let payload = NetlinkPayload::from(RouteNetlinkMessage::GetLink(question));
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
    socket.recv(&mut answer, 0)?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(Some(link)),
        NetlinkPayload::Error(error) if error.raw_code() == -libc::ENODEV => Ok(None),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::other("the kernel answers something else than was asked")),
    }
}
