//! `GET /api/stream` over real sockets: a small server, clients that read with nothing but a `TcpStream`.

#![cfg(test)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use phantomnet::api::Live;
use phantomnet::api::stream::{
    EventJson, Past, Run, StreamError, StreamFilter, StreamParams, Streams, last_event_id,
};
use phantomnet::collect::{CollectorStats, Hub, HubParams, Notice, NoticeKind};
use phantomnet::event::{Epoch, Event, EventId};
use phantomnet::store::query::{QueryError, StoredEvent};
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, Level};

use crate::running::{event, live};
use crate::support::run_or_say;

// --- the server ------------------------------------------------------------------------------------------------------

/// A store in memory that has got every event but the newest `lag`.
#[derive(Clone, Debug, Default)]
struct Shelf {
    rows: Arc<Mutex<Vec<StoredEvent>>>,
    lag: usize,
}

impl Past for Shelf {
    async fn events_since(
        &self,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, QueryError> {
        // A question takes a while, and the sensor goes on meanwhile.
        tokio::time::sleep(Duration::from_millis(3)).await;
        let rows = self.rows.lock().unwrap();
        let stored = &rows[..rows.len().saturating_sub(self.lag)];
        let behind =
            stored.iter().filter(|row| row.epoch == after.epoch && row.event.number > after.number);
        Ok(behind.take(limit as usize).cloned().collect())
    }

    async fn runs(&self, _sensor: &str) -> Result<Vec<Run>, QueryError> {
        Ok(vec![])
    }
}

/// A server with nothing but the stream.
struct Server {
    address: SocketAddr,
    live: Live,
    shelf: Shelf,
    stop: actix_web::dev::ServerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(hub: HubParams, params: StreamParams, json: EventJson, lag: usize) -> Self {
        let live = Live { events: Hub::new(hub), ..live() };
        let shelf = Shelf { lag, ..Shelf::default() };
        let streams = Streams::new(live.clone(), Some(shelf.clone()), json, params);
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(web::Data::new(streams.clone()))
                        .route("/api/stream", web::get().to(stream))
                })
                .workers(1)
                .disable_signals()
                .shutdown_timeout(5)
                .bind("127.0.0.1:0")
                .unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                tell.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, stop) = told.recv().unwrap();
        Self { address, live, shelf, stop, thread: Some(thread) }
    }

    fn with(params: StreamParams) -> Self {
        Self::start(HubParams::default(), params, plain_json, 0)
    }

    fn publish(&self, number: u64, level: Level) {
        let event = Event { level, ..event(number) };
        let row = StoredEvent { epoch: self.live.epoch, event: event.clone(), label: None };
        self.shelf.rows.lock().unwrap().push(row);
        self.live.events.publish(self.live.epoch, &Arc::new(event));
    }

    fn id(&self, number: u64) -> String {
        EventId { epoch: self.live.epoch, number }.to_string()
    }

    fn connect(&self) -> Client {
        self.ask("/api/stream", None)
    }

    /// Connects and reads the head of the answer.
    fn ask(&self, target: &str, last_event_id: Option<&str>) -> Client {
        Client::connect(self.address, target, last_event_id)
    }

    fn wait_for_subscribers(&self, count: u64) {
        let started = Instant::now();
        while self.live.events.stats().subscribers != count {
            assert!(started.elapsed() < Duration::from_secs(10), "{:?}", self.live.events.stats());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.live.events.close();
        drop(self.stop.stop(true));
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking());
        }
    }
}

