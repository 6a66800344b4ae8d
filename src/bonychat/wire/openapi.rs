//! The OpenAPI document of the public listener. It describes the documented form of a body, with the limits of the
//! parser; what the parser accepts beyond that form (section 6 of the contract) is not promised, so it is left out.
//! `http` serves it and the command line prints it.

use serde_json::{Value, json};

use super::Rule;
use crate::domain::blank::is_blank;
use crate::domain::content::{
    AttachmentKind, MOST_LABEL, MOST_LATITUDE, MOST_LINK, MOST_LONGITUDE, MOST_REPLIES, MOST_TEXT,
};
use crate::domain::{CONTACT_ID_SIGNS, IdType, Language, MOST_CONTACT_ID, MOST_M_ID};

/// Every refusal of `POST /message`: its status and what it means to the caller.
const REFUSALS: [(&str, &str); 12] = [
    ("400", "A rule is broken, or Afilnet refuses the message for good. Nothing was sent. Every broken rule is named."),
    ("401", "The API token is missing or wrong. Nothing was sent."),
    ("404", "There is nothing at this address: is the base URL right?"),
    ("405", "This address takes another method."),
    ("408", "The body did not arrive in time. Nothing was sent; send it again."),
    ("413", "The body is larger than the bridge is configured to take. Nothing was sent."),
    ("414", "The address of the call is too long."),
    ("415", "The body is compressed, or is no JSON and does not claim to be. Nothing was sent."),
    ("422", "The Idempotency-Key names another message. Nothing was sent; give each message a key of its own."),
    (
        "429",
        "As 401, after more than 20 wrong tokens from the same address within a minute. A valid token is always taken.",
    ),
    ("500", "Something broke inside the bridge. Whether the message was taken is not known."),
    (
        "503",
        "The bridge cannot store messages at the moment, or its operator has paused the channel. Nothing was sent; send it again after Retry-After.",
    ),
];

/// Returns the document in OpenAPI 3.1. `prefix`: what comes before /message in the path, empty or with a leading `/`.
pub(crate) fn document(prefix: &str) -> Value {
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "BonyChat <-> Afilnet bridge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The listener that BonyChat calls. Every failure, at every address, has the form of Failure.",
        },
        "paths": {
            (format!("{prefix}/message")): { "post": message() },
            "/healthz": { "get": {
                "operationId": "alive",
                "summary": "Whether the process lives",
                "security": [],
                "responses": { "200": plain("It does.") },
            } },
            "/readyz": { "get": {
                "operationId": "ready",
                "summary": "Whether messages can be stored",
                "security": [],
                "responses": { "200": plain("They can."), "503": refusal("503", "Not now, and why.") },
            } },
            "/openapi.json": { "get": {
                "operationId": "openapi",
                "summary": "This document",
                "security": [],
                "responses": { "200": { "description": "OpenAPI 3.1", "content": webhook_status(&json!({ "type": "object" })) } },
            } },
        },
        "components": {
            "securitySchemes": { "apiToken": {
                "type": "http",
                "scheme": "bearer",
                "description": "The API token that BonyChat shows for the channel. It decides which channel a call is for.",
            } },
            "schemas": {
                "Call": call(),
                "Text": text(),
                "Attachment": attachment(),
                "Location": location(),
                "QuickReply": quick_reply(),
                "Accepted": object(&["mId"], &json!({ "mId": {
                    "type": "string", "minLength": 1, "maxLength": MOST_M_ID, "pattern": "^[A-Za-z0-9]+$",
                    "description": "Id of the message. Its receipts quote it.",
                } })),
                "Failure": object(&["error"], &json!({ "error": object(&["message"], &json!({ "message": {
                    "type": "string", "minLength": 1, "description": "Why, in words for the agent who wrote the message.",
                } })) })),
            },
        },
    })
}

