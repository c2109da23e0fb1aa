//! What a rule asks of the payload: contents, each somewhere in a window of its own.

/// How many contents a rule may have.
pub(super) const CONTENTS_MAX: usize = 64;

/// How many bytes a content may have, as in Suricata.
pub(super) const CONTENT_BYTES_MAX: usize = 255;

/// One content and where it may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// What is looked for; in lower case when `nocase`. Never empty.
    pub(super) bytes: Box<[u8]>,
    pub(super) nocase: bool,
    /// It must not stand there.
    pub(super) negated: bool,
    pub(super) place: Place,
    /// It must end where the payload ends.
    pub(super) at_end: bool,
    /// Set by [`chains`]: when what follows fails behind one place of this content, a later one may still do.
    retry: bool,
}

/// Where a content may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// From the payload's byte `offset` on, and wholly within `depth` bytes from there.
    Absolute { offset: u32, depth: Option<u32> },
    /// From `distance` bytes behind the end of the content before it, and wholly within `within` bytes from there.
    Relative { distance: i32, within: Option<u32> },
}

impl Content {
    pub(super) fn new(bytes: Vec<u8>, negated: bool) -> Self {
        let place = Place::Absolute { offset: 0, depth: None };
        Self { bytes: bytes.into(), nocase: false, negated, place, at_end: false, retry: false }
    }

    const fn is_relative(&self) -> bool {
        matches!(self.place, Place::Relative { .. })
    }

    /// The bytes of a payload of `length` in which it must lie, when the content before it ended at `previous`.
    pub(super) fn window(&self, length: usize, previous: usize) -> (usize, usize) {
        let length = signed(length);
        let (start, end) = match self.place {
            Place::Absolute { offset, depth } => {
                let offset = i64::from(offset);
                (offset, depth.map(|depth| offset + i64::from(depth)))
            }
            Place::Relative { distance, within } => {
                let start = signed(previous) + i64::from(distance);
                (start, within.map(|within| start + i64::from(within)))
            }
        };
        (unsigned(start), unsigned(end.unwrap_or(length).min(length)))
    }

    /// The first place from `start` on where it lies before `end`.
    fn find(&self, payload: &[u8], start: usize, end: usize, budget: &mut Budget) -> Option<usize> {
        let start = if self.at_end {
            if end < payload.len() {
                return None;
            }
            start.max(payload.len().checked_sub(self.bytes.len())?)
        } else {
            start
        };
        // Where the content would begin; empty when the window is too short.
        let beginnings = payload.get(start..(end + 1).checked_sub(self.bytes.len())?)?;
        if !budget.allows() {
            return None;
        }
        let (found, looked_at) = if self.nocase {
            self.find_any_case(payload.get(start..)?, beginnings.len())
        } else {
            let window = payload.get(start..end)?;
            let found = memchr::memmem::find(window, &self.bytes);
            (found, found.unwrap_or(beginnings.len()) + self.bytes.len())
        };
        budget.spend(looked_at);
        found.map(|at| start + at)
    }

    /// The first of `beginnings` places at which the content stands in either case, and how many bytes were looked at.
    fn find_any_case(&self, window: &[u8], beginnings: usize) -> (Option<usize>, usize) {
        let Some(&first) = self.bytes.first() else { return (None, 0) };
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let mut looked_at = beginnings;
        let mut from = 0;
        while let Some(found) =
            memchr::memchr2(lower, upper, window.get(from..beginnings).unwrap_or_default())
        {
            let at = from + found;
            let there = window.get(at..).unwrap_or_default();
            let same = there
                .iter()
                .zip(&*self.bytes)
                .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
                .count();
            looked_at += same;
            if same == self.bytes.len() {
                return (Some(at), looked_at - (beginnings - at - 1));
            }
            from = at + 1;
        }
        (None, looked_at)
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn unsigned(place: i64) -> usize {
    usize::try_from(place).unwrap_or(0)
}

/// Cuts the contents of a rule, in their order, into chains: a content that stands by itself and those placed behind it.
/// The contents hold when each chain holds by itself.
///
/// A negated content that stands by itself makes a chain of its own, for nothing can be placed behind what is not there; what
/// follows it is placed behind the last content that is.
pub(super) fn chains(contents: Vec<Content>) -> Vec<Vec<Content>> {
    let mut chains: Vec<Vec<Content>> = Vec::new();
    let mut apart = Vec::new();
    for content in contents {
        match chains.last_mut() {
            _ if content.negated && !content.is_relative() => apart.push(vec![content]),
            Some(chain) if content.is_relative() => chain.push(content),
            _ => chains.push(vec![content]),
        }
    }
    chains.append(&mut apart);
    for chain in &mut chains {
        for at in 0..chain.len() {
            let retry = matters_where(chain.get(at + 1..).unwrap_or_default());
            if let Some(content) = chain.get_mut(at) {
                content.retry = retry;
            }
        }
    }
    chains
}

/// Whether the rest of a chain may hold behind a later place when it does not behind an earlier one. It cannot where the
/// next content is open to the payload's end: the later place leaves it a part of the same window.
fn matters_where(rest: &[Content]) -> bool {
    rest.first().is_some_and(|next| {
        next.negated || matches!(next.place, Place::Relative { within: Some(_), .. })
    })
}

/// Whether a chain holds: its contents can be placed one behind the other. Every place of a content is tried until what
/// follows fits or the budget is spent.
pub(super) fn holds(
    chain: &[Content],
    payload: &[u8],
    previous: usize,
    budget: &mut Budget,
) -> bool {
    let Some((content, rest)) = chain.split_first() else {
        return true;
    };
    let (mut start, end) = content.window(payload.len(), previous);
    if content.negated {
        let is_there = content.find(payload, start, end, budget).is_some();
        return !is_there && !budget.is_spent() && holds(rest, payload, previous, budget);
    }
    while let Some(at) = content.find(payload, start, end, budget) {
        if holds(rest, payload, at + content.bytes.len(), budget) {
            return true;
        }
        if !content.retry {
            return false;
        }
        start = at + 1;
    }
    false
}

/// How much work one packet may still cause, in bytes looked at.
///
/// An attacker writes the payload, and contents that repeat would make the number of places to try grow with a power of its
/// length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: usize,
    spent: bool,
}

impl Budget {
    /// Enough for any honest payload of that length.
    pub(super) const fn for_payload(length: usize) -> Self {
        Self { left: BUDGET_LEAST + BUDGET_PER_BYTE * length, spent: false }
    }

    /// Whether something was left undone.
    pub(super) const fn is_spent(&self) -> bool {
        self.spent
    }

    fn allows(&mut self) -> bool {
        self.spent |= self.left == 0;
        !self.spent
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes + ATTEMPT_COST);
    }
}

/// What any payload may cost.
const BUDGET_LEAST: usize = 65_536;
/// What each byte of the payload adds.
const BUDGET_PER_BYTE: usize = 16;
/// What starting a search costs, in bytes looked at.
const ATTEMPT_COST: usize = 8;
