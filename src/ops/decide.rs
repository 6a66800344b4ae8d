//! Decides on one message, or on the dead events of one mId: settles what is in doubt, sends again, gives up for good.

use crate::config::Config;
use crate::domain::agent_text::{Delivered, discarded, failure_text};
use crate::domain::clock::now_ms;
use crate::domain::journey::{Journey, Operator};
use crate::domain::{Fault, Language};
use crate::store::{Decision, DecisionTarget, DiscardNotices, ListedMessage, ManualOutcome, Store, StoreError};

/// A decision and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) m_id: String,
    pub(crate) verb: Verb,
    /// An error changed nothing.
    pub(crate) result: Result<Done, Refused>,
}

/// What an operator does to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Settle(Decision),
    Retry,
    Discard,
}

impl Verb {
    pub(crate) const ALL: [Self; 6] = [
        Self::Settle(Decision::Delivered),
        Self::Settle(Decision::Failed),
        Self::Settle(Decision::SendAgain),
        Self::Settle(Decision::Noted),
        Self::Retry,
        Self::Discard,
    ];

    /// Returns its name in addresses and the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Settle(Decision::Delivered) => "delivered",
            Self::Settle(Decision::Failed) => "failed",
            Self::Settle(Decision::SendAgain) => "send-again",
            Self::Settle(Decision::Noted) => "noted",
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }

    /// Returns the one with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Returns whether it needs the text: to send it, or to erase it.
    fn needs_text(self) -> bool {
        matches!(self, Self::Settle(Decision::SendAgain) | Self::Retry | Self::Discard)
    }
}

/// Returns what may be decided of a message, or of the events of an mId, as they are now.
pub(crate) fn allowed(journey: &Journey, message: &ListedMessage) -> Vec<Verb> {
    let has_text = match &journey.message {
        Some(message) => message.has_text,
        None => journey.events.iter().any(|event| event.has_text),
    };
    in_state(&message.state, message.noted_ms.is_some(), journey.message.is_some())
        .iter()
        .copied()
        .filter(|verb| has_text || !verb.needs_text())
        .collect()
}

/// Returns what a state allows. What waits for BonyChat is not decided on: it is posted, or given up by itself.
fn in_state(state: &str, is_noted: bool, is_outbound: bool) -> &'static [Verb] {
    const DELIVERED: Verb = Verb::Settle(Decision::Delivered);
    const FAILED: Verb = Verb::Settle(Decision::Failed);
    const SEND_AGAIN: Verb = Verb::Settle(Decision::SendAgain);
    const NOTED: Verb = Verb::Settle(Decision::Noted);
    match state {
        "unknown" => &[DELIVERED, FAILED, SEND_AGAIN],
        "unconfirmed" if is_noted => &[DELIVERED, FAILED, SEND_AGAIN, Verb::Discard],
        "unconfirmed" | "held" => &[DELIVERED, FAILED, SEND_AGAIN, NOTED, Verb::Discard],
        "failed" | "dead" => &[Verb::Retry, Verb::Discard],
        "queued" if is_outbound => &[Verb::Discard],
        _ => &[],
    }
}

/// A decision that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// To the outbound message. `agent_told`: its agent was notified before that it may have been delivered.
    Message { agent_told: bool },
    /// To this number of events.
    Events(usize),
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No message and no event has this mId.
    Missing,
    /// Its text is erased.
    Wiped,
    /// Not possible in this state.
    State(String),
}

/// Settles a message that may have been delivered.
///
/// # Errors
/// The store could not be written; `Stale` where the target is no longer as it was seen, as of the two below.
pub(crate) async fn settle(
    store: &dyn Store,
    config: &Config,
    target: impl Into<DecisionTarget>,
    decision: Decision,
    by: Operator,
) -> Result<Decided, StoreError> {
    let target = target.into();
    let m_id = target.m_id.clone();
    let notice = failure_text(&Fault::Other("SETTLED_BY_HAND".into()), Delivered::No, config.language);
    let before = store.decide(target, decision, notice, by, now_ms()).await?;
    let result = match before.as_deref() {
        None => Err(Refused::Missing),
        Some(state @ "unknown") if decision == Decision::Noted => Err(Refused::State(state.to_owned())),
        Some(before @ ("unknown" | "held" | "unconfirmed")) => Ok(Done::Message { agent_told: before != "unknown" }),
        Some("wiped") => Err(Refused::Wiped),
        Some(state) => Err(Refused::State(state.to_owned())),
    };
    Ok(Decided { m_id, verb: Verb::Settle(decision), result })
}

