//! Whether it arrived, what happens next, and what to do about it.

use super::cause::FarSide;
use super::phrase::{Words, joined, sentence};
use crate::domain::journey::{
    Action, AttemptOutcome, Behind, ChannelFault, EventJourney, EventKind, EventState, Journey, LookupConclusion,
    MessageJourney, MessageState, Step,
};
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{Fault, Scope, StatusValue};

/// Fault of a message of which the row does not decode.
const UNREADABLE_ROW: &str = "unreadable_row";

/// Returns it in a few sentences.
pub(super) fn verdict(words: &Words<'_>, journey: &Journey) -> String {
    match &journey.message {
        Some(message) => of_message(words, journey, message),
        None => journey.events.iter().map(|event| of_event(words, &journey.m_id, event)).collect::<Vec<_>>().join("\n"),
    }
}

fn of_message(words: &Words<'_>, journey: &Journey, message: &MessageJourney) -> String {
    match message.state {
        MessageState::Queued => queued(words, message),
        MessageState::Sending => words.fill(
            "Nobody can tell yet: it is being sent since {began}. Its outcome is known within seconds; if its process ends \
             first, it is looked up. There is nothing to do.",
            "Todavía no se sabe: se está enviando desde las {began}. El resultado se conoce en segundos; si su proceso \
             termina antes, se comprueba. No hay nada que hacer.",
            &[("began", &words.time(message.began_ms))],
        ),
        MessageState::Unknown => unknown(words, &journey.m_id, message),
        MessageState::Held => words.fill(
            "Nobody can tell: looking could not decide, and its conversation waits for you. Ask the customer, or look at the \
             conversation in Afilnet; then say it with {settle}, or leave it so with {noted}: its conversation goes on then.",
            "No se puede saber: las comprobaciones no lo han decidido, y su conversación espera por usted. Pregunte al \
             cliente, o mire la conversación en Afilnet; después dígalo con {settle}, o déjelo así con {noted}: entonces su \
             conversación continúa.",
            &[("settle", &words.settle(&journey.m_id)), ("noted", &words.noted())],
        ),
        MessageState::Unconfirmed => unconfirmed(words, &journey.m_id, message),
        MessageState::Sent => sent(words, journey, message),
        MessageState::Failed => failed(words, journey, message),
    }
}

fn unconfirmed(words: &Words<'_>, m_id: &str, message: &MessageJourney) -> String {
    if let Some((who, at_ms)) = noted(message) {
        return words.fill(
            "Nobody can tell: it may have been delivered; noted by {who} at {at}, and left so. Its agent was told, and the \
             conversation went on. There is nothing to do; if you learn what became of it, say it with {settle}.",
            "No se puede saber: quizá se entregó; {who} lo anotó a las {at} y lo dejó así. Se avisó a su agente, y la \
             conversación continuó. No hay nada que hacer; si llega a saber qué fue de él, dígalo con {settle}.",
            &[("at", &words.time(at_ms)), ("settle", &words.settle(m_id)), ("who", who)],
        );
    }
    words.fill(
        "Nobody can tell: looking could not decide. Its agent was told that it may have arrived, and the conversation \
         went on. Ask the customer, or look at the conversation in Afilnet; then say it with {settle}, or leave it so with \
         {noted}.",
        "No se puede saber: las comprobaciones no lo han decidido. A su agente se le dijo que quizá había llegado, y la \
         conversación continuó. Pregunte al cliente, o mire la conversación en Afilnet; después dígalo con {settle}, o déjelo \
         así con {noted}.",
        &[("settle", &words.settle(m_id)), ("noted", &words.noted())],
    )
}

/// Returns who noted that nobody can tell what became of its last attempt, and when.
fn noted(message: &MessageJourney) -> Option<(&str, i64)> {
    let decisive = |step: &Step| matches!(step, Step::Decision { .. } | Step::Attempt { .. });
    let last = message.steps.iter().rev().find(|past| past.step.as_ref().is_some_and(decisive))?;
    match &last.step {
        Some(Step::Decision { who, action: Action::Noted, .. }) => Some((who, last.at_ms)),
        _ => None,
    }
}

