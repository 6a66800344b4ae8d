//! The OpenAPI document of the admin listener's API. `api` serves it and the command line prints it.

use serde_json::{Map, Value, json};

use crate::domain::Content;

/// Parameters of `GET /messages`, as the finder of the command line has them.
pub(super) const MESSAGE_PARAMETERS: [(&str, &str); 11] = [
    ("q", "An mId; a number or 5 and more digits of one; or words of the text"),
    ("direction", "out or in"),
    ("channel", "Name of a channel"),
    (
        "state",
        "queued, sending, unknown, sent, failed, unconfirmed, noted (unconfirmed, and left so); of events done and dead",
    ),
    ("fault", "Code of the last fault"),
    ("since", "A time ago (90s, 2h, 3d), a day or a time"),
    ("until", "The same"),
    ("contact", "Its number, or its custom contact id"),
    ("before", "`next` of the page before"),
    ("limit", "Messages of the page, 500 at most"),
    CONTACTS,
];
/// Parameters of `GET /audit`.
pub(super) const AUDIT_PARAMETERS: [(&str, &str); 3] = [
    ("about", "A person, or what was dealt with: an mId, a channel, `job 3`"),
    ("before", "`next` of the page before"),
    ("limit", "Rows of the page, 1000 at most"),
];
/// Parameters of `POST /calls`.
pub(super) const CALL_PARAMETERS: [(&str, &str); 1] = [("seconds", "How long to wait, 600 at most")];
/// Parameters of `GET /messages/{mId}`.
pub(super) const JOURNEY_PARAMETERS: [(&str, &str); 2] =
    [("language", "en or es; that of bonychat.language without this"), CONTACTS];
/// A parameter that shows contacts.
const CONTACTS: (&str, &str) = ("contacts", "full: contacts in full, where the configuration masks them");

