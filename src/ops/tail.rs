//! A live list of what happens. The store is read each second along its indexes, so that it works beside a bridge of any process
//! and costs what happens, not what is stored. Each look reaches back a little: commits need not come in the order of their times.

mod position;
mod spanish;

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

pub(crate) use position::TailPosition;

use super::find::{Refusal, check_channel, spellings};
use crate::config::{Config, LogContacts};
use crate::domain::Language;
use crate::domain::clock::now_ms;
use crate::domain::find::Side;
use crate::domain::journey::{AttemptOutcome, LookupConclusion, PostOutcome, Step};
use crate::store::{Store, TailEntry, TailFrom, TailStep, Tailed};

/// How far a look reaches back before the one before it.
const REACH_BACK_MS: i64 = 10_000;
/// Rows that one look takes of each kind, at most.
const MOST: u32 = 2000;

/// The filter of the tail.
#[derive(Debug, Clone, Default)]
pub(crate) struct TailFilter {
    pub(crate) channel: Option<String>,
    /// As it was typed.
    pub(crate) contact: Option<String>,
}

/// One line of the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailLine {
    pub(crate) at_ms: i64,
    pub(crate) channel: String,
    /// As the log shows it.
    pub(crate) contact: String,
    pub(crate) side: Side,
    pub(crate) m_id: String,
    pub(crate) step: &'static str,
    pub(crate) fault: Option<String>,
    pub(crate) words: String,
    /// The same in Spanish.
    pub(crate) words_es: String,
    /// Unique among all lines, and the same in each tail of this store.
    pub(crate) key: String,
}

impl TailLine {
    /// Returns what happened in a language.
    pub(crate) fn words_in(&self, language: Language) -> &str {
        match language {
            Language::En => &self.words,
            Language::Es => &self.words_es,
        }
    }

    /// Returns it as JSON; `at`: its time as the caller writes times.
    pub(crate) fn json(&self, at: &str) -> Value {
        json!({
            "at": at, "channel": self.channel, "contact": self.contact, "direction": self.side, "m_id": self.m_id,
            "step": self.step, "fault": self.fault, "words": self.words,
        })
    }
}

/// The result of one poll of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TailUpdate {
    pub(crate) lines: Vec<TailLine>,
    /// More happened than one poll returns.
    pub(crate) left_out: Option<LeftOut>,
}

/// The number of lines that a poll left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Times between which it happened, epoch milliseconds.
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    /// At least so many lines; 0 where their number is not known.
    pub(crate) lines: u64,
}

/// What is shown only once: its kind, side, id and a number, different for each line of one row.
type Key = (u8, bool, i64, i64);

/// A tail under way.
#[derive(Debug)]
pub(crate) struct Tail {
    shown: TailFilter,
    spellings: Vec<String>,
    masked: bool,
    from: TailFrom,
    /// When each look was, and the newest ids then.
    marks: VecDeque<(i64, i64, i64)>,
    /// Lines that were shown and may be read again, with their times.
    seen: HashMap<Key, i64>,
}

impl Tail {
    /// Begins with what happens from now on.
    ///
    /// # Errors
    /// A channel that does not exist; or the store could not be read.
    pub(crate) async fn begin(store: &dyn Store, config: &Config, shown: TailFilter) -> Result<Self, Refusal> {
        if let Some(channel) = &shown.channel {
            check_channel(store, config, channel).await?;
        }
        let spellings = shown.contact.as_deref().map(spellings).unwrap_or_default();
        let masked = config.log.contacts == LogContacts::Masked;
        let since_ms = now_ms();
        let first = TailFrom { outbound_id: i64::MAX, event_id: i64::MAX, since_ms, most: MOST };
        let Tailed { newest_outbound_id, newest_event_id, .. } = store.tail(first).await?;
        let from = TailFrom { outbound_id: newest_outbound_id, event_id: newest_event_id, since_ms, most: MOST };
        Ok(Self { shown, spellings, masked, from, marks: VecDeque::new(), seen: HashMap::new() })
    }

