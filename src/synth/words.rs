//! What hosts, people and pages are called, and bytes that stand for contents.

use super::dice::Dice;

/// How many bytes of each texture are held; contents begin anywhere in them and go round.
pub(super) const POOL_BYTES: u32 = 65_536;

/// What contents without meaning look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texture {
    /// HTML, with the words of ordinary pages, "select", "update", "union" and "--" among them.
    Text,
    /// Encrypted or compressed.
    Cipher,
}

/// Contents, made once.
#[derive(Clone, Debug)]
pub(super) struct Filler {
    text: Vec<u8>,
    cipher: Vec<u8>,
}

impl Filler {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let size = POOL_BYTES as usize;
        let mut cipher = vec![0; size];
        dice.fill(&mut cipher);
        let mut text = Vec::with_capacity(size + 1_024);
        while text.len() < size {
            paragraph(dice, &mut text);
        }
        text.truncate(size);
        Self { text, cipher }
    }

    /// Appends `length` bytes that look like `texture`, from place `at` on.
    pub(super) fn write(&self, texture: Texture, at: u32, length: u32, to: &mut Vec<u8>) {
        let pool = match texture {
            Texture::Text => &self.text,
            Texture::Cipher => &self.cipher,
        };
        let mut at = (at % POOL_BYTES) as usize;
        let mut left = length as usize;
        while left > 0 {
            let rest = pool.get(at..).unwrap_or_default();
            let part = rest.get(..left).unwrap_or(rest);
            to.extend_from_slice(part);
            left -= part.len();
            at = 0;
        }
    }
}

fn paragraph(dice: &mut Dice, to: &mut Vec<u8>) {
    to.extend_from_slice(b"<p class=\"body\">");
    for nth in 0..dice.between(12, 60) {
        if nth > 0 {
            to.push(b' ');
        }
        match dice.below(40) {
            0 => to.extend_from_slice(dice.pick(&PHRASES).as_bytes()),
            1 => {
                to.extend_from_slice(b"<a href=\"");
                to.extend_from_slice(dice.pick(&PATHS).as_bytes());
                to.extend_from_slice(b"\">");
                to.extend_from_slice(dice.pick(&WORDS).as_bytes());
                to.extend_from_slice(b"</a>");
            }
            _ => to.extend_from_slice(dice.pick(&WORDS).as_bytes()),
        }
    }
    to.extend_from_slice(b".</p>\r\n<!-- section -->\r\n");
}

/// The name of the site with this number: each number has its own.
pub(super) fn site_name(number: u16) -> String {
    let (first, second) = (usize::from(number) % FIRST.len(), usize::from(number) / FIRST.len());
    let first = FIRST.get(first).copied().unwrap_or_default();
    let second = SECOND.get(second % SECOND.len()).copied().unwrap_or_default();
    let host = HOSTS.get(usize::from(number) % HOSTS.len()).copied().unwrap_or_default();
    format!("{host}{first}{second}.example")
}

const HOSTS: [&str; 7] = ["www.", "", "static.", "www.", "api.", "news.", "img."];
const FIRST: [&str; 20] = [
    "harbor", "north", "silver", "maple", "river", "copper", "amber", "lumen", "field", "granite",
    "cedar", "polar", "summit", "orchard", "meadow", "falcon", "coral", "ember", "willow",
    "summer",
];
const SECOND: [&str; 15] = [
    "light", "works", "press", "bank", "travel", "market", "school", "garden", "cloud", "radio",
    "health", "maps", "sports", "recipes", "weather",
];

pub(super) const USER_AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
];

/// Pages as they are asked for. Some hold words that a careless rule takes for SQL.
pub(super) const PATHS: [&str; 32] = [
    "/",
    "/index.html",
    "/news/2026/01/city-council-to-select-new-site-for-library",
    "/products/list?category=garden&sort=price&page=2",
    "/blog/how-to-update-your-phone",
    "/union-square/opening-hours",
    "/search?q=western+union+branches+near+me",
    "/search?q=select+committee+report+update",
    "/search?q=drop+shipping+--+is+it+worth+it",
    "/wiki/European_Union",
    "/wiki/Student_union",
    "/account/orders?from=2025-12-01&to=2026-01-05",
    "/cart/update?item=4711&quantity=2",
    "/cart/delete?item=4711",
    "/static/css/main.7f3a2c.css",
    "/static/js/app.51be09.js",
    "/static/img/hero--large.webp",
    "/images/gallery/0142.jpg",
    "/images/gallery/thumb--0143.jpg",
    "/fonts/inter-var.woff2",
    "/api/v2/items?limit=50&fields=id,name,updated_at",
    "/api/v2/session",
    "/forum/viewtopic.php?f=12&t=20931&start=40",
    "/forum/posting.php?mode=reply&f=12&t=20931",
    "/jobs?where=remote&insert_date=week",
    "/weather/hourly?lat=52.52&lon=13.40",
    "/videos/watch?v=u8dRk3&list=select-picks",
    "/docs/getting-started/install.html",
    "/docs/reference/update-from-previous-version.html",
    "/en/contact",
    "/sitemap.xml",
    "/feed.atom",
];

const PHRASES: [&str; 12] = [
    "please select an option from the list",
    "the update was delivered -- on time -- to all",
    "a union of independent shops",
    "drop in any day from ten to six",
    "insert the key and turn it to the left",
    "where and when to find us",
    "delete old entries to make room",
    "create a table for two",
    "or 1 of 3 others",
    "select your size and colour",
    "the European Union said on Monday",
    "read the script before the play begins",
];

pub(super) const WORDS: [&str; 72] = [
    "the", "of", "and", "to", "in", "is", "that", "for", "with", "as", "it", "on", "was", "by",
    "are", "this", "from", "or", "which", "new", "update", "select", "union", "team", "city",
    "report", "garden", "market", "winter", "letter", "morning", "river", "house", "window",
    "paper", "office", "delivery", "table", "order", "group", "house", "value", "value", "course",
    "student", "member", "service", "product", "season", "travel", "music", "history", "science",
    "kitchen", "recipe", "weather", "station", "library", "museum", "street", "bridge", "forest",
    "island", "mountain", "people", "question", "answer", "meeting", "project", "budget", "number",
    "where",
];

pub(super) const PEOPLE: [&str; 16] = [
    "anna", "bruno", "clara", "david", "elena", "felix", "greta", "hugo", "irene", "jonas",
    "katja", "lukas", "maria", "nils", "olga", "paul",
];
