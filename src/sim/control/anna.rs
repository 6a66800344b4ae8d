//! The control calls of the simulated AnnA.

use serde_json::{Value, json};

use super::{Fields, Refused, help, reply, unknown};
use crate::sim::anna::World;
use crate::sim::wire::{Reply, Request};

/// Answers one control call.
pub(in crate::sim) fn serve(world: &World, request: &Request) -> Reply {
    let path = request.path().trim_end_matches('/');
    if path == "/control" { help("AnnA") } else { reply(call(world, request, path)) }
}

fn call(world: &World, request: &Request, path: &str) -> Result<Value, Refused> {
    let fields = Fields::of(request)?;
    match (request.method.as_str(), path) {
        ("POST", "/control/user") => {
            let active = fields.optional("active").is_none_or(|active| active != "false");
            world.set_user(&fields.need("id")?, &fields.optional("name").unwrap_or_default(), active);
        }
        ("POST", "/control/pending") => world.set_pending(fields.parse("count")?),
        ("POST", "/control/expire") => world.expire_tokens(),
        ("POST", "/control/faults") => world.add_fault(fields.parse("rule")?),
        ("DELETE", "/control/faults") => world.clear_faults(),
        ("GET", "/control/state") => return Ok(world.dump()),
        ("POST", "/control/reset") => world.reset(),
        _ => return Err(unknown(request)),
    }
    Ok(json!({"done": true}))
}
