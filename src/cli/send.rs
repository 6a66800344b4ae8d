//! `bridge send`: sends one message through a running bridge on this machine, with all guarantees of `BonyChat`'s
//! messages: stored, in order, sent once, without an echo.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;

use super::output::{Failure, print};
use crate::bonychat::client_call::{OutgoingMessage, SendOutcome, call};
use crate::config::{Channel, Config};
use crate::ops::local::on_this_machine;

/// Time for a response beyond `outbound.answer_within`.
const EXTRA_TIMEOUT: Duration = Duration::from_secs(30);

/// Whom to write what.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The channel to write in (its name in the configuration); needed where there are several
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// The contact as BonyChat writes it: a phone number with its country code, or the id of a custom one
    contact: String,
    /// What to say; beside --file, its description
    #[arg(required_unless_present = "file")]
    text: Option<String>,
    /// The https link of a file to send
    #[arg(long, value_name = "URL")]
    file: Option<String>,
    /// What the file is
    #[arg(long = "as", value_parser = ["image", "video", "audio", "file"], default_value = "file", requires = "file")]
    kind: String,
}

/// Sends it and prints the result: the mId to stdout if the bridge accepted it.
pub(super) async fn run(args: SendArgs, config: &Config) -> Result<(), Failure> {
    let channel = the_channel(args.channel.as_deref(), config)?;
    let text = args.text.unwrap_or_default();
    let said = match args.file {
        Some(url) => OutgoingMessage::File { url, kind: args.kind, description: text },
        None => OutgoingMessage::Text(text),
    };
    let (address, prefix) = (on_this_machine(config.server.listen), &config.server.path_prefix);
    let within = config.outbound.answer_within + EXTRA_TIMEOUT;
    let webhook_status = call(address, prefix, &channel.api_token, &args.contact, &said, within).await;
    match webhook_status.map_err(anyhow::Error::new)? {
        SendOutcome::Taken { m_id } => {
            print(&format!("{m_id}\n"))?;
            let _ = writeln!(
                std::io::stderr().lock(),
                "The bridge has the message and delivers it. `bridge messages show {m_id}` tells what became of it."
            );
            Ok(())
        }
        SendOutcome::Refused { status: 401, .. } => Err(anyhow::anyhow!(
            "the bridge on {address} does not know the token of channel `{}`; nothing was sent. Was the configuration \
             changed since it was started? SIGHUP makes it read it again",
            channel.name
        )
        .into()),
        SendOutcome::Refused { words, .. } => Err(anyhow::anyhow!("the bridge did not take it: {words}").into()),
        SendOutcome::Nobody(why) => Err(anyhow::anyhow!(
            "no bridge answers on {address} ({why}); nothing was sent. Is it running, and is server.listen the same?"
        )
        .into()),
        SendOutcome::NoResponse(why) => Err(anyhow::anyhow!(
            "no clear answer came ({why}): the bridge may have the message. `bridge messages list` shows it if so"
        )
        .into()),
    }
}

/// Returns the channel of that name, or the only one.
fn the_channel<'a>(name: Option<&str>, config: &'a Config) -> Result<&'a Channel, Failure> {
    let known = || config.channels.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut channels = config.channels.values();
    match (name, channels.next(), channels.next()) {
        (None, Some(only), None) => Ok(only),
        (None, ..) => Err(Failure::Usage(format!("say which channel, with --channel: {}", known()))),
        (Some(name), ..) => config.channels.values().find(|channel| channel.name.as_str() == name).ok_or_else(|| {
            Failure::Usage(format!("channel `{name}` is not configured; --channel is one of {}", known()))
        }),
    }
}
