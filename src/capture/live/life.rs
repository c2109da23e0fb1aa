//! The life of an interface: it goes down, comes up, is deleted and made again while it is captured.

use std::fmt;

use crate::capture::interface::{Interface, InterfaceError};

/// How an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Frames can come.
    Up,
    /// It is switched off, or has no carrier. Sockets go on when that ends.
    Down,
    /// It was deleted. Nothing will come through its sockets any more, not even from a new one of the same name.
    Gone,
    /// Its frames have become longer than the places for them, and other sockets are brought.
    Outgrown,
    /// It is up, and the program that gives frames to the sockets is not attached to it any more.
    Displaced,
}

/// What has happened to an interface since it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Frames can't come any more.
    Lost(LinkState),
    /// Frames can come again; the interface is received on so many queues.
    Back {
        /// How many.
        queues: u32,
    },
    /// Queues were added.
    Queues {
        /// How many there are.
        there_are: u32,
        /// How many of them are received; there is no place for the others.
        received: u32,
    },
    /// The XDP programs of these numbers were taken off the interface, as was asked for, and are not put back.
    Replaced(Vec<u32>),
    /// It can't be received as it is now; it is tried again and again.
    Refused(String),
    /// What was refused is no longer so.
    Accepted,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(LinkState::Gone) => f.write_str("the interface is gone"),
            Self::Back { queues } => write!(f, "frames can come again, on {queues} queues"),
            Self::Lost(LinkState::Outgrown) => {
                f.write_str("the MTU has grown, and the sockets are exchanged for larger ones")
            }
            Self::Lost(LinkState::Displaced) => {
                f.write_str("the sensor's XDP program was taken off the interface")
            }
            Self::Lost(_) => f.write_str("the interface is down"),
            Self::Queues { there_are, received } if there_are == received => {
                write!(f, "there are {there_are} queues now, and all are received")
            }
            Self::Queues { there_are, received } => write!(
                f,
                "there are {there_are} queues now, and the first {received} are received: frames that come on the others are counted as without a socket until the sensor starts again"
            ),
            Self::Replaced(programs) => {
                let ids: Vec<String> = programs.iter().map(|id| format!("id {id}")).collect();
                let ids = ids.join(", ");
                write!(
                    f,
                    "the XDP program that was attached ({ids}) was taken off, and is not put back"
                )
            }
            Self::Accepted => f.write_str("the interface can be received as it is now"),
            Self::Refused(reason) => write!(f, "the interface can't be received: {reason}"),
        }
    }
}

/// The interface as it was last seen.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What was known of it then.
    pub interface: Interface,
    /// Up, down or gone.
    state: LinkState,
    /// Whether what gives frames to the sockets is off the interface.
    is_displaced: bool,
    /// Why it could not be received the last time, said once.
    refused: Option<String>,
}

/// What is to be done about an interface.
#[derive(Clone, Debug)]
pub enum Todo {
    /// Nothing, as nothing is known of it.
    Nothing,
    /// Nothing but to see whether what is attached to it still is.
    Keep(Interface),
    /// Take its sockets away: they are dead.
    Abandon,
    /// Bring sockets for this one.
    Receive(Interface),
    /// It has other queues, or another MTU.
    Adapt(Interface),
}

impl Watched {
    /// An interface that is received.
    #[must_use]
    pub const fn new(interface: Interface) -> Self {
        let state = if interface.is_up { LinkState::Up } else { LinkState::Down };
        Self { interface, state, is_displaced: false, refused: None }
    }

