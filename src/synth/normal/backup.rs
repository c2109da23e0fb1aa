//! Bulk: files of people by day, copies of servers every hour and in full at night.

use super::super::conversation::{Call, Conversation, Dialogue, Say};
use super::super::dice::{Dice, MILLI, MINUTE, as_float, nanos};
use super::super::network::HostId;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::Texture;
use super::hours::{activity, is_night};
use crate::time::Timestamp;

/// SMB over TCP.
const FILES_PORT: u16 = 445;
/// rsync.
const BACKUP_PORT: u16 = 873;

/// A client whose user works with files on the server.
pub(super) struct FileWork {
    client: HostId,
    dice: Dice,
}

impl FileWork {
    pub(super) const fn new(client: HostId, dice: Dice) -> Self {
        Self { client, dice }
    }
}

impl Actor for FileWork {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let files = stage.network.servers.files;
        let transfer = Transfer {
            files_left: self.dice.between(1, 6),
            median: 60_000,
            uploads: if self.dice.chance(0.5) { 0.8 } else { 0.1 },
            is_asked: false,
            is_upload: false,
        };
        let own = self.dice.fork();
        let call = Call::new(self.client, files, FILES_PORT);
        let conversation = Conversation::new(call, transfer, own, stage);
        stage.start(now, conversation);
        Next::At(now.plus_nanos(nanos(as_float(self.dice.wait(10 * MINUTE)) / activity(now))))
    }
}

/// A server that copies itself to the backup.
pub(super) struct Backup {
    server: HostId,
    dice: Dice,
}

impl Backup {
    pub(super) const fn new(server: HostId, dice: Dice) -> Self {
        Self { server, dice }
    }
}

impl Actor for Backup {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let backup = stage.network.servers.backup;
        if self.server != backup {
            let (files_left, median) = if is_night(now) { (60, 900_000) } else { (8, 150_000) };
            let transfer =
                Transfer { files_left, median, uploads: 1.0, is_asked: false, is_upload: false };
            let own = self.dice.fork();
            let call = Call::new(self.server, backup, BACKUP_PORT);
            let conversation = Conversation::new(call, transfer, own, stage);
            stage.start(now, conversation);
        }
        Next::At(now.plus_nanos(self.dice.about(60 * MINUTE, 0.05)))
    }
}

/// Files brought or fetched one after the other.
struct Transfer {
    files_left: u32,
    median: u32,
    /// The share of files that are brought.
    uploads: f64,
    is_asked: bool,
    is_upload: bool,
}

impl Dialogue for Transfer {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        let length = dice.size(self.median, 1.0, 20_000_000);
        let think = dice.pause(3 * MILLI, 0.8);
        self.is_asked = !self.is_asked;
        if self.is_asked {
            self.files_left = self.files_left.checked_sub(1)?;
            self.is_upload = dice.chance(self.uploads);
            let length = if self.is_upload { length } else { 120 };
            return Some(Say::client(think, b"\0\0\x40\x68\xfeSMB").and(length, Texture::Cipher));
        }
        let length = if self.is_upload { 84 } else { length };
        Some(Say::server(think, b"\0\0\x40\x50\xfeSMB").and(length, Texture::Cipher))
    }
}