    /// Begins where another one was.
    ///
    /// # Errors
    /// The store could not be read.
    pub(crate) async fn begin_at(store: &dyn Store, config: &Config, position: TailPosition) -> Result<Self, Refusal> {
        let mut tail = Self::begin(store, config, TailFilter::default()).await?;
        tail.from = TailFrom {
            outbound_id: position.outbound_id,
            event_id: position.event_id,
            since_ms: position.since_ms,
            most: MOST,
        };
        Ok(tail)
    }

    /// Returns where another one goes on that shows what this one has not: a little before the last look, as each look reaches
    /// back.
    pub(crate) fn position(&self) -> TailPosition {
        let TailFrom { outbound_id, event_id, since_ms, .. } = self.from;
        TailPosition { outbound_id, event_id, since_ms }
    }

    /// Begins with what happened before: so many messages, so many events, and steps of so many milliseconds.
    ///
    /// # Errors
    /// The store could not be read.
    pub(crate) async fn begin_before(
        store: &dyn Store,
        config: &Config,
        rows: i64,
        span_ms: i64,
    ) -> Result<Self, Refusal> {
        let mut tail = Self::begin(store, config, TailFilter::default()).await?;
        let TailFrom { outbound_id, event_id, since_ms, .. } = tail.from;
        tail.from = TailFrom {
            outbound_id: outbound_id.saturating_sub(rows).max(0),
            event_id: event_id.saturating_sub(rows).max(0),
            since_ms: since_ms.saturating_sub(span_ms),
            most: MOST,
        };
        Ok(tail)
    }

    /// Looks once, and returns what is new.
    ///
    /// # Errors
    /// The store could not be read; the next look shows what this one would have.
    pub(crate) async fn look(&mut self, store: &dyn Store) -> Result<TailUpdate, Refusal> {
        let at_ms = now_ms();
        let tailed = store.tail(self.from).await?;
        Ok(self.news(tailed, at_ms))
    }

    fn news(&mut self, tailed: Tailed, at_ms: i64) -> TailUpdate {
        let Tailed { all, cut, happened, newest_outbound_id, newest_event_id } = tailed;
        let before = self.from.since_ms;
        let new: Vec<TailEntry> =
            all.into_iter().filter(|one| self.seen.insert(key(one), one.at_ms).is_none()).collect();
        let lines = new.into_iter().filter(|one| self.is_shown(one)).map(|one| self.line(one)).collect();
        // What was read since then was stored, has ended, or is a step.
        let seen = self.seen.keys().filter(|(kind, ..)| *kind < 2).count();
        let more = happened.saturating_sub(u64::try_from(seen).unwrap_or(u64::MAX));
        let left_out = cut.then_some(LeftOut { since_ms: before, until_ms: at_ms, lines: more });
        if cut {
            self.marks.clear();
            self.from =
                TailFrom { outbound_id: newest_outbound_id, event_id: newest_event_id, since_ms: at_ms, most: MOST };
        } else {
            self.marks.push_back((at_ms, newest_outbound_id, newest_event_id));
            let back_ms = at_ms.saturating_sub(REACH_BACK_MS);
            while let Some((mark_ms, outbound_id, event_id)) =
                self.marks.front().copied().filter(|position| position.0 <= back_ms)
            {
                self.from = TailFrom { outbound_id, event_id, since_ms: mark_ms, most: MOST };
                self.marks.pop_front();
            }
        }
        let TailFrom { outbound_id, event_id, since_ms, .. } = self.from;
        self.seen.retain(|(kind, out, id, _), at_ms| match kind {
            0 => *id > if *out { outbound_id } else { event_id },
            _ => *at_ms >= since_ms,
        });
        TailUpdate { lines, left_out }
    }

    fn is_shown(&self, one: &TailEntry) -> bool {
        self.shown.channel.as_ref().is_none_or(|channel| *channel == one.channel)
            && (self.shown.contact.is_none() || self.spellings.contains(&one.contact))
    }

