//! One program for all tests that use the crate from outside, so that it links once.

mod synth; // the traffic generator, seen from the wire: frames, labels, conversations
