//! What the kernel says of a network interface.

mod card;
mod ethtool;
mod generic;
mod link;
mod route;

pub use self::card::{
    Features, ReceiveRing, XdpFeatures, features, receive_ring, sends_pause_frames, xdp_features,
};
pub use self::ethtool::{
    Dealing, Flow, HashFields, QueueLimits, dealing, driver, hash_fields, queue_limits,
};
pub(crate) use self::link::detach_xdp;
pub use self::link::{Interface, InterfaceError, names};
pub use self::route::has_default_route;
