//! Questions that a driver answers through `ioctl` (`SIOCETHTOOL`; the structures are those of `linux/ethtool.h`).
#![expect(unsafe_code, reason = "an ioctl takes the address of a structure")]

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType, socket};

/// The longest name of an interface, with the zero behind it (`IFNAMSIZ`).
const NAME_BYTES: usize = 16;

/// A structure that the kernel reads a command from, its first field, and writes the answer to.
///
/// # Safety
///
/// For each command that values of the type are made with, the kernel writes no more than their size; any bytes make a value.
unsafe trait Question {}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Channels {
    command: u32,
    receive_max: u32,
    transmit_max: u32,
    other_max: u32,
    combined_max: u32,
    receive: u32,
    transmit: u32,
    other: u32,
    combined: u32,
}

// SAFETY: `ETHTOOL_GCHANNELS` writes one `struct ethtool_channels`; its fields are integers.
unsafe impl Question for Channels {}

/// `struct ethtool_drvinfo`: the name of the driver is its second field.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

// SAFETY: `ETHTOOL_GDRVINFO` writes one `struct ethtool_drvinfo` of 196 bytes; its fields are integers and their arrays.
unsafe impl Question for DriverInfo {}

const _: () = assert!(size_of::<DriverInfo>() == 196, "the size of struct ethtool_drvinfo");

/// `struct ethtool_rxnfc`, whose part behind the third field other commands use.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct FlowHash {
    command: u32,
    flow: u32,
    fields: u64,
    rest: [u64; 32],
}

// SAFETY: `ETHTOOL_GRXFH` writes the first three fields, or one whole `struct ethtool_rxnfc`, which is shorter than this; its fields are
// integers and their arrays.
unsafe impl Question for FlowHash {}

/// Room for the table and the key of a card; the largest known have some thousand entries.
const SPREAD_WORDS: usize = 8_192;

/// `struct ethtool_rxfh`, with its table of queues and its key behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Spread {
    command: u32,
    context: u32,
    table_entries: u32,
    key_bytes: u32,
    rest: [u32; 2],
    table_and_key: [u32; SPREAD_WORDS],
}

// SAFETY: `ETHTOOL_GRSSH` writes the first 24 bytes, and behind them as many entries and bytes as it was asked for, or none; only
// `Spread::asking` makes one, and asks for no more than there is room for. The fields are integers and their arrays.
unsafe impl Question for Spread {}

const _: () = assert!(size_of::<Spread>() == 24 + 4 * SPREAD_WORDS, "struct ethtool_rxfh");

impl Spread {
    /// Asks for a table and a key of these sizes; 0 and 0 asks for the sizes. Nothing where there is no room for them.
    fn asking(table_entries: u32, key_bytes: u32) -> Option<Self> {
        let bytes = 4 * u64::from(table_entries) + u64::from(key_bytes);
        let has_room = bytes <= size_of::<[u32; SPREAD_WORDS]>() as u64;
        has_room.then_some(Self {
            command: ETHTOOL_GRSSH,
            context: 0,
            table_entries,
            key_bytes,
            rest: [0; 2],
            table_and_key: [0; SPREAD_WORDS],
        })
    }
}

/// `struct ifreq`, for a command whose argument is an address; the kernel copies 40 bytes.
#[repr(C)]
struct Request<T> {
    name: [u8; NAME_BYTES],
    argument: *mut T,
    rest: [u8; 16],
}

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GRSSH: u32 = 0x46;

/// Asks about an interface; the answer is written over the question.
fn ask<T: Question>(interface: &str, question: &mut T) -> io::Result<()> {
    let mut request = Request { name: [0; NAME_BYTES], argument: question, rest: [0; 16] };
    let room = request.name.get_mut(..interface.len()).filter(|room| room.len() < NAME_BYTES);
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(interface.as_bytes());
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: the request and the structure that it points to live until the call returns, and are those of the command.
    let answered = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if answered == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn channels(interface: &str) -> io::Result<Channels> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    ask(interface, &mut channels)?;
    Ok(channels)
}

