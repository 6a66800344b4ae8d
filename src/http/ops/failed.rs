//! `GET /failed`: what failed or was given up, by reason, and what may be done with all of one reason.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use form_urlencoded::Serializer;

use super::OperatorState;
use super::page::{Page, html};
use super::words::{self, Moment, moment, way, whole};
use crate::config::Config;
use crate::domain::find::Side;
use crate::ops::failed::{self, Group};
use crate::store::{BulkAction, BulkState};

#[derive(Template)]
#[template(path = "failed.html", config = "src/http/ops/askama.toml")]
struct Failed<'a> {
    page: &'a Page,
    rows: Vec<Row>,
}

/// Messages or events of one channel with the same fault.
struct Row {
    /// What happened, and what mends it.
    sentence: String,
    cure: &'static str,
    /// Where the sentence does not hold it.
    code: String,
    /// The channel has delivered that way since.
    is_mended: bool,
    channel: String,
    sign: &'static str,
    way: &'static str,
    count: u64,
    first: Moment,
    last: Moment,
    /// Queries of the list of them, and of the plans for all of them; none where they have no code to name them by.
    messages: String,
    retry: Option<String>,
    retry_word: &'static str,
    discard: Option<String>,
}

/// `GET /failed`
pub(super) async fn show(State(state): State<Arc<OperatorState>>, Extension(page): Extension<Page>) -> Response {
    let config = state.config();
    match failed::failed(state.store()).await {
        Ok(groups) => {
            let rows = groups.into_iter().map(|group| row(&page, &config, group)).collect();
            html(StatusCode::OK, &Failed { page: &page, rows })
        }
        Err(error) => words::unreadable(&page, &error),
    }
}

fn row(page: &Page, config: &Config, group: Group) -> Row {
    let cause = group.cause(page.language);
    let (sign, way) = way(page.language, group.side);
    let state = match group.side {
        Side::Out => BulkState::Failed,
        Side::In => BulkState::Dead,
    };
    let direction = if group.side == Side::Out { "out" } else { "in" };
    let query = |pairs: &[(&str, &str)]| {
        let mut query = Serializer::new(String::new());
        let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
        filled.fold(&mut query, |query, (name, value)| query.append_pair(name, value)).finish()
    };
    let (channel, fault) = (group.channel.as_str(), group.fault.as_str());
    let plan = |action: BulkAction| {
        (!fault.is_empty()).then(|| {
            query(&[("action", action.name()), ("state", state.as_str()), ("channel", channel), ("fault", fault)])
        })
    };
    let zone = config.time_zone_of(channel);
    Row {
        sentence: whole(&cause.what),
        cure: cause.cure,
        is_mended: group.mended,
        sign,
        way,
        count: group.count,
        first: moment(&zone, group.oldest_ms),
        last: moment(&zone, group.newest_ms),
        messages: query(&[("channel", channel), ("dir", direction), ("state", state.as_str()), ("fault", fault)]),
        retry: plan(BulkAction::Retry),
        retry_word: match group.side {
            Side::Out => page.say("Send all again…", "Enviarlos otra vez…"),
            Side::In => page.say("Post all again…", "Entregarlos otra vez…"),
        },
        discard: plan(BulkAction::Discard),
        channel: group.channel,
        code: if cause.what.contains(fault) { String::new() } else { fault.to_owned() },
    }
}
