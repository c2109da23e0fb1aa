//! What the kernel says of a network interface.

mod ethtool;
mod link;
mod route;

pub use self::link::{Interface, InterfaceError, names};
pub use self::route::has_default_route;