/// How many receive queues are in use.
///
/// # Errors
///
/// `EOPNOTSUPP` when the driver does not say.
pub(super) fn receive_queues(interface: &str) -> io::Result<u32> {
    let channels = channels(interface)?;
    Ok(channels.receive.saturating_add(channels.combined))
}

/// How the number of receive queues can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// How many there can be.
    pub most: u32,
    /// Whether the driver counts queues for both directions, rather than those for receiving apart.
    pub combined: bool,
}

/// How the number of receive queues can be set.
///
/// # Errors
///
/// `EOPNOTSUPP` when the driver does not say.
pub fn queue_limits(interface: &str) -> io::Result<QueueLimits> {
    let channels = channels(interface)?;
    let combined = channels.combined_max > 0;
    let most = if combined { channels.combined_max } else { channels.receive_max };
    Ok(QueueLimits { most, combined })
}

/// The name of the driver.
///
/// # Errors
///
/// `EOPNOTSUPP` when there is none that tells.
pub fn driver(interface: &str) -> io::Result<String> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    ask(interface, &mut info)?;
    let name = info.driver.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Packets whose hash a card is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// TCP over IPv4.
    Tcp4 = 1,
    /// UDP over IPv4.
    Udp4 = 2,
    /// TCP over IPv6.
    Tcp6 = 5,
    /// UDP over IPv6.
    Udp6 = 6,
}

/// What of a packet enters the hash by which a card deals it to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFields {
    /// Its addresses, or one of them.
    pub addresses: bool,
    /// Its ports, or one of them.
    pub ports: bool,
}

/// What of the packets of a flow enters the hash.
///
/// # Errors
///
/// `EOPNOTSUPP` when the driver does not say.
pub fn hash_fields(interface: &str, flow: Flow) -> io::Result<HashFields> {
    let mut hash = FlowHash { command: ETHTOOL_GRXFH, flow: flow as u32, fields: 0, rest: [0; 32] };
    ask(interface, &mut hash)?;
    // RXH_IP_SRC, RXH_IP_DST; RXH_L4_B_0_1, RXH_L4_B_2_3.
    Ok(HashFields { addresses: hash.fields & 0x30 != 0, ports: hash.fields & 0xc0 != 0 })
}

/// How a card deals flows to its queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dealing {
    /// The key of the hash; empty when the driver keeps it to itself.
    pub key: Vec<u8>,
    /// The queue for each remainder of the hash; empty when the driver keeps it to itself.
    pub table: Vec<u32>,
}

/// How the card deals flows to its queues.
///
/// # Errors
///
/// `EOPNOTSUPP` when the driver does not say; `EINVAL` when it changed between the two questions.
pub fn dealing(interface: &str) -> io::Result<Dealing> {
    let no_room = || io::Error::from_raw_os_error(libc::E2BIG);
    let mut sizes = Spread::asking(0, 0).ok_or_else(no_room)?;
    ask(interface, &mut sizes)?;
    let Spread { table_entries, key_bytes, .. } = sizes;
    if table_entries == 0 && key_bytes == 0 {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    let mut spread = Spread::asking(table_entries, key_bytes).ok_or_else(no_room)?;
    ask(interface, &mut spread)?;
    let words = spread.table_and_key.iter();
    let table = words.clone().take(table_entries as usize).copied().collect();
    let key = words.skip(table_entries as usize).flat_map(|word| word.to_ne_bytes());
    Ok(Dealing { key: key.take(key_bytes as usize).collect(), table })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_asked_for_than_there_is_room_for() {
        let words = u32::try_from(SPREAD_WORDS).unwrap();
        assert!(Spread::asking(words, 0).is_some() && Spread::asking(0, 4 * words).is_some());
        for (entries, bytes) in [(words, 1), (0, 4 * words + 1), (u32::MAX, u32::MAX)] {
            assert!(Spread::asking(entries, bytes).is_none(), "{entries} and {bytes}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        for name in ["0123456789abcdef", "0123456789abcdefg"] {
            assert_eq!(driver(name).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(driver("0123456789abcde").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn the_loopback_has_nothing_to_deal() {
        let refused = dealing("lo").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}
