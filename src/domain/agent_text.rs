//! Texts for agents about a failed message: what happened, whether the customer got it, what to do next. Afilnet's code
//! is in parentheses if there is one, so that an administrator can look it up.

use std::time::Duration;

use super::{Fault, Language, StatusValue};

/// Whether the customer got the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// Certainly not.
    No,
    /// Unknown.
    Maybe,
}

/// What an agent can do about it.
#[derive(Debug, Clone, Copy)]
enum NextStep {
    SendAgain,
    TellAdministrator,
    AddCredit,
    CheckLink,
    OtherFile,
    Shorten,
    WaitForCustomer,
}

/// Returns the text for `fault`; at most 300 characters.
pub(crate) fn failure_text(fault: &Fault, customer_got_it: Delivered, language: Language) -> String {
    let (english, spanish, next) = describe(fault);
    let happened = match language {
        Language::En => english,
        Language::Es => spanish,
    };
    let code = shown_code(fault).map(|code| format!(" ({code})")).unwrap_or_default();
    let delivered_text = delivered_text(customer_got_it, language);
    // "Send it again" must not follow "check before sending it again".
    let next = match (customer_got_it, next) {
        (Delivered::No, next) | (Delivered::Maybe, next @ (NextStep::TellAdministrator | NextStep::AddCredit)) => {
            advice(next, language)
        }
        (
            Delivered::Maybe,
            NextStep::SendAgain
            | NextStep::CheckLink
            | NextStep::OtherFile
            | NextStep::Shorten
            | NextStep::WaitForCustomer,
        ) => "",
    };
    format!("{happened}{code}. {delivered_text} {next}").trim_end().to_owned()
}

/// Returns the text for a message that an administrator discarded while it waited.
pub(crate) fn discarded(customer_got_it: Delivered, language: Language) -> String {
    let happened = match language {
        Language::En => "An administrator discarded this message before it was sent whole.",
        Language::Es => "Un administrador ha descartado este mensaje antes de que se enviara entero.",
    };
    format!("{happened} {}", delivered_text(customer_got_it, language))
}

/// Returns the text for a message that waited for longer than it is worth sending.
pub(crate) fn stale(stale_after: Duration, language: Language) -> String {
    let limit = humantime::format_duration(stale_after);
    let (happened, next) = match language {
        Language::En => (
            format!("This message could not be sent within {limit}, and was not sent later."),
            "Write it again if it still matters.",
        ),
        Language::Es => (
            format!("Este mensaje no se pudo enviar en {limit}, y después ya no se envió."),
            "Escríbalo de nuevo si aún importa.",
        ),
    };
    format!("{happened} {} {next}", delivered_text(Delivered::No, language))
}

/// Returns the text for a status that Afilnet shows on an own message.
pub(crate) fn receipt(value: StatusValue, language: Language) -> &'static str {
    match (value, language) {
        (StatusValue::Delivered, Language::En) => "Delivered to the customer.",
        (StatusValue::Delivered, Language::Es) => "Entregado al cliente.",
        (StatusValue::Read, Language::En) => "Read by the customer.",
        (StatusValue::Read, Language::Es) => "Leído por el cliente.",
        (StatusValue::Failed, Language::En) => {
            "Afilnet took this message and reports now that it failed. Ask the customer what arrived before sending it \
             again."
        }
        (StatusValue::Failed, Language::Es) => {
            "Afilnet aceptó este mensaje y ahora indica que ha fallado. Pregunte al cliente qué le ha llegado antes de \
             volver a enviarlo."
        }
    }
}

/// Returns the notice in a conversation before rows that do not continue where the last read ended: rows between these
/// times (epoch ms) may be missing.
pub(crate) fn gap(from_ms: Option<i64>, to_ms: Option<i64>, language: Language) -> String {
    let (from, to) = (from_ms.and_then(minute), to_ms.and_then(minute));
    let between = match (from, to, language) {
        (Some(from), Some(to), Language::En) => format!(": between {from} and {to} some may be missing"),
        (Some(from), Some(to), Language::Es) => format!(": entre {from} y {to} puede faltar alguno"),
        (Some(from), None, Language::En) => format!(": after {from} some may be missing"),
        (Some(from), None, Language::Es) => format!(": después de {from} puede faltar alguno"),
        (None, _, Language::En) => ": some may be missing".to_owned(),
        (None, _, Language::Es) => ": puede faltar alguno".to_owned(),
    };
    match language {
        Language::En => format!("[Messages written before this one could not be read from Afilnet{between}]"),
        Language::Es => format!("[Hay mensajes anteriores a este que no se han podido leer de Afilnet{between}]"),
    }
}

