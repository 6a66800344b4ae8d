//! The seam between operations and engines: statements. Each operation of `ops` is written once, over a transaction of
//! either engine; what the engines do differently is a method of its own.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::sql_bulk::BulkByIds;
use super::sql_find::ByIds;
use super::{NewOutbound, StoreError};
use crate::domain::MId;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A transaction under way, or a connection that only reads. Statements number their placeholders, `$1` first.
pub(super) trait Tx {
    /// Retention's statements.
    const RETENTION: Retention;

    /// Returns the id of the conversation with a contact of a channel, and locks it.
    const FIND_CONVERSATION: &'static str;

    /// Creates the conversation with a contact of a channel, with its first destination. Returns its id; another process
    /// may create it at the same time.
    const ADD_CONVERSATION: &'static str;

    /// Returns the newest epoch of a channel, which stays the newest until the end of the transaction.
    const EPOCH: &'static str;

    /// Statements that take a list of ids.
    const BY_IDS: ByIds;

    /// Those that describe messages which are decided together.
    const BULK_BY_IDS: BulkByIds;

    /// Ends each statement that takes longer, from now to the end of the operation.
    async fn limit_statements(&mut self, within: Duration) -> Result<(), StoreError>;

    /// Returns the number of changed rows.
    async fn execute(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<u64, StoreError>;

    /// Returns all rows of a statement.
    async fn rows<R: FromRow>(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<Vec<R>, StoreError>;

    /// Locks a conversation until the end of the transaction. Everything that changes its rows does this first, so that
    /// operations on one conversation come one after another, and each sees what those before it did.
    async fn lock(&mut self, conversation: i64) -> Result<(), StoreError>;

    /// Locks what is stored of a channel until the end of the transaction. Its epoch may be read meanwhile.
    async fn lock_channel(&mut self, channel: &str) -> Result<(), StoreError>;

    /// Returns those of these events that wait for another process to respond to the call that they belong to.
    async fn held_events(&mut self, events: &[i64]) -> Result<Vec<i64>, StoreError>;

    /// Returns lanes of a channel that are due, `limit` at most, and locks them: live ones first, of which the customer has
    /// written since `live_since_ms`.
    async fn due_lanes(
        &mut self,
        channel: &str,
        live_since_ms: i64,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Lane>, StoreError>;

    /// Returns those of these messages for which a caller waits at another process, and for how many more milliseconds.
    async fn awaited(&mut self, outbound_ids: &[i64]) -> Result<Vec<(i64, i64)>, StoreError>;

    /// Holds the newest event of a conversation back for as long, for a caller at another process to take it as its response.
    async fn hold_event(&mut self, conversation: i64, left_ms: i64) -> Result<(), StoreError>;

    /// Returns those of these contacts with which a conversation is stored.
    async fn known_contacts(&mut self, channel: &str, contacts: Vec<String>) -> Result<Vec<String>, StoreError>;

    /// Adds a message, last of its conversation, which is locked. Returns whether others are queued before it.
    async fn add_outbound(&mut self, conversation: i64, new: &NewOutbound, content: &str) -> Result<bool, StoreError>;

    /// This process responds with this mId again.
    async fn respond_again(&mut self, m_id: &MId) -> Result<(), StoreError>;

    /// Records that a response of this process was lost, unless another with the same mId was received or is under way.
    async fn lose_response(&mut self, m_id: &MId) -> Result<(), StoreError>;

    /// Locks the messages with these mIds of which the response may still be recorded, until the end of the transaction.
    /// Returns those that another transaction has locked, without waiting for it.
    async fn lock_responses(&mut self, m_ids: Vec<String>) -> Result<Vec<String>, StoreError>;

    /// Locks who owns a channel until the end of the transaction.
    async fn lock_owner(&mut self, channel: &str) -> Result<(), StoreError>;

    /// Returns how many other processes share the store.
    async fn other_processes(&mut self) -> Result<i64, StoreError>;

    /// Erases what responses to the steps of these messages or events ([`super::ops::journey::OF_MESSAGE`]) began with.
    async fn wipe_excerpts(&mut self, subject: &'static str, ids: &[i64]) -> Result<(), StoreError>;

    /// Deletes the steps of these messages or events, after their excerpts.
    async fn delete_steps(&mut self, subject: &'static str, ids: &[i64]) -> Result<(), StoreError>;

    /// Returns the stored form of an identity, short enough for the engine's index.
    fn indexed(identity: &str) -> Cow<'_, str> {
        identity.into()
    }

    /// Returns the row of a statement that has one or none.
    async fn optional<R: FromRow>(
        &mut self,
        statement: &'static str,
        args: &[Value<'_>],
    ) -> Result<Option<R>, StoreError> {
        Ok(self.rows(statement, args).await?.into_iter().next())
    }

    /// Returns the ids that a statement returns.
    async fn ids(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<Vec<i64>, StoreError> {
        Ok(self.rows::<(i64,)>(statement, args).await?.into_iter().map(|(id,)| id).collect())
    }

    /// Returns the value of a statement that always has one.
    async fn one<C: Cell>(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<C, StoreError> {
        let row: Option<(C,)> = self.optional(statement, args).await?;
        row.map(|(value,)| value).ok_or_else(|| corrupt(table(statement))(Box::new(NoRow)))
    }

    /// Changes exactly one row; `Stale` if it is no longer as expected.
    async fn change(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<(), StoreError> {
        if self.execute(statement, args).await? == 1 { Ok(()) } else { Err(StoreError::Stale) }
    }
}

/// A lane that is due, and the head of its queue.
pub(super) struct Lane {
    pub(super) conversation: i64,
    pub(super) contact: String,
    pub(super) destination: String,
    pub(super) head: Option<i64>,
}

impl FromRow for Lane {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let (conversation, contact, destination, head) = FromRow::from_row(row)?;
        Ok(Self { conversation, contact, destination, head })
    }
}

/// Statements that erase texts and delete rows older than `$1`, `$2` of them at most. Those of messages and events return
/// their ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) wipe_outbound: &'static str,
    pub(super) wipe_events: &'static str,
    pub(super) wipe_choices: &'static str,
    pub(super) drop_outbound: &'static str,
    pub(super) drop_events: &'static str,
}

/// A value that a statement takes: columns are texts and integers, and PostgreSQL wants to know of a NULL which.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(Cow<'a, str>),
    NoInt,
    NoText,
}

/// Values of a statement, in the order of its placeholders.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::tx::Value::from($value)),*] };
}
pub(super) use values;

macro_rules! from {
    ($($type:ty => |$value:ident| $made:expr),* $(,)?) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self { $made }
        })*
    };
}

from! {
    i64 => |value| Self::Int(value),
    &'a i64 => |value| Self::Int(*value),
    u32 => |value| Self::Int(value.into()),
    &'a u32 => |value| Self::Int((*value).into()),
    Option<i64> => |value| value.map_or(Self::NoInt, Self::Int),
    bool => |value| Self::Int(value.into()),
    &'a str => |value| Self::Text(value.into()),
    String => |value| Self::Text(value.into()),
    &'a String => |value| Self::Text(value.as_str().into()),
    &'a Option<i64> => |value| value.map_or(Self::NoInt, Self::Int),
    &'a Option<String> => |value| value.as_deref().map_or(Self::NoText, |text| Self::Text(text.into())),
    Option<&'a str> => |value| value.map_or(Self::NoText, |text| Self::Text(text.into())),
    Option<String> => |value| value.map_or(Self::NoText, |text| Self::Text(text.into())),
}

/// A row as an engine returns it. An error: the value has another type.
pub(super) trait Columns {
    fn int(&self, at: usize) -> Result<Option<i64>, BoxError>;
    fn text(&self, at: usize) -> Result<Option<String>, BoxError>;
}

/// A value of a row.
pub(super) trait Cell: Sized {
    fn read(row: &dyn Columns, at: usize) -> Result<Self, BoxError>;
}

impl Cell for Option<i64> {
    fn read(row: &dyn Columns, at: usize) -> Result<Self, BoxError> {
        row.int(at)
    }
}

impl Cell for Option<String> {
    fn read(row: &dyn Columns, at: usize) -> Result<Self, BoxError> {
        row.text(at)
    }
}

impl Cell for i64 {
    fn read(row: &dyn Columns, at: usize) -> Result<Self, BoxError> {
        row.int(at)?.ok_or_else(|| NullValue.into())
    }
}

impl Cell for String {
    fn read(row: &dyn Columns, at: usize) -> Result<Self, BoxError> {
        row.text(at)?.ok_or_else(|| NullValue.into())
    }
}

impl Cell for u32 {
    fn read(row: &dyn Columns, at: usize) -> Result<Self, BoxError> {
        Ok(Self::try_from(i64::read(row, at)?)?)
    }
}

impl Cell for bool {
    fn read(row: &dyn Columns, at: usize) -> Result<Self, BoxError> {
        Ok(i64::read(row, at)? != 0)
    }
}

/// What a row is read into: a tuple of its values.
pub(super) trait FromRow: Sized {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError>;
}

macro_rules! tuples {
    ($($($cell:ident $at:literal)+;)+) => {
        $(impl<$($cell: Cell),+> FromRow for ($($cell,)+) {
            fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
                Ok(($($cell::read(row, $at)?,)+))
            }
        })+
    };
}

tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11;
}

#[derive(Debug, thiserror::Error)]
#[error("the value is NULL")]
struct NullValue;

#[derive(Debug, thiserror::Error)]
#[error("the statement returned no row")]
struct NoRow;

#[derive(Debug, thiserror::Error)]
#[error("an operation waited for something else than its engine")]
struct Waited;

/// Runs an operation of an engine that replies at once.
pub(super) fn at_once<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(StoreError::Unavailable(Arc::new(Waited))),
    }
}

/// A row that this version cannot read.
pub(super) fn corrupt(table: &'static str) -> impl Fn(BoxError) -> StoreError {
    move |source| StoreError::Corrupt { table, source: Arc::from(source) }
}

/// Returns the first table that a statement names outside parentheses, or else the first that it names.
pub(super) fn table(statement: &'static str) -> &'static str {
    let (mut depth, mut within, mut after_keyword) = (0_u32, None, false);
    for word in statement.split_inclusive([' ', '(', ')']) {
        let name = word.trim_end_matches([' ', '(', ')']);
        if after_keyword && !name.is_empty() {
            if depth == 0 {
                return name;
            }
            within = within.or(Some(name));
        }
        after_keyword = matches!(name, "FROM" | "UPDATE" | "INTO");
        match word.chars().next_back() {
            Some('(') => depth += 1,
            Some(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    within.unwrap_or("?")
}

/// Parses a stored id, naming the table where it does not decode.
pub(super) fn decode<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| corrupt(table)(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::store::{sql, sql_stale};

    #[test]
    fn a_corrupt_row_is_of_the_table_that_the_statement_is_on_and_not_of_those_that_it_compares_with() {
        for (statement, expected) in [
            (sql::BEGIN, "outbound"),
            (sql::EVENT, "events"),
            (sql::DUE_LOOKS, "outbound"),
            (sql::MARK_UNREADABLE, "outbound"),
            (sql::SHOW, "outbound"),
            (sql::ADD_EVENT, "events"),
            (sql_stale::STALE_HEADS, "conversations"),
            ("SELECT EXISTS (SELECT 1 FROM seen WHERE conversation = $1)", "seen"),
            ("SELECT 1", "?"),
        ] {
            assert_eq!(table(statement), expected, "{statement}");
        }
    }
}