/// Sends a failed message again, or posts dead events again, in their old places.
///
/// # Errors
/// The store could not be written.
pub(crate) async fn retry(
    store: &dyn Store,
    target: impl Into<DecisionTarget>,
    by: Operator,
) -> Result<Decided, StoreError> {
    let target = target.into();
    let m_id = target.m_id.clone();
    let outcome = store.retry(target, by, now_ms()).await?;
    Ok(Decided { m_id, verb: Verb::Retry, result: done(outcome) })
}

/// Discards a message or a dead event and erases its text. The agent of a message that still waits is notified.
///
/// # Errors
/// The store could not be written.
pub(crate) async fn discard(
    store: &dyn Store,
    config: &Config,
    target: impl Into<DecisionTarget>,
    by: Operator,
) -> Result<Decided, StoreError> {
    let target = target.into();
    let m_id = target.m_id.clone();
    let outcome = store.discard(target, discard_notices(config), by, now_ms()).await?;
    Ok(Decided { m_id, verb: Verb::Discard, result: done(outcome) })
}

/// Returns the notices to agents of messages that are discarded while they wait.
pub(super) fn discard_notices(config: &Config) -> DiscardNotices {
    let notice = |got| discarded(got, config.language);
    DiscardNotices { not_sent: notice(Delivered::No), perhaps_sent: notice(Delivered::Maybe) }
}

fn done(outcome: ManualOutcome) -> Result<Done, Refused> {
    match outcome {
        ManualOutcome::Message => Ok(Done::Message { agent_told: false }),
        ManualOutcome::Events(events) => Ok(Done::Events(events)),
        ManualOutcome::Wiped => Err(Refused::Wiped),
        ManualOutcome::Not(state) => Err(Refused::State(state)),
        ManualOutcome::Missing => Err(Refused::Missing),
    }
}

impl Decided {
    /// Returns what happened and what follows, for the operator: a sentence without its full stop.
    pub(crate) fn sentence(&self, language: Language) -> String {
        let m_id = &self.m_id;
        let [english, spanish] = match (&self.result, self.verb) {
            (Ok(done), Verb::Settle(decision)) => settled(decision, *done).map(str::to_owned),
            (Ok(Done::Message { .. }), Verb::Retry) => [
                format!("message `{m_id}` is queued again; a running bridge sends it within seconds"),
                format!("el mensaje `{m_id}` vuelve a la cola; un bridge en marcha lo envía en segundos"),
            ],
            (Ok(Done::Events(events)), Verb::Retry) => [
                format!("{events} event(s) `{m_id}` queued again; a running bridge posts them within seconds"),
                format!("{events} evento(s) `{m_id}` vuelven a la cola; un bridge en marcha los entrega en segundos"),
            ],
            (Ok(Done::Message { .. }), Verb::Discard) => [
                format!("message `{m_id}` is discarded and its text is wiped"),
                format!("el mensaje `{m_id}` está descartado y su texto, borrado"),
            ],
            (Ok(Done::Events(events)), Verb::Discard) => [
                format!("{events} event(s) `{m_id}` discarded, their texts are wiped"),
                format!("{events} evento(s) `{m_id}` descartados y sus textos, borrados"),
            ],
            (Err(Refused::Missing), verb) => missing(verb, m_id),
            (Err(Refused::Wiped), verb) => wiped(verb, m_id),
            (Err(Refused::State(state)), verb) => not_in_state(verb, m_id, state),
        };
        match language {
            Language::En => english,
            Language::Es => spanish,
        }
    }
}

