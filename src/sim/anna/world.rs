//! What the simulated AnnA remembers, and what a test or a person may ask and change.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::faults::{BadAnnaRule, Oddities, OddityRule};
use super::{Options, TokenForm};
use crate::sim::seeded_rng;
use crate::sim::switchable_listener::lock;

/// A corporate user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it may sign in.
    pub active: bool,
}

/// One call, as it came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnnaCall {
    /// The last segment of its path.
    pub endpoint: String,
    /// Its whole path.
    pub path: String,
    /// Header `content-type`.
    pub content_type: String,
    /// Header `accept`.
    pub accept: String,
    /// The token of header `authorization`.
    pub bearer: Option<String>,
    /// Its body, `null` where that is no JSON.
    pub body: Value,
}

/// Everything behind the lock.
pub(super) struct State {
    pub(super) users: BTreeMap<String, User>,
    pub(super) everybody: bool,
    pub(super) password: String,
    pub(super) token_form: TokenForm,
    /// Tokens that are accepted.
    pub(super) tokens: Vec<String>,
    pub(super) pending: u64,
    pub(super) oddities: Oddities,
    pub(super) calls: Vec<AnnaCall>,
    /// Tokens, hashes and links that were given out.
    pub(super) given: Vec<String>,
    pub(super) links: Vec<String>,
    pub(super) redirects_followed: u64,
    turn: u64,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            users: options.users.iter().map(|user| (user.id.clone(), user.clone())).collect(),
            everybody: options.everybody,
            password: options.password.clone(),
            token_form: options.tokens.clone(),
            tokens: Vec::new(),
            pending: 2,
            oddities: Oddities::default(),
            calls: Vec::new(),
            given: Vec::new(),
            links: Vec::new(),
            redirects_followed: 0,
            turn: 0,
        }
    }

    /// A text that was not given out before, and that nobody guesses.
    pub(super) fn fresh(&mut self, kind: &str, seed: u64) -> String {
        self.turn += 1;
        let hash = format!(
            "{kind}{:016x}{:016x}",
            seeded_rng::random(seed, 1, self.turn),
            seeded_rng::random(seed, 2, self.turn)
        );
        self.given.push(hash.clone());
        hash
    }
}

/// A simulated AnnA, seen from outside.
pub struct World {
    pub(super) options: Options,
    pub(super) state: Mutex<State>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) port: OnceLock<u16>,
}

impl World {
    /// How often an endpoint was called.
    pub fn calls(&self, endpoint: &str) -> usize {
        lock(&self.state).calls.iter().filter(|call| call.endpoint == endpoint).count()
    }

    /// Every call, in order.
    pub fn all_calls(&self) -> Vec<AnnaCall> {
        lock(&self.state).calls.clone()
    }

    /// Every link that was given out, in order.
    pub fn links(&self) -> Vec<String> {
        lock(&self.state).links.clone()
    }

    /// What must stand in no log, store or metric: login and company, and all that was given out.
    pub fn secrets(&self) -> Vec<String> {
        let state = lock(&self.state);
        let own = [&self.options.company_hash, &self.options.user, &self.options.password].map(Clone::clone);
        own.into_iter().chain(state.given.iter().cloned()).chain(state.links.iter().cloned()).collect()
    }

    /// Redirects that somebody followed.
    pub fn redirects_followed(&self) -> u64 {
        lock(&self.state).redirects_followed
    }

    /// Adds a user, or changes it.
    pub fn set_user(&self, id: &str, name: &str, active: bool) {
        let user = User { id: id.to_owned(), name: name.to_owned(), active };
        lock(&self.state).users.insert(id.to_owned(), user);
    }

    /// A user that is known by name.
    pub fn user(&self, id: &str) -> Option<User> {
        lock(&self.state).users.get(id).cloned()
    }

    /// How many requests each user has open and pending.
    pub fn set_pending(&self, pending: u64) {
        lock(&self.state).pending = pending;
    }

    /// Changes the password of the login.
    pub fn set_password(&self, password: &str) {
        password.clone_into(&mut lock(&self.state).password);
    }

    /// The form of tokens from now on.
    pub fn set_token_form(&self, form: TokenForm) {
        lock(&self.state).token_form = form;
    }

    /// No token that was given out is accepted any more.
    pub fn expire_tokens(&self) {
        lock(&self.state).tokens.clear();
    }

    /// Sets what answers are like, by the text of a rule.
    ///
    /// # Errors
    /// The rule cannot be read.
    pub fn fault(&self, rule: &str) -> Result<(), BadAnnaRule> {
        self.add_fault(rule.parse()?);
        Ok(())
    }

    /// Sets what answers are like.
    pub fn add_fault(&self, rule: OddityRule) {
        lock(&self.state).oddities.add(rule);
    }

    /// Takes all orders back.
    pub fn clear_faults(&self) {
        lock(&self.state).oddities.clear();
    }

    /// All there is but for secrets, as JSON.
    pub fn dump(&self) -> Value {
        let state = lock(&self.state);
        let calls = state.calls.iter().map(|call| json!({"endpoint": call.endpoint, "path": call.path}));
        json!({
            "users": state.users.values().collect::<Vec<_>>(),
            "everybody": state.everybody,
            "pending": state.pending,
            "links": state.links.len(),
            "faults": state.oddities.list(),
            "calls": calls.collect::<Vec<_>>(),
        })
    }

    /// Back to the beginning.
    pub fn reset(&self) {
        *lock(&self.state) = State::new(&self.options);
        self.wake();
    }

    /// Waits until `test` holds, and looks after every call; `false` where `limit` has passed before.
    pub async fn until(&self, limit: Duration, test: impl Fn(&Self) -> bool) -> bool {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !test(self) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    pub(super) fn wake(&self) {
        self.changed.send_modify(|turn| *turn += 1);
    }
}
