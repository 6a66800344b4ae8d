//! The operations, each written once over a transaction of either engine. An operation that is here is in neither engine.

pub(super) mod accept;
pub(super) mod account_traits;
pub(super) mod admin;
pub(super) mod audit;
pub(super) mod bulk;
pub(super) mod clock_rollback;
pub(super) mod conversations;
pub(super) mod erase;
pub(super) mod events;
pub(super) mod find;
pub(super) mod in_doubt;
pub(super) mod inbound;
pub(super) mod journey;
pub(super) mod manual;
pub(super) mod matches;
pub(super) mod operators;
pub(super) mod outbound;
pub(super) mod pauses;
pub(super) mod pending_question;
pub(super) mod places;
pub(super) mod purge;
pub(super) mod responses;
pub(super) mod stale;
pub(super) mod tail;
pub(super) mod text_index;
pub(super) mod unreadable;
