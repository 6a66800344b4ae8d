//! Each kind of step, each state and each kind of event, in both languages.

mod in_doubt;
mod waits;

use jiff::tz::TimeZone;

use super::*;
use crate::domain::Language::{self, En, Es};
use crate::domain::StatusValue;
use crate::domain::journey::{
    Action, AttemptOutcome, Behind, ChannelFault, EventJourney, EventKind, EventState, LookupConclusion, LookupStep,
    Means, MessageJourney, MessageState, Operator, PastStep, PostOutcome, ResponseReceipt, Step,
};
use crate::domain::operator_pause::{OperatorPause, PauseKind};

/// 2026-11-14 20:14:03.112 UTC.
const ACCEPTED_MS: i64 = 1_794_687_243_112;
const M_ID: &str = "0123456789abcdef0123456789abcdef";

fn message(state: MessageState) -> MessageJourney {
    MessageJourney {
        kind: "text".into(),
        state,
        part: 0,
        attempt: 1,
        accepted_ms: ACCEPTED_MS,
        began_ms: ACCEPTED_MS + 8,
        done_ms: matches!(state, MessageState::Sent | MessageState::Failed | MessageState::Unconfirmed)
            .then_some(ACCEPTED_MS + 90_000),
        due_ms: ACCEPTED_MS,
        unknown_ms: None,
        look_ms: None,
        fault: None,
        request_id: "7f3c".into(),
        answer: ResponseReceipt::Read,
        has_text: true,
        shown_ms: None,
        behind: None,
        channel_fault: None,
        pause: None,
        wait: None,
        kept_waiting: None,
        steps: Vec::new(),
    }
}

fn event(kind: EventKind, state: EventState) -> EventJourney {
    EventJourney {
        kind,
        state,
        recorded_ms: ACCEPTED_MS,
        due_ms: ACCEPTED_MS + 60_000,
        done_ms: (state != EventState::Queued).then_some(ACCEPTED_MS + 700),
        attempt: 1,
        fault: None,
        has_text: true,
        pause: None,
        steps: Vec::new(),
    }
}

fn past(seconds: i64, step: Step) -> PastStep {
    let at_ms = ACCEPTED_MS + seconds * 1000;
    PastStep { at_ms, until_ms: at_ms, times: 1, step: Some(step), excerpt: None }
}

fn attempt(attempt: u32, outcome: AttemptOutcome, fault: &str) -> Step {
    Step::Attempt { attempt, part: 0, outcome, fault: fault.into(), took_ms: Some(10_000), http: None }
}

fn journey(message: Option<MessageJourney>, events: Vec<EventJourney>) -> Journey {
    Journey { m_id: M_ID.into(), channel: "support".into(), contact: "+********222".into(), message, events }
}

fn told_at(seconds: i64, journey: &Journey, language: Language) -> JourneyText {
    tell(
        &Words {
            language,
            zone: &TimeZone::UTC,
            now_ms: ACCEPTED_MS + seconds * 1000,
            means: Means::Cli,
            may_act: true,
            looks: 3,
        },
        journey,
    )
}

fn told(journey: &Journey, language: Language) -> JourneyText {
    told_at(100, journey, language)
}

/// Checks the beginning of the verdict in each language, and that no placeholder is left in any text.
#[track_caller]
fn begins(journey: &Journey, english: &str, spanish: &str) {
    for (language, begins) in [(En, english), (Es, spanish)] {
        let told = told(journey, language);
        assert!(told.verdict.starts_with(begins), "{told:#?}");
        for text in told.lines.iter().chain([&told.verdict]) {
            assert!(
                !text.contains(['{', '}']) && !text.contains("  ") | text.starts_with("2026-") && text.ends_with('.'),
                "{text}"
            );
        }
    }
}

/// Checks the line of one step in each language, without its time.
#[track_caller]
fn line(step: Step, english: &str, spanish: &str) {
    let message = MessageJourney { steps: vec![past(10, step)], ..message(MessageState::Sending) };
    let journey = journey(Some(message), Vec::new());
    for (language, expected) in [(En, english), (Es, spanish)] {
        let told = told(&journey, language);
        assert_eq!(told.lines.len(), 2, "{told:#?}");
        assert_eq!(told.lines[1].strip_prefix("2026-11-14 20:14:13.112  "), Some(expected), "{told:#?}");
    }
}

