//! The control calls of the simulated BonyChat.

use serde_json::{Value, json};

use super::{Fields, Refused, help, reply, unknown};
use crate::sim::bonychat::World;
use crate::sim::wire::{Reply, Request};

/// Answers one control call.
pub(in crate::sim) async fn serve(world: &World, request: &Request) -> Reply {
    let path = request.path().trim_end_matches('/');
    if path == "/control" { help("BonyChat") } else { reply(call(world, request, path).await) }
}

async fn call(world: &World, request: &Request, path: &str) -> Result<Value, Refused> {
    let fields = Fields::of(request)?;
    match (request.method.as_str(), path) {
        ("POST", "/control/say") => return say(world, &fields).await,
        ("GET", "/control/events") => {
            return Ok(match fields.optional("contact_id") {
                Some(contact_id) => json!(world.events(&contact_id)),
                None => json!(world.all_events()),
            });
        }
        ("POST", "/control/faults") => world.add_fault(fields.parse("rule")?),
        ("DELETE", "/control/faults") => world.clear_faults(),
        ("POST", "/control/poison") => {
            let marker = fields.optional("marker").filter(|marker| !marker.is_empty());
            world.set_poison(marker.as_deref());
        }
        ("POST", "/control/rate_limit") => world.set_rate_limit(fields.parse("on")?),
        ("POST", "/control/latency") => world.set_latency(fields.parse("latency")?),
        ("GET", "/control/state") => return Ok(world.dump()),
        ("POST", "/control/reset") => world.reset(),
        _ => return Err(unknown(request)),
    }
    Ok(json!({"done": true}))
}

async fn say(world: &World, fields: &Fields) -> Result<Value, Refused> {
    let (bridge_url, channel_id) = world.defaults();
    let bridge_url = fields.optional("bridge_url").unwrap_or(bridge_url);
    let channel_id = fields.optional("channel_id").unwrap_or(channel_id);
    // A `+` in a form is a space, which ids do not contain.
    let contact_id = fields.need("contact_id")?.replace(' ', "+");
    let message = match fields.0.get("message") {
        Some(message) => message.clone(),
        None => json!({"type": "text", "text": fields.need("text")?}),
    };
    let outcome = world.send(&bridge_url, &channel_id, &contact_id, message).await;
    let elapsed_ms = u64::try_from(outcome.elapsed.as_millis()).unwrap_or(u64::MAX);
    Ok(json!({"status": outcome.status, "body": outcome.body, "mId": outcome.m_id, "elapsed_ms": elapsed_ms}))
}
