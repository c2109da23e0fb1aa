//! One program for all tests that use the crate from outside, so that it links once.

mod intel; // feeds on disk in, what is known of an address out