#[test]
fn what_a_person_has_paused_says_who_since_when_and_why() {
    let pause = |kind| {
        let (channel, who, why) = ("support".into(), "ana".into(), "migration".into());
        Some(OperatorPause { channel, kind, since_ms: ACCEPTED_MS - 60_000, who, why })
    };
    let waits = MessageJourney { pause: pause(PauseKind::Out), ..message(MessageState::Queued) };
    begins(
        &journey(Some(waits.clone()), Vec::new()),
        "Not yet: the customer does not have it. It waits. Sending is paused by ana since 20:13:03: migration. Nothing is lost; \
         it goes out after `bridge channels resume support out`, unless `outbound.stale_after` ends it before.",
        "Todavía no: el cliente no lo tiene. Espera. Los envíos están en pausa por orden de ana desde las 20:13:03: migration. \
         No se pierde nada; sale después de `bridge channels resume support out`, si `outbound.stale_after` no lo termina antes.",
    );
    let behind = Behind { count: 1, head: "ab".into(), state: MessageState::Unknown, fault: None };
    let told = told(&journey(Some(MessageJourney { behind: Some(behind), ..waits }), Vec::new()), En);
    assert!(told.verdict.contains("paused by ana") && told.verdict.contains("journey ab"), "{told:#?}");
    let event = EventJourney { pause: pause(PauseKind::In), ..event(EventKind::Message, EventState::Queued) };
    begins(
        &journey(None, vec![event]),
        "Not yet: BonyChat does not have it. Posting is paused by ana since 20:13:03: migration. Nothing is lost; it is posted \
         after `bridge channels resume support in`.",
        "Todavía no: BonyChat no lo tiene. La publicación está en pausa por orden de ana desde las 20:13:03: migration. No se \
         pierde nada; se envía después de `bridge channels resume support in`.",
    );
}

#[test]
fn an_attempt_has_words() {
    line(
        attempt(1, AttemptOutcome::Unknown, "timed_out"),
        "Attempt 1: Afilnet gave no answer in time, after 10 s. It may have been sent, so its conversation waits until it is \
         looked up.",
        "Intento 1: Afilnet no respondió a tiempo, tras 10 s. Quizá se envió, así que su conversación espera hasta que se \
         compruebe.",
    );
    line(
        Step::Attempt {
            attempt: 3,
            part: 1,
            outcome: AttemptOutcome::NotSent,
            fault: "NO_CREDITS".into(),
            took_ms: Some(40),
            http: Some(200),
        },
        "Attempt 3 at part 2: the account at Afilnet has no credit (NO_CREDITS), after 40 ms. Certainly not sent; it is kept \
         and tried again.",
        "Intento 3 de la parte 2: la cuenta de Afilnet no tiene saldo (NO_CREDITS), tras 40 ms. No se envió, seguro; se \
         conserva y se vuelve a intentar.",
    );
    line(
        Step::Attempt {
            attempt: 1,
            part: 0,
            outcome: AttemptOutcome::Failed,
            fault: "INCORRECT_FILEURL".into(),
            took_ms: None,
            http: None,
        },
        "Attempt 1: Afilnet could not fetch the file (INCORRECT_FILEURL). Certainly not sent, and given up.",
        "Intento 1: Afilnet no pudo descargar el archivo (INCORRECT_FILEURL). No se envió, seguro, y se dio por perdido.",
    );
}

#[test]
fn a_part_has_words() {
    line(
        Step::Part { part: 0, parts: 3, took_ms: 120 },
        "Part 1 of 3 sent: Afilnet took it in 120 ms.",
        "Parte 1 de 3 enviada: Afilnet la aceptó en 120 ms.",
    );
}

