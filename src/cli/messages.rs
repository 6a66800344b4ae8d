//! `bridge messages`: what became of outbound messages, and what a person decides of them. Works on the store, beside a
//! running bridge or without one.

use std::sync::Arc;

use clap::Subcommand;
use secrecy::ExposeSecret as _;

use crate::config::{Config, LogContacts, StoreUrl};
use crate::domain::Fault;
use crate::domain::clock::now_ms;
use crate::domain::sentence::{Got, sentence};
use crate::store::{Decision, Filter, Listed, PostgresStore, SqliteStore, Store};

/// What to look at.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List messages, newest first, one a line: mId, channel, contact, state, kind, attempts, accepted, done, fault
    List {
        /// Only those in this state: queued, sending, unknown, sent, failed, unconfirmed
        #[arg(long, value_parser = ["queued", "sending", "unknown", "sent", "failed", "unconfirmed"])]
        state: Option<String>,
        /// Only those of this channel (its name in the configuration)
        #[arg(long)]
        channel: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Contacts in full, where the configuration masks them
        #[arg(long)]
        contacts: bool,
        /// JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Say what became of a message that may have been delivered (state unknown or unconfirmed)
    Settle {
        /// The mId that /message answered
        m_id: String,
        /// delivered: the customer has it. failed: the customer does not, and it is not sent again. send-again: now
        #[arg(long = "as", value_parser = ["delivered", "failed", "send-again"])]
        how: String,
    },
    /// Show one message
    Show {
        /// The mId that /message answered
        m_id: String,
    },
}

pub(super) async fn run(command: Command, config: &Config) -> anyhow::Result<()> {
    let store = visit(&config.store.url).await?;
    let (found, full, json, m_id) = match command {
        Command::Settle { m_id, how } => {
            let settled = settle(store.as_ref(), config, &m_id, &how).await;
            store.close().await;
            return settled;
        }
        Command::List { state, channel, limit, contacts, json } => {
            (store.list(Filter { state, channel, limit }).await, contacts, json, None)
        }
        Command::Show { m_id } => {
            let found = store.show(m_id.clone()).await.map(|found| found.into_iter().collect::<Vec<_>>());
            (found, true, true, Some(m_id))
        }
    };
    store.close().await;
    let mut found = found?;
    if let (true, Some(m_id)) = (found.is_empty(), m_id) {
        anyhow::bail!(
            "there is no message `{m_id}` in this store: was it another bridge, or longer ago than keep_rows?"
        );
    }
    if !full && config.log.contacts == LogContacts::Masked {
        for row in &mut found {
            if let Ok(contact) = row.contact.parse() {
                row.contact = crate::telemetry::contact(&contact).to_string();
            }
        }
    }
    super::print(&found.iter().map(|row| line(row, json)).collect::<String>())
}

/// Opens the store as it is, beside a running bridge or without one.
async fn visit(url: &StoreUrl) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match url {
        StoreUrl::Sqlite(file) => Arc::new(SqliteStore::visit(file)?),
        StoreUrl::Postgres(url) => Arc::new(PostgresStore::visit(url.expose_secret()).await?),
    })
}

/// Settles a message in doubt, and says what follows.
async fn settle(store: &dyn Store, config: &Config, m_id: &str, how: &str) -> anyhow::Result<()> {
    let decision = match how {
        "delivered" => Decision::Delivered,
        "failed" => Decision::Failed,
        _ => Decision::SendAgain,
    };
    let notice = sentence(&Fault::Other("SETTLED_BY_HAND".into()), Got::No, config.language);
    let before = store.decide(m_id.to_owned(), decision, notice, now_ms()).await?;
    match before.as_deref() {
        None => anyhow::bail!("there is no message `{m_id}` in this store: nothing was changed"),
        Some("unknown" | "held" | "unconfirmed") => super::print(match decision {
            Decision::Delivered => "settled as delivered: its conversation goes on\n",
            Decision::Failed => "settled as failed: it is not sent, its agent is told, and its conversation goes on\n",
            Decision::SendAgain => "it is sent again now, before anything else that waits in its conversation\n",
        }),
        Some(state) => anyhow::bail!(
            "message `{m_id}` is {state}: only one that may have been delivered (unknown, unconfirmed) can be settled; \
             nothing was changed"
        ),
    }
}

fn line(row: &Listed, json: bool) -> String {
    if json {
        return serde_json::to_string(row).unwrap_or_default() + "\n";
    }
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| t.to_string());
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
        row.m_id,
        row.channel,
        row.contact,
        row.state,
        row.kind,
        row.attempt,
        time(row.accepted_ms),
        row.done_ms.map_or_else(|| "-".to_owned(), time),
        row.fault.as_deref().unwrap_or("-")
    )
}
