//! What may call the far sides, and when: a rate limiter, circuit breakers, and what each call's result says about them.

pub(super) mod call_permit;
pub(super) mod circuit_breaker;
mod poison;
pub(super) mod rate_limiter;
pub(super) mod refusals;
pub(super) mod upstream;
