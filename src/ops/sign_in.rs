//! Identifies an operator: by the token of the configuration, by a session cookie, or by a signed link.
//! Nothing is stored: what is signed holds over restarts and in each process with the same token, and ends with the token.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::{self, May};

/// Characters of a token that opens the pages, at least: a page can be guessed at from any browser that reaches it.
pub(crate) const LEAST_TOKEN: usize = 16;
/// Seconds for which a cookie is good.
pub(crate) const SESSION_SECONDS: i64 = 12 * 60 * 60;
/// Seconds for which a link is good.
pub(crate) const LINK_SECONDS: i64 = 60;

/// An operator who has proven who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// For the audit.
    pub(crate) name: String,
    pub(crate) may: May,
    /// Names of the channels that this person sees; `None`: all.
    channels: Option<BTreeSet<String>>,
}

impl Person {
    /// Returns whether this person may change anything.
    pub(crate) fn may_act(&self) -> bool {
        self.may == May::Act
    }

    /// Returns the names of the channels that this person sees; `None`: all.
    pub(crate) fn channels(&self) -> Option<&BTreeSet<String>> {
        self.channels.as_ref()
    }

    /// Returns whether this person sees a channel.
    pub(crate) fn sees(&self, channel: &str) -> bool {
        self.channels.as_ref().is_none_or(|channels| channels.contains(channel))
    }
}

/// The persons who may sign in.
#[derive(Debug)]
pub(crate) struct People(Vec<Known>);

#[derive(Debug)]
struct Known {
    token: [u8; 32],
    key: [u8; 32],
    person: Person,
}

/// What a signed text is for; a text that was signed for one purpose is not valid for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Cookie,
    Link,
    Form,
}

/// A person who is signed in, until a time.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) person: Person,
    /// What each form of this session must send along: a page of another site cannot know it.
    pub(crate) form_token: String,
}

/// A link that was good, and its number, so that it is taken once.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) nonce: String,
    pub(crate) expires_s: i64,
    /// Cookie of the session that it opens.
    pub(crate) cookie: String,
}

impl People {
    /// The person of `admin.token` is "admin" and may do everything; the others are those of `[admin.people]`. A token that is
    /// too short opens nothing.
    pub(crate) fn new(config: &config::Admin) -> Self {
        let admin = config.token.as_ref().map(|token| {
            let person = Person { name: "admin".to_owned(), may: May::Act, channels: None };
            (token, person)
        });
        let others = config.people.iter().map(|(name, known)| {
            let channels: BTreeSet<String> = known.channels.iter().map(ToString::to_string).collect();
            let channels = (!channels.is_empty()).then_some(channels);
            (&known.token, Person { name: name.clone(), may: known.may, channels })
        });
        let long_enough = |token: &SecretString| token.expose_secret().chars().count() >= LEAST_TOKEN;
        let known = admin.into_iter().chain(others).filter(|(token, _)| long_enough(token)).map(|(token, person)| {
            let token: [u8; 32] = Sha256::digest(token.expose_secret()).into();
            Known { token, key: mac(&token, &["ops 1"]), person }
        });
        Self(known.collect())
    }

    /// Returns whether no person is configured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the person of a token. Compares with each in constant time.
    pub(crate) fn by_token(&self, token: &str) -> Option<Person> {
        self.known_by_token(token).map(|known| known.person.clone())
    }

    fn known_by_token(&self, token: &str) -> Option<&Known> {
        let given: [u8; 32] = Sha256::digest(token).into();
        self.0.iter().fold(None, |found, known| if given.ct_eq(&known.token).into() { Some(known) } else { found })
    }

    /// Returns the cookie of a new session; `None` for a wrong token.
    pub(crate) fn open(&self, token: &str, now_s: i64) -> Option<String> {
        Some(self.known_by_token(token)?.cookie(now_s))
    }

    /// Returns the session of a cookie, unless it is over or was not given here.
    pub(crate) fn session(&self, cookie: &str, now_s: i64) -> Option<Session> {
        let (known, nonce, expires_s) = self.signed(Purpose::Cookie, cookie, now_s, SESSION_SECONDS)?;
        let form_token = signature(&known.key, Purpose::Form, expires_s, nonce, &known.person.name);
        Some(Session { person: known.person.clone(), form_token })
    }

