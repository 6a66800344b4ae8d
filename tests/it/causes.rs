//! "The customer got nothing": what an operator types, `find` and `journey`, names the cause.

use std::time::Instant;

use bridge::sim::afilnet::RowStatus;

use crate::journey::{acquaint, told_in};
use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, contact, side_by_side, until};

/// What the verdict says, in one language.
type Words = &'static [&'static str];

/// One cause, and what the verdict says of it, in English and in Spanish.
struct Cause {
    name: &'static str,
    english: Words,
    spanish: Words,
}

/// Each is brought about by [`bring_about`].
const CAUSES: &[Cause] = &[
    Cause {
        name: "unconfirmed",
        english: &["Nobody can tell: looking could not decide."],
        spanish: &["No se puede saber: las comprobaciones no lo han decidido."],
    },
    Cause {
        name: "sendmessage:MISSING_COMPULSORY_PARAM",
        english: &["No: Afilnet misses a part of the message (MISSING_COMPULSORY_PARAM)."],
        spanish: &["No: Afilnet echa en falta una parte del mensaje (MISSING_COMPULSORY_PARAM)."],
    },
    Cause {
        name: "sendmessage:CHAT_NOT_FOUND",
        english: &["No: Afilnet has no open conversation with this customer"],
        spanish: &["No: Afilnet no tiene una conversación abierta con este cliente"],
    },
    Cause {
        name: "sendfile:INCORRECT_FILEURL",
        english: &["No: Afilnet could not fetch the file"],
        spanish: &["No: Afilnet no pudo descargar el archivo"],
    },
    Cause {
        name: "sendfile:INCORRECT_FILETYPE",
        english: &["No: Afilnet does not take this kind of file"],
        spanish: &["No: Afilnet no admite este tipo de archivo"],
    },
    Cause {
        name: "sendmessage:http_413",
        english: &["No: it is too long for Afilnet"],
        spanish: &["No: es demasiado largo para Afilnet"],
    },
    Cause {
        name: "failed later",
        english: &["No, or not whole: Afilnet took it, and reported at ", " that it failed."],
        spanish: &["No, o no entero: Afilnet lo aceptó, y a las ", " indicó que había fallado."],
    },
    Cause { name: "discarded", english: &["No: a person discarded it."], spanish: &["No: una persona lo descartó."] },
    Cause {
        name: "behind another",
        english: &[
            "Not yet: ",
            "Before it in its conversation: 1, the first of them ",
            "which may have been sent and is being",
        ],
        spanish: &[
            "Todavía no: ",
            "Delante en su conversación: 1, el primero ",
            "que quizá se envió y se está comprobando",
        ],
    },
    Cause {
        name: "paused by a person",
        english: &["Not yet: ", "Sending is paused by ana since ", ": migration."],
        spanish: &["Todavía no: ", "Los envíos están en pausa por orden de ana desde las ", ": migration."],
    },
    Cause {
        name: "sendmessage:http_503:1-1000000",
        english: &["Afilnet answered with an error (HTTP 503)"],
        spanish: &["Afilnet respondió con un error (HTTP 503)"],
    },
    Cause {
        name: "sendmessage:NO_CREDITS:1-1000000",
        english: &["Not yet: ", "he account at Afilnet has no credit"],
        spanish: &["Todavía no: ", "a cuenta de Afilnet no tiene saldo"],
    },
    Cause {
        name: "sendmessage:INCORRECT_USER_PASSWORD:1-1000000",
        english: &["Not yet: ", "Afilnet does not accept the credentials"],
        spanish: &["Todavía no: ", "Afilnet no acepta las credenciales"],
    },
    Cause {
        name: "out of reach",
        english: &["Not yet: ", "Afilnet could not be reached"],
        spanish: &["Todavía no: ", "o se pudo conectar con Afilnet"],
    },
];

