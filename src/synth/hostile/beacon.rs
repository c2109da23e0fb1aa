//! Calls home: infected clients ask the same place for orders at a steady pace, and mostly there are none.

use super::super::attack::Attack;
use super::super::conversation::{Call, Conversation, Dialogue, Say};
use super::super::dice::{Dice, MILLI, SECOND};
use super::super::network::HostId;
use super::super::normal::Tls;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::Texture;
use crate::time::Timestamp;

const INFECTED: u32 = 2;
/// How far a call strays from its pace.
const JITTER: f64 = 0.02;

pub(super) fn begin(now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let home = stage.network.drop_point(&mut dice);
    for _ in 0..INFECTED {
        let client = stage.network.infected_client();
        let pace = i64::from(dice.between(10, 45)) * SECOND;
        let own = dice.fork();
        stage.start(
            now.plus_nanos(dice.about(pace / 2, 1.0)),
            Beacon { client, home, pace, dice: own },
        );
    }
}

struct Beacon {
    client: HostId,
    home: HostId,
    pace: i64,
    dice: Dice,
}

impl Actor for Beacon {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        if stage.left_for(Attack::Beacon) == 0 || stage.is_closing() {
            return Next::Never;
        }
        let call = Call::new(self.client, self.home, 443).part_of(Attack::Beacon);
        let own = self.dice.fork();
        let tls = Tls::new("cdn.emberworks.example".to_owned(), Orders { step: 0 });
        let conversation = Conversation::new(call, tls, own, stage);
        stage.start(now, conversation);
        Next::At(now.plus_nanos(self.dice.about(self.pace, JITTER)))
    }
}

/// Anything to do? No.
struct Orders {
    step: u8,
}

impl Dialogue for Orders {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step += 1;
        match self.step {
            1 => Some(Say::client(MILLI, []).and(212, Texture::Cipher)),
            2 => Some(Say::server(dice.pause(10 * MILLI, 0.3), []).and(94, Texture::Cipher)),
            _ => None,
        }
    }
}
