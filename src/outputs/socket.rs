//! Sockets: of this machine or not, as a stream of framed messages or as one datagram for each.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};

use super::destination::{Delivery, Destination};

/// How long a connection may take to be made, or to take what is written.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often what the other side says is read before it is let be.
const HEARD_MAX: usize = 16;

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A socket's path.
    Unix(PathBuf),
    /// `host:port`.
    Network(String),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Network(place) => f.write_str(place),
        }
    }
}

/// A connection over which messages go one behind the other. When it breaks, the message that it broke in goes again, whole, over the
/// next one.
pub(super) struct Stream {
    peer: Peer,
    connection: Option<Box<dyn Connection>>,
}

/// A connected stream.
trait Connection: Write + AsFd + Send {}

impl<T: Write + AsFd + Send> Connection for T {}

impl Stream {
    /// Nothing is connected before there is something to say.
    pub(super) const fn to(peer: Peer) -> Self {
        Self { peer, connection: None }
    }
}

fn connect(peer: &Peer) -> io::Result<Box<dyn Connection>> {
    match peer {
        Peer::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Box::new(stream))
        }
        Peer::Network(place) => {
            let to = |address| TcpStream::connect_timeout(&address, PATIENCE);
            let stream = each_address(place, to)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
    }
}

impl Destination for Stream {
    fn deliver(&mut self, messages: &[Vec<u8>]) -> Delivery {
        // What is written into a connection that the other side has closed vanishes without an error, the first time.
        if self.connection.as_ref().is_some_and(|connection| has_ended(connection.as_ref())) {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => match connect(&self.peer) {
                Ok(connection) => none.insert(connection),
                Err(error) => return Delivery::later(0, format!("{}: {error}", self.peer)),
            },
        };
        for (taken, message) in messages.iter().enumerate() {
            if let Err(error) = connection.write_all(message) {
                self.connection = None;
                return Delivery::later(taken, format!("{}: {error}", self.peer));
            }
        }
        Delivery::all(messages)
    }
}

/// Whether the other side has ended the connection. It has nothing to say otherwise; what it says all the same is thrown away.
fn has_ended(connection: &dyn Connection) -> bool {
    let mut heard = [0; 512];
    for _ in 0..HEARD_MAX {
        match recv(connection, &mut heard, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return true,
            Ok(_) => {}
            Err(error) => return error != rustix::io::Errno::AGAIN,
        }
    }
    false
}

/// A socket that sends each message by itself.
pub(super) struct Datagrams {
    peer: Peer,
    socket: Option<Sender>,
}

enum Sender {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Datagrams {
    /// Nothing is connected before there is something to say.
    pub(super) const fn to(peer: Peer) -> Self {
        Self { peer, socket: None }
    }
}

impl Sender {
    fn connect(peer: &Peer) -> io::Result<Self> {
        match peer {
            Peer::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(socket))
            }
            Peer::Network(place) => each_address(place, |address| {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(socket)
            })
            .map(Self::Udp),
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.send(message),
            Self::Udp(socket) => socket.send(message),
        }
    }
}

impl Destination for Datagrams {
    fn deliver(&mut self, messages: &[Vec<u8>]) -> Delivery {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => match Sender::connect(&self.peer) {
                Ok(socket) => none.insert(socket),
                Err(error) => return Delivery::later(0, format!("{}: {error}", self.peer)),
            },
        };
        for (taken, message) in messages.iter().enumerate() {
            let Err(error) = socket.send(message) else { continue };
            let why = format!("{}: {error}", self.peer);
            if error.raw_os_error() == Some(libc::EMSGSIZE) {
                return Delivery::never(taken, why);
            }
            self.socket = None;
            return Delivery::later(taken, why);
        }
        Delivery::all(messages)
    }
}

/// What the first address of `host:port` gives that gives anything, else what the last said.
fn each_address<T>(
    place: &str,
    connect: impl Fn(std::net::SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in place.to_socket_addrs()? {
        match connect(address) {
            Ok(connected) => return Ok(connected),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    use super::super::destination::Fault;
    use super::*;

    #[test]
    fn a_message_goes_whole_over_the_next_connection_when_the_last_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut stream = Stream::to(Peer::Unix(path.clone()));
        let message = |text: &str| vec![text.as_bytes().to_vec()];
        assert!(matches!(stream.deliver(&message("early\n")).fault, Some(Fault::Later(_))));
        let listener = UnixListener::bind(&path).unwrap();
        let hear = || {
            let (mut heard, mut text) = (listener.accept().unwrap().0, [0; 6]);
            heard.read_exact(&mut text).unwrap();
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert!(stream.deliver(&message("first\n")).fault.is_none());
        // The listener reads and hangs up: the connection looks as if it could be written to.
        assert_eq!(hear(), "first\n");
        assert!(stream.deliver(&message("again\n")).fault.is_none());
        assert_eq!(hear(), "again\n");
    }

    #[test]
    fn what_is_longer_than_a_datagram_can_be_is_refused_for_good_and_the_next_is_sent() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let place = receiver.local_addr().unwrap().to_string();
        let mut datagrams = Datagrams::to(Peer::Network(place));
        let messages = [vec![b'x'; 100_000], b"short".to_vec()];
        let first = datagrams.deliver(&messages);
        assert_eq!(first.taken, 0);
        assert!(matches!(first.fault, Some(Fault::Never(_))), "{first:?}");
        assert!(datagrams.deliver(&messages[1..]).fault.is_none());
        let mut heard = [0; 16];
        assert_eq!(receiver.recv(&mut heard).unwrap(), 5);
    }
}
