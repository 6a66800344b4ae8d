//! Pauses by hand: what a person has stopped of a channel, until a person goes on with it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Language;

/// What is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PauseKind {
    /// Nothing is sent to Afilnet. What may have been sent is still looked up.
    Out,
    /// Nothing is posted to BonyChat. Afilnet is still read.
    In,
    /// `/message` accepts nothing, while what waits goes out.
    Drain,
}

/// The kind is not one of this version.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is nothing that can be paused: out, in or drain")]
pub(crate) struct UnknownKind(String);

impl PauseKind {
    pub(crate) const ALL: [Self; 3] = [Self::Out, Self::In, Self::Drain];

    /// Returns its name, for the store, the audit and commands.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Drain => "drain",
        }
    }

    /// Returns what does not happen meanwhile.
    pub(crate) fn meaning(self, language: Language) -> &'static str {
        let [english, spanish] = match self {
            Self::Out => [
                "Nothing is sent to customers; messages are kept in their order",
                "No se envía nada a los clientes; los mensajes se guardan en su orden",
            ],
            Self::In => [
                "Nothing is posted to BonyChat; what customers write is read and kept in its order",
                "No se entrega nada a BonyChat; lo que escriben los clientes se lee y se guarda en su orden",
            ],
            Self::Drain => [
                "/message accepts nothing and answers 503, while what waits goes out",
                "/message no acepta nada y responde 503, mientras sale lo que espera",
            ],
        };
        match language {
            Language::En => english,
            Language::Es => spanish,
        }
    }
}

impl std::str::FromStr for PauseKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// A pause that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OperatorPause {
    pub(crate) channel: String,
    pub(crate) kind: PauseKind,
    pub(crate) since_ms: i64,
    pub(crate) who: String,
    pub(crate) why: String,
}

impl OperatorPause {
    /// Returns when it began.
    pub(crate) fn since(&self, zone: &TimeZone) -> String {
        match Timestamp::from_millisecond(self.since_ms) {
            Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            Err(_) => self.since_ms.to_string(),
        }
    }

    /// Returns who has paused it, since when and why, and what does not happen meanwhile; without a full stop.
    pub(crate) fn description(&self, zone: &TimeZone, language: Language) -> String {
        let Self { kind, who, why, .. } = self;
        let (since, meaning) = (self.since(zone), kind.meaning(language));
        match language {
            Language::En => format!("paused by {who} since {since}: {why}. {meaning}"),
            Language::Es => format!("en pausa por orden de {who} desde {since}: {why}. {meaning}"),
        }
    }

    /// Returns who has paused what, since when and why, and the command that ends it, as one sentence.
    pub(crate) fn in_words(&self, zone: &TimeZone) -> String {
        let (channel, description) = (&self.channel, self.description(zone, Language::En));
        format!("channel `{channel}`: {description}. `bridge channels resume {channel} {}` ends it", self.kind.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_says_who_since_when_why_and_how_it_ends() {
        let pause = |kind| OperatorPause {
            channel: "support".into(),
            kind,
            since_ms: 1_794_687_243_112,
            who: "ana".into(),
            why: "migration".into(),
        };
        assert_eq!(
            pause(PauseKind::Out).in_words(&TimeZone::UTC),
            "channel `support`: paused by ana since 2026-11-14 20:14:03 UTC: migration. Nothing is sent to customers; \
             messages are kept in their order. `bridge channels resume support out` ends it"
        );
        for kind in PauseKind::ALL {
            assert_eq!(kind.name().parse::<PauseKind>().unwrap(), kind);
            assert!(pause(kind).in_words(&TimeZone::UTC).contains(&format!("resume support {}", kind.name())));
        }
        assert!("OUT".parse::<PauseKind>().is_err());
    }
}
