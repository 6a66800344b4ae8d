//! Logs why a platform cannot be reached: which host, the cause, who must fix it, and how. Logged once, when it begins
//! or its cause changes, and not for each call that fails.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

/// The last logged cause of each host, while it lasts.
static TROUBLES: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Records that a connection to `host` failed, and why.
pub(crate) fn began(host: &str, error: &(dyn Error + 'static)) {
    let cause = cause(host, error, "ca_file");
    let known = TROUBLES.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), cause.clone());
    if known.as_ref() != Some(&cause) {
        tracing::warn!(
            host,
            cause,
            "no connection to {host}: {cause}. Messages wait and are tried again; none is lost"
        );
    }
}

/// Records that `host` has responded.
pub(crate) fn ended(host: &str) {
    let known = TROUBLES.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    if known.is_some() {
        tracing::info!(host, "{host} can be reached again");
    }
}

/// Returns why `host` cannot be reached, if so.
pub(crate) fn of(host: &str) -> Option<String> {
    TROUBLES.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
}

/// Returns why a connection to `host` failed, whose fault that is, and what to do. `ca_setting` is what names a private
/// authority in the configuration.
pub(crate) fn cause(host: &str, error: &(dyn Error + 'static), ca_setting: &str) -> String {
    words(host, &chain(error), ca_setting)
}

/// Returns the causes of an error, outermost first, without the error itself, which prints the URL.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns what the causes mean, as written by rustls 0.23, hyper-util 0.1 and Linux.
fn words(host: &str, chain: &str, ca_setting: &str) -> String {
    let says = |what: &str| chain.contains(what);
    let certificate = says("invalid peer certificate");
    if certificate && (says("xpired") || says("not valid after")) {
        let on = expiry(chain).map_or_else(String::new, |date| format!(" on {date}"));
        format!(
            "its certificate expired{on}. Whoever runs {host} must renew it, unless the clock of this machine is wrong"
        )
    } else if certificate && (says("not valid yet") || says("NotValidYet") || says("not valid before")) {
        "its certificate is not valid yet: check the clock of this machine".to_owned()
    } else if certificate && (says("not valid for") || says("NotValidForName")) {
        format!(
            "its certificate is for another host name. Check the address that is configured; if it is right, whoever runs \
             {host} must put it right"
        )
    } else if certificate && says("UnknownIssuer") {
        format!(
            "nobody whom this machine trusts vouches for its certificate. Either the chain is incomplete (whoever runs {host} \
             must send the intermediate certificate too), or something in between opens TLS, or its authority is private: \
             then name that one in {ca_setting}"
        )
    } else if certificate {
        format!("its certificate is not accepted ({}). Whoever runs {host} must put it right", last(chain))
    } else if says("InvalidContentType") || says("corrupt message") {
        "what answers there does not speak TLS. Check the port, and whether the address shall be http".to_owned()
    } else if says("onnection refused") {
        "the connection was refused: nothing listens at that port. Its service is down, or the port is wrong".to_owned()
    } else if says("Name or service not known") || says("No address associated") || says("nodename nor servname") {
        "there is no such host. Check its spelling in the configuration, and the DNS of this machine".to_owned()
    } else if says("emporary failure in name resolution") || says("dns error") {
        "its name could not be looked up: the DNS server of this machine does not answer. Check the network and \
         /etc/resolv.conf"
            .to_owned()
    } else if says("nreachable") || says("No route to host") {
        "there is no way to it from this machine. Check the network, its routes and its firewall".to_owned()
    } else if says("oo many open files") {
        "this process has no file descriptor left. Raise its limit (ulimit -n, LimitNOFILE)".to_owned()
    } else if says("timed out") || says("deadline has elapsed") {
        "it did not take the connection in time. It is down or overloaded, or a firewall drops the packets".to_owned()
    } else {
        format!("it cannot be reached ({})", last(chain))
    }
}

/// Returns the innermost cause.
fn last(chain: &str) -> &str {
    chain.rsplit(": ").next().unwrap_or_default()
}

/// Returns the day after which a certificate is not valid any more: "… is not valid after 1700000000 (…".
fn expiry(chain: &str) -> Option<String> {
    let (_, rest) = chain.split_once("not valid after ")?;
    let seconds = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some(jiff::Timestamp::from_second(seconds).ok()?.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_words_of_its_own_that_say_whose_it_is() {
        let invalid = "client error (Connect): invalid peer certificate: ";
        for (chain, expected) in [
            (format!("{invalid}Expired"), "expired. Whoever runs h.test must renew it"),
            (
                format!(
                    "{invalid}certificate expired: verified at time 1732900000 (UNIX time), but certificate is not valid after \
                     1700000000 (32900000 seconds ago)"
                ),
                "expired on 2023-11-14. Whoever runs h.test",
            ),
            (format!("{invalid}NotValidYet"), "check the clock of this machine"),
            (
                format!(
                    "{invalid}certificate not valid for name \"h.test\"; certificate is only valid for DnsName(\"x\")"
                ),
                "for another host name",
            ),
            (format!("{invalid}UnknownIssuer"), "the chain is incomplete (whoever runs h.test"),
            (format!("{invalid}BadSignature"), "not accepted (BadSignature)"),
            ("received corrupt message of type InvalidContentType".into(), "does not speak TLS"),
            ("tcp connect error: Connection refused (os error 111)".into(), "nothing listens at that port"),
            ("dns error: failed to lookup address information: Name or service not known".into(), "no such host"),
            (
                "dns error: failed to lookup address information: Temporary failure in name resolution".into(),
                "DNS server",
            ),
            ("tcp connect error: Network is unreachable (os error 101)".into(), "no way to it"),
            ("tcp connect error: No route to host (os error 113)".into(), "no way to it"),
            ("tcp connect error: Too many open files (os error 24)".into(), "LimitNOFILE"),
            ("operation timed out".into(), "in time"),
            ("something new".into(), "cannot be reached (something new)"),
        ] {
            let words = words("h.test", &chain, "ca_file");
            assert!(words.contains(expected), "{chain}: {words}");
            assert!(!words.contains(" on :") && !words.ends_with('.'), "{words}");
        }
    }

    #[test]
    fn a_trouble_lasts_until_the_host_answers() {
        let refused = std::io::Error::other(std::io::Error::other("Connection refused"));
        began("lasts.test", &refused);
        assert!(of("lasts.test").is_some());
        ended("lasts.test");
        assert_eq!(of("lasts.test"), None);
    }
}
