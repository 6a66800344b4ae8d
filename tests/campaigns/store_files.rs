//! The files of a store together: missing, emptied, old, swapped or damaged ones are refused with a reason or reported,
//! a stop leaves one file, and erased texts are in none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::support::process::Bridge;
use crate::support::workload::number;
use crate::support::{House, contact, get, until};

/// Endings of the files of a store.
const ALL: [&str; 5] = ["", "-wal", ".answers", "-shm", ".lock"];

fn file(house: &House, ending: &str) -> PathBuf {
    house.folder.path().join(format!("bridge.db{ending}"))
}

/// A setup on a file in which nothing is sent: what is accepted waits.
fn waiting() -> House {
    let house = House::new().on_a_file().set("OUTBOUND__ANSWER_WITHIN", "0s");
    house.afilnet.fault("sendmessage:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    house
}

async fn accept(house: &House, bridge: &Bridge, words: std::ops::Range<usize>) -> Vec<String> {
    let mut taken = Vec::new();
    for n in words {
        let answer = house.agent(bridge, &contact(n % 7), &format!("waits {n}")).await;
        assert_eq!(answer.status, 200);
        taken.push(answer.m_id.unwrap());
    }
    taken
}

async fn stop(mut bridge: Bridge) -> Vec<String> {
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    bridge.log()
}

/// Returns the mIds in the store, in any state.
fn stored(house: &House) -> Vec<String> {
    let listed = house.run(&["messages", "list", "--limit", "1000000"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let lines = String::from_utf8(listed.stdout).unwrap();
    lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

fn missing(of: &[String], there: &[String]) -> usize {
    of.iter().filter(|m_id| !there.contains(m_id)).count()
}

/// A start that is refused with a text that names a file and what to do.
async fn refused(house: &House, case: &str) -> String {
    let (code, words) = house.refused_start().await;
    assert_eq!(code, Some(1), "{case}: {words}");
    assert!(words.contains("bridge.db") && !words.contains("panicked"), "{case}: {words}");
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_one_file_holds_everything() {
    let mut house = waiting();
    let bridge = house.start().await;
    let taken = accept(&house, &bridge, 0..200).await;
    stop(bridge).await;
    assert!(std::fs::metadata(file(&house, "-wal")).map_or(0, |there| there.len()) == 0, "nothing is in the log");
    // That file alone, as a backup takes it.
    let mut other = House::new().on_a_file();
    std::fs::copy(file(&house, ""), file(&other, "")).unwrap();
    assert_eq!(missing(&taken, &stored(&other)), 0);
    let bridge = other.start().await;
    until("all of it goes out", || other.afilnet.sent_count() == 200).await;
    stop(bridge).await;
    assert!(!house.start().await.log().iter().any(|line| line.contains("older copy")), "nothing is missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_file_beside_what_it_left_is_refused_and_makes_no_new_store() {
    for killed in [false, true] {
        let mut house = waiting();
        let bridge = house.start().await;
        let taken = accept(&house, &bridge, 0..20).await;
        if killed {
            bridge.kill();
        } else {
            stop(bridge).await;
        }
        let away = file(&house, ".away");
        std::fs::rename(file(&house, ""), &away).unwrap();
        let before = read_all(&house);
        let words = refused(&house, "missing").await;
        assert!(words.contains("there is no store in") && words.contains("Put the file back"), "{words}");
        std::fs::write(file(&house, ""), "").unwrap();
        assert!(refused(&house, "empty").await.contains("there is no store in"));
        std::fs::remove_file(file(&house, "")).unwrap();
        assert_eq!(read_all(&house), before, "nothing was changed");
        std::fs::rename(&away, file(&house, "")).unwrap();
        let _bridge = house.start().await;
        assert_eq!(missing(&taken, &stored(&house)), 0, "killed: {killed}");
    }
}

/// What the files hold.
fn read_all(house: &House) -> BTreeMap<&'static str, Option<Vec<u8>>> {
    ALL.into_iter().map(|ending| (ending, std::fs::read(file(house, ending)).ok())).collect()
}

fn put(house: &House, files: &BTreeMap<&'static str, Option<Vec<u8>>>) {
    for (ending, bytes) in files {
        let path = file(house, ending);
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => drop(std::fs::remove_file(&path)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_refused_and_left_as_it_is_and_one_that_a_kill_cut_off_is_not() {
    let mut house = waiting();
    let bridge = house.start().await;
    let taken = accept(&house, &bridge, 0..20).await;
    bridge.kill();
    let whole = read_all(&house);
    let log = whole["-wal"].clone().unwrap();
    assert!(log.len() > 20 * 4096, "{} bytes", log.len());
    let mut rng = StdRng::seed_from_u64(20_261_129);
    // Not at its end: what was being written at the kill was not acknowledged.
    let within = log.len() * 3 / 4;
    let mut places = vec![3, 17, 30, log.len() / 4, log.len() / 2];
    places.extend((0..6).map(|_| rng.random_range(0..within)));
    for place in places {
        let mut damaged = log.clone();
        damaged[place] ^= 1 << rng.random_range(0..8);
        std::fs::write(file(&house, "-wal"), &damaged).unwrap();
        println!("byte {place} of {}", log.len());
        refused(&house, &format!("byte {place} of {}", log.len())).await;
        assert_eq!(std::fs::read(file(&house, "-wal")).unwrap(), damaged);
        assert_eq!(std::fs::read(file(&house, "")).unwrap(), whole[""].clone().unwrap());
    }
    // A commit that was cut off in the middle, in the frames of a generation before.
    put(&house, &whole);
    let mut torn = std::fs::OpenOptions::new().append(true).open(file(&house, "-wal")).unwrap();
    torn.write_all(&log[32..32 + 24 + 4096 + 700]).unwrap();
    let _bridge = house.start().await;
    assert_eq!(missing(&taken, &stored(&house)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_under_a_running_bridge_is_missed_and_nothing_more_is_acknowledged() {
    let mut house = waiting();
    let bridge = house.start().await;
    let mut taken = accept(&house, &bridge, 0..3).await;
    for (ending, replaced) in [("", false), ("", true), ("-wal", false), ("-shm", true), (".lock", false)] {
        let (there, away) = (file(&house, ending), file(&house, ".away"));
        let said = || {
            let of_the_store =
                |line: &&String| line.contains("could not commit") && line.contains("deleted or replaced");
            bridge.log().iter().filter(of_the_store).count()
        };
        let before = said();
        std::fs::rename(&there, &away).unwrap();
        if replaced {
            std::fs::copy(&away, &there).unwrap();
        }
        until("it is not ready", || {
            let (status, answer) = get(&bridge.url(), "/readyz");
            status == 503 && answer.to_string().contains(&format!("bridge.db{ending} was deleted or replaced"))
        })
        .await;
        assert_eq!(house.agent(&bridge, &contact(1), "not now").await.status, 503, "{ending}");
        assert_eq!(get(&bridge.url(), "/healthz").0, 200);
        assert_eq!(said(), before + 1, "said once: {ending}");
        std::fs::rename(&away, &there).unwrap();
        until("it is ready", || get(&bridge.url(), "/readyz").0 == 200).await;
        taken.extend(accept(&house, &bridge, 3..5).await);
    }
    // Without any call or write: it is noticed all the same.
    let quiet = bridge.log().len();
    std::fs::rename(file(&house, ""), file(&house, ".away")).unwrap();
    until("it is said", || bridge.log()[quiet..].iter().any(|line| line.contains("deleted or replaced under"))).await;
    std::fs::rename(file(&house, ".away"), file(&house, "")).unwrap();
    until("it is ready", || get(&bridge.url(), "/readyz").0 == 200).await;
    // The journal is created again.
    std::fs::remove_file(file(&house, ".answers")).unwrap();
    until("it is there", || file(&house, ".answers").exists()).await;
    taken.extend(accept(&house, &bridge, 5..9).await);
    bridge.kill();
    let _bridge = house.start().await;
    assert_eq!(missing(&taken, &stored(&house)), 0);
}

/// The files in which some of these words are.
fn with(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&entry).unwrap_or_default();
        let holds = |word: &&&str| bytes.windows(word.len()).any(|there| there == word.as_bytes());
        found.extend(words.iter().filter(holds).map(|word| format!("{}: {word}", entry.display())));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_wiped_are_soon_in_no_file() {
    let mut house = waiting();
    let bridge = house.start().await;
    let m_id = house.agent(&bridge, &contact(1), "WIPED-BESIDE-IT").await.m_id.unwrap();
    let later = house.agent(&bridge, &contact(2), "WIPED-WITHOUT-IT").await.m_id.unwrap();
    // Not while it is being tried.
    let discard = |m_id: &str| house.run(&["messages", "discard", m_id]).status.success();
    until("it is discarded", || discard(&m_id)).await;
    assert!(!with(house.folder.path(), &["WIPED-WITHOUT-IT"]).is_empty());
    crate::support::until_within(std::time::Duration::from_secs(100), "its words are gone", || {
        with(house.folder.path(), &["WIPED-BESIDE-IT"]).is_empty()
    })
    .await;
    stop(bridge).await;
    assert!(house.run(&["messages", "discard", &later]).status.success());
    assert_eq!(with(house.folder.path(), &["WIPED-WITHOUT-IT"]), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_kept_no_longer_are_in_no_file_after_a_stop() {
    let mut house = House::new().on_a_file().set("STORE__KEEP_TEXT", "1s");
    let bridge = house.start().await;
    for n in 0..30 {
        house.agent(&bridge, &contact(n), &format!("KEPT-OUT-{n} {}", "x".repeat(n * 90))).await;
        house.customer(&contact(n), &format!("KEPT-IN-{n} {}", "y".repeat(n * 70)));
    }
    until("all is published", || (0..30).all(|n| house.bonychat.texts(&contact(n)).len() == 1)).await;
    house.settled().await;
    crate::support::until_within(std::time::Duration::from_secs(150), "nothing of it is left", || {
        with(house.folder.path(), &["KEPT-OUT-", "KEPT-IN-"]).is_empty()
    })
    .await;
    stop(bridge).await;
    assert_eq!(with(house.folder.path(), &["KEPT-OUT-", "KEPT-IN-"]), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_program_is_refused_and_nothing_is_made_beside_it() {
    let house = House::new().on_a_file();
    std::fs::write(house.database(), "somebody's notes, no store at all\n".repeat(200)).unwrap();
    assert!(refused(&house, "notes").await.contains("is not a bridge store"));
    let names = std::fs::read_dir(house.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["bridge.db"]);
}

/// `BRIDGE_STARTS=50 cargo test --features crashpoints --test campaigns -- --nocapture with_any_of_the_files`
#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_any_of_the_files_missing_empty_old_or_swapped_never_loses_without_a_word() {
    let rounds = number("BRIDGE_STARTS", 20);
    let mut rng = StdRng::seed_from_u64(number("BRIDGE_START_SEED", 20_261_129));
    // Another store, as a kill left it.
    let mut other = waiting();
    let bridge = other.start().await;
    accept(&other, &bridge, 0..10).await;
    bridge.kill();
    let others = read_all(&other);
    let mut house = waiting();
    let (mut taken, mut old) = (Vec::new(), None);
    let (mut refusals, mut warned, mut whole) = (0, 0, 0);
    for round in 0..rounds {
        let bridge = house.start().await;
        taken.extend(accept(&house, &bridge, 0..rng.random_range(1..6)).await);
        let killed = rng.random();
        if killed {
            bridge.kill();
        } else {
            stop(bridge).await;
        }
        let now = read_all(&house);
        let ending = ALL[usize::try_from(round).unwrap() % 5];
        let how = ["missing", "empty", "old", "swapped"][usize::try_from(round / 5).unwrap() % 4];
        let bytes = match (how, &old) {
            ("missing", _) => None,
            ("empty", _) => Some(Vec::new()),
            ("old", Some(old)) => BTreeMap::get(old, ending).cloned().flatten(),
            _ => others[ending].clone(),
        };
        let case = format!("round {round}: bridge.db{ending} {how}, killed: {killed}");
        let mut changed = now.clone();
        changed.insert(ending, bytes);
        put(&house, &changed);
        let mut started = house.spawn_start();
        until("it is ready or refused", || started.port().is_some() || started.has_ended()).await;
        if started.port().is_some() {
            let lost = missing(&taken, &stored(&house));
            let log = started.kill();
            let said = log.iter().any(|line| line.contains("the store is an older copy"));
            assert!(lost == 0 || said, "{case}: {lost} are gone and nothing is said");
            if lost > 0 { warned += 1 } else { whole += 1 }
        } else {
            assert_eq!(started.ended().await.code(), Some(1), "{case}");
            let words = |log: &str| log.contains("nothing was changed") || log.contains("is damaged");
            until(&format!("it says why: {case}"), || words(&started.log().join("\n"))).await;
            let log = started.log().join("\n");
            assert!(!log.contains("panicked"), "{case}: {log}");
            refusals += 1;
        }
        old = Some(now.clone());
        put(&house, &now);
    }
    let _bridge = house.start().await;
    assert_eq!(missing(&taken, &stored(&house)), 0, "with its own files it has everything");
    println!("{rounds} starts: {refusals} refused in words, {whole} whole, {warned} said what they lack");
    assert!(refusals > 0 && whole > 0);
}