#[test]
fn a_look_has_its_evidence_in_words() {
    let look =
        LookupStep { number: 1, rows: 37, reaches_back: true, since: 1, others: 1, proofs: 1, ..LookupStep::default() };
    line(
        Step::Lookup(look),
        "Look 1 of 3: Afilnet showed 37 rows. Of the business since the attempt: 1; certainly the bridge's own: 0, somebody else's: \
         1, unexplained: 0. Not there: proof 1 of 2; only the last look decides.",
        "Comprobación 1 de 3: Afilnet mostró 37 filas. De la empresa desde el intento: 1; seguro que del puente: 0, de otros: 1, sin \
         explicar: 0. No está: prueba 1 de 2; solo decide la última comprobación.",
    );
    let (found, not_sent) = (LookupConclusion::Found, LookupConclusion::NotSent);
    for (look, english, spanish) in [
        (LookupStep { conclusion: found, ours: 1, ..look }, "Found: it was sent", "Encontrado: se envió"),
        (
            LookupStep { conclusion: not_sent, ..look },
            "as the looks have proved.",
            "como han probado las comprobaciones.",
        ),
        (LookupStep { conclusion: LookupConclusion::Unresolved, ..look }, "nobody can tell.", "no se puede saber."),
        (LookupStep { proofs: 0, unexplained: 2, ..look }, "That proves nothing", "Eso no prueba nada"),
        (LookupStep { reaches_back: false, ..look }, "do not reach back", "No llegan hasta antes"),
        (LookupStep { missing: 4, ..look }, "does not show: 4.", "no muestra: 4."),
        (
            LookupStep { before_hidden: true, ..look },
            "sent before does not show either",
            "enviado antes tampoco se muestra",
        ),
        (LookupStep { place_unknown: true, ..look }, "another spelling", "otra forma del número"),
        (LookupStep { doubtful: true, ..look }, "in other words", "con otras palabras"),
    ] {
        let message = MessageJourney { steps: vec![past(10, Step::Lookup(look))], ..message(MessageState::Unknown) };
        let journey = journey(Some(message), Vec::new());
        for (language, words) in [(En, english), (Es, spanish)] {
            let told = told(&journey, language);
            assert!(told.lines[1].contains(words), "{told:#?}");
        }
    }
}

#[test]
fn a_look_that_could_not_be_made_has_words() {
    line(
        Step::LookupFailed { fault: "http_503".into() },
        "Looked for it, and the conversation could not be read: Afilnet answered with an error (HTTP 503). That proves nothing.",
        "Se buscó, y la conversación no se pudo leer: Afilnet respondió con un error (HTTP 503). Eso no prueba nada.",
    );
}

#[test]
fn a_post_has_words() {
    let post =
        |outcome| Step::Post { attempt: 2, outcome, fault: "http_422".into(), took_ms: Some(30), http: Some(422) };
    for (outcome, english, spanish) in [
        (
            PostOutcome::Again,
            "Attempt 2: BonyChat refused it (HTTP 422), after 30 ms. It is kept and posted again.",
            "Intento 2: BonyChat lo rechazó (HTTP 422), tras 30 ms. Se conserva y se vuelve a enviar.",
        ),
        (
            PostOutcome::Dead,
            "Attempt 2: BonyChat refused it (HTTP 422), after 30 ms. It is given up, and the conversation goes on.",
            "Intento 2: BonyChat lo rechazó (HTTP 422), tras 30 ms. Se da por perdido, y la conversación continúa.",
        ),
    ] {
        line(post(outcome), english, spanish);
    }
}

#[test]
fn a_repeat_has_words() {
    line(
        Step::Repeat,
        "BonyChat made the same call again and got the same mId; it is sent once.",
        "BonyChat repitió la llamada y recibió el mismo mId; se envía una sola vez.",
    );
}

#[test]
fn a_decision_of_a_person_has_words() {
    let ana = |action, why| Operator::new("ana", Means::Cli, why).decided(action);
    for (action, english, spanish) in [
        (Action::SettledDelivered, "settled it as delivered", "decidió que se entregó"),
        (Action::SettledFailed, "settled it as failed", "decidió que no se entregó"),
        (Action::SentAgain, "had it sent again", "hizo que se enviara otra vez"),
        (Action::Noted, "noted it and left it as it is", "lo anotó y lo dejó como está"),
        (Action::Retried, "had it tried again", "hizo que se intentara otra vez"),
        (Action::Discarded, "discarded it; its text is erased", "lo descartó; su texto está borrado"),
    ] {
        line(ana(action, None), &format!("ana (cli) {english}."), &format!("ana (cli) {spanish}."));
    }
    let why = Some("she\u{1b}[2J called");
    line(
        ana(Action::SettledDelivered, why),
        "ana (cli) settled it as delivered: she [2J called.",
        "ana (cli) decidió que se entregó: she [2J called.",
    );
}

