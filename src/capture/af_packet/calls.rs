//! The system calls on a packet socket that have no safe form elsewhere.
//!
//! Each takes references and values and is sound whatever they hold: a wrong descriptor or number is an error of the kernel's.
#![expect(
    unsafe_code,
    reason = "the standard library and rustix have no options, addresses and filters of packet sockets"
)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, socklen_t};

/// `setsockopt(2)` at the level `SOL_PACKET`; none of its options holds an address.
pub(super) fn set_option<const N: usize>(
    socket: BorrowedFd<'_>,
    name: c_int,
    value: &[u8; N],
) -> io::Result<()> {
    let length = length_of::<[u8; N]>();
    // SAFETY: the pointer and the length are those of one array, which the kernel reads during the call.
    checked(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, value.as_ptr().cast(), length)
    })
}

/// `getsockopt(2)` at the level `SOL_PACKET`, for an option of `N` bytes. What the kernel leaves out stays 0.
pub(super) fn option<const N: usize>(socket: BorrowedFd<'_>, name: c_int) -> io::Result<[u8; N]> {
    let mut value = [0; N];
    let mut length = length_of::<[u8; N]>();
    // SAFETY: the kernel writes no more than `length` bytes to the array, which has as many, and the new length to `length`;
    // both outlive the call.
    checked(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            name,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    Ok(value)
}

/// Lets a classic BPF program decide which frames come to a socket, and how much of each. Replaces an earlier one at once.
pub(super) fn attach_filter(
    socket: BorrowedFd<'_>,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    let Ok(len) = program.len().try_into() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let length = length_of::<libc::sock_fprog>();
    // SAFETY: the structure holds the pointer and the length of one slice; the kernel copies both during the call, and checks
    // the program.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            length,
        )
    })
}

/// Binds a packet socket to a protocol (`ETH_P_*`) on an interface.
pub(super) fn bind(socket: BorrowedFd<'_>, interface: c_int, protocol: u16) -> io::Result<()> {
    let mut address = no_address();
    address.sll_ifindex = interface;
    address.sll_protocol = protocol.to_be();
    let length = length_of::<libc::sockaddr_ll>();
    // SAFETY: the pointer is to an address of that length, which the kernel reads during the call.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })
}

/// What a packet socket is bound to: `sll_ifindex`, which is -1 once the interface has gone, and `sll_hatype`.
pub(super) fn bound_to(socket: BorrowedFd<'_>) -> io::Result<(c_int, u16)> {
    let mut address = no_address();
    let mut length = length_of::<libc::sockaddr_ll>();
    // SAFETY: the kernel writes no more than `length` bytes to the address, which has as many, and the true length to
    // `length`; both outlive the call. Any bytes make a `sockaddr_ll`.
    checked(unsafe {
        libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length)
    })?;
    Ok((address.sll_ifindex, address.sll_hatype))
}

/// The flags (`IFF_*`) of the interface with this name, in the namespace of the socket.
pub(super) fn interface_flags(socket: BorrowedFd<'_>, name: &[u8]) -> io::Result<c_int> {
    // SAFETY: `ifreq` holds integers, and unions of integers, addresses and pointers, all of which may be zero.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The name has to end in a zero.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name) {
        *place = byte.cast_signed();
    }
    // SAFETY: this request reads the name from the structure and writes the flags into it, and it outlives the call.
    checked(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, ptr::from_mut(&mut request))
    })?;
    // SAFETY: the flags were written just now; and any bytes make an integer.
    Ok(c_int::from(unsafe { request.ifr_ifru.ifru_flags }))
}

fn no_address() -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: FAMILY,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is 17")]
const FAMILY: u16 = libc::AF_PACKET as u16;

/// The length of a value, as system calls take it.
#[expect(clippy::cast_possible_truncation, reason = "it is checked, when the program is built")]
const fn length_of<T>() -> socklen_t {
    const { assert!(size_of::<T>() <= socklen_t::MAX as usize, "too long for a system call") };
    size_of::<T>() as socklen_t
}

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
