//! What happened, line by line, in the order of time.

use super::cause::FarSide;
use super::phrase::{Words, joined, last, span};
use crate::domain::StatusValue;
use crate::domain::journey::{
    Action, AttemptOutcome, EventJourney, EventKind, EventState, Journey, KeptWaiting, LookupConclusion, LookupStep,
    MessageJourney, MessageState, PastPause, PastStep, PauseCause, PostOutcome, ResponseReceipt, Step, Wait,
};

/// Returns the lines. Steps of one message or event keep their order, whatever was done to the clock.
pub(super) fn lines(words: &Words<'_>, journey: &Journey) -> Vec<String> {
    let mut all: Vec<(i64, String)> = Vec::new();
    if let Some(message) = &journey.message {
        all.push((message.accepted_ms, accepted(words, journey, message)));
        all.extend(wait(words, message));
        all.extend(steps(words, &message.steps, FarSide::Afilnet));
        if let (Some((_, last)), Some(next)) = (all.last_mut(), next_look(words, message)) {
            last.push_str(&next);
        }
        all.extend(message.shown_ms.map(|shown_ms| {
            let shown = words.say("Afilnet shows it in the conversation.", "Afilnet lo muestra en la conversación.");
            (shown_ms, shown.to_owned())
        }));
        all.extend(ended(words, message));
        all.extend(went_on(words, message));
    }
    for event in &journey.events {
        all.push((event.stored_ms(), recorded(words, journey, event)));
        all.extend(steps(words, &event.steps, FarSide::BonyChat));
        all.extend(taken(words, event));
    }
    all.sort_by_key(|(at_ms, _)| *at_ms);
    all.into_iter().map(|(at_ms, text)| format!("{}  {text}", words.written(at_ms, "%Y-%m-%d %H:%M:%S%.3f"))).collect()
}

fn accepted(words: &Words<'_>, journey: &Journey, message: &MessageJourney) -> String {
    let answer = match message.answer {
        ResponseReceipt::Read => words.say("BonyChat read the response.", "BonyChat leyó la respuesta."),
        ResponseReceipt::Lost => words.say("The response did not reach BonyChat.", "La respuesta no llegó a BonyChat."),
        ResponseReceipt::Unknown => {
            words.say("Whether BonyChat read the response is not known.", "No se sabe si BonyChat leyó la respuesta.")
        }
    };
    words.fill(
        "BonyChat handed it over: {kind} for {contact} in channel {channel} (request {request}). Stored. {answer}",
        "BonyChat lo entregó: {kind} para {contact} en el canal {channel} (petición {request}). Guardado. {answer}",
        &[
            ("kind", &message.kind),
            ("channel", &journey.channel),
            ("request", &message.request_id),
            ("answer", answer),
            ("contact", &journey.contact),
        ],
    )
}

/// When it is looked for next, where its last step is a look.
fn next_look(words: &Words<'_>, message: &MessageJourney) -> Option<String> {
    let after_look = matches!(last(&message.steps), Some(Step::Lookup(_) | Step::LookupFailed { .. }));
    let look_ms = message.look_ms.filter(|_| after_look && message.state == MessageState::Unknown)?;
    Some(words.fill(
        " The next look is at {at}.",
        " La próxima comprobación es a las {at}.",
        &[("at", &words.time(look_ms))],
    ))
}

/// What it waited for, each pause at the time since which it did.
fn wait(words: &Words<'_>, message: &MessageJourney) -> Vec<(i64, String)> {
    let Some(Wait { since_ms, until_ms, ahead, pauses }) = &message.wait else { return Vec::new() };
    let mut all: Vec<(i64, String)> =
        pauses.iter().map(|past| (past.since_ms.max(*since_ms), past_pause(words, past))).collect();
    if message.state != MessageState::Queued && (message.attempt == 1 || message.steps.is_empty()) && message.part == 0
    {
        let behind = if *ahead > 0 {
            words.fill(
                " Messages before it in its conversation that went first: {ahead}.",
                " Mensajes anteriores de su conversación que salieron primero: {ahead}.",
                &[("ahead", &ahead.to_string())],
            )
        } else {
            String::new()
        };
        let after = words.fill(
            "Its turn came after {span}.",
            "Le llegó el turno después de {span}.",
            &[("span", &span(until_ms - since_ms))],
        );
        all.push((*until_ms, after + &behind));
    }
    all
}

