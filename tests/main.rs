//! One program for all tests that use the crate from outside, so that it links once.

mod capture; // captures of others, and other programs on captures written here
mod decode; // real frames, and another decoder
