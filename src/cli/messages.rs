//! `bridge messages`: what became of outbound messages. Looks at the store, beside a running bridge or without one.

use clap::Subcommand;

use crate::config::{Config, LogContacts, StoreUrl};
use crate::store::{Filter, Listed, SqliteStore, Store};

/// What to look at.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List messages, newest first, one a line: mId, channel, contact, state, kind, attempts, accepted, done, fault
    List {
        /// Only those in this state: queued, sending, unknown, held, sent, failed, unconfirmed
        #[arg(long, value_parser = ["queued", "sending", "unknown", "held", "sent", "failed", "unconfirmed"])]
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
    /// Show one message
    Show {
        /// The mId that /message answered
        m_id: String,
    },
}

pub(super) async fn run(command: Command, config: &Config) -> anyhow::Result<()> {
    let StoreUrl::Sqlite(file) = &config.store.url else {
        anyhow::bail!("this version keeps messages in SQLite only: set store.url to sqlite:PATH");
    };
    let store = SqliteStore::visit(file)?;
    let (found, full, json, m_id) = match command {
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
            "there is no message `{m_id}` in {}: was it another bridge, or longer ago than keep_rows?",
            file.display()
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
