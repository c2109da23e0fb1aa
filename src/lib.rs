//! PhantomNet: a network threat sensor.
//!
//! ```text
//!  capture --> decode --> inspect --> hand over --> features --> model --> judge ==ring==> collect
//!  pcap file   headers    rules,      to the core   15 numbers   forest    verdict        summary,
//!              tunnels    intel,      that owns     per packet   score                    EVE, CSV
//!                         decoys      the source
//!  |<---------- a pinned worker: no lock, no allocation, no log, no async ------------>|<- ordinary Rust ->|
//! ```
//!
//! The modules stand in the order in which a packet meets them. Who may import whom is a table in
//! `docs/ARCHITECTURE.md`, held by `tests/architecture.rs`.

// Words that everything uses.
pub mod address;
pub mod time;
pub mod files;
pub mod prefetch;

// The data path. Runs on pinned cores: no lock, no allocation after the first turn, no logging, no clock but the batch's.
pub mod capture;
pub mod decode;
pub mod handover;
pub mod rules;
pub mod intel;
pub mod sources;
pub mod features;
pub mod model;
pub mod verdict;
pub mod counters;
pub mod ring;
pub mod latest;
pub mod owner;
pub mod inspect;
pub mod worker;

// The control side. Ordinary threads.
pub mod event;
pub mod eve;
pub mod logs;
pub mod collect;
pub mod store;
pub mod outputs;
pub mod doctor;
pub mod api;
pub mod config;
pub mod synth;
pub mod evaluate;
pub mod sensor;
pub mod cli;
