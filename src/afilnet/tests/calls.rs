//! The calls for a message's content.

use super::super::translate::FileType;
use super::*;
use crate::domain::content::{Attachment, AttachmentKind, FileUrl, Label, Location, QuickReply};

fn wording() -> Formatter {
    Formatter {
        placeholders: false,
        text_limit: 4096,
        number_quick_replies: true,
        location_text: outbound().location_text,
        language: Language::En,
    }
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn texts(wording: &Formatter, content: &Content) -> Vec<String> {
    let text = |call| match call {
        SendCall::Text(text) => text,
        SendCall::File { .. } => panic!("a file"),
    };
    wording.calls(content).into_iter().map(text).collect()
}

#[test]
fn a_text_is_one_call_until_it_is_too_long() {
    assert_eq!(texts(&wording(), &text("Hola, ¿qué tal?")), ["Hola, ¿qué tal?"]);
    let long = "Una frase. ".repeat(600);
    let parts = texts(&wording(), &text(&long));
    assert_eq!(parts.len(), 2);
    assert!(parts.iter().all(|part| part.chars().count() <= 4096 && part.trim_end().ends_with('.')));
}

fn attachment(kind: AttachmentKind, url: &str, mime: Option<&str>, name: Option<&str>) -> Content {
    Content::Attachment(Attachment {
        kind,
        url: FileUrl::new(url).unwrap(),
        mime_type: mime.map(str::to_owned),
        file_name: name.map(label),
        description: None,
    })
}

#[test]
fn a_file_gets_the_type_that_fits_it() {
    use AttachmentKind::{Audio, File, Image, Video};
    let plain = "https://f.example/a";
    for (kind, url, mime, name, expected) in [
        (Image, plain, Some("image/png"), None, FileType::Image),
        (Video, plain, None, Some("a.ogg"), FileType::Video),
        (Audio, plain, Some("audio/mpeg"), None, FileType::Audio),
        (Audio, plain, None, None, FileType::Audio),
        (Audio, plain, Some("audio/ogg"), None, FileType::Voice),
        (Audio, plain, Some("Audio/OGG; codecs=opus"), None, FileType::Voice),
        (Audio, plain, Some("audio/ogg; codecs=vorbis"), None, FileType::Audio),
        (Audio, plain, Some("audio/opus"), None, FileType::Voice),
        (Audio, plain, Some("application/ogg"), None, FileType::Voice),
        (Audio, "https://f.example/n.OGG?x=1.mp3#y.wav", None, None, FileType::Voice),
        (Audio, "https://f.example/n.opus", None, None, FileType::Voice),
        (Audio, plain, None, Some("note.oga"), FileType::Voice),
        (Audio, plain, Some("application/octet-stream"), Some("note.ogg"), FileType::Voice),
        (Audio, "https://f.example/n.ogg", Some("audio/mpeg"), None, FileType::Audio),
        (Audio, "https://f.example/n.ogg", None, Some("n.mp3"), FileType::Audio),
        (File, plain, Some("application/pdf"), None, FileType::Document),
        (File, plain, None, None, FileType::Document),
        (File, plain, Some("audio/ogg"), None, FileType::Document),
        (File, plain, Some("text/vcard"), None, FileType::Contact),
        (File, plain, Some("text/x-vcard; charset=utf-8"), None, FileType::Contact),
        (File, plain, None, Some("Ana.VCF"), FileType::Contact),
        (File, "https://f.example/dir/ana.vcf", None, None, FileType::Contact),
        (File, "https://f.example/ana.vcf", Some("application/pdf"), None, FileType::Document),
        (File, "https://f.example/", None, Some("no extension"), FileType::Document),
    ] {
        let calls = wording().calls(&attachment(kind, url, mime, name));
        let expected = SendCall::File { kind: expected, url: url.to_owned(), message: None };
        assert_eq!(calls, [expected], "{kind:?} {url} {mime:?} {name:?}");
    }
}

#[test]
fn a_file_has_no_blank_parameters() {
    let Content::Attachment(mut file) = attachment(AttachmentKind::Image, "https://f.example/a b.jpg", None, None)
    else {
        unreachable!()
    };
    let bare = &wording().calls(&Content::Attachment(file.clone()))[0];
    assert_eq!(bare.method(), "sendfile");
    assert_eq!(bare.parameters(), [("type", "image"), ("fileurl", "https://f.example/a%20b.jpg")]);
    file.description = Some(label("Foto"));
    let told = &wording().calls(&Content::Attachment(file))[0];
    assert_eq!(told.parameters()[2..], [("message", "Foto")]);
}

#[test]
fn a_place_is_its_address_its_coordinates_and_a_link() {
    let place =
        |address: Option<&str>| Content::Location(Location::new(40.4168, -3.70379, address.map(label)).unwrap());
    let link = "https://www.google.com/maps/search/?api=1&query=40.4168,-3.70379";
    assert_eq!(
        texts(&wording(), &place(Some("Puerta del Sol"))),
        [format!("Puerta del Sol\n40.4168,-3.70379\n{link}")]
    );
    assert_eq!(texts(&wording(), &place(None)), [format!("40.4168,-3.70379\n{link}")]);
    let with = |template: &str| Formatter { location_text: template.into(), ..wording() };
    for (template, address, expected) in [
        ("At: {address}", None, "40.4168,-3.70379"),
        ("", Some("Sol"), "40.4168,-3.70379"),
        ("{address} ({latitude})", None, "(40.4168)"),
        ("{address}\n{longitude}", Some("{latitude} {x} {"), "{latitude} {x} {\n-3.70379"),
        ("{x} {latitude}{", None, "{x} 40.4168{"),
    ] {
        assert_eq!(texts(&with(template), &place(address)), [expected], "{template}");
    }
}

#[test]
fn coordinates_are_plain_numbers() {
    let just = Formatter { location_text: "{latitude} {longitude}".into(), ..wording() };
    for (latitude, longitude, expected) in [
        (0.0, -0.0, "0 0"),
        (0.000_000_01, -0.000_000_01, "0 0"),
        (-90.0, 180.0, "-90 180"),
        (1e-7, 100.0, "0.0000001 100"),
        (40.416_775_412_3, -3.703_790_199_9, "40.4167754 -3.7037902"),
        (10.5, 20.25, "10.5 20.25"),
    ] {
        let place = Content::Location(Location::new(latitude, longitude, None).unwrap());
        assert_eq!(texts(&just, &place), [expected]);
    }
}

#[test]
fn a_question_lists_its_replies() {
    let replies = vec![label("Monday"), label("Tuesday at 10")];
    let question = Content::QuickReply(QuickReply::new(label("Which day?"), replies).unwrap());
    assert_eq!(texts(&wording(), &question), ["Which day?\n1. Monday\n2. Tuesday at 10\nReply with the number"]);
    let spanish = Formatter { language: Language::Es, ..wording() };
    assert!(texts(&spanish, &question)[0].ends_with("\n2. Tuesday at 10\nResponda con el número"));
    let replies = vec![label("Monday"), label("Tuesday at 10")];
    let pending = crate::domain::PendingQuestion { m_id: "q1".parse().unwrap(), replies, asked_ms: 0 };
    assert!(
        pending.shown_in(&texts(&wording(), &question)[0]),
        "an answer is told from what stands before its question"
    );
    let plain = Formatter { number_quick_replies: false, ..wording() };
    assert_eq!(texts(&plain, &question), ["Which day?\nMonday\nTuesday at 10"]);
}

#[test]
fn long_questions_and_places_are_split_too() {
    let replies = (0..10).map(|n| label(&format!("{n} {}", "x".repeat(250)))).collect();
    let question = Content::QuickReply(QuickReply::new(label("Which?"), replies).unwrap());
    let short = Formatter { text_limit: 600, ..wording() };
    let parts = texts(&short, &question);
    assert!(parts.len() > 4 && parts.iter().all(|part| part.chars().count() <= 600));
    assert!(parts.iter().skip(1).all(|part| part.starts_with(|c: char| c.is_ascii_digit())), "{parts:?}");
    let place = Content::Location(Location::new(1.0, 2.0, Some(label(&"y".repeat(256)))).unwrap());
    assert!(texts(&Formatter { text_limit: 100, ..wording() }, &place).len() > 2);
}

#[test]
fn every_content_is_at_least_one_part() {
    let channel = config::Channel { text_limit: 1, ..channel("http://127.0.0.1:9/api/http/", config::Transport::Post) };
    let client = client_of(&channel);
    assert_eq!(client.parts(&text(" a b "), None), 2);
    assert_eq!(client.words(&text(" a b "), 1, None).as_deref(), Some("b"));
    assert_eq!(client.words(&text(" a b "), 2, None), None);
    assert_eq!(client.parts(&attachment(AttachmentKind::Image, "https://f.example/a", None, None), None), 1);
    assert_eq!(client.words(&attachment(AttachmentKind::Image, "https://f.example/a", None, None), 0, None), None);
}

#[test]
fn parts_follow_the_settings_that_are_stored_with_the_message() {
    let client = |text_limit, anna| {
        let channel = channel("http://127.0.0.1:9/api/http/", config::Transport::Post);
        client_of(&config::Channel { text_limit, anna, ..channel })
    };
    let long = text(&format!("{} {{{{anna.chat_url}}}} {}", "Una frase. ".repeat(80), "Otra frase. ".repeat(90)));
    let all = |client: &AfilnetClient, wording: &Wording| {
        let parts = 0..client.parts(&long, Some(wording));
        parts.map(|part| client.words(&long, part, Some(wording)).unwrap()).collect::<Vec<_>>()
    };
    let (filling, plain) = (client(1000, true), client(1500, false));
    let [by_filling, by_plain] = [&filling, &plain].map(|client| client.wordings().of_others);
    assert_ne!(all(&filling, &by_filling), all(&plain, &by_plain));
    assert_eq!(all(&filling, &by_filling), all(&plain, &by_filling));
    assert_eq!(all(&plain, &by_plain), all(&filling, &by_plain));
    // What was cut without room for a link is sent as it was written.
    let filled_in = |wording| (0..9).filter_map(|part| filling.template(&long, part, Some(wording))).count();
    assert_eq!((filled_in(&by_filling), filled_in(&by_plain)), (1, 0));
}
