//! What happened to a message: the steps that its own row cannot tell, and all of it put together. Nothing is recorded of
//! a message that goes well. Pure.

pub(crate) mod words;

use serde::{Deserialize, Serialize};

use super::StatusValue;
use super::excerpt::{Excerpt, without_numbers};
use super::operator_pause::OperatorPause;

/// One step, as it is stored. It holds no text of the message and no contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Step {
    /// An attempt to send that Afilnet did not confirm.
    Attempt {
        /// From 1; a person's retry starts from 1 again.
        attempt: u32,
        /// From 0.
        part: u32,
        outcome: AttemptOutcome,
        fault: String,
        took_ms: Option<i64>,
        http: Option<u16>,
    },
    /// A part that was sent, with others to follow.
    Part { part: u32, parts: u32, took_ms: i64 },
    /// A lookup of a message of unknown outcome in its conversation.
    #[serde(rename = "look")]
    Lookup(LookupStep),
    /// A lookup that could not be made.
    #[serde(rename = "look_failed")]
    LookupFailed { fault: String },
    /// A post of an event that BonyChat did not take.
    Post { attempt: u32, outcome: PostOutcome, fault: String, took_ms: Option<i64>, http: Option<u16> },
    /// A call of BonyChat that repeated the one with the message.
    Repeat,
    /// What a person decided.
    Decision { who: String, means: Means, action: Action, why: Option<String> },
}

impl Step {
    /// Returns whether a message is in doubt after it.
    pub(crate) fn leaves_in_doubt(&self) -> bool {
        matches!(self, Self::Attempt { outcome: AttemptOutcome::Unknown, .. })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AttemptOutcome {
    /// Certainly not sent, to be tried again.
    NotSent,
    /// Certainly not sent, and given up.
    Failed,
    /// It may have been sent.
    Unknown,
}

/// What a post that was not taken led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PostOutcome {
    /// To be posted again.
    Again,
    /// Given up.
    Dead,
}

/// A lookup, with its evidence as counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "findings that have nothing to do with each other")]
pub(crate) struct LookupStep {
    /// Of those since the attempt, from 1.
    pub(crate) number: u32,
    pub(crate) part: u32,
    /// Rows that Afilnet showed.
    pub(crate) rows: u32,
    /// They reach back to the newest row that was known before the attempt.
    pub(crate) reaches_back: bool,
    /// Rows of the business since the attempt.
    pub(crate) since: u32,
    /// Of those: certainly of the bridge's sends, of another sender, of unknown origin.
    pub(crate) ours: u32,
    pub(crate) others: u32,
    pub(crate) unexplained: u32,
    /// Sends of the hour before that Afilnet took and does not show.
    pub(crate) missing: u32,
    /// The message sent before does not show either.
    pub(crate) before_hidden: bool,
    /// It may be kept under another spelling of the number.
    pub(crate) place_unknown: bool,
    /// A row may be the message in other words.
    pub(crate) doubtful: bool,
    /// Lookups that proved its absence, with this one.
    pub(crate) proofs: u32,
    pub(crate) conclusion: LookupConclusion,
}

/// What followed from a lookup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LookupConclusion {
    /// Another lookup.
    #[default]
    Again,
    /// A row shows the message.
    Found,
    /// Certainly not sent.
    NotSent,
    /// Nobody can tell.
    Unresolved,
}

/// How a person gave a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Means {
    Cli,
    Api,
    Page,
}

impl Means {
    /// Returns the one with this name; [`Self::Cli`] where there is none.
    pub(crate) fn named(name: &str) -> Self {
        [Self::Api, Self::Page].into_iter().find(|means| means.name() == name).unwrap_or(Self::Cli)
    }

    /// Returns its name, for the store.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Page => "page",
        }
    }
}

/// The person who gives a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    who: String,
    pub(crate) means: Means,
    why: Option<String>,
}

/// Characters of a person's name and reason that are kept.
const LONGEST_NAME: usize = 60;
const LONGEST_REASON: usize = 160;

