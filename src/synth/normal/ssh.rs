//! Shells: a key exchange, a login, then key strokes with their echoes and some output (RFC 4253).

use super::super::conversation::{Call, Conversation, Dialogue, Say};
use super::super::dice::{Dice, MILLI, MINUTE, SECOND, as_float, nanos};
use super::super::network::HostId;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::Texture;
use super::hours::activity;
use crate::time::Timestamp;

/// A client whose user looks after a server.
pub(super) struct Administration {
    client: HostId,
    dice: Dice,
}

impl Administration {
    pub(super) const fn new(client: HostId, dice: Dice) -> Self {
        Self { client, dice }
    }
}

impl Actor for Administration {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let servers = stage.network.servers;
        let server = self.dice.pick(&[servers.ssh, servers.ssh, servers.web, servers.files]);
        let shell = Shell { step: 0, commands_left: self.dice.between(3, 25), strokes_left: 0 };
        let own = self.dice.fork();
        let conversation = Conversation::new(Call::new(self.client, server, 22), shell, own, stage);
        stage.start(now, conversation);
        Next::At(now.plus_nanos(nanos(as_float(self.dice.wait(15 * MINUTE)) / activity(now))))
    }
}

/// One session at the keyboard.
struct Shell {
    step: u8,
    commands_left: u32,
    strokes_left: u32,
}

impl Dialogue for Shell {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step = self.step.saturating_add(1);
        let think = dice.pause(4 * MILLI, 0.6);
        let cipher = |say: Say, length: u32| say.and(length, Texture::Cipher);
        let say = match self.step {
            1 => Say::client(think, "SSH-2.0-OpenSSH_9.6\r\n"),
            2 => Say::server(think, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
            3 => cipher(Say::client(think, [0, 0, 5, 0xdc, 6, 20]), 1_530),
            4 => cipher(Say::server(think, [0, 0, 4, 0x34, 6, 20]), 1_074),
            5 => cipher(Say::client(think, [0, 0, 0, 0x2c, 6, 30]), 42),
            6 => cipher(Say::server(think, [0, 0, 1, 0xf4, 6, 31]), 600),
            7 => cipher(Say::client(think, [0, 0, 0, 0x0c, 10, 21]), 60),
            8 => cipher(Say::server(think, []), 44),
            9 => cipher(Say::client(dice.pause(30 * MILLI, 0.5), []), 500),
            10 => cipher(Say::server(dice.pause(15 * MILLI, 0.5), []), 36),
            11 => cipher(Say::client(think, []), 408),
            12 => cipher(Say::server(dice.pause(50 * MILLI, 0.5), []), 900),
            // A stroke and its echo, until the command is written; then its output, and time to read it.
            13 => {
                let pause = if self.strokes_left == 0 {
                    self.commands_left = self.commands_left.checked_sub(1)?;
                    self.strokes_left = dice.between(3, 28);
                    dice.pause(5 * SECOND, 1.0)
                } else {
                    dice.pause(140 * MILLI, 0.6)
                };
                self.strokes_left -= 1;
                cipher(Say::client(pause, []), 36)
            }
            _ => {
                self.step = 12;
                let output =
                    if self.strokes_left == 0 { dice.size(500, 1.3, 40_000) + 60 } else { 36 };
                cipher(Say::server(think / 4, []), output)
            }
        };
        Some(say)
    }
}
