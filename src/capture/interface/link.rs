//! One interface as the kernel's routing socket shows it (`rtnetlink(7)`).

use std::time::Duration;
use std::{fs, io};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::ethtool;

/// The longest answer about one interface, bytes; statistics and virtual functions make them long.
const ANSWER_BYTES_MAX: usize = 1 << 16;

/// How long an answer is waited for. The kernel gives it before the question's system call returns, or not at all: where it had no
/// memory for it, nothing would ever come. The question itself has no bound: a driver that holds the kernel's lock over interfaces,
/// while it resets its card, say, holds up whoever asks.
const PATIENCE: Duration = Duration::from_millis(500);

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
    match exchange(RouteNetlinkMessage::GetLink(question), NLM_F_REQUEST)? {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(Some(link)),
        NetlinkPayload::Error(error) if error.raw_code() == -libc::ENODEV => Ok(None),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(odd()),
    }
}

/// Takes the XDP programs off the interface of this name, each in the mode in which it is attached.
///
/// # Errors
///
/// `EBUSY` when one is held by a BPF link, which nobody but its holder takes away; when the right is missing (`CAP_NET_ADMIN`).
pub(crate) fn detach_xdp(name: &str) -> io::Result<()> {
    let Some(link) = ask(name)? else {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    };
    let xdp = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    });
    // XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_FLAGS_HW_MODE of `linux/if_link.h`.
    let mode = |attribute: &LinkXdp| match attribute {
        LinkXdp::SkbProgId(_) => Some(1 << 1),
        LinkXdp::DrvProgId(_) => Some(1 << 2),
        LinkXdp::HwProgId(_) => Some(1 << 3),
        _ => None,
    };
    for flags in xdp.flatten().filter_map(mode) {
        let mut order = LinkMessage::default();
        order.header.index = link.header.index;
        // No program is the program numbered -1.
        order.attributes.push(LinkAttribute::Xdp(vec![LinkXdp::Fd(-1), LinkXdp::Flags(flags)]));
        match exchange(RouteNetlinkMessage::SetLink(order), NLM_F_REQUEST | NLM_F_ACK)? {
            NetlinkPayload::Error(error) if error.raw_code() == 0 => {}
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => return Err(odd()),
        }
    }
    Ok(())
}

/// Sends a message, and takes the answer.
fn exchange(
    message: RouteNetlinkMessage,
    flags: u16,
) -> io::Result<NetlinkPayload<RouteNetlinkMessage>> {
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(message));
    message.header.flags = flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = connected(NETLINK_ROUTE)?;
    socket.send(&bytes, 0)?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
    socket.recv(&mut answer, 0)?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    Ok(answer.payload)
}

pub(super) fn odd() -> io::Error {
    io::Error::other("the kernel answers something else than was asked")
}

/// A socket of this protocol, which waits no longer for an answer than [`PATIENCE`].
pub(super) fn connected(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
}
