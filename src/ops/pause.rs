//! Pauses by hand: what a person stops of a channel, and goes on with. They hold from the moment that they are stored.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::find::{Refusal, check_channel};
use crate::config::Config;
use crate::domain::clock::now_ms;
use crate::domain::journey::Operator;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{ChannelName, Language};
use crate::store::{Paused, Store};

/// The result of beginning or ending a pause.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    channel: String,
    kind: PauseKind,
    zone: TimeZone,
    pub(crate) change: Change,
}

/// The change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Messages fail once they have waited for `stale_after`.
    Paused {
        stale_after: Option<Duration>,
    },
    /// Nothing: it was paused before.
    Already(OperatorPause),
    Resumed(OperatorPause),
    /// Nothing: it is not paused so.
    NotPaused,
}

/// Pauses a part of `channel`.
///
/// # Errors
/// A channel that does not exist, or no reason; or the store could not be written.
pub(crate) async fn pause(
    store: &dyn Store,
    config: &Config,
    channel: &str,
    kind: PauseKind,
    by: Operator,
) -> Result<Outcome, Refusal> {
    let name = known(store, config, channel).await?;
    if by.why().is_none() {
        return Err(Refusal::Request("say why, for those who find the channel paused: --why TEXT".into()));
    }
    let change = match store.pause(&name, kind, by, now_ms()).await? {
        Paused::Now => Change::Paused { stale_after: config.outbound.stale_after },
        Paused::Already(lasting) => Change::Already(lasting),
    };
    Ok(Outcome { channel: channel.to_owned(), kind, zone: config.time_zone_of(channel), change })
}

/// Ends a pause.
///
/// # Errors
/// A channel that does not exist; or the store could not be written.
pub(crate) async fn resume(
    store: &dyn Store,
    config: &Config,
    channel: &str,
    kind: PauseKind,
    by: Operator,
) -> Result<Outcome, Refusal> {
    let name = known(store, config, channel).await?;
    let change = store.resume(&name, kind, by, now_ms()).await?.map_or(Change::NotPaused, Change::Resumed);
    Ok(Outcome { channel: channel.to_owned(), kind, zone: config.time_zone_of(channel), change })
}

impl Outcome {
    /// Returns whether anything was changed.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.change, Change::Paused { .. } | Change::Resumed(_))
    }

    /// Returns what happened and what follows, without a full stop.
    pub(crate) fn sentence(&self, language: Language) -> String {
        let Self { channel, kind, zone, change } = self;
        match (change, language) {
            (Change::Paused { stale_after }, Language::En) => {
                format!("channel `{channel}`: {}", follows(*kind, *stale_after, language))
            }
            (Change::Paused { stale_after }, Language::Es) => {
                format!("canal `{channel}`: {}", follows(*kind, *stale_after, language))
            }
            (Change::Already(lasting), Language::En) => format!(
                "nothing was changed, it is paused already: channel `{channel}`: {}",
                lasting.description(zone, language)
            ),
            (Change::Already(lasting), Language::Es) => {
                format!(
                    "no se ha cambiado nada, ya está en pausa: canal `{channel}`: {}",
                    lasting.description(zone, language)
                )
            }
            (Change::Resumed(ended), Language::En) => {
                let (rest, since) = (goes_on(*kind, language), ended.since(zone));
                format!("channel `{channel}`: {rest}. It was paused by {} since {since}: {}", ended.who, ended.why)
            }
            (Change::Resumed(ended), Language::Es) => {
                let (rest, since) = (goes_on(*kind, language), ended.since(zone));
                format!(
                    "canal `{channel}`: {rest}. Estaba en pausa por orden de {} desde {since}: {}",
                    ended.who, ended.why
                )
            }
            (Change::NotPaused, Language::En) => {
                format!("channel `{channel}` is not paused by hand (`{}`): nothing was changed", kind.name())
            }
            (Change::NotPaused, Language::Es) => {
                format!("el canal `{channel}` no está en pausa a mano (`{}`): no se ha cambiado nada", kind.name())
            }
        }
    }

    /// Returns how the command line goes on from the sentence: the command that ends the pause, or lists those that last.
    pub(crate) fn next_command(&self) -> String {
        let Self { channel, kind, change, .. } = self;
        match change {
            Change::Paused { .. } => format!(". It lasts until `bridge channels resume {channel} {}`", kind.name()),
            Change::Already(_) => format!(". `bridge channels resume {channel} {}` ends it", kind.name()),
            Change::Resumed(_) => String::new(),
            Change::NotPaused => "; `bridge channels pauses` shows what is".to_owned(),
        }
    }
}

