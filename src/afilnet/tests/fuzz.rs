//! Afilnet's answers by the hundred thousand. A send counts as sent only if the response says so, and a read that
//! proves nothing is an error.

use super::super::classify::{Failure, HttpResponse};
use super::responses::every_body;
use super::*;
use crate::testkit::fuzz_input::{self, InputRng};

#[test]
fn mutated_answers_have_one_meaning_for_sends_and_reads() {
    let (zone, asked) = (TimeZone::get("Europe/Madrid").unwrap(), "34600000000".parse().unwrap());
    let (mut sent, mut without, mut rows) = (0, 0, 0);
    fuzz_input::fuzz("Afilnet", &every_body(), |body, rng| {
        let outcome = outcome(body, rng);
        let (verdict, read) = (classify(&outcome), classify_read(&outcome));
        one_meaning(&verdict, &read, &outcome);
        says_so(&verdict, body, &outcome);
        *(if matches!(verdict, Verdict::Sent { .. }) { &mut sent } else { &mut without }) += 1;
        if let Ok(result) = read {
            rows += every_list(&result, &zone, &asked);
        }
    });
    // The generator must reach each of these.
    let all = sent + without;
    assert!(all < 1000 || [sent, without, rows].iter().all(|n| n * 20 > all), "{sent}, {without}, {rows}");
}

/// `body` with some status; now and then no response.
fn outcome(body: &[u8], rng: &mut InputRng) -> Outcome {
    let fault = [Fault::TimedOut, Fault::ConnectionLost, Fault::Unreachable][rng.below(3)].clone();
    let http = *rng.pick(&[
        200, 200, 200, 200, 200, 200, 200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 408, 413, 429, 500, 503, 999,
    ]);
    let asked = [None, Some(Duration::from_secs(7))][rng.below(2)];
    match rng.below(50) {
        0 => Err([Failure::BeforeSend(fault.clone()), Failure::AfterSend(fault)][rng.below(2)].clone()),
        1 => Ok(HttpResponse { http, asked, content_type: None, body: Err(fault) }),
        _ => Ok(HttpResponse { http, asked, content_type: None, body: Ok(body.to_vec()) }),
    }
}

/// The verdict as a send and the result as a read of one response do not contradict each other.
fn one_meaning(verdict: &Verdict, read: &Result<Value, ReadError>, outcome: &Outcome) {
    let wait = outcome.as_ref().ok().and_then(|answer| answer.asked);
    match (verdict, read) {
        (Verdict::Sent { afilnet_id }, Ok(_)) => {
            let id = afilnet_id.as_deref().unwrap_or("1");
            assert!(!id.is_empty() && id.trim() == id && id != "0" && id.chars().count() <= 200, "{id:?}");
            assert!(!id.chars().any(char::is_control), "{id:?}");
        }
        (Verdict::Refused { fault: Fault::ChatNotFound }, Ok(result)) => assert_eq!(result, &Value::Null),
        (Verdict::NotSent { fault, asked }, Err(error)) => assert_eq!((fault, *asked), (&error.fault, wait)),
        (Verdict::Refused { fault } | Verdict::Unknown { fault }, Err(error)) => assert_eq!(fault, &error.fault),
        (verdict, read) => panic!("{verdict:?}, but {read:?}"),
    }
    if let Err(error) = read {
        let code = error.fault.code();
        assert_eq!(error.asked, wait);
        assert!(!code.is_empty() && code.chars().count() <= 60 && !code.chars().any(char::is_control), "{code:?}");
    }
}

/// Compared with a strict parser of the same body, if that can read it.
fn says_so(verdict: &Verdict, body: &[u8], outcome: &Outcome) {
    let Ok(HttpResponse { http, body: Ok(_), .. }) = outcome else {
        return assert!(!matches!(verdict, Verdict::Sent { .. }));
    };
    let Ok(strict) = serde_json::from_slice::<Value>(body) else { return };
    let status = strict["status"].as_str().unwrap_or_default().trim().to_ascii_uppercase();
    let good = (200..300).contains(http);
    assert_eq!(matches!(verdict, Verdict::Sent { .. }), status == "SUCCESS" && good, "{verdict:?}");
    // Certainly not sent: only if Afilnet's error or status says so.
    if matches!(verdict, Verdict::NotSent { .. } | Verdict::Refused { .. }) {
        assert!(status == "ERROR" || !(good || *http >= 500), "{verdict:?}");
        assert_ne!(status, "SUCCESS", "{verdict:?}");
    }
}

/// Reads `result` as every kind of list; returns the number of rows.
fn every_list(result: &Value, zone: &TimeZone, asked: &crate::domain::Destination) -> usize {
    let result = raw(result);
    let mut count = 0;
    let items = super::super::list::each_item(Some(&result), |_| count += 1).map(|()| count);
    for channel in wire::channels(Some(&result)).unwrap_or_default() {
        assert!(!channel.platform.is_empty() && !channel.platform_id.is_empty());
    }
    let (all, one) = (wire::rows(Some(&result), None, zone), wire::rows_of(Some(&result), asked, zone));
    assert_eq!((all.is_some(), one.is_some()), (items.is_some(), items.is_some()));
    let (Some(items), Some(all), Some(one)) = (items, all, one) else { return 0 };
    for read in [&all, &one] {
        assert_eq!(read.rows.len() + read.unreadable, items);
        for row in &read.rows {
            assert!(row.id.as_deref().is_none_or(|id| !id.is_empty() && id != "0" && id.chars().count() <= 200));
            assert!(row.status.as_deref().is_none_or(|status| !status.is_empty() && status.chars().count() <= 60));
            assert!(row.time.epoch_ms.is_none_or(|ms| ms > 0));
        }
    }
    assert!(one.rows.len() >= all.rows.len());
    if one.rows.iter().all(|row| row.time.epoch_ms.is_some()) {
        assert!(one.rows.is_sorted_by_key(|row| row.time.epoch_ms));
    }
    one.rows.len()
}
