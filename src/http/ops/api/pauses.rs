//! Pauses by hand of a channel, by the API.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::json;

use super::call::{Failure, OperatorRequest, answer, order};
use crate::domain::Language;
use crate::domain::operator_pause::PauseKind;
use crate::http::ops::OperatorState;
use crate::ops::find::Refusal;
use crate::ops::pause::{self, Change, Outcome};

/// What of a channel, and why.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    what: PauseKind,
    why: Option<String>,
}

/// `POST /channels/{name}/pause`
pub(super) async fn pause(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about: channel, person, by, body } =
        order(request, None, |body: &Part| body.why.as_deref()).await?;
    if by.why().is_none() {
        let words = "say why, for those who find the channel paused: `why`; nothing was changed";
        return Err(Failure::Request(words.to_owned()));
    }
    if !person.sees(&channel) {
        return Err(unseen());
    }
    changed(pause::pause(state.store(), &state.config(), &channel, body.what, by).await)
}

/// `POST /channels/{name}/resume`
pub(super) async fn resume(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about: channel, person, by, body } =
        order(request, None, |body: &Part| body.why.as_deref()).await?;
    if !person.sees(&channel) {
        return Err(unseen());
    }
    changed(pause::resume(state.store(), &state.config(), &channel, body.what, by).await)
}

/// Returns what is said of a channel that this person does not see, as of one that there is not.
fn unseen() -> Failure {
    Failure::Missing("none of your channels has this name; nothing was changed".to_owned())
}

fn changed(outcome: Result<Outcome, Refusal>) -> Result<Response, Failure> {
    match outcome {
        Ok(outcome) if outcome.is_done() => Ok(answer(&json!({ "done": outcome.sentence(Language::En) }))),
        Ok(outcome) => {
            let by_whom = match &outcome.change {
                Change::Already(_) => "; POST /api/v1/channels/{name}/resume ends it",
                _ => "; GET /api/v1/channels shows what is",
            };
            Err(Failure::Conflict(outcome.sentence(Language::En) + by_whom))
        }
        Err(Refusal::Channel { names, .. }) => {
            let words = format!("no channel has this name; nothing was changed: use one of {}", names.join(", "));
            Err(Failure::Missing(words))
        }
        Err(refusal) => Err(refusal.into()),
    }
}
