//! The condition of a channel, from the store and from the process; words and links.

use super::*;

const MINUTE: i64 = 60_000;
const NOW: i64 = 1000 * MINUTE;

fn known(depth: QueueDepth, activity: Activity) -> Known {
    Known { configured: true, depth, activity, pauses: Vec::new(), delivered: None, here: None }
}

fn waiting(minutes: i64) -> QueueDepth {
    QueueDepth { outbound: 3, oldest_ms: Some(NOW - minutes * MINUTE), ..QueueDepth::default() }
}

fn sent(minutes: i64) -> Activity {
    Activity { sent_ms: Some(NOW - minutes * MINUTE), ..Activity::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "as an activity has it")]
fn fault(minutes: i64, code: &str) -> Option<ChannelFault> {
    Some(ChannelFault { at_ms: NOW - minutes * MINUTE, fault: code.into(), lasts: false })
}

fn by_hand(kind: PauseKind) -> Vec<OperatorPause> {
    vec![OperatorPause { channel: "support".into(), kind, since_ms: 0, who: "ana".into(), why: "migration".into() }]
}

#[expect(clippy::unnecessary_wraps, reason = "as what is known has it")]
fn here(paused: Vec<(Part, Duration)>, stuck_out: bool) -> Option<Standing> {
    Some(Standing { paused, stuck_out, stuck_in: false, unread: false, polled_ago: Duration::ZERO })
}

#[test]
fn the_word_of_a_channel_follows_from_what_waits_and_what_was_taken() {
    let events = QueueDepth { events: 2, ..QueueDepth::default() };
    let waits_in = |minutes: i64, published: i64| Activity {
        oldest_event_ms: Some(NOW - minutes * MINUTE),
        published_ms: Some(NOW - published * MINUTE),
        ..Activity::default()
    };
    let no_credit = || {
        let fault = ChannelFault { at_ms: NOW - MINUTE, fault: "NO_CREDITS".into(), lasts: true };
        Activity { fault: Some(fault), ..Activity::default() }
    };
    for (known, word, says) in [
        (known(QueueDepth::default(), Activity::default()), Word::Works, "nothing waits"),
        (known(waiting(4), Activity::default()), Word::Works, "3 message(s)"),
        (known(waiting(20), sent(1)), Word::Slow, "20 min"),
        (known(waiting(20), sent(19)), Word::Stuck, "within the last hour, so is a bridge running?"),
        (known(waiting(20), Activity::default()), Word::Stuck, "None is lost"),
        (known(events.clone(), waits_in(20, 1)), Word::Works, "2 event(s)"),
        (known(events.clone(), waits_in(20, 15)), Word::Stuck, "wait for BonyChat"),
        (Known { delivered: Some(false), ..known(waiting(1), sent(1)) }, Word::Nobody, "no process"),
        (Known { delivered: Some(true), ..known(waiting(1), sent(1)) }, Word::Works, ""),
        (known(waiting(1), no_credit()), Word::Paused, ""),
        (Known { delivered: Some(false), ..known(waiting(1), no_credit()) }, Word::Nobody, "no process"),
        (Known { configured: false, ..known(waiting(1), sent(1)) }, Word::NotConfigured, "not delivered"),
        (known(waiting(20), Activity { fault: fault(2, "http_500"), ..sent(19) }), Word::Stuck, "2 min ago: http_500"),
    ] {
        let condition = condition(&known, NOW);
        let (found, sentence) = (condition.word(), condition.sentence(Language::En));
        assert!(found == word && sentence.contains(says), "{found:?} {sentence}, not {word:?} {says}");
    }
}

#[test]
fn a_broadcast_of_which_the_store_does_not_show_the_last_is_not_stuck() {
    let from = |minutes: i64| Some(NOW - minutes * MINUTE);
    let cut = Activity { searched_from_ms: from(10), ..Activity::default() };
    assert_eq!(condition(&known(waiting(20), cut.clone()), NOW).word(), Word::Slow);
    let old = Activity { sent_ms: from(8), ..cut.clone() };
    assert_eq!(condition(&known(waiting(20), old), NOW).word(), Word::Slow);
    let all = Activity { searched_from_ms: from(30), ..cut };
    assert_eq!(condition(&known(waiting(20), all), NOW).word(), Word::Stuck);
}

