//! `bridge store copy`, and what a person reads of it where it is refused or taken back.

use crate::support::store_copy::{house_and_schema, said};
use crate::support::{House, contact};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_refused_in_words_that_say_what_to_do_and_hold_no_secret() {
    let Some((mut house, url)) = house_and_schema().await else { return };
    let (code, words) = said(&house.copy(&url));
    assert!(
        code == Some(1) && words.contains("there is no store at") && words.contains("nothing was copied"),
        "{words}"
    );
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "kept").await.status, 200);
    house.settled().await;
    let (code, words) = said(&house.copy(&url));
    assert!(code == Some(1) && words.contains("another bridge process uses the store"), "{words}");
    assert!(words.contains("stop it first") && words.contains("nothing was copied"), "{words}");
    drop(bridge);
    let (code, words) = said(&house.copy("postgres://bridge:hunter2@127.0.0.1:1/messages"));
    assert!(code == Some(1) && words.contains("database `messages` at 127.0.0.1:1"), "{words}");
    assert!(!words.contains("hunter2"), "{words}");
    for wrong in [
        &["--from", "postgres://bridge:hunter2@h/d", "--to", &url][..],
        &["--from", &house.source(), "--to", "mysql://bridge:hunter2@h/d"],
        &["--from", &house.source(), "--to-file", "/no/such/file"],
        &["--from", &house.source()],
    ] {
        let (code, words) = said(&house.run(&[&["store", "copy"], wrong].concat()));
        assert!(code == Some(2) && words.contains("--") && !words.contains("hunter2"), "{words}");
    }
    // A target that is used already.
    let mut other = House::new().set("STORE__URL", &url);
    drop(other.start().await);
    let (code, words) = said(&house.copy(&url));
    assert!(
        code == Some(1) && words.contains("holds a store with rows already") && words.contains("DROP SCHEMA"),
        "{words}"
    );
    // After all of that the source is as it was.
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "still served").await.status, 200);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_moved_is_not_served_again_by_mistake_and_a_person_can_take_it_back() {
    let Some((mut house, url)) = house_and_schema().await else { return };
    drop(house.start().await);
    let secret = house.folder.path().join("target");
    std::fs::write(&secret, format!("{url}\n")).unwrap();
    let copied = house.run(&["store", "copy", "--from", &house.source(), "--to-file", secret.to_str().unwrap()]);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let words = house.refused();
    let undo = format!("bridge store reopen --from {} --copy-never-served", house.source());
    assert!(words.contains("set store.url to that one") && words.contains(&undo), "{words}");
    let list = house.run(&["messages", "list"]);
    assert_eq!(list.status.code(), Some(1), "what a person decides there would be lost");
    let (code, words) = said(&house.copy(&url));
    assert!(code == Some(0) && words.contains("nothing was left to copy"), "{words}");
    let (code, words) = said(&house.run(&["store", "reopen", "--from", &house.source()]));
    assert!(
        code == Some(2) && words.contains("would be sent again") && words.contains("nothing was changed"),
        "{words}"
    );
    let reopened = house.run(&["store", "reopen", "--from", &house.source(), "--copy-never-served"]);
    assert!(reopened.status.success(), "{}", String::from_utf8_lossy(&reopened.stderr));
    let bridge = house.start().await;
    let again = house.run(&["store", "reopen", "--from", &house.source(), "--copy-never-served"]);
    assert_eq!(again.status.code(), Some(1));
    drop(bridge);
    house.check();
}