#[test]
fn what_a_later_version_recorded_has_words() {
    let unread = PastStep { step: None, ..past(10, Step::Repeat) };
    let journey = journey(Some(MessageJourney { steps: vec![unread], ..message(MessageState::Sending) }), Vec::new());
    assert!(told(&journey, En).lines[1].contains("this one cannot read"));
    assert!(told(&journey, Es).lines[1].contains("esta no puede leer"));
}

#[test]
fn what_repeated_itself_is_one_line_with_its_excerpt_and_rounds_count_apart() {
    let mut outage = past(1, attempt(288, AttemptOutcome::NotSent, "unreachable"));
    (outage.times, outage.until_ms) = (288, ACCEPTED_MS + 86_400_000);
    outage.excerpt = Some("502 Bad {side} Gateway".into());
    let retried = past(90_000, Operator::new("ana", Means::Cli, None).decided(Action::Retried));
    let again = past(90_001, attempt(1, AttemptOutcome::NotSent, "unreachable"));
    let steps = vec![outage, retried, again];
    let journey = journey(Some(MessageJourney { steps, ..message(MessageState::Queued) }), Vec::new());
    let english = told_at(90_002, &journey, En);
    assert_eq!(
        english.lines[1],
        "2026-11-14 20:14:04.112  Attempt 288: Afilnet could not be reached, after 10 s. Certainly not sent; it is kept and \
         tried again. The same 288 times, the last at 20:14:03. The response of Afilnet began: 502 Bad {side} Gateway"
    );
    assert!(english.lines[3].contains("Round 2, attempt 1: "), "{english:#?}");
    let spanish = told_at(90_002, &journey, Es);
    assert!(spanish.lines[1].contains("Lo mismo 288 veces") && spanish.lines[3].contains("Ronda 2, intento 1: "));
}

#[test]
fn a_message_that_went_well_is_told_in_three_lines() {
    let shown_ms = Some(ACCEPTED_MS + 72_000);
    let message = MessageJourney { shown_ms, done_ms: Some(ACCEPTED_MS + 120), ..message(MessageState::Sent) };
    let told = told(&journey(Some(message), Vec::new()), En);
    assert_eq!(
        told.verdict,
        "Yes, as far as Afilnet tells: it took it, and shows it in the conversation since 20:15:15. There is nothing to do."
    );
    assert_eq!(
        told.lines,
        [
            "2026-11-14 20:14:03.112  BonyChat handed it over: text for +********222 in channel support (request 7f3c). \
             Stored. BonyChat read the response.",
            "2026-11-14 20:14:03.232  Sent: Afilnet took it in attempt 1, 112 ms after that began.",
            "2026-11-14 20:15:15.112  Afilnet shows it in the conversation.",
        ]
    );
}

#[test]
fn a_page_names_its_buttons_and_no_command() {
    let states = [MessageState::Held, MessageState::Unconfirmed, MessageState::Unknown, MessageState::Failed];
    for (state, language) in states.into_iter().flat_map(|state| [(state, En), (state, Es)]) {
        let of = journey(Some(message(state)), Vec::new());
        let words =
            Words { language, zone: &TimeZone::UTC, now_ms: ACCEPTED_MS, means: Means::Page, may_act: true, looks: 3 };
        let verdict = tell(&words, &of).verdict;
        assert!(verdict.contains(words.say("a button below", "un botón de abajo")), "{verdict}");
        assert!(!verdict.contains("bridge ") && !verdict.contains("--as") && !verdict.contains('{'), "{verdict}");
        let reading = tell(&Words { may_act: false, ..words }, &of).verdict;
        assert!(reading.contains(words.say("somebody who may act", "alguien que pueda actuar")), "{reading}");
        assert!(!reading.contains(words.say("a button", "un botón")), "{reading}");
    }
}

