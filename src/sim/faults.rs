//! Faults on order, for both simulators (afilnet.md section 6, "Faults"). A [`FaultRule`] is written `METHOD:KIND`,
//! with the suffix `:NTH`, `:FROM-TO` or `:PROBABILITY` if it is not for the next call alone:
//!
//! | Rule | Meaning |
//! | --- | --- |
//! | `sendmessage:reset_stored` | the next `sendmessage` is stored, its answer never comes |
//! | `sendmessage:http_502:3` | the third from now |
//! | `getchats:hang:2-5` | the second to the fifth from now |
//! | `*:http_500:0.3` | three of ten calls of any method, by the seed |

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::seeded_rng;
use super::wire::{Ending, Reply};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// `refused`: the call's connection is reset unread; then the port refuses connections for the options' `down_for`.
    Refused,
    /// `reset`: the connection is reset without a response. The body is read only for the method.
    Reset,
    /// `hang`: no answer; the connection stays open until the client leaves.
    Hang,
    /// `truncated`: the call is carried out; its answer breaks off in the middle, under the length of the whole.
    Truncated,
    /// `drip`: the call is carried out; its answer comes byte by byte.
    Drip,
    /// `html_200`: an HTML page with status 200.
    Html200,
    /// `garbage`: status 200 and bytes that are neither UTF-8 nor JSON.
    Garbage,
    /// `empty`: status 200 without a body.
    Empty,
    /// `redirect`: status 307 to another host name of this machine; clients that follow it are counted.
    Redirect,
    /// `http_NNN`: this status with an HTML page; 429 asks for one second.
    Http(u16),
    /// `NO_CREDITS` or any other word in capitals, `unknown_code`: a refusal in the platform's own form.
    Code(String),
}

/// A kind, and whether the call is carried out before it goes wrong (`_stored` at the end of its name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Whether the call was carried out: a blind retry then doubles it.
    pub stored: bool,
}

/// The word of `unknown_code`.
const UNKNOWN_CODE: &str = "UNEXPECTED_CONDITION";

impl Fault {
    /// A name of every kind, in both forms where there are two.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        &[
            "refused",
            "reset",
            "reset_stored",
            "hang",
            "hang_stored",
            "truncated",
            "drip",
            "html_200",
            "html_200_stored",
            "garbage",
            "garbage_stored",
            "empty",
            "empty_stored",
            "redirect",
            "http_429",
            "http_500",
            "http_500_stored",
            "http_502",
            "http_502_stored",
            "http_503",
            "http_503_stored",
            "unknown_code",
            "NO_CREDITS",
        ]
    }

    /// Returns what the client gets. `real` is the response of the call, if it was carried out.
    pub(super) fn spoil(&self, real: Option<&Reply>, terms: &Terms) -> Reply {
        let end = |ending| real.map_or_else(|| Reply::nothing(ending), |reply| Reply { ending, ..reply.clone() });
        match &self.kind {
            FaultKind::Refused => Reply::nothing(Ending::Refused(terms.down_for)),
            FaultKind::Reset => Reply::nothing(Ending::Reset),
            FaultKind::Hang => Reply::nothing(Ending::Hang),
            FaultKind::Truncated => end(Ending::Truncated),
            FaultKind::Drip => end(Ending::Drip(terms.drip)),
            FaultKind::Html200 => Reply::page(200),
            FaultKind::Garbage => Reply::new(200, "text/html", [0xFF, 0xFE, 0x00, 0xC3, 0x28, b'{', 0x80]),
            FaultKind::Empty => Reply::new(200, "text/html", ""),
            FaultKind::Redirect => Reply::page(307).with("location", terms.elsewhere.clone()),
            FaultKind::Http(429) => Reply::page(429).with("retry-after", "1"),
            FaultKind::Http(status) => Reply::page(*status),
            FaultKind::Code(code) => (terms.refusal)(code),
        }
    }
}

/// Parameters of one simulator's faults.
pub(super) struct Terms {
    /// How long the port stays closed after `refused`.
    pub(super) down_for: Duration,
    /// The pause before each byte of `drip`.
    pub(super) drip: Duration,
    /// Where `redirect` points.
    pub(super) elsewhere: String,
    /// The platform's own form of a refusal.
    pub(super) refusal: fn(&str) -> Reply,
}

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRule(String);

impl FromStr for Fault {
    type Err = BadRule;
    fn from_str(name: &str) -> Result<Self, BadRule> {
        let (bare, stored) = name.strip_suffix("_stored").map_or((name, false), |bare| (bare, true));
        let kind = match bare {
            "refused" => FaultKind::Refused,
            "reset" => FaultKind::Reset,
            "hang" => FaultKind::Hang,
            "truncated" => FaultKind::Truncated,
            "drip" => FaultKind::Drip,
            "html_200" => FaultKind::Html200,
            "garbage" => FaultKind::Garbage,
            "empty" => FaultKind::Empty,
            "redirect" => FaultKind::Redirect,
            "unknown_code" => FaultKind::Code(UNKNOWN_CODE.to_owned()),
            _ => parametrised(bare).ok_or_else(|| {
                BadRule(format!("there is no fault `{name}`: use {}, http_NNN or a CODE", Self::names().join(", ")))
            })?,
        };
        let never_stored = matches!(kind, FaultKind::Refused | FaultKind::Redirect | FaultKind::Code(_));
        if stored && never_stored {
            return Err(BadRule(format!("`{bare}` cannot come after the call was stored: leave `_stored` out")));
        }
        let stored = stored || matches!(kind, FaultKind::Truncated | FaultKind::Drip);
        Ok(Self { kind, stored })
    }
}