impl Operator {
    /// Names and reasons are kept as one line, cut where they are too long; a reason without what may be of a phone number.
    pub(crate) fn new(who: &str, means: Means, why: Option<&str>) -> Self {
        let line = |text: &str, most: usize| -> String {
            let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
            plain.trim().to_owned()
        };
        let why = why.map(|why| line(&without_numbers(why), LONGEST_REASON)).filter(|why| !why.is_empty());
        Self { who: line(who, LONGEST_NAME), means, why }
    }

    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Returns the step of a message that this person did something to.
    pub(crate) fn decided(&self, action: Action) -> Step {
        Step::Decision { who: self.who.clone(), means: self.means, action, why: self.why.clone() }
    }
}

/// What a person did to a message or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    SettledDelivered,
    SettledFailed,
    SentAgain,
    /// It may have been delivered, and stays so: nobody needs to act on it any more.
    Noted,
    Retried,
    Discarded,
}

impl Action {
    /// Returns its name, for the audit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SettledDelivered => "settle as delivered",
            Self::SettledFailed => "settle as failed",
            Self::SentAgain => "settle as send-again",
            Self::Noted => "settle as noted",
            Self::Retried => "retry",
            Self::Discarded => "discard",
        }
    }
}

impl Step {
    /// Returns its kind, for the store.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Attempt { .. } => "attempt",
            Self::Part { .. } => "part",
            Self::Lookup(_) => "look",
            Self::LookupFailed { .. } => "look_failed",
            Self::Post { .. } => "post",
            Self::Repeat => "repeat",
            Self::Decision { .. } => "decision",
        }
    }

    /// Returns whether it is `before` once more, so that the two are kept as one: the same with the same fault.
    pub(crate) fn repeats(&self, before: &Self) -> bool {
        match (self, before) {
            (
                Self::Attempt { part, outcome, fault, .. },
                Self::Attempt { part: part_before, outcome: outcome_before, fault: fault_before, .. },
            ) => (part, outcome, fault) == (part_before, outcome_before, fault_before),
            (Self::Post { outcome, fault, .. }, Self::Post { outcome: outcome_before, fault: fault_before, .. }) => {
                (outcome, fault) == (outcome_before, fault_before)
            }
            (Self::LookupFailed { fault }, Self::LookupFailed { fault: fault_before }) => fault == fault_before,
            (Self::Repeat, Self::Repeat) => true,
            _ => false,
        }
    }
}

/// A step to be recorded, and what the far side's response to it began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepRecord {
    pub(crate) step: Step,
    pub(crate) excerpt: Option<Excerpt>,
}

impl From<Step> for StepRecord {
    fn from(step: Step) -> Self {
        Self { step, excerpt: None }
    }
}

/// A step as it is read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PastStep {
    pub(crate) at_ms: i64,
    /// The last time, where it repeated itself.
    pub(crate) until_ms: i64,
    pub(crate) times: u32,
    /// `None`: of a kind that this version does not know.
    pub(crate) step: Option<Step>,
    pub(crate) excerpt: Option<String>,
}

/// State of an outbound message (`docs/architecture.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageState {
    Queued,
    Sending,
    Unknown,
    Held,
    Sent,
    Failed,
    Unconfirmed,
}

/// State of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventState {
    Queued,
    Done,
    Dead,
}

/// The stored state is not one of this version.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no state that this version knows")]
pub(crate) struct UnknownState(String);

impl std::str::FromStr for MessageState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Ok(match text {
            "queued" => Self::Queued,
            "sending" => Self::Sending,
            "unknown" => Self::Unknown,
            "held" => Self::Held,
            "sent" => Self::Sent,
            "failed" => Self::Failed,
            "unconfirmed" => Self::Unconfirmed,
            other => return Err(UnknownState(other.to_owned())),
        })
    }
}

impl std::str::FromStr for EventState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Ok(match text {
            "queued" => Self::Queued,
            "done" => Self::Done,
            "dead" => Self::Dead,
            other => return Err(UnknownState(other.to_owned())),
        })
    }
}

