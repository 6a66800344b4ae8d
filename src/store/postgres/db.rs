//! One connection, and helpers of this engine's operations for it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{
    Arguments as _, Column as _, Connection as _, Decode, Executor as _, FromRow, PgConnection, Postgres, Row as _,
    Type, TypeInfo as _,
};

use super::sql;
use crate::domain::MId;
use crate::domain::clock::millis;
use crate::domain::ids::fingerprint;
use crate::store::sql_bulk::{self, BulkByIds};
use crate::store::sql_find::{self, ByIds};
use crate::store::tx::{BoxError, Columns, Lane, Retention, Tx, Value, corrupt, table};
use crate::store::{NewOutbound, StoreError, tx};

/// A connection inside its transaction, or alone where it only reads.
pub(super) struct Db {
    link: PgConnection,
    /// Statements stay prepared on the connection. Off behind a pooler that may give each transaction another server
    /// process.
    prepared: bool,
    /// Name of this process among those that share the store.
    me: Arc<str>,
}

/// Values of a statement, in the order of its placeholders.
macro_rules! args {
    () => { $crate::store::postgres::db::Args::default() };
    ($($value:expr),+ $(,)?) => {{
        let mut all = $crate::store::postgres::db::Args::default();
        $(all.put(&$value);)+
        all
    }};
}
pub(super) use args;

/// What [`args`] collects.
#[derive(Default)]
pub(super) struct Args {
    all: PgArguments,
    failed: Option<BoxError>,
}

impl Args {
    fn of(values: &[Value<'_>]) -> Self {
        let mut all = Self::default();
        for value in values {
            match value {
                Value::Int(value) => all.put(value),
                Value::Text(text) => all.put(text.as_ref()),
                Value::NoInt => all.put(&None::<i64>),
                Value::NoText => all.put(&None::<&str>),
            }
        }
        all
    }

    pub(super) fn put(&mut self, value: &(impl Param + ?Sized)) {
        if let Err(error) = value.add_to(&mut self.all) {
            self.failed.get_or_insert(error);
        }
    }
}

/// A value that a statement takes: columns are TEXT and BIGINT only.
pub(super) trait Param {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError>;
}

impl Param for i64 {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        all.add(*self)
    }
}

impl Param for u32 {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        all.add(i64::from(*self))
    }
}

/// PostgreSQL's TEXT cannot hold NUL, but what the platforms send may: it becomes U+FFFD, so that the conversation can
/// be recorded.
impl Param for str {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        if self.contains('\0') { all.add(self.replace('\0', "\u{fffd}")) } else { all.add(self) }
    }
}

impl Param for String {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        self.as_str().add_to(all)
    }
}

impl Param for Arc<str> {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        (**self).add_to(all)
    }
}

impl Param for Vec<String> {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        all.add(self.as_slice())
    }
}

impl Param for Vec<i64> {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        all.add(self.as_slice())
    }
}

impl<T: Param + ?Sized> Param for &T {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        (**self).add_to(all)
    }
}

impl Param for Option<i64> {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        all.add(*self)
    }
}

impl Param for Option<&str> {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        match self {
            Some(text) => text.add_to(all),
            None => all.add(None::<&str>),
        }
    }
}

impl Param for Option<String> {
    fn add_to(&self, all: &mut PgArguments) -> Result<(), BoxError> {
        self.as_deref().add_to(all)
    }
}

impl Tx for Db {
    const RETENTION: Retention = Retention {
        wipe_outbound: sql::WIPE_OUTBOUND,
        wipe_events: sql::WIPE_EVENTS,
        wipe_choices: sql::WIPE_CHOICES,
        drop_outbound: sql::DROP_OUTBOUND,
        drop_events: sql::DROP_EVENTS,
    };
    const FIND_CONVERSATION: &'static str = sql::CONVERSATION_LOCKED;
    const ADD_CONVERSATION: &'static str = sql::CONVERSATION_MADE;
    const EPOCH: &'static str = sql::EPOCH_HELD;
    const BY_IDS: ByIds = sql_find::POSTGRES;
    const BULK_BY_IDS: BulkByIds = sql_bulk::POSTGRES;

