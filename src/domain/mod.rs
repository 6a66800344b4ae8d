//! Values that cannot be wrong and rules without I/O. Every other room may name this one; it names none.

pub(crate) mod blank;
pub(crate) mod choice;
pub(crate) mod clock;
pub(crate) mod contact;
pub(crate) mod content;
pub(crate) mod entities;
pub(crate) mod event;
pub(crate) mod fence;
pub(crate) mod ids;
pub(crate) mod ledger;
pub(crate) mod link;
pub(crate) mod looks;
#[cfg(test)]
pub(crate) mod mutant;
pub(crate) mod row;
pub(crate) mod sentence;
pub(crate) mod traits;
pub(crate) mod verdict;

pub(crate) use choice::Choice;
pub(crate) use contact::{IdType, PHONE_DIGITS, bare_number};
pub(crate) use content::Content;
pub(crate) use event::{Event, EventBody, StatusValue};
pub(crate) use fence::Fence;
pub(crate) use ids::{CONTACT_ID_SIGNS, MOST_CONTACT_ID, MOST_M_ID};
pub(crate) use ids::{ChannelId, ChannelName, ContactId, Destination, IdempotencyKey, MId, Platform};
pub(crate) use link::Reach;
pub(crate) use row::{Direction, Row, RowTime};
pub(crate) use traits::{Messenger, Webhook};
pub(crate) use verdict::{Delivery, Fault, Language, ReadError, RetryPolicy, Scope, Verdict};
