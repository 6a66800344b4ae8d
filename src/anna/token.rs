//! The bearer token: in memory only, renewed at four fifths of its lifetime (anna.md section 3).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use super::error::AnnaError;
use super::wire::key;

/// Lifetime of a token that tells none.
const UNTOLD: Duration = Duration::from_mins(10);
/// Shortest and longest lifetime that is believed.
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(12);
/// Wait after a login that was refused; doubled with each further one, so that a wrong password locks no account.
const HOLD_OFF: Duration = Duration::from_mins(1);
const LONGEST_HOLD_OFF: Duration = Duration::from_mins(15);

/// A token, and until when it is used.
#[derive(Debug, Clone)]
pub(super) struct Token {
    value: SecretString,
    lifetime: Duration,
    renew_at: Instant,
}

impl Token {
    /// Reads the `data` of GetToken, received now. `None` where it holds no token.
    pub(super) fn read(data: &Value, now: Timestamp) -> Option<Self> {
        let value = key(data, "Token")?.as_str().filter(|token| !token.is_empty() && token.bytes().all(is_token))?;
        let told = || lifetime_of(key(data, "ExpiresIn")?, now);
        let lifetime = claimed(value).or_else(told).unwrap_or(UNTOLD).clamp(SHORTEST, LONGEST);
        Some(Self { value: value.to_owned().into(), lifetime, renew_at: Instant::now() + lifetime * 4 / 5 })
    }

    pub(super) fn value(&self) -> &SecretString {
        &self.value
    }

