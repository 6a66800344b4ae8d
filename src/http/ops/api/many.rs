//! Decisions on many messages at once, by the API: a plan says what would be done and changes nothing; to run it, it is given back as
//! it was shown. Jobs: how far each is, ending one, and going on with it.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Failure, OperatorRequest, Reason, answer, order};
use crate::config::Config;
use crate::domain::clock::now_ms;
use crate::http::ops::OperatorState;
use crate::ops::bulk::seen::{ShownPlan, Stale};
use crate::ops::bulk::{self, NotStarted, Plan, Request as Described, state_line};
use crate::store::{BulkAction, BulkMatch, BulkState, Job};

/// Jobs that are listed.
const LISTED: u32 = 50;

/// Which messages, and what to do with them; the words of the command line.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    action: String,
    state: String,
    kind: Option<String>,
    fault: Option<String>,
    channel: Option<String>,
    contact: Option<String>,
    since: Option<String>,
    until: Option<String>,
    text: Option<String>,
    #[serde(default)]
    moved_on: bool,
    why: Option<String>,
}

impl Set {
    fn described(self) -> Result<Described, Failure> {
        let unknown = |words: &str| Failure::Request(format!("{words}; nothing was changed"));
        let action = match self.action.as_str() {
            "retry" => BulkAction::Retry,
            "discard" => BulkAction::Discard,
            _ => return Err(unknown("action takes retry or discard")),
        };
        let state = match self.state.as_str() {
            "failed" => BulkState::Failed,
            "dead" => BulkState::Dead,
            "queued" => BulkState::Queued,
            "unknown" | "unconfirmed" | "held" | "noted" => {
                return Err(unknown(
                    "messages that may have been delivered are not decided by many: of each, somebody has to ask the customer or \
                     look at the conversation, then POST /api/v1/messages/{mId}/settle says what became of it",
                ));
            }
            _ => return Err(unknown("state takes failed, dead, or queued (discard alone)")),
        };
        let Self { kind, fault, channel, contact, since, until, text, moved_on, .. } = self;
        Ok(Described { action, state, kind, fault, channel, contact, since, until, text, moved_on })
    }
}

/// `POST /plans`
pub(super) async fn plan(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { body, .. } = order(request, None, |body: &Set| body.why.as_deref()).await?;
    let config = state.config();
    let plan = state.plan(&config, body.described()?, None).await?;
    Ok(answer(&shown(&config, &plan)))
}

fn shown(config: &Config, plan: &Plan) -> Value {
    let one = |one: &BulkMatch| {
        json!({
            "m_id": one.m_id, "channel": one.channel, "contact": bulk::shown_contact(config, one), "kind": one.kind,
            "at_ms": one.at_ms, "fault": one.fault,
        })
    };
    let group = |((channel, fault), count): (&(String, String), &usize)| json!({ "channel": channel, "fault": fault, "count": count });
    json!({
        "plan": format!("{}-{}", name_of(plan.action, plan.state), ShownPlan::of(&plan.set, now_ms())),
        "count": plan.set.count,
        "groups": plan.groups.iter().map(group).collect::<Vec<_>>(),
        "wiped": plan.wiped,
        "old": plan.old,
        "moved_on": plan.moved_on,
        "moved_on_contacts": plan.moved_on_contacts(config),
        "takes_s": plan.takes().map_or(0, |takes| takes.as_secs()),
        "refused": plan.refused(config),
        "first": plan.first.iter().map(one).collect::<Vec<_>>(),
    })
}

/// Returns what is done with which.
fn name_of(action: BulkAction, state: BulkState) -> String {
    format!("{}-{}", action.name(), state.as_str())
}

/// Returns what a plan does, as [`name_of`] has it, and what was seen of it.
fn parse_plan(text: &str) -> Option<(&str, ShownPlan)> {
    let (second, _) = text.match_indices('-').nth(1)?;
    Some((&text[..second], text[second + 1..].parse().ok()?))
}

