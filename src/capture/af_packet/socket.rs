//! A packet socket and its options, `packet(7)`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with, sockopt};

use super::{AfPacketError, Fanout, calls};
use crate::capture::LinkType;

/// A packet socket. Its ring and its place in a fanout group end with it.
#[derive(Debug)]
pub(super) struct PacketSocket(OwnedFd);

/// What `PACKET_STATISTICS` gives and resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KernelCounts {
    /// Frames for this socket: those in the ring and those there was no room for.
    pub(super) packets: u32,
    /// Those there was no room for.
    pub(super) drops: u32,
    /// How often the ring became full.
    pub(super) freezes: u32,
}

/// How the interface of a source fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// How it is now.
    pub interface: InterfaceState,
    /// Whether it went down since the last asking, even if it has come up again: frames may be missing, and nobody counted them.
    pub interrupted: bool,
}

/// Whether frames can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceState {
    /// Frames can come.
    Running,
    /// It is on, but there is no link: a cable, or whatever is at its other end.
    NoLink,
    /// It is switched off. The socket goes on when it is switched on again.
    Down,
    /// It was deleted. The socket will never receive again, even from a new one of the same name.
    Gone,
}

/// A group of sockets: what `PACKET_FANOUT` takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group(u16);

impl PacketSocket {
    /// A socket that lets no frame through, so that nothing is counted, until [`PacketSocket::listen`].
    pub(super) fn open_deaf() -> Result<Self, AfPacketError> {
        // Protocol 0: before it is bound, a socket with a protocol would hear every interface.
        let kind = (AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = socket_with(kind.0, kind.1, kind.2, None).map_err(|error| match error {
            Errno::PERM | Errno::ACCESS => AfPacketError::NotPermitted,
            Errno::AFNOSUPPORT => AfPacketError::NotAllowed,
            error => AfPacketError::refused("open a packet socket")(error.into()),
        })?;
        let socket = Self(socket);
        socket.stop_listening()?;
        // The filter would refuse them too; this spares the kernel a copy of each.
        calls::set_option(socket.as_fd(), libc::PACKET_IGNORE_OUTGOING, &1_i32.to_ne_bytes())
            .map_err(AfPacketError::refused("ignore outgoing frames"))?;
        Ok(socket)
    }

    /// Another descriptor of the same socket.
    pub(super) fn another_handle(&self) -> Result<Self, AfPacketError> {
        let copied = self.0.try_clone();
        copied.map(Self).map_err(AfPacketError::refused("give another handle of a socket"))
    }

    /// Binds it to an interface, for all protocols. Returns what the interface's frames begin with.
    pub(super) fn bind(&self, interface: u32) -> Result<LinkType, AfPacketError> {
        let no_interface = AfPacketError::NoInterface { interface };
        let Ok(index @ 1..) = i32::try_from(interface) else { return Err(no_interface) };
        calls::bind(self.as_fd(), index, ALL_PROTOCOLS).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::ENODEV) => no_interface,
                _ => AfPacketError::refused("bind a socket to the interface")(error),
            }
        })?;
        // The kernel binds to an interface that is down, and leaves an error behind.
        if self.take_error() {
            return Err(AfPacketError::Down { interface });
        }
        let (_, hardware) = calls::bound_to(self.as_fd())
            .map_err(AfPacketError::refused("tell what a socket is bound to"))?;
        match hardware {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(LinkType::Ethernet),
            libc::ARPHRD_NONE | ARPHRD_RAWIP => Ok(LinkType::RawIp),
            hardware => Err(AfPacketError::HardwareType { interface, hardware }),
        }
    }

    /// Has the card receive frames to other stations too. The kernel ends that with the socket.
    pub(super) fn see_all_stations(&self, interface: u32) -> Result<(), AfPacketError> {
        // struct packet_mreq: the interface, what to do, the length of an address, an address.
        let [a, b, c, d] = interface.to_ne_bytes();
        let [kind, of] = PROMISCUOUS.to_ne_bytes();
        let request = [a, b, c, d, kind, of, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        calls::set_option(self.as_fd(), libc::PACKET_ADD_MEMBERSHIP, &request)
            .map_err(AfPacketError::refused("make the interface promiscuous"))
    }

    /// Joins a group, or begins a new one, whose number the kernel chooses: no other in this network namespace has it.
    pub(super) fn join(
        &self,
        group: Option<Group>,
        fanout: Fanout,
    ) -> Result<Group, AfPacketError> {
        let kind = match fanout {
            Fanout::Flow => libc::PACKET_FANOUT_HASH,
            Fanout::Queue => libc::PACKET_FANOUT_QM,
        };
        // A group does not ask whether its sockets ignore outgoing frames. Kernels before 6.2 don't know this flag and let them
        // come as far as the filter.
        let kind = kind | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        let asked = match group {
            Some(Group(number)) => kind << 16 | u32::from(number),
            None => (kind | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16,
        };
        calls::set_option(self.as_fd(), libc::PACKET_FANOUT, &asked.to_ne_bytes())
            .map_err(AfPacketError::refused("share the frames among several sockets"))?;
        let joined = calls::option(self.as_fd(), libc::PACKET_FANOUT)
            .map_err(AfPacketError::refused("tell the group of a socket"))?;
        let [low, high, ..] = u32::from_ne_bytes(joined).to_le_bytes();
        Ok(Group(u16::from_le_bytes([low, high])))
    }

    /// Lets through, from now on, what comes in: the first `snap_bytes` of each frame. What goes out stays out.
    pub(super) fn listen(&self, snap_bytes: u32) -> Result<(), AfPacketError> {
        self.filter(&mut [
            instruction(BPF_LD | BPF_W | BPF_ABS, 0, PACKET_TYPE),
            instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, libc::PACKET_OUTGOING.into()),
            instruction(BPF_RET | BPF_K, 0, snap_bytes),
            instruction(BPF_RET | BPF_K, 0, 0),
        ])
    }

    /// Lets nothing through from now on. What is in the ring stays there.
    pub(super) fn stop_listening(&self) -> Result<(), AfPacketError> {
        self.filter(&mut [instruction(BPF_RET | BPF_K, 0, 0)])
    }

    fn filter(&self, program: &mut [libc::sock_filter]) -> Result<(), AfPacketError> {
        calls::attach_filter(self.as_fd(), program)
            .map_err(AfPacketError::refused("set the filter of a socket"))
    }

    /// What was counted since the last asking.
    pub(super) fn take_counts(&self) -> Result<KernelCounts, AfPacketError> {
        let counts: [u8; 12] = calls::option(self.as_fd(), libc::PACKET_STATISTICS)
            .map_err(AfPacketError::refused("tell what a socket has counted"))?;
        let [a, b, c, d, e, f, g, h, i, j, k, l] = counts;
        Ok(KernelCounts {
            packets: u32::from_ne_bytes([a, b, c, d]),
            drops: u32::from_ne_bytes([e, f, g, h]),
            freezes: u32::from_ne_bytes([i, j, k, l]),
        })
    }

    /// How the interface fares.
    pub(super) fn health(&self) -> Result<Health, AfPacketError> {
        // First, so that what happens from here on is told the next time.
        let interrupted = self.take_error();
        let interface =
            self.interface().map_err(AfPacketError::refused("tell how the interface fares"))?;
        Ok(Health { interface, interrupted })
    }

    fn interface(&self) -> io::Result<InterfaceState> {
        let (index, _) = calls::bound_to(self.as_fd())?;
        let Ok(index) = u32::try_from(index) else { return Ok(InterfaceState::Gone) };
        let flags = match netdevice::index_to_name_inlined(self, index) {
            Ok(name) => calls::interface_flags(self.as_fd(), name.as_bytes()),
            Err(error) => Err(error.into()),
        };
        Ok(match flags {
            Ok(flags) if flags & libc::IFF_UP == 0 => InterfaceState::Down,
            Ok(flags) if flags & libc::IFF_RUNNING == 0 => InterfaceState::NoLink,
            Ok(_) => InterfaceState::Running,
            // It went between the questions.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => InterfaceState::Gone,
            Err(error) => return Err(error),
        })
    }

    /// Whether the kernel left an error, which is that the interface went down. Asking takes it away.
    fn take_error(&self) -> bool {
        !matches!(sockopt::socket_error(self), Ok(Ok(())))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Plain IP: mobile broadband, some tunnels. The `libc` crate does not have it.
const ARPHRD_RAWIP: u16 = 519;

#[expect(clippy::cast_possible_truncation, reason = "it is 3")]
const ALL_PROTOCOLS: u16 = libc::ETH_P_ALL as u16;

#[expect(clippy::cast_possible_truncation, reason = "it is 1")]
const PROMISCUOUS: u16 = libc::PACKET_MR_PROMISC as u16;

/// Where a filter finds the type of a packet, `PACKET_OUTGOING` among others: `SKF_AD_OFF + SKF_AD_PKTTYPE`.
#[expect(clippy::cast_sign_loss, reason = "offsets that mean something special are negative")]
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;

/// An instruction of classic BPF; `skip` is how many are skipped where a comparison holds.
#[expect(clippy::cast_possible_truncation, reason = "codes have 16 bits")]
const fn instruction(code: u32, skip: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: skip, jf: 0, k }
}
