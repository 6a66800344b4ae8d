//! The control calls of the simulated Afilnet.

use serde_json::{Value, json};

use super::{Fields, Refused, help, refuse, reply, unknown};
use crate::sim::afilnet::{RowStatus, World};
use crate::sim::wire::{Reply, Request};

/// Answers one control call.
pub(in crate::sim) fn serve(world: &World, request: &Request) -> Reply {
    let path = request.path().trim_end_matches('/');
    if path == "/control" { help("Afilnet") } else { reply(call(world, request, path)) }
}

fn call(world: &World, request: &Request, path: &str) -> Result<Value, Refused> {
    let fields = Fields::of(request)?;
    let chat = || Ok::<_, Refused>((fields.need("platformid")?, fields.need("destination")?));
    match (request.method.as_str(), path) {
        ("POST", "/control/channel") => {
            let name = fields.optional("name").unwrap_or_default();
            world.add_channel(&fields.need("platform")?, &fields.need("platformid")?, &name);
        }
        ("POST", "/control/account") => world.add_account(&fields.need("user")?, &fields.need("password")?),
        ("POST", "/control/receive") => {
            let (platformid, destination) = chat()?;
            let row = match fields.optional("fileurl") {
                Some(url) => {
                    let caption = fields.optional("text").unwrap_or_default();
                    world.receive_file(&platformid, &destination, &url, &caption)
                }
                None => world.receive(&platformid, &destination, &fields.need("text")?),
            };
            return Ok(json!({"row": row.map_err(refuse)?}));
        }
        ("POST", "/control/operator") => {
            let (platformid, destination) = chat()?;
            let row = world.operator_says(&platformid, &destination, &fields.need("text")?);
            return Ok(json!({"row": row.map_err(refuse)?}));
        }
        ("POST", "/control/read") => {
            let (platformid, destination) = chat()?;
            world.mark_read(&platformid, &destination);
        }
        ("POST", "/control/status") => {
            let (platformid, destination) = chat()?;
            world.set_status(&platformid, &destination, status(&fields.need("status")?)?);
        }
        ("POST", "/control/clock") => world.set_clock_offset_ms(offset(&fields.need("offset")?)?),
        ("POST", "/control/latency") => world.set_latency(fields.parse("latency")?),
        ("POST", "/control/switches") => {
            let mut switches = world.switches();
            for name in fields.0.keys() {
                switches.set(name, &fields.need(name)?).map_err(refuse)?;
            }
            world.set_switches(switches);
            return Ok(json!(switches));
        }
        ("GET", "/control/switches") => return Ok(json!(world.switches())),
        ("POST", "/control/faults") => world.add_fault(fields.parse("rule")?),
        ("DELETE", "/control/faults") => world.clear_faults(),
        ("GET", "/control/sent") => {
            return Ok(match fields.optional("destination") {
                Some(destination) => json!(world.sent(&destination)),
                None => json!(world.all_sent()),
            });
        }
        ("GET", "/control/state") => return Ok(world.dump()),
        ("POST", "/control/reset") => world.reset(),
        _ => return Err(unknown(request)),
    }
    Ok(json!({"done": true}))
}

fn status(word: &str) -> Result<RowStatus, Refused> {
    match word {
        "sent" => Ok(RowStatus::Sent),
        "delivered" => Ok(RowStatus::Delivered),
        "read" => Ok(RowStatus::Read),
        "failed" => Ok(RowStatus::Failed),
        _ => Err(refuse(format!("`{word}` is not a status: use sent, delivered, read or failed"))),
    }
}

/// A span with an optional sign, in milliseconds.
fn offset(text: &str) -> Result<i64, Refused> {
    let (sign, span) = text.strip_prefix('-').map_or((1, text), |span| (-1, span));
    let span = humantime::parse_duration(span.trim_start_matches('+'))
        .map_err(|_| refuse(format!("`{text}` is not an offset: write one like 90s or -2h")))?;
    Ok(sign * i64::try_from(span.as_millis()).map_err(refuse)?)
}