fn queued(words: &Words<'_>, message: &MessageJourney) -> String {
    let got = if message.part > 0 {
        words.fill(
            "In part: {part} part(s) of it were sent, and the next one waits.",
            "En parte: se han enviado {part} parte(s), y la siguiente espera.",
            &[("part", &message.part.to_string())],
        )
    } else if !may_have_arrived(message) {
        words
            .say("Not yet: the customer does not have it. It waits.", "Todavía no: el cliente no lo tiene. Espera.")
            .to_owned()
    } else {
        words
            .say(
                "Nobody can tell: an earlier attempt may have sent it, and it is to be sent again.",
                "No se puede saber: un intento anterior pudo enviarlo, y se va a enviar otra vez.",
            )
            .to_owned()
    };
    joined([got.as_str(), &waits_for(words, message)])
}

/// What a queued message waits for, and what to do.
fn waits_for(words: &Words<'_>, message: &MessageJourney) -> String {
    let behind = message.behind.as_ref().map(|behind| waits_behind(words, behind));
    if let Some(pause) = &message.pause {
        return joined([paused(words, pause).as_str(), behind.as_deref().unwrap_or_default()]);
    }
    if let Some(stopped) = stopped(words, message) {
        return joined([stopped.as_str(), behind.as_deref().unwrap_or_default()]);
    }
    if let Some(behind) = behind {
        return behind;
    }
    let own = message.fault.as_deref().map(|fault| (fault, None));
    let of_channel = message.channel_fault.as_ref().map(|channel| (channel.fault.as_str(), Some(channel.at_ms)));
    let Some((fault, at_ms)) = own.or(of_channel) else {
        return words
            .say(
                "It goes out within seconds where a bridge serves its channel; if it does not, look whether one runs \
                 (`/readyz`) and what is paused (`bridge_paused`).",
                "Sale en segundos si un puente sirve su canal; si no, mire si hay uno en marcha (`/readyz`) y qué está en \
                 pausa (`bridge_paused`).",
            )
            .to_owned();
    };
    let cause = words.cause(fault, FarSide::Afilnet);
    let why = match at_ms {
        None => format!("{}.", sentence(&cause.what)),
        Some(at_ms) => words.fill(
            "The last attempt of its channel that failed was at {at}: {cause}.",
            "El último intento fallido de su canal fue a las {at}: {cause}.",
            &[("at", &words.time(at_ms)), ("cause", &cause.what)],
        ),
    };
    let next = if cause.stops {
        words
            .say(
                "What is to be sent is paused until a call succeeds; nothing is lost.",
                "Los envíos están en pausa hasta que una llamada funcione; no se pierde nada.",
            )
            .to_owned()
    } else if at_ms.is_none() && message.due_ms > words.now_ms {
        words.fill(
            "It is tried again at {due}.",
            "Se vuelve a intentar a las {due}.",
            &[("due", &words.time(message.due_ms))],
        )
    } else {
        words.say("It is tried again by itself.", "Se vuelve a intentar solo.").to_owned()
    };
    joined([why.as_str(), &next, cause.cure])
}

/// What has paused the channel, and what to do, where the message's own fault does not tell it.
fn stopped(words: &Words<'_>, message: &MessageJourney) -> Option<String> {
    let ChannelFault { at_ms, fault, .. } = message.channel_fault.as_ref().filter(|fault| fault.lasts)?;
    if message.behind.is_none() && message.fault.as_ref() == Some(fault) {
        return None;
    }
    let cause = words.cause(fault, FarSide::Afilnet);
    let values = [("at", &*words.time(*at_ms)), ("cause", &*cause.what)];
    let why = words.fill(
        "Its channel is paused since {at}: {cause}. It goes on once a call to Afilnet succeeds; nothing is lost.",
        "Su canal está en pausa desde las {at}: {cause}. Continúa cuando una llamada a Afilnet funcione; no se pierde nada.",
        &values,
    );
    Some(joined([why.as_str(), cause.cure]))
}

