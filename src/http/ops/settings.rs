//! `GET /settings`: the settings in force, each with where it comes from; of secrets their length alone.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::OperatorState;
use super::page::{Page, html};
use crate::config::Config;
use crate::ops::settings::{SettingRow, settings};

#[derive(Template)]
#[template(path = "settings.html", config = "src/http/ops/askama.toml")]
struct Settings<'a> {
    page: &'a Page,
    settings: Vec<Row>,
}

/// One setting.
pub(super) struct Row {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) source: String,
}

/// `GET /settings`
pub(super) async fn show(State(shared): State<Arc<OperatorState>>, Extension(page): Extension<Page>) -> Response {
    let config = shared.config();
    let settings = settings(&config).into_iter().map(|shown| row(&page, &shown)).collect();
    html(StatusCode::OK, &Settings { page: &page, settings })
}

/// Returns the settings that a channel has for itself.
pub(super) fn of_channel(page: &Page, config: &Config, channel: &str) -> Vec<Row> {
    let table = format!("channels.{channel}.");
    settings(config).iter().filter(|shown| shown.key.starts_with(&table)).map(|shown| row(page, shown)).collect()
}

fn row(page: &Page, shown: &SettingRow<'_>) -> Row {
    let source = match (shown.from, shown.source.split_once(' ')) {
        ("environment", Some((_, name))) => format!("{} {name}", page.say("variable", "variable")),
        ("file", Some((_, path))) => format!("{} {}", page.say("file", "archivo"), line(page, path)),
        _ => page.say("default", "por defecto").to_owned(),
    };
    Row { key: shown.key.to_owned(), value: shown.value.to_owned(), source }
}

/// Returns `PATH, line N` in the language of the page.
fn line(page: &Page, source: &str) -> String {
    match source.rsplit_once(", line ") {
        Some((path, line)) => format!("{path}, {} {line}", page.say("line", "línea")),
        None => source.to_owned(),
    }
}
