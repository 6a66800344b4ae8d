//! Captured calls of `/message`, redacted so that they can leave the machine.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::redact::redacted;
use crate::bonychat::capture::{RULES, Received};
use crate::domain::content_type;

/// Returns them without persons: structure, names and known types as they were.
pub(crate) fn without_persons(calls: &[Received]) -> Vec<Value> {
    let bodies: Vec<_> = calls.iter().map(|call| (&RULES, &call.body[..])).collect();
    let bodies = redacted(&bodies, |_| false);
    let one = |(call, body): (&Received, Vec<u8>)| {
        let mut one = json!({ "kind": call.kind, "channel": call.channel, "length": call.body.len() });
        if let Some(known) = call.content_type.as_deref().and_then(content_type::without_persons) {
            one["content_type"] = known.into();
        }
        as_text(&mut one, &body);
        one
    };
    calls.iter().zip(bodies).map(one).collect()
}

/// Adds a body: as `raw`, or as `hex` where it is no UTF-8.
pub(crate) fn as_text(case: &mut Value, body: &[u8]) {
    match std::str::from_utf8(body) {
        Ok(text) => case["raw"] = text.into(),
        Err(_) => {
            case["hex"] = body
                .iter()
                .fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                })
                .into();
        }
    }
}