    /// From its receipt.
    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// Returns the lifetime that the token itself names, where it reads as a JWT. Its signature is AnnA's business: this
/// only plans the renewal.
fn claimed(token: &str) -> Option<Duration> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let (until, since) = (claims.get("exp")?.as_i64()?, claims.get("iat")?.as_i64()?);
    u64::try_from(until.checked_sub(since)?).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Returns the lifetime that `ExpiresIn` may mean: its form is not documented.
fn lifetime_of(expires: &Value, now: Timestamp) -> Option<Duration> {
    let text = match expires {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let at = match (digits, text.len()) {
        (true, 1..=7) => return text.parse().ok().map(Duration::from_secs),
        (true, 10) => Timestamp::from_second(text.parse().ok()?).ok()?,
        (true, 13) => Timestamp::from_millisecond(text.parse().ok()?).ok()?,
        (true, 14) => {
            let (part, year) = (|from: usize| text[from..from + 2].parse::<i8>().ok(), text[..4].parse().ok()?);
            let (month, day, hour, minute, second) = (part(4)?, part(6)?, part(8)?, part(10)?, part(12)?);
            let at = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
            TimeZone::UTC.to_timestamp(at).ok()?
        }
        (false, _) => text.parse().ok()?,
        _ => return None,
    };
    Some(at.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

/// The token that is used, or why there is none.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    token: Option<Token>,
    /// Until when no login is tried, and the wait that led there.
    held_off: Option<(Instant, Duration)>,
    /// Until when the token is kept though a call with it is refused: such a call was refused with a new one too.
    kept_until: Option<Instant>,
}

impl Tokens {
    /// Returns the token, or why none is asked for now; `None` where it is time to ask.
    pub(super) fn known(&self) -> Option<Result<Token, AnnaError>> {
        let now = Instant::now();
        if let Some(token) = self.token.as_ref().filter(|token| now < token.renew_at) {
            return Some(Ok(token.clone()));
        }
        let held_off = self.held_off.is_some_and(|(until, _)| now < until);
        held_off.then(|| Err(AnnaError::Auth("refused a short while ago, not tried again yet".to_owned())))
    }

    /// Stores the result of a renewal.
    pub(super) fn keep(&mut self, renewed: Result<Token, AnnaError>) -> Result<Token, AnnaError> {
        match renewed {
            Ok(token) => {
                *self = Self { token: Some(token.clone()), ..Self::default() };
                Ok(token)
            }
            Err(error) => {
                self.token = None;
                // The one thing that is asked here is the login: a refusal is one of the login.
                let error = match error {
                    AnnaError::Api { message, server: false, .. } => AnnaError::Auth(message),
                    other => other,
                };
                if matches!(error, AnnaError::Auth(_)) {
                    let wait = self.held_off.map_or(HOLD_OFF, |(_, wait)| (wait * 2).min(LONGEST_HOLD_OFF));
                    self.held_off = Some((Instant::now() + wait, wait));
                }
                Err(error)
            }
        }
    }

    /// Registers that AnnA refused a call for its token. Returns whether another token may help. If it had just been
    /// given (`new`), the refusal is one of the call: for a minute, calls that are refused so cost no login.
    pub(super) fn refused(&mut self, token: &Token, new: bool) -> bool {
        use secrecy::ExposeSecret as _;
        let now = Instant::now();
        if new {
            self.kept_until = Some(now + HOLD_OFF);
        }
        if self.kept_until.is_some_and(|until| now < until) {
            return false;
        }
        let same = |known: &mut Token| known.value.expose_secret() == token.value.expose_secret();
        self.token.take_if(same);
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jwt(claims: &Value) -> String {
        format!("{}.{}.sig", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn lifetime(token: &str, expires: &Value) -> u64 {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let data = json!({"token": token, "EXPIRESIN": expires});
        Token::read(&data, now).unwrap().lifetime().as_secs()
    }

    #[tokio::test]
    async fn a_lifetime_is_read_from_the_token_then_from_its_expiry_and_else_assumed() {
        let of_an_hour = jwt(&json!({"iat": 1000, "exp": 4600}));
        assert_eq!(lifetime(&of_an_hour, &json!("60")), 3600);
        for (expires, seconds) in [
            (json!("900"), 900),
            (json!(900), 900),
            (json!("20260101001000"), 600),
            (json!("1767226200"), 600),
            (json!("1767226200000"), 600),
            (json!("2026-01-01T00:10:00Z"), 600),
            (json!("2025-12-31T21:10:00-03:00"), 600),
            (json!("5"), 60),
            (json!("20250101000000"), 60),
            (json!("9999999"), 43200),
            (json!("EXPIRATION_TIME"), 600),
            (json!(""), 600),
            (json!("20261399999999"), 600),
            (json!(null), 600),
            (json!(-5), 600),
        ] {
            assert_eq!(lifetime("opaque", &expires), seconds, "{expires}");
        }
        for token in [jwt(&json!({"exp": 4600})), jwt(&json!({"iat": 5, "exp": 5})), "a.b".into(), "a.!.c".into()] {
            assert_eq!(lifetime(&token, &json!("900")), 900, "{token}");
        }
        for bad in [json!({}), json!({"Token": ""}), json!({"Token": 5}), json!({"Token": "a b"}), json!([])] {
            assert!(Token::read(&bad, Timestamp::UNIX_EPOCH).is_none(), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_at_four_fifths_and_a_refused_login_waits_longer_each_time() {
        let mut tokens = Tokens::default();
        assert!(tokens.known().is_none());
        let token = Token::read(&json!({"Token": "t", "ExpiresIn": "100"}), Timestamp::UNIX_EPOCH).unwrap();
        tokens.keep(Ok(token.clone())).unwrap();
        tokio::time::advance(Duration::from_secs(79)).await;
        assert!(tokens.known().unwrap().is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(tokens.known().is_none());
        let refused = || Err(AnnaError::Api { message: "no".into(), other_reason: false, server: false });
        for minutes in [1, 2, 4, 8, 15, 15] {
            assert!(matches!(tokens.keep(refused()), Err(AnnaError::Auth(_))));
            tokio::time::advance(Duration::from_secs(minutes * 60 - 1)).await;
            assert!(tokens.known().unwrap().is_err(), "{minutes}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(tokens.known().is_none(), "{minutes}");
        }
        tokens.keep(Err(AnnaError::Transport("away".into()))).unwrap_err();
        assert!(tokens.known().is_none(), "an outage is no wrong password");
        tokens.keep(Ok(token.clone())).unwrap();
        let other = Token::read(&json!({"Token": "other"}), Timestamp::UNIX_EPOCH).unwrap();
        assert!(tokens.refused(&other, false));
        assert!(tokens.token.is_some());
        assert!(tokens.refused(&token, false));
        assert!(tokens.known().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_refused_with_a_new_token_costs_no_further_login_for_a_minute() {
        let mut tokens = Tokens::default();
        let token = Token::read(&json!({"Token": "t", "ExpiresIn": "900"}), Timestamp::UNIX_EPOCH).unwrap();
        tokens.keep(Ok(token.clone())).unwrap();
        assert!(!tokens.refused(&token, true));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!tokens.refused(&token, false));
        assert!(tokens.known().unwrap().is_ok(), "the token stays");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(tokens.refused(&token, false), "not put off again and again");
        assert!(tokens.known().is_none());
    }
}