/// Returns a time for people, with its zone, since agents may be anywhere.
fn minute(epoch_ms: i64) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(epoch_ms).ok()?;
    Some(at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn delivered_text(customer_got_it: Delivered, language: Language) -> &'static str {
    match (customer_got_it, language) {
        (Delivered::No, Language::En) => "The customer did not get this message.",
        (Delivered::No, Language::Es) => "El cliente no ha recibido este mensaje.",
        (Delivered::Maybe, Language::En) => {
            "It may have been delivered: check with the customer before sending it again."
        }
        (Delivered::Maybe, Language::Es) => {
            "Es posible que se haya entregado: compruébelo con el cliente antes de volver a enviarlo."
        }
    }
}

/// Returns what happened, in English and in Spanish, without its full stop; and what to do.
fn describe(fault: &Fault) -> (&'static str, &'static str, NextStep) {
    use NextStep::{AddCredit, CheckLink, OtherFile, SendAgain, Shorten, TellAdministrator, WaitForCustomer};
    match fault {
        Fault::Unreachable => ("Afilnet could not be reached", "No se pudo conectar con Afilnet", SendAgain),
        Fault::Certificate => (
            "Afilnet could not prove its identity, so the connection was not used",
            "Afilnet no pudo demostrar su identidad y no se usó la conexión",
            TellAdministrator,
        ),
        Fault::Busy => {
            ("Afilnet is taking no more messages for now", "Afilnet no admite más mensajes por ahora", SendAgain)
        }
        Fault::TimedOut => ("Afilnet did not answer in time", "Afilnet no respondió a tiempo", SendAgain),
        Fault::ConnectionLost => (
            "The connection to Afilnet broke before it answered",
            "La conexión con Afilnet se cortó antes de que respondiera",
            SendAgain,
        ),
        Fault::Http(413 | 414) => {
            ("The message is too long for Afilnet", "El mensaje es demasiado largo para Afilnet", Shorten)
        }
        Fault::Http(400) => ("Afilnet did not accept the message", "Afilnet no aceptó el mensaje", TellAdministrator),
        Fault::Http(_) => ("Afilnet answered with an error", "Afilnet respondió con un error", SendAgain),
        Fault::NotUnderstood => (
            "Afilnet answered something that could not be understood",
            "Afilnet dio una respuesta que no se pudo entender",
            SendAgain,
        ),
        Fault::Interrupted => (
            "The service that carries messages to Afilnet restarted in the middle of sending",
            "El servicio que lleva los mensajes a Afilnet se reinició en mitad del envío",
            SendAgain,
        ),
        Fault::Credentials(_) => (
            "Afilnet does not accept the user or the password of this channel",
            "Afilnet no acepta el usuario o la contraseña de este canal",
            TellAdministrator,
        ),
        Fault::Forbidden => (
            "Afilnet refuses access from this server",
            "Afilnet no permite el acceso desde este servidor",
            TellAdministrator,
        ),
        Fault::NoCredits => {
            ("The Afilnet account has run out of credit", "La cuenta de Afilnet se ha quedado sin saldo", AddCredit)
        }
        Fault::WrongService(_) => (
            "The address set for Afilnet does not offer this service",
            "La dirección configurada para Afilnet no ofrece este servicio",
            TellAdministrator,
        ),
        Fault::ChannelNotFound => {
            ("Afilnet does not know this channel", "Afilnet no conoce este canal", TellAdministrator)
        }
        Fault::ChatNotFound => (
            "Afilnet has no open conversation with this customer",
            "Afilnet no tiene una conversación abierta con este cliente",
            WaitForCustomer,
        ),
        Fault::MissingParam => (
            "Afilnet says that part of the message is missing",
            "Afilnet dice que falta una parte del mensaje",
            TellAdministrator,
        ),
        Fault::FileType => {
            ("Afilnet does not accept this kind of file", "Afilnet no acepta este tipo de archivo", OtherFile)
        }
        Fault::FileUrl => (
            "Afilnet could not fetch the file from its link",
            "Afilnet no pudo descargar el archivo desde su enlace",
            CheckLink,
        ),
        Fault::ThumbUrl => (
            "Afilnet could not make the preview of the file",
            "Afilnet no pudo crear la vista previa del archivo",
            OtherFile,
        ),
        Fault::NoRoute => (
            "Afilnet finds no way to reach this customer for now",
            "Afilnet no encuentra cómo llegar a este cliente por ahora",
            SendAgain,
        ),
        Fault::TooLong => (
            "The message is too long for the way this channel is connected",
            "El mensaje es demasiado largo para la conexión de este canal",
            Shorten,
        ),
        Fault::Other(code) if code == "SETTLED_BY_HAND" => {
            ("The administrator looked into this message", "El administrador ha comprobado este mensaje", SendAgain)
        }
        Fault::Other(_) => (
            "Afilnet refused the message for a reason of its own",
            "Afilnet rechazó el mensaje por un motivo propio",
            TellAdministrator,
        ),
    }
}

