//! Fills in the placeholders of a call before it is made (anna.md section 8): asks for their values within the budget, and
//! stores what is kept of the words before the first byte, so that a look-up, an echo and a status know them again.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use crate::domain::matching::sent_form;
use crate::domain::{Messenger, PlaceholderResolver, Replacement, Template};
use crate::store::{Attempt, Store, StoreError};
use crate::telemetry::metrics;
use crate::work::channel::ChannelPorts;
use crate::work::wait::STORE_PAUSE;

/// What filling in touches.
pub(super) struct Expansion {
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    resolver: Arc<dyn PlaceholderResolver>,
}

impl Expansion {
    /// That of a channel; `None` where it fills in no placeholders.
    pub(super) fn new(ports: &ChannelPorts) -> Option<Self> {
        let resolver = Arc::clone(ports.placeholders.as_ref()?);
        Some(Self { store: Arc::clone(&ports.store), messenger: Arc::clone(&ports.messenger), resolver })
    }

    /// The words of the call that this attempt makes, where there are placeholders in them.
    pub(super) fn template(&self, attempt: &Attempt) -> Option<Template> {
        self.messenger.template(&attempt.content, attempt.part, attempt.wording.as_ref())
    }

    /// The same with everything filled in, stored as far as they are kept. `None`: the attempt is another owner's by now, or
    /// the process ends.
    pub(super) async fn words(
        &self,
        attempt: &Attempt,
        template: &Template,
        stop: &CancellationToken,
    ) -> Option<SecretString> {
        let Attempt { destination, content, part, wording, .. } = attempt;
        let fits = |words: &str| self.messenger.fits(destination, content, *part, wording.as_ref(), words);
        let filled = template.fill(&self.replacements(attempt, template).await, fits);
        let placeholders = template.placeholders();
        // What does not fit with its fallbacks either is refused, and none of them is sent.
        for at in filled.too_long.iter().filter(|_| fits(filled.words.expose_secret())) {
            let name = placeholders[*at].wanted.name();
            metrics::anna::fallback(&attempt.channel, name, "too_long");
            tracing::warn!(channel_name = %attempt.channel, message_id = %attempt.m_id, placeholder = name,
                reason = "too_long",
                "message `{}` goes out with the fallback of {{{{anna.{name}}}}}: there is no room for what AnnA gave",
                attempt.m_id);
        }
        let form = sent_form(attempt.part, rand::random(), filled.words.expose_secret());
        loop {
            match self.store.note_sent_form(attempt, form.clone()).await {
                Ok(()) => return Some(filled.words),
                Err(error @ StoreError::Unavailable(_)) => {
                    tracing::error!(message_id = %attempt.m_id, error = &error as &dyn std::error::Error,
                        "message `{}` waits: what is kept of its words could not be stored; trying again", attempt.m_id);
                    stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await?;
                }
                Err(StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. }) => return None,
            }
        }
    }

    /// One for each placeholder. In a task of its own: should it panic, the fallbacks are sent.
    async fn replacements(&self, attempt: &Attempt, template: &Template) -> Vec<Replacement> {
        let (resolver, contact, placeholders) =
            (Arc::clone(&self.resolver), attempt.contact.clone(), template.placeholders());
        let asked = tokio::spawn(async move { resolver.resolve(&contact, &placeholders).await });
        asked.await.unwrap_or_else(|_| self.resolver.fallbacks(&template.placeholders()))
    }
}
