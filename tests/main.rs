//! One program for all tests that use the crate from outside, so that it links once.

mod architecture; // who imports whom, what the data path does without, how files look
mod capture; // captures of others, and other programs on captures written here
mod decode; // real frames, and another decoder
mod evaluate; // labels and judged packets in, detection quality out
mod features; // each of the 15, against an oracle that looks at every earlier packet again
mod intel; // feeds on disk in, what is known of an address out
mod oracle; // that oracle
mod rules;
mod rust_source; // words and paths of Rust source, for architecture
mod sklearn_parity;
mod synth; // generated captures and their labels, as other programs read them
mod synth; // the traffic generator, seen from the wire: frames, labels, conversations