/// Returns Afilnet's code, as an administrator would look it up.
fn shown_code(fault: &Fault) -> Option<String> {
    match fault {
        Fault::Http(status) => Some(format!("HTTP {status}")),
        Fault::Forbidden => Some("HTTP 403".into()),
        Fault::Busy => Some("HTTP 429".into()),
        Fault::Credentials(code) | Fault::WrongService(code) | Fault::Other(code) => {
            Some(match code.strip_prefix("http_") {
                Some(status) => format!("HTTP {status}"),
                None => code.clone(),
            })
        }
        Fault::NoCredits
        | Fault::ChannelNotFound
        | Fault::ChatNotFound
        | Fault::MissingParam
        | Fault::FileType
        | Fault::FileUrl
        | Fault::ThumbUrl
        | Fault::NoRoute => Some(fault.code()),
        Fault::Unreachable
        | Fault::Certificate
        | Fault::TimedOut
        | Fault::ConnectionLost
        | Fault::NotUnderstood
        | Fault::Interrupted
        | Fault::TooLong => None,
    }
}

fn advice(next: NextStep, language: Language) -> &'static str {
    match (next, language) {
        (NextStep::SendAgain, Language::En) => "Send it again in a few minutes.",
        (NextStep::SendAgain, Language::Es) => "Vuelva a enviarlo dentro de unos minutos.",
        (NextStep::TellAdministrator, Language::En) => "Tell the administrator of this channel.",
        (NextStep::TellAdministrator, Language::Es) => "Avise al administrador de este canal.",
        (NextStep::AddCredit, Language::En) => "Ask the administrator of this channel to add credit.",
        (NextStep::AddCredit, Language::Es) => "Pida al administrador de este canal que recargue el saldo.",
        (NextStep::CheckLink, Language::En) => "Check that the link opens without signing in, and send it again.",
        (NextStep::CheckLink, Language::Es) => {
            "Compruebe que el enlace se abre sin iniciar sesión y vuelva a enviarlo."
        }
        (NextStep::OtherFile, Language::En) => "Send the file in another format, or its link as text.",
        (NextStep::OtherFile, Language::Es) => "Envíe el archivo en otro formato, o su enlace como texto.",
        (NextStep::Shorten, Language::En) => "Send it in shorter messages.",
        (NextStep::Shorten, Language::Es) => "Envíelo en mensajes más cortos.",
        (NextStep::WaitForCustomer, Language::En) => "Try a text message first, or wait until the customer writes.",
        (NextStep::WaitForCustomer, Language::Es) => "Pruebe primero con un texto, o espere a que el cliente escriba.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One fault of each kind; codes as long as they can be.
    fn faults() -> Vec<Fault> {
        let longest = || "W".repeat(60);
        let mut faults = vec![
            Fault::Unreachable,
            Fault::Certificate,
            Fault::Busy,
            Fault::TimedOut,
            Fault::ConnectionLost,
            Fault::NotUnderstood,
            Fault::Interrupted,
            Fault::Credentials(longest()),
            Fault::Credentials("http_401".into()),
            Fault::Forbidden,
            Fault::NoCredits,
            Fault::WrongService(longest()),
            Fault::ChannelNotFound,
            Fault::ChatNotFound,
            Fault::MissingParam,
            Fault::FileType,
            Fault::FileUrl,
            Fault::ThumbUrl,
            Fault::NoRoute,
            Fault::TooLong,
            Fault::Other(longest()),
        ];
        faults.extend([400, 408, 413, 414, 422, 500, 502, 503, 504, 999].map(Fault::Http));
        faults
    }

    #[test]
    fn every_fault_has_its_sentence_in_both_languages() {
        for fault in faults() {
            for delivered_text in [Delivered::No, Delivered::Maybe] {
                let english = failure_text(&fault, delivered_text, Language::En);
                let spanish = failure_text(&fault, delivered_text, Language::Es);
                assert_ne!(english, spanish);
                for text in [english, spanish] {
                    assert!((40..=300).contains(&text.chars().count()), "{} characters: {text}", text.chars().count());
                    assert!(text.ends_with('.') && !text.contains("..") && !text.contains("  "), "{text}");
                }
            }
        }
    }

    #[test]
    fn the_agent_learns_whether_the_customer_got_it_and_what_to_do() {
        assert_eq!(
            failure_text(&Fault::FileUrl, Delivered::No, Language::En),
            "Afilnet could not fetch the file from its link (INCORRECT_FILEURL). The customer did not get this message. \
             Check that the link opens without signing in, and send it again."
        );
        assert_eq!(
            failure_text(&Fault::TimedOut, Delivered::Maybe, Language::En),
            "Afilnet did not answer in time. It may have been delivered: check with the customer before sending it again."
        );
        assert_eq!(
            failure_text(&Fault::NoCredits, Delivered::No, Language::Es),
            "La cuenta de Afilnet se ha quedado sin saldo (NO_CREDITS). El cliente no ha recibido este mensaje. \
             Pida al administrador de este canal que recargue el saldo."
        );
        assert!(
            failure_text(&Fault::Credentials("http_401".into()), Delivered::No, Language::En).contains("(HTTP 401)")
        );
    }

    #[test]
    fn a_message_that_waited_for_too_long_says_so_in_both_languages() {
        let day = Duration::from_hours(24);
        assert_eq!(
            stale(day, Language::En),
            "This message could not be sent within 1day, and was not sent later. The customer did not get this message. Write \
             it again if it still matters."
        );
        assert!(
            stale(day, Language::Es)
                .ends_with("El cliente no ha recibido este mensaje. Escríbalo de nuevo si aún importa.")
        );
    }

    #[test]
    fn a_gap_names_its_span_as_far_as_it_is_known() {
        let (from, to) = (Some(1_767_225_600_000), Some(1_767_229_260_000));
        assert_eq!(
            gap(from, to, Language::En),
            "[Messages written before this one could not be read from Afilnet: between 2026-01-01 00:00 UTC and \
             2026-01-01 01:01 UTC some may be missing]"
        );
        assert!(gap(from, None, Language::Es).contains("después de 2026-01-01 00:00 UTC"));
        assert!(gap(None, to, Language::En).ends_with(": some may be missing]"));
        assert!(gap(Some(i64::MAX), to, Language::Es).ends_with(": puede faltar alguno]"));
    }

    #[test]
    fn a_status_has_words_in_both_languages() {
        for value in [StatusValue::Delivered, StatusValue::Read, StatusValue::Failed] {
            assert_ne!(receipt(value, Language::En), receipt(value, Language::Es));
        }
    }

    #[test]
    fn what_may_have_arrived_is_never_to_be_sent_again_at_once() {
        for fault in faults() {
            let english = failure_text(&fault, Delivered::Maybe, Language::En);
            assert_eq!(english.matches("again").count(), 1, "{english}");
            let spanish = failure_text(&fault, Delivered::Maybe, Language::Es);
            assert_eq!(spanish.to_lowercase().matches("vuelva").count(), 0, "{spanish}");
        }
    }
}
