//! When which condition is told, and when it holds nothing up.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// A state in which `support` is delivered here, polled and idle, and the time of that.
fn sound() -> (State, Instant) {
    let (mut state, now) = (State::new(), Instant::now());
    state.store_ready = Some(true);
    state.take("support", now);
    (state, now)
}

/// Polls of the last minute, so that what is tested is late alone.
fn polled(state: &mut State, now: Instant) {
    state.change("support", |channel| channel.polled = Some(now));
}

#[test]
fn what_keeps_messages_from_being_delivered_is_told_while_it_lasts_and_not_before() {
    let (mut state, now) = sound();
    let first = state.report(now);
    assert!(first.delivers && first.words.contains("1 channel(s)"), "{}", first.words);
    assert!(!first.words.contains("person"), "{}", first.words);

    state.store_ready = Some(false);
    assert!(state.report(now).words.contains("the store cannot be written"));
    state.store_ready = Some(true);

    for (part, expected) in Part::ALL.into_iter().zip(["account is paused", "sends are", "platform_id", "BonyChat"]) {
        state.change("support", |channel| channel.pause(part, true, now));
        let short = now + STUCK_AFTER;
        state.change("support", |channel| channel.pause(part, true, short)); // as each second while it lasts
        polled(&mut state, short);
        let report = state.report(short);
        assert!(report.delivers && report.words.contains(expected), "{part:?}: {}", report.words);
        assert!(report.words.contains("paused for less than 5 minutes"), "{part:?}: {}", report.words);
        let long = short + Duration::from_secs(1);
        let report = state.report(long);
        assert!(!report.delivers && report.words.contains(expected), "{part:?}: {}", report.words);
        assert!(report.words.contains("for 5 min, ") && !report.words.contains("less than"), "{}", report.words);
        state.change("support", |channel| channel.pause(part, false, long));
        assert!(state.report(long).delivers && !state.report(long).words.contains("paused"));
        state.change("support", |channel| channel.pause(part, true, long));
        assert!(state.report(long).delivers, "this is another pause");
        state.change("support", |channel| channel.pause(part, false, long));
        polled(&mut state, now);
    }

    assert!(state.report(now + POLL_LATE).delivers);
    let late = now + POLL_LATE + Duration::from_secs(1);
    assert!(state.report(late).words.contains("last read 2 min ago"), "{}", state.report(late).words);
    state.poll_idle.insert("support".into(), MINUTE);
    assert!(state.report(now + 10 * MINUTE).delivers, "ten times poll_idle");
    assert!(!state.report(now + 11 * MINUTE).delivers);
    state.here.clear();
    assert!(state.report(now + 99 * MINUTE).delivers, "another process delivers it");
}

#[test]
fn a_channel_that_no_process_delivers_is_a_problem_once_none_has_taken_it_over() {
    let (mut state, now) = sound();
    let nobodys = |state: &mut State, now| state.set_nobodys(BTreeSet::from(["sales".to_owned()]), now);
    nobodys(&mut state, now);
    let late = now + NOBODYS_AFTER + Duration::from_secs(1);
    for (now, delivers) in [(now, true), (now + NOBODYS_AFTER, true), (late, false)] {
        nobodys(&mut state, now); // as each few seconds while it lasts
        let report = state.report(now);
        assert!(
            report.words.contains("`sales`") && report.words.contains("no process delivers it"),
            "{}",
            report.words
        );
        assert_eq!(report.words.contains("less than 2 minutes"), delivers, "{}", report.words);
        polled(&mut state, now);
        assert_eq!(state.report(now).delivers, delivers, "{}", state.report(now).words);
    }
    state.set_nobodys(BTreeSet::new(), late);
    assert!(state.report(late).delivers, "somebody has taken it over");
    nobodys(&mut state, late);
    assert!(state.report(late).delivers, "this is another time");
    state.take("sales", late);
    assert!(!state.report(late).words.contains("no process"), "this process has taken it");
}

#[test]
fn a_channel_stands_as_its_pauses_and_problems_tell() {
    let (mut state, now) = sound();
    assert_eq!(state.standing("elsewhere", now), None);
    let standing = |state: &State, now| state.standing("support", now).unwrap();
    let stands = |paused, polled_ago| {
        let (stuck_out, stuck_in, unread) = (false, false, false);
        Standing { paused, stuck_out, stuck_in, unread, polled_ago }
    };
    assert_eq!(standing(&state, now + MINUTE), stands(vec![], MINUTE));
    state.change("support", |channel| channel.pause(Part::Sends, true, now));
    let late = now + 10 * MINUTE;
    polled(&mut state, late);
    let paused = vec![(Part::Sends, 10 * MINUTE)];
    assert_eq!(standing(&state, late), stands(paused, Duration::ZERO));
    assert!(standing(&state, late + POLL_LATE + MINUTE).unread, "beside the pause");
}