/// Returns the document in OpenAPI 3.1.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn document() -> Value {
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "BonyChat <-> Afilnet bridge, for operators",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin listener's API: find a message, explain it, decide it. Every call bears admin.token, or the token of a person of admin.people; every \
                            failure has the form of Failure.",
        },
        "paths": {
            "/api/v1/channels": { "get": read(
                "channels", "Whether anything needs a person, and how each channel is", &[],
                &json!({ "type": "object", "required": ["needs_you", "channels"], "properties": {
                    "needs_you": list(&schema("Need")), "channels": list(&schema("Channel")),
                } }),
            ) },
            "/api/v1/messages": { "get": read(
                "findMessages", "Find messages of both directions, newest first, 50 a page", &MESSAGE_PARAMETERS,
                &json!({ "type": "object", "required": ["messages", "next", "notes"], "properties": {
                    "messages": list(&schema("Message")), "next": next(), "notes": list(&json!({ "type": "string" })),
                } }),
            ) },
            "/api/v1/messages/{mId}": { "parameters": [m_id()], "get": of_message(read(
                "journey", "Tell what happened to a message: in words, and as data",
                &JOURNEY_PARAMETERS,
                &json!({ "type": "object", "required": ["verdict", "lines", "zone", "journey"], "properties": {
                    "verdict": { "type": "string", "description": "Whether the customer got it, what happens next, what to do" },
                    "lines": list(&json!({ "type": "string" })),
                    "zone": { "type": "string", "description": "Of the times in the lines" },
                    "decisions": list(&json!({ "enum": ["delivered", "failed", "send-again", "noted", "retry", "discard"] })),
                    "journey": { "type": "object" },
                } }),
            )) },
            "/api/v1/messages/{mId}/settle": { "parameters": [m_id()], "post": decide(
                "settle", "Say what became of a message that may have been delivered",
                &json!({ "type": "object", "required": ["as"], "properties": {
                    "as": {
                        "enum": ["delivered", "failed", "send-again", "noted"],
                        "description": "Before send-again, look at the conversation at Afilnet: this call does not compare, and if the first one arrived after all, the customer gets it twice",
                    },
                    "why": why(),
                } }), true,
            ) },
            "/api/v1/messages/{mId}/retry": { "parameters": [m_id()], "post": decide(
                "retry", "Send a failed message again, or post dead events again", &only_why(), false,
            ) },
            "/api/v1/messages/{mId}/discard": { "parameters": [m_id()], "post": decide(
                "discard", "Give a message or a dead event up for good and erase its text", &only_why(), false,
            ) },
            "/api/v1/plans": { "post": order(
                "plan", "Say what would be done with many messages, and change nothing. For people of all channels", &set(), true,
                &schema("Plan"), &[("400", "What is described means nothing.")],
            ) },
            "/api/v1/plans/{plan}/run": { "parameters": [named("plan", "`plan` of a plan that is no older than 10 minutes")], "post": order(
                "run", "Do what the plan said; the body is that of the plan. For people of all channels", &set(), true,
                &json!({ "type": "object", "required": ["job", "count", "done"], "properties": {
                    "job": { "type": "integer" }, "count": { "type": "integer" }, "done": { "type": "string" },
                } }),
                &[
                    ("400", "What is described means nothing, or this is no plan. Nothing was changed."),
                    ("409", "It is no longer as the plan said, nothing matches, or a channel of it is paused by hand. Nothing was changed."),
                ],
            ) },
            "/api/v1/jobs": { "get": read(
                "jobs", "The newest 50 jobs on many messages, newest first. For people of all channels", &[],
                &json!({ "type": "object", "required": ["jobs"], "properties": { "jobs": list(&schema("Job")) } }),
            ) },
            "/api/v1/jobs/{id}": { "parameters": [named("id", "Its number")], "get": of_one(read(
                "job", "How far a job is: in words, and as data", &[],
                &json!({ "type": "object", "required": ["told", "job"], "properties": {
                    "told": { "type": "string" }, "job": schema("Job"),
                } }),
            ), NO_JOB) },
            "/api/v1/jobs/{id}/cancel": { "parameters": [named("id", "Its number")], "post": of_one(
                order("cancel", "End a job: what is done stays done", &only_why(), false, &done(), &OF_JOB), NO_JOB,
            ) },
            "/api/v1/jobs/{id}/resume": { "parameters": [named("id", "Its number")], "post": of_one(
                order("resumeJob", "Go on with a job that stopped or was interrupted", &only_why(), false, &done(), &OF_JOB), NO_JOB,
            ) },
            "/api/v1/channels/{name}/pause": { "parameters": [named("name", "Of the channel")], "post": of_one(
                order("pause", "Pause a part of a channel until a person ends it", &part(true), true, &done(), &OF_PAUSE), NO_CHANNEL,
            ) },
            "/api/v1/channels/{name}/resume": { "parameters": [named("name", "Of the channel")], "post": of_one(
                order("resume", "End a pause by hand", &part(false), true, &done(), &OF_PAUSE), NO_CHANNEL,
            ) },
            "/api/v1/failed": { "get": read(
                "failed", "What failed or was given up, by channel and fault, and whether the cause seems mended", &[],
                &json!({ "type": "object", "required": ["groups"], "properties": { "groups": list(&schema("Group")) } }),
            ) },
            "/api/v1/settings": { "get": read(
                "settings", "The settings in force, with where each comes from; of secrets their length", &[],
                &json!({ "type": "object", "required": ["settings"], "properties": { "settings": list(&schema("Setting")) } }),
            ) },
            "/api/v1/audit": { "get": read(
                "audit", "Who did what, newest first", &AUDIT_PARAMETERS,
                &json!({ "type": "object", "required": ["deeds", "next"], "properties": {
                    "deeds": list(&schema("Deed")), "next": next(),
                } }),
            ) },
            "/api/v1/calls": { "post": calls() },
            "/api/v1/openapi.json": { "get": read("openapi", "This document", &[], &json!({ "type": "object" })) },
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "admin.token" } },
            "schemas": schemas(),
        },
        "security": [{ "token": [] }],
    })
}

fn list(of: &Value) -> Value {
    json!({ "type": "array", "items": of })
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn next() -> Value {
    json!({ "type": ["string", "null"], "description": "`before` of the next page; null after the last" })
}

fn why() -> Value {
    json!({ "type": "string", "description": "Why, for the audit" })
}

fn only_why() -> Value {
    json!({ "type": "object", "properties": { "why": why() } })
}

fn m_id() -> Value {
    named("mId", "Of a message or an event")
}

fn named(name: &str, what: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": what, "schema": { "type": "string" } })
}

/// What describes many messages, and what to do with them.
fn set() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    json!({ "type": "object", "required": ["action", "state"], "properties": {
        "action": { "enum": ["retry", "discard"] },
        "state": { "enum": ["failed", "dead", "queued"], "description": "dead: events that were given up; queued: to discard alone" },
        "kind": { "enum": Content::KINDS, "description": "Of the content; of messages alone" },
        "fault": text("Code of the last fault"),
        "channel": text("Name of a channel"),
        "contact": text("Its number, or its custom contact id"),
        "since": text("A time ago (90s, 2h, 3d), a day or a time"),
        "until": text("The same"),
        "text": text("Words of the text, or in quotes as they follow each other"),
        "moved_on": { "type": "boolean", "description": "Also messages of conversations that have moved on" },
        "why": why(),
    } })
}

