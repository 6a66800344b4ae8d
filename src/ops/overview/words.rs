//! The overview in words: one word and one sentence for each condition of a channel, and what a person has to do.

use std::time::Duration;

use super::{Condition, Need, NeedOf, Word};
use crate::domain::Language;
use crate::domain::operator_pause::OperatorPause;
use crate::domain::span::span;
use crate::telemetry::delivery::Part;

/// Returns the one in `language` of two texts.
fn say<T>(language: Language, [english, spanish]: [T; 2]) -> T {
    match language {
        Language::En => english,
        Language::Es => spanish,
    }
}

impl Condition {
    /// Returns the word that is shown. `is_delivered`: some process is known to deliver the channel; without one an empty queue
    /// does not show that the channel works.
    pub(crate) fn shown(&self, is_delivered: bool, language: Language) -> &'static str {
        match self {
            Self::NothingWaits if !is_delivered => say(language, ["nothing waits", "nada espera"]),
            _ => self.word().shown(language),
        }
    }

    /// Returns how the channel is, without a full stop.
    pub(crate) fn sentence(&self, language: Language) -> String {
        say(language, self.sentences())
    }

    fn sentences(&self) -> [String; 2] {
        match self {
            Self::NotConfigured { out, events } => [
                format!(
                    "it is not in the configuration: {out} message(s) and {events} event(s) of it are kept and not delivered"
                ),
                format!(
                    "no está en la configuración: {out} mensaje(s) y {events} evento(s) suyos se guardan y no se entregan"
                ),
            ],
            Self::PausedByHand(pauses) => by_hand(pauses),
            Self::Paused { part, lasts } => {
                let [english, spanish] = paused(*part);
                [
                    format!("for {}: {english}. Nothing is lost", span(*lasts, Language::En)),
                    format!("desde hace {}: {spanish}. No se pierde nada", span(*lasts, Language::Es)),
                ]
            }
            Self::Nobody => [
                "no process delivers it: what comes is kept, and waits until one runs".to_owned(),
                "ningún proceso lo entrega: lo que llega se guarda, y espera hasta que haya uno".to_owned(),
            ],
            Self::StuckOut { count, waits, fault } => {
                let [english, spanish] = cause(fault.as_ref());
                [
                    format!(
                        "{count} message(s) wait for Afilnet, the oldest for {}, and none was sent for as long; {english}. None is \
                         lost",
                        span(*waits, Language::En)
                    ),
                    format!(
                        "{count} mensaje(s) esperan a Afilnet, el más antiguo desde hace {}, y no se ha enviado ninguno en ese \
                         tiempo; {spanish}. No se pierde ninguno",
                        span(*waits, Language::Es)
                    ),
                ]
            }
            Self::StuckIn { count, waits } => [
                format!(
                    "{count} event(s) wait for BonyChat, the oldest for {}, and it took none for as long. None is lost",
                    span(*waits, Language::En)
                ),
                format!(
                    "{count} evento(s) esperan a BonyChat, el más antiguo desde hace {}, y no ha aceptado ninguno en ese tiempo. \
                     No se pierde ninguno",
                    span(*waits, Language::Es)
                ),
            ],
            Self::Unread { ago } => [
                format!(
                    "Afilnet was last read {} ago: what customers write waits there and is not lost. Is it reachable from here?",
                    span(*ago, Language::En)
                ),
                format!(
                    "Afilnet se leyó por última vez hace {}: lo que escriben los clientes espera allí y no se pierde. ¿Se llega a \
                     Afilnet desde aquí?",
                    span(*ago, Language::Es)
                ),
            ],
            Self::Slow { count, waits, is_sending: true } => [
                format!(
                    "messages go out; {count} wait, the oldest for {}: a broadcast, or more than requests_per_second lets pass",
                    span(*waits, Language::En)
                ),
                format!(
                    "los mensajes salen; {count} esperan, el más antiguo desde hace {}: un envío masivo, o más de lo que deja \
                     pasar requests_per_second",
                    span(*waits, Language::Es)
                ),
            ],
            Self::Slow { count, waits, is_sending: false } => [
                format!(
                    "{count} messages wait, the oldest for {}: too many for the store to tell when the last one was sent",
                    span(*waits, Language::En)
                ),
                format!(
                    "{count} mensajes esperan, el más antiguo desde hace {}: demasiados para saber por el almacén cuándo se envió \
                     el último",
                    span(*waits, Language::Es)
                ),
            ],
            Self::OnTheWay { out, events } => [
                format!("{out} message(s) and {events} event(s) are on their way"),
                format!("{out} mensaje(s) y {events} evento(s) están en camino"),
            ],
            Self::NothingWaits => ["nothing waits".to_owned(), "nada espera".to_owned()],
        }
    }
}

