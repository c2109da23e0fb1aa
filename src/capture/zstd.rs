//! Zstandard (RFC 8878): all frames of a stream, one after the other.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The contents of all frames of a stream.
///
/// The library's own `StreamingDecoder` stops behind the first frame, and after an error it keeps back what it had already
/// decoded. Here the frames follow one another, and a torn stream gives all that stands before the tear.
pub(super) struct ZstdFrames<Source> {
    source: Source,
    decoder: FrameDecoder,
    /// What ended the stream, told once everything before it has been given.
    failed: Option<io::Error>,
}

impl<Source: BufRead> ZstdFrames<Source> {
    pub(super) fn new(source: Source) -> Self {
        Self { source, decoder: FrameDecoder::new(), failed: None }
    }

    /// Gets something to give. False when the stream has ended.
    fn decode_more(&mut self) -> io::Result<bool> {
        if !self.decoder.is_finished() {
            let some_blocks = BlockDecodingStrategy::UptoBlocks(1);
            if let Err(error) = self.decoder.decode_blocks(&mut self.source, some_blocks) {
                let failed = explained(&error);
                if !self.close_torn_frame() {
                    return Err(failed);
                }
                self.failed = Some(failed);
            }
            return Ok(true);
        }
        self.verify_checksum()?;
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.begin_frame()?;
        Ok(true)
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => Ok(()),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let skipped =
                    io::copy(&mut self.source.by_ref().take(u64::from(length)), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
            Err(error) => Err(explained(&error)),
        }
    }

    /// A decoder gives the last window of a frame only when the frame is finished, so a torn one is finished with an empty
    /// last block (and room for a check sum).
    /// Returns whether that worked; what the window still held is lost if not.
    fn close_torn_frame(&mut self) -> bool {
        const EMPTY_LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
        self.decoder
            .decode_blocks(EMPTY_LAST_BLOCK.as_slice(), BlockDecodingStrategy::UptoBlocks(1))
            .is_ok()
    }

    fn verify_checksum(&self) -> io::Result<()> {
        let stated = self.decoder.get_checksum_from_data();
        if self.failed.is_some()
            || stated.is_none()
            || stated == self.decoder.get_calculated_checksum()
        {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the zstd check sum is wrong"))
    }
}

impl<Source: BufRead> Read for ZstdFrames<Source> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 || into.is_empty() {
                return self.decoder.read(into);
            }
            if !self.decode_more()? {
                return Ok(0);
            }
        }
    }
}

/// The library wraps the end of its source in its own errors; a torn file is to be called torn.
fn explained(error: &FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::UnexpectedEof
        {
            return io::ErrorKind::UnexpectedEof.into();
        }
        cause = error.source();
    }
    io::Error::new(io::ErrorKind::InvalidData, format!("corrupt zstd stream: {error}"))
}