fn parametrised(name: &str) -> Option<FaultKind> {
    if let Some(status) = name.strip_prefix("http_") {
        return status.parse().ok().filter(|status| (300..600).contains(status)).map(FaultKind::Http);
    }
    let capitals = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    capitals.then(|| FaultKind::Code(name.to_owned()))
}

/// Which calls a rule hits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// From this call to that one, counted from 1 since the rule was given.
    Calls(u64, u64),
    /// Each call with this probability.
    Probability(f64),
}

impl FromStr for When {
    type Err = BadRule;
    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule(format!("`{text}` is neither a call (3), a range of calls (2-5) nor a probability (0.3)"));
        let call = |text: &str| text.parse().ok().filter(|n| *n > 0).ok_or_else(bad);
        if text.contains('.') {
            let probability = text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(bad)?;
            return Ok(Self::Probability(probability));
        }
        match text.split_once('-') {
            Some((from, to)) => Ok(Self::Calls(call(from)?, call(to)?)),
            None => call(text).map(|n| Self::Calls(n, n)),
        }
    }
}

/// One order: which calls of which method go wrong, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    /// A method, or `*` for any.
    pub method: String,
    /// What goes wrong.
    pub fault: Fault,
    /// When.
    pub when: When,
}

impl FromStr for FaultRule {
    type Err = BadRule;
    fn from_str(text: &str) -> Result<Self, BadRule> {
        let mut parts = text.split(':');
        let (Some(method), Some(fault), when, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(BadRule(format!("`{text}` is not METHOD:KIND[:NTH|:FROM-TO|:PROBABILITY]")));
        };
        if method.is_empty() {
            return Err(BadRule(format!("`{text}` names no method: begin with one, or with * for any")));
        }
        let when = when.map_or(Ok(When::Calls(1, 1)), str::parse)?;
        Ok(Self { method: method.to_owned(), fault: fault.parse()?, when })
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.method, self.fault.kind)?;
        if self.fault.stored { write!(f, " after storing {:?}", self.when) } else { write!(f, " {:?}", self.when) }
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub(super) struct Faults {
    seed: u64,
    given: u64,
    /// Each with its number and the calls it has seen.
    rules: Vec<(u64, u64, FaultRule)>,
}

impl Faults {
    pub(super) fn new(seed: u64, rules: &[FaultRule]) -> Self {
        let mut faults = Self { seed, ..Self::default() };
        rules.iter().cloned().for_each(|rule| faults.add(rule));
        faults
    }

    pub(super) fn add(&mut self, rule: FaultRule) {
        self.given += 1;
        self.rules.push((self.given, 0, rule));
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Counts one call of `method` against every rule; the first that it hits decides.
    pub(super) fn next(&mut self, method: &str) -> Option<Fault> {
        let mut hit = None;
        for (number, seen, rule) in &mut self.rules {
            if rule.method != "*" && rule.method != method {
                continue;
            }
            *seen += 1;
            let now = match rule.when {
                When::Calls(from, to) => (from..=to).contains(seen),
                When::Probability(probability) => seeded_rng::probability(self.seed, *number, *seen) < probability,
            };
            if now && hit.is_none() {
                hit = Some(rule.fault.clone());
            }
        }
        self.rules.retain(|(_, seen, rule)| !matches!(rule.when, When::Calls(_, to) if *seen >= to));
        hit
    }

    /// Returns the rules as text, for the dump.
    pub(super) fn list(&self) -> Vec<String> {
        self.rules.iter().map(|(_, seen, rule)| format!("{rule}, {seen} calls seen")).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]
    use super::*;

    #[test]
    fn every_name_is_a_fault() {
        for name in Fault::names() {
            let fault: Fault = name.parse().unwrap();
            let stores = name.ends_with("_stored") || matches!(*name, "truncated" | "drip");
            assert_eq!(fault.stored, stores, "{name}");
        }
        assert_eq!("http_418".parse::<Fault>().unwrap().kind, FaultKind::Http(418));
        for bad in ["", "nonsense", "http_200", "http_x", "NO_CREDITS_stored", "refused_stored", "_stored"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rules_are_read_or_refused_in_words() {
        let rule: FaultRule = "sendmessage:reset_stored:3".parse().unwrap();
        assert_eq!((rule.when, rule.fault.stored), (When::Calls(3, 3), true));
        assert_eq!("*:hang:2-5".parse::<FaultRule>().unwrap().when, When::Calls(2, 5));
        assert_eq!("*:hang:0.25".parse::<FaultRule>().unwrap().when, When::Probability(0.25));
        for bad in ["", "x", ":hang", "a:hang:0", "a:hang:1.5", "a:hang:x", "a:hang:1:2", "a:b"] {
            let why = bad.parse::<FaultRule>().unwrap_err().to_string();
            assert!(why.len() > 10, "{bad}: {why}");
        }
    }

    #[test]
    fn a_rule_counts_its_own_calls_and_leaves_when_spent() {
        let rules = ["sendmessage:hang:2".parse().unwrap(), "*:empty:3-4".parse().unwrap()];
        let mut faults = Faults::new(1, &rules);
        let kinds: Vec<_> = ["getchats", "sendmessage", "sendmessage", "getchats", "getchats"]
            .map(|method| faults.next(method).map(|fault| fault.kind))
            .into();
        assert_eq!(kinds, [None, None, Some(FaultKind::Hang), Some(FaultKind::Empty), None]);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn chances_follow_the_seed() {
        let play = |seed| {
            let mut faults = Faults::new(seed, &["*:hang:0.5".parse().unwrap()]);
            (0..64).map(|_| faults.next("x").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(play(1), play(1));
        assert_ne!(play(1), play(2));
    }
}
