//! The web: people who read pages, and visitors of the office's own web server.

use super::super::conversation::{Call, Conversation, Dialogue, Say};
use super::super::dice::{Dice, MILLI, SECOND, as_float, nanos};
use super::super::network::{Family, HostId};
use super::super::stage::{Actor, Next, Stage};
use super::super::words::{PATHS, PEOPLE, Texture, USER_AGENTS, WORDS};
use super::dns::{DnsCache, lookup};
use super::hours::activity;
use super::tls::Tls;
use crate::time::Timestamp;

const TLS_SHARE: f64 = 0.75;

/// A client whose user visits one site after the other.
pub(super) struct Browsing {
    client: HostId,
    agent: &'static str,
    known: DnsCache,
    dice: Dice,
}

impl Browsing {
    pub(super) fn new(client: HostId, mut dice: Dice) -> Self {
        let agent = dice.pick(&USER_AGENTS);
        Self { client, agent, known: DnsCache::default(), dice }
    }
}

impl Actor for Browsing {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let dice = &mut self.dice;
        let count = u32::try_from(stage.network.sites.len()).unwrap_or(1);
        let number = dice.popular(count);
        if let Some(site) = stage.network.sites.get(number as usize).cloned() {
            let family =
                if site.is_dual_stack && dice.chance(0.5) { Family::V6 } else { Family::V4 };
            let mut start = now;
            if !self.known.knows(number, now, site.keep) {
                let address = stage.network.address(site.host, family);
                start = lookup(stage, dice, now, self.client, (&site.name, address));
            }
            let is_tls = dice.chance(TLS_SHARE);
            let pages = dice.between(1, 4);
            // A browser opens further connections for what the page is made of.
            for nth in 0..dice.between(1, 4) {
                let call =
                    Call::new(self.client, site.host, if is_tls { 443 } else { 80 }).over(family);
                let visit = if nth == 0 {
                    Visit::new(&site.name, self.agent, pages, false)
                } else {
                    Visit::new(&site.name, self.agent, 1, true)
                };
                let own = dice.fork();
                let at = start.plus_nanos(i64::from(nth) * dice.about(120 * MILLI, 0.7));
                if is_tls {
                    let tls = Tls::new(site.name.clone(), visit);
                    let conversation = Conversation::new(call, tls, own, stage);
                    stage.start(at, conversation);
                } else {
                    let conversation = Conversation::new(call, visit, own, stage);
                    stage.start(at, conversation);
                }
            }
        }
        let pause = self.dice.pause(50 * SECOND, 0.8);
        Next::At(now.plus_nanos(nanos(as_float(pause) / activity(now))))
    }
}

/// People outside who look at the office's web server, search in it and log in.
pub(super) struct Visitors {
    dice: Dice,
}

impl Visitors {
    pub(super) const fn new(dice: Dice) -> Self {
        Self { dice }
    }
}

impl Actor for Visitors {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let dice = &mut self.dice;
        let visitor = stage.network.visitor(dice);
        let web = stage.network.servers.web;
        let pages = dice.between(1, 5);
        let visit = Visit::new("www.office.example", dice.pick(&USER_AGENTS), pages, false);
        let own = dice.fork();
        if dice.chance(0.4) {
            let call = Call::new(visitor, web, 443);
            let tls = Tls::new("www.office.example".to_owned(), visit);
            let conversation = Conversation::new(call, tls, own, stage);
            stage.start(now, conversation);
        } else {
            let conversation = Conversation::new(Call::new(visitor, web, 80), visit, own, stage);
            stage.start(now, conversation);
        }
        Next::At(now.plus_nanos(nanos(as_float(self.dice.wait(6 * SECOND)) / activity(now))))
    }
}

/// A visit to a site over one connection that is kept: requests in bursts, pages apart by the time to read them.
pub(super) struct Visit {
    host: String,
    agent: &'static str,
    pages_left: u32,
    requests_left: u32,
    /// Whether the connection was opened for what a page is made of, not for the page.
    only_parts: bool,
    has_begun: bool,
    is_answered: bool,
    is_page: bool,
}

impl Visit {
    pub(super) fn new(host: &str, agent: &'static str, pages: u32, only_parts: bool) -> Self {
        Self {
            host: host.to_owned(),
            agent,
            pages_left: pages,
            requests_left: 0,
            only_parts,
            has_begun: false,
            is_answered: true,
            is_page: false,
        }
    }

    fn answer(&self, dice: &mut Dice) -> Say {
        let (median, limit, kind, texture) = if self.is_page {
            (14_000, 200_000, "text/html; charset=utf-8", Texture::Text)
        } else {
            (
                9_000,
                600_000,
                dice.pick(&["image/webp", "text/css", "application/json"]),
                Texture::Cipher,
            )
        };
        let think = dice.pause(if self.is_page { 30 * MILLI } else { 6 * MILLI }, 0.7);
        if !self.is_page && dice.chance(0.15) {
            return Say::server(
                think,
                "HTTP/1.1 304 Not Modified\r\nServer: nginx\r\nConnection: keep-alive\r\n\r\n",
            );
        }
        let length = dice.size(median, 1.1, limit);
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: keep-alive\r\nCache-Control: max-age={}\r\n\r\n",
            dice.pick(&[0, 60, 3_600, 86_400])
        );
        Say::server(think, head).and(length, texture)
    }
}

impl Dialogue for Visit {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        if !self.is_answered {
            self.is_answered = true;
            return Some(self.answer(dice));
        }
        let mut pause = dice.pause(8 * MILLI, 1.0);
        self.is_page = self.requests_left == 0;
        if self.is_page {
            if self.pages_left == 0 {
                return None;
            }
            if self.has_begun {
                pause = dice.pause(9 * SECOND, 0.8);
            }
            self.has_begun = true;
            self.pages_left -= 1;
            self.requests_left = dice.between(2, 7);
        }
        self.requests_left -= 1;
        self.is_answered = false;
        self.is_page &= !self.only_parts;
        Some(Say::client(pause, page_request(&self.host, self.agent, self.is_page, dice)))
    }
}

fn page_request(host: &str, agent: &str, is_page: bool, dice: &mut Dice) -> String {
    let extra =
        format!("Referer: http://{host}/\r\nCookie: sid={:016x}; theme=light\r\n", dice.bits());
    if is_page && dice.chance(0.06) {
        let form = format!(
            "user={}&comment={}+{}+{}&update=1",
            dice.pick(&PEOPLE),
            dice.pick(&WORDS),
            dice.pick(&WORDS),
            dice.pick(&WORDS)
        );
        return request("POST", "/account/update", host, agent, &extra, &form);
    }
    request("GET", dice.pick(&PATHS), host, agent, &extra, "")
}

/// An HTTP/1.1 request with the headers that browsers send (RFC 9112).
pub(in super::super) fn request(
    method: &str,
    path: &str,
    host: &str,
    agent: &str,
    extra: &str,
    form: &str,
) -> String {
    let length = if form.is_empty() {
        String::new()
    } else {
        format!(
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            form.len()
        )
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\
         Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7\r\n\
         Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n{extra}{length}\r\n{form}"
    )
}
