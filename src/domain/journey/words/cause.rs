//! Why something failed, for operators: what happened, and what mends it. By the codes that are stored
//! ([`crate::domain::Fault::code`], and those that the store sets itself). Texts for agents are in
//! `domain/agent_text.rs`.

use crate::domain::Language;

/// The platform that a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FarSide {
    Afilnet,
    BonyChat,
}

impl FarSide {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Afilnet => "Afilnet",
            Self::BonyChat => "BonyChat",
        }
    }
}

/// A cause in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// A clause without its full stop.
    pub(crate) what: String,
    /// A whole sentence; empty where it mends itself.
    pub(crate) cure: &'static str,
    /// It stops the channel or the account, until a call succeeds.
    pub(crate) stops: bool,
}

/// What a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unreachable,
    Certificate,
    Busy,
    TimedOut,
    ConnectionLost,
    Status,
    NotUnderstood,
    Interrupted,
    Credentials,
    Forbidden,
    NoCredits,
    WrongService,
    ChannelNotFound,
    ChatNotFound,
    MissingParam,
    FileType,
    FileUrl,
    ThumbUrl,
    NoRoute,
    TooLong,
    Refused,
    Discarded,
    SettledByHand,
    UnreadableRow,
    Stale,
    Other,
}

fn kind(code: &str) -> Kind {
    match code {
        "unreachable" => Kind::Unreachable,
        "certificate" => Kind::Certificate,
        "http_429" | "busy" => Kind::Busy,
        "timed_out" => Kind::TimedOut,
        "connection_lost" => Kind::ConnectionLost,
        "not_understood" => Kind::NotUnderstood,
        "interrupted" => Kind::Interrupted,
        "http_401" | "MISSING_USER" | "MISSING_PASSWORD" | "INCORRECT_USER_PASSWORD" => Kind::Credentials,
        "http_403" => Kind::Forbidden,
        "NO_CREDITS" => Kind::NoCredits,
        "http_404" | "http_405" | "http_410" | "web_page" | "bad_address" | "request_not_built" | "MISSING_CLASS"
        | "MISSING_METHOD" | "INCORRECT_CLASS" | "INCORRECT_METHOD" => Kind::WrongService,
        "CHANNEL_NOT_FOUND" => Kind::ChannelNotFound,
        "CHAT_NOT_FOUND" => Kind::ChatNotFound,
        "MISSING_COMPULSORY_PARAM" => Kind::MissingParam,
        "INCORRECT_FILETYPE" => Kind::FileType,
        "INCORRECT_FILEURL" => Kind::FileUrl,
        "INCORRECT_THUMBURL" => Kind::ThumbUrl,
        "NO_ROUTE_AVAILABLE" => Kind::NoRoute,
        "too_long" | "http_413" | "http_414" => Kind::TooLong,
        "discarded" => Kind::Discarded,
        "settled_by_hand" | "SETTLED_BY_HAND" => Kind::SettledByHand,
        "unreadable_row" => Kind::UnreadableRow,
        "stale" => Kind::Stale,
        _ => match code.strip_prefix("http_") {
            Some(status) if status.starts_with('3') => Kind::WrongService,
            Some(status) if status.starts_with('4') && status != "408" && status != "425" && status != "449" => {
                Kind::Refused
            }
            Some(_) => Kind::Status,
            None => Kind::Other,
        },
    }
}

/// Returns a code in words, with the code where the platform gave it.
pub(crate) fn cause(code: &str, side: FarSide, language: Language) -> Cause {
    let kind = kind(code);
    let (english, spanish) = what(kind);
    let (cure_english, cure_spanish) = cure(kind, side);
    let (what, cure) = match language {
        Language::En => (english, cure_english),
        Language::Es => (spanish, cure_spanish),
    };
    let shown = match code.strip_prefix("http_") {
        Some(status) => format!(" (HTTP {status})"),
        None if code.starts_with(|c: char| c.is_ascii_uppercase()) => format!(" ({code})"),
        None => String::new(),
    };
    let what = what.replace("{side}", side.name()) + &shown;
    let stops = match kind {
        Kind::Certificate | Kind::Credentials | Kind::Forbidden | Kind::NoCredits | Kind::WrongService => true,
        Kind::ChannelNotFound => side == FarSide::Afilnet,
        _ => false,
    };
    Cause { what, cure, stops }
}