    /// How it was last seen.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        self.state
    }

    /// Looks at the interface of this name. Returns what has happened, if anything has, and what is to be done.
    pub fn look(&mut self) -> (Option<Change>, Todo) {
        match Interface::find(&self.interface.name) {
            Ok(found) => self.seen(Some(found)),
            Err(InterfaceError::Missing { .. }) => self.seen(None),
            // Not knowing is no reason to let go of what is received.
            Err(error @ InterfaceError::Unknown { .. }) => {
                (self.refused(error.to_string()), Todo::Nothing)
            }
        }
    }

    fn seen(&mut self, found: Option<Interface>) -> (Option<Change>, Todo) {
        let Some(found) = found else {
            let change = self.lose(LinkState::Gone);
            return (change, Todo::Abandon);
        };
        if self.state == LinkState::Gone {
            return (None, Todo::Receive(found));
        }
        if found.index != self.interface.index {
            return (self.lose(LinkState::Gone), Todo::Abandon);
        }
        self.interface.is_promiscuous = found.is_promiscuous;
        let adapt = found.queues != self.interface.queues || found.mtu != self.interface.mtu;
        let change = match (self.state, found.is_up) {
            (LinkState::Up, false) => self.lose(LinkState::Down),
            (LinkState::Down, true) => {
                self.state = LinkState::Up;
                Some(if self.is_displaced {
                    Change::Lost(LinkState::Displaced)
                } else {
                    // Whoever hears that it is back is to hear again what is still wrong with it.
                    self.refused = None;
                    Change::Back { queues: found.queues }
                })
            }
            // What was refused, an MTU say, was taken back. One that is to be adapted to is still to be accepted.
            _ if !adapt && !self.is_displaced => self.accepted(),
            _ => None,
        };
        (change, if adapt { Todo::Adapt(found) } else { Todo::Keep(found) })
    }

    fn lose(&mut self, state: LinkState) -> Option<Change> {
        let was = std::mem::replace(&mut self.state, state);
        (was != state).then_some(Change::Lost(state))
    }

    /// What gives frames to the sockets is not attached to it any more. News once, and only where frames would come otherwise.
    pub fn displaced(&mut self) -> Option<Change> {
        let was = std::mem::replace(&mut self.is_displaced, true);
        (!was && self.state == LinkState::Up).then_some(Change::Lost(LinkState::Displaced))
    }

    /// What gives frames to the sockets is attached to it. News where it was not.
    pub fn attached(&mut self) -> Option<Change> {
        if !std::mem::replace(&mut self.is_displaced, false) {
            return None;
        }
        self.refused = None;
        let queues = self.interface.queues;
        (self.state == LinkState::Up).then_some(Change::Back { queues })
    }

    /// Whether the program is not where it was attached.
    #[must_use]
    pub const fn is_displaced(&self) -> bool {
        self.is_displaced
    }

    /// It has to be received anew, with larger places for frames, as if it had been made again.
    pub fn outgrown(&mut self) -> Change {
        self.state = LinkState::Gone;
        self.is_displaced = false;
        Change::Lost(LinkState::Outgrown)
    }

    /// `interface` is received now.
    pub fn received(&mut self, interface: Interface) -> Change {
        let queues = interface.queues;
        *self = Self::new(interface);
        match self.state {
            LinkState::Up => Change::Back { queues },
            // Its sockets are there; frames come when it comes up.
            state => Change::Lost(state),
        }
    }

    /// It is received as it is now. Returns that as news if it was refused before.
    pub fn accepted(&mut self) -> Option<Change> {
        self.refused.take().map(|_| Change::Accepted)
    }

    /// It could not be received. What is said again and again is said once.
    pub fn refused(&mut self, reason: String) -> Option<Change> {
        if self.refused.as_ref() == Some(&reason) {
            return None;
        }
        self.refused = Some(reason.clone());
        Some(Change::Refused(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, is_up: bool, queues: u32) -> Interface {
        Interface {
            name: "eth1".to_owned(),
            index,
            mtu: 1_500,
            is_on: true,
            is_up,
            is_promiscuous: true,
            queues,
            xdp_programs: Vec::new(),
        }
    }

    #[test]
    fn an_interface_that_goes_down_and_comes_up_is_told_once_each() {
        let mut watched = Watched::new(interface(2, true, 1));
        assert!(matches!(watched.seen(Some(interface(2, true, 1))), (None, Todo::Keep(_))));
        let (change, todo) = watched.seen(Some(interface(2, false, 1)));
        assert_eq!(change, Some(Change::Lost(LinkState::Down)));
        assert!(matches!(todo, Todo::Keep(_)), "its sockets go on by themselves");
        assert!(matches!(watched.seen(Some(interface(2, false, 1))), (None, Todo::Keep(_))));
        let (change, _) = watched.seen(Some(interface(2, true, 1)));
        assert_eq!(change, Some(Change::Back { queues: 1 }));
    }

    #[test]
    fn one_that_is_made_again_is_another_one() {
        let mut watched = Watched::new(interface(2, true, 1));
        let (change, todo) = watched.seen(Some(interface(3, true, 1)));
        assert_eq!(change, Some(Change::Lost(LinkState::Gone)), "the old one went unseen");
        assert!(matches!(todo, Todo::Abandon));
        assert!(matches!(watched.seen(Some(interface(3, true, 2))), (None, Todo::Receive(_))));
        assert_eq!(watched.received(interface(3, true, 2)), Change::Back { queues: 2 });
        assert_eq!(watched.received(interface(3, false, 2)), Change::Lost(LinkState::Down));
        let (change, _) = watched.seen(Some(interface(3, true, 2)));
        assert_eq!(change, Some(Change::Back { queues: 2 }), "it is back when it is up");
        assert!(matches!(watched.seen(None), (Some(Change::Lost(LinkState::Gone)), Todo::Abandon)));
        assert!(matches!(watched.seen(None), (None, Todo::Abandon)));
    }

    #[test]
    fn a_program_that_is_taken_off_is_a_gap_until_it_is_attached_again() {
        let mut watched = Watched::new(interface(2, true, 1));
        assert_eq!(watched.attached(), None, "nothing was wrong");
        assert_eq!(watched.displaced(), Some(Change::Lost(LinkState::Displaced)));
        assert_eq!(watched.displaced(), None, "that is said once");
        let why = || "another one is there".to_owned();
        assert!(watched.refused(why()).is_some());
        assert_eq!(watched.seen(Some(interface(2, true, 1))).0, None, "it is still refused");
        assert_eq!(watched.refused(why()), None);
        assert_eq!(watched.attached(), Some(Change::Back { queues: 1 }));
        assert!(watched.refused(why()).is_some(), "what comes again is said again");
    }

    #[test]
    fn a_program_that_is_taken_off_while_the_interface_is_down_is_missed_when_it_comes_up() {
        let mut watched = Watched::new(interface(2, false, 1));
        assert_eq!(watched.displaced(), None, "nothing comes anyway");
        let (change, _) = watched.seen(Some(interface(2, true, 1)));
        assert_eq!(change, Some(Change::Lost(LinkState::Displaced)));
        let (change, _) = watched.seen(Some(interface(2, false, 1)));
        assert_eq!(change, Some(Change::Lost(LinkState::Down)));
        assert_eq!(watched.attached(), None, "nothing comes all the same");
        let (change, _) = watched.seen(Some(interface(2, true, 1)));
        assert_eq!(change, Some(Change::Back { queues: 1 }));
    }

    #[test]
    fn other_queues_are_adapted_to() {
        let mut watched = Watched::new(interface(2, true, 2));
        assert!(matches!(watched.seen(Some(interface(2, true, 4))), (None, Todo::Adapt(_))));
    }

    #[test]
    fn what_is_refused_again_and_again_is_said_once() {
        let mut watched = Watched::new(interface(2, true, 2));
        assert!(watched.refused("busy".to_owned()).is_some());
        assert!(watched.refused("busy".to_owned()).is_none());
        assert!(watched.refused("no memory".to_owned()).is_some());
    }

    #[test]
    fn what_is_still_refused_is_told_again_when_the_interface_is_back() {
        let mut watched = Watched::new(interface(2, true, 2));
        assert!(watched.refused("the MTU is too large".to_owned()).is_some());
        watched.seen(Some(interface(2, false, 4)));
        assert!(watched.refused("the MTU is too large".to_owned()).is_none());
        let (change, todo) = watched.seen(Some(interface(2, true, 4)));
        assert_eq!(change, Some(Change::Back { queues: 4 }));
        assert!(matches!(todo, Todo::Adapt(_)));
        assert!(watched.refused("the MTU is too large".to_owned()).is_some());
    }

    #[test]
    fn what_is_no_longer_refused_is_told_once() {
        let mut watched = Watched::new(interface(2, true, 2));
        assert!(watched.refused("the MTU is too large".to_owned()).is_some());
        let (change, todo) = watched.seen(Some(interface(2, true, 4)));
        assert!(matches!((change, todo), (None, Todo::Adapt(_))), "it may be refused again");
        assert_eq!(watched.seen(Some(interface(2, true, 2))).0, Some(Change::Accepted));
        assert_eq!(watched.seen(Some(interface(2, true, 2))).0, None);
    }
}
