//! Guarantees of this engine beyond those of both: concurrency, broken connections, foreign databases.

mod leases;
mod opening;
mod plans;
mod together;

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::db::{self, Db};
use super::pool::Work;
use super::*;
use crate::domain::content::Text;
use crate::domain::{Content, Fault, MId};
use crate::store::Caller;
use crate::testkit::postgres::{available, fresh_schema};

/// A store in a schema of its own, and its URL. Its connections have the schema's name, so that a test can distinguish
/// them from those of concurrent tests.
async fn fresh() -> Option<(Arc<PostgresStore>, String)> {
    if !available() {
        return None;
    }
    let url = fresh_schema().await?;
    let url = format!("{url}&application_name={}", schema(&url));
    Some((Arc::new(PostgresStore::open(&url).await.unwrap()), url))
}

/// The schema that a URL of [`fresh_schema`] names.
fn schema(url: &str) -> &str {
    let named = url.rsplit("search_path%3D").next().unwrap();
    named.split('&').next().unwrap()
}

/// Runs a statement beside the store. Returns the first value of each row, as text.
async fn beside(url: &str, statement: &str) -> Vec<String> {
    let mut link = PgConnection::connect(url).await.unwrap();
    let rows = link.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))).await.unwrap();
    rows.iter().map(|row| row.try_get_unchecked(0).unwrap()).collect()
}

fn channel() -> ChannelName {
    "support".parse().unwrap()
}

fn message(contact: u32, words: &str) -> NewOutbound {
    let contact: ContactId = format!("+3460000{contact:04}").parse().unwrap();
    NewOutbound {
        m_id: MId::fresh(),
        channel: channel(),
        other_spelling: None,
        destination: contact.as_str()[1..].parse().unwrap(),
        contact,
        content: Content::Text { text: Text::new(words).unwrap() },
        request_id: "r".into(),
        accepted_ms: 10,
        key: None,
        waits: Duration::ZERO,
        is_drained: false,
        caller: Caller::stays(),
    }
}

/// A read of one customer's conversation that shows one new row.
fn reading(identity: &str) -> ConversationRead {
    ConversationRead {
        channel: channel(),
        contact: "+34600000001".parse().unwrap(),
        destination: "34600000001".parse().unwrap(),
        rows: vec![crate::store::NewRow {
            identity: identity.to_owned(),
            events: vec![crate::domain::Event {
                m_id: MId::derived(&[identity]),
                timestamp_ms: 1,
                body: crate::domain::EventBody::Message { content: message(1, "in").content },
            }],
            from_customer: true,
            fingerprint: "m".into(),
            ..crate::store::NewRow::default()
        }],
        late_flags: false,
        prompt_flags: false,
        receipts: Vec::new(),
        page: None,
        read_before_ms: None,
        listed_only: false,
        newest: None,
        position: None,
        answered: None,
        forget: Vec::new(),
        now_ms: 100,
    }
}

fn words(attempt: &Attempt) -> String {
    let Content::Text { text } = &attempt.content else { panic!("{attempt:?}") };
    text.as_str().to_owned()
}

fn sent() -> Settlement {
    Settlement::Sent { afilnet_id: None, more: false }
}
