//! A message's past read back line by line, in both languages: what is counted in a line is counted at the ledger too.

use std::time::{Duration, Instant};

use bridge::crashpoint::{AFTER_CALL, BEFORE_CALL};
use serde_json::Value;

use crate::journey::{Told, acquaint, told_in};
use crate::support::{House, PLATFORM_ID, SOON, contact, side_by_side, until};

/// A line in English and in Spanish; `*` stands for anything.
type Line = (&'static str, &'static str);

const HANDED_OVER: Line = (
    "BonyChat handed it over: text for +********* in channel support (request *). Stored. BonyChat read the response.",
    "BonyChat lo entregó: text para +********* en el canal support (petición *). Guardado. BonyChat leyó la respuesta.",
);
const HANDED_OVER_UNREAD: Line = (
    "BonyChat handed it over: text for +********* in channel support (request *). Stored. *",
    "BonyChat lo entregó: text para +********* en el canal support (petición *). Guardado. *",
);
const CONNECTION_BROKE: Line = (
    "Attempt 1: the connection to Afilnet broke before its answer, after *. It may have been sent, so its conversation \
     waits until it is looked up.",
    "Intento 1: la conexión con Afilnet se cortó antes de su respuesta, tras *. Quizá se envió, así que su conversación \
     espera hasta que se compruebe.",
);
const INTERRUPTED: Line = (
    "Attempt 1: the process ended, or lost its channel, in the middle of the call*. It may have been sent, so its \
     conversation waits until it is looked up.",
    "Intento 1: el proceso terminó, o perdió su canal, en mitad de la llamada*. Quizá se envió, así que su conversación \
     espera hasta que se compruebe.",
);
const SHOWN: Line = ("Afilnet shows it in the conversation.", "Afilnet lo muestra en la conversación.");
const FOUND: Line = (
    "Found: a row of its conversation shows it. Sent, and not sent again.",
    "Encontrado: una fila de su conversación lo muestra. Enviado, y no se envía otra vez.",
);
const SENT_SECOND: Line = (
    "Sent: Afilnet took it in attempt 2, * after that began.",
    "Enviado: Afilnet lo aceptó en el intento 2, * después de su comienzo.",
);
const PROVED: [Line; 3] = [
    (
        "Look 1 of *: Afilnet showed * rows. Of the business since the attempt: *Not there: proof 1 of 2; only the last look \
         decides.",
        "Comprobación 1 de *: Afilnet mostró * filas. De la empresa desde el intento: *No está: prueba 1 de 2; solo decide la \
         última comprobación.",
    ),
    (
        "Look 2 of *: Afilnet showed * rows. Of the business since the attempt: *Not there: proof 2 of 2; only the last look \
         decides.",
        "Comprobación 2 de *: Afilnet mostró * filas. De la empresa desde el intento: *No está: prueba 2 de 2; solo decide la \
         última comprobación.",
    ),
    (
        "Look 3 of *: Afilnet showed * rows. *Certainly not sent, as the looks have proved.",
        "Comprobación 3 de *: Afilnet mostró * filas. *No se envió, seguro, como han probado las comprobaciones.",
    ),
];

/// On each engine.
async fn houses() -> impl Iterator<Item = House> {
    [Some(House::new().on_a_file()), House::shared(1).await].into_iter().flatten()
}

/// Returns whether `text` is as `pattern` says.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || pattern.ends_with('*')
}

/// How a pause of the channel by a fault is told.
const PAUSED: Line =
    ("It waited: its channel was paused by itself, ", "Esperó: su canal estuvo en pausa por sí mismo, ");

/// How a wait behind other messages is told, which only a slow machine has.
const TURN: Line = ("Its turn came after ", "Le llegó el turno después de ");