/// In English and in Spanish, as all functions below.
fn settled(decision: Decision, done: Done) -> [&'static str; 2] {
    match (decision, done) {
        (Decision::Delivered, _) => {
            ["settled as delivered: its conversation goes on", "cerrado como entregado: su conversación sigue adelante"]
        }
        (Decision::Failed, Done::Message { agent_told: true }) => [
            "settled as failed: it is not sent, and its conversation goes on. Its agent was told before that it may have \
             been delivered, and is told nothing more: BonyChat takes one failure for a message. Tell the agent that the \
             customer did not get it",
            "cerrado como fallido: no se envía y su conversación sigue adelante. A su agente ya se le dijo que quizá se \
             entregó, y no se le dice nada más: BonyChat acepta un solo fallo por mensaje. Diga al agente que el cliente \
             no lo ha recibido",
        ],
        (Decision::Failed, _) => [
            "settled as failed: it is not sent, and its conversation goes on. Its agent is told now that the customer did \
             not get it, unless told before that it may have been delivered",
            "cerrado como fallido: no se envía y su conversación sigue adelante. Se dice ahora a su agente que el cliente \
             no lo ha recibido, salvo que antes se le dijera que quizá se entregó",
        ],
        (Decision::Noted, _) => [
            "noted: it may have been delivered, as its agent was told, and it stays so. It counts no more as one to be \
             settled, and its conversation goes on",
            "anotado: quizá se entregó, como se dijo a su agente, y se queda así. Ya no cuenta como pendiente de cerrar, y \
             su conversación sigue adelante",
        ],
        (Decision::SendAgain, _) => [
            "it is sent again now, before anything else that waits in its conversation",
            "se vuelve a enviar ahora, antes que lo demás que espera en su conversación",
        ],
    }
}

fn missing(verb: Verb, m_id: &str) -> [String; 2] {
    match verb {
        Verb::Settle(_) => [
            format!("there is no message `{m_id}` in this store: nothing was changed"),
            format!("no hay ningún mensaje `{m_id}` en este almacén: no se ha cambiado nada"),
        ],
        Verb::Retry | Verb::Discard => [
            format!(
                "there is no message and no dead event `{m_id}` in this store: `bridge messages list` and \
                 `bridge messages list --state dead` show what there is"
            ),
            format!(
                "no hay ningún mensaje ni evento abandonado `{m_id}` en este almacén: `bridge messages list` y \
                 `bridge messages list --state dead` muestran lo que hay"
            ),
        ],
    }
}

fn wiped(verb: Verb, m_id: &str) -> [String; 2] {
    match verb {
        Verb::Settle(_) => [
            format!(
                "the text of `{m_id}` is gone (store.keep_text), so it cannot be sent again: write it anew, and settle \
                 this one as delivered or failed"
            ),
            format!(
                "el texto de `{m_id}` ya no existe (store.keep_text), así que no se puede volver a enviar: escríbalo de \
                 nuevo y cierre este como entregado o fallido"
            ),
        ],
        Verb::Retry => [
            format!(
                "the text of `{m_id}` is gone (store.keep_text, or it was discarded), so nothing can be sent: write it \
                 anew"
            ),
            format!(
                "el texto de `{m_id}` ya no existe (store.keep_text, o se descartó), así que no se puede enviar nada: \
                 escríbalo de nuevo"
            ),
        ],
        Verb::Discard => {
            [format!("the text of `{m_id}` is gone already"), format!("el texto de `{m_id}` ya no existe")]
        }
    }
}

