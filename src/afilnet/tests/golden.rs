//! The bytes of requests that send, over the transports that Afilnet documents, where no placeholders are filled in: as they
//! are in `tests/fixtures/afilnet/requests.txt`. Only the address and the version are masked.
//! `BRIDGE_TEST_WRITE_FIXTURES=1` writes them; read what changed before it is committed.

use std::fmt::Write as _;

use super::listener::{Afilnet, to};
use super::*;
use crate::domain::content::{Attachment, AttachmentKind, FileUrl, Label, Location, QuickReply};

const FIXTURE: &str = "tests/fixtures/afilnet/requests.txt";
const SUCCESS: &str = r#"{"status":"SUCCESS","result":[]}"#;

fn label(words: &str) -> Label {
    Label::new(words).unwrap()
}

/// Messages by name, with the longest text of one call.
fn messages() -> Vec<(&'static str, usize, Content)> {
    let file = |kind, description: Option<&str>| {
        Content::Attachment(Attachment {
            kind,
            url: FileUrl::new("https://files.example.com/a b/ñ.pdf?x=1&y=%20+#z").unwrap(),
            mime_type: None,
            file_name: Some(label("ñ.pdf")),
            description: description.map(label),
        })
    };
    let replies = ["Sí", "{{anna.pending}}", "No & nunca"].map(label).to_vec();
    vec![
        ("text", 4096, text("Hola, ¿qué tal?\nSiga su caso: {{anna.chat_url|aquí}}")),
        (
            "long text",
            40,
            text("Primera frase, que es larga. Segunda frase, {{anna.chat_url}}.\n\nTercera 👩‍👩‍👧‍👦 con palabras"),
        ),
        (
            "hostile characters",
            4096,
            text("a&b=c;d+e%26%zz?#\r\n\t\0\u{7f}\u{200b}\u{202e}\"'<>\\ &method=getchats&message=x \u{fdd0}"),
        ),
        ("file", 4096, file(AttachmentKind::File, Some("Su {{anna.messenger_link}} & más"))),
        ("image without words", 4096, file(AttachmentKind::Image, None)),
        ("quick reply", 4096, Content::QuickReply(QuickReply::new(label("¿{{anna.chat_url}}?"), replies).unwrap())),
        (
            "location",
            4096,
            Content::Location(Location::new(40.4168, -3.7038, Some(label("Sol & {latitude}"))).unwrap()),
        ),
    ]
}

/// The requests of one message, one after the other.
async fn requests(transport: &config::Transport, limit: usize, content: &Content) -> String {
    let afilnet = Afilnet::answering(SUCCESS).await;
    let mut channel = channel(&afilnet.url, transport.clone());
    channel.text_limit = limit;
    let client = client_of(&channel);
    let wording = client.wordings();
    for part in 0..client.parts(content, Some(&wording.of_others)) {
        let verdict = client.send(&to(), content, part, Some(&wording.of_others)).await.outcome;
        assert_eq!(verdict, Verdict::Sent { afilnet_id: None });
    }
    let host = afilnet.url.split('/').nth(2).unwrap();
    let masked = |request: &String| {
        let request = request.replace(host, "HOST").replace(env!("CARGO_PKG_VERSION"), "VERSION");
        assert!(!request.contains("\r\n\r\n\r\n") && request.matches('\n').count() == request.matches("\r\n").count());
        format!("{}\n", request.replace("\r\n", "\n"))
    };
    afilnet.requests.lock().unwrap().iter().map(masked).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_is_sent_without_placeholders_is_what_was_always_sent() {
    let mut all = String::new();
    for (name, limit, content) in messages() {
        for (how, transport) in
            [("post", config::Transport::Post), ("basic", config::Transport::Basic), ("get", config::Transport::Get)]
        {
            let requests = requests(&transport, limit, &content).await;
            write!(all, "=== {name} over {how}\n\n{requests}\n").unwrap();
        }
    }
    if std::env::var_os("BRIDGE_TEST_WRITE_FIXTURES").is_some() {
        std::fs::write(FIXTURE, &all).unwrap();
    }
    let kept = std::fs::read_to_string(FIXTURE).unwrap();
    for (now, then) in all.split("=== ").zip(kept.split("=== ")) {
        assert_eq!(now, then);
    }
    assert_eq!(all.len(), kept.len());
}
