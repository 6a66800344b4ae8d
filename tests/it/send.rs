//! `bridge send`: an operator writes through a running bridge.

use std::process::Output;

use crate::support::{House, contact, until};

/// Exit code, stdout and stderr.
fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_sends_is_sent_once_in_order_and_comes_back_as_no_echo() {
    let mut house = House::new().set("SERVER__PATH_PREFIX", "/bridge");
    let bridge = house.start().await;
    house.customer(&contact(1), "is anybody there?");
    let listen = bridge.url().trim_start_matches("http://").to_owned();
    let send = |arguments: &[&str]| {
        let arguments = [&["send"], arguments].concat();
        said(&house.command(&arguments).env("BRIDGE__SERVER__LISTEN", &listen).output().unwrap())
    };
    let (code, m_id, talk) = send(&[&contact(1), "yes, here"]);
    assert!(code == Some(0) && talk.contains(&format!("bridge messages show {}", m_id.trim())), "{talk}");
    let (code, ..) = send(&["--channel", "support", "--file", "https://files.test/menu.pdf", &contact(1), "the menu"]);
    assert_eq!(code, Some(0));
    until("both are sent", || house.messages("sent").len() == 2).await;
    assert!(house.messages("sent").contains(&m_id.trim().to_owned()));
    let calls = house.afilnet.sent(&contact(1)[1..]);
    let seen: Vec<_> = calls.iter().map(|call| (call.message.as_str(), call.fileurl.as_deref())).collect();
    assert_eq!(seen, [("yes, here", None), ("the menu", Some("https://files.test/menu.pdf"))]);
    // The customer's next message comes after the rows of both were read.
    house.customer(&contact(1), "thank you");
    let heard = ["is anybody there?", "thank you"];
    let world = &house.bonychat;
    until("the customer is heard", || world.texts(&contact(1)) == heard).await;
    assert!(world.events(&contact(1)).iter().all(|event| event.kind == "message"), "no echo of it");

    // As for BonyChat's calls: the same again is another message, once the first response was received.
    assert_eq!(send(&[&contact(1), "yes, here"]).0, Some(0));
    until("it is sent", || house.messages("sent").len() == 3).await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sent_says_so_and_what_to_do() {
    let mut house = House::with_channels(2);
    let two = [("CHANNEL_ID", "channel2"), ("API_TOKEN", "token-of-channel-2"), ("PLATFORM_ID", "101")];
    for (key, value) in two.into_iter().chain([("ID_TYPE", "phone"), ("PLATFORM", "whatsapp")]) {
        house = house.set(&format!("CHANNELS__C2__{key}"), value);
    }
    let (code, _, talk) = said(&house.run(&["send", &contact(1), "hello"]));
    assert!(code == Some(2) && talk.contains("--channel: `c2`, `support`"), "{talk}");
    let (code, _, talk) = said(&house.run(&["send", "--channel", "sales", &contact(1), "hello"]));
    assert!(code == Some(2) && talk.contains("channel `sales` is not configured"), "{talk}");
    assert_eq!(house.run(&["send", "--channel", "c2", &contact(1)]).status.code(), Some(2), "nothing to say");

    let bridge = house.start().await;
    let listen = bridge.url().trim_start_matches("http://").to_owned();
    let send = |token: &str, arguments: &[&str]| {
        let arguments = [&["send", "--channel", "support"], arguments].concat();
        let mut command = house.command(&arguments);
        command.env("BRIDGE__SERVER__LISTEN", &listen).env("BRIDGE__CHANNELS__SUPPORT__API_TOKEN", token);
        said(&command.output().unwrap())
    };
    let token = "token-of-channel-1";
    let (code, out, talk) = send(token, &["nobody", "hello"]);
    assert!(code == Some(1) && out.is_empty() && talk.contains("contactId: must be a phone number"), "{talk}");
    house.afilnet.fault("sendfile:INCORRECT_FILEURL").unwrap();
    let (code, _, talk) = send(token, &["--file", "https://files.test/gone.pdf", &contact(1)]);
    assert!(code == Some(1) && talk.contains("The customer did not get this message"), "{talk}");
    let (code, _, talk) = send("another-token", &[&contact(1), "hello"]);
    assert!(code == Some(1) && talk.contains("does not know the token") && talk.contains("nothing was sent"), "{talk}");
    drop(bridge);
    let (code, _, talk) = send(token, &[&contact(1), "hello"]);
    assert!(code == Some(1) && talk.contains("no bridge answers") && talk.contains("nothing was sent"), "{talk}");
    assert_eq!(house.afilnet.sent_count(), 0);
    house.check();
}
