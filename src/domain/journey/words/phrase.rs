//! What all sentences of a journey are made with.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cause::{self, Cause, FarSide};
use crate::domain::Language;
use crate::domain::journey::{Means, PastStep, Step};
use crate::domain::operator_pause::PauseKind;

/// How a journey is put into words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'z> {
    pub(crate) language: Language,
    /// Of the times that are shown.
    pub(crate) zone: &'z TimeZone,
    pub(crate) now_ms: i64,
    /// By what the reader acts: a page has buttons where the command line has commands.
    pub(crate) means: Means,
    /// The reader may act, and not only read.
    pub(crate) may_act: bool,
    /// Looks that are made for a message in doubt, unless its conversation needs more (`outbound.look_after`).
    pub(crate) looks: usize,
}

impl Words<'_> {
    /// Returns one of two texts.
    pub(super) fn say<'t>(&self, english: &'t str, spanish: &'t str) -> &'t str {
        match self.language {
            Language::En => english,
            Language::Es => spanish,
        }
    }

    /// Returns one of two texts with the values of its `{names}`.
    pub(super) fn fill(&self, english: &str, spanish: &str, values: &[(&str, &str)]) -> String {
        let mut text = self.say(english, spanish).to_owned();
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    /// Returns by what the reader does something: a command, in code, or what the page has for it.
    fn by(&self, command: &str, english: &str, spanish: &str) -> String {
        match self.means {
            Means::Page if !self.may_act => {
                self.say("the help of somebody who may act", "la ayuda de alguien que pueda actuar").to_owned()
            }
            Means::Page => self.say(english, spanish).to_owned(),
            Means::Cli | Means::Api => format!("`{command}`"),
        }
    }

    pub(super) fn settle(&self, m_id: &str) -> String {
        let command = format!("bridge messages settle {m_id} --as delivered|failed|send-again");
        self.by(&command, "a button below", "un botón de abajo")
    }

    /// Returns the same for a message of which nobody can tell, behind [`Self::settle`].
    pub(super) fn noted(&self) -> String {
        self.by("--as noted", "the one for that", "el que hay para eso")
    }

    pub(super) fn retry(&self, m_id: &str) -> String {
        self.by(&format!("bridge messages retry {m_id}"), "a button below", "un botón de abajo")
    }

    pub(super) fn resume(&self, channel: &str, kind: PauseKind) -> String {
        // A drain does not hold up what was accepted.
        let what = if kind == PauseKind::In { "in" } else { "out" };
        self.by(
            &format!("bridge channels resume {channel} {what}"),
            "somebody has ended the pause on the channel's page",
            "que alguien termine la pausa en la página del canal",
        )
    }

    pub(super) fn journey(&self, m_id: &str) -> String {
        self.by(&format!("bridge messages journey {m_id}"), "its page", "su página")
    }

    pub(super) fn cause(&self, code: &str, side: FarSide) -> Cause {
        cause::cause(code, side, self.language)
    }

    /// Returns a time within a sentence: with its date where that is not today's.
    pub(super) fn time(&self, at_ms: i64) -> String {
        let day = |at_ms: i64| self.written(at_ms, "%Y-%m-%d");
        let format = if day(at_ms) == day(self.now_ms) { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        self.written(at_ms, format)
    }

    pub(super) fn written(&self, at_ms: i64, format: &str) -> String {
        match Timestamp::from_millisecond(at_ms) {
            Ok(at) => at.to_zoned(self.zone.clone()).strftime(format).to_string(),
            Err(_) => at_ms.to_string(),
        }
    }
}

/// Returns a span, rounded: `340 ms`, `12 s`, `7 min`, `3 h`.
pub(super) fn span(span_ms: i64) -> String {
    match span_ms.max(0) {
        ms @ ..1_000 => format!("{ms} ms"),
        ms @ 1_000..120_000 => format!("{} s", ms / 1_000),
        ms @ 120_000..7_200_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

/// Returns the last step that this version can read.
pub(super) fn last(steps: &[PastStep]) -> Option<&Step> {
    steps.iter().rev().find_map(|past| past.step.as_ref())
}

/// Returns a clause as the beginning of a sentence.
pub(super) fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Joins sentences, without the empty ones.
pub(super) fn joined<'s>(sentences: impl IntoIterator<Item = &'s str>) -> String {
    sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join(" ")
}