/// Waits until both languages tell exactly these lines, in this order, and the verdict begins with that. Pauses by a fault, which
/// are looked for once a second, and waits for a turn may be among them.
async fn reads(house: &House, m_id: &str, verdict: Line, lines: &[Line]) -> Told {
    let language = |language, which: fn(&Line) -> &'static str| {
        let mut told = told_in(house, m_id, language);
        told.lines.retain(|line| ![PAUSED, TURN].iter().any(|told| line[25..].starts_with(which(told))));
        let same = told.verdict.starts_with(which(&verdict))
            && told.lines.len() == lines.len()
            && told.lines.iter().zip(lines).all(|(line, expected)| is_like(&line[25..], which(expected)));
        (told, same)
    };
    let deadline = Instant::now() + SOON;
    loop {
        let ((english, first), (spanish, second)) = (language("en", |line| line.0), language("es", |line| line.1));
        if first && second {
            println!(
                "{}\n{}\n{}\n{}",
                english.verdict,
                english.lines.join("\n"),
                spanish.verdict,
                spanish.lines.join("\n")
            );
            return english;
        }
        assert!(
            Instant::now() < deadline,
            "{}\n{:#?}\n{}\n{:#?}\nis not\n{lines:#?}",
            english.verdict,
            english.lines,
            spanish.verdict,
            spanish.lines
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The number behind `what` in each look.
fn counts(told: &Told, what: &str) -> Vec<usize> {
    let looks = told.lines.iter().filter(|line| line[25..].starts_with("Look "));
    let behind = |line: &String| {
        let rest = line.split_once(what).unwrap_or_else(|| panic!("no {what} in {line}")).1.trim_start();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap()].parse().unwrap()
    };
    looks.map(behind).collect()
}

/// The rows of a conversation in the ledger of Afilnet.
fn ledger(house: &House, who: &str) -> Vec<Value> {
    let world = house.afilnet.dump();
    let channels = world["channels"].as_array().unwrap();
    let channel = channels.iter().find(|channel| channel["platformid"] == PLATFORM_ID).unwrap();
    channel["chats"][&who[1..]].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_shows_late_is_read_back_line_by_line() {
    side_by_side(houses().await, |mut house| async move {
        let bridge = house.start().await;
        let who = contact(1);
        acquaint(&house, &bridge, &who).await;
        house.settled().await;
        house.afilnet.set_switch("sent_row_visible_after", "12s").unwrap();
        assert_eq!(house.agent(&bridge, &who, "sent, shows late").await.status, 200);
        house.afilnet.fault("sendmessage:reset_stored").unwrap();
        let m_id = house.agent(&bridge, &who, "in doubt").await.m_id.unwrap();
        until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
        until("its row shows", || house.messages("sent").contains(&m_id)).await;
        let told = reads(
            &house,
            &m_id,
            (
                "Yes, as far as Afilnet tells: it took it, and shows it in the conversation since ",
                "Sí, según Afilnet: lo aceptó, y lo muestra en la conversación desde las ",
            ),
            &[
                HANDED_OVER,
                CONNECTION_BROKE,
                (
                    "Look 1 of *: Afilnet showed * rows. *That proves nothing; it is looked up again.",
                    "Comprobación 1 de *: Afilnet mostró * filas. *Eso no prueba nada; se vuelve a comprobar.",
                ),
                (
                    "Look 2 of *: Afilnet showed * rows. *That proves nothing; it is looked up again.",
                    "Comprobación 2 de *: Afilnet mostró * filas. *Eso no prueba nada; se vuelve a comprobar.",
                ),
                (
                    "Look 3 of *: Afilnet showed * rows. *The looks are over, and nobody can tell.",
                    "Comprobación 3 de *: Afilnet mostró * filas. *No quedan comprobaciones, y no se puede saber.",
                ),
                ("Status for the agent stored: failed.", "Estado para el agente guardado: fallido."),
                ("BonyChat took the status.", "BonyChat aceptó el estado."),
                SHOWN,
                FOUND,
            ],
        )
        .await;
        let rows = ledger(&house, &who);
        let of_customer = rows.iter().filter(|row| row["outgoing"] == false).count();
        assert_eq!(counts(&told, "Afilnet showed"), [of_customer; 3], "rows of the business do not show for so long");
        assert_eq!(counts(&told, "Messages that Afilnet certainly took before and does not show:"), [1; 3]);
        assert_eq!(counts(&told, "Of the business since the attempt:"), [0; 3]);
        assert_eq!(rows.len(), of_customer + 3);
        assert_eq!(house.afilnet.texts(&who[1..]), ["before", "sent, shows late", "in doubt"]);
        drop(bridge);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_is_proven_by_as_many_rows_as_the_ledger_has_others_rows_among_them() {
    side_by_side(houses().await, |mut house| async move {
        let bridge = house.start().await;
        let who = contact(1);
        acquaint(&house, &bridge, &who).await;
        house.settled().await;
        // Nothing reads the conversation until people have written into it from Afilnet's panel.
        house.afilnet.fault("getmessages:http_500:1-1000000").unwrap();
        house.afilnet.fault("sendmessage:reset").unwrap();
        let m_id = house.agent(&bridge, &who, "in doubt").await.m_id.unwrap();
        until("a look has failed", || told_in(&house, &m_id, "en").with(&["Looked for it, and "]) == 1).await;
        for n in 0..3 {
            house.afilnet.operator_says(PLATFORM_ID, &who[1..], &format!("from the panel, {n}")).unwrap();
        }
        house.customer(&who, "thanks");
        let rows = ledger(&house, &who).len();
        house.afilnet.clear_faults();
        assert!(house.afilnet.until(SOON, |world| world.texts(&who[1..]) == ["before", "in doubt"]).await);
        let told = reads(
            &house,
            &m_id,
            (
                "Yes, as far as Afilnet tells: it took it, and shows it in the conversation since ",
                "Sí, según Afilnet: lo aceptó, y lo muestra en la conversación desde las ",
            ),
            &[
                HANDED_OVER,
                CONNECTION_BROKE,
                (
                    "Looked for it, and the conversation could not be read: Afilnet answered with an error (HTTP 500). *",
                    "Se buscó, y la conversación no se pudo leer: Afilnet respondió con un error (HTTP 500). *",
                ),
                PROVED[0],
                PROVED[1],
                PROVED[2],
                SENT_SECOND,
                SHOWN,
            ],
        )
        .await;
        assert_eq!(counts(&told, "Afilnet showed"), [rows; 3]);
        assert_eq!(counts(&told, "Of the business since the attempt:"), [3; 3]);
        let (others, unexplained) = (counts(&told, "somebody else's:"), counts(&told, "unexplained:"));
        assert!(others.iter().zip(&unexplained).all(|(others, unexplained)| others + unexplained == 3));
        assert_eq!(counts(&told, "certainly the bridge's own:"), [0; 3]);
        drop(bridge);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_mid_send_is_read_back_line_by_line() {
    for (when, lines) in [
        (AFTER_CALL, vec![HANDED_OVER_UNREAD, INTERRUPTED, SHOWN, FOUND]),
        (BEFORE_CALL, [&[HANDED_OVER_UNREAD, INTERRUPTED][..], &PROVED, &[SENT_SECOND, SHOWN]].concat()),
    ] {
        side_by_side(houses().await.map(|house| (house, lines.clone())), move |(house, lines)| async move {
            let mut house = house.set("OUTBOUND__ANSWER_WITHIN", "0s");
            let bridge = house.start().await;
            let who = contact(1);
            acquaint(&house, &bridge, &who).await;
            house.settled().await;
            bridge.kill();
            let point = format!("sendmessage, {when}");
            let mut bridge = house.start_with(&[("BRIDGE_CRASHPOINT", &point)]).await;
            let m_id = house.agent(&bridge, &who, "under way").await.m_id.unwrap();
            assert_eq!(bridge.ended().await.code(), None, "as kill -9 ends it");
            // What was sent is found by the first read; what was not is proven to be absent by looks alone.
            let looks = if when == AFTER_CALL { "40s, 41s, 42s" } else { "200ms, 300ms, 500ms" };
            let mut house = house.set("OUTBOUND__LOOK_AFTER", looks);
            let bridge = house.start().await;
            let told = reads(
                &house,
                &m_id,
                (
                    "Yes, as far as Afilnet tells: it took it, and shows it in the conversation since ",
                    "Sí, según Afilnet: lo aceptó, y lo muestra en la conversación desde las ",
                ),
                &lines,
            )
            .await;
            let rows = ledger(&house, &who);
            if when == BEFORE_CALL {
                assert_eq!(counts(&told, "Afilnet showed"), [rows.len() - 1; 3], "all but its own, which came after");
            }
            assert_eq!(house.afilnet.texts(&who[1..]), ["before", "under way"], "{when}: once");
            drop(bridge);
            house.check();
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_in_mid_send_is_read_back_line_by_line() {
    let Some(house) = House::shared(1).await else { return };
    let house = house.set("OUTBOUND__ANSWER_WITHIN", "0s").set("AFILNET__TIMEOUT", "50s");
    let owner = house.start_another(0).await;
    let who = contact(1);
    acquaint(&house, &owner, &who).await;
    house.settled().await;
    let other = house.start_another(0).await;
    house.afilnet.fault("sendmessage:hang").unwrap();
    let m_id = house.agent(&other, &who, "under way").await.m_id.unwrap();
    let calls = || house.afilnet.calls("sendmessage");
    until("it is being sent", || calls() == 2).await;
    owner.kill();
    let rows = ledger(&house, &who).len();
    let told = reads(
        &house,
        &m_id,
        (
            "Yes, as far as Afilnet tells: it took it, and shows it in the conversation since ",
            "Sí, según Afilnet: lo aceptó, y lo muestra en la conversación desde las ",
        ),
        &[&[HANDED_OVER, INTERRUPTED][..], &PROVED, &[SENT_SECOND, SHOWN]].concat(),
    )
    .await;
    assert_eq!(counts(&told, "Afilnet showed"), [rows; 3]);
    assert_eq!(house.afilnet.texts(&who[1..]), ["before", "under way"]);
    assert_eq!(calls(), 3);
    drop(other);
    house.check();
}

/// All that is stored happened so much earlier.
async fn earlier(house: &House, by_ms: i64) {
    let tables = [
        ("outbound", &["due_ms", "accepted_ms", "since_ms", "began_ms", "done_ms"][..]),
        ("conversations", &["outbound_due_ms", "event_due_ms"]),
        ("steps", &["at_ms", "until_ms"]),
        ("channel_pauses", &["since_ms", "ended_ms"]),
    ];
    let shift = tables.map(|(table, columns)| {
        let columns: Vec<String> = columns.iter().map(|column| format!("{column} = {column} - {by_ms}")).collect();
        format!("UPDATE {table} SET {};", columns.join(", "))
    });
    let url = house.setting("STORE__URL").to_owned();
    if let Some(file) = url.strip_prefix("sqlite:") {
        return rusqlite::Connection::open(file).unwrap().execute_batch(&shift.concat()).unwrap();
    }
    let mut link = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(shift.concat())).execute(&mut link).await.unwrap();
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_a_day_is_three_lines_at_most_of_dozens_of_attempts() {
    side_by_side(houses().await, |house| async move {
        let mut house =
            house.set("OUTBOUND__ANSWER_WITHIN", "0s").set("RETRY__MAX", "50ms").set("RETRY__GIVE_UP_AFTER", "72h");
        let mut bridge = house.start().await;
        let who = contact(1);
        acquaint(&house, &bridge, &who).await;
        // At first nothing listens. While the account is paused for that, reads find out when it is over.
        house.afilnet.down();
        let m_id = house.agent(&bridge, &who, "during the outage").await.m_id.unwrap();
        let times = |house: &House, cause: &str| -> usize {
            let told = told_in(house, &m_id, "en");
            let line = told.lines.iter().find(|line| line.contains(cause)).cloned().unwrap_or_default();
            let again = line.split_once("The same ").and_then(|(_, rest)| rest.split_once(" times"));
            again.map_or(usize::from(!line.is_empty()), |(times, _)| times.parse().unwrap())
        };
        until("it was tried", || times(&house, "could not be reached") > 0).await;
        // Then sends are turned away: each that is tried finds out whether they still are.
        house.afilnet.fault("sendmessage:http_429:1-1000000").unwrap();
        house.afilnet.up().unwrap();
        until("it was tried again and again", || times(&house, "asked to slow down") >= 12).await;
        bridge.signal("TERM");
        assert!(bridge.ended().await.success());
        drop(bridge);
        // A day passes.
        earlier(&house, DAY_MS).await;
        let before = times(&house, "asked to slow down");
        let bridge = house.start().await;
        until("it is tried again", || times(&house, "asked to slow down") > before).await;
        house.afilnet.clear_faults();
        assert!(house.afilnet.until(SOON, |world| world.texts(&who[1..]) == ["before", "during the outage"]).await);
        let told = reads(
            &house,
            &m_id,
            (
                "Yes, as far as Afilnet tells: it took it, and shows it in the conversation since ",
                "Sí, según Afilnet: lo aceptó, y lo muestra en la conversación desde las ",
            ),
            &[
                HANDED_OVER_UNREAD,
                (
                    "Attempt *: Afilnet could not be reached*. Certainly not sent; it is kept and tried again.*",
                    "Intento *: no se pudo conectar con Afilnet*. No se envió, seguro; se conserva y se vuelve a intentar.*",
                ),
                (
                    "Attempt *: Afilnet asked to slow down*. Certainly not sent; it is kept and tried again. The same * \
                     times, the last at *.*",
                    "Intento *: Afilnet pidió ir más despacio*. No se envió, seguro; se conserva y se vuelve a intentar. \
                     Lo mismo * veces, la última a las *.*",
                ),
                ("Sent: Afilnet took it in attempt *.", "Enviado: Afilnet lo aceptó en el intento *."),
                SHOWN,
            ],
        )
        .await;
        let waited = told_in(&house, &m_id, "en").with(&[PAUSED.0, "Afilnet asked to slow down."]);
        assert!(waited > 0, "the pause that it waited for is not told");
        let failed = told.lines.iter().filter(|line| line[25..].starts_with("Attempt ")).count();
        assert!(failed <= 3, "{:#?}", told.lines);
        // The ledger counts the calls that reached Afilnet: those turned away, the one before and the one that went.
        let calls = usize::try_from(house.afilnet.calls("sendmessage")).unwrap();
        let turned_away = times(&house, "asked to slow down");
        assert_eq!(turned_away, calls - 2);
        assert_ne!(told.lines[1][..10], told.lines[3][..10], "a day apart: {:#?}", told.lines);
        drop(bridge);
        house.check();
    })
    .await;
}
