//! A plain packet socket, `packet(7)`: frames as they are, one system call each. It shares no code with the capture under test.
#![expect(
    unsafe_code,
    reason = "binding to an interface and joining a fanout group have no safe form"
)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send,
    socket_with, sockopt,
};

/// Bound to one interface.
#[derive(Debug)]
pub(crate) struct LinkSocket(OwnedFd);

/// Longer than any frame of a wire.
const FRAME_BYTES_MAX: usize = 1 << 16;

/// Room for what comes before it is received.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;

/// How long a frame is tried to be sent: a device that has just come up takes a moment.
const PATIENCE: Duration = Duration::from_secs(10);

impl LinkSocket {
    /// The number of a device in the namespace of this thread.
    pub(super) fn index_of(device: &str) -> u32 {
        netdevice::name_to_index(open(), device).expect("the device is there")
    }

    /// Sends on an interface of this thread's namespace; receives nothing.
    pub(super) fn sending_on(interface: u32) -> Self {
        let socket = Self(open());
        socket.bind(interface, 0);
        socket
    }

    /// Receives what comes in through an interface of this thread's namespace.
    pub(super) fn receiving_on(interface: u32) -> Self {
        let socket = Self(open());
        sockopt::set_socket_recv_buffer_size_force(&socket.0, RECEIVE_BUFFER_BYTES)
            .expect("the superuser may");
        socket.bind(interface, libc::ETH_P_ALL);
        socket
    }

    /// One socket for each queue: the kernel gives the frames of queue `i` to the `i`-th (`PACKET_FANOUT_QM`).
    pub(super) fn receiving_by_queue(interface: u32, queues: usize) -> Vec<Self> {
        let group = std::process::id() & 0xffff;
        let sockets: Vec<Self> = (0..queues).map(|_| Self::receiving_on(interface)).collect();
        for socket in &sockets {
            socket.set_option(libc::PACKET_FANOUT, group | libc::PACKET_FANOUT_QM << 16);
        }
        sockets
    }

    /// Sends one frame. Where there was no room for it on its way, it never left, and is sent again.
    pub(super) fn send(&self, frame: &[u8]) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match send(&self.0, frame, SendFlags::empty()) {
                Ok(bytes) => return assert_eq!(bytes, frame.len()),
                Err(Errno::NOBUFS | Errno::INTR) => std::thread::yield_now(),
                Err(error) => panic!("a frame of {} bytes can't be sent: {error}", frame.len()),
            }
        }
        panic!("there was no room on the way for {PATIENCE:?}: is the other end down?");
    }

    /// Sends one frame. Returns whether it left: a device may be gone.
    pub(super) fn try_send(&self, frame: &[u8]) -> bool {
        send(&self.0, frame, SendFlags::empty()).is_ok()
    }

    /// The next frame, if one has come.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; FRAME_BYTES_MAX];
        match recv(&self.0, &mut frame, RecvFlags::DONTWAIT) {
            Ok((bytes, _)) => {
                frame.truncate(bytes);
                Some(frame)
            }
            Err(Errno::AGAIN) => None,
            Err(error) => panic!("nothing can be received: {error}"),
        }
    }

    fn bind(&self, interface: u32, protocol: i32) {
        let protocol = u16::try_from(protocol).expect("an EtherType").to_be();
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).expect("a small number"),
            sll_protocol: protocol,
            sll_ifindex: i32::try_from(interface).expect("the kernel counts interfaces so"),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = u32::try_from(size_of_val(&address)).expect("twenty bytes");
        // SAFETY: the pointer is to an address of that length, which the kernel reads during the call and does not keep.
        let bound = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length) };
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
    }

    fn set_option(&self, name: i32, value: u32) {
        // SAFETY: the pointer is to four bytes, which the kernel reads during the call and does not keep.
        let set = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                name,
                (&raw const value).cast(),
                4,
            )
        };
        assert_eq!(set, 0, "{}", io::Error::last_os_error());
    }
}

/// Protocol 0: it receives nothing before it is bound to an interface, rather than from all of them.
fn open() -> OwnedFd {
    socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .expect("the superuser may")
}