/// The customer `who` does not get what was written to them.
async fn bring_about(cause: &str, house: &House, bridge: &Bridge, who: &str) {
    let write = async |text: &str| {
        let outcome = house.agent(bridge, who, text).await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
        outcome.m_id.unwrap()
    };
    match cause {
        "unconfirmed" => {
            house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
            house.afilnet.fault("sendmessage:reset").unwrap();
            let m_id = write("lost").await;
            until("nobody can tell", || house.messages("unconfirmed") == [m_id.clone()]).await;
            house.afilnet.set_switch("sent_row_visible_after", "0s").unwrap();
        }
        "failed later" => {
            let m_id = write("taken").await;
            until("it is sent", || house.messages("sent").contains(&m_id)).await;
            house.afilnet.set_status(PLATFORM_ID, &who[1..], RowStatus::Failed);
        }
        "discarded" => {
            house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
            let m_id = write("refused").await;
            until("it failed", || house.messages("failed").contains(&m_id)).await;
            assert!(house.run(&["messages", "discard", &m_id]).status.success());
        }
        "behind another" => {
            house.afilnet.fault("getmessages:http_500:1-1000000").unwrap();
            house.afilnet.fault("sendmessage:reset_stored").unwrap();
            let head = write("in doubt").await;
            until("it is in doubt", || house.messages("unknown") == [head.clone()]).await;
            write("behind it").await;
        }
        "paused by a person" => {
            let pause = ["channels", "pause", "support", "out", "--why", "migration"];
            assert!(house.run(&pause).status.success());
            write("waits").await;
        }
        "out of reach" => {
            house.afilnet.down();
            write("waits").await;
        }
        fault if fault.starts_with("sendfile") => {
            house.afilnet.fault(fault).unwrap();
            let link = "https://files.test/label.jpg";
            let sent = house.bonychat.attachment(&bridge.url(), CHANNEL, who, "image", link).await;
            assert_eq!(sent.status, 200, "{}", sent.body);
        }
        fault => {
            house.afilnet.fault(fault).unwrap();
            write("refused").await;
        }
    }
}

/// Two commands: the number that the customer names, then the newest message to them.
fn find_and_explain(house: &House, who: &str, language: &str) -> String {
    let output = house.run(&["messages", "find", who]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = String::from_utf8(output.stdout).unwrap();
    let to_customer = found.lines().find(|line| line.split('\t').nth(3) == Some("out"));
    let m_id = to_customer.unwrap_or_else(|| panic!("nothing to {who} in {found}")).split('\t').next().unwrap();
    told_in(house, m_id, language).verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_fourteen_causes_of_a_customer_who_got_nothing_is_named_by_two_commands_in_both_languages() {
    let houses =
        [Some(("SQLite", House::new().on_a_file())), House::shared(1).await.map(|house| ("PostgreSQL", house))];
    side_by_side(houses.into_iter().flatten(), |(engine, house)| async move {
        let house = house.set("OUTBOUND__ANSWER_WITHIN", "0s").set("INBOUND__STATUS_MAP__4", "failed");
        let mut house = house.set_plain("SUDO_USER", "ana");
        let bridge = house.start().await;
        for (n, Cause { name, english, spanish }) in CAUSES.iter().enumerate() {
            let who = contact(n);
            if n == 1 {
                // From here on Afilnet is known to show what is sent.
                acquaint(&house, &bridge, &contact(900)).await;
            }
            bring_about(name, &house, &bridge, &who).await;
            for (language, words) in [("en", english), ("es", spanish)] {
                let (mut said, deadline) = (String::new(), Instant::now() + SOON);
                while said.is_empty() || !words.iter().all(|words| said.contains(words)) {
                    assert!(Instant::now() < deadline, "{engine}: {name} is not named in {language}: {said}");
                    said = find_and_explain(&house, &who, language);
                }
                println!("{engine}: {name}: {said}");
            }
            // Whatever lasted ends, so that the next one stands alone.
            house.afilnet.clear_faults();
            match *name {
                "paused by a person" => assert!(house.run(&["channels", "resume", "support", "out"]).status.success()),
                "out of reach" => house.afilnet.up().unwrap(),
                _ => {}
            }
            house.settled().await;
            until("its sends go on", || {
                let (_, text) = crate::support::metrics::get(&bridge.admin_url(), "/metrics", None);
                !text.lines().any(|line| line.starts_with("bridge_paused{") && !line.ends_with(" 0"))
            })
            .await;
        }
        // What waited has arrived, once; what failed has not.
        let arrived = |n: usize| house.afilnet.sent(&contact(n)[1..]).len();
        let sent: Vec<usize> = (0..CAUSES.len()).map(arrived).collect();
        assert_eq!(sent, [0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 1, 1, 1, 1]);
        assert!(house.bonychat.until(SOON, |world| world.event_count() >= 8).await, "their agents are told");
        drop(bridge);
        house.check();
    })
    .await;
}
