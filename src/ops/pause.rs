//! Pauses by hand: what a person stops of a channel, and goes on with. They hold from the moment that they are stored.

use std::time::Duration;

use super::find::{Refusal, check_channel};
use crate::config::Config;
use crate::domain::ChannelName;
use crate::domain::clock::now_ms;
use crate::domain::journey::Operator;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::store::{Paused, Store};

/// Pauses a part of `channel`, and returns what follows, in words.
///
/// # Errors
/// A channel that does not exist, or no reason; or the store could not be written.
pub(crate) async fn pause(
    store: &dyn Store,
    config: &Config,
    channel: &str,
    kind: PauseKind,
    by: Operator,
) -> Result<String, Refusal> {
    let name = known(store, config, channel).await?;
    if by.why().is_none() {
        return Err(Refusal::Request("say why, for those who find the channel paused: --why TEXT".into()));
    }
    Ok(match store.pause(&name, kind, by, now_ms()).await? {
        Paused::Now => {
            let rest = follows(kind, config.outbound.stale_after);
            format!("channel `{channel}`: {rest}. It lasts until `bridge channels resume {channel} {}`", kind.name())
        }
        Paused::Already(lasting) => {
            format!("nothing was changed, it is paused already: {}", lasting.in_words(&config.time_zone_of(channel)))
        }
    })
}

/// Returns what follows from a pause, in words; messages fail once they have waited for `stale_after`.
fn follows(kind: PauseKind, stale_after: Option<Duration>) -> String {
    let rest = match kind {
        PauseKind::Out => {
            "from now on nothing more of it is sent. What is under way ends; messages are accepted and kept in their order, and \
             the time does not count in their ages"
        }
        PauseKind::In => {
            "within a second nothing more of it is posted to BonyChat. What is under way ends; what customers write is read and \
             kept in its order, and the time does not count in its age"
        }
        PauseKind::Drain => {
            "within a second, over PostgreSQL at once, /message answers 503 for it, and BonyChat shows its agents that messages \
             were not taken; what waits goes out"
        }
    };
    let stale = stale_after.filter(|_| kind == PauseKind::Out).map_or_else(String::new, |after| {
        format!(
            "; but what waits for longer than outbound.stale_after ({}) fails, and its agent is told",
            humantime::format_duration(after)
        )
    });
    format!("{rest}{stale}")
}

/// Ends a pause, and returns what follows, in words.
///
/// # Errors
/// A channel that does not exist, or that is not paused so; or the store could not be written.
pub(crate) async fn resume(
    store: &dyn Store,
    config: &Config,
    channel: &str,
    kind: PauseKind,
    by: Operator,
) -> Result<String, Refusal> {
    let name = known(store, config, channel).await?;
    let Some(ended) = store.resume(&name, kind, by, now_ms()).await? else {
        return Err(Refusal::Request(format!(
            "channel `{channel}` is not paused by hand (`{}`): nothing was changed; `bridge channels pauses` shows what is",
            kind.name()
        )));
    };
    let rest = match kind {
        PauseKind::Out => "what waits is sent, within seconds where a bridge runs",
        PauseKind::In => "what waits is posted to BonyChat, within seconds where a bridge runs",
        PauseKind::Drain => "/message accepts messages again, within seconds",
    };
    Ok(format!(
        "channel `{channel}`: {rest}. It was paused by {} since {}: {}",
        ended.who,
        ended.since(&config.time_zone_of(channel)),
        ended.why
    ))
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
        let told = follows(PauseKind::Out, quarter);
        assert!(
            told.ends_with("; but what waits for longer than outbound.stale_after (15m) fails, and its agent is told"),
            "{told}"
        );
        for (kind, stale_after) in [(PauseKind::Out, None), (PauseKind::In, quarter), (PauseKind::Drain, quarter)] {
            assert!(!follows(kind, stale_after).contains("stale_after"));
        }
    }
}
