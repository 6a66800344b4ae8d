//! The body of `BonyChat`'s `POST /message` (bonychat.md section 3.1) and the answers to it (3.3). Called by `http`.
//!
//! Reading is tolerant of form and strict about meaning, as section 6 of the contract asks: what is read is measured
//! field by field, all broken rules are told at once, and what comes out is made of domain types alone.

mod json;
mod lenient;
mod message;
pub(crate) mod openapi;
mod rejected;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use validator::Validate;

use self::lenient::{Lenient, Name};
pub(crate) use self::rejected::{Problem, Rejected, Rule};
use crate::domain::blank::is_blank;
use crate::domain::{ContactId, Content, IdType, MId, Reach};

/// What `BonyChat` asks for: this content to this contact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// As text, whatever it came as; `None` where it is missing, null or empty (A4). The token decides the channel.
    pub(crate) channel_id: Option<String>,
    /// In its one form (A5, A6, A7).
    pub(crate) contact: ContactId,
    /// What to say.
    pub(crate) content: Content,
}

/// The body, key for key. Unknown keys are not looked at (A26).
#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[validate(custom(function = "lenient::name"))]
    channel_id: Option<Lenient<Name>>,
    #[validate(required, custom(function = "lenient::name"))]
    contact_id: Option<Lenient<Name>>,
    #[validate(required, custom(function = "message::object"))]
    message: Option<Lenient<Map<String, Value>>>,
}

/// Reads a body whole or tells everything that is wrong with it. `id_type` and `reach`, which is where files may be, are
/// the channel's.
pub(crate) fn parse(body: &[u8], id_type: IdType, reach: Reach) -> Result<Call, Rejected> {
    let value = json::read(body).map_err(Rejected::unreadable)?;
    let mut problems = Vec::new();
    let Some(envelope) = measured::<Envelope>("", value, &mut problems) else {
        return Err(Rejected { problems: vec![Problem::at("body", Rule::Object)] });
    };
    let channel_id = word(envelope.channel_id).filter(|id| !id.trim().is_empty());
    let contact = word(envelope.contact_id).and_then(|spelled| {
        let rule = match id_type {
            _ if is_blank(&spelled) => Rule::Lenient,
            IdType::Custom if spelled.parse::<ContactId>().is_ok() => Rule::Spelling,
            _ => Rule::Contact(id_type),
        };
        id_type.contact(&spelled).map_err(|_| problems.push(Problem::at("contactId", rule))).ok()
    });
    let content = match envelope.message {
        Some(Lenient::Is(message)) => message::content(message, reach).map_err(|found| problems.extend(found)).ok(),
        Some(Lenient::Odd(_)) | None => None,
    };
    match (contact, content) {
        (Some(contact), Some(content)) if problems.is_empty() => Ok(Call { channel_id, contact, content }),
        _ => {
            problems.sort_by(|a, b| a.path.cmp(&b.path));
            Err(Rejected { problems })
        }
    }
}

/// The answer of an accepted call (F2): the id that its receipts will quote (F6).
pub(crate) fn accepted(m_id: &MId) -> String {
    json!({ "mId": m_id }).to_string()
}

/// The answer of every refusal (F3): a reason to be shown to the agent.
pub(crate) fn error_body(message: &str) -> String {
    json!({ "error": { "message": message } }).to_string()
}

fn word(name: Option<Lenient<Name>>) -> Option<String> {
    match name {
        Some(Lenient::Is(name)) => Some(name.0),
        Some(Lenient::Odd(_)) | None => None,
    }
}

/// Reads an object and measures it; broken rules go below `path` into `problems`. `None` where it is no object.
fn measured<T>(path: &str, value: Value, problems: &mut Vec<Problem>) -> Option<T>
where
    T: serde::de::DeserializeOwned + Validate,
{
    let read: T = if value.is_object() { serde_json::from_value(value).ok()? } else { return None };
    if let Err(errors) = read.validate() {
        rejected::collect(path, &errors, problems);
    }
    Some(read)
}