/// In English and in Spanish.
fn what(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Unreachable => ("{side} could not be reached", "no se pudo conectar con {side}"),
        Kind::Certificate => ("the certificate of {side} is not valid", "el certificado de {side} no es válido"),
        Kind::Busy => ("{side} asked to slow down", "{side} pidió ir más despacio"),
        Kind::TimedOut => ("{side} gave no answer in time", "{side} no respondió a tiempo"),
        Kind::ConnectionLost => (
            "the connection to {side} broke before its answer",
            "la conexión con {side} se cortó antes de su respuesta",
        ),
        Kind::Status => ("{side} answered with an error", "{side} respondió con un error"),
        Kind::NotUnderstood => (
            "{side} answered something that could not be understood",
            "{side} dio una respuesta que no se pudo entender",
        ),
        Kind::Interrupted => (
            "the process ended, or lost its channel, in the middle of the call",
            "el proceso terminó, o perdió su canal, en mitad de la llamada",
        ),
        Kind::Credentials => ("{side} does not accept the credentials", "{side} no acepta las credenciales"),
        Kind::Forbidden => ("{side} refuses access from here", "{side} no permite el acceso desde aquí"),
        Kind::NoCredits => ("the account at {side} has no credit", "la cuenta de {side} no tiene saldo"),
        Kind::WrongService => (
            "the configured address of {side} does not offer this service",
            "la dirección configurada de {side} no ofrece este servicio",
        ),
        Kind::ChannelNotFound => ("{side} does not know the channel", "{side} no conoce el canal"),
        Kind::ChatNotFound => (
            "{side} has no open conversation with this customer",
            "{side} no tiene una conversación abierta con este cliente",
        ),
        Kind::MissingParam => ("{side} misses a part of the message", "{side} echa en falta una parte del mensaje"),
        Kind::FileType => ("{side} does not take this kind of file", "{side} no admite este tipo de archivo"),
        Kind::FileUrl => ("{side} could not fetch the file", "{side} no pudo descargar el archivo"),
        Kind::ThumbUrl => {
            ("{side} could not make the preview of the file", "{side} no pudo crear la vista previa del archivo")
        }
        Kind::NoRoute => ("{side} found no way to this customer", "{side} no encontró cómo llegar a este cliente"),
        Kind::TooLong => ("it is too long for {side}", "es demasiado largo para {side}"),
        Kind::Refused => ("{side} refused it", "{side} lo rechazó"),
        Kind::Discarded => ("a person discarded it", "una persona lo descartó"),
        Kind::SettledByHand => ("a person decided it", "una persona lo decidió"),
        Kind::Stale => (
            "it waited for longer than `outbound.stale_after`, and was not sent",
            "esperó más de lo que permite `outbound.stale_after`, y no se envió",
        ),
        Kind::UnreadableRow => ("its row in the store cannot be read", "su fila en el almacén no se puede leer"),
        Kind::Other => {
            ("{side} gave a reason that this version does not know", "{side} dio un motivo que esta versión no conoce")
        }
    }
}

