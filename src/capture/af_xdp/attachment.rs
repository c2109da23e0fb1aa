//! What holds the program on an interface: a BPF link (`BPF_LINK_TYPE_XDP`), which goes when this process goes, however it ends.
//!
//! The loading library makes links too, but where the kernel refuses one with `EINVAL` it takes the other attachment, by netlink, which
//! outlives the process; and it does not say which of the two it made. So the two calls are made here.
#![expect(unsafe_code, reason = "bpf(2) takes the address of a structure")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// `BPF_LINK_CREATE` and `BPF_LINK_DETACH` of `enum bpf_cmd`, `BPF_XDP` of `enum bpf_attach_type` (`linux/bpf.h`).
const LINK_CREATE: libc::c_int = 28;
const LINK_DETACH: libc::c_int = 34;
const TO_INTERFACE: u32 = 37;

/// The part of `union bpf_attr` that `BPF_LINK_CREATE` reads; the kernel takes what lies behind for zeros.
#[repr(C)]
struct CreateLink {
    program: u32,
    interface: u32,
    kind: u32,
    flags: u32,
}

/// The part that `BPF_LINK_DETACH` reads.
#[repr(C)]
struct DetachLink {
    link: u32,
}

/// A part of `union bpf_attr`.
///
/// # Safety
///
/// The type is one that the kernel reads for the command it is made for, without bytes that have no value.
unsafe trait Attributes {}

// SAFETY: as `linux/bpf.h` has it; its fields are integers of one size.
unsafe impl Attributes for CreateLink {}

// SAFETY: as above.
unsafe impl Attributes for DetachLink {}

/// A program's place on an interface. Dropped, the program is off the interface when that returns.
#[derive(Debug)]
pub(super) struct Attachment {
    link: OwnedFd,
}

impl Attachment {
    /// Attaches a program to the interface of this number.
    ///
    /// # Errors
    ///
    /// `EBUSY` and `EEXIST` when there is a program already; `EINVAL` and `EOPNOTSUPP` when the driver has no such mode.
    pub(super) fn new(program: BorrowedFd<'_>, interface: u32, flags: u32) -> io::Result<Self> {
        let program = program.as_raw_fd().cast_unsigned();
        let create = CreateLink { program, interface, kind: TO_INTERFACE, flags };
        let descriptor = call(LINK_CREATE, &create)?;
        // SAFETY: the kernel has made it for this call, and nobody else knows it.
        Ok(Self { link: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Closing alone would detach it too, but somewhat later, or never while a child that was just forked holds a copy. One that is
        // detached already, because the interface has gone say, is none the less so.
        let _detached: io::Result<RawFd> =
            call(LINK_DETACH, &DetachLink { link: self.link.as_raw_fd().cast_unsigned() });
    }
}

fn call<A: Attributes>(command: libc::c_int, attributes: &A) -> io::Result<RawFd> {
    // SAFETY: the kernel reads so many bytes at that address during the call, and keeps no address.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>())
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(answer).map_err(io::Error::other)
}
