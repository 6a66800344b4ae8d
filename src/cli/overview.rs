//! `bridge overview`: whether anything needs a person, and how each channel is.

use std::fmt::Write as _;

use super::output::print;
use crate::config::Config;
use crate::domain::Language;
use crate::domain::clock::{now_ms, since};
use crate::domain::span::span;
use crate::ops::find::time;
use crate::ops::overview::{ChannelState, Overview, View, overview};
use crate::store::open;
use crate::telemetry::{harmless, harmless_json};

/// How it is shown.
#[derive(Debug, clap::Args)]
pub(super) struct OverviewArgs {
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(OverviewArgs { json }: OverviewArgs, config: &Config) -> anyhow::Result<()> {
    let store = open::visitor(&config.store.url).await?;
    let found = overview(store.as_ref(), config, View::Store).await;
    store.close().await;
    let found = found?;
    if json {
        return print(&format!("{}\n", harmless_json(&serde_json::to_string(&found)?)));
    }
    print(&text(&found, config))
}

fn text(found: &Overview, config: &Config) -> String {
    let mut out = String::new();
    if found.needs_you.is_empty() {
        out.push_str("nothing needs you");
        if !found.channels.iter().all(|channel| channel.is_delivered) {
            out.push_str(", as far as the store tells");
        }
    } else {
        let _ = write!(out, "{} thing(s) need you", found.needs_you.len());
    }
    match found.pauses() {
        0 => {}
        1 => out.push_str("; 1 pause by hand lasts"),
        pauses => {
            let _ = write!(out, "; {pauses} pauses by hand last");
        }
    }
    out.push_str(if found.needs_you.is_empty() { "\n" } else { ":\n" });
    for need in &found.needs_you {
        let (channel, what, command) = (&need.channel, need.sentence(Language::En), need.command());
        let _ = writeln!(out, "- {}: {}: `{}`", harmless(channel), harmless(&what), harmless(&command));
    }
    out.push('\n');
    for channel in &found.channels {
        out.push_str(&of_channel(channel));
        for pause in &channel.pauses {
            let _ = writeln!(out, "  {}", harmless(&pause.in_words(&config.time_zone_of(&channel.channel))));
        }
    }
    out
}

fn of_channel(of: &ChannelState) -> String {
    let waits = |number: u64, since_ms: Option<i64>| match since_ms.filter(|_| number > 0) {
        Some(since_ms) => format!("{number}, the oldest for {}", span(since(since_ms, now_ms()), Language::En)),
        None => number.to_string(),
    };
    let last = |at_ms: Option<i64>| at_ms.map_or_else(|| "not lately".to_owned(), time);
    let owner = of.owner.as_ref().map_or_else(String::new, |owner| format!("; delivered by {}", harmless(owner)));
    format!(
        "{}: {}. {}\n  waiting out: {}; in: {}; unconfirmed: {}; given up: {}\n  last sent: {}; last received: {}{owner}\n",
        harmless(&of.channel),
        of.condition.shown(of.is_delivered, Language::En),
        harmless(&of.sentence),
        waits(of.waits_out, of.oldest_out_ms),
        waits(of.waits_in, of.oldest_in_ms),
        of.unconfirmed,
        of.dead,
        last(of.last_sent_ms),
        last(of.last_received_ms),
    )
}
