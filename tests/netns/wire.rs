//! Two namespaces and the pair of devices between them.

use std::process::Command;

use super::{LinkSocket, Namespace, Sender};

/// A wire from a sender to a sensor.
#[derive(Debug)]
pub(crate) struct Wire {
    sensor: End,
    sender: End,
}

/// One end of the wire: a device in a namespace.
#[derive(Debug)]
pub(crate) struct End {
    namespace: Namespace,
    device: &'static str,
    index: u32,
    queues: usize,
}

/// What the kernel counts of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceCounters {
    /// Frames received.
    pub(crate) received: u64,
    /// Frames not received for want of room.
    pub(crate) dropped: u64,
    /// Frames sent.
    pub(crate) sent: u64,
}

impl Wire {
    /// A wire with as many receiving and sending queues at each end, for frames of up to 14 + 1,500 bytes.
    ///
    /// As many at both ends: XDP can't be attached natively where the peer has more sending than the device has receiving
    /// queues (`ENOSPC`).
    pub(crate) fn new(queues: usize) -> Self {
        Self::with_mtu(queues, 1_500)
    }

    /// The same, for frames of up to 14 + `mtu` bytes.
    pub(crate) fn with_mtu(queues: usize, mtu: u32) -> Self {
        let (sensor, sender) = (Namespace::new("sensor"), Namespace::new("sender"));
        add_pair(&sensor, &sender, queues);
        Self {
            sensor: End::set_up(sensor, "mirror0", queues, mtu),
            sender: End::set_up(sender, "sender0", queues, mtu),
        }
    }

    /// The same wire once more, after its devices were deleted: devices of the same names, which are other ones.
    pub(crate) fn make_again(&mut self) {
        add_pair(&self.sensor.namespace, &self.sender.namespace, self.sensor.queues);
        self.sensor.bring_up(1_500);
        self.sender.bring_up(1_500);
    }

    /// The same, with the sensor's end still down.
    pub(crate) fn make_again_down(&mut self) {
        add_pair(&self.sensor.namespace, &self.sender.namespace, self.sensor.queues);
        self.sensor.prepare(1_500, "down");
        self.sender.bring_up(1_500);
    }

    /// Where the sensor listens.
    pub(crate) fn sensor(&self) -> &End {
        &self.sensor
    }

    /// Where frames are sent from.
    pub(crate) fn sender_side(&self) -> &End {
        &self.sender
    }

    /// What sends frames to the sensor.
    pub(crate) fn sender(&self) -> Sender {
        self.sender.sender()
    }
}

/// A pair of devices, one in each namespace.
fn add_pair(sensor: &Namespace, sender: &Namespace, queues: usize) {
    let count = queues.to_string();
    let queue_options = ["numrxqueues", &count, "numtxqueues", &count];
    let near = ["link", "add", "name", "mirror0", "netns", sensor.name()];
    let far = ["type", "veth", "peer", "name", "sender0", "netns", sender.name()];
    let add = near.into_iter().chain(queue_options).chain(far).chain(queue_options);
    sensor.ip(add);
}

impl Drop for Wire {
    fn drop(&mut self) {
        // A socket that is still open would keep its namespace, and with it the device, although the name has gone.
        if self.sensor.exists() {
            self.sensor.delete();
        }
    }
}

impl End {
    fn set_up(namespace: Namespace, device: &'static str, queues: usize, mtu: u32) -> Self {
        let mut end = Self { namespace, device, index: 0, queues };
        end.bring_up(mtu);
        end
    }

    fn bring_up(&mut self, mtu: u32) {
        self.prepare(mtu, "up");
    }

    fn prepare(&mut self, mtu: u32, state: &str) {
        let device = self.device;
        let joins_nothing = ["-K", device, "gro", "off", "lro", "off"];
        crate::support::run_well(self.namespace.command("ethtool").args(joins_nothing));
        let mtu = mtu.to_string();
        let quiet = ["arp", "off", "multicast", "off", "mtu", &mtu, state];
        self.namespace.ip(["link", "set", device].into_iter().chain(quiet));
        self.index = self.namespace.enter(|| LinkSocket::index_of(device));
    }

    /// The name of its namespace.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// The name of the device.
    pub(crate) fn device(&self) -> &'static str {
        self.device
    }

    /// The number of the device in its namespace.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// How many receiving queues the device has, and how many sending ones.
    pub(crate) fn queues(&self) -> usize {
        self.queues
    }

    /// Does `work` inside the namespace, on a thread of its own. Sockets made there stay there.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.enter(work)
    }

    /// A program that will run inside the namespace; a child's process id is the program's.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// The sensor itself, to run inside the namespace.
    pub(crate) fn sensor_program(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_phantomnet"))
    }

    /// Pulls the plug or puts it back: the device goes down or up.
    pub(crate) fn set(&self, state: &str) {
        self.namespace.ip(["link", "set", self.device, state]);
    }

    /// Sets the largest payload of frames.
    pub(crate) fn set_mtu(&self, mtu: u32) {
        self.namespace.ip(["link", "set", self.device, "mtu", &mtu.to_string()]);
    }

    /// Takes the device away, and with it the peer's.
    pub(crate) fn delete(&self) {
        self.namespace.ip(["link", "delete", self.device]);
    }

    /// Whether the device is still there.
    pub(crate) fn exists(&self) -> bool {
        self.namespace.ip(["-oneline", "link"]).contains(self.device)
    }

    /// How many want to see frames to all stations.
    pub(crate) fn promiscuity(&self) -> u64 {
        self.shown()[0]["promiscuity"].as_u64().expect("a count")
    }

    /// What the kernel has counted.
    pub(crate) fn counters(&self) -> DeviceCounters {
        let shown = self.shown();
        let count = |way: &str, of: &str| shown[0]["stats64"][way][of].as_u64().expect("a count");
        DeviceCounters {
            received: count("rx", "packets"),
            dropped: count("rx", "dropped"),
            sent: count("tx", "packets"),
        }
    }

    fn shown(&self) -> serde_json::Value {
        let options = ["-details", "-statistics", "-json"];
        let show = ["link", "show", self.device];
        let shown = self.namespace.ip(options.into_iter().chain(show));
        serde_json::from_str(&shown).expect("JSON was asked for")
    }

    /// What sends frames from here to the other end.
    pub(crate) fn sender(&self) -> Sender {
        Sender::new(self)
    }

    /// A plain socket that receives what comes in.
    pub(crate) fn open_socket(&self) -> LinkSocket {
        self.enter(|| LinkSocket::receiving_on(self.index))
    }

    /// One plain socket for each receiving queue.
    pub(crate) fn open_sockets_by_queue(&self) -> Vec<LinkSocket> {
        self.enter(|| LinkSocket::receiving_by_queue(self.index, self.queues))
    }
}