async fn stream(request: HttpRequest, streams: web::Data<Streams<Shelf>>) -> HttpResponse {
    let parameter = |name: &str| {
        let pairs = request.query_string().split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let header = request.headers().get("Last-Event-ID").and_then(|value| value.to_str().ok());
    let levels = parameter("verdict")
        .and_then(|name| Level::ALL.into_iter().find(|level| level.name() == name));
    let filter = StreamFilter { levels: levels.into_iter().collect(), min_score: None };
    let answer = last_event_id(header, parameter("last_event_id").as_deref())
        .and_then(|after| streams.open(after, filter));
    answer.unwrap_or_else(|error: StreamError| {
        HttpResponse::build(error.status()).json(serde_json::json!({ "detail": error.to_string() }))
    })
}

fn plain_json(epoch: Epoch, event: &Event, _: &Detection) -> String {
    let id = EventId { epoch, number: event.number }.to_string();
    serde_json::json!({ "id": id, "verdict": event.level.name() }).to_string()
}

fn large_json(epoch: Epoch, event: &Event, _: &Detection) -> String {
    let id = EventId { epoch, number: event.number }.to_string();
    serde_json::json!({ "id": id, "pad": "x".repeat(4_000) }).to_string()
}

// --- the client ------------------------------------------------------------------------------------------------------

/// Reads the stream as the standard says that a browser reads it.
struct Client {
    socket: TcpStream,
    head: String,
    /// Bytes of the body, the chunks' frames taken off.
    body: Vec<u8>,
    /// How many of those were read.
    read: usize,
    /// Bytes not looked at yet.
    raw: Vec<u8>,
    last_event_id: Option<String>,
    ended: bool,
}

/// One block of the stream.
#[derive(Debug, Default, PartialEq)]
struct Block {
    event: String,
    id: Option<String>,
    data: String,
    comment: bool,
}

impl Block {
    fn number(&self) -> u64 {
        self.id.as_ref().unwrap().parse::<EventId>().unwrap().number
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Client {
    fn connect(address: SocketAddr, target: &str, last_event_id: Option<&str>) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let header = last_event_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        write!(
            socket,
            "GET {target} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n{header}\r\n"
        )
        .unwrap();
        let mut client = Self {
            socket,
            head: String::new(),
            body: vec![],
            read: 0,
            raw: vec![],
            last_event_id: last_event_id.map(str::to_owned),
            ended: false,
        };
        loop {
            if let Some(end) = find(&client.raw, b"\r\n\r\n") {
                client.head = String::from_utf8(client.raw.drain(..end + 4).collect()).unwrap();
                return client;
            }
            assert!(client.fill(4_096) > 0, "the head is whole");
        }
    }

    fn status(&self) -> &str {
        &self.head[9..12]
    }

    /// Reads at most `max` bytes from the socket; 0 at the end.
    fn fill(&mut self, max: usize) -> usize {
        let mut buffer = vec![0; max];
        let read = match self.socket.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        self.raw.extend_from_slice(&buffer[..read]);
        read
    }

    /// Takes the frames of whole chunks off (RFC 9112, section 7.1).
    fn unchunk(&mut self) {
        while let Some(end) = find(&self.raw, b"\r\n") {
            let size = std::str::from_utf8(&self.raw[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if self.raw.len() < end + 2 + size + 2 {
                return;
            }
            self.body.extend_from_slice(&self.raw[end + 2..end + 2 + size]);
            self.raw.drain(..end + 2 + size + 2);
            self.ended |= size == 0;
        }
    }

    /// The next block; `None` when the answer has ended.
    fn next(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = find(&self.body[self.read..], b"\n\n") {
                let block = self.read..self.read + end + 2;
                self.read = block.end;
                let text = String::from_utf8(self.body[block].to_vec()).unwrap();
                return Some(self.block(&text));
            }
            self.body.drain(..std::mem::take(&mut self.read));
            self.unchunk();
            if find(&self.body, b"\n\n").is_some() {
                continue;
            }
            if self.ended || self.fill(65_536) == 0 {
                return None;
            }
        }
    }

    fn block(&mut self, text: &str) -> Block {
        let mut block = Block::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => block.comment = true,
                "event" => block.event = value.to_owned(),
                "id" => block.id = Some(value.to_owned()),
                "data" => block.data.push_str(value),
                "retry" => assert!(value.parse::<u64>().is_ok()),
                _ => panic!("{text:?}"),
            }
        }
        if block.id.is_some() {
            self.last_event_id.clone_from(&block.id);
        }
        block
    }

    /// The next block of this kind.
    fn next_of(&mut self, event: &str) -> Block {
        loop {
            let block = self.next().expect("the stream goes on");
            if block.event == event {
                return block;
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

/// Nothing but events, as fast as they come.
fn quiet() -> StreamParams {
    let never = Duration::from_secs(3_600);
    StreamParams {
        stats_every: never,
        heartbeat: never,
        pause: Duration::ZERO,
        ..StreamParams::default()
    }
}

// --- what is promised ------------------------------------------------------------------------------------------------

#[test]
fn events_figures_and_notices_come_as_they_happen() {
    let server = Server::with(StreamParams {
        stats_every: Duration::from_millis(50),
        ..StreamParams::default()
    });
    let mut client = server.connect();
    assert_eq!(client.status(), "200");
    let head = client.head.to_ascii_lowercase();
    for line in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "content-encoding: identity",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} is not in {head}");
    }
    let opening = client.next().unwrap();
    assert_eq!(
        opening.id,
        Some(server.id(0)),
        "so that who leaves before the first event loses nothing"
    );

    server.publish(1, Level::High);
    let verdict = client.next_of("verdict");
    assert_eq!(verdict.id, Some(server.id(1)));
    assert_eq!(verdict.json()["verdict"], "HIGH");

    server.live.events.publish_notice(Notice {
        at: Timestamp::from_secs(0),
        kind: NoticeKind::StoreAway,
        text: "the store is away".into(),
    });
    let notice = client.next_of("notice").json();
    assert_eq!(notice["kind"], "store_away");
    assert_eq!(notice["time"], "1970-01-01T00:00:00.000000000Z");

    server.live.collector.change(|stats: &mut CollectorStats| {
        stats.levels = [1, 2, 3, 4];
        stats.totals.packets = 10;
        stats.packets_per_second = 7;
    });
    client.next_of("stats");
    let stats = client.next_of("stats");
    assert_eq!(stats.id, Some(server.id(1)));
    let expected = serde_json::json!({
        "packetsPerSecond": 7, "packets": 10, "totalEvents": 0, "unaccounted": 0,
        "distribution": { "SAFE": 1, "WARNING": 2, "HIGH": 3, "CRITICAL": 4 },
    });
    assert_eq!(stats.json(), expected);
}

#[test]
fn a_filter_leaves_events_out_and_moves_the_place_to_resume() {
    let server = Server::with(StreamParams {
        stats_every: Duration::from_millis(50),
        ..StreamParams::default()
    });
    let mut client = server.ask("/api/stream?verdict=CRITICAL", None);
    server.wait_for_subscribers(1);
    server.publish(1, Level::Critical);
    (2..=9).for_each(|number| server.publish(number, Level::Safe));
    assert_eq!(client.next_of("verdict").number(), 1);
    while client.next_of("stats").number() != 9 {}
    server.publish(10, Level::Critical);
    assert_eq!(client.next_of("verdict").number(), 10);
}

#[test]
fn who_can_not_be_served_is_told_why() {
    let server = Server::with(quiet());
    server.publish(1, Level::High);
    let ahead = format!("/api/stream?last_event_id={}", server.id(2));
    for target in [ahead.as_str(), "/api/stream?last_event_id=17"] {
        let client = server.ask(target, None);
        assert_eq!(client.status(), "422", "{target}");
    }
    let clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    let mut refused = server.connect();
    assert_eq!(refused.status(), "503");
    while find(&refused.raw, b"}").is_none() {
        refused.fill(1_000);
    }
    let said = String::from_utf8_lossy(&refused.raw).into_owned();
    assert!(said.contains("16 clients watch already"), "{said}");
    drop(clients);
}

#[test]
fn a_client_that_is_gone_gives_its_seat_back() {
    let server = Server::with(StreamParams { heartbeat: Duration::from_millis(100), ..quiet() });
    let mut client = server.connect();
    server.wait_for_subscribers(1);
    client.next();
    assert!(client.next().unwrap().comment, "a sign of life");
    drop(client);
    server.wait_for_subscribers(0);
}

#[test]
fn who_has_seen_events_of_a_later_run_is_told_that_nothing_is_known_of_them() {
    let server = Server::with(quiet());
    server.publish(1, Level::High);
    let later = EventId { epoch: Epoch::new(Timestamp::from_secs(1_900_000_000), 1), number: 7 };
    let mut client = server.ask("/api/stream", Some(&later.to_string()));
    assert_eq!(client.status(), "200", "the clock was set back: a browser can do nothing about it");
    let gap: serde_json::Value = serde_json::from_str(&client.next_of("gap").data).unwrap();
    assert_eq!((&gap["missed"], &gap["reason"]), (&serde_json::Value::Null, &"unknown".into()));
    server.publish(2, Level::High);
    assert_eq!(client.next_of("verdict").number(), 2);
}

#[test]
fn a_stopping_server_does_not_wait_for_its_watchers() {
    let server = Server::with(quiet());
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    server.wait_for_subscribers(4);
    let started = Instant::now();
    drop(server);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    for client in &mut clients {
        while client.next().is_some() {}
        assert!(client.ended, "the answer is whole");
    }
}

#[test]
fn a_client_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    // The hub forgets after 16 events, the store has all but the newest 8 at once: every way to the past is taken.
    let hub = HubParams { events: 16, ..HubParams::default() };
    let server = Server::start(hub, quiet(), plain_json, 8);
    let stop = AtomicU64::new(0);
    let (seen, told) = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                server.publish(number, Level::High);
                thread::sleep(Duration::from_micros(400 * (number % 7)));
                if stop.load(Ordering::Relaxed) == 1 {
                    return;
                }
            }
        });
        let mut last = server.id(0);
        let (mut at, mut seen, mut told) = (0, 0, 0);
        for turn in 0..60_u64 {
            // Once by header, once by parameter, as a browser that comes back or one that comes for the first time.
            let target = format!("/api/stream?last_event_id={last}");
            let mut client = if turn % 2 == 0 {
                server.ask("/api/stream", Some(&last))
            } else {
                server.ask(&target, None)
            };
            assert_eq!(client.status(), "200", "{last}");
            for _ in 0..turn % 11 * 5 {
                let block = client.next().unwrap();
                match block.event.as_str() {
                    "verdict" => {
                        assert_eq!(block.number(), at + 1);
                        at += 1;
                        seen += 1;
                    }
                    "gap" => {
                        let gap = block.json();
                        let missed = gap["missed"].as_u64().expect("of this run all is known");
                        assert!(missed > 0);
                        at += missed;
                        told += missed;
                    }
                    "" => {}
                    event => panic!("{event}"),
                }
            }
            // What was told of as missed is not asked for again.
            last = if at == 0 { last } else { server.id(at) };
            drop(client);
            thread::sleep(Duration::from_millis(turn % 5 * 10));
        }
        stop.store(1, Ordering::Relaxed);
        (seen, told)
    });
    println!("{seen} seen, {told} told of as missed");
    assert!(seen > 300, "{seen} events are too few to prove anything");
}

