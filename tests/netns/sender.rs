//! What sends frames into a wire.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::LinkSocket;
use super::wire::End;

/// Sends frames, each exactly once.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: LinkSocket,
    steering: Option<Steering>,
}

impl Sender {
    pub(super) fn new(end: &End) -> Self {
        let socket = end.enter(|| LinkSocket::sending_on(end.index()));
        Self { socket, steering: (end.queues() > 1).then(|| Steering::new(end)) }
    }

    /// Sends the frames; the kernel chooses a queue for each by the hash of its flow.
    pub(crate) fn send(&mut self, frames: &[Vec<u8>]) {
        if let Some(steering) = &mut self.steering {
            steering.direct_to(None);
        }
        self.send_all(frames);
    }

    /// Sends those of the frames that can be: on a device that is taken away meanwhile they come to nothing. Returns how many left.
    pub(crate) fn try_send(&mut self, frames: &[Vec<u8>]) -> usize {
        frames.iter().filter(|frame| self.socket.try_send(frame)).count()
    }

    /// Sends the frames through one queue. Changing the queue takes about 0.1 ms.
    pub(crate) fn send_on(&mut self, queue: usize, frames: &[Vec<u8>]) {
        match &mut self.steering {
            Some(steering) => steering.direct_to(Some(queue)),
            None => assert_eq!(queue, 0, "the wire has one queue"),
        }
        self.send_all(frames);
    }

    fn send_all(&self, frames: &[Vec<u8>]) {
        for frame in frames {
            self.socket.send(frame);
        }
    }
}

/// Chooses the sending queue through XPS: the kernel sends by the queue that a processor is mapped to, so one queue is
/// mapped to all of them and the others to none.
///
/// The switches lie in `/sys`, which shows the devices of the namespace that it was mounted in: a shell that `ip netns exec`
/// gave a `/sys` of its own turns them. Its input closes with the value, which ends it.
#[derive(Debug)]
struct Steering {
    shell: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    folder: String,
    all_processors: String,
    now: Option<usize>,
}

impl Steering {
    fn new(end: &End) -> Self {
        let mut shell = end
            .command("sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let input = shell.stdin.take();
        let output = BufReader::new(shell.stdout.take().expect("it was piped"));
        let folder = format!("/sys/class/net/{}/queues", end.device());
        Self { shell, input, output, folder, all_processors: all_processors(), now: None }
    }

    /// Directs what is sent from now on to one queue, or to none in particular.
    fn direct_to(&mut self, queue: Option<usize>) {
        if queue == self.now {
            return;
        }
        // The new one first: a map that is empty for a moment is torn down and built again, which takes milliseconds.
        if let Some(new) = queue {
            self.map(new, &self.all_processors.clone());
        }
        if let Some(old) = self.now {
            self.map(old, "0");
        }
        self.now = queue;
    }

    /// Maps a queue to a set of processors, and waits until that is done.
    fn map(&mut self, queue: usize, processors: &str) {
        let line =
            format!("echo {processors} > {}/tx-{queue}/xps_cpus && echo done\n", self.folder);
        let input = self.input.as_mut().expect("it closes with the value");
        input.write_all(line.as_bytes()).expect("the shell listens");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("the shell answers");
        assert_eq!(answer, "done\n", "tx-{queue} can't be mapped to processors {processors}");
    }
}

impl Drop for Steering {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.shell.wait());
    }
}

/// Every processor that there may be, as the bit mask that XPS takes: words of 32 bits in hexadecimal, the highest first.
fn all_processors() -> String {
    let range = fs::read_to_string("/sys/devices/system/cpu/possible").expect("Linux tells");
    let last = range.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<u32>().ok());
    let count = last.expect("a list of ranges") + 1;
    let top = match count % 32 {
        0 => u32::MAX,
        bits => (1 << bits) - 1,
    };
    let whole = (count.div_ceil(32) - 1) as usize;
    format!("{top:x}{}", ",ffffffff".repeat(whole))
}