#[test]
fn what_is_in_doubt_says_who_decides_and_when() {
    let of = |message| journey(Some(message), Vec::new());
    begins(
        &of(message(MessageState::Sending)),
        "Nobody can tell yet: it is being sent",
        "Todavía no se sabe: se está enviando",
    );
    let unknown = MessageJourney { look_ms: Some(ACCEPTED_MS + 115_000), ..message(MessageState::Unknown) };
    begins(&of(unknown.clone()), "Nobody can tell yet", "Todavía no se sabe");
    assert!(told(&of(unknown.clone()), En).verdict.contains("The next look is at 20:15:58."));
    assert!(told_at(200, &of(unknown), En).verdict.contains("It is looked up now."));
    for state in [MessageState::Held, MessageState::Unconfirmed] {
        begins(
            &of(message(state)),
            "Nobody can tell: looking could not decide",
            "No se puede saber: las comprobaciones",
        );
        for language in [En, Es] {
            let verdict = told(&of(message(state)), language).verdict;
            assert!(verdict.contains(&format!("`bridge messages settle {M_ID} --as ")), "{verdict}");
            assert!(verdict.contains("`--as noted`"), "{verdict}");
        }
    }
}

#[test]
fn what_was_noted_says_by_whom_until_it_is_tried_again() {
    let of = |message| journey(Some(message), Vec::new());
    let noted = past(95, Operator::new("ana", Means::Cli, None).decided(Action::Noted));
    let lost = past(10, attempt(1, AttemptOutcome::Unknown, "timed_out"));
    let steps = vec![lost.clone(), noted, past(97, Step::Repeat)];
    let unconfirmed = MessageJourney { steps: steps.clone(), ..message(MessageState::Unconfirmed) };
    begins(
        &of(unconfirmed.clone()),
        "Nobody can tell: it may have been delivered; noted by ana at 20:15:38, and left so.",
        "No se puede saber: quizá se entregó; ana lo anotó a las 20:15:38 y lo dejó así.",
    );
    let again = MessageJourney {
        steps: [steps.clone(), vec![past(99, attempt(1, AttemptOutcome::Unknown, "timed_out"))]].concat(),
        ..unconfirmed
    };
    begins(&of(again), "Nobody can tell: looking could not decide", "No se puede saber: las comprobaciones");
    let found = MessageJourney { steps, ..message(MessageState::Sent) };
    assert!(told(&of(found), En).lines.iter().any(|line| line.contains("Found: a row of its conversation shows it.")));
}

#[test]
fn what_was_sent_says_how_that_is_known() {
    let sent = message(MessageState::Sent);
    let of = |message| journey(Some(message), Vec::new());
    begins(
        &of(sent.clone()),
        "Yes, as far as Afilnet tells: it took it at 20:15:33.",
        "Sí, según Afilnet: lo aceptó a las 20:15:33.",
    );
    let by_hand = MessageJourney { fault: Some("settled_by_hand".into()), ..sent.clone() };
    begins(&of(by_hand), "Yes, as a person decided", "Sí, como decidió una persona");
    for (value, english, spanish) in [
        (StatusValue::Delivered, "Yes: it was delivered", "Sí: se entregó"),
        (StatusValue::Read, "Yes: the customer has read it", "Sí: el cliente lo ha leído"),
        (StatusValue::Failed, "No, or not whole: Afilnet took it, and reported", "No, o no entero: Afilnet lo aceptó"),
    ] {
        let status = EventJourney {
            recorded_ms: ACCEPTED_MS + 95_000,
            due_ms: ACCEPTED_MS + 95_000,
            ..event(EventKind::Status(Some(value)), EventState::Done)
        };
        begins(&journey(Some(sent.clone()), vec![status]), english, spanish);
    }
    let notice = event(EventKind::Status(Some(StatusValue::Failed)), EventState::Done);
    begins(&journey(Some(sent.clone()), vec![notice]), "Yes, as far as Afilnet tells", "Sí, según Afilnet");
    let lost = past(10, attempt(1, AttemptOutcome::Unknown, "timed_out"));
    let found = MessageJourney { steps: vec![lost.clone()], ..sent.clone() };
    assert!(told(&of(found), En).lines.iter().any(|line| line.contains("Found: a row of its conversation shows it.")));
    let look = past(20, Step::Lookup(LookupStep { conclusion: LookupConclusion::NotSent, ..LookupStep::default() }));
    let again = MessageJourney { steps: vec![lost, look], attempt: 2, ..sent };
    assert!(told(&of(again), En).lines.iter().any(|line| line.contains("Sent: Afilnet took it in attempt 2")));
}