fn past_pause(words: &Words<'_>, past: &PastPause) -> String {
    let since = words.time(past.since_ms);
    let until = past.ended_ms.map_or_else(
        || words.say("since {since}", "desde las {since}").to_owned(),
        |_| words.say("from {since} to {until}", "de {since} a {until}").to_owned(),
    );
    let ended = past.ended_ms.map(|ended_ms| words.time(ended_ms)).unwrap_or_default();
    let when = until.replace("{since}", &since).replace("{until}", &ended);
    match &past.cause {
        PauseCause::Person { who, why } => words.fill(
            "It waited: {who} had paused what is sent in its channel, {when}: {why}.",
            "Esperó: {who} había puesto en pausa los envíos de su canal, {when}: {why}.",
            &[("when", &when), ("who", who), ("why", why)],
        ),
        PauseCause::Fault { fault } => words.fill(
            "It waited: its channel was paused by itself, {when}: {cause}.",
            "Esperó: su canal estuvo en pausa por sí mismo, {when}: {cause}.",
            &[("when", &when), ("cause", &words.cause(fault, FarSide::Afilnet).what)],
        ),
    }
}

/// What goes on after it was in doubt.
fn went_on(words: &Words<'_>, message: &MessageJourney) -> Option<(i64, String)> {
    let (done_ms, KeptWaiting { count, longest_ms }) = message.done_ms.zip(message.kept_waiting)?;
    let went_on = words.fill(
        "The conversation went on; messages that had waited for it: {count}, the first of them for {span}.",
        "La conversación continuó; mensajes que esperaban por él: {count}, el primero desde hacía {span}.",
        &[("count", &count.to_string()), ("span", &span(longest_ms))],
    );
    Some((done_ms, went_on))
}

/// How it ended, where no step has told.
fn ended(words: &Words<'_>, message: &MessageJourney) -> Option<(i64, String)> {
    let done_ms = message.done_ms?;
    // What a row showed long after looking was over is found at that time, not when looking ended.
    let at_ms = if was_found(message) { message.shown_ms.unwrap_or(done_ms).max(done_ms) } else { done_ms };
    let told = match last(&message.steps) {
        Some(Step::Attempt { outcome: AttemptOutcome::Failed, .. }) => true,
        Some(Step::Lookup(look)) => {
            message.state != MessageState::Failed && look.conclusion != LookupConclusion::NotSent
        }
        Some(Step::Decision { action, .. }) => {
            matches!(action, Action::SettledDelivered | Action::SettledFailed | Action::Noted | Action::Discarded)
        }
        _ => false,
    };
    let text = match message.state {
        _ if told && !was_found(message) => return None,
        MessageState::Sent if was_found(message) => words
            .say(
                "Found: a row of its conversation shows it. Sent, and not sent again.",
                "Encontrado: una fila de su conversación lo muestra. Enviado, y no se envía otra vez.",
            )
            .to_owned(),
        MessageState::Sent => {
            let took = span(done_ms - message.began_ms);
            words.fill(
                "Sent: Afilnet took it in attempt {attempt}, {took} after that began.",
                "Enviado: Afilnet lo aceptó en el intento {attempt}, {took} después de su comienzo.",
                &[("attempt", &message.attempt.to_string()), ("took", &took)],
            )
        }
        MessageState::Failed => {
            let cause = words.cause(message.fault.as_deref().unwrap_or("interrupted"), FarSide::Afilnet);
            words.fill("Given up: {cause}.", "Se dio por perdido: {cause}.", &[("cause", &cause.what)])
        }
        MessageState::Unconfirmed => words
            .say(
                "Looking could not decide; its agent is told.",
                "Las comprobaciones no lo decidieron; se avisa a su agente.",
            )
            .to_owned(),
        MessageState::Queued | MessageState::Sending | MessageState::Unknown | MessageState::Held => return None,
    };
    Some((at_ms, text))
}

