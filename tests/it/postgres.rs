//! The bridge over PostgreSQL: a database that cannot be reached, goes away, or falls silent. What it promises besides is
//! shown by every other test of this binary with `BRIDGE_TEST_STORE=postgres`.

use std::time::{Duration, Instant};

use bridge::sim::postgres;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::support::{House, contact, get, until, until_within};

/// What stands between the bridge and its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// As where nobody listens: connections end, and none is made.
    Closed,
    /// As behind a cut cable: nothing ends and nothing comes.
    Silent,
}

/// A port of its own before the database, and the URL of a schema through it; `None` where there is no PostgreSQL.
async fn gate() -> Option<(watch::Sender<Way>, String)> {
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
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (way, socket, far) = (way.clone(), socket.clone(), far.clone());
            tokio::spawn(async move {
                match socket {
                    Some(path) => carry(near, UnixStream::connect(path).await.unwrap(), way).await,
                    None => carry(near, TcpStream::connect(far).await.unwrap(), way).await,
                }
            });
        }
    });
    Some((set, url.into()))
}

/// Carries both ways while the way is open. A connection that has met silence never speaks again.
async fn carry(mut near: TcpStream, mut far: impl AsyncRead + AsyncWrite + Unpin, mut way: watch::Receiver<Way>) {
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
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
    until_within(Duration::from_secs(5), "it is not ready", || get(&bridge.url(), "/readyz").0 == 503).await;
    println!("not ready {:?} after the database went", gone.elapsed());
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