#[test]
fn a_slow_client_costs_neither_memory_nor_time() {
    // In a process of its own: the other tests of this one use memory too.
    const ALONE: &str = "PHANTOMNET_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return watch_a_slow_client();
    }
    let this = std::env::current_exe().unwrap();
    let name = "stream::a_slow_client_costs_neither_memory_nor_time";
    let mut alone = Command::new(this);
    alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1");
    let said = run_or_say(&mut alone, "the test did not pass on its own");
    println!("{}", String::from_utf8_lossy(&said));
}

fn watch_a_slow_client() {
    const EVENTS: u64 = 5_000;
    let server = Server::start(HubParams::default(), quiet(), large_json, 0);
    let before = resident_bytes();
    // One that reads a byte a second, fifteen that read as fast as they can.
    let mut slow = server.connect();
    let fast: Vec<_> = (0..15).map(|_| server.connect()).collect();
    server.wait_for_subscribers(16);
    let readers: Vec<_> = fast
        .into_iter()
        .map(|mut client| thread::spawn(move || account(&mut client, EVENTS)))
        .collect();
    let mut longest = Duration::ZERO;
    let started = Instant::now();
    let mut next_byte = started;
    for number in 1..=EVENTS {
        let event = Arc::new(event(number));
        let begun = Instant::now();
        server.live.events.publish(server.live.epoch, &event);
        longest = longest.max(begun.elapsed());
        if number % 100 == 0 {
            thread::sleep(Duration::from_millis(10));
        }
        if next_byte.elapsed() > Duration::from_secs(1) {
            slow.fill(1);
            next_byte = Instant::now();
        }
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("{:?} in all, longest {longest:?}, {grown} bytes more", started.elapsed());
    // 20 MB went past the slow client, 300 MB past all.
    assert!(grown < 32 << 20, "{grown} bytes more");
    for reader in readers {
        let (seen, missed) = reader.join().unwrap();
        assert_eq!(seen + missed, EVENTS);
    }
    // Once it reads, it gets the rest, and the exact number of what it lost.
    let (seen, missed) = account(&mut slow, EVENTS);
    assert_eq!(seen + missed, EVENTS);
    assert!(missed > 0, "it was not slow enough");
    println!("the slow one saw {seen} and missed {missed}");
}

/// Reads up to the event `last`: how many were seen, and how many told of as missed.
fn account(client: &mut Client, last: u64) -> (u64, u64) {
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < last {
        let block = client.next().unwrap();
        match block.event.as_str() {
            "verdict" => {
                seen += 1;
                assert_eq!(block.number(), seen + missed);
            }
            "gap" => missed += block.json()["missed"].as_u64().unwrap(),
            _ => {}
        }
    }
    (seen, missed)
}

/// Memory of this program that is resident and its own (proc(5), `RssAnon`).
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}