#[test]
fn a_broadcast_is_not_stuck_and_a_queue_of_which_nothing_is_sent_is() {
    let (mut state, start) = sound();
    let now = start + 10 * MINUTE;
    polled(&mut state, now);
    let waits = Depth { outbound: 9000, oldest: 8 * MINUTE, ..Depth::default() };
    state.depth("support", waits, now);
    state.change("support", |channel| channel.sent = Some(now));
    assert!(state.report(now).delivers, "it waits for long, and is being sent");
    state.change("support", |channel| channel.sent = Some(start + 4 * MINUTE));
    let report = state.report(now);
    assert!(!report.delivers && report.words.contains("9000 has waited for 8 min"), "{}", report.words);
    state.change("support", |channel| channel.pause(Part::Webhook, true, start));
    let report = state.report(now);
    assert!(report.words.contains("stuck") && report.words.contains("BonyChat"), "both: {}", report.words);
    state.change("support", |channel| channel.pause(Part::Webhook, false, now));
    for part in [Part::Account, Part::Sends, Part::Channel] {
        state.change("support", |channel| channel.pause(part, true, start));
        let report = state.report(now);
        assert!(!report.words.contains("stuck") && !report.delivers, "the pause is the reason: {}", report.words);
        state.change("support", |channel| channel.pause(part, false, now));
    }
}

#[test]
fn events_are_stuck_once_they_have_waited_for_as_long_as_none_was_taken() {
    let (mut state, start) = sound();
    let waits = Depth { events: 3, ..Depth::default() };
    let now = start + 60 * MINUTE;
    state.depth("support", waits, now);
    polled(&mut state, now);
    assert!(state.report(now).delivers, "they have just come");
    let later = now + 6 * MINUTE;
    polled(&mut state, later);
    state.change("support", |channel| channel.published = Some(later));
    assert!(state.report(later).delivers, "others are taken");
    state.change("support", |channel| channel.published = None);
    assert!(!state.report(later).delivers);
    state.depth("support", Depth::default(), later);
    state.depth("support", waits, later);
    assert!(state.report(later).delivers, "these are others");
}

#[test]
fn a_pause_by_hand_is_named_with_its_reason_and_is_no_problem_nor_is_what_waits_behind_it() {
    let (mut state, start) = sound();
    let by_hand = |kind| {
        let (channel, who, why) = ("support".into(), "ana".into(), "migration".into());
        vec![OperatorPause { channel, kind, since_ms: 0, who, why }]
    };
    let depth = Depth { outbound: 3, oldest: 60 * MINUTE, events: 3, ..Depth::default() };
    state.depth("support", depth, start);
    let now = start + 60 * MINUTE;
    polled(&mut state, now);
    assert_eq!(state.report(now).words.matches("None is lost").count(), 2, "{}", state.report(now).words);
    let (events, messages) = ("it has taken none", "are stuck");
    for (kind, meaning, own, other) in
        [(PauseKind::Out, "Nothing is sent", messages, events), (PauseKind::In, "Nothing is posted", events, messages)]
    {
        state.change("support", |channel| (channel.sent, channel.published) = (None, None));
        state.change("support", |channel| channel.pause_by_hand(by_hand(kind), now));
        let report = state.report(now);
        assert!(report.words.contains("paused by ana since 1970-01-01 00:00:00 UTC: migration"), "{}", report.words);
        assert!(report.words.contains(meaning) && report.words.contains(other), "{}", report.words);
        assert!(!report.delivers && report.words.contains(": 1 thing(s)"), "the other way alone: {}", report.words);
        state.change("support", |channel| channel.pause_by_hand(Vec::new(), now));
        let report = state.report(now);
        assert!(!report.words.contains("ana"), "{}", report.words);
        assert!(!report.words.contains(own), "it has just gone on: {}", report.words);
    }
}

#[test]
fn what_waits_for_a_person_is_named_and_fails_nothing() {
    let (mut state, now) = sound();
    state.depth("support", Depth { unconfirmed: 2, dead_events: 1, ..Depth::default() }, now);
    let report = state.report(now);
    assert!(report.delivers && report.words.contains("2 message(s)") && report.words.contains("1 event(s)"));
}
