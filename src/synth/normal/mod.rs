//! What hosts do every day. One file for each habit; this one says who has which.

mod backup;
mod dns;
mod ftp;
mod hours;
mod mail;
mod neighbours;
mod ntp;
mod ssh;
mod tls;
mod video;
mod web;

pub(super) use dns::{Question, answer, query};
pub(super) use tls::Tls;
pub(super) use web::request;

use super::dice::{Dice, MINUTE, SECOND, as_float, nanos};
use super::stage::Stage;
use crate::time::Timestamp;

/// Gives every host its habits.
///
/// | who | what | how often, by day |
/// |---|---|---|
/// | clients | web pages, three of four over TLS, with the DNS questions before them | a site every minute |
/// | clients | mail: IMAP, and one in some polls a letter sent | every 4 min |
/// | clients | files to and from the file server | every 10 min |
/// | every 6th client | a video call (UDP), a film (TLS) | every 40 min |
/// | every 8th client | a shell on a server (ssh) | every 15 min |
/// | all hosts | NTP, ARP, neighbour discovery | 1 to 17 min |
/// | world outside | pages of the web server; letters to the mail server; an FTP partner | 6 s; 30 s; 5 min |
/// | monitor | pings every server | 20 s |
/// | servers | backup: a little every hour, everything at night | |
pub(super) fn move_in(stage: &mut Stage, start: Timestamp, dice: &mut Dice) {
    let servers = stage.network.servers;
    let clients = stage.network.clients.clone();
    // Everything begins somewhere in its period, so that nothing happens everywhere at once.
    let soon = |dice: &mut Dice, period: i64| start.plus_nanos(dice.about(period / 2, 1.0));
    let when_awake = |dice: &mut Dice, period: i64| {
        let wait = as_float(dice.about(period / 2, 1.0)) / hours::activity(start);
        start.plus_nanos(nanos(wait))
    };
    for (nth, &client) in clients.iter().enumerate() {
        stage.start(when_awake(dice, 30 * SECOND), web::Browsing::new(client, dice.fork()));
        stage.start(soon(dice, 4 * MINUTE), mail::Reading::new(client, dice.fork()));
        stage.start(when_awake(dice, 10 * MINUTE), backup::FileWork::new(client, dice.fork()));
        if nth % 6 == 2 {
            stage.start(when_awake(dice, 20 * MINUTE), video::Watching::new(client, dice.fork()));
        }
        if nth % 8 == 3 {
            stage
                .start(when_awake(dice, 6 * MINUTE), ssh::Administration::new(client, dice.fork()));
        }
    }
    for host in clients.iter().copied().chain(servers.all()) {
        stage.start(soon(dice, 4 * MINUTE), ntp::Clock::new(host, dice.fork()));
        stage.start(soon(dice, MINUTE), neighbours::Neighbours::new(host, dice.fork()));
    }
    for server in servers.all() {
        stage.start(soon(dice, 40 * SECOND), neighbours::Pings::new(server, dice.fork()));
        stage.start(soon(dice, 40 * MINUTE), backup::Backup::new(server, dice.fork()));
    }
    stage.start(when_awake(dice, 10 * SECOND), web::Visitors::new(dice.fork()));
    stage.start(when_awake(dice, MINUTE), mail::Letters::new(dice.fork()));
    stage.start(when_awake(dice, 5 * MINUTE), ftp::Partner::new(dice.fork()));
}
