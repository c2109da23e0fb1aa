//! Stands between a client and a server on 127.0.0.1 and does to their bytes what networks do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Passes bytes on until it is told otherwise. Its threads end with the connections that they serve.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes passed on since the last call of `count_anew`.
    passed: Mutex<[u64; 2]>,
    /// After how many of them, on which way, every connection is cut.
    cut: Mutex<Option<(Way, u64)>>,
    swallow: AtomicBool,
    ended: AtomicBool,
}

impl Proxy {
    /// In front of whatever listens on `server`.
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 can be listened on");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    serve(&shared, &client, &server);
                }
            }
        });
        Self { port, state }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Bytes passed on since the last call, `[to the server, to the client]`; the count begins anew. From now on connections are
    /// cut when `cut` bytes have gone its way: none, not even the last of a packet, goes further.
    pub(crate) fn count_anew(&self, cut: Option<(Way, u64)>) -> [u64; 2] {
        let mut passed = self.state.passed.lock().expect("no thread panics");
        *self.state.cut.lock().expect("no thread panics") = cut;
        std::mem::take(&mut *passed)
    }

    /// From now on bytes vanish, and connections stay open; or no longer.
    pub(crate) fn swallow(&self, swallow: bool) {
        self.state.swallow.store(swallow, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn serve(state: &Arc<State>, client: &TcpStream, server: &TcpStream) {
    let again = |stream: &TcpStream| {
        stream.set_nodelay(true).expect("a socket");
        stream.try_clone().expect("a socket")
    };
    for (way, from, to) in [(Way::ToServer, client, server), (Way::ToClient, server, client)] {
        let (state, from, to) = (Arc::clone(state), again(from), again(to));
        std::thread::spawn(move || pump(&state, way, &from, &to));
    }
}

fn pump(state: &State, way: Way, mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if state.swallow.load(Ordering::Relaxed) {
            continue;
        }
        let (allowed, cut) = allowed(state, way, length);
        if to.write_all(&buffer[..allowed]).is_err() || cut {
            break;
        }
    }
    for stream in [from, to] {
        // The other side may have done so already.
        drop(stream.shutdown(Shutdown::Both));
    }
}

/// How many of `length` bytes may pass, and whether that is the end.
fn allowed(state: &State, way: Way, length: usize) -> (usize, bool) {
    let mut passed = state.passed.lock().expect("no thread panics");
    let cut = *state.cut.lock().expect("no thread panics");
    let passed = &mut passed[way as usize];
    let (allowed, cut) = match cut {
        Some((on, after)) if on == way => {
            let left = usize::try_from(after.saturating_sub(*passed)).unwrap_or(usize::MAX);
            (length.min(left), left <= length)
        }
        _ => (length, false),
    };
    *passed += allowed as u64;
    (allowed, cut)
}
