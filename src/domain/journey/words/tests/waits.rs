//! What a message waited for, what waited for it, and when it is looked for next.

use super::*;
use crate::domain::journey::{KeptWaiting, PastPause, PauseCause, Wait};

#[test]
fn a_long_wait_names_its_causes_and_a_doubt_what_waited_for_it() {
    let hour = 3_600_000;
    let person = PauseCause::Person { who: "ana".into(), why: "migration".into() };
    let fault = PauseCause::Fault { fault: "NO_CREDITS".into() };
    let pause = |since_ms, ended_ms, cause| PastPause { since_ms: ACCEPTED_MS + since_ms, ended_ms, cause };
    let pauses = vec![
        pause(-60_000, Some(ACCEPTED_MS + hour), person.clone()),
        pause(hour, Some(ACCEPTED_MS + hour + 90_000), fault.clone()),
    ];
    let until_ms = ACCEPTED_MS + 2 * hour;
    let wait = Wait { since_ms: ACCEPTED_MS, until_ms, ahead: 3, pauses };
    let sent = MessageJourney {
        began_ms: until_ms,
        done_ms: Some(until_ms + 80),
        wait: Some(wait.clone()),
        ..message(MessageState::Sent)
    };
    let of = |message| journey(Some(message), Vec::new());
    for (language, expected) in [
        (
            En,
            [
                "2026-11-14 20:14:03.112  It waited: ana had paused what is sent in its channel, from 20:13:03 to 21:14:03: migration.",
                "2026-11-14 21:14:03.112  It waited: its channel was paused by itself, from 21:14:03 to 21:15:33: the account at Afilnet \
                 has no credit (NO_CREDITS).",
                "2026-11-14 22:14:03.112  Its turn came after 2 h. Messages before it in its conversation that went first: 3.",
            ],
        ),
        (
            Es,
            [
                "2026-11-14 20:14:03.112  Esperó: ana había puesto en pausa los envíos de su canal, de 20:13:03 a 21:14:03: migration.",
                "2026-11-14 21:14:03.112  Esperó: su canal estuvo en pausa por sí mismo, de 21:14:03 a 21:15:33: la cuenta de Afilnet no \
                 tiene saldo (NO_CREDITS).",
                "2026-11-14 22:14:03.112  Le llegó el turno después de 2 h. Mensajes anteriores de su conversación que salieron \
                 primero: 3.",
            ],
        ),
    ] {
        assert_eq!(told(&of(sent.clone()), language).lines[1..4], expected);
    }
    let lasting = Wait { pauses: vec![pause(0, None, fault)], ..wait };
    let queued = MessageJourney { wait: Some(lasting), attempt: 0, began_ms: 0, ..message(MessageState::Queued) };
    let lines = told(&of(queued), En).lines;
    assert!(lines.len() == 2 && lines[1].contains("paused by itself, since 20:14:03: "), "{lines:?}");
    let doubted = MessageJourney {
        kept_waiting: Some(KeptWaiting { count: 3, longest_ms: 81_000 }),
        ..message(MessageState::Sent)
    };
    for (language, words) in [
        (En, "The conversation went on; messages that had waited for it: 3, the first of them for 81 s."),
        (Es, "La conversación continuó; mensajes que esperaban por él: 3, el primero desde hacía 81 s."),
    ] {
        let lines = told(&of(doubted.clone()), language).lines;
        assert!(lines.last().unwrap().ends_with(words), "{lines:?}");
    }
    let look = LookupStep { number: 1, ..LookupStep::default() };
    let looked = MessageJourney {
        look_ms: Some(ACCEPTED_MS + 30_000),
        steps: vec![past(15, Step::Lookup(look))],
        ..message(MessageState::Unknown)
    };
    let lines = told(&of(looked.clone()), En).lines;
    assert!(lines.last().unwrap().ends_with(" The next look is at 20:14:33."), "{lines:?}");
    let later = MessageJourney { steps: vec![past(15, Step::Lookup(LookupStep { number: 4, ..look }))], ..looked };
    assert!(told(&of(later), Es).lines.last().unwrap().contains("Comprobación 4: "));
}

#[test]
fn what_waits_names_what_it_waits_for() {
    let waits = message(MessageState::Queued);
    let of = |message| journey(Some(message), Vec::new());
    begins(&of(waits.clone()), "Not yet: the customer does not have it.", "Todavía no: el cliente no lo tiene.");
    let no_credit = MessageJourney { fault: Some("NO_CREDITS".into()), ..waits.clone() };
    for (language, words) in [(En, "Add credit to the Afilnet account"), (Es, "Recargue el saldo")] {
        let own = told(&of(no_credit.clone()), language).verdict;
        assert!(own.contains(words) && own.contains("(NO_CREDITS)"), "{own}");
        let channel_fault = Some(ChannelFault { at_ms: ACCEPTED_MS - 5_000, fault: "NO_CREDITS".into(), lasts: false });
        let others = told(&of(MessageJourney { channel_fault, ..waits.clone() }), language).verdict;
        assert!(others.contains(words) && others.contains("20:13:58"), "{others}");
        let head = MessageState::Held;
        let behind = Some(Behind { count: 3, head: "beef".into(), state: head, fault: Some("timed_out".into()) });
        let behind = told(&of(MessageJourney { behind, ..waits.clone() }), language).verdict;
        assert!(behind.contains("`bridge messages journey beef`") && behind.contains(": 3, "), "{behind}");
    }
    let due_ms = ACCEPTED_MS + 400_000;
    let later = MessageJourney { fault: Some("unreachable".into()), due_ms, ..waits.clone() };
    let later = told(&of(later), En).verdict;
    assert!(later.contains("It is tried again at 20:20:43."), "{later}");
    let parts = MessageJourney { part: 2, ..waits.clone() };
    begins(&of(parts), "In part: 2 part(s) of it were sent", "En parte: se han enviado 2 parte(s)");
    let doubted = MessageJourney { unknown_ms: Some(ACCEPTED_MS), ..waits.clone() };
    begins(&of(doubted.clone()), "Nobody can tell", "No se puede saber");
    let look = Step::Lookup(LookupStep { conclusion: LookupConclusion::NotSent, ..LookupStep::default() });
    let absent = MessageJourney { steps: vec![past(5, look)], ..doubted };
    begins(&of(absent), "Not yet: the customer does not have it.", "Todavía no: el cliente no lo tiene.");
}