fn part(needs_why: bool) -> Value {
    let what = json!({ "enum": ["out", "in", "drain"], "description": "out: nothing is sent; in: nothing is posted to BonyChat; drain: /message answers 503" });
    let required: &[&str] = if needs_why { &["what", "why"] } else { &["what"] };
    json!({ "type": "object", "required": required, "properties": { "what": what, "why": why() } })
}

fn done() -> Value {
    json!({ "type": "object", "required": ["done"], "properties": { "done": { "type": "string" } } })
}

fn body(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn failures(statuses: &[(&str, &str)]) -> Map<String, Value> {
    const ALL: [(&str, &str); 4] = [
        ("401", "The bearer token is missing or is not that of admin.token or of a person of admin.people."),
        (
            "403",
            "This person may not: may = read changes nothing, a person of some channels gets no call of all. Or there is no token of 16 characters: there is no API.",
        ),
        ("429", "As 401, after more than 20 wrong tokens from the same address within a minute."),
        ("503", "The store cannot be read or written now. Nothing was changed."),
    ];
    let of = |(status, what): &(&str, &str)| {
        ((*status).to_owned(), json!({ "description": what, "content": body(&schema("Failure")) }))
    };
    ALL.iter().chain(statuses).map(of).collect()
}

fn read(id: &str, summary: &str, parameters: &[(&str, &str)], answer: &Value) -> Value {
    let parameter = |(name, what): &(&str, &str)| json!({ "name": name, "in": "query", "description": what, "schema": { "type": "string" } });
    let parameters: Vec<Value> = parameters.iter().map(parameter).collect();
    let mut responses = failures(if parameters.is_empty() { &[] } else { &[("400", "A parameter means nothing.")] });
    responses.insert("200".to_owned(), json!({ "description": "Found", "content": body(answer) }));
    json!({ "operationId": id, "summary": summary, "parameters": parameters, "responses": responses })
}

fn calls() -> Value {
    let mut operation = read(
        "calls",
        "Wait for the next call of /message of each kind, and return them without persons: letters and numbers are others",
        &CALL_PARAMETERS,
        &json!({ "type": "object", "required": ["calls"], "properties": { "calls": list(&schema("Call")) } }),
    );
    operation["responses"]["409"] =
        json!({ "description": "Somebody else waits for calls.", "content": body(&schema("Failure")) });
    operation
}

const NO_JOB: &str = "There is no such job.";
const NO_CHANNEL: &str = "There is no such channel, or this person does not see it.";
const OF_JOB: [(&str, &str); 2] = [
    ("400", "The body is not as described. Nothing was changed."),
    ("409", "It is over already, or not all of its messages are in it yet. Nothing was changed."),
];
const OF_PAUSE: [(&str, &str); 2] = [
    ("400", "The body is not as described, or says no reason. Nothing was changed."),
    ("409", "It is paused so already, or is not. Nothing was changed."),
];

/// Adds the failure of a path that names one thing.
fn of_one(mut operation: Value, missing: &str) -> Value {
    operation["responses"]["404"] = json!({ "description": missing, "content": body(&schema("Failure")) });
    operation
}

fn of_message(operation: Value) -> Value {
    of_one(operation, "Nothing is stored under this mId.")
}

fn decide(id: &str, summary: &str, request: &Value, required: bool) -> Value {
    const STATUSES: [(&str, &str); 2] = [
        ("400", "The body is not as described. Nothing was changed."),
        (
            "409",
            "Its state does not allow it, or its text is erased. Nothing was changed; the message tells its state.",
        ),
    ];
    of_message(order(id, summary, request, required, &done(), &STATUSES))
}

fn order(id: &str, summary: &str, request: &Value, required: bool, answer: &Value, statuses: &[(&str, &str)]) -> Value {
    let mut responses = failures(statuses);
    responses.insert("200".to_owned(), json!({ "description": "Done, and what follows.", "content": body(answer) }));
    json!({
        "operationId": id, "summary": summary, "requestBody": { "required": required, "content": body(request) },
        "responses": responses,
    })
}

fn schemas() -> Value {
    let (text, number, maybe) =
        (json!({ "type": "string" }), json!({ "type": "integer" }), json!({ "type": ["integer", "null"] }));
    let maybe_text = json!({ "type": ["string", "null"] });
    json!({
        "Failure": { "type": "object", "required": ["error"], "properties": { "error": {
            "type": "object", "required": ["message"], "properties": { "message": text },
        } } },
        "Need": { "type": "object", "properties": { "channel": text, "what": text, "command": text, "link": text } },
        "Channel": { "type": "object", "properties": {
            "channel": text, "sentence": text, "pauses": list(&schema("Pause")),
            "word": { "enum": ["works", "slow", "stuck", "paused", "paused_by_hand", "nobody", "not_configured"] },
            "waits_out": number, "oldest_out_ms": maybe, "waits_in": number, "oldest_in_ms": maybe, "unconfirmed": number,
            "dead": number, "last_sent_ms": maybe, "last_received_ms": maybe, "owner": maybe_text,
        } },
        "Pause": { "type": "object", "description": "By hand", "properties": {
            "channel": text, "kind": { "enum": ["out", "in", "drain"] }, "since_ms": number, "who": text, "why": text,
        } },
        "Message": { "type": "object", "properties": {
            "direction": { "enum": ["out", "in"] }, "m_id": text, "channel": text, "contact": text, "state": text, "kind": text,
            "attempt": number, "accepted_ms": number, "done_ms": maybe, "fault": maybe_text, "noted_ms": maybe,
        } },
        "Call": { "type": "object", "required": ["kind", "channel", "length"], "properties": {
            "kind": { "enum": ["text", "attachment", "location", "quick_reply", "refused"] }, "channel": text,
            "length": number, "content_type": text, "raw": text,
            "hex": { "type": "string", "description": "In place of raw where the body is no UTF-8" },
        } },
        "Plan": { "type": "object", "properties": {
            "plan": { "type": "string", "description": "To run it with" }, "count": number, "wiped": number, "old": number,
            "groups": list(&json!({ "type": "object", "properties": { "channel": text, "fault": text, "count": number } })),
            "moved_on": { "type": "integer", "description": "Messages of conversations that have moved on, taken with moved_on alone" },
            "moved_on_contacts": { "type": "array", "items": text, "description": "Contacts of the first 25 of these conversations" },
            "takes_s": { "type": "integer", "description": "About how long it takes, in seconds" },
            "refused": { "type": ["string", "null"], "description": "Why it cannot be run now" },
            "first": { "type": "array", "description": "The first 25", "items": { "type": "object", "properties": {
                "m_id": text, "channel": text, "contact": text, "kind": text, "at_ms": number, "fault": text,
            } } },
        } },
        "Job": { "type": "object", "properties": {
            "id": number, "at_ms": number, "who": text, "means": text, "why": maybe_text, "action": text,
            "subject": { "enum": ["o", "e"], "description": "o: messages, e: events" }, "state": text,
            "filter": { "type": "string", "description": "JSON of how the set was described, without texts and contacts" },
            "moved_on": { "type": "boolean" }, "spacing_ms": number, "total": number, "done": number,
            "skipped": { "type": "integer", "description": "Left out, since they had changed" }, "worked_ms": number,
            "next_ms": number, "paused": { "type": "boolean" }, "ended_ms": maybe, "cancelled_ms": maybe,
            "filled": { "type": "boolean" }, "stopped": maybe_text,
        } },
        "Group": { "type": "object", "properties": {
            "channel": text, "direction": { "enum": ["out", "in"] }, "fault": text, "count": number, "oldest_ms": number,
            "newest_ms": number, "mended": { "type": "boolean" },
        } },
        "Setting": { "type": "object", "properties": {
            "key": text, "value": text, "from": { "enum": ["default", "file", "environment"] }, "source": text,
        } },
        "Deed": { "type": "object", "properties": {
            "at": text, "at_ms": number, "who": text, "means": text, "what": text, "target": text,
            "detail": { "type": ["object", "null"] },
        } },
    })
}
