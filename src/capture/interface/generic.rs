//! Questions to a family of the kernel's generic netlink: `ethtool` asks drivers that way, `netdev` tells what XDP can do.
//!
//! A message is a header, a command and attributes; an attribute is its length, its kind and its value, which may be attributes again.
//! Integers are in the machine's byte order (`linux/netlink.h`, `linux/genetlink.h`).

use std::io;

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_GENERIC;

use super::link::{self, odd};

/// The longest answer, bytes: some drivers have many features, each with its name.
const ANSWER_BYTES_MAX: usize = 1 << 16;

/// Bytes of a message before its attributes: `struct nlmsghdr` and `struct genlmsghdr`.
const HEAD_BYTES: usize = 20;

/// The family that knows the others (`GENL_ID_CTRL`), its question (`CTRL_CMD_GETFAMILY`), and what it takes and gives
/// (`CTRL_ATTR_FAMILY_NAME`, `CTRL_ATTR_FAMILY_ID`).
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_NAME: u16 = 2;
const FAMILY_NUMBER: u16 = 1;

/// `NLM_F_REQUEST`, and the kinds of an error and of a value that is attributes (`NLMSG_ERROR`, `NLA_F_NESTED`).
const REQUEST: u16 = 1;
const ERROR: u16 = 2;
const NESTED: u16 = 0x8000;

/// One family, ready to be asked.
pub(super) struct Family {
    socket: Socket,
    number: u16,
}

impl Family {
    /// The family of this name.
    ///
    /// # Errors
    ///
    /// `ENOENT` when the kernel has none.
    pub(super) fn named(name: &str) -> io::Result<Self> {
        let control = Self { socket: link::connected(NETLINK_GENERIC)?, number: CONTROL };
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        let answer = control.ask(GET_FAMILY, &attribute(FAMILY_NAME, &text))?;
        let number = value(&answer, FAMILY_NUMBER).and_then(|number| number.first_chunk());
        let number = u16::from_ne_bytes(*number.ok_or_else(odd)?);
        Ok(Self { number, ..control })
    }

    /// Asks, and gives the attributes of the answer.
    ///
    /// # Errors
    ///
    /// What the kernel says: `EOPNOTSUPP` when the driver does not answer.
    pub(super) fn ask(&self, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
        let length = u32::try_from(HEAD_BYTES + attributes.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(self.number.to_ne_bytes());
        message.extend(REQUEST.to_ne_bytes());
        // Number of the message and sender: one question at a time, and the kernel knows who asks.
        message.extend([0; 8]);
        message.extend([command, 1, 0, 0]);
        message.extend(attributes);
        self.socket.send(&message, 0)?;
        let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
        self.socket.recv(&mut answer, 0)?;
        read(&answer)
    }
}

/// The attributes of an answer, or the error that it is.
fn read(answer: &[u8]) -> io::Result<Vec<u8>> {
    let length = answer.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize);
    let message = length.and_then(|length| answer.get(..length)).ok_or_else(odd)?;
    let kind = message.get(4..).and_then(|rest| rest.first_chunk()).ok_or_else(odd)?;
    if u16::from_ne_bytes(*kind) == ERROR {
        let code = message.get(16..).and_then(|rest| rest.first_chunk()).ok_or_else(odd)?;
        let code = i32::from_ne_bytes(*code);
        return Err(if code == 0 {
            odd()
        } else {
            io::Error::from_raw_os_error(code.wrapping_neg())
        });
    }
    message.get(HEAD_BYTES..).map(<[u8]>::to_vec).ok_or_else(odd)
}

/// An attribute, with the bytes that the next one's alignment asks for.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("questions are short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute that holds attributes.
pub(super) fn nest(kind: u16, attributes: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, attributes)
}

/// The attributes that `bytes` hold, as far as they make sense: kind and value.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [a, b, c, d] = *rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        // One that is shorter than its own head would go round for ever.
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The highest two bits say how the value is written.
        Some((u16::from_ne_bytes([c, d]) & 0x3fff, value))
    })
}

/// The value of the first attribute of a kind.
pub(super) fn value(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(of, _)| *of == kind).map(|(_, value)| value)
}

/// A value that is a number of 32 bits.
pub(super) fn number(bytes: &[u8], kind: u16) -> Option<u32> {
    value(bytes, kind)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_are_written() {
        let mut bytes = attribute(3, b"abc");
        bytes.extend(nest(1, &attribute(7, &9_u32.to_ne_bytes())));
        let read: Vec<(u16, &[u8])> = attributes(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], (3, b"abc".as_slice()));
        assert_eq!(number(read[1].1, 7), Some(9));
        assert_eq!(value(&bytes, 5), None);
    }

    #[test]
    fn lengths_that_make_no_sense_end_the_walk() {
        for bytes in [&[][..], &[3, 0, 1, 0], &[0; 64], &[8, 0, 1, 0, 1], &[255; 9]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
        for answer in
            [&[][..], &[0; 16], &[255; 40], &[20, 0, 0, 0, 2, 0], &[16, 0, 0, 0, 2, 0, 0, 0]]
        {
            assert!(read(answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn the_kernel_says_that_it_has_no_such_family() {
        let refused = Family::named("no-such-family").err().expect("there is none");
        assert_eq!(refused.raw_os_error(), Some(libc::ENOENT));
    }
}