/// Returns whether it is sent without a response that told so, and no look found it: another read did, perhaps long after.
fn was_found(message: &MessageJourney) -> bool {
    if message.state != MessageState::Sent {
        return false;
    }
    for past in message.steps.iter().rev() {
        match &past.step {
            Some(Step::Attempt { attempt, part, outcome: AttemptOutcome::Unknown, .. }) => {
                return (*attempt, *part) == (message.attempt, message.part);
            }
            Some(Step::Lookup(look))
                if matches!(look.conclusion, LookupConclusion::Found | LookupConclusion::NotSent) =>
            {
                return false;
            }
            Some(
                Step::Decision { action: Action::Noted, .. }
                | Step::Lookup(_)
                | Step::LookupFailed { .. }
                | Step::Post { .. }
                | Step::Repeat,
            )
            | None => {}
            Some(Step::Decision { .. } | Step::Attempt { .. } | Step::Part { .. }) => return false,
        }
    }
    false
}

fn steps(words: &Words<'_>, steps: &[PastStep], side: FarSide) -> Vec<(i64, String)> {
    let (mut round, mut at_ms) = (1, i64::MIN);
    let mut all = Vec::with_capacity(steps.len());
    for past in steps {
        at_ms = at_ms.max(past.at_ms);
        all.push((at_ms, step(words, past, round, side)));
        if let Some(Step::Decision { action: Action::Retried | Action::SentAgain, .. }) = &past.step {
            round += 1;
        }
    }
    all
}

/// `round`: from 1, one more with each time that a person had it sent again; attempts count from 1 again then.
fn step(words: &Words<'_>, past: &PastStep, round: u32, side: FarSide) -> String {
    let text = match &past.step {
        None => words
            .say(
                "Something that a later version recorded and this one cannot read.",
                "Algo que registró una versión posterior y que esta no puede leer.",
            )
            .to_owned(),
        Some(Step::Attempt { attempt, part, outcome, fault, took_ms, http: _ }) => {
            attempt_line(words, (*attempt, *part, round), *outcome, fault, *took_ms)
        }
        Some(Step::Part { part, parts, took_ms }) => words.fill(
            "Part {part} of {parts} sent: Afilnet took it in {took}.",
            "Parte {part} de {parts} enviada: Afilnet la aceptó en {took}.",
            &[("parts", &parts.to_string()), ("part", &(part + 1).to_string()), ("took", &span(*took_ms))],
        ),
        Some(Step::Lookup(look)) => look_line(words, look),
        Some(Step::LookupFailed { fault }) => words.fill(
            "Looked for it, and the conversation could not be read: {cause}. That proves nothing.",
            "Se buscó, y la conversación no se pudo leer: {cause}. Eso no prueba nada.",
            &[("cause", &words.cause(fault, FarSide::Afilnet).what)],
        ),
        Some(Step::Post { attempt, outcome, fault, took_ms, http: _ }) => {
            post_line(words, (*attempt, round), *outcome, fault, *took_ms)
        }
        Some(Step::Repeat) => words
            .say(
                "BonyChat made the same call again and got the same mId; it is sent once.",
                "BonyChat repitió la llamada y recibió el mismo mId; se envía una sola vez.",
            )
            .to_owned(),
        Some(Step::Decision { who, means, action, why }) => {
            decision_line(words, (who, means.name()), *action, why.as_deref())
        }
    };
    let again = if past.times > 1 {
        words.fill(
            "The same {times} times, the last at {until}.",
            "Lo mismo {times} veces, la última a las {until}.",
            &[("times", &past.times.to_string()), ("until", &words.time(past.until_ms))],
        )
    } else {
        String::new()
    };
    let began = past.excerpt.as_deref().map_or_else(String::new, |excerpt| {
        words.fill(
            "The response of {side} began: {excerpt}",
            "La respuesta de {side} empezaba: {excerpt}",
            &[("side", side.name()), ("excerpt", excerpt)],
        )
    });
    joined([text.as_str(), &again, &began])
}

