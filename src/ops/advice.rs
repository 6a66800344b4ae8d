//! Advice to an operator on a fault of a platform that was called by hand.

use crate::domain::{Fault, Language};

/// Returns what happened and what to do, for the operator.
pub(crate) fn of_afilnet(fault: &Fault, language: Language) -> &'static str {
    let (english, spanish) = match fault {
        Fault::Unreachable => (
            "Afilnet could not be reached. Check afilnet.url, and this machine's DNS and firewall; if they are right, Afilnet \
             is down, and a running bridge goes on by itself when it is back",
            "No se pudo llegar a Afilnet. Revise afilnet.url, y el DNS y el cortafuegos de esta máquina; si están bien, Afilnet está caído, y un puente en marcha continúa solo cuando vuelva",
        ),
        Fault::Certificate => (
            "Afilnet's certificate does not prove who it is. Check this machine's clock and its CA certificates; where a \
             proxy inspects the traffic, set afilnet.ca_file",
            "El certificado de Afilnet no prueba quién es. Revise el reloj de esta máquina y sus certificados de CA; si un proxy inspecciona el tráfico, configure afilnet.ca_file",
        ),
        Fault::Credentials(code) if code.starts_with("oauth_") => (
            "the token endpoint does not accept them. Check client_id, client_secret, grant and scope of [afilnet.json]; with \
             the grant password, afilnet.user and afilnet.password too",
            "El servidor de tokens no acepta las credenciales. Revise client_id, client_secret, grant y scope de [afilnet.json]; con el grant password, también afilnet.user y afilnet.password",
        ),
        Fault::Credentials(_) => (
            "Afilnet does not accept them. Check afilnet.user and afilnet.password of this account",
            "Afilnet no acepta las credenciales. Revise afilnet.user y afilnet.password de esta cuenta",
        ),
        Fault::Forbidden => (
            "Afilnet does not let this machine in. Allow its address in Afilnet's panel (Options > Access to API)",
            "Afilnet no deja entrar a esta máquina. Permita su dirección en el panel de Afilnet (Opciones > Acceso a API)",
        ),
        Fault::WrongService(code) if code.starts_with("oauth_") => (
            "what answers is not a token endpoint. Check afilnet.json.token_url",
            "Lo que responde no es un servidor de tokens. Revise afilnet.json.token_url",
        ),
        Fault::WrongService(_) => (
            "what answers is not Afilnet's API. Check afilnet.url and afilnet.transport",
            "Lo que responde no es la API de Afilnet. Revise afilnet.url y afilnet.transport",
        ),
        Fault::Busy => (
            "Afilnet takes no more calls for now. Try again in a minute",
            "Afilnet no acepta más llamadas por ahora. Inténtelo de nuevo en un minuto",
        ),
        Fault::TimedOut | Fault::ConnectionLost | Fault::Http(_) | Fault::NotUnderstood | Fault::Interrupted => (
            "Afilnet is out of order or did not answer in full. Try again in a minute; if this lasts, check afilnet.url and \
             ask Afilnet",
            "Afilnet no funciona bien o no respondió por completo. Inténtelo de nuevo en un minuto; si sigue así, revise afilnet.url y pregunte a Afilnet",
        ),
        Fault::NoCredits
        | Fault::ChannelNotFound
        | Fault::ChatNotFound
        | Fault::MissingParam
        | Fault::FileType
        | Fault::FileUrl
        | Fault::ThumbUrl
        | Fault::NoRoute
        | Fault::TooLong
        | Fault::Other(_) => (
            "Afilnet refused the question. Look its code up with Afilnet",
            "Afilnet rechazó la pregunta. Pregunte a Afilnet qué significa su código",
        ),
    };
    match language {
        Language::En => english,
        Language::Es => spanish,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told_in_both_languages() {
        let codes = [
            "unreachable",
            "certificate",
            "busy",
            "timed_out",
            "oauth_401",
            "http_401",
            "http_403",
            "NO_CREDITS",
            "http_404",
        ];
        for fault in codes.map(Fault::from_code) {
            let (english, spanish) = (of_afilnet(&fault, Language::En), of_afilnet(&fault, Language::Es));
            assert_ne!(english, spanish);
            for word in ["the ", "Check", "Try", " and ", " it"] {
                assert!(!spanish.contains(word), "{word}: {spanish}");
            }
        }
    }
}
