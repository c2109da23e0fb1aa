//! Mail: letters between servers (SMTP, RFC 5321), people who read theirs (IMAP, RFC 9051), mostly over TLS.

use super::super::conversation::{Call, Conversation, Dialogue, Say};
use super::super::dice::{Dice, MILLI, MINUTE, SECOND, as_float, nanos};
use super::super::network::HostId;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::{PEOPLE, Texture, WORDS};
use super::hours::activity;
use super::tls::Tls;
use crate::time::Timestamp;

/// A client that looks for new letters every few minutes, and sends one now and then.
pub(super) struct Reading {
    client: HostId,
    dice: Dice,
}

impl Reading {
    pub(super) const fn new(client: HostId, dice: Dice) -> Self {
        Self { client, dice }
    }
}

impl Actor for Reading {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let mail = stage.network.servers.mail;
        let own = self.dice.fork();
        let poll = Imap::new(&mut self.dice);
        if self.dice.chance(0.8) {
            let tls = Tls::new("mail.office.example".to_owned(), poll);
            let conversation =
                Conversation::new(Call::new(self.client, mail, 993), tls, own, stage);
            stage.start(now, conversation);
        } else {
            let conversation =
                Conversation::new(Call::new(self.client, mail, 143), poll, own, stage);
            stage.start(now, conversation);
        }
        if self.dice.chance(0.15 * activity(now)) {
            let own = self.dice.fork();
            let call = Call::new(self.client, mail, 587);
            let letter = Smtp::new(&mut self.dice);
            let conversation = Conversation::new(call, letter, own, stage);
            stage.start(now.plus_nanos(3 * SECOND), conversation);
        }
        Next::At(now.plus_nanos(self.dice.about(4 * MINUTE, 0.1)))
    }
}

/// Letters from and to the world outside.
pub(super) struct Letters {
    dice: Dice,
}

impl Letters {
    pub(super) const fn new(dice: Dice) -> Self {
        Self { dice }
    }
}

impl Actor for Letters {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let other = stage.network.far_server(&mut self.dice);
        let mail = stage.network.servers.mail;
        let call = if self.dice.chance(0.6) {
            Call::new(other, mail, 25)
        } else {
            Call::new(mail, other, 25)
        };
        let own = self.dice.fork();
        let letter = Smtp::new(&mut self.dice);
        let conversation = Conversation::new(call, letter, own, stage);
        stage.start(now, conversation);
        Next::At(now.plus_nanos(nanos(as_float(self.dice.wait(30 * SECOND)) / activity(now))))
    }
}

/// One letter handed over.
struct Smtp {
    step: u8,
    from: &'static str,
    to: &'static str,
    letter_bytes: u32,
}

impl Smtp {
    fn new(dice: &mut Dice) -> Self {
        Self {
            step: 0,
            from: dice.pick(&PEOPLE),
            to: dice.pick(&PEOPLE),
            letter_bytes: dice.size(7_000, 1.3, 900_000),
        }
    }
}

impl Dialogue for Smtp {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step = self.step.saturating_add(1);
        let think = dice.pause(6 * MILLI, 0.8);
        let say = match self.step {
            1 => Say::server(think, "220 mail.office.example ESMTP Postfix\r\n"),
            2 => Say::client(think, "EHLO mx.partner.example\r\n"),
            3 => Say::server(
                think,
                "250-mail.office.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n",
            ),
            4 => Say::client(think, format!("MAIL FROM:<{}@partner.example>\r\n", self.from)),
            5 => Say::server(think, "250 2.1.0 Ok\r\n"),
            6 => Say::client(think, format!("RCPT TO:<{}@office.example>\r\n", self.to)),
            7 => Say::server(think, "250 2.1.5 Ok\r\n"),
            8 => Say::client(think, "DATA\r\n"),
            9 => Say::server(think, "354 End data with <CR><LF>.<CR><LF>\r\n"),
            10 => {
                let (one, two) = (dice.pick(&WORDS), dice.pick(&WORDS));
                let head = format!(
                    "From: {}@partner.example\r\nTo: {}@office.example\r\nSubject: {one} -- {two} update\r\n\
                     MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n",
                    self.from, self.to
                );
                Say::client(think, head).and(self.letter_bytes, Texture::Text)
            }
            11 => Say::client(think, "\r\n.\r\n"),
            12 => Say::server(dice.pause(60 * MILLI, 0.8), "250 2.0.0 Ok: queued\r\n"),
            13 => Say::client(think, "QUIT\r\n"),
            14 => Say::server(think, "221 2.0.0 Bye\r\n"),
            _ => return None,
        };
        Some(say)
    }
}

/// One look into a mailbox: some letters fetched, then gone, or waiting in IDLE for a while (RFC 2177).
struct Imap {
    step: u8,
    user: &'static str,
    letters_left: u32,
    idles: bool,
}

impl Imap {
    fn new(dice: &mut Dice) -> Self {
        let letters_left = dice.between(0, 3);
        Self { step: 0, user: dice.pick(&PEOPLE), letters_left, idles: dice.chance(0.3) }
    }
}

impl Dialogue for Imap {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step = self.step.saturating_add(1);
        let think = dice.pause(4 * MILLI, 0.8);
        let say = match self.step {
            1 => Say::server(think, "* OK [CAPABILITY IMAP4rev1 IDLE] Dovecot ready.\r\n"),
            2 => Say::client(think, format!("a1 LOGIN {} \"winter-morning\"\r\n", self.user)),
            3 => Say::server(think, "a1 OK Logged in\r\n"),
            4 => Say::client(think, "a2 SELECT INBOX\r\n"),
            5 => Say::server(
                think,
                "* 172 EXISTS\r\n* OK [UNSEEN 170] First unseen.\r\na2 OK [READ-WRITE] Select completed.\r\n",
            ),
            6 if self.letters_left > 0 => {
                Say::client(think, format!("a3 FETCH {} BODY[]\r\n", 173 - self.letters_left))
            }
            7 => {
                self.letters_left = self.letters_left.saturating_sub(1);
                self.step = 5;
                let length = dice.size(9_000, 1.2, 400_000);
                let head = format!("* 170 FETCH (BODY[] {{{length}}}\r\n");
                Say::server(think, head).and(length, Texture::Text)
            }
            6 if self.idles => {
                self.step = 9;
                Say::client(think, "a4 IDLE\r\n")
            }
            10 => Say::server(think, "+ idling\r\n"),
            11 => Say::client(dice.pause(70 * SECOND, 0.5), "DONE\r\n"),
            12 => Say::server(think, "a4 OK Idle completed.\r\n"),
            6 | 13 => {
                self.step = 13;
                Say::client(think, "a5 LOGOUT\r\n")
            }
            14 => Say::server(think, "* BYE Logging out\r\na5 OK Logout completed.\r\n"),
            _ => return None,
        };
        Some(say)
    }
}
