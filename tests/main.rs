//! One program for all tests that use the crate from outside, so that it links once.

mod rules; // the default rules on attacks, on honest texts, and on captures of others
