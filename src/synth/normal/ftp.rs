//! A partner who fetches and brings files by FTP (RFC 959, passive mode).

use super::super::conversation::{Call, Conversation, Dialogue, Say, Side};
use super::super::dice::{Dice, MILLI, MINUTE, SECOND, as_float, nanos};
use super::super::network::HostId;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::Texture;
use super::hours::activity;
use crate::time::Timestamp;

/// The partner's job, which runs every few minutes.
pub(super) struct Partner {
    dice: Dice,
    host: Option<HostId>,
}

impl Partner {
    pub(super) const fn new(dice: Dice) -> Self {
        Self { dice, host: None }
    }
}

impl Actor for Partner {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let dice = &mut self.dice;
        let host = *self.host.get_or_insert_with(|| stage.network.visitor(dice));
        let server = stage.network.servers.ftp;
        let port = dice.port(50_000, 50_999);
        let own = dice.fork();
        let control = Control { step: 0, port };
        let conversation = Conversation::new(Call::new(host, server, 21), control, own, stage);
        stage.start(now, conversation);
        // The file travels over a connection of its own, once the server has named the port.
        let file = File { length: dice.size(60_000, 1.0, 800_000), is_sent: false };
        let own = dice.fork();
        let data = Conversation::new(Call::new(host, server, port), file, own, stage);
        stage.start(now.plus_nanos(2 * SECOND), data);
        Next::At(now.plus_nanos(nanos(as_float(dice.wait(5 * MINUTE)) / activity(now))))
    }
}

struct Control {
    step: u8,
    port: u16,
}

impl Dialogue for Control {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step = self.step.saturating_add(1);
        let think = dice.pause(8 * MILLI, 0.6);
        let say = match self.step {
            1 => Say::server(think, "220 (vsFTPd 3.0.5)\r\n"),
            2 => Say::client(think, "USER partner\r\n"),
            3 => Say::server(think, "331 Please specify the password.\r\n"),
            4 => Say::client(think, "PASS orchard-4471\r\n"),
            5 => Say::server(think, "230 Login successful.\r\n"),
            6 => Say::client(think, "TYPE I\r\n"),
            7 => Say::server(think, "200 Switching to Binary mode.\r\n"),
            8 => Say::client(think, "PASV\r\n"),
            9 => {
                let [high, low] = self.port.to_be_bytes();
                Say::server(
                    think,
                    format!("227 Entering Passive Mode (10,20,0,21,{high},{low}).\r\n"),
                )
            }
            10 => Say::client(think, "RETR orders.csv\r\n"),
            11 => Say::server(think, "150 Opening BINARY mode data connection for orders.csv.\r\n"),
            12 => Say::server(4 * SECOND, "226 Transfer complete.\r\n"),
            13 => Say::client(think, "QUIT\r\n"),
            14 => Say::server(think, "221 Goodbye.\r\n"),
            _ => return None,
        };
        Some(say)
    }
}

struct File {
    length: u32,
    is_sent: bool,
}

impl Dialogue for File {
    fn next(&mut self, _: &mut Dice) -> Option<Say> {
        let is_due = !std::mem::replace(&mut self.is_sent, true);
        is_due.then(|| Say::server(MILLI, "order;item;amount\r\n").and(self.length, Texture::Text))
    }

    fn closer(&self) -> Side {
        Side::Server
    }
}