/// In English and in Spanish. What is said of the configuration holds from a reload on: the file is read at the start and
/// at SIGHUP alone.
fn cure(kind: Kind, side: FarSide) -> (&'static str, &'static str) {
    match (kind, side) {
        (
            Kind::Unreachable
            | Kind::Busy
            | Kind::TimedOut
            | Kind::ConnectionLost
            | Kind::Status
            | Kind::Interrupted
            | Kind::Discarded
            | Kind::SettledByHand
            | Kind::Stale,
            _,
        ) => ("", ""),
        (Kind::Certificate, FarSide::Afilnet) => (
            "Have the certificate mended, or trust its issuer (`afilnet.ca_file`), then reload (SIGHUP); it goes on by itself.",
            "Haga corregir el certificado, o confíe en su emisor (`afilnet.ca_file`), y recargue (SIGHUP); después continúa solo.",
        ),
        (Kind::Certificate, FarSide::BonyChat) => (
            "Have the certificate mended, or trust its issuer (`bonychat.ca_file`), then reload (SIGHUP); it goes on by itself.",
            "Haga corregir el certificado, o confíe en su emisor (`bonychat.ca_file`), y recargue (SIGHUP); después continúa solo.",
        ),
        (Kind::NotUnderstood, FarSide::Afilnet) => (
            "If it lasts, look at the log (`log.level = \"debug\"`) and tell Afilnet.",
            "Si continúa, mire el registro (`log.level = \"debug\"`) y avise a Afilnet.",
        ),
        (Kind::NotUnderstood, FarSide::BonyChat) => (
            "If it lasts, compare `webhook_url` with the channel's page in BonyChat.",
            "Si continúa, compare `webhook_url` con la página del canal en BonyChat.",
        ),
        (Kind::Credentials, FarSide::Afilnet) => (
            "Set `afilnet.user` and `afilnet.password` to what Afilnet accepts, then reload (SIGHUP); it goes on by itself.",
            "Ponga en `afilnet.user` y `afilnet.password` lo que Afilnet acepta, y recargue (SIGHUP); después continúa solo.",
        ),
        (Kind::Credentials, FarSide::BonyChat) => (
            "Copy `api_token` anew from the channel's page in BonyChat, then reload (SIGHUP); it goes on by itself.",
            "Copie de nuevo `api_token` de la página del canal en BonyChat, y recargue (SIGHUP); después continúa solo.",
        ),
        (Kind::Forbidden, FarSide::Afilnet) => (
            "Have the address of this server allowed in Afilnet's account; it goes on by itself.",
            "Haga que la cuenta de Afilnet permita la dirección de este servidor; después continúa solo.",
        ),
        (Kind::Forbidden, FarSide::BonyChat) => (
            "Check the channel and its token in BonyChat; it goes on by itself.",
            "Compruebe el canal y su token en BonyChat; después continúa solo.",
        ),
        (Kind::NoCredits, _) => (
            "Add credit to the Afilnet account; it goes on by itself.",
            "Recargue el saldo de la cuenta de Afilnet; después continúa solo.",
        ),
        (Kind::WrongService, FarSide::Afilnet) => (
            "Check `afilnet.url` and `afilnet.transport`, then reload (SIGHUP); it goes on by itself.",
            "Compruebe `afilnet.url` y `afilnet.transport`, y recargue (SIGHUP); después continúa solo.",
        ),
        (Kind::WrongService, FarSide::BonyChat) => (
            "Copy `webhook_url` anew from the channel's page in BonyChat, then reload (SIGHUP); it goes on by itself.",
            "Copie de nuevo `webhook_url` de la página del canal en BonyChat, y recargue (SIGHUP); después continúa solo.",
        ),
        (Kind::ChannelNotFound, _) => (
            "Set `platform` and `platform_id` as `bridge channels` shows them, then reload (SIGHUP); it goes on by itself.",
            "Ponga `platform` y `platform_id` como los muestra `bridge channels`, y recargue (SIGHUP); después continúa solo.",
        ),
        (Kind::ChatNotFound, _) => (
            "Wait until the customer writes, or send a text first.",
            "Espere a que el cliente escriba, o envíe antes un texto.",
        ),
        (Kind::MissingParam, _) => (
            "Tell those who keep this bridge: it should have sent that part.",
            "Avise a quien mantiene este puente: debería haber enviado esa parte.",
        ),
        (Kind::FileType | Kind::ThumbUrl, _) => (
            "Have the file sent in another format, or its link as text.",
            "Haga enviar el archivo en otro formato, o su enlace como texto.",
        ),
        (Kind::FileUrl, _) => {
            ("Check that the link opens without signing in.", "Compruebe que el enlace se abre sin iniciar sesión.")
        }
        (Kind::NoRoute, _) => (
            "Try it again later; if it stays, ask Afilnet about this destination.",
            "Vuelva a intentarlo más tarde; si continúa, pregunte a Afilnet por este destino.",
        ),
        (Kind::TooLong, _) => ("Have it sent in shorter messages.", "Haga que se envíe en mensajes más cortos."),
        (Kind::Refused, FarSide::Afilnet) | (Kind::Other, _) => (
            "Look the code up, or ask the platform what it means.",
            "Busque el código, o pregunte a la plataforma qué significa.",
        ),
        (Kind::Refused, FarSide::BonyChat) => (
            "Compare `channel_id`, `id_type` and `webhook_url` with the channel's page in BonyChat.",
            "Compare `channel_id`, `id_type` y `webhook_url` con la página del canal en BonyChat.",
        ),
        (Kind::UnreadableRow, _) => (
            "Have it written anew, and look at the log for what is wrong with the store.",
            "Haga que se escriba de nuevo, y mire en el registro qué le pasa al almacén.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::Fault;

    /// The codes of every fault, and those that the store sets. The match has no arm for the rest, so that a new fault is
    /// added here.
    fn codes() -> Vec<String> {
        let faults = [
            Fault::Unreachable,
            Fault::Certificate,
            Fault::Busy,
            Fault::TimedOut,
            Fault::ConnectionLost,
            Fault::Http(500),
            Fault::NotUnderstood,
            Fault::Interrupted,
            Fault::Credentials("INCORRECT_USER_PASSWORD".into()),
            Fault::Forbidden,
            Fault::NoCredits,
            Fault::WrongService("INCORRECT_CLASS".into()),
            Fault::ChannelNotFound,
            Fault::ChatNotFound,
            Fault::MissingParam,
            Fault::FileType,
            Fault::FileUrl,
            Fault::ThumbUrl,
            Fault::NoRoute,
            Fault::TooLong,
            Fault::Other("NEW_CODE".into()),
        ];
        for fault in &faults {
            match fault {
                Fault::Unreachable
                | Fault::Certificate
                | Fault::Busy
                | Fault::TimedOut
                | Fault::ConnectionLost
                | Fault::Http(_)
                | Fault::NotUnderstood
                | Fault::Interrupted
                | Fault::Credentials(_)
                | Fault::Forbidden
                | Fault::NoCredits
                | Fault::WrongService(_)
                | Fault::ChannelNotFound
                | Fault::ChatNotFound
                | Fault::MissingParam
                | Fault::FileType
                | Fault::FileUrl
                | Fault::ThumbUrl
                | Fault::NoRoute
                | Fault::TooLong
                | Fault::Other(_) => {}
            }
        }
        let stored = ["discarded", "settled_by_hand", "unreadable_row", "stale", "http_422"];
        faults.iter().map(Fault::code).chain(stored.map(str::to_owned)).collect()
    }

    #[test]
    fn no_code_lacks_either_language_and_each_has_words_of_its_own() {
        for side in [FarSide::Afilnet, FarSide::BonyChat] {
            for language in [Language::En, Language::Es] {
                let all: Vec<Cause> = codes().iter().map(|code| cause(code, side, language)).collect();
                for Cause { what, cure, .. } in &all {
                    assert!(what.chars().count() > 10 && !what.contains(['{', '}']) && !what.ends_with('.'), "{what}");
                    assert!(cure.is_empty() || cure.ends_with('.'), "{cure}");
                }
                assert_eq!(all.iter().map(|cause| &cause.what).collect::<HashSet<_>>().len(), all.len());
            }
            for code in codes() {
                let (english, spanish) = (cause(&code, side, Language::En), cause(&code, side, Language::Es));
                assert_ne!(english.what, spanish.what);
                assert_eq!(english.cure.is_empty(), spanish.cure.is_empty(), "{code}");
            }
        }
    }

    /// The keys of the default file, those of a channel without their section.
    fn keys() -> HashSet<String> {
        let (mut section, mut keys) = (String::new(), HashSet::new());
        for line in include_str!("../../../../config/default.toml").lines() {
            let line = line.strip_prefix("# ").unwrap_or(line);
            if let Some((header, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                section = if header.starts_with("channels.") { String::new() } else { format!("{header}.") };
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.insert(format!("{section}{key}"));
            }
        }
        keys
    }

    #[test]
    fn each_key_that_is_named_is_one_and_what_waits_for_a_change_of_it_waits_for_a_reload() {
        let keys = keys();
        assert!(keys.contains("afilnet.url") && keys.contains("platform_id") && keys.len() > 45, "{keys:?}");
        let mut named = HashSet::new();
        for side in [FarSide::Afilnet, FarSide::BonyChat] {
            for (code, language) in codes().iter().flat_map(|code| [(code, Language::En), (code, Language::Es)]) {
                let cure = cause(code, side, language).cure;
                let quoted: Vec<&str> =
                    cure.split('`').skip(1).step_by(2).filter(|span| !span.starts_with("bridge ")).collect();
                for span in &quoted {
                    let key = span.split(" = ").next().unwrap_or(span);
                    assert!(keys.contains(key), "`{key}` is no key: {cure}");
                    let other = match side {
                        FarSide::Afilnet => "bonychat.",
                        FarSide::BonyChat => "afilnet.",
                    };
                    assert!(!key.starts_with(other), "{code} of {side:?}: {cure}");
                    named.insert(key.to_owned());
                }
                let goes_on = cure.contains("by itself") || cure.contains("continúa solo");
                assert!(quoted.is_empty() || !goes_on || cure.contains("(SIGHUP)"), "{cure}");
            }
        }
        assert!(named.len() > 8, "{named:?}");
    }

    #[test]
    fn a_code_of_the_platform_is_shown_and_what_stops_a_channel_has_its_cure() {
        let english = |code: &str| cause(code, FarSide::Afilnet, Language::En);
        assert_eq!(english("NO_CREDITS").what, "the account at Afilnet has no credit (NO_CREDITS)");
        assert_eq!(english("http_503").what, "Afilnet answered with an error (HTTP 503)");
        assert_eq!(english("timed_out").what, "Afilnet gave no answer in time");
        for code in codes() {
            let cause = english(&code);
            assert!(!cause.stops || !cause.cure.is_empty(), "{code}");
            let scope = Fault::from_code(&code).scope();
            assert!(scope == crate::domain::Scope::Call || cause.stops, "{code}");
        }
    }
}