/// `attempt`, part from 0, and round.
fn attempt_line(
    words: &Words<'_>,
    (attempt, part, round): (u32, u32, u32),
    outcome: AttemptOutcome,
    fault: &str,
    took_ms: Option<i64>,
) -> String {
    let which = attempt_name(words, attempt, round);
    let part = if part > 0 {
        words.fill(" at part {part}", " de la parte {part}", &[("part", &(part + 1).to_string())])
    } else {
        String::new()
    };
    let after = took_ms
        .map_or_else(String::new, |took_ms| words.fill(", after {took}", ", tras {took}", &[("took", &span(took_ms))]));
    let outcome = match outcome {
        AttemptOutcome::NotSent => words.say(
            "Certainly not sent; it is kept and tried again.",
            "No se envió, seguro; se conserva y se vuelve a intentar.",
        ),
        AttemptOutcome::Failed => {
            words.say("Certainly not sent, and given up.", "No se envió, seguro, y se dio por perdido.")
        }
        AttemptOutcome::Unknown => words.say(
            "It may have been sent, so its conversation waits until it is looked up.",
            "Quizá se envió, así que su conversación espera hasta que se compruebe.",
        ),
    };
    format!("{which}{part}: {}{after}. {outcome}", words.cause(fault, FarSide::Afilnet).what)
}

fn attempt_name(words: &Words<'_>, attempt: u32, round: u32) -> String {
    let (attempt, round) = (attempt.to_string(), if round > 1 { round.to_string() } else { String::new() });
    let values = [("attempt", attempt.as_str()), ("round", round.as_str())];
    if round.is_empty() {
        words.fill("Attempt {attempt}", "Intento {attempt}", &values)
    } else {
        words.fill("Round {round}, attempt {attempt}", "Ronda {round}, intento {attempt}", &values)
    }
}

fn look_line(words: &Words<'_>, look: &LookupStep) -> String {
    let LookupStep { number, rows, since, ours, others, unexplained, missing, proofs, .. } = *look;
    let counts: Vec<(&str, String)> = [
        ("number", number),
        ("rows", rows),
        ("since", since),
        ("ours", ours),
        ("others", others),
        ("unexplained", unexplained),
        ("missing", missing),
        ("proofs", proofs),
    ]
    .map(|(name, count)| (name, count.to_string()))
    .into();
    let mut values: Vec<(&str, &str)> = counts.iter().map(|(name, count)| (*name, count.as_str())).collect();
    // Where Afilnet shows rows late, further looks are made than are configured.
    let of = if number as usize > words.looks {
        String::new()
    } else {
        words.fill(" of {looks}", " de {looks}", &[("looks", &words.looks.to_string())])
    };
    values.push(("of", &of));
    let seen = words.fill(
        "Look {number}{of}: Afilnet showed {rows} rows. Of the business since the attempt: {since}; certainly the bridge's own: \
         {ours}, somebody else's: {others}, unexplained: {unexplained}.",
        "Comprobación {number}{of}: Afilnet mostró {rows} filas. De la empresa desde el intento: {since}; seguro que del puente: \
         {ours}, de otros: {others}, sin explicar: {unexplained}.",
        &values,
    );
    let mut all = vec![seen];
    for (holds, english, spanish) in [
        (!look.reaches_back, "They do not reach back to before the attempt.", "No llegan hasta antes del intento."),
        (
            missing > 0,
            "Messages that Afilnet certainly took before and does not show: {missing}.",
            "Mensajes que Afilnet aceptó antes con seguridad y no muestra: {missing}.",
        ),
        (
            look.before_hidden,
            "The message sent before does not show either.",
            "El mensaje enviado antes tampoco se muestra.",
        ),
        (
            look.place_unknown,
            "It may be kept under another spelling of the number.",
            "Puede estar guardado con otra forma del número.",
        ),
        (look.doubtful, "A row may be it in other words.", "Una fila puede ser él con otras palabras."),
    ] {
        if holds {
            all.push(words.fill(english, spanish, &values));
        }
    }
    all.push(match look.conclusion {
        LookupConclusion::Found => words
            .say("Found: it was sent, and is not sent again.", "Encontrado: se envió, y no se envía otra vez.")
            .to_owned(),
        LookupConclusion::Again if proofs > 0 => words.fill(
            "Not there: proof {proofs} of 2; only the last look decides.",
            "No está: prueba {proofs} de 2; solo decide la última comprobación.",
            &values,
        ),
        LookupConclusion::Again => words
            .say("That proves nothing; it is looked up again.", "Eso no prueba nada; se vuelve a comprobar.")
            .to_owned(),
        LookupConclusion::NotSent => words
            .say(
                "Certainly not sent, as the looks have proved.",
                "No se envió, seguro, como han probado las comprobaciones.",
            )
            .to_owned(),
        LookupConclusion::Unresolved => words
            .say("The looks are over, and nobody can tell.", "No quedan comprobaciones, y no se puede saber.")
            .to_owned(),
    });
    joined(all.iter().map(String::as_str))
}