/// What a person has paused, and how it goes on.
fn paused(words: &Words<'_>, pause: &OperatorPause) -> String {
    let since = words.time(pause.since_ms);
    // A person's words last: they are not searched for names of values.
    let resume = words.resume(&pause.channel, pause.kind);
    let values = [("since", since.as_str()), ("resume", &resume), ("who", &pause.who), ("why", &pause.why)];
    match pause.kind {
        PauseKind::In => words.fill(
            "Posting is paused by {who} since {since}: {why}. Nothing is lost; it is posted after {resume}.",
            "La publicación está en pausa por orden de {who} desde las {since}: {why}. No se pierde nada; se envía después de \
             {resume}.",
            &values,
        ),
        PauseKind::Out | PauseKind::Drain => words.fill(
            "Sending is paused by {who} since {since}: {why}. Nothing is lost; it goes out after {resume}, \
             unless `outbound.stale_after` ends it before.",
            "Los envíos están en pausa por orden de {who} desde las {since}: {why}. No se pierde nada; sale después de \
             {resume}, si `outbound.stale_after` no lo termina antes.",
            &values,
        ),
    }
}

fn waits_behind(words: &Words<'_>, behind: &Behind) -> String {
    let state = match behind.state {
        MessageState::Unknown => {
            words.say("which may have been sent and is being looked up", "que quizá se envió y se está comprobando")
        }
        MessageState::Held => words.say("which a person must decide", "que tiene que decidir una persona"),
        MessageState::Sending => words.say("which is being sent", "que se está enviando"),
        MessageState::Queued | MessageState::Sent | MessageState::Failed | MessageState::Unconfirmed => {
            words.say("which waits itself", "que también espera")
        }
    };
    let why = behind.fault.as_deref().map(|fault| format!(": {}", words.cause(fault, FarSide::Afilnet).what));
    words.fill(
        "Before it in its conversation: {count}, the first of them `{head}`, {state}{why}. Messages of a conversation go out \
         in their order; see {journey}.",
        "Delante en su conversación: {count}, el primero `{head}`, {state}{why}. Los mensajes de una conversación salen en su \
         orden; vea {journey}.",
        &[
            ("journey", &words.journey(&behind.head)),
            ("count", &behind.count.to_string()),
            ("state", state),
            ("why", &why.unwrap_or_default()),
            ("head", &behind.head),
        ],
    )
}

/// Returns whether an attempt may have sent it, of a message of which no part is confirmed. What came last decides: a
/// look that proved its absence tells nothing of an attempt after it.
fn may_have_arrived(message: &MessageJourney) -> bool {
    for past in message.steps.iter().rev() {
        match &past.step {
            Some(Step::Lookup(look)) => {
                // Steps beyond the most that are kept are not there: the attempt in doubt may be later than the look.
                let covers_all = message.unknown_ms.is_none_or(|unknown_ms| unknown_ms <= past.until_ms);
                return look.conclusion != LookupConclusion::NotSent || !covers_all;
            }
            Some(
                Step::Attempt { outcome: AttemptOutcome::Unknown, .. }
                | Step::Decision { action: Action::SentAgain, .. },
            )
            | None => return true,
            Some(
                Step::Attempt { .. }
                | Step::Part { .. }
                | Step::LookupFailed { .. }
                | Step::Post { .. }
                | Step::Repeat
                | Step::Decision { .. },
            ) => {}
        }
    }
    message.unknown_ms.is_some()
}

fn unknown(words: &Words<'_>, m_id: &str, message: &MessageJourney) -> String {
    let cause = words.cause(message.fault.as_deref().unwrap_or("interrupted"), FarSide::Afilnet);
    let look = message.look_ms.unwrap_or(words.now_ms);
    // It is looked up by reads, which a pause of sends lets through.
    let holds_reads = |fault: &ChannelFault| Fault::from_code(&fault.fault).scope() != Scope::Sends;
    let next = if let Some(stopped) = stopped(words, message)
        && message.channel_fault.as_ref().is_some_and(holds_reads)
    {
        stopped
    } else if look > words.now_ms {
        words.fill("The next look is at {at}.", "La próxima comprobación es a las {at}.", &[("at", &words.time(look))])
    } else {
        words.say("It is looked up now.", "Se comprueba ahora.").to_owned()
    };
    let rest = words.fill(
        "There is nothing to do; if you know what became of it, say it with {settle}.",
        "No hay nada que hacer; si sabe qué fue de él, dígalo con {settle}.",
        &[("settle", &words.settle(m_id))],
    );
    let got = words.fill(
        "Nobody can tell yet: {cause}, so it may have been sent. Its conversation waits.",
        "Todavía no se sabe: {cause}, así que quizá se envió. Su conversación espera.",
        &[("cause", &cause.what)],
    );
    joined([got.as_str(), &next, &rest])
}

