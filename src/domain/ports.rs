//! The platforms as the loops see them. `app` hands the real ones over.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{
    AfilnetRow, ContactId, Content, Delivery, Destination, Event, Placeholder, ReadError, Replacement, Template,
    Verdict,
};

/// Afilnet's side of one channel. No call is ever repeated below this line.
#[async_trait]
pub(crate) trait Messenger: Send + Sync {
    /// Into how many calls `content` is cut; they go in order, one attempt each. At least 1.
    fn parts(&self, content: &Content) -> u32;

    /// The words that call number `part` of `content` puts into the conversation, for finding its row there: the text,
    /// or a file's caption. `None` for a file without one, and past the last part.
    fn words(&self, content: &Content, part: u32) -> Option<String>;

    /// Makes call number `part` (from 0) of `content`. A failure is a verdict, not an error.
    async fn send(&self, to: &Destination, content: &Content, part: u32) -> Verdict;

    /// The words of call number `part` with placeholders to be filled in first; `None` where there are none, or the channel
    /// fills in none.
    fn template(&self, content: &Content, part: u32) -> Option<Template>;

    /// As [`Self::send`], with `words` in place of those of the template.
    async fn send_filled(&self, to: &Destination, content: &Content, part: u32, words: &SecretString) -> Verdict;

    /// The last row of each conversation (afilnet.md 3.4), in the order given. No conversations is an empty list.
    async fn chats(&self) -> Result<Vec<AfilnetRow>, ReadError>;

    /// The rows of one conversation (afilnet.md 3.5), oldest first. No conversation is an empty list.
    async fn messages(&self, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError>;

    /// Whether the account works, by a call that changes nothing (afilnet.md section 2, `user.getbalance`).
    async fn probe_account(&self) -> Result<(), ReadError>;

    /// Whether Afilnet lists the channel (afilnet.md 3.1).
    async fn probe_channel(&self) -> Result<bool, ReadError>;

    /// The unread rows of one conversation (afilnet.md 3.6), oldest first. A hint: reading may clear the mark.
    async fn unread(&self, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError>;
}

/// BonyChat's side of one channel.
#[async_trait]
pub(crate) trait Webhook: Send + Sync {
    /// The messages that a row's text makes, in order: what this platform's limits and kinds turn it into. At least one.
    fn contents(&self, text: &str) -> Vec<Content>;

    /// Posts one event of `contact`. A failure is an answer, not an error.
    async fn publish(&self, contact: &ContactId, event: &Event) -> Delivery;
}

/// AnnA's side: what stands in the places of placeholders.
#[async_trait]
pub(crate) trait PlaceholderResolver: Send + Sync {
    /// Returns one replacement for each placeholder, in order, all of `contact` alone. Ends within its budget; what AnnA does
    /// not give in that time has no value.
    async fn resolve(&self, contact: &ContactId, placeholders: &[Placeholder]) -> Vec<Replacement>;

    /// The same without asking AnnA: no values.
    fn fallbacks(&self, placeholders: &[Placeholder]) -> Vec<Replacement>;
}