    /// Returns what a link holds that signs a person in, the first where no name is given; `None` where there is no such person.
    pub(crate) fn link(&self, name: Option<&str>, now_s: i64) -> Option<String> {
        let known = match name {
            Some(name) => self.0.iter().find(|known| known.person.name == name)?,
            None => self.0.first()?,
        };
        Some(known.sign(Purpose::Link, now_s.saturating_add(LINK_SECONDS)))
    }

    /// Returns the link of this text, unless its time is over or it was not signed here.
    pub(crate) fn follow(&self, text: &str, now_s: i64) -> Option<Link> {
        let (known, nonce, expires_s) = self.signed(Purpose::Link, text, now_s, LINK_SECONDS)?;
        Some(Link { nonce: nonce.to_owned(), expires_s, cookie: known.cookie(now_s) })
    }

    /// Reads `v1.EXPIRES.NONCE.NAME.SIGNATURE`.
    fn signed<'t>(
        &self,
        purpose: Purpose,
        text: &'t str,
        now_s: i64,
        longest_s: i64,
    ) -> Option<(&Known, &'t str, i64)> {
        let mut parts = text.split('.');
        let mut part = || parts.next();
        let (version, expires, nonce, name, given) = (part()?, part()?, part()?, part()?, part()?);
        let expires_s: i64 = expires.parse().ok()?;
        let known = self.0.iter().find(|known| known.person.name == name)?;
        let expected = signature(&known.key, purpose, expires_s, nonce, name);
        let is_signed = bool::from(given.as_bytes().ct_eq(expected.as_bytes()));
        // Not later than for a cookie issued now: otherwise a clock that was set back would make a cookie last for years.
        let is_current = expires_s > now_s && expires_s <= now_s.saturating_add(longest_s);
        (version == "v1" && part().is_none() && is_signed && is_current).then_some((known, nonce, expires_s))
    }
}

impl Known {
    fn cookie(&self, now_s: i64) -> String {
        self.sign(Purpose::Cookie, now_s.saturating_add(SESSION_SECONDS))
    }

    fn sign(&self, purpose: Purpose, expires_s: i64) -> String {
        let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let name = &self.person.name;
        format!("v1.{expires_s}.{nonce}.{name}.{}", signature(&self.key, purpose, expires_s, &nonce, name))
    }
}

fn signature(key: &[u8; 32], purpose: Purpose, expires_s: i64, nonce: &str, name: &str) -> String {
    let purpose = match purpose {
        Purpose::Cookie => "cookie",
        Purpose::Link => "link",
        Purpose::Form => "form",
    };
    URL_SAFE_NO_PAD.encode(mac(key, &[purpose, &expires_s.to_string(), nonce, name]))
}