fn sent(words: &Words<'_>, journey: &Journey, message: &MessageJourney) -> String {
    let at = words.time(message.done_ms.unwrap_or(message.began_ms));
    // A failure that was told until then is the bridge's own notice, before it was found or decided.
    let is_own = |event: &EventJourney| message.done_ms.is_none_or(|done_ms| event.stored_ms() <= done_ms);
    let status = journey.events.iter().rev().find_map(|event| match event.kind {
        EventKind::Status(Some(StatusValue::Failed)) if is_own(event) => None,
        EventKind::Status(Some(value)) => Some((value, event.stored_ms())),
        EventKind::Status(None) | EventKind::Message | EventKind::Echo => None,
    });
    if let Some((value, status_ms)) = status {
        let values = [("at", words.time(status_ms))];
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        return match value {
            StatusValue::Read => words.fill(
                "Yes: the customer has read it, as Afilnet showed at {at}. There is nothing to do.",
                "Sí: el cliente lo ha leído, como mostró Afilnet a las {at}. No hay nada que hacer.",
                &values,
            ),
            StatusValue::Delivered => words.fill(
                "Yes: it was delivered to the customer, as Afilnet showed at {at}. There is nothing to do.",
                "Sí: se entregó al cliente, como mostró Afilnet a las {at}. No hay nada que hacer.",
                &values,
            ),
            StatusValue::Failed => words.fill(
                "No, or not whole: Afilnet took it, and reported at {at} that it failed. Its agent is told. Ask the customer \
                 what arrived before it is sent again.",
                "No, o no entero: Afilnet lo aceptó, y a las {at} indicó que había fallado. Se avisa a su agente. Pregunte al \
                 cliente qué le llegó antes de volver a enviarlo.",
                &values,
            ),
        };
    }
    if message.fault.as_deref() == Some("settled_by_hand") {
        return words.fill(
            "Yes, as a person decided at {at}. There is nothing to do.",
            "Sí, como decidió una persona a las {at}. No hay nada que hacer.",
            &[("at", &at)],
        );
    }
    match message.shown_ms {
        Some(shown_ms) => words.fill(
            "Yes, as far as Afilnet tells: it took it, and shows it in the conversation since {shown}. There is nothing to do.",
            "Sí, según Afilnet: lo aceptó, y lo muestra en la conversación desde las {shown}. No hay nada que hacer.",
            &[("shown", &words.time(shown_ms))],
        ),
        None => words.fill(
            "Yes, as far as Afilnet tells: it took it at {at}. No row of the conversation was matched with it so far. If the \
             customer has nothing, look at the conversation in Afilnet, and ask Afilnet about its delivery.",
            "Sí, según Afilnet: lo aceptó a las {at}. Por ahora ninguna fila de la conversación se ha asociado con él. Si el \
             cliente no tiene nada, mire la conversación en Afilnet, y pregunte a Afilnet por su entrega.",
            &[("at", &at)],
        ),
    }
}

