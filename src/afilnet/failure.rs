//! Classifies calls without a response.

use std::error::Error as _;

use super::classify::Failure;
use crate::domain::Fault;
use crate::domain::lease_deadline::LeaseExpired;

/// Returns why no response came (afilnet.md section 4): a failed connect has sent no byte, any other failure may have.
pub(super) fn failure(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::BeforeSend(Fault::WrongService("request_not_built".into()));
    }
    if error.is_connect() {
        // rustls's error type is not accessible here; this is its text for a bad certificate (rustls 0.23).
        let certificate = links(error).any(|link| link.to_string().contains("invalid peer certificate"));
        return Failure::BeforeSend(if certificate { Fault::Certificate } else { Fault::Unreachable });
    }
    if links(error).any(<dyn std::error::Error>::is::<LeaseExpired>) {
        return Failure::BeforeSend(Fault::Interrupted);
    }
    Failure::AfterSend(if error.is_timeout() { Fault::TimedOut } else { Fault::ConnectionLost })
}

/// Returns the causes of `error`, outermost first, without `error` itself, which prints the URL.
pub(super) fn links(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |link| (**link).source())
}