/// All that is stored of what happened under one mId.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Journey {
    pub(crate) m_id: String,
    pub(crate) channel: String,
    pub(crate) contact: String,
    /// `None`: the mId is of events alone, of what the customer wrote or what was written in Afilnet's panel.
    pub(crate) message: Option<MessageJourney>,
    pub(crate) events: Vec<EventJourney>,
}

/// What is stored of an outbound message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MessageJourney {
    pub(crate) kind: String,
    pub(crate) state: MessageState,
    /// The next part to be sent, or the last of one that is sent.
    pub(crate) part: u32,
    /// Attempts begun for this part.
    pub(crate) attempt: u32,
    pub(crate) accepted_ms: i64,
    /// When the last attempt began; 0: none.
    pub(crate) began_ms: i64,
    pub(crate) done_ms: Option<i64>,
    pub(crate) due_ms: i64,
    /// Since when an attempt may have sent it.
    pub(crate) unknown_ms: Option<i64>,
    pub(crate) look_ms: Option<i64>,
    /// Code of the last fault.
    pub(crate) fault: Option<String>,
    pub(crate) request_id: String,
    pub(crate) answer: ResponseReceipt,
    /// Its text is still stored, so that it can be sent again.
    pub(crate) has_text: bool,
    /// When a row of Afilnet was read that shows it, or its last part.
    pub(crate) shown_ms: Option<i64>,
    /// What its conversation waits for, if that is another message.
    pub(crate) behind: Option<Behind>,
    /// What pauses its channel, of one that waits; else the last attempt of its channel that failed, in the hour before
    /// it waited or since.
    pub(crate) channel_fault: Option<ChannelFault>,
    /// What a person has paused, of one that waits.
    pub(crate) pause: Option<OperatorPause>,
    /// Its wait before the last attempt, or until now, where that was long.
    pub(crate) wait: Option<Wait>,
    /// What waited for it, where it was in doubt and is no longer.
    pub(crate) kept_waiting: Option<KeptWaiting>,
    pub(crate) steps: Vec<PastStep>,
}

/// A wait that is worth a line.
pub(crate) const LONG_WAIT_MS: i64 = 5_000;

/// How long a message waited, and for what. A person's retry starts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Wait {
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    /// Messages before it in its conversation that ended meanwhile.
    pub(crate) ahead: u32,
    /// Pauses of sends of its channel meanwhile, the first one first.
    pub(crate) pauses: Vec<PastPause>,
}

/// A pause of the sends of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PastPause {
    pub(crate) since_ms: i64,
    /// `None`: it lasts.
    pub(crate) ended_ms: Option<i64>,
    pub(crate) cause: PauseCause,
}

/// What paused a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub(crate) enum PauseCause {
    Person {
        who: String,
        why: String,
    },
    /// Of whatever call met it: of a read, too.
    Fault {
        fault: String,
    },
}

/// Messages of a conversation that waited for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct KeptWaiting {
    pub(crate) count: u32,
    pub(crate) longest_ms: i64,
}

/// Whether BonyChat has read the response to its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResponseReceipt {
    Unknown,
    Read,
    Lost,
}

/// The messages that go out before another one of the same conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Behind {
    pub(crate) count: u32,
    /// The first of them.
    pub(crate) head: String,
    pub(crate) state: MessageState,
    pub(crate) fault: Option<String>,
}

/// Why an attempt of a channel failed, or what pauses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChannelFault {
    pub(crate) at_ms: i64,
    pub(crate) fault: String,
    /// It has paused the channel's calls to Afilnet since then, whatever call met it: a read, too.
    pub(crate) lasts: bool,
}

/// What is stored of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EventJourney {
    pub(crate) kind: EventKind,
    pub(crate) state: EventState,
    pub(crate) recorded_ms: i64,
    pub(crate) due_ms: i64,
    pub(crate) done_ms: Option<i64>,
    /// Posts so far.
    pub(crate) attempt: u32,
    pub(crate) fault: Option<String>,
    pub(crate) has_text: bool,
    /// What a person has paused, of one that waits.
    pub(crate) pause: Option<OperatorPause>,
    pub(crate) steps: Vec<PastStep>,
}

