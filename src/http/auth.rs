//! Bearer tokens: the token decides which channel a call is for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::error::ApiError;
use crate::config::Config;
use crate::domain::{ChannelId, ChannelName, IdType, Reach};
use crate::store::{ChannelWakeups, Wakeups};

/// Unknown channelIds that a channel remembers, at most.
const STRANGE: usize = 100;

/// A channel, as far as `POST /message` needs it.
#[derive(Debug)]
pub(super) struct ApiChannel {
    pub(super) name: ChannelName,
    pub(super) id: ChannelId,
    pub(super) id_type: IdType,
    /// Which hosts the links of its messages may name.
    pub(super) reach: Reach,
    pub(super) wakeups: Option<Arc<ChannelWakeups>>,
    /// Unknown channelIds of calls, to log each once; at most [`STRANGE`].
    strange: Mutex<BTreeSet<String>>,
    /// Digests of its tokens.
    tokens: Vec<[u8; 32]>,
}

impl ApiChannel {
    /// Returns whether this unknown channelId was not seen before, as far as is remembered.
    pub(super) fn is_first_sight(&self, id: &str) -> bool {
        let mut strange = self.strange.lock().unwrap_or_else(PoisonError::into_inner);
        strange.len() < STRANGE && strange.insert(id.chars().take(100).collect())
    }
}

/// All channels. The token decides which one a call is for.
#[derive(Debug)]
pub(super) struct Channels(Vec<ApiChannel>);

impl Channels {
    pub(super) fn new(config: &Config, wakeups: &Wakeups) -> Self {
        let channels = config.channels.values().map(|channel| {
            let current = std::iter::once(&channel.api_token);
            let tokens = current.chain(&channel.previous_api_token).map(digest_secret).collect();
            ApiChannel {
                name: channel.name.clone(),
                id: channel.channel_id.clone(),
                id_type: channel.id_type,
                reach: channel.reach(),
                wakeups: wakeups.channel(&channel.name),
                strange: Mutex::default(),
                tokens,
            }
        });
        Self(channels.collect())
    }

    /// Returns the channel of the request's token. Compares with every token of every channel, each in constant time.
    pub(super) fn by_token(&self, headers: &HeaderMap) -> Result<&ApiChannel, ApiError> {
        let given = bearer(headers).map(|token| digest(token.as_bytes()));
        let mut found = None;
        for channel in &self.0 {
            let mut matches = Choice::from(0);
            for token in &channel.tokens {
                matches |= given.unwrap_or_default().ct_eq(token);
            }
            if given.is_some() && bool::from(matches) {
                found = Some(channel);
            }
        }
        found.ok_or(ApiError::Unauthorized)
    }

    /// Returns whether `id` is the id of a channel other than `of`.
    pub(super) fn is_another(&self, id: &str, of: &ApiChannel) -> bool {
        id != of.id.as_str() && self.0.iter().any(|channel| channel.id.as_str() == id)
    }
}

/// Returns the bearer token: one Authorization header, scheme in any case, spaces trimmed (bonychat.md A3).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(super) fn digest_secret(secret: &SecretString) -> [u8; 32] {
    digest(secret.expose_secret().as_bytes())
}
