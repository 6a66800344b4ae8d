//! The body of `BonyChat`'s `POST /message` (bonychat.md section 3.1) and the responses to it (3.3). Used by `http`.
//!
//! Reading is tolerant of form and strict about meaning, as section 6 of the contract asks: each field is validated,
//! all broken rules are reported at once, and the result consists of domain types only.

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

/// A validated request: send this content to this contact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MessageRequest {
    /// As text, whatever its type was; `None` if it is missing, null or empty (A4). The token decides the channel.
    pub(crate) channel_id: Option<String>,
    /// In its normal form (A5, A6, A7).
    pub(crate) contact: ContactId,
    /// What to say.
    pub(crate) content: Content,
}

/// The body, key for key. Unknown keys are ignored (A26).
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

/// Parses a body, or returns everything that is wrong with it. `id_type` and `reach` (which hosts files may be on) are
/// the channel's.
pub(crate) fn parse(body: &[u8], id_type: IdType, reach: Reach) -> Result<MessageRequest, Rejected> {
    let value = json::read(body).map_err(Rejected::unreadable)?;
    let mut problems = Vec::new();
    let Some(envelope) = measured::<Envelope>("", value, &mut problems) else {
        return Err(Rejected { problems: vec![Problem::at("body", Rule::Object)] });
    };
    let channel_id = word(envelope.channel_id).filter(|id| !id.trim().is_empty());
    let contact = word(envelope.contact_id).and_then(|spelled| {
        let rule = match id_type {
            _ if is_blank(&spelled) => Rule::NotBlank,
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
        (Some(contact), Some(content)) if problems.is_empty() => Ok(MessageRequest { channel_id, contact, content }),
        _ => {
            problems.sort_by(|a, b| a.path.cmp(&b.path));
            Err(Rejected { problems })
        }
    }
}

/// Returns the response body of an accepted call (F2): the id that its receipts will have (F6).
pub(crate) fn accepted(m_id: &MId) -> String {
    json!({ "mId": m_id }).to_string()
}

/// Returns the response body of a refusal (F3): a reason to be shown to the agent.
pub(crate) fn error_body(message: &str) -> String {
    json!({ "error": { "message": message } }).to_string()
}

fn word(name: Option<Lenient<Name>>) -> Option<String> {
    match name {
        Some(Lenient::Is(name)) => Some(name.0),
        Some(Lenient::Odd(_)) | None => None,
    }
}

/// Reads and validates an object; adds broken rules below `path` to `problems`. `None` if it is not an object.
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
