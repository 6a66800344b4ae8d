//! Values that cannot be wrong and rules without I/O. Every other room may use this one; it uses none.

pub(crate) mod agent_text;
pub(crate) mod blank;
pub(crate) mod canary;
pub(crate) mod charset;
pub(crate) mod clock;
pub(crate) mod contact;
pub(crate) mod content;
pub(crate) mod content_type;
pub(crate) mod entities;
pub(crate) mod event;
pub(crate) mod excerpt;
pub(crate) mod find;
mod folding;
pub(crate) mod gram_lists;
pub(crate) mod ids;
pub(crate) mod journey;
pub(crate) mod lease_deadline;
pub(crate) mod link;
pub(crate) mod matching;
pub(crate) mod operator_pause;
pub(crate) mod pending_question;
mod phone_number;
pub(crate) mod placeholder;
pub(crate) mod ports;
pub(crate) mod reconcile;
pub(crate) mod redaction;
pub(crate) mod row;
pub(crate) mod span;
pub(crate) mod verdict;
mod wording;

pub(crate) use contact::{Chat, IdType, PHONE_DIGITS, bare_number, same_digits};
pub(crate) use content::Content;
pub(crate) use event::{Event, EventBody, StatusValue};
pub(crate) use ids::{CONTACT_ID_SIGNS, MOST_CONTACT_ID, MOST_M_ID};
pub(crate) use ids::{ChannelId, ChannelName, ContactId, Destination, IdempotencyKey, MId, Platform};
pub(crate) use lease_deadline::LeaseDeadline;
pub(crate) use link::Reach;
pub(crate) use pending_question::PendingQuestion;
pub(crate) use placeholder::{Placeholder, Replacement, Template};
pub(crate) use ports::{Messenger, PlaceholderResolver, Webhook};
pub(crate) use row::{AfilnetRow, Direction, RowTime};
pub(crate) use verdict::{
    Called, Delivery, Fault, Language, ReadError, Response, RetryPolicy, Scope, Verdict, until_probe,
};
pub(crate) use wording::{Wording, Wordings};
