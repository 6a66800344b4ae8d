//! `[afilnet.json]` and `[afilnet.soap]`: the settings of the transports that Afilnet describes without their addresses.

use url::Url;

use super::checker::Checker;
use super::{OAuth, Soap, Transport, TransportName, raw};

/// Returns the transport, and the URL of its API if it is not `afilnet.url`.
pub(super) fn check(
    checker: &mut Checker,
    name: TransportName,
    json: Option<raw::AfilnetJson>,
    soap: Option<raw::AfilnetSoap>,
) -> Option<(Transport, Option<Url>)> {
    match name {
        TransportName::Post => Some((Transport::Post, None)),
        TransportName::Get => {
            checker.warnings.push(
                "afilnet.transport: get puts the password and every message into URLs, which proxies and servers log; use \
                 post once the diagnosis is done"
                    .to_owned(),
            );
            Some((Transport::Get, None))
        }
        TransportName::Basic => Some((Transport::Basic, None)),
        TransportName::Json => check_json(checker, json?).map(|(oauth, url)| (Transport::Json(oauth), Some(url))),
        TransportName::Soap => check_soap(checker, soap?).map(|(soap, url)| (Transport::Soap(soap), Some(url))),
    }
}

fn check_json(checker: &mut Checker, raw: raw::AfilnetJson) -> Option<(OAuth, Url)> {
    warn_of_unseen(checker, "json");
    let client_secret = checker.secret("afilnet.json.client_secret", raw.client_secret, raw.client_secret_file);
    let url = checker.required("afilnet.json.url", raw.url);
    let token_url = checker.required("afilnet.json.token_url", raw.token_url);
    let grant = checker.required("afilnet.json.grant", raw.grant);
    let client_id = checker.required("afilnet.json.client_id", raw.client_id);
    let client_secret = checker.required("afilnet.json.client_secret", client_secret);
    let oauth = OAuth {
        token_url: token_url?,
        grant: grant?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope: raw.scope.unwrap_or_default(),
    };
    Some((oauth, url?))
}

fn check_soap(checker: &mut Checker, raw: raw::AfilnetSoap) -> Option<(Soap, Url)> {
    warn_of_unseen(checker, "soap");
    let url = checker.required("afilnet.soap.url", raw.url)?;
    let (namespace, action) = (raw.namespace.unwrap_or_default(), raw.action.unwrap_or_default());
    Some((Soap { namespace, action, operation: raw.operation }, url))
}

fn warn_of_unseen(checker: &mut Checker, transport: &str) {
    checker.warnings.push(format!(
        "afilnet.transport: {transport} was built from the published description alone and never seen live. Try it without \
         sending anything: `bridge channels`"
    ));
}
