//! Any bytes as a capture file: it is refused, or read to an end, and every frame that is counted was given.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use phantomnet::capture::{Batch, FRAME_BYTES_MAX, Fault, FrameSource, Reader, Received};

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let Ok(mut reader) = Reader::open(&[file.path()]) else { return };
    let mut batch = Batch::new();
    let mut given = 0;
    while reader.receive(&mut batch) == Received::Frames {
        assert!(batch.frames().all(|frame| frame.bytes.len() <= FRAME_BYTES_MAX));
        given += batch.len() as u64;
    }
    assert_eq!(reader.frames(), given);
    for fault in reader.faults() {
        assert!(!fault.to_string().contains('\n'), "{fault:?}");
        match fault {
            Fault::Stopped { frames, .. } => assert_eq!(frames, given),
            Fault::UnsupportedLinkType { frames, .. } => assert!(frames <= given),
        }
    }
});
