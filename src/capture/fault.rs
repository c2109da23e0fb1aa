//! What is wrong with a capture file: before the first frame an error, after it a fault that is told at the end.

use std::io;

use super::link_number::LinkNumber;
use super::{FRAME_BYTES_MAX, link_number};

/// Why a capture cannot be read at all. The operator's fault, or that of whoever made the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or its first bytes cannot be read.
    #[error("{file}: cannot be opened: {error}")]
    Unreachable {
        /// As the operator named it.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// Not one byte.
    #[error("{file}: is empty; a capture begins with a header even when it holds no frame")]
    Empty {
        /// As the operator named it.
        file: String,
    },
    /// The first bytes are those of another kind of file.
    #[error(
        "{file}: not a capture but {found}; pcap and pcapng are read, plain or packed with gzip or zstd"
    )]
    UnknownFormat {
        /// As the operator named it.
        file: String,
        /// What it seems to be.
        found: String,
    },
    /// It begins like a capture, and then its header is not one.
    #[error("{file}: the header of the capture cannot be used: {reason}")]
    BadHeader {
        /// As the operator named it.
        file: String,
        /// What is wrong with it.
        reason: StopReason,
    },
    /// Two captures cannot both come through standard input.
    #[error("-: standard input can be named only once among the captures")]
    StandardInputTwice,
}

/// What was wrong with a file whose frames were read. Printed it is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Reading stopped before the end. The frames before were delivered, the other files went on.
    #[error("{file}: byte {offset}{}: {reason}; frames read before it: {frames}", of_what(*.compressed))]
    Stopped {
        /// As the operator named it.
        file: String,
        /// Where the record begins that could not be read: bytes from the start of the capture, which of a packed file is
        /// the unpacked stream.
        offset: u64,
        /// Whether `offset` counts unpacked bytes.
        compressed: bool,
        /// How many frames the file gave.
        frames: u64,
        /// What is wrong there.
        reason: StopReason,
    },
    /// Frames that were delivered, but whose link type is not decoded.
    #[error(
        "{file}: link type {} is not decoded, and {frames} of its frames count as undecodable; decoded are {}",
        LinkNumber(*.number),
        link_number::DECODED
    )]
    UnsupportedLinkType {
        /// As the operator named it.
        file: String,
        /// The number in the pcap link-layer registry.
        number: u16,
        /// How many frames.
        frames: u64,
    },
}

/// Why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The last record is not whole.
    #[error("the file ends inside a record")]
    Torn,
    /// The system or the decompressor gave up.
    #[error("cannot be read on: {0}")]
    Unreadable(String),
    /// Longer than any frame of a capture.
    #[error(
        "a frame of {0} bytes, where {FRAME_BYTES_MAX} are allowed; the file is damaged here or before"
    )]
    FrameTooLong(u64),
    /// A version of the format that is not known.
    #[error("version {0}.{1} of the format is not known")]
    UnknownVersion(u16, u16),
    /// A pcapng block that says it is impossibly short, or not made of whole words, or too long to be read.
    #[error("a block of {0} bytes cannot be; the file is damaged here or before")]
    BlockLength(u32),
    /// A pcapng block whose two lengths differ.
    #[error(
        "a block gives its length as {0} in front and as {1} behind; the file is damaged here or before"
    )]
    BlockLengthsDiffer(u32, u32),
    /// A pcapng block whose contents make no sense.
    #[error("{0} that cannot be understood; the file is damaged here or before")]
    BadBlock(&'static str),
    /// A frame of an interface that no block described.
    #[error("a frame of interface {0}, which the file does not describe")]
    UnknownInterface(u32),
    /// More interfaces than are kept.
    #[error("more than {0} interfaces in one section")]
    TooManyInterfaces(usize),
}

const fn of_what(compressed: bool) -> &'static str {
    if compressed { " of the unpacked stream" } else { "" }
}
