//! One program for all tests that use the crate from outside, so that it links once.

mod sklearn_parity;
