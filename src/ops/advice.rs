//! What a fault of a far side means for an operator who asked it something, and what to do.

use crate::domain::Fault;

/// Returns what happened and what to do, for the operator.
pub(crate) fn of_afilnet(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unreachable => {
            "Afilnet could not be reached. Check afilnet.url, and this machine's DNS and firewall; if they are right, Afilnet \
             is down, and a running bridge goes on by itself when it is back"
        }
        Fault::Certificate => {
            "Afilnet's certificate does not prove who it is. Check this machine's clock and its CA certificates; where a \
             proxy inspects the traffic, set afilnet.ca_file"
        }
        Fault::Credentials(code) if code.starts_with("oauth_") => {
            "the token endpoint does not accept them. Check client_id, client_secret, grant and scope of [afilnet.json]; with \
             the grant password, afilnet.user and afilnet.password too"
        }
        Fault::Credentials(_) => {
            "Afilnet does not accept them. Check afilnet.user and afilnet.password of this account"
        }
        Fault::Forbidden => {
            "Afilnet does not let this machine in. Allow its address in Afilnet's panel (Options > Access to API)"
        }
        Fault::WrongService(code) if code.starts_with("oauth_") => {
            "what answers is not a token endpoint. Check afilnet.json.token_url"
        }
        Fault::WrongService(_) => "what answers is not Afilnet's API. Check afilnet.url and afilnet.transport",
        Fault::Busy => "Afilnet takes no more calls for now. Try again in a minute",
        Fault::TimedOut | Fault::ConnectionLost | Fault::Http(_) | Fault::NotUnderstood | Fault::Interrupted => {
            "Afilnet is out of order or did not answer in full. Try again in a minute; if this lasts, check afilnet.url and \
             ask Afilnet"
        }
        Fault::NoCredits
        | Fault::ChannelNotFound
        | Fault::ChatNotFound
        | Fault::MissingParam
        | Fault::FileType
        | Fault::FileUrl
        | Fault::ThumbUrl
        | Fault::NoRoute
        | Fault::TooLong
        | Fault::Other(_) => "Afilnet refused the question. Look its code up with Afilnet",
    }
}