impl EventJourney {
    /// Returns when it was stored. `recorded_ms` is that of the last retry where a person had it posted again: the time
    /// before is in `due_ms` until a post fails once more, and the first step is no earlier than it.
    pub(crate) fn stored_ms(&self) -> i64 {
        let earliest = self.recorded_ms.min(self.due_ms);
        self.steps.first().map_or(earliest, |first| earliest.min(first.at_ms))
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    /// The customer wrote it.
    Message,
    /// The business wrote it outside BonyChat.
    Echo,
    /// A status of an outbound message; `None`: which, is erased.
    Status(Option<StatusValue>),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    fn steps() -> Vec<Step> {
        let (fault, took_ms, http) = ("http_503".to_owned(), Some(12), Some(503));
        vec![
            Step::Attempt {
                attempt: 2,
                part: 0,
                outcome: AttemptOutcome::NotSent,
                fault: fault.clone(),
                took_ms,
                http,
            },
            Step::Part { part: 0, parts: 3, took_ms: 40 },
            Step::Lookup(LookupStep { number: 1, rows: 37, proofs: 1, ..LookupStep::default() }),
            Step::LookupFailed { fault: fault.clone() },
            Step::Post { attempt: 1, outcome: PostOutcome::Again, fault, took_ms, http },
            Step::Repeat,
            Operator::new("ana", Means::Cli, Some("the customer called")).decided(Action::Retried),
        ]
    }

    #[test]
    fn a_step_is_read_as_it_was_written_and_is_short() {
        for step in steps() {
            let detail = serde_json::to_string(&step).unwrap();
            assert_eq!(serde_json::from_str::<Step>(&detail).unwrap(), step, "{detail}");
            assert!(detail.len() < 1024, "{detail}");
        }
        let (who, why) = ("ñ".repeat(5000), "é".repeat(5000));
        let longest = Operator::new(&who, Means::Api, Some(&why)).decided(Action::SettledDelivered);
        assert!(serde_json::to_string(&longest).unwrap().len() < 1024);
        assert!(serde_json::from_str::<Step>(r#"{"step":"of_a_later_version"}"#).is_err());
    }

    #[test]
    fn a_reason_keeps_no_number_that_may_be_of_a_phone() {
        for (why, kept) in [
            ("ticket 1234 of 600 11 12 22", "ticket 1234 of ************"),
            ("+34600111222 called", "+*********** called"),
            ("\t600-111-222\n", "***********"),
        ] {
            assert_eq!(Operator::new("ana", Means::Cli, Some(why)).why(), Some(kept));
        }
        let cut = format!("{}600111222", "x".repeat(LONGEST_REASON - 3));
        assert!(
            Operator::new("ana", Means::Cli, Some(&cut)).why().unwrap().ends_with("x***"),
            "hidden before it is cut"
        );
    }

    #[test]
    fn a_step_repeats_one_of_its_kind_with_the_same_fault_and_no_other() {
        let all = steps();
        let folded: Vec<&str> = all.iter().filter(|step| step.repeats(step)).map(Step::kind).collect();
        assert_eq!(folded, ["attempt", "look_failed", "post", "repeat"]);
        for (at, step) in all.iter().enumerate() {
            assert!(all.iter().enumerate().all(|(other, before)| at == other || !step.repeats(before)), "{step:?}");
        }
        let attempt = |attempt, part, outcome, fault: &str| Step::Attempt {
            attempt,
            part,
            outcome,
            fault: fault.into(),
            took_ms: None,
            http: None,
        };
        let before = attempt(1, 0, AttemptOutcome::NotSent, "unreachable");
        assert!(attempt(2, 0, AttemptOutcome::NotSent, "unreachable").repeats(&before), "whatever its number");
        for other in [
            attempt(2, 1, AttemptOutcome::NotSent, "unreachable"),
            attempt(2, 0, AttemptOutcome::Failed, "unreachable"),
            attempt(2, 0, AttemptOutcome::NotSent, "timed_out"),
        ] {
            assert!(!other.repeats(&before), "{other:?}");
        }
    }
}
