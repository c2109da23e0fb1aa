//! Data carried out: an infected client uploads megabytes to a place outside, one archive after the other.

use super::super::attack::Attack;
use super::super::conversation::{Call, Conversation, Dialogue, Say};
use super::super::dice::{Dice, MILLI, SECOND};
use super::super::network::HostId;
use super::super::normal::Tls;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::Texture;
use crate::time::Timestamp;

/// What one segment carries, nearly.
const BYTES_PER_PACKET: u64 = 1_400;
/// An archive has this many bytes, unless the plan leaves less for it.
const ARCHIVE_BYTES: std::ops::RangeInclusive<u32> = 1_000_000..=8_000_000;

pub(super) fn begin(now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let client = stage.network.infected_client();
    let place = stage.network.drop_point(&mut dice);
    stage.start(now, Exfiltration { client, place, dice });
}

struct Exfiltration {
    client: HostId,
    place: HostId,
    dice: Dice,
}

impl Actor for Exfiltration {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let left = stage.left_for(Attack::Exfiltration);
        if left == 0 || stage.is_closing() {
            return Next::Never;
        }
        let most = u32::try_from(left * BYTES_PER_PACKET).unwrap_or(u32::MAX);
        let length = self.dice.between(*ARCHIVE_BYTES.start(), *ARCHIVE_BYTES.end()).min(most);
        let call = Call::new(self.client, self.place, 443).part_of(Attack::Exfiltration);
        let own = self.dice.fork();
        let tls = Tls::new("files.northcloud.example".to_owned(), Upload { length, step: 0 });
        let conversation = Conversation::new(call, tls, own, stage);
        stage.start(now, conversation);
        Next::At(now.plus_nanos(self.dice.about(90 * SECOND, 0.5)))
    }
}

struct Upload {
    length: u32,
    step: u8,
}

impl Dialogue for Upload {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.step += 1;
        match self.step {
            1 => Some(Say::client(5 * MILLI, []).and(self.length, Texture::Cipher)),
            2 => Some(Say::server(dice.pause(40 * MILLI, 0.5), []).and(180, Texture::Cipher)),
            _ => None,
        }
    }
}