/// Returns the HMAC of these parts, none of which holds a dot.
fn mac(key: &[u8; 32], parts: &[&str]) -> [u8; 32] {
    let mut bytes = [0; 32];
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(parts.join(".").as_bytes());
        bytes = mac.finalize().into_bytes().into();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "sixteen-letters!";
    const NOW: i64 = 1_800_000_000;

    fn admin(token: Option<&str>) -> config::Admin {
        let listen = "127.0.0.1:0".parse().unwrap();
        config::Admin {
            listen,
            path_prefix: String::new(),
            token: token.map(SecretString::from),
            people: std::collections::BTreeMap::new(),
        }
    }

    fn people(token: &str) -> People {
        People::new(&admin(Some(token)))
    }

    #[test]
    fn each_person_has_a_token_a_right_and_channels_of_their_own() {
        let person = |token: &str, may, channels: &[&str]| config::Person {
            token: SecretString::from(token),
            may,
            channels: channels.iter().map(|name| name.parse().unwrap()).collect(),
        };
        let mut config = admin(Some(TOKEN));
        config.people.insert("ana".into(), person("token-of-ana-0123", May::Act, &["support"]));
        config.people.insert("bea".into(), person("token-of-bea-0123", May::Read, &[]));
        let of = People::new(&config);
        let [admin, ana, bea] =
            [TOKEN, "token-of-ana-0123", "token-of-bea-0123"].map(|token| of.by_token(token).unwrap());
        assert_eq!([&admin.name, &ana.name, &bea.name], ["admin", "ana", "bea"]);
        assert!(admin.may_act() && ana.may_act() && !bea.may_act());
        assert!(admin.sees("sales") && bea.sees("sales") && ana.sees("support") && !ana.sees("sales"));
        // What is signed for one is worth nothing under the name of another.
        let cookie = of.open("token-of-bea-0123", NOW).unwrap();
        assert_eq!(of.session(&cookie, NOW).unwrap().person, bea);
        assert!(of.session(&cookie.replace(".bea.", ".admin."), NOW).is_none());
        let link = of.link(Some("ana"), NOW).unwrap();
        assert_eq!(of.session(&of.follow(&link, NOW).unwrap().cookie, NOW).unwrap().person, ana);
        assert!(of.link(Some("eva"), NOW).is_none());
        // Without admin.token there are people all the same.
        config.token = None;
        assert!(!People::new(&config).is_empty() && People::new(&config).by_token(TOKEN).is_none());
    }

    #[test]
    fn a_person_is_known_by_its_whole_token_and_nobody_by_a_short_one() {
        assert!(People::new(&admin(None)).is_empty() && people("fifteen-letters").is_empty());
        let of = people(TOKEN);
        assert_eq!(of.by_token(TOKEN).unwrap().name, "admin");
        for wrong in ["", "sixteen-letters", "sixteen-letters!!", "Sixteen-letters!"] {
            assert!(of.by_token(wrong).is_none() && of.open(wrong, NOW).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_hours_and_for_the_token_that_it_was_given_for() {
        let of = people(TOKEN);
        let cookie = of.open(TOKEN, NOW).unwrap();
        let session = |people: &People, cookie: &str, now_s| people.session(cookie, now_s).map(|one| one.person.name);
        assert_eq!(session(&of, &cookie, NOW).as_deref(), Some("admin"));
        assert!(session(&of, &cookie, NOW + SESSION_SECONDS - 1).is_some());
        assert!(session(&of, &cookie, NOW + SESSION_SECONDS).is_none(), "12 hours later");
        assert!(session(&of, &cookie, NOW - 1).is_none(), "given later than now");
        assert!(session(&people("another-token-of-it"), &cookie, NOW).is_none(), "the token was changed");
        assert!(session(&people(TOKEN), &cookie, NOW).is_some(), "after a restart");
        for at in 0..cookie.len() {
            for other in ["0", "1", "A", "z", ".", ""] {
                let tampered = format!("{}{other}{}", &cookie[..at], &cookie[at + 1..]);
                assert!(tampered == cookie || session(&of, &tampered, NOW).is_none(), "{tampered}");
            }
        }
        for odd in [String::new(), "v1".into(), format!("{cookie}."), format!("{cookie}.x"), format!(" {cookie}")] {
            assert!(session(&of, &odd, NOW).is_none(), "{odd}");
        }
    }

    #[test]
    fn what_is_signed_for_one_purpose_serves_no_other() {
        let of = people(TOKEN);
        let (cookie, link) = (of.open(TOKEN, NOW).unwrap(), of.link(None, NOW).unwrap());
        assert!(of.session(&link, NOW).is_none() && of.follow(&cookie, NOW).is_none());
        let followed = of.follow(&link, NOW + LINK_SECONDS - 1).unwrap();
        assert!(of.session(&followed.cookie, NOW + LINK_SECONDS).is_some());
        assert!(of.follow(&link, NOW + LINK_SECONDS).is_none());
        let form_token = |cookie: &str| of.session(cookie, NOW).unwrap().form_token;
        assert_eq!(form_token(&cookie), form_token(&cookie));
        assert_ne!(form_token(&cookie), form_token(&of.open(TOKEN, NOW).unwrap()), "of another session");
        assert!(!cookie.contains(&form_token(&cookie)));
    }
}