/// `POST /plans/{plan}/run`
pub(super) async fn run(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about, by, body, .. } = order(request, None, |body: &Set| body.why.as_deref()).await?;
    let described = body.described()?;
    let (what, seen) = parse_plan(&about).ok_or_else(|| {
        let words = "this is no plan: `plan` of the answer to POST /api/v1/plans is; nothing was changed";
        Failure::Request(words.to_owned())
    })?;
    // The messages may be the same ones, and what is done with them is not.
    if what != name_of(described.action, described.state) {
        let words = format!("nothing was changed: the plan is to {what}, and the body is another's");
        return Err(Failure::Conflict(words));
    }
    let config = state.config();
    let plan = state.plan(&config, described, Some(&seen)).await?;
    seen.check(&plan.set, plan.state, now_ms()).map_err(not_as_seen)?;
    if plan.set.count == 0 {
        return Err(Failure::Conflict("nothing was changed: nothing matches".to_owned()));
    }
    if let Some(why) = plan.refused(&config) {
        return Err(Failure::Conflict(format!("nothing was changed: it {why}")));
    }
    let (job, count) = bulk::start(state.store(), &config, &plan, by).await.map_err(|error| match error {
        NotStarted::Refusal(refusal) => refusal.into(),
        NotStarted::Stale(why) => not_as_seen(why),
        NotStarted::Unclear(job) => {
            let [words, _] = bulk::unclear(job);
            Failure::Unclear(words)
        }
    })?;
    state.jobs.run(config, job);
    let done = format!(
        "job {job} has begun, of {count}. The bridge goes on with it, also after a restart; GET /api/v1/jobs/{job} says how far it is"
    );
    Ok(answer(&json!({ "job": job, "count": count, "done": done })))
}

/// Returns why a plan is not run that is no longer as it was seen.
fn not_as_seen(stale: Stale) -> Failure {
    let why = match stale {
        Stale::Old => "the plan is older than 10 minutes".to_owned(),
        Stale::Changed { seen, now } if seen == now => {
            "as many match as in the plan, but not all of them are the same; or the body is not that of the plan"
                .to_owned()
        }
        Stale::Changed { seen, now } => {
            format!("the plan was of {seen}, of which there are now {now}; or the body is not that of the plan")
        }
    };
    Failure::Conflict(format!("nothing was changed: {why}. Make a new plan: POST /api/v1/plans"))
}

/// `GET /jobs`
pub(super) async fn jobs(State(state): State<Arc<OperatorState>>) -> Result<Response, Failure> {
    Ok(answer(&json!({ "jobs": state.store().bulk().jobs(LISTED).await? })))
}

/// `GET /jobs/{id}`
pub(super) async fn job(State(state): State<Arc<OperatorState>>, Path(id): Path<String>) -> Result<Response, Failure> {
    let job = found(&state, &id).await?;
    Ok(answer(&json!({ "told": state_line(&job), "job": job })))
}

async fn found(state: &OperatorState, id: &str) -> Result<Job, Failure> {
    let job = match id.parse() {
        Ok(id) => state.store().bulk().job(id).await?,
        Err(_) => None,
    };
    job.ok_or_else(|| {
        let words =
            "there is no job of this number in this store: was it another bridge, or longer ago than store.keep_rows?";
        Failure::Missing(words.to_owned())
    })
}

/// `POST /jobs/{id}/cancel`
pub(super) async fn cancel(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about, by, .. } = order(request, Some(Reason::default()), |body| body.why.as_deref()).await?;
    let job = found(&state, &about).await?;
    match state.store().bulk().cancel_job(job.id, by, now_ms()).await? {
        Some((job, true)) => Ok(answer(&json!({ "done": format!("{}; what is done stays done", state_line(&job)) }))),
        Some((job, false)) => Err(is_over(&job)),
        None => Err(is_over(&job)),
    }
}

/// `POST /jobs/{id}/resume`
pub(super) async fn resume(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about, .. } = order(request, Some(Reason::default()), |body| body.why.as_deref()).await?;
    let job = found(&state, &about).await?;
    if job.is_over() {
        return Err(is_over(&job));
    }
    if !job.filled {
        return Err(Failure::Conflict(format!("nothing was changed: {}", state_line(&job))));
    }
    state.store().bulk().resume_job(job.id, now_ms()).await?;
    state.jobs.run(state.config(), job.id);
    let done = format!("this bridge goes on with job {}; what was done before is not done again", job.id);
    Ok(answer(&json!({ "done": done })))
}

fn is_over(job: &Job) -> Failure {
    Failure::Conflict(format!("nothing was changed: it is over already: {}", state_line(job)))
}