#[test]
fn what_failed_says_why_who_knows_it_and_what_to_do() {
    let of = |message| journey(Some(message), Vec::new());
    let refused = MessageJourney { fault: Some("INCORRECT_FILEURL".into()), ..message(MessageState::Failed) };
    begins(
        &of(refused.clone()),
        "No: Afilnet could not fetch the file (INCORRECT_FILEURL). BonyChat was told in the response",
        "No: Afilnet no pudo descargar el archivo (INCORRECT_FILEURL). BonyChat lo supo",
    );
    let retry = format!("`bridge messages retry {M_ID}`");
    assert!(told(&of(refused.clone()), En).verdict.ends_with(&format!("{retry} sends it again.")));
    let wiped = MessageJourney { has_text: false, ..refused.clone() };
    assert!(told(&of(wiped), En).verdict.ends_with("it must be written anew."));
    let notice = |state| vec![event(EventKind::Status(Some(StatusValue::Failed)), state)];
    for (state, words) in [
        (EventState::Done, "Its agent was told at 20:14:03."),
        (EventState::Queued, "Its agent is told as soon as"),
        (EventState::Dead, "Its agent was not told"),
    ] {
        let verdict = told(&journey(Some(refused.clone()), notice(state)), En).verdict;
        assert!(verdict.contains(words), "{verdict}");
    }
    let half = MessageJourney { part: 1, ..refused.clone() };
    begins(&of(half), "Not whole: 1 part(s) were sent", "No entero: se enviaron 1 parte(s)");
    let doubted = MessageJourney { unknown_ms: Some(1), ..refused.clone() };
    begins(&of(doubted), "Nobody can tell: an earlier attempt", "No se puede saber: un intento anterior");
    let discarded = MessageJourney { fault: Some("discarded".into()), has_text: false, ..refused };
    begins(&of(discarded), "No: a person discarded it.", "No: una persona lo descartó.");
}

#[test]
fn an_event_says_whether_bonychat_has_it() {
    let of = |event| journey(None, vec![event]);
    let wrote = |state| event(EventKind::Message, state);
    begins(
        &of(wrote(EventState::Done)),
        "Yes: BonyChat took it at 20:14:03.",
        "Sí: BonyChat lo aceptó a las 20:14:03.",
    );
    begins(
        &of(wrote(EventState::Queued)),
        "Not yet: BonyChat does not have it. It waits",
        "Todavía no: BonyChat no lo tiene. Espera",
    );
    let failing = EventJourney { fault: Some("http_503".into()), ..wrote(EventState::Queued) };
    begins(
        &of(failing),
        "Not yet: BonyChat does not have it, since BonyChat answered",
        "Todavía no: BonyChat no lo tiene, porque",
    );
    let token = EventJourney { fault: Some("http_401".into()), ..wrote(EventState::Queued) };
    assert!(told(&of(token), En).verdict.contains("Copy `api_token` anew"));
    let dead = EventJourney { fault: Some("http_422".into()), ..wrote(EventState::Dead) };
    begins(
        &of(dead.clone()),
        "No: BonyChat does not have it, and it was given up",
        "No: BonyChat no lo tiene, y se dio por perdido",
    );
    assert!(told(&of(dead), En).verdict.ends_with(&format!("`bridge messages retry {M_ID}` posts it again.")));
    let lines = told(&of(event(EventKind::Echo, EventState::Done)), En).lines;
    assert!(lines[0].contains("written to +********222 outside BonyChat") && lines[1].ends_with("BonyChat took it."));
    let lines = told(&of(event(EventKind::Status(None), EventState::Done)), Es).lines;
    assert!(lines[1].ends_with("BonyChat aceptó el estado."), "{lines:?}");
}

