//! What is said in place of what was asked for.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::http::error;

/// Text of page and API if no person can sign in.
pub(super) const NO_TOKEN: &str = "admin.token is not set, or is shorter than 16 characters. Make one with `openssl rand -hex 32`, set it \
                        as BRIDGE__ADMIN__TOKEN or in a file that admin.token_file names, and restart the bridge. Messages go \
                        on meanwhile.";

/// What is answered to a program with a wrong token, or with none.
pub(super) const WRONG_BEARER: &str =
    "the bearer token is missing or is not that of admin.token or of one of admin.people";

/// Returns what is served where a handler panicked.
pub(super) fn broken() -> Response {
    refused(StatusCode::INTERNAL_SERVER_ERROR, "something broke inside the bridge: its log has the cause")
}

/// Returns an error as the API has it.
pub(in crate::http) fn refused(status: StatusCode, words: &str) -> Response {
    error::json(status, json!({"error": {"message": words}}).to_string())
}
