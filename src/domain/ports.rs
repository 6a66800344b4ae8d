//! The platforms as the loops see them. `app` passes in the clients.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{
    AfilnetRow, Called, ContactId, Content, Delivery, Destination, Event, Placeholder, ReadError, Replacement,
    Template, Verdict, Wording, Wordings,
};

/// Afilnet's side of one channel. Implementations do not retry calls. The [`Wording`] of a content is that of the moment when
/// its first part was begun; `None`: not known, those of now.
#[async_trait]
pub(crate) trait Messenger: Send + Sync {
    /// Returns the settings by which messages are put into words now.
    fn wordings(&self) -> Wordings;

    /// Returns the number of calls for `content`; they are made in order, one attempt each. At least 1.
    fn parts(&self, content: &Content, wording: Option<&Wording>) -> u32;

    /// Returns the text that call number `part` of `content` puts into the conversation, to find its row there: the
    /// text, or a file's caption. `None` for a file without one, and past the last part.
    fn words(&self, content: &Content, part: u32, wording: Option<&Wording>) -> Option<String>;

    /// Makes call number `part` (from 0) of `content`. A failure is a verdict, not an error.
    async fn send(&self, to: &Destination, content: &Content, part: u32, wording: Option<&Wording>) -> Called<Verdict>;

    /// The words of call number `part` with placeholders to be filled in first; `None` where there are none, or the channel
    /// fills in none.
    fn template(&self, content: &Content, part: u32, wording: Option<&Wording>) -> Option<Template>;

    /// Returns whether the call can be made with `words` in place of those of the template, as long as they are.
    fn fits(&self, to: &Destination, content: &Content, part: u32, wording: Option<&Wording>, words: &str) -> bool;

    /// As [`Self::send`], with `words` in place of those of the template.
    async fn send_filled(
        &self,
        to: &Destination,
        content: &Content,
        part: u32,
        wording: Option<&Wording>,
        words: &SecretString,
    ) -> Called<Verdict>;

    /// Returns the last row of each conversation (afilnet.md 3.4), in the order given. No conversations is an empty
    /// list.
    async fn chats(&self) -> Result<Vec<AfilnetRow>, ReadError>;

    /// Returns the rows of one conversation (afilnet.md 3.5), oldest first. No conversation is an empty list.
    async fn messages(&self, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError>;

    /// Checks that the account works, by a call that changes nothing (afilnet.md section 2, `user.getbalance`). Returns its
    /// balance, `None` where that is no number.
    async fn account_balance(&self) -> Result<Option<f64>, ReadError>;

    /// Returns whether Afilnet lists the channel (afilnet.md 3.1).
    async fn probe_channel(&self) -> Result<bool, ReadError>;

    /// Returns the unread rows of one conversation (afilnet.md 3.6), oldest first. Reading may clear the mark.
    async fn unread(&self, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError>;
}

/// BonyChat's side of one channel.
#[async_trait]
pub(crate) trait Webhook: Send + Sync {
    /// Returns the messages for a row's text, in order, within this platform's limits and kinds. At least one.
    fn contents(&self, text: &str) -> Vec<Content>;

    /// Posts one event of `contact`. A failure is a `Delivery`, not an error.
    async fn publish(&self, contact: &ContactId, event: &Event) -> Called<Delivery>;
}

/// AnnA's side: what stands in the places of placeholders.
#[async_trait]
pub(crate) trait PlaceholderResolver: Send + Sync {
    /// Returns one replacement for each placeholder, in order, all of `contact` alone. Ends within its budget; what
    /// AnnA does not give in that time has no value.
    async fn resolve(&self, contact: &ContactId, placeholders: &[Placeholder]) -> Vec<Replacement>;

    /// Returns fallbacks for all of them, without a call to AnnA.
    fn fallbacks(&self, placeholders: &[Placeholder]) -> Vec<Replacement>;
}