#[test]
fn a_pause_by_a_fault_shows_in_the_process_and_in_the_store() {
    let credit = |failed: i64, sent_ago: i64| {
        let activity = Activity { fault: fault(failed, "NO_CREDITS"), ..sent(sent_ago) };
        condition(&known(waiting(4), activity), NOW)
    };
    assert!(matches!(credit(1, 2), Condition::Paused { part: Part::Sends, .. }));
    assert!(credit(1, 2).needs_a_person());
    assert_eq!(credit(2, 1).word(), Word::Works, "one was sent since");
    let of = |paused: &[(Part, Duration)], stuck_out| {
        condition(&Known { here: here(paused.to_vec(), stuck_out), ..known(waiting(20), sent(19)) }, NOW)
    };
    let short = |part| (part, Duration::from_secs(9));
    let long = |part| (part, Duration::from_mins(6));
    for (part, soon) in [(Part::Account, false), (Part::Webhook, false), (Part::Sends, true), (Part::Channel, true)] {
        assert_eq!(of(&[short(part)], false).word(), Word::Paused);
        assert_eq!(of(&[short(part)], false).needs_a_person(), soon, "{part:?}");
        assert!(of(&[long(part)], false).needs_a_person(), "{part:?}");
    }
    assert!(matches!(of(&[long(Part::Webhook)], true), Condition::StuckOut { .. }));
    assert_eq!(of(&[], false).word(), Word::Slow, "the process knows that it sends");
    let unread = here(Vec::new(), false).map(|here| Standing { unread: true, ..here });
    let unread = Known { here: unread, ..known(QueueDepth::default(), Activity::default()) };
    assert!(matches!(condition(&unread, NOW), Condition::Unread { .. }));
}

#[test]
fn a_pause_by_hand_is_no_need_and_one_of_another_way_hides_no_stuck_message() {
    for (kind, word) in
        [(PauseKind::Out, Word::PausedByHand), (PauseKind::In, Word::Stuck), (PauseKind::Drain, Word::Stuck)]
    {
        let of = |minutes| {
            let known = Known { pauses: by_hand(kind), ..known(waiting(minutes), Activity::default()) };
            condition(&known, NOW)
        };
        assert_eq!(of(20).word(), word, "{kind:?}");
        assert_eq!(of(1).word(), Word::PausedByHand, "{kind:?}");
        assert!(!of(1).needs_a_person() && of(1).sentence(Language::En).contains("by ana: migration"));
    }
    let events = QueueDepth { events: 2, ..QueueDepth::default() };
    let since = Activity { oldest_event_ms: Some(NOW - 20 * MINUTE), ..Activity::default() };
    let known = Known { pauses: by_hand(PauseKind::In), ..known(events, since) };
    assert_eq!(condition(&known, NOW).word(), Word::PausedByHand);
}

#[test]
fn every_condition_and_need_has_words_in_both_languages() {
    let (count, waits) = (3, Duration::from_hours(72));
    let faults = [None, Some((waits, "http_500".to_owned()))];
    let mut conditions = vec![
        Condition::NotConfigured { out: 1, events: 2 },
        Condition::Nobody,
        Condition::StuckIn { count, waits },
        Condition::Unread { ago: waits },
        Condition::Slow { count, waits, is_sending: true },
        Condition::Slow { count, waits, is_sending: false },
        Condition::OnTheWay { out: 1, events: 2 },
        Condition::NothingWaits,
    ];
    conditions.extend(PauseKind::ALL.map(|kind| Condition::PausedByHand(by_hand(kind))));
    let parts = [Part::Account, Part::Sends, Part::Channel, Part::Webhook];
    conditions.extend(parts.map(|part| Condition::Paused { part, lasts: waits }));
    conditions.extend(faults.map(|fault| Condition::StuckOut { count, waits, fault }));
    let differ = |english: &str, spanish: &str| {
        assert!(!english.is_empty() && !spanish.is_empty() && english != spanish, "{english} {spanish}");
        assert!(!spanish.contains("days") && !spanish.ends_with('.') && !english.ends_with('.'), "{english} {spanish}");
    };
    for condition in &conditions {
        differ(&condition.sentence(Language::En), &condition.sentence(Language::Es));
        for is_delivered in [true, false] {
            differ(condition.shown(is_delivered, Language::En), condition.shown(is_delivered, Language::Es));
        }
    }
    let needs = [NeedOf::Store, NeedOf::Stopping, NeedOf::Unconfirmed(1), NeedOf::Dead(2)];
    for of in needs.into_iter().chain(conditions.into_iter().map(NeedOf::Channel)) {
        let need = Need { channel: "a b&c".to_owned(), of };
        differ(&need.sentence(Language::En), &need.sentence(Language::Es));
        let (link, of_channel) = (need.link(), "?channel=a+b%26c");
        let is_known = ["messages", "unconfirmed"].iter().any(|page| link.starts_with(&format!("{page}{of_channel}")));
        assert!(link.is_empty() || is_known, "{link}");
    }
    assert_eq!(Condition::NothingWaits.shown(false, Language::En), "nothing waits", "nobody is known to deliver it");
}
