//! Words that several pages share: states, times, ways, and what is said where the store cannot be read.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::page::{Page, notice};
use crate::domain::Language;
use crate::domain::find::Side;
use crate::store::{ListedMessage, StoreError};

/// How a state is shown: class, sign, word. The sign and the word tell it without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) look: &'static str,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
}

/// Names of the states, for filters.
pub(super) const STATES: [&str; 9] =
    ["queued", "sending", "unknown", "sent", "failed", "unconfirmed", "noted", "done", "dead"];

/// Returns how the state of a message is shown.
pub(super) fn state_of(language: Language, message: &ListedMessage) -> Shown {
    state(language, if message.noted_ms.is_some() { "noted" } else { &message.state })
}

/// Returns how a state of the store is shown.
pub(super) fn state(language: Language, state: &str) -> Shown {
    let (look, sign, english, spanish) = match state {
        "queued" => ("waits", "○", "waits", "espera"),
        "sending" => ("waits", "◐", "is being sent", "se está enviando"),
        "unknown" => ("doubt", "?", "is being looked up", "se está comprobando"),
        "sent" => ("good", "✓", "sent", "enviado"),
        "failed" => ("bad", "✕", "failed", "ha fallado"),
        "unconfirmed" | "held" => ("doubt", "!", "may have been delivered", "quizá se entregó"),
        "noted" => ("off", "?", "nobody can tell (noted)", "no se puede saber (anotado)"),
        "done" => ("good", "✓", "BonyChat has it", "BonyChat lo tiene"),
        "dead" => ("bad", "✕", "given up", "abandonado"),
        _ => ("off", "–", "in another state", "en otro estado"),
    };
    Shown { look, sign, word: if language == Language::Es { spanish } else { english } }
}

/// A time: as people of the account read it, and in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) local: String,
    pub(super) utc: String,
}

pub(super) fn moment(zone: &TimeZone, at_ms: i64) -> Moment {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => {
            Moment { local: at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(), utc: at.to_string() }
        }
        Err(_) => Moment { local: at_ms.to_string(), utc: String::new() },
    }
}

/// Returns the sign and the word of a way.
pub(super) fn way(language: Language, side: Side) -> (&'static str, &'static str) {
    match (side, language) {
        (Side::Out, Language::En) => ("→", "to the customer"),
        (Side::Out, Language::Es) => ("→", "al cliente"),
        (Side::In, Language::En) => ("←", "to BonyChat"),
        (Side::In, Language::Es) => ("←", "a BonyChat"),
    }
}

/// Returns the sentence with a capital letter and its full stop.
pub(super) fn whole(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(char::to_uppercase);
    stopped(first.into_iter().flatten().chain(letters).collect())
}

/// Returns the sentence with its full stop.
pub(super) fn stopped(mut sentence: String) -> String {
    if !sentence.ends_with(['.', '?']) {
        sentence.push('.');
    }
    sentence
}

/// Returns the number of a new form, by which it is done once.
pub(super) fn once() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Refuses a form that no page of the bridge has made.
pub(super) fn unknown_form(page: &Page) -> Response {
    let words = page.say(
        "Nothing was changed: the form is not one of this bridge. Open its page again.",
        "No se ha cambiado nada: el formulario no es de este puente. Abra su página otra vez.",
    );
    notice(page, StatusCode::BAD_REQUEST, page.say("Not understood", "No se entiende"), words)
}

/// Returns what is shown where the store cannot be read.
pub(super) fn unreadable(page: &Page, error: &StoreError) -> Response {
    tracing::error!(error = error as &dyn std::error::Error, "a page could not be shown");
    let title = page.say("The store cannot be read", "No se puede leer el almacén");
    let words = page.say(
        "Nothing was changed. Is the disk full, or the database away? The bridge's log has the cause. Load this page again in \
         a minute.",
        "No se ha cambiado nada. ¿Está el disco lleno, o la base de datos caída? El registro del puente tiene la causa. Cargue \
         esta página otra vez dentro de un minuto.",
    );
    notice(page, StatusCode::SERVICE_UNAVAILABLE, title, words)
}

/// Returns the page for an unknown message.
pub(super) fn missing(page: &Page, m_id: &str) -> Response {
    let why = page.say(
        "There is no message and no event with this id in this store: was it another bridge, or longer ago than \
         store.keep_rows?",
        "No hay ningún mensaje ni evento con este id en este almacén: ¿fue otro puente, o hace más que store.keep_rows?",
    );
    notice(page, StatusCode::NOT_FOUND, m_id, why)
}

/// Returns the page for an unknown channel.
pub(super) fn no_channel(page: &Page) -> Response {
    let why = page.say(
        "Neither the configuration nor this store has a channel of this name.",
        "Ni la configuración ni este almacén tienen un canal con este nombre.",
    );
    notice(page, StatusCode::NOT_FOUND, page.say("No such channel", "No existe el canal"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_words_in_both_languages_and_no_two_look_alike() {
        for name in STATES {
            let (english, spanish) = (state(Language::En, name), state(Language::Es, name));
            assert_ne!(english.word, spanish.word, "{name}");
            let alike = STATES.iter().filter(|other| state(Language::En, other).word == english.word).count();
            assert_eq!(alike, 1, "{name}");
        }
        assert_eq!(state(Language::En, "of a later version").look, "off");
    }

    #[test]
    fn times_are_those_of_the_account() {
        let zone = TimeZone::get("Europe/Madrid").unwrap();
        let at: Timestamp = "2026-11-14T09:02:03.004Z".parse().unwrap();
        let moment = moment(&zone, at.as_millisecond());
        assert_eq!((moment.local.as_str(), moment.utc.as_str()), ("2026-11-14 10:02:03", "2026-11-14T09:02:03.004Z"));
    }
}
