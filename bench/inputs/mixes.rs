//! The four mixes of traffic that whole turns are measured on.

use phantomnet::capture::{Batch, TURN_FRAMES_MAX};
use phantomnet::synth::{Attack, Generator, Plan};
use phantomnet::time::Timestamp;

use super::frames::{
    ETHERNET_BYTES, Flow, IPV4_BYTES, PUSH_ACK, SYN, TCP_BYTES, UDP_BYTES, push, tcp_frame,
    udp_frame,
};
use super::random::Random;

/// When the first packet of a mix passes: 2026-09-21T14:13:20Z.
const BEGIN: Timestamp = Timestamp::from_secs(1_790_000_000);

/// A million packets a second: what one worker is meant for.
const GAP_NANOS: i64 = 1_000;

/// Turns after which a mix begins again, some seconds later.
const TURNS: usize = 96;
const PACKETS: usize = TURNS * TURN_FRAMES_MAX;

/// The shares of frames of 60, 590 and 1,514 bytes ("simple IMIX"), and the lengths.
const IMIX: [(u32, usize); 3] = [(7, 60), (4, 590), (1, 1_514)];

/// Where the sender's address stands in a frame of Ethernet and IPv4.
const SOURCE_AT: usize = ETHERNET_BYTES + 12;

/// Traffic of one kind, as long as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// UDP frames of 64 bytes from 1,000 sources.
    Small,
    /// Frames of 60, 590 and 1,514 bytes, 7 to 4 to 1, from 20,000 sources: 78 % TCP, a quarter of its data HTTP.
    Imix,
    /// TCP SYN, each from a source of its own.
    Flood,
    /// An office with every attack in it.
    Office,
}

impl Mix {
    pub(crate) const ALL: [Self; 4] = [Self::Small, Self::Imix, Self::Flood, Self::Office];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Imix => "imix",
            Self::Flood => "flood",
            Self::Office => "office",
        }
    }

    /// The traffic from its first packet on.
    pub(crate) fn play(self) -> Playback {
        let mut random = Random::new(7);
        let frames: Vec<(i64, Vec<u8>)> = match self {
            Self::Small => paced((0..PACKETS).map(|_| small(&mut random))),
            Self::Imix => paced((0..PACKETS).map(|_| imix(&mut random))),
            Self::Flood => paced((0..PACKETS).map(|_| syn(&mut random))),
            Self::Office => office(),
        };
        let length = frames.last().map_or(0, |(at, _)| at + GAP_NANOS);
        Playback { frames, length, forged: self == Self::Flood, played: 0 }
    }
}

/// Traffic being played: over and over, with times that go on.
#[derive(Clone, Debug)]
pub(crate) struct Playback {
    /// Nanoseconds since the beginning, and the frame.
    frames: Vec<(i64, Vec<u8>)>,
    /// How long it takes, nanoseconds.
    length: i64,
    /// Whether each packet has a source of its own.
    forged: bool,
    played: usize,
}

impl Playback {
    /// Fills the batch with the turn of this number.
    pub(crate) fn fill(&mut self, batch: &mut Batch, turn: u64) {
        batch.begin(turn, 1 + self.played as u64);
        for _ in 0..TURN_FRAMES_MAX {
            let (round, place) = (self.played / self.frames.len(), self.played % self.frames.len());
            let round = i64::try_from(round).expect("few rounds");
            let Some((at, frame)) = self.frames.get_mut(place) else { return };
            if self.forged {
                forge(frame, self.played);
            }
            push(batch, BEGIN.plus_nanos(round * self.length + *at), frame);
            self.played += 1;
        }
    }

    /// The next turn as a batch of its own.
    pub(crate) fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::new();
        let turn = self.played / TURN_FRAMES_MAX;
        self.fill(&mut batch, turn as u64);
        batch
    }
}

fn paced(frames: impl Iterator<Item = Vec<u8>>) -> Vec<(i64, Vec<u8>)> {
    (0..).map(|nth: i64| nth * GAP_NANOS).zip(frames).collect()
}

fn small(random: &mut Random) -> Vec<u8> {
    let payload = [0x5a; 64 - ETHERNET_BYTES - IPV4_BYTES - UDP_BYTES];
    let flow = Flow { destination_port: 5_000, ..flow(random, 1_000) };
    udp_frame(flow, &payload)
}

fn imix(random: &mut Random) -> Vec<u8> {
    let flow = flow(random, 20_000);
    let bytes = frame_bytes(random);
    if random.below(100) >= 78 {
        let payload = filled(random, bytes - ETHERNET_BYTES - IPV4_BYTES - UDP_BYTES);
        return udp_frame(flow, &payload);
    }
    let room = bytes - ETHERNET_BYTES - IPV4_BYTES - TCP_BYTES;
    let is_http = room > 6 && random.below(4) == 0;
    let payload = if is_http { http(random, room) } else { filled(random, room) };
    let port = if is_http { 80 } else { flow.destination_port };
    tcp_frame(Flow { destination_port: port, ..flow }, PUSH_ACK, &payload)
}

fn syn(random: &mut Random) -> Vec<u8> {
    let victim = Flow { destination: [198, 51, 100, 80], destination_port: 80, ..flow(random, 1) };
    tcp_frame(victim, SYN, &[0; 6])
}

/// Gives the frame a sender that no other packet has, spread over all addresses.
fn forge(frame: &mut [u8], number: usize) {
    let number = u32::try_from(number).expect("fewer packets than addresses");
    // An odd factor names each address once.
    let address = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
    if let Some(place) = frame.get_mut(SOURCE_AT..SOURCE_AT + address.len()) {
        place.copy_from_slice(&address);
    }
}

fn office() -> Vec<(i64, Vec<u8>)> {
    let plan = Plan::new(PACKETS as u64, 7).with_attacks(&Attack::ALL);
    let packets = Generator::new(&plan).expect("the plan is a good one");
    packets.map(|packet| (packet.time.nanos_since(plan.start), packet.frame)).collect()
}

/// From one of so many sources to one of 256 destinations.
fn flow(random: &mut Random, sources: u32) -> Flow {
    let [_, high, middle, low] = random.below(sources).to_be_bytes();
    Flow {
        source: [10, high, middle, low],
        destination: [198, 51, 100, random.byte()],
        source_port: random.port() | 1 << 15,
        destination_port: if random.below(2) == 0 { 443 } else { random.port() },
    }
}

fn frame_bytes(random: &mut Random) -> usize {
    let mut drawn = random.below(IMIX.iter().map(|(share, _)| share).sum());
    for (share, bytes) in IMIX {
        if drawn < share {
            return bytes;
        }
        drawn -= share;
    }
    ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES
}

/// Bytes that look like nothing, as encrypted ones do.
fn filled(random: &mut Random, bytes: usize) -> Vec<u8> {
    let words = std::iter::repeat_with(|| random.next().to_be_bytes());
    words.take(bytes.div_ceil(8)).flatten().take(bytes).collect()
}

/// A request, and form fields up to the end of the segment.
fn http(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut text = format!(
        "POST /shop/item/{}?colour=blue&size={} HTTP/1.1\r\nHost: www.shop.example\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html\r\nCookie: basket={:016x}\r\n\r\n",
        random.below(10_000),
        random.below(50),
        random.next(),
    );
    while text.len() < bytes {
        text.push_str(&format!("field{}=some+words+of+a+form&", random.below(100)));
    }
    text.truncate(bytes);
    text.into_bytes()
}
