//! One program for all tests that use the crate from outside, so that it links once.

mod evaluate; // labels and judged packets in, detection quality out
mod synth; // the traffic generator, seen from the wire: frames, labels, conversations