fn failed(words: &Words<'_>, journey: &Journey, message: &MessageJourney) -> String {
    let fault = message.fault.as_deref().unwrap_or("interrupted");
    let cause = words.cause(fault, FarSide::Afilnet);
    let got = if message.part > 0 {
        words.fill(
            "Not whole: {part} part(s) were sent, and then {cause}.",
            "No entero: se enviaron {part} parte(s), y después {cause}.",
            &[("part", &message.part.to_string()), ("cause", &cause.what)],
        )
    } else if fault == "settled_by_hand" || !may_have_arrived(message) {
        words.fill("No: {cause}.", "No: {cause}.", &[("cause", &cause.what)])
    } else {
        words.fill(
            "Nobody can tell: an earlier attempt may have sent it, and then {cause}.",
            "No se puede saber: un intento anterior pudo enviarlo, y después {cause}.",
            &[("cause", &cause.what)],
        )
    };
    let told = match journey.events.iter().find(|event| matches!(event.kind, EventKind::Status(_))) {
        // Found after its call was answered, by the loop that begins what is due: no notice follows from it.
        _ if fault == UNREADABLE_ROW => words
            .say(
                "Nobody was told of it, neither BonyChat nor its agent.",
                "No se avisó a nadie, ni a BonyChat ni a su agente.",
            )
            .to_owned(),
        None if fault == "discarded" || fault == "settled_by_hand" => String::new(),
        None => words
            .say("BonyChat was told in the response to its call.", "BonyChat lo supo por la respuesta a su llamada.")
            .to_owned(),
        Some(notice) => match (notice.state, notice.done_ms) {
            (EventState::Done, Some(done_ms)) => words.fill(
                "Its agent was told at {at}.",
                "Su agente lo supo a las {at}.",
                &[("at", &words.time(done_ms))],
            ),
            (EventState::Queued, _) | (EventState::Done, None) => words
                .say(
                    "Its agent is told as soon as BonyChat takes it.",
                    "Su agente lo sabrá en cuanto BonyChat lo acepte.",
                )
                .to_owned(),
            (EventState::Dead, _) => words
                .say(
                    "Its agent was not told: BonyChat did not take the notice.",
                    "Su agente no lo sabe: BonyChat no aceptó el aviso.",
                )
                .to_owned(),
        },
    };
    let next = if fault == UNREADABLE_ROW {
        String::new() // that it must be written anew is the cure of its cause
    } else if message.has_text {
        words.fill(
            "It is not sent again by itself; {retry} sends it again.",
            "No se vuelve a enviar solo; {retry} lo envía otra vez.",
            &[("retry", &words.retry(&journey.m_id))],
        )
    } else {
        words
            .say(
                "Its text is erased, so it cannot be sent again: it must be written anew.",
                "Su texto está borrado, así que no se puede volver a enviar: hay que escribirlo de nuevo.",
            )
            .to_owned()
    };
    joined([got.as_str(), &told, cause.cure, &next])
}

fn of_event(words: &Words<'_>, m_id: &str, event: &EventJourney) -> String {
    let (at, cause) = (
        words.time(event.done_ms.unwrap_or(event.recorded_ms)),
        event.fault.as_deref().map(|fault| words.cause(fault, FarSide::BonyChat)),
    );
    if let Some(pause) = event.pause.as_ref().filter(|_| event.state == EventState::Queued) {
        let got = words.say("Not yet: BonyChat does not have it.", "Todavía no: BonyChat no lo tiene.");
        return joined([got, &paused(words, pause)]);
    }
    match (event.state, &cause) {
        (EventState::Done, _) => words.fill(
            "Yes: BonyChat took it at {at}. There is nothing to do.",
            "Sí: BonyChat lo aceptó a las {at}. No hay nada que hacer.",
            &[("at", &at)],
        ),
        (EventState::Queued, None) => words.fill(
            "Not yet: BonyChat does not have it. It waits since {at} and is posted within seconds, in the order of its \
             conversation, where a bridge serves its channel.",
            "Todavía no: BonyChat no lo tiene. Espera desde las {at} y se envía en segundos, en el orden de su conversación, \
             si un puente sirve su canal.",
            &[("at", &at)],
        ),
        (EventState::Queued, Some(cause)) => {
            let next = if cause.stops {
                words.say("Publishing of the channel is paused until BonyChat takes a post; nothing is lost.", "La publicación del canal está en pausa hasta que BonyChat acepte un envío; no se pierde nada.").to_owned()
            } else {
                words.fill("It is posted again at {due}.", "Se vuelve a enviar a las {due}.", &[("due", &words.time(event.due_ms))])
            };
            let got = words.fill(
                "Not yet: BonyChat does not have it, since {cause}.",
                "Todavía no: BonyChat no lo tiene, porque {cause}.",
                &[("cause", &cause.what)],
            );
            joined([got.as_str(), &next, cause.cure])
        }
        (EventState::Dead, cause) => {
            let (what, cure) = cause.as_ref().map_or(("", ""), |cause| (cause.what.as_str(), cause.cure));
            let got = words.fill(
                "No: BonyChat does not have it, and it was given up at {at}: {cause}.",
                "No: BonyChat no lo tiene, y se dio por perdido a las {at}: {cause}.",
                &[("at", &at), ("cause", what)],
            );
            let next = if event.has_text {
                words.fill(
                    "{retry} posts it again.",
                    "{retry} lo envía otra vez.",
                    &[("retry", &sentence(&words.retry(m_id)))],
                )
            } else {
                words.say("Its text is erased, so it cannot be posted again.", "Su texto está borrado, así que no se puede volver a enviar.").to_owned()
            };
            joined([got.as_str(), cure, &next])
        }
    }
}