fn not_in_state(verb: Verb, m_id: &str, state: &str) -> [String; 2] {
    let is = [format!("message `{m_id}` is {state}"), format!("el mensaje `{m_id}` está en el estado {state}")];
    let so = match (verb, state) {
        (Verb::Settle(Decision::Noted), "noted") => {
            return [
                format!("message `{m_id}` is noted already: nothing was changed"),
                format!("el mensaje `{m_id}` ya está anotado: no se ha cambiado nada"),
            ];
        }
        (Verb::Settle(Decision::Noted), "unknown") => [
            "it is being looked up, and what that finds decides it. Wait for its end; nothing was changed".to_owned(),
            "se está comprobando, y lo decide lo que se encuentre. Espere a que termine; no se ha cambiado nada"
                .to_owned(),
        ],
        (Verb::Settle(Decision::Noted), _) => [
            "only one that looking could not decide (unconfirmed) can be noted; nothing was changed".to_owned(),
            "solo se puede anotar uno que las comprobaciones no decidieron (unconfirmed); no se ha cambiado nada"
                .to_owned(),
        ],
        (Verb::Settle(_), _) => [
            "only one that may have been delivered (unknown, unconfirmed) can be settled; nothing was changed"
                .to_owned(),
            "solo se puede cerrar uno que quizá se entregó (unknown, unconfirmed); no se ha cambiado nada".to_owned(),
        ],
        (Verb::Retry, "queued" | "sending") => [
            "it goes out by itself; see the log for what holds it up".to_owned(),
            "saldrá solo; vea en el registro qué lo retiene".to_owned(),
        ],
        (Verb::Retry, "unconfirmed" | "held") => [
            format!(
                "it may have been delivered, so ask the customer, then say what became of it with \
                 `bridge messages settle {m_id}`"
            ),
            format!(
                "quizá se entregó, así que pregunte al cliente y diga después qué fue de él con \
                 `bridge messages settle {m_id}`"
            ),
        ],
        (Verb::Discard, "sending") => {
            return [
                format!("message `{m_id}` is being sent this moment: look again with `bridge messages show {m_id}`"),
                format!(
                    "el mensaje `{m_id}` se está enviando en este momento: vuelva a mirar con `bridge messages show {m_id}`"
                ),
            ];
        }
        (Verb::Retry, "unknown") => {
            return [
                format!("message `{m_id}` may have been sent and is being looked up: wait for that to end"),
                format!("el mensaje `{m_id}` quizá se envió y se está comprobando: espere a que termine"),
            ];
        }
        (Verb::Discard, "unknown") => {
            return [
                format!(
                    "message `{m_id}` may have been sent and is being looked up: wait until it is sent, queued or \
                     unconfirmed"
                ),
                format!(
                    "el mensaje `{m_id}` quizá se envió y se está comprobando: espere a que esté enviado, en cola o sin \
                     confirmar"
                ),
            ];
        }
        (Verb::Retry, _) => ["there is nothing to retry".to_owned(), "no hay nada que reintentar".to_owned()],
        (Verb::Discard, _) => [
            "its text goes by itself after store.keep_text".to_owned(),
            "su texto se borra solo pasado store.keep_text".to_owned(),
        ],
    };
    let [english, spanish] = so;
    [format!("{}: {english}", is[0]), format!("{}: {spanish}", is[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [&str; 8] = ["queued", "sending", "unknown", "held", "sent", "failed", "unconfirmed", "noted"];

    #[test]
    fn each_state_allows_what_the_store_takes_in_it() {
        let names = |state, is_noted, is_outbound| -> Vec<&str> {
            in_state(state, is_noted, is_outbound).iter().map(|verb| verb.name()).collect()
        };
        for verb in Verb::ALL {
            assert_eq!(Verb::named(verb.name()), Some(verb));
        }
        assert_eq!(names("unknown", false, true), ["delivered", "failed", "send-again"]);
        assert_eq!(names("unconfirmed", false, true), ["delivered", "failed", "send-again", "noted", "discard"]);
        assert_eq!(names("unconfirmed", true, true), ["delivered", "failed", "send-again", "discard"]);
        assert_eq!(
            (names("failed", false, true), names("dead", false, false)),
            (vec!["retry", "discard"], vec!["retry", "discard"])
        );
        assert_eq!((names("queued", false, true), names("queued", false, false)), (vec!["discard"], vec![]));
        for state in ["sending", "sent", "done", "of a later version"] {
            assert!(names(state, false, true).is_empty(), "{state}");
        }
    }

    #[test]
    fn every_outcome_has_its_sentence_in_both_languages() {
        let verbs = Verb::ALL;
        let mut results: Vec<Result<Done, Refused>> = vec![
            Ok(Done::Message { agent_told: false }),
            Ok(Done::Message { agent_told: true }),
            Ok(Done::Events(3)),
            Err(Refused::Missing),
            Err(Refused::Wiped),
        ];
        results.extend(STATES.map(|state| Err(Refused::State(state.to_owned()))));
        for verb in verbs {
            for result in &results {
                let decided = Decided { m_id: "a1".repeat(16), verb, result: result.clone() };
                let (english, spanish) = (decided.sentence(Language::En), decided.sentence(Language::Es));
                assert_ne!(english, spanish, "{decided:?}");
                for sentence in [english, spanish] {
                    assert!(sentence.chars().count() > 25, "{sentence}");
                    assert!(!sentence.ends_with('.') && !sentence.contains("  "), "{sentence}");
                }
            }
        }
    }
}
