//! The settings by which messages are put into words and cut into parts, as the store keeps them with each message.

/// The settings by which one message is put into words. Written and read by the [`super::Messenger`] alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wording(String);

impl Wording {
    pub(crate) fn new(stored: String) -> Self {
        Self(stored)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Those of a channel as it is configured now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wordings {
    /// Of a location.
    pub(crate) of_locations: Wording,
    /// Of any other content.
    pub(crate) of_others: Wording,
}