/// `attempt` and round.
fn post_line(
    words: &Words<'_>,
    (attempt, round): (u32, u32),
    outcome: PostOutcome,
    fault: &str,
    took_ms: Option<i64>,
) -> String {
    let after = took_ms
        .map_or_else(String::new, |took_ms| words.fill(", after {took}", ", tras {took}", &[("took", &span(took_ms))]));
    let outcome = match outcome {
        PostOutcome::Again => words.say("It is kept and posted again.", "Se conserva y se vuelve a enviar."),
        PostOutcome::Dead => {
            words.say("It is given up, and the conversation goes on.", "Se da por perdido, y la conversación continúa.")
        }
    };
    let which = attempt_name(words, attempt, round);
    format!("{which}: {}{after}. {outcome}", words.cause(fault, FarSide::BonyChat).what)
}

/// Who, and by what means.
fn decision_line(words: &Words<'_>, (who, means): (&str, &str), action: Action, why: Option<&str>) -> String {
    let (english, spanish) = match action {
        Action::SettledDelivered => ("settled it as delivered", "decidió que se entregó"),
        Action::SettledFailed => ("settled it as failed", "decidió que no se entregó"),
        Action::SentAgain => ("had it sent again", "hizo que se enviara otra vez"),
        Action::Noted => ("noted it and left it as it is", "lo anotó y lo dejó como está"),
        Action::Retried => ("had it tried again", "hizo que se intentara otra vez"),
        Action::Discarded => ("discarded it; its text is erased", "lo descartó; su texto está borrado"),
    };
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    words.fill(
        "{who} ({means}) {did}{why}.",
        "{who} ({means}) {did}{why}.",
        &[("means", means), ("did", words.say(english, spanish)), ("who", who), ("why", &why)],
    )
}

fn recorded(words: &Words<'_>, journey: &Journey, event: &EventJourney) -> String {
    let values = [("contact", journey.contact.as_str()), ("channel", journey.channel.as_str())];
    let value = |value| match value {
        StatusValue::Delivered => words.say("delivered", "entregado"),
        StatusValue::Read => words.say("read", "leído"),
        StatusValue::Failed => words.say("failed", "fallido"),
    };
    match event.kind {
        EventKind::Message => words.fill(
            "Read from Afilnet: written by {contact} in channel {channel}. Stored for BonyChat.",
            "Leído de Afilnet: lo escribió {contact} en el canal {channel}. Guardado para BonyChat.",
            &values,
        ),
        EventKind::Echo => words.fill(
            "Read from Afilnet: written to {contact} outside BonyChat, in channel {channel}. Stored for BonyChat.",
            "Leído de Afilnet: escrito a {contact} fuera de BonyChat, en el canal {channel}. Guardado para BonyChat.",
            &values,
        ),
        EventKind::Status(status) => words.fill(
            "Status for the agent stored: {value}.",
            "Estado para el agente guardado: {value}.",
            &[("value", status.map_or("?", value))],
        ),
    }
}

fn taken(words: &Words<'_>, event: &EventJourney) -> Option<(i64, String)> {
    let done_ms = event.done_ms.filter(|_| event.state == EventState::Done)?;
    let taken = match event.kind {
        EventKind::Message | EventKind::Echo => words.say("BonyChat took it.", "BonyChat lo aceptó."),
        EventKind::Status(_) => words.say("BonyChat took the status.", "BonyChat aceptó el estado."),
    };
    Some((done_ms, taken.to_owned()))
}
