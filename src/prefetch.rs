//! Asking for memory before it is wanted, so that the misses of a whole turn overlap.
//!
//! Reading ahead does that too, but a read that misses holds up what stands behind it until the processor can keep no more instructions
//! in flight; a prefetch is done as soon as it is asked for. `docs/adr/0016` has the figures.
//!
//! Why `unsafe`: the instruction takes an address. Why it is sound: it is a hint, which changes no value and raises no fault at any
//! address, and the addresses are those of a reference.
#![expect(unsafe_code, reason = "the instruction takes an address")]

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for the first `bytes` bytes of `wanted`, or for all of it where it is smaller. Changes nothing but the cost of what follows.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub fn prefetch<T>(wanted: &T, bytes: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let begin = std::ptr::from_ref(wanted).cast::<i8>();
    let end = bytes.min(size_of::<T>());
    let mut offset = 0;
    while offset < end {
        // SAFETY: a hint; the address lies inside of `wanted`.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.add(offset)) }
        offset += LINE;
    }
}

/// There is no such instruction in stable Rust for this processor; the first use waits.
#[inline]
#[cfg(not(target_arch = "x86_64"))]
pub const fn prefetch<T>(_wanted: &T, _bytes: usize) {}