/// Returns the operation `POST /message`.
fn message() -> Value {
    let mut responses = json!({ "200": {
        "description": "The message is kept and will be sent, if it is not sent already.",
        "content": webhook_status(&schema("Accepted")),
    } });
    for (status, meaning) in REFUSALS {
        responses[status] = refusal(status, meaning);
    }
    json!({
        "operationId": "send",
        "summary": "Send one message to one contact",
        "security": [{ "apiToken": [] }],
        "parameters": [{
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "The caller's own name of this message. A call that bears a name given before, with the same \
                contact and message, is a repeat: it gets the first mId, and nothing is sent again, unless that message \
                failed.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        }],
        "requestBody": { "required": true, "content": { "application/json": {
            "schema": schema("Call"),
            "examples": examples(),
        } } },
        "responses": responses,
    })
}

fn examples() -> Value {
    let example = |message: Value| {
        let call = json!({ "channelId": "gfd8g7fd89dgfd", "contactId": "+60177872890", "message": message });
        json!({ "value": call })
    };
    json!({
        "text": example(json!({ "type": "text", "text": "Hello World" })),
        "attachment": example(json!({ "type": "attachment", "attachment": {
            "type": "file", "url": "https://cdn.example.com/x/invoice.pdf",
            "mimeType": "application/pdf", "fileName": "invoice.pdf",
        } })),
        "location": example(json!({
            "type": "location", "latitude": 3.139, "longitude": 101.6869, "address": "Kuala Lumpur",
        })),
        "quickReply": example(json!({
            "type": "quick_reply", "title": "Which day?", "replies": ["Monday", "Tuesday"],
        })),
    })
}

fn call() -> Value {
    let in_words = |id_type| Rule::Contact(id_type).in_words(Language::En);
    object(
        &["channelId", "contactId", "message"],
        &json!({
            "channelId": { "type": "string", "description": "Id of the channel in BonyChat." },
            "contactId": {
                "type": "string",
                "minLength": 1,
                "maxLength": MOST_CONTACT_ID,
                "pattern": format!("^[A-Za-z0-9{CONTACT_ID_SIGNS}]+$"),
                "description": format!(
                    "On a channel with phone ids, it {}. On one with custom ids, it {}.",
                    in_words(IdType::Phone), in_words(IdType::Custom)
                ),
            },
            "message": {
                "oneOf": [schema("Text"), schema("Attachment"), schema("Location"), schema("QuickReply")],
                "discriminator": { "propertyName": "type", "mapping": {
                    "text": reference("Text"),
                    "attachment": reference("Attachment"),
                    "location": reference("Location"),
                    "quick_reply": reference("QuickReply"),
                } },
            },
        }),
    )
}

fn text() -> Value {
    object(&["type", "text"], &json!({ "type": { "const": "text" }, "text": words(MOST_TEXT) }))
}

fn attachment() -> Value {
    let file = object(
        &["type", "url"],
        &json!({
            "type": { "enum": AttachmentKind::ALL },
            "url": {
                "type": "string",
                "format": "uri",
                "pattern": "^https://[^/?#]",
                "maxLength": MOST_LINK,
                "description": "A link that anyone can open, without a login: https at its own port, to no private address.",
            },
            "mimeType": { "type": "string" },
            "fileName": label("With its extension."),
            "description": label("The caption."),
        }),
    );
    object(&["type", "attachment"], &json!({ "type": { "const": "attachment" }, "attachment": file }))
}

fn location() -> Value {
    let degrees = |most: f64| json!({ "type": "number", "minimum": -most, "maximum": most });
    object(
        &["type", "latitude", "longitude"],
        &json!({
            "type": { "const": "location" },
            "latitude": degrees(MOST_LATITUDE),
            "longitude": degrees(MOST_LONGITUDE),
            "address": label("What people call the place."),
        }),
    )
}

fn quick_reply() -> Value {
    let replies = json!({ "type": "array", "minItems": 1, "maxItems": MOST_REPLIES, "items": words(MOST_LABEL) });
    object(
        &["type", "title", "replies"],
        &json!({ "type": { "const": "quick_reply" }, "title": words(MOST_LABEL), "replies": replies }),
    )
}

/// Returns the schema of text that is not blank: at least one visible character.
fn words(most: usize) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": most, "pattern": says_something() })
}

/// The pattern of such a text. Invisible characters are listed, since engines differ in what `\s` means; those beyond
/// U+FFFF are left out, since engines differ in how they are written.
pub(super) fn says_something() -> String {
    let blanks: Vec<u32> =
        ('\0'..='\u{ffff}').filter(|c| is_blank(c.encode_utf8(&mut [0; 4]))).map(u32::from).collect();
    let ranges = blanks.chunk_by(|a, b| a + 1 == *b).fold(String::new(), |ranges, run| match run {
        [first, .., last] => ranges + &format!("\\u{first:04x}-\\u{last:04x}"),
        [only] => ranges + &format!("\\u{only:04x}"),
        [] => ranges,
    });
    format!("[^{ranges}]")
}

/// Returns the schema of a short text that may be missing or empty.
fn label(description: &str) -> Value {
    json!({ "type": "string", "maxLength": MOST_LABEL, "description": description })
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

fn schema(name: &str) -> Value {
    json!({ "$ref": reference(name) })
}

fn webhook_status(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn plain(description: &str) -> Value {
    json!({ "description": description, "content": { "text/plain": { "schema": { "type": "string" } } } })
}

fn refusal(status: &str, description: &str) -> Value {
    let mut refusal = json!({ "description": description, "content": webhook_status(&schema("Failure")) });
    if status == "503" {
        refusal["headers"] = json!({ "Retry-After": {
            "description": "Seconds to wait before the next try.",
            "schema": { "type": "integer", "minimum": 0 },
        } });
    }
    refusal
}
