//! AnnA's side: the only room that knows the wire of its "Corporate User" API (contract: anna.md). `app` builds one
//! [`AnnaClient`] for the process and hands a resolver over it to each channel that fills in placeholders. Without `[anna]`
//! nothing here is built.

mod circuit_breaker;
mod client;
mod error;
mod resolver;
mod token;
mod wire;

pub(crate) use self::client::AnnaClient;
pub(crate) use self::error::AnnaError;
pub(crate) use self::resolver::AnnaResolver;
pub(crate) use self::wire::{ENDPOINTS, Filters, Person, Request};
