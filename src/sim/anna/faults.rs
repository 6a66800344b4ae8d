//! What goes wrong at the simulated AnnA, on order: `ENDPOINT:KIND`, with `:NTH` or `:FROM-TO` behind it where it is not meant
//! for the next call alone; `*` is any endpoint.

use std::str::FromStr;

/// What one answer is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// `refused_es`, `refused_en`, `refused_pt`: `success:false` with a reason in that language.
    Refused(&'static str),
    /// `inactive_es`, `inactive_en`, `inactive_pt`: the user is inactive.
    Inactive(&'static str),
    /// `token_expired`: `success:false` about the token.
    TokenExpired,
    /// `server_refused`: `success:false` under the status 500.
    ServerRefused,
    /// `http_NNN`: this status; 429 and 503 ask for a second, 3xx point elsewhere, others bring an HTML page.
    Http(u16),
    /// `slow`: the answer comes after the options' `slow`.
    Slow,
    /// `hang`: no answer; the connection stays open until the client leaves.
    Hang,
    /// `reset`: the connection is reset without an answer.
    Reset,
    /// `closed`: the port refuses connections for the options' `down_for`.
    Closed,
    /// `cut_off`: the answer breaks off in the middle, under the length of the whole.
    CutOff,
    /// `half_json`: half of the answer, in good order.
    HalfJson,
    /// `no_payload`: `success:true` and nothing else.
    NoPayload,
    /// `other_case`: every key in another case.
    OtherCase,
    /// `count_as_text`: `alertCounter` as text.
    CountAsText,
    /// `link_newline`: a line end in the link.
    LinkNewline,
    /// `link_http`: the link is http.
    LinkHttp,
    /// `link_empty`: no link.
    LinkEmpty,
    /// `huge`: the answer has a megabyte.
    Huge,
}

impl Oddity {
    /// The name of every kind, with `http_NNN` for the statuses of the contract.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        &[
            "refused_es",
            "refused_en",
            "refused_pt",
            "inactive_es",
            "inactive_en",
            "inactive_pt",
            "token_expired",
            "server_refused",
            "http_401",
            "http_403",
            "http_429",
            "http_500",
            "http_503",
            "http_302",
            "slow",
            "hang",
            "reset",
            "closed",
            "cut_off",
            "half_json",
            "no_payload",
            "other_case",
            "count_as_text",
            "link_newline",
            "link_http",
            "link_empty",
            "huge",
        ]
    }
}

/// An order that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAnnaRule(String);

impl FromStr for Oddity {
    type Err = BadAnnaRule;
    fn from_str(name: &str) -> Result<Self, BadAnnaRule> {
        let status = || name.strip_prefix("http_")?.parse().ok().filter(|status| (300..600).contains(status));
        Ok(match name {
            "refused_es" => Self::Refused("No se pudo generar el User Hash."),
            "refused_en" => Self::Refused("The User Hash could not be generated."),
            "refused_pt" => Self::Refused("Não foi possível gerar o User Hash."),
            "inactive_es" => Self::Inactive("está inactivo."),
            "inactive_en" => Self::Inactive("is inactive."),
            "inactive_pt" => Self::Inactive("está inativo."),
            "token_expired" => Self::TokenExpired,
            "server_refused" => Self::ServerRefused,
            "slow" => Self::Slow,
            "hang" => Self::Hang,
            "reset" => Self::Reset,
            "closed" => Self::Closed,
            "cut_off" => Self::CutOff,
            "half_json" => Self::HalfJson,
            "no_payload" => Self::NoPayload,
            "other_case" => Self::OtherCase,
            "count_as_text" => Self::CountAsText,
            "link_newline" => Self::LinkNewline,
            "link_http" => Self::LinkHttp,
            "link_empty" => Self::LinkEmpty,
            "huge" => Self::Huge,
            _ => {
                let names = || format!("there is no fault `{name}` of AnnA: use one of {}", Self::names().join(", "));
                Self::Http(status().ok_or_else(|| BadAnnaRule(names()))?)
            }
        })
    }
}

/// One order: which calls of which endpoint, and what their answers are like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddityRule {
    /// The last segment of the endpoint's path, or `*`.
    pub endpoint: String,
    /// What goes wrong.
    pub oddity: Oddity,
    /// From this call to that one, counted from 1 since the order was given.
    pub calls: (u64, u64),
}

impl FromStr for OddityRule {
    type Err = BadAnnaRule;
    fn from_str(text: &str) -> Result<Self, BadAnnaRule> {
        let bad = || BadAnnaRule(format!("`{text}` is not ENDPOINT:KIND[:NTH|:FROM-TO]"));
        let mut parts = text.split(':');
        let (Some(endpoint), Some(oddity), when, None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let call = |text: &str| text.parse().ok().filter(|n| *n > 0).ok_or_else(bad);
        let calls = match when.map(|when| when.split_once('-').unwrap_or((when, when))) {
            Some((from, to)) => (call(from)?, call(to)?),
            None => (1, 1),
        };
        if endpoint.is_empty() {
            return Err(bad());
        }
        Ok(Self { endpoint: endpoint.to_owned(), oddity: oddity.parse()?, calls })
    }
}

/// The orders in force, each with the calls that it has seen.
#[derive(Debug, Default)]
pub(super) struct Oddities(Vec<(u64, OddityRule)>);

impl Oddities {
    pub(super) fn add(&mut self, rule: OddityRule) {
        self.0.push((0, rule));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts one call against every order; the first that it meets decides.
    pub(super) fn next(&mut self, endpoint: &str) -> Option<Oddity> {
        let mut hit = None;
        for (seen, rule) in &mut self.0 {
            if rule.endpoint != "*" && rule.endpoint != endpoint {
                continue;
            }
            *seen += 1;
            if hit.is_none() && (rule.calls.0..=rule.calls.1).contains(seen) {
                hit = Some(rule.oddity.clone());
            }
        }
        self.0.retain(|(seen, rule)| *seen < rule.calls.1);
        hit
    }

    /// The orders in words.
    pub(super) fn list(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(seen, rule)| format!("{}:{:?} {:?}, {seen} seen", rule.endpoint, rule.oddity, rule.calls))
            .collect()
    }
}
