//! The attacks: when each begins, how much of the plan it takes, and how it is carried out (one file for each idea).

mod beacon;
mod brute_force;
mod dns_tunnel;
mod exfiltration;
mod flood;
mod host_sweep;
mod port_scan;
mod web_attack;

use super::attack::Attack;
use super::dice::Dice;
use super::plan::Plan;
use super::stage::Stage;
use crate::time::Timestamp;

/// What is fixed about an attack before its dice are thrown.
struct Entry {
    attack: Attack,
    /// How far the plan has come when it begins, as a share of the packets.
    begins: f64,
    /// Its part of what all attacks may take.
    weight: f64,
}

/// The catalogue. Slow attacks begin early; two floods never meet.
const CATALOGUE: [Entry; Attack::ALL.len()] = [
    Entry { attack: Attack::Beacon, begins: 0.03, weight: 1.0 },
    Entry { attack: Attack::DnsTunnel, begins: 0.08, weight: 1.5 },
    Entry { attack: Attack::Exfiltration, begins: 0.14, weight: 3.0 },
    Entry { attack: Attack::PortScan, begins: 0.20, weight: 2.0 },
    Entry { attack: Attack::HostSweep, begins: 0.28, weight: 2.0 },
    Entry { attack: Attack::SshBruteForce, begins: 0.34, weight: 2.0 },
    Entry { attack: Attack::FtpBruteForce, begins: 0.42, weight: 1.5 },
    Entry { attack: Attack::SqlInjection, begins: 0.50, weight: 1.0 },
    Entry { attack: Attack::Xss, begins: 0.56, weight: 0.7 },
    Entry { attack: Attack::PathTraversal, begins: 0.62, weight: 0.7 },
    Entry { attack: Attack::UdpFlood, begins: 0.70, weight: 4.0 },
    Entry { attack: Attack::SynFlood, begins: 0.80, weight: 4.0 },
];
/// How far the seed moves a beginning, as a share of the packets.
const BEGIN_SPREAD: f64 = 0.02;
/// So many packets at least, so that a small plan has attacks in it too.
const BUDGET_MIN: u64 = 12;

/// An attack that is going to take place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    pub(super) attack: Attack,
    /// It begins when so many packets have passed.
    pub(super) begins_at: u64,
    /// The most packets that it may send. A conversation under way may overdraw it by its last words.
    pub(super) budget: u64,
}

/// What the plan's attacks are going to be, the first one last.
pub(super) fn intents(plan: &Plan, dice: &mut Dice) -> Vec<Intent> {
    let chosen = CATALOGUE.iter().filter(|entry| plan.attacks.contains(&entry.attack));
    let weights: f64 = chosen.clone().map(|entry| entry.weight).sum();
    let mut intents: Vec<Intent> = chosen
        .map(|entry| {
            let spread = BEGIN_SPREAD * (2.0 * dice.unit() - 1.0);
            let share = plan.attack_share * entry.weight / weights;
            let budget = if plan.attack_share > 0.0 { BUDGET_MIN } else { 0 };
            Intent {
                attack: entry.attack,
                begins_at: part(plan.packets, entry.begins + spread),
                budget: part(plan.packets, share).max(budget),
            }
        })
        .collect();
    intents.sort_by_key(|intent| std::cmp::Reverse(intent.begins_at));
    intents
}

/// Sends the attackers in.
pub(super) fn begin(attack: Attack, now: Timestamp, stage: &mut Stage, dice: Dice) {
    match attack {
        Attack::PortScan => port_scan::begin(now, stage, dice),
        Attack::HostSweep => host_sweep::begin(now, stage, dice),
        Attack::SynFlood | Attack::UdpFlood => flood::begin(attack, now, stage, dice),
        Attack::SshBruteForce | Attack::FtpBruteForce => {
            brute_force::begin(attack, now, stage, dice);
        }
        Attack::SqlInjection | Attack::Xss | Attack::PathTraversal => {
            web_attack::begin(attack, now, stage, dice);
        }
        Attack::DnsTunnel => dns_tunnel::begin(now, stage, dice),
        Attack::Beacon => beacon::begin(now, stage, dice),
        Attack::Exfiltration => exfiltration::begin(now, stage, dice),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count, rounded down; the cast saturates"
)]
fn part(packets: u64, share: f64) -> u64 {
    (packets as f64 * share) as u64
}
