//! The bridge over PostgreSQL: a database that cannot be reached, goes away, or stops responding. All other tests of
//! this binary run on it with `BRIDGE_TEST_STORE=postgres`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::postgres;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::support::{House, SOON, contact, get, took_at_most, until};

/// State of the proxy between the bridge and its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// As without a listener: connections end, and none is made.
    Closed,
    /// As behind a cut cable: nothing ends and nothing comes.
    Silent,
}

/// The reply to the COMMIT of the next transaction with this text gets lost, with its connection.
type Losing = Arc<Mutex<Option<String>>>;

/// A proxy in front of the database, and the URL of a schema through it; `None` without PostgreSQL.
async fn gate() -> Option<(watch::Sender<Way>, String)> {
    gate_that_loses(&Losing::default()).await
}

async fn gate_that_loses(losing: &Losing) -> Option<(watch::Sender<Way>, String)> {
    let direct = url::Url::parse(&postgres::fresh_schema().await?).unwrap();
    let socket =
        direct.query_pairs().find(|(key, _)| key == "host").map(|(_, folder)| format!("{folder}/.s.PGSQL.5432"));
    let far = (direct.host_str().unwrap().to_owned(), direct.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url = direct.clone();
    let others: Vec<(String, String)> =
        direct.query_pairs().filter(|(key, _)| key != "host").map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    url.query_pairs_mut().clear().extend_pairs(others);
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let (set, way) = watch::channel(Way::Open);
    let losing = Arc::clone(losing);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (way, socket, far, losing) = (way.clone(), socket.clone(), far.clone(), Arc::clone(&losing));
            tokio::spawn(async move {
                match socket {
                    Some(path) => carry(near, UnixStream::connect(path).await.unwrap(), way, losing).await,
                    None => carry(near, TcpStream::connect(far).await.unwrap(), way, losing).await,
                }
            });
        }
    });
    Some((set, url.into()))
}

