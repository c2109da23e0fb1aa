//! TLS as it looks from outside: a handshake of the usual sizes, then encrypted records (RFC 8446).

use super::super::conversation::{Dialogue, Say};
use super::super::dice::{Dice, MILLI};
use super::super::words::Texture;

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const RECORD_HEADER_BYTES: u32 = 5;
/// What a record may carry at most, with its protection (RFC 8446, section 5.2).
const RECORD_BYTES_MAX: u32 = 16_384 + 256;

/// An encrypted conversation that carries `inner`: each thing said inside becomes a record of its length.
pub(in super::super) struct Tls<D> {
    server_name: String,
    inner: D,
    step: u8,
}

impl<D: Dialogue> Tls<D> {
    pub(in super::super) const fn new(server_name: String, inner: D) -> Self {
        Self { server_name, inner, step: 0 }
    }
}

impl<D: Dialogue> Dialogue for Tls<D> {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step = self.step.saturating_add(1);
        match self.step {
            1 => Some(Say::client(MILLI, client_hello(&self.server_name, dice))),
            // Server hello, certificate and its proof.
            2 => {
                let length = dice.between(2_600, 4_300);
                let think = dice.about(2 * MILLI, 0.6);
                Some(Say::server(think, record(HANDSHAKE, length)).and(length, Texture::Cipher))
            }
            3 => Some(Say::client(MILLI, record(APPLICATION_DATA, 69)).and(69, Texture::Cipher)),
            4 => {
                let length = dice.between(200, 520);
                Some(
                    Say::server(MILLI / 2, record(APPLICATION_DATA, length))
                        .and(length, Texture::Cipher),
                )
            }
            _ => {
                let say = self.inner.next(dice)?;
                let inside = u32::try_from(say.head.len()).unwrap_or(0).saturating_add(say.filler);
                let length = inside.saturating_add(17);
                let head = record(APPLICATION_DATA, length.min(RECORD_BYTES_MAX));
                // Further records of a long answer have their headers among what looks random.
                let more = length / RECORD_BYTES_MAX * RECORD_HEADER_BYTES;
                Some(Say::new(say.by, say.after, head).and(length + more, Texture::Cipher))
            }
        }
    }
}

fn record(kind: u8, length: u32) -> Vec<u8> {
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    vec![kind, 3, 3, high, low]
}

/// A client hello of 512 bytes with the server's name in it (RFC 8446, section 4.1.2; RFC 6066, section 3).
fn client_hello(server_name: &str, dice: &mut Dice) -> Vec<u8> {
    const HELLO_BYTES: usize = 512;
    let mut extensions = Vec::with_capacity(HELLO_BYTES);
    let name_bytes = u16::try_from(server_name.len()).unwrap_or_default();
    extensions.extend_from_slice(&[0, 0]);
    extensions.extend_from_slice(&(name_bytes + 5).to_be_bytes());
    extensions.extend_from_slice(&(name_bytes + 3).to_be_bytes());
    extensions.push(0);
    extensions.extend_from_slice(&name_bytes.to_be_bytes());
    extensions.extend_from_slice(server_name.as_bytes());
    // Supported versions: 1.3 and 1.2.
    extensions.extend_from_slice(&[0, 43, 0, 5, 4, 3, 4, 3, 3]);
    // Key share: x25519.
    extensions.extend_from_slice(&[0, 51, 0, 38, 0, 36, 0, 29, 0, 32]);
    let mut key = [0; 32];
    dice.fill(&mut key);
    extensions.extend_from_slice(&key);

    let mut body = vec![3, 3];
    let mut random = [0; 64];
    dice.fill(&mut random);
    let (client_random, session) = random.split_at(32);
    body.extend_from_slice(client_random);
    body.push(32);
    body.extend_from_slice(session);
    body.extend_from_slice(&[0, 8, 0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2f, 1, 0]);
    // Padding (RFC 7685) up to the usual size: record and handshake header take nine bytes.
    let padding = HELLO_BYTES.saturating_sub(9 + body.len() + 2 + extensions.len() + 4);
    extensions.extend_from_slice(&[0, 21]);
    extensions.extend_from_slice(&u16::try_from(padding).unwrap_or_default().to_be_bytes());
    extensions.resize(extensions.len() + padding, 0);
    body.extend_from_slice(&u16::try_from(extensions.len()).unwrap_or_default().to_be_bytes());
    body.extend_from_slice(&extensions);

    let length = u16::try_from(body.len()).unwrap_or_default();
    let mut hello = vec![HANDSHAKE, 3, 1];
    hello.extend_from_slice(&(length + 4).to_be_bytes());
    hello.extend_from_slice(&[1, 0]);
    hello.extend_from_slice(&length.to_be_bytes());
    hello.extend_from_slice(&body);
    hello
}
