//! `bridge messages tail`: what happens, one line each, until Ctrl-C.

use std::io::Write as _;
use std::time::Duration;

use super::find::failure;
use super::output::Failure;
use crate::config::Config;
use crate::ops::tail::{LeftOut, Tail, TailFilter, TailLine, TailUpdate};
use crate::store::Store;
use crate::telemetry::{harmless, harmless_json};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// What to show.
#[derive(Debug, clap::Args)]
pub(super) struct TailArgs {
    /// Only those of this channel (its name in the configuration)
    #[arg(long)]
    channel: Option<String>,
    /// Only those of this contact: its number, or its custom contact id
    #[arg(long)]
    contact: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Prints what happens until Ctrl-C, or until whatever reads it has gone.
pub(super) async fn run(arguments: TailArgs, config: &Config, store: &dyn Store) -> Result<(), Failure> {
    let TailArgs { channel, contact, json } = arguments;
    let mut tail = Tail::begin(store, config, TailFilter { channel, contact }).await.map_err(failure)?;
    let _ = writeln!(std::io::stderr().lock(), "what happens from now on; Ctrl-C ends it");
    let mut failing = false;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let TailUpdate { lines, left_out } = match tail.look(store).await {
            Ok(news) => news,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    let words = harmless(&format!("the store cannot be read: {error}; trying again"));
                    let _ = writeln!(std::io::stderr().lock(), "{words}");
                }
                continue;
            }
        };
        failing = false;
        let text: String = lines.iter().map(|line| shown(line, json)).collect();
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(anyhow::Error::new)?,
        }
        if let Some(LeftOut { since_ms, until_ms, lines }) = left_out {
            let (since, until) = (crate::ops::find::time(since_ms), crate::ops::find::time(until_ms));
            let count = if lines > 0 { format!(" ({lines} lines at least)") } else { String::new() };
            let _ = writeln!(
                std::io::stderr().lock(),
                "more happened than is shown here between {since} and {until}{count}: `bridge messages find --since {since} --until \
                 {until}` has what was stored then"
            );
        }
    }
}

fn shown(line: &TailLine, json: bool) -> String {
    let at = crate::ops::find::time(line.at_ms);
    if json {
        return harmless_json(&line.json(&at).to_string()) + "\n";
    }
    let TailLine { channel, contact, side, m_id, words, .. } = line;
    format!("{at}\t{channel}\t{}\t{}\t{m_id}\t{}\n", harmless(contact), side.as_str(), harmless(words))
}