impl Word {
    pub(crate) fn shown(self, language: Language) -> &'static str {
        let both = match self {
            Self::Works => ["works", "funciona"],
            Self::Slow => ["slow", "lento"],
            Self::Stuck => ["stuck", "atascado"],
            Self::Paused => ["paused", "en pausa"],
            Self::PausedByHand => ["paused by hand", "en pausa a mano"],
            Self::Nobody => ["nobody delivers it", "nadie lo entrega"],
            Self::NotConfigured => ["not configured", "sin configurar"],
        };
        say(language, both)
    }
}

impl Need {
    /// Returns what a person must look at, without its channel and without a full stop.
    pub(crate) fn sentence(&self, language: Language) -> String {
        say(language, self.of.sentences())
    }
}

impl NeedOf {
    fn sentences(&self) -> [String; 2] {
        match self {
            Self::Stopping => [
                "the bridge is stopping: what is under way is waited for, and all else is kept for the next start".to_owned(),
                "el puente se está deteniendo: se espera a lo que está en curso, y lo demás se guarda para el próximo arranque"
                    .to_owned(),
            ],
            Self::Store => [
                "the store cannot be written: messages are refused with 503, and none is lost. Is its disk full, or the database \
                 away? The log has the cause"
                    .to_owned(),
                "el almacén no se puede escribir: los mensajes se rechazan con 503, y no se pierde ninguno. ¿Está el disco lleno, \
                 o la base de datos caída? El registro tiene la causa"
                    .to_owned(),
            ],
            Self::Channel(condition @ Condition::NotConfigured { .. }) => {
                let [english, spanish] = condition.sentences();
                [
                    format!("{english}. Configure it again under this name, or discard them"),
                    format!("{spanish}. Configúrelo otra vez con este nombre, o descártelos"),
                ]
            }
            Self::Channel(condition) => condition.sentences(),
            Self::Unconfirmed(count) => [
                format!("{count} message(s) may or may not have reached the customer: say what became of them"),
                format!("{count} mensaje(s) quizá llegaron al cliente: diga qué fue de ellos"),
            ],
            Self::Dead(count) => [
                format!("{count} event(s) did not reach BonyChat and were given up: post them again or discard them"),
                format!("{count} evento(s) no llegaron a BonyChat y se abandonaron: vuelva a entregarlos o descártelos"),
            ],
        }
    }
}

/// Returns what is paused, who paused it and why, in both languages.
fn by_hand(pauses: &[OperatorPause]) -> [String; 2] {
    let each = |OperatorPause { kind, who, why, .. }: &OperatorPause| {
        let [english, spanish] = [Language::En, Language::Es].map(|language| kind.meaning(language));
        [format!("by {who}: {why}. {english}"), format!("por {who}: {why}. {spanish}")]
    };
    let (english, spanish): (Vec<String>, Vec<String>) = pauses.iter().map(each).map(|[en, es]| (en, es)).unzip();
    [english.join("; "), spanish.join("; ")]
}

/// Returns what a pause by a fault means, in both languages.
fn paused(part: Part) -> [&'static str; 2] {
    match part {
        Part::Account => [
            "Afilnet refuses the account or is out of order. Probes find out when it works again",
            "Afilnet rechaza la cuenta o no funciona. El puente prueba hasta que vuelva",
        ],
        Part::Sends => [
            "the account has no credit, or Afilnet takes no messages. Look at its credit; probes find out when it works again",
            "la cuenta no tiene saldo, o Afilnet no acepta mensajes. Mire el saldo; el puente prueba hasta que vuelva",
        ],
        Part::Channel => [
            "Afilnet does not know the channel. Compare its platform and platform_id with `bridge channels`",
            "Afilnet no conoce el canal. Compare su platform y platform_id con `bridge channels`",
        ],
        Part::Webhook => [
            "BonyChat takes nothing: it is out of order, or the token or the address is wrong. The log has the cause",
            "BonyChat no acepta nada: no funciona, o el token o la dirección están mal. El registro tiene la causa",
        ],
    }
}

/// Returns why nothing is sent, as far as attempts have shown it, in both languages.
fn cause(fault: Option<&(Duration, String)>) -> [String; 2] {
    match fault {
        Some((ago, fault)) => [
            format!("the last attempt failed {} ago: {fault}", span(*ago, Language::En)),
            format!("el último intento falló hace {}: {fault}", span(*ago, Language::Es)),
        ],
        None => [
            "no attempt failed within the last hour, so is a bridge running?".to_owned(),
            "ningún intento falló en la última hora: ¿está en marcha un puente?".to_owned(),
        ],
    }
}