/// Forwards in both directions while open. A connection that was silenced stays silent.
async fn carry(
    near: TcpStream,
    far: impl AsyncRead + AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
    losing: Losing,
) {
    let (mut near, mut far) = (tokio::io::split(near), tokio::io::split(far));
    let lost = AtomicBool::new(false);
    let to_far = async {
        let (mut buffer, mut named) = (vec![0; 1 << 16], false);
        while let Ok(1..) = near.0.read(&mut buffer).await.inspect(|read| buffer.truncate(*read)) {
            let said = String::from_utf8_lossy(&buffer).into_owned();
            let mut losing = losing.lock().unwrap().take_if(|words| {
                named |= said.contains(words.as_str());
                named && said.contains("COMMIT")
            });
            if losing.take().is_some() {
                lost.store(true, Ordering::SeqCst); // before it is carried out
            }
            if far.1.write_all(&buffer).await.is_err() {
                return;
            }
            buffer.resize(1 << 16, 0);
        }
    };
    let to_near = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = far.0.read(&mut buffer).await {
            if lost.load(Ordering::SeqCst) || near.1.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = to_far => return,
        () = to_near => return,
        _ = way.wait_for(|way| *way != Way::Open) => {}
    }
    let _ = way.wait_for(|way| *way == Way::Closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_out_of_reach_is_named_without_its_password_and_check_does_not_ask_for_it() {
    let house = House::new().set("STORE__URL", "postgres://bridge:hunter2@127.0.0.1:1/messages");
    let check = house.run(&["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    for command in [&["serve"][..], &["messages", "list"]] {
        let refused = house.command(command).env("BRIDGE__SERVER__LISTEN", "127.0.0.1:0").output().unwrap();
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{words}");
        assert!(words.contains("database `messages` at 127.0.0.1:1") && words.contains("store.url"), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_ends_its_connections_is_come_back_to() {
    comes_back_from(Way::Closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_is_come_back_to() {
    comes_back_from(Way::Silent).await;
}

async fn comes_back_from(trouble: Way) {
    let Some((way, url)) = gate().await else { return };
    let mut house = House::new().set("STORE__URL", &url).set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    let mut taken = 0;
    for n in 0..20 {
        assert_eq!(house.agent(&bridge, &contact(n), "before").await.status, 200);
        taken += 1;
    }
    way.send_replace(trouble);
    let gone = Instant::now();
    until("it is not ready", || get(&bridge.url(), "/readyz").0 == 503).await;
    took_at_most(Duration::from_secs(5), "not ready after the database went", gone);
    assert_eq!(get(&bridge.url(), "/healthz").0, 200);
    for n in 0..3 {
        assert_eq!(house.agent(&bridge, &contact(n), "meanwhile").await.status, 503);
    }
    // Those that met silence end when their time is over; new ones are let through at once.
    way.send_replace(Way::Open);
    let back = Instant::now();
    until("it is ready again", || get(&bridge.url(), "/readyz").0 == 200).await;
    println!("ready {:?} after the database came back", back.elapsed());
    for n in 0..20 {
        assert_eq!(house.agent(&bridge, &contact(n), "after").await.status, 200);
        taken += 1;
    }
    house.settled().await;
    let sent =
        |n: usize, words: &str| house.afilnet.texts(&contact(n)[1..]).iter().filter(|text| *text == words).count();
    for n in 0..20 {
        assert!(sent(n, "before") <= 1, "once");
        assert_eq!(sent(n, "after"), 1);
    }
    assert!(house.afilnet.sent_count() + house.messages("unconfirmed").len() >= taken, "nothing is lost");
    assert_eq!(house.afilnet.counters().duplicate_sends, 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_commit_was_not_answered_and_that_is_made_again_is_sent_once() {
    let losing = Losing::default();
    let Some((_way, url)) = gate_that_loses(&losing).await else { return };
    let mut house = House::new().set("STORE__URL", &url).set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "first").await.status, 200);
    // Three in a row: the message itself, and two repeats of it.
    for _ in 0..3 {
        *losing.lock().unwrap() = Some("committed unheard".into());
        assert_eq!(house.agent(&bridge, &contact(1), "committed unheard").await.status, 503);
        assert_eq!(*losing.lock().unwrap(), None, "the commit was carried out");
    }
    let taken = house.agent(&bridge, &contact(1), "committed unheard").await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    // The response to this one was received: the same text again is a new message, also if the bridge has already
    // recorded that the responses before were lost, and not yet that this one was received.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let own = house.agent(&bridge, &contact(1), "committed unheard").await;
    assert_eq!(own.status, 200, "{}", own.body);
    assert_ne!(own.m_id, taken.m_id);
    house.settled().await;
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["first", "committed unheard", "committed unheard"]);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_whose_commit_was_not_answered_is_told() {
    let losing = Losing::default();
    let Some((_way, url)) = gate_that_loses(&losing).await else { return };
    let mut house = House::new().set("STORE__URL", &url).set("OUTBOUND__ANSWER_WITHIN", "30s");
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:INCORRECT_FILEURL").unwrap();
    *losing.lock().unwrap() = Some("INCORRECT_FILEURL".into());
    let outcome = house.agent(&bridge, &contact(1), "refused").await;
    assert_eq!(*losing.lock().unwrap(), None, "the commit was carried out");
    assert_eq!(house.messages("failed").len(), 1);
    if outcome.status == 200 {
        let told = |world: &bridge::sim::bonychat::World| world.event_count() == 1;
        assert!(house.bonychat.until(SOON, told).await, "the agent is told as its caller was not");
        assert_eq!(house.bonychat.all_events()[0].status(), "failed");
    } else {
        assert_eq!(outcome.status, 400, "{}", outcome.body);
    }
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_was_taken_for_a_caller_in_a_commit_that_was_not_answered_is_its_answer() {
    let losing = Losing::default();
    let Some((_way, url)) = gate_that_loses(&losing).await else { return };
    // Statements that do not stay prepared are sent as text every time.
    let url = format!("{url}&pgbouncer=true");
    let house = House::new().set("STORE__URL", &url).set("OUTBOUND__ANSWER_WITHIN", "8s");
    let owner = house.start_another(0).await;
    let other = house.start_another(0).await;
    assert!(owner.log().iter().any(|line| line.contains("is served here")));
    *losing.lock().unwrap() = Some("DELETE FROM events WHERE conversation".into());
    // Responds 200 at once, and the agent gets a status, while this process does not know that verdicts can be expected
    // there.
    let deadline = Instant::now() + SOON;
    loop {
        assert_eq!(house.agent(&other, &contact(1), "goes").await.status, 200);
        house.afilnet.fault("sendmessage:INCORRECT_FILEURL").unwrap();
        if house.agent(&other, &contact(1), "refused").await.status == 400 {
            break;
        }
        assert!(losing.lock().unwrap().is_some(), "answered 200 though no agent is told");
        assert!(Instant::now() < deadline, "no verdict is waited for");
        house.settled().await; // or several refusals in a row would pause the account
    }
    assert_eq!(*losing.lock().unwrap(), None, "the commit was carried out");
    house.settled().await;
    let failed = house.messages("failed").len();
    assert!(
        house.bonychat.until(SOON, |world| world.event_count() == failed - 1).await,
        "of all but this the agent hears"
    );
    drop((owner, other));
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_whose_beginning_was_not_answered_are_sent_once_and_in_order() {
    let losing = Losing::default();
    let Some((_way, url)) = gate_that_loses(&losing).await else { return };
    // Statements that do not stay prepared are sent as text every time.
    let url = format!("{url}&pgbouncer=true");
    let mut house = House::new().set("STORE__URL", &url).set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    for text in ["one", "two", "three"] {
        *losing.lock().unwrap() = Some("SET state = 'sending'".into());
        assert_eq!(house.agent(&bridge, &contact(1), text).await.status, 200);
        until("the commit was carried out", || losing.lock().unwrap().is_none()).await;
    }
    assert_eq!(house.agent(&bridge, &contact(1), "heard").await.status, 200);
    house.settled().await;
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["one", "two", "three", "heard"]);
    assert_eq!(house.messages("unconfirmed").len(), 0, "nobody was told that it began, so nobody sent it");
    drop(bridge);
    house.check();
}

/// A process that was cut off may hold a row for as long as the server lets it.
#[tokio::test(flavor = "multi_thread")]
async fn which_answers_were_received_is_recorded_though_the_row_of_one_is_locked_and_of_that_one_afterwards() {
    use sqlx::{Connection as _, Executor as _, PgConnection};
    let Some(mut house) = House::shared(1).await else { return };
    let bridge = house.start().await;
    let url = house.setting("STORE__URL").to_owned();
    let answered = async |m_id: &str| -> i64 {
        let mut link = PgConnection::connect(&url).await.unwrap();
        let asked = sqlx::query_scalar("SELECT answered FROM outbound WHERE m_id = $1");
        asked.bind(m_id).fetch_one(&mut link).await.unwrap()
    };
    let locked = house.agent(&bridge, &contact(1), "locked").await.m_id.unwrap();
    let mut holder = PgConnection::connect(&url).await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    sqlx::query("SELECT id FROM outbound WHERE m_id = $1 FOR UPDATE").bind(&locked).execute(&mut holder).await.unwrap();
    assert_ne!(answered(&locked).await, 1, "it is locked before it is recorded");
    let other = house.agent(&bridge, &contact(2), "other").await.m_id.unwrap();
    let deadline = Instant::now() + SOON;
    while answered(&other).await != 1 {
        assert!(Instant::now() < deadline, "the other is not recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(answered(&locked).await, 1);
    holder.execute("COMMIT").await.unwrap();
    while answered(&locked).await != 1 {
        assert!(Instant::now() < deadline, "the one that was locked is not recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(bridge);
    house.check();
}