    fn line(&self, one: TailEntry) -> TailLine {
        let words_es = spanish::in_spanish(one.side, &one.what);
        let (kind, out, id, nth) = key(&one);
        let key = format!("{kind}-{}-{id}-{nth}", u8::from(out));
        let (step, fault, words) = in_words(one.side, one.what);
        let contact = match one.contact.parse() {
            Ok(contact) if self.masked => crate::telemetry::contact(&contact).to_string(),
            Ok(_) | Err(_) => one.contact.clone(),
        };
        let TailEntry { at_ms, channel, side, m_id, .. } = one;
        TailLine { at_ms, channel, contact, side, m_id, step, fault, words, words_es, key }
    }
}

fn key(one: &TailEntry) -> Key {
    let out = one.side == Side::Out;
    match &one.what {
        TailStep::Stored { .. } => (0, out, one.id, 0),
        TailStep::Ended { .. } => (1, out, one.id, one.at_ms),
        TailStep::Step { times, .. } => (2, out, one.id, (*times).into()),
    }
}

/// Returns the name of a step, the code of its fault, and both in words.
fn in_words(side: Side, what: TailStep) -> (&'static str, Option<String>, String) {
    let of = |step: &'static str, fault: Option<String>, rest: &str| {
        let words = fault.as_ref().map_or_else(|| format!("{step}{rest}"), |fault| format!("{step}: {fault}{rest}"));
        (step, fault, words)
    };
    match what {
        TailStep::Stored { kind } if side == Side::Out => of("accepted", None, &format!(", {kind}")),
        TailStep::Stored { kind } => of("recorded", None, &format!(", {kind}")),
        TailStep::Ended { state, fault } => match state.as_str() {
            "sent" => of("sent", None, ""),
            "done" => of("published", None, ""),
            "failed" | "dead" if fault.as_deref() == Some("discarded") => ("discarded", fault, "discarded".to_owned()),
            "dead" => of("dead", fault, "; BonyChat does not have it"),
            "unconfirmed" => of("unconfirmed", fault, "; nobody can tell whether the customer has it"),
            _ => of("failed", fault, "; the customer does not have it, or not whole"),
        },
        TailStep::Step { step: None, .. } => of("step", None, " of a later version"),
        TailStep::Step { step: Some(step), times } => {
            let again = if times > 1 { format!(", {times} times in a row") } else { String::new() };
            match step {
                Step::Attempt { outcome: AttemptOutcome::Unknown, fault, .. } => {
                    of("in doubt", Some(fault), &format!("; it is looked up{again}"))
                }
                Step::Attempt { outcome: AttemptOutcome::NotSent, fault, .. } => {
                    of("not sent", Some(fault), &format!("; tried again{again}"))
                }
                Step::Attempt { outcome: AttemptOutcome::Failed, fault, .. } => {
                    of("not sent", Some(fault), &format!("; given up{again}"))
                }
                Step::Part { part, parts, .. } => of("part sent", None, &format!(", {} of {parts}", part + 1)),
                Step::Lookup(look) => of(
                    "looked up",
                    None,
                    match look.conclusion {
                        LookupConclusion::Again => ", not decided yet",
                        LookupConclusion::Found => ", found: it was sent",
                        LookupConclusion::NotSent => ", certainly not sent",
                        LookupConclusion::Unresolved => ", nobody can tell",
                    },
                ),
                Step::LookupFailed { fault } => of("not looked up", Some(fault), &format!("; tried again{again}")),
                Step::Post { outcome: PostOutcome::Again, fault, .. } => {
                    of("not taken", Some(fault), &format!("; posted again{again}"))
                }
                Step::Post { outcome: PostOutcome::Dead, fault, .. } => {
                    of("not taken", Some(fault), &format!("; given up{again}"))
                }
                Step::Repeat => of("repeated", None, &format!(" call, sent once{again}")),
                Step::Decision { who, action, .. } => of("decided", None, &format!(": {} by {who}", action.name())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(side: Side, id: i64, at_ms: i64) -> TailEntry {
        let what = TailStep::Stored { kind: "text".into() };
        let (channel, contact, m_id) = ("support".into(), "+34600111222".into(), format!("m{id}"));
        TailEntry { side, id, at_ms, channel, contact, m_id, what }
    }

    fn ended(id: i64, at_ms: i64, state: &str) -> TailEntry {
        TailEntry { what: TailStep::Ended { state: state.into(), fault: None }, ..stored(Side::Out, id, at_ms) }
    }

    fn tail() -> Tail {
        let from = TailFrom { outbound_id: 5, event_id: 5, since_ms: 1000, most: MOST };
        let (shown, spellings) = (TailFilter::default(), Vec::new());
        Tail { shown, spellings, masked: true, from, marks: VecDeque::new(), seen: HashMap::new() }
    }

    fn tailed(all: Vec<TailEntry>, newest: i64) -> Tailed {
        Tailed { all, cut: false, happened: 0, newest_outbound_id: newest, newest_event_id: newest }
    }

    fn words(news: &TailUpdate) -> Vec<&str> {
        news.lines.iter().map(|line| line.words.as_str()).collect()
    }

    #[test]
    fn each_thing_is_shown_once_however_often_it_is_seen_and_the_memory_of_it_is_bounded() {
        let mut tail = tail();
        let first = vec![stored(Side::Out, 6, 1500), ended(6, 1600, "sent")];
        let news = tail.news(tailed(first.clone(), 6), 2000);
        assert_eq!(words(&news), ["accepted, text", "sent"]);
        assert_eq!(news.lines[0].contact, "+********222");
        // Committed late, with a lower id and an earlier time.
        let late = vec![stored(Side::Out, 7, 1400), first[0].clone(), first[1].clone(), ended(7, 1550, "failed")];
        assert_eq!(words(&tail.news(tailed(late, 8), 3000)).len(), 2);
        for second in 4..30 {
            tail.news(tailed(Vec::new(), 8 + second), second * 1000);
        }
        assert!(tail.seen.is_empty(), "{:?}", tail.seen);
        assert_eq!(tail.from, TailFrom { outbound_id: 27, event_id: 27, since_ms: 19_000, most: MOST });
        assert!(tail.marks.len() <= 11);
    }

    #[test]
    fn one_that_falls_behind_names_what_it_leaves_out_and_goes_on_with_the_newest() {
        let mut tail = tail();
        tail.news(tailed(vec![stored(Side::In, 6, 1400)], 6), 2000);
        let many = Tailed { cut: true, happened: 12, ..tailed(vec![stored(Side::In, 7, 1500)], 99_000) };
        let news = tail.news(many, 2500);
        let left_out = LeftOut { since_ms: 1000, until_ms: 2500, lines: 10 };
        assert_eq!((words(&news), news.left_out), (vec!["recorded, text"], Some(left_out)), "two of twelve were shown");
        assert_eq!(tail.from, TailFrom { outbound_id: 99_000, event_id: 99_000, since_ms: 2500, most: MOST });
        assert!(tail.seen.is_empty());
    }

    #[test]
    fn what_a_person_discarded_is_named_so_and_not_what_the_customer_has() {
        let words = |side, state: &str| {
            in_words(side, TailStep::Ended { state: state.into(), fault: Some("discarded".into()) }).2
        };
        assert_eq!((words(Side::Out, "failed"), words(Side::In, "dead")), ("discarded".into(), "discarded".into()));
    }

    #[test]
    fn only_what_is_asked_for_is_shown() {
        let mut tail = Tail { shown: TailFilter { channel: Some("sales".into()), contact: None }, ..tail() };
        assert!(tail.news(tailed(vec![stored(Side::Out, 6, 1500)], 6), 2000).lines.is_empty());
        tail.shown = TailFilter { channel: Some("support".into()), contact: Some("600111222".into()) };
        tail.spellings = vec!["+34600111222".into()];
        assert_eq!(tail.news(tailed(vec![stored(Side::Out, 7, 1500)], 7), 2000).lines.len(), 1);
        tail.spellings = vec!["+34600999888".into()];
        assert!(tail.news(tailed(vec![stored(Side::Out, 8, 1500)], 8), 2000).lines.is_empty());
    }
}
