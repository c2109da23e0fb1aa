//! Guessing of passwords: many short conversations, a few guesses in each, all refused.

use super::super::attack::Attack;
use super::super::conversation::{Call, Conversation, Dialogue, Say, Side};
use super::super::dice::{Dice, MILLI, SECOND};
use super::super::network::HostId;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::{PEOPLE, Texture, WORDS};
use crate::time::Timestamp;

const GUESSES_PER_CONVERSATION: u32 = 3;

pub(super) fn begin(attack: Attack, now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let guessers = if attack == Attack::SshBruteForce { 2 } else { 1 };
    for _ in 0..guessers {
        let guesser = stage.network.stranger(&mut dice);
        let pace = dice.about(400 * MILLI, 0.6);
        let own = dice.fork();
        stage.start(
            now.plus_nanos(dice.wait(SECOND)),
            Guessing { attack, guesser, pace, dice: own },
        );
    }
}

struct Guessing {
    attack: Attack,
    guesser: HostId,
    pace: i64,
    dice: Dice,
}

impl Actor for Guessing {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        if stage.left_for(self.attack) == 0 || stage.is_closing() {
            return Next::Never;
        }
        let servers = stage.network.servers;
        let own = self.dice.fork();
        if self.attack == Attack::FtpBruteForce {
            let call = Call::new(self.guesser, servers.ftp, 21).part_of(self.attack);
            let guesses = FtpGuesses { step: 0, left: GUESSES_PER_CONVERSATION };
            let conversation = Conversation::new(call, guesses, own, stage);
            stage.start(now, conversation);
        } else {
            let call = Call::new(self.guesser, servers.ssh, 22).part_of(self.attack);
            let guesses = SshGuesses { step: 0, left: GUESSES_PER_CONVERSATION };
            let conversation = Conversation::new(call, guesses, own, stage);
            stage.start(now, conversation);
        }
        Next::At(now.plus_nanos(self.dice.about(self.pace, 0.3)))
    }
}

/// A key exchange, then guesses; the server hangs up.
struct SshGuesses {
    step: u8,
    left: u32,
}

impl Dialogue for SshGuesses {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step = self.step.saturating_add(1);
        let think = dice.pause(3 * MILLI, 0.4);
        let cipher = |say: Say, length: u32| say.and(length, Texture::Cipher);
        let say = match self.step {
            1 => Say::client(think, "SSH-2.0-libssh2_1.11.0\r\n"),
            2 => Say::server(think, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
            3 => cipher(Say::client(think, [0, 0, 2, 0x9c, 6, 20]), 666),
            4 => cipher(Say::server(think, [0, 0, 4, 0x34, 6, 20]), 1_074),
            5 => cipher(Say::client(think, [0, 0, 0, 0x2c, 6, 30]), 42),
            6 => cipher(Say::server(think, [0, 0, 1, 0xf4, 6, 31]), 600),
            7 => cipher(Say::client(think, [0, 0, 0, 0x0c, 10, 21]), 60),
            8 => cipher(Say::server(think, []), 44),
            9 => {
                self.left = self.left.checked_sub(1)?;
                let length = dice.between(70, 100);
                cipher(Say::client(think, []), length)
            }
            _ => {
                self.step = 8;
                // A refusal takes its time, so that guessing does too.
                cipher(Say::server(dice.about(300 * MILLI, 0.4), []), 52)
            }
        };
        Some(say)
    }

    fn closer(&self) -> Side {
        Side::Server
    }
}

/// Names and passwords in the open, each refused.
struct FtpGuesses {
    step: u8,
    left: u32,
}

impl Dialogue for FtpGuesses {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step = self.step.saturating_add(1);
        let think = dice.pause(4 * MILLI, 0.4);
        let say = match self.step {
            1 => Say::server(think, "220 (vsFTPd 3.0.5)\r\n"),
            2 => {
                self.left = self.left.checked_sub(1)?;
                let person = dice.pick(&PEOPLE);
                let name = dice.pick(&["admin", "root", "ftp", "backup", person]);
                Say::client(think, format!("USER {name}\r\n"))
            }
            3 => Say::server(think, "331 Please specify the password.\r\n"),
            4 => {
                let (word, number) = (dice.pick(&WORDS), dice.below(1_000));
                Say::client(think, format!("PASS {word}{number}\r\n"))
            }
            _ => {
                self.step = 1;
                Say::server(dice.about(250 * MILLI, 0.5), "530 Login incorrect.\r\n")
            }
        };
        Some(say)
    }

    fn closer(&self) -> Side {
        Side::Server
    }
}
