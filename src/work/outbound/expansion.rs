//! Fills in the placeholders of a call before it is made (anna.md section 8): asks for their values within the budget, and
//! returns what is kept of the words, so that a lookup, an echo and a status know them again.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::matching::{SentForm, sent_form};
use crate::domain::{Messenger, PlaceholderResolver, Replacement, Template};
use crate::store::Attempt;
use crate::telemetry::metrics;
use crate::work::channel::ChannelPorts;

/// The words of a call, filled in.
pub(super) struct Filled {
    pub(super) words: SecretString,
    /// What is kept of them.
    pub(super) form: SentForm,
}

/// What filling in touches.
pub(super) struct Expansion {
    messenger: Arc<dyn Messenger>,
    resolver: Arc<dyn PlaceholderResolver>,
}

impl Expansion {
    /// That of a channel; `None` where it fills in no placeholders.
    pub(super) fn new(ports: &ChannelPorts) -> Option<Self> {
        let resolver = Arc::clone(ports.placeholders.as_ref()?);
        Some(Self { messenger: Arc::clone(&ports.messenger), resolver })
    }

    /// The words of the call that this attempt makes, where there are placeholders in them.
    pub(super) fn template(&self, attempt: &Attempt) -> Option<Template> {
        self.messenger.template(&attempt.content, attempt.part, attempt.wording.as_ref())
    }

    /// The same with everything filled in.
    pub(super) async fn fill(&self, attempt: &Attempt, template: &Template) -> Filled {
        let Attempt { destination, content, part, wording, .. } = attempt;
        let fits = |words: &str| self.messenger.fits(destination, content, *part, wording.as_ref(), words);
        let filled = template.fill(&self.replacements(attempt, template).await, fits);
        let placeholders = template.placeholders();
        // What does not fit with its fallbacks either is refused, and none of them is sent.
        for at in filled.too_long.iter().filter(|_| fits(filled.words.expose_secret())) {
            let name = placeholders[*at].kind.name();
            metrics::anna::fallback(&attempt.channel, name, "too_long");
            tracing::warn!(channel_name = %attempt.channel, message_id = %attempt.m_id, placeholder = name,
                reason = "too_long",
                "message `{}` goes out with the fallback of {{{{anna.{name}}}}}: there is no room for what AnnA gave",
                attempt.m_id);
        }
        let form = sent_form(attempt.part, rand::random(), filled.words.expose_secret());
        Filled { words: filled.words, form }
    }

    /// One for each placeholder. In a task of its own: should it panic, the fallbacks are sent.
    async fn replacements(&self, attempt: &Attempt, template: &Template) -> Vec<Replacement> {
        let (resolver, contact, placeholders) =
            (Arc::clone(&self.resolver), attempt.contact.clone(), template.placeholders());
        let asked = tokio::spawn(async move { resolver.resolve(&contact, &placeholders).await });
        asked.await.unwrap_or_else(|_| self.resolver.fallbacks(&template.placeholders()))
    }
}
