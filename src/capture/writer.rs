//! Writes captures: classic pcap with nanoseconds, which every tool reads.

use std::io::{self, Write};

use super::{FRAME_BYTES_MAX, LinkType};
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Writes frames of one link type into a pcap file, in the order in which they are given.
#[derive(Debug)]
pub struct CaptureWriter<W: Write> {
    out: W,
}

impl<W: Write> CaptureWriter<W> {
    /// Begins a file. `out` is written in small pieces, so it should be buffered.
    ///
    /// # Errors
    ///
    /// What `out` says; [`io::ErrorKind::InvalidInput`] for [`LinkType::Unsupported`], which has no number.
    pub fn new(mut out: W, link: LinkType) -> io::Result<Self> {
        const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
        const VERSION: [u16; 2] = [2, 4];
        if link == LinkType::Unsupported {
            return Err(refused("an unsupported link type has no number to be written"));
        }
        let snap_length = u32::try_from(FRAME_BYTES_MAX).expect("FRAME_BYTES_MAX is 2^18");
        out.write_all(&MAGIC_NANOS.to_le_bytes())?;
        out.write_all(&VERSION[0].to_le_bytes())?;
        out.write_all(&VERSION[1].to_le_bytes())?;
        out.write_all(&[0; 8])?; // zone and accuracy: always 0
        out.write_all(&snap_length.to_le_bytes())?;
        out.write_all(&u32::from(link as u16).to_le_bytes())?;
        Ok(Self { out })
    }

    /// Adds a frame. A `wire_length` that is less than the frame is written as the frame's.
    ///
    /// # Errors
    ///
    /// What `out` says; [`io::ErrorKind::InvalidInput`] for a frame longer than [`FRAME_BYTES_MAX`] or a time before 1970
    /// or after 2106, which the format cannot state. Nothing of a refused frame is written.
    pub fn write(&mut self, time: Timestamp, wire_length: u32, frame: &[u8]) -> io::Result<()> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(refused("the frame is longer than a capture may hold"));
        }
        let captured = u32::try_from(frame.len()).expect("FRAME_BYTES_MAX is 2^18");
        let seconds = u32::try_from(time.as_secs())
            .map_err(|_outside| refused("pcap states times from 1970 to 2106 only"))?;
        let nanos = u32::try_from(time.as_nanos().rem_euclid(NANOS_PER_SECOND))
            .expect("less than a second");
        let mut header = [0; 16];
        let fields = [seconds, nanos, captured, wire_length.max(captured)];
        for (place, field) in header.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        self.out.write_all(&header)?;
        self.out.write_all(frame)
    }

    /// Writes out what is buffered and gives the output back.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