/// Returns what follows from a pause, in words; messages fail once they have waited for `stale_after`.
pub(crate) fn follows(kind: PauseKind, stale_after: Option<Duration>, language: Language) -> String {
    let [english, spanish] = match kind {
        PauseKind::Out => [
            "from now on nothing more of it is sent. What is under way ends; messages are accepted and kept in their order, and \
             the time does not count in their ages",
            "desde ahora no se envía nada más de él. Lo que está en curso termina; los mensajes se aceptan y se guardan en su \
             orden, y el tiempo no cuenta en su edad",
        ],
        PauseKind::In => [
            "within a second nothing more of it is posted to BonyChat. What is under way ends; what customers write is read and \
             kept in its order, and the time does not count in its age",
            "en un segundo no se entrega nada más de él a BonyChat. Lo que está en curso termina; lo que escriben los clientes \
             se lee y se guarda en su orden, y el tiempo no cuenta en su edad",
        ],
        PauseKind::Drain => [
            "within a second, over PostgreSQL at once, /message answers 503 for it, and BonyChat shows its agents that messages \
             were not taken; what waits goes out",
            "en un segundo, con PostgreSQL al momento, /message responde 503 para él, y BonyChat muestra a sus agentes que los \
             mensajes no se aceptaron; lo que espera sale",
        ],
    };
    let stale = stale_after.filter(|_| kind == PauseKind::Out).map(humantime::format_duration);
    match (language, stale) {
        (Language::En, None) => english.to_owned(),
        (Language::Es, None) => spanish.to_owned(),
        (Language::En, Some(after)) => format!(
            "{english}; but what waits for longer than outbound.stale_after ({after}) fails, and its agent is told"
        ),
        (Language::Es, Some(after)) => {
            format!("{spanish}; pero lo que espera más de outbound.stale_after ({after}) falla, y se avisa a su agente")
        }
    }
}

/// Returns what follows from the end of a pause.
pub(crate) fn goes_on(kind: PauseKind, language: Language) -> &'static str {
    let [english, spanish] = match kind {
        PauseKind::Out => [
            "what waits is sent, within seconds where a bridge runs",
            "lo que espera se envía, en segundos si hay un puente en marcha",
        ],
        PauseKind::In => [
            "what waits is posted to BonyChat, within seconds where a bridge runs",
            "lo que espera se entrega a BonyChat, en segundos si hay un puente en marcha",
        ],
        PauseKind::Drain => {
            ["/message accepts messages again, within seconds", "/message vuelve a aceptar mensajes, en segundos"]
        }
    };
    match language {
        Language::En => english,
        Language::Es => spanish,
    }
}

/// Returns the pauses that last, by channel.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn lasting(store: &dyn Store) -> Result<Vec<OperatorPause>, Refusal> {
    Ok(store.operator_pauses().await?)
}

async fn known(store: &dyn Store, config: &Config, channel: &str) -> Result<ChannelName, Refusal> {
    check_channel(store, config, channel).await?;
    channel.parse().map_err(|_| Refusal::Request(format!("`{channel}` is no name of a channel")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_sends_names_what_fails_meanwhile_where_something_does() {
        let quarter = Some(Duration::from_mins(15));
        let told = follows(PauseKind::Out, quarter, Language::En);
        assert!(
            told.ends_with("; but what waits for longer than outbound.stale_after (15m) fails, and its agent is told"),
            "{told}"
        );
        for (kind, stale_after) in [(PauseKind::Out, None), (PauseKind::In, quarter), (PauseKind::Drain, quarter)] {
            assert!(!follows(kind, stale_after, Language::Es).contains("stale_after"));
        }
    }
}
