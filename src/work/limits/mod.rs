//! Limits of calls to the platforms: a rate limiter, circuit breakers, and feedback of call results.

pub(super) mod call_permit;
pub(super) mod circuit_breaker;
mod poison;
pub(super) mod rate_limiter;
pub(super) mod refusals;
pub(super) mod upstream;