#[test]
fn only_the_last_look_proves_that_it_did_not_arrive() {
    let look = |conclusion| Step::Lookup(LookupStep { conclusion, ..LookupStep::default() });
    let (absent, unresolved) = (look(LookupConclusion::NotSent), look(LookupConclusion::Unresolved));
    let unknown = attempt(1, AttemptOutcome::Unknown, "timed_out");
    let busy = attempt(3, AttemptOutcome::NotSent, "busy");
    let decided = |action| Operator::new("ana", Means::Cli, None).decided(action);
    let (again, retried) = (decided(Action::SentAgain), decided(Action::Retried));
    let proven = [unknown.clone(), absent.clone()];
    for (after, arrived) in [
        (vec![], false),
        (vec![busy.clone()], false),
        (vec![retried.clone(), busy.clone()], false),
        (vec![unknown.clone()], true),
        (vec![unknown.clone(), again.clone()], true),
        (vec![unknown.clone(), again.clone(), busy.clone()], true),
        (vec![again.clone(), busy.clone()], true),
        (vec![unknown.clone(), unresolved, retried, busy.clone()], true),
        (vec![unknown.clone(), absent.clone(), busy.clone()], false),
    ] {
        let steps = (0..).zip(proven.iter().cloned().chain(after)).map(|(at, step)| past(at, step)).collect();
        let queued =
            MessageJourney { steps, unknown_ms: Some(ACCEPTED_MS), attempt: 3, ..message(MessageState::Queued) };
        let failed =
            MessageJourney { state: MessageState::Failed, fault: Some("INCORRECT_FILEURL".into()), ..queued.clone() };
        let (queued, failed) = (journey(Some(queued), Vec::new()), journey(Some(failed), Vec::new()));
        if arrived {
            begins(&queued, "Nobody can tell: an earlier attempt", "No se puede saber: un intento anterior");
            begins(&failed, "Nobody can tell: an earlier attempt", "No se puede saber: un intento anterior");
        } else {
            begins(&queued, "Not yet: the customer does not have it.", "Todavía no: el cliente no lo tiene.");
            begins(&failed, "No: Afilnet could not fetch the file", "No: Afilnet no pudo descargar el archivo");
        }
    }
    // Of what came after the most steps that are kept, only the time of the last attempt in doubt is known.
    let steps = vec![past(0, unknown), past(1, absent)];
    let later = MessageJourney { steps, unknown_ms: Some(ACCEPTED_MS + 2_000), ..message(MessageState::Queued) };
    begins(&journey(Some(later), Vec::new()), "Nobody can tell", "No se puede saber");
    // An attempt that was found in doubt without a look.
    let never_looked = MessageJourney { steps: vec![past(1, again), past(2, busy)], ..message(MessageState::Queued) };
    begins(&journey(Some(never_looked), Vec::new()), "Nobody can tell", "No se puede saber");
}

#[test]
fn a_notice_that_was_posted_again_says_nothing_of_its_message() {
    let sent = message(MessageState::Sent); // 90 s after it was accepted
    let again = EventJourney {
        recorded_ms: ACCEPTED_MS + 200_000,
        due_ms: ACCEPTED_MS + 80_000,
        ..event(EventKind::Status(Some(StatusValue::Failed)), EventState::Queued)
    };
    let of = |notice: &EventJourney| journey(Some(sent.clone()), vec![notice.clone()]);
    begins(&of(&again), "Yes, as far as Afilnet tells", "Sí, según Afilnet");
    assert!(told(&of(&again), En).lines[1].starts_with("2026-11-14 20:15:23.112  Status for the agent stored"));
    let (outcome, fault) = (PostOutcome::Dead, "http_422".to_owned());
    let dead = Step::Post { attempt: 1, outcome, fault, took_ms: None, http: Some(422) };
    let fails_again = EventJourney { due_ms: ACCEPTED_MS + 210_000, steps: vec![past(81, dead)], ..again };
    begins(&of(&fails_again), "Yes, as far as Afilnet tells", "Sí, según Afilnet");
}

#[test]
fn what_failed_in_part_or_unread_says_so() {
    let failed = |fault: &str| MessageJourney { fault: Some(fault.into()), ..message(MessageState::Failed) };
    let of = |message| journey(Some(message), Vec::new());
    let by_hand = failed("settled_by_hand");
    begins(&of(by_hand.clone()), "No: a person decided it.", "No: una persona lo decidió.");
    begins(
        &of(MessageJourney { part: 2, ..by_hand }),
        "Not whole: 2 part(s) were sent, and then a person decided it.",
        "No entero: se enviaron 2 parte(s), y después una persona lo decidió.",
    );
    let unread = of(failed("unreadable_row"));
    begins(
        &unread,
        "No: its row in the store cannot be read. Nobody was told of it, neither BonyChat nor its agent.",
        "No: su fila en el almacén no se puede leer. No se avisó a nadie, ni a BonyChat ni a su agente.",
    );
    for language in [En, Es] {
        let verdict = told(&unread, language).verdict;
        assert!(!verdict.contains("messages retry"), "reading the row once more fails as well: {verdict}");
    }
}