    async fn limit_statements(&mut self, within: Duration) -> Result<(), StoreError> {
        let ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX).max(1);
        Self::one::<String>(self, sql::LIMIT_STATEMENTS, args![ms.to_string()]).await.map(drop)
    }

    async fn execute(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<u64, StoreError> {
        Self::execute(self, statement, Args::of(args)).await
    }

    async fn rows<R: tx::FromRow>(
        &mut self,
        statement: &'static str,
        args: &[Value<'_>],
    ) -> Result<Vec<R>, StoreError> {
        let found = self.fetch(statement, Args::of(args)).await?;
        found.iter().map(|row| R::from_row(row).map_err(corrupt(table(statement)))).collect()
    }

    async fn lock(&mut self, conversation: i64) -> Result<(), StoreError> {
        Self::execute(self, sql::LOCK_CONVERSATION, args![conversation]).await.map(drop)
    }

    async fn lock_channel(&mut self, channel: &str) -> Result<(), StoreError> {
        Self::execute(self, sql::CHANNEL_LOCKED, args![channel]).await.map(drop)
    }

    async fn held_events(&mut self, events: &[i64]) -> Result<Vec<i64>, StoreError> {
        let held: Vec<(i64,)> = Self::rows(self, sql::HELD, args![events.to_vec()]).await?;
        Ok(held.into_iter().map(|(event,)| event).collect())
    }

    async fn due_lanes(
        &mut self,
        channel: &str,
        live_since_ms: i64,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Lane>, StoreError> {
        type Due = (i64, String, String);
        let mut due: Vec<Due> = Self::rows(self, sql::LANES_LIVE, args![channel, live_since_ms, now_ms, limit]).await?;
        let more = limit.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
        if more > 0 {
            let taken: Vec<i64> = due.iter().map(|(lane, ..)| *lane).collect();
            due.extend(Self::rows::<Due>(self, sql::LANES_ANY, args![channel, now_ms, taken, more]).await?);
        }
        let all: Vec<i64> = due.iter().map(|(lane, ..)| *lane).collect();
        let heads: Vec<(i64, Option<i64>)> =
            if all.is_empty() { Vec::new() } else { Self::rows(self, sql::HEADS, args![all]).await? };
        let head = |lane| heads.iter().find(|(known, _)| *known == lane).and_then(|(_, head)| *head);
        let lane = |(conversation, contact, destination)| Lane {
            conversation,
            contact,
            destination,
            head: head(conversation),
        };
        Ok(due.into_iter().map(lane).collect())
    }

    async fn awaited(&mut self, outbound_ids: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
        if outbound_ids.is_empty() {
            return Ok(Vec::new());
        }
        let me = self.me();
        Self::rows(self, sql::AWAITED, args![outbound_ids.to_vec(), me]).await
    }

    async fn hold_event(&mut self, conversation: i64, left_ms: i64) -> Result<(), StoreError> {
        Self::change(self, sql::HOLD_EVENT, args![conversation, left_ms]).await
    }

    async fn add_outbound(&mut self, conversation: i64, new: &NewOutbound, content: &str) -> Result<bool, StoreError> {
        let (me, waits_ms) = (self.me(), millis(new.waits));
        let (m_id, kind, at_ms) = (new.m_id.as_str(), new.content.kind(), new.accepted_ms);
        let values = args![conversation, m_id, kind, content, at_ms, new.request_id, me, waits_ms];
        Self::one(self, sql::ADD_OUTBOUND, values).await
    }

    async fn respond_again(&mut self, m_id: &MId) -> Result<(), StoreError> {
        let me = self.me();
        Self::execute(self, sql::ANSWER_AGAIN, args![m_id.as_str(), me]).await.map(drop)
    }

    async fn lose_response(&mut self, m_id: &MId) -> Result<(), StoreError> {
        let me = self.me();
        Self::execute(self, sql::ANSWER_LOST, args![m_id.as_str(), me]).await.map(drop)
    }

    async fn lock_responses(&mut self, m_ids: Vec<String>) -> Result<Vec<String>, StoreError> {
        let locked: Vec<(String,)> = Self::rows(self, sql::LOCK_RESPONSES, args![m_ids]).await?;
        Ok(locked.into_iter().map(|(m_id,)| m_id).collect())
    }

    async fn lock_owner(&mut self, channel: &str) -> Result<(), StoreError> {
        Self::execute(self, sql::CHANNEL_TAKEN, args![channel]).await.map(drop)
    }

    async fn other_processes(&mut self) -> Result<i64, StoreError> {
        let me = self.me();
        Self::one(self, sql::OTHERS, args![me]).await
    }

    async fn known_contacts(&mut self, channel: &str, contacts: Vec<String>) -> Result<Vec<String>, StoreError> {
        let known: Vec<(String,)> = Self::rows(self, sql::KNOWN_CONTACTS, args![channel, contacts]).await?;
        Ok(known.into_iter().map(|(contact,)| contact).collect())
    }

    async fn wipe_excerpts(&mut self, subject: &'static str, ids: &[i64]) -> Result<(), StoreError> {
        Self::execute(self, sql::WIPE_EXCERPTS, args![subject, ids.to_vec()]).await.map(drop)
    }

    async fn delete_steps(&mut self, subject: &'static str, ids: &[i64]) -> Result<(), StoreError> {
        Self::execute(self, sql::DELETE_STEPS, args![subject, ids.to_vec()]).await.map(drop)
    }

    /// PostgreSQL's index refuses texts beyond a third of a page, and Afilnet chooses its ids.
    fn indexed(identity: &str) -> Cow<'_, str> {
        const LONGEST: usize = 1000;
        if identity.len() <= LONGEST {
            return identity.into();
        }
        format!("{}…{}", identity.chars().take(100).collect::<String>(), fingerprint(&[identity])).into()
    }
}

impl Columns for PgRow {
    fn int(&self, at: usize) -> Result<Option<i64>, BoxError> {
        if self.column(at).type_info().name() == "BOOL" {
            return Ok(self.try_get::<Option<bool>, _>(at)?.map(i64::from));
        }
        Ok(self.try_get(at)?)
    }

    fn text(&self, at: usize) -> Result<Option<String>, BoxError> {
        Ok(self.try_get(at)?)
    }
}

impl Db {
    pub(super) fn new(link: PgConnection, prepared: bool, me: Arc<str>) -> Self {
        Self { link, prepared, me }
    }

    /// Name of this process among those that share the store.
    pub(super) fn me(&self) -> Arc<str> {
        Arc::clone(&self.me)
    }

    /// Returns the connection itself.
    pub(super) fn link(&mut self) -> &mut PgConnection {
        &mut self.link
    }

    /// Closes the connection in order, so that the server logs no error.
    pub(super) async fn close(self) {
        let _ = self.link.close().await;
    }

    /// Runs statements without values.
    pub(super) async fn run(&mut self, statements: &'static str) -> Result<(), StoreError> {
        self.link.execute(statements).await.map(drop).map_err(failed(statements))
    }

    /// Returns all rows of a statement.
    pub(super) async fn rows<T>(&mut self, statement: &'static str, args: Args) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let found = self.fetch(statement, args).await?;
        found.iter().map(|row| T::from_row(row).map_err(failed(statement))).collect()
    }

    /// Returns the row of a statement that has one or none.
    pub(super) async fn optional<T>(&mut self, statement: &'static str, args: Args) -> Result<Option<T>, StoreError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        Ok(self.rows(statement, args).await?.into_iter().next())
    }

    /// Returns the value of a statement that always has one.
    pub(super) async fn one<T>(&mut self, statement: &'static str, args: Args) -> Result<T, StoreError>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + Unpin,
    {
        let row: Option<(T,)> = self.optional(statement, args).await?;
        row.map(|(value,)| value).ok_or(sqlx::Error::RowNotFound).map_err(failed(statement))
    }

    /// Returns the number of changed rows.
    pub(super) async fn execute(&mut self, statement: &'static str, args: Args) -> Result<u64, StoreError> {
        let query = query(statement, args, self.prepared)?;
        query.execute(&mut self.link).await.map(|done| done.rows_affected()).map_err(failed(statement))
    }

    /// Changes exactly one row; `Stale` if it is no longer as expected.
    pub(super) async fn change(&mut self, statement: &'static str, args: Args) -> Result<(), StoreError> {
        if self.execute(statement, args).await? == 1 { Ok(()) } else { Err(StoreError::Stale) }
    }

    /// Returns all rows of a statement, undecoded.
    pub(super) async fn fetch(&mut self, statement: &'static str, args: Args) -> Result<Vec<PgRow>, StoreError> {
        let query = query(statement, args, self.prepared)?;
        query.fetch_all(&mut self.link).await.map_err(failed(statement))
    }
}

fn query(
    statement: &'static str,
    args: Args,
    prepared: bool,
) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>, StoreError> {
    if let Some(error) = args.failed {
        return Err(failed(statement)(sqlx::Error::Encode(error)));
    }
    Ok(sqlx::query_with(statement, args.all).persistent(prepared))
}

/// Returns the error for a statement: `Corrupt` for rows that do not decode, `Unavailable` for the rest.
pub(super) fn failed(statement: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match error {
        error @ (sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }) => corrupt(table(statement))(Box::new(error)),
        error => StoreError::Unavailable(Arc::new(error)),
    }
}
