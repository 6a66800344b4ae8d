//! The fate of a response, by what its connection does.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::domain::content::Text;
use crate::domain::{Content, MId};
use crate::http::dedup::tracker::{PendingResponse, SETTLE};
use crate::store::open::SqliteStore;
use crate::store::{AcceptOutcome, Caller, NewOutbound, Store};

fn weak(conn: &Arc<Connection>) -> Weak<dyn CallerConnection> {
    Arc::<Connection>::downgrade(conn)
}

/// A tracker over its own store, and its recording task.
struct Room {
    tracker: Arc<ResponseTracker>,
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
    recorder: tokio::task::JoinHandle<()>,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let tracker = ResponseTracker::new(&store);
        let recorder = tokio::spawn({
            let tracker = Arc::clone(&tracker);
            async move { tracker.run().await }
        });
        Self { tracker, store, folder, recorder }
    }

    /// A call with the text `words`, as the handler treats it. Returns its message, and whether the call was a repeat.
    async fn call(&self, words: &str) -> (PendingResponse, MId, bool) {
        self.call_on(words, None).await
    }

    /// As [`Self::call`], on a connection.
    async fn call_on(&self, words: &str, conn: Option<&Arc<Connection>>) -> (PendingResponse, MId, bool) {
        let message = message(words);
        let (answering, earlier) =
            self.tracker.open(&message.channel, &message.contact, &message.content, conn.map(weak));
        self.tracker.settled(earlier).await;
        let fresh = message.m_id.clone();
        match answering.store(message).await.unwrap().outcome {
            AcceptOutcome::New => (answering, fresh, false),
            AcceptOutcome::RepeatOf(first) => (answering, first, true),
            refused => panic!("{refused:?}"),
        }
    }
}

fn message(words: &str) -> NewOutbound {
    NewOutbound {
        m_id: MId::fresh(),
        channel: "support".parse().unwrap(),
        contact: "+34600111222".parse().unwrap(),
        other_spelling: None,
        destination: "34600111222".parse().unwrap(),
        content: Content::Text { text: Text::new(words).unwrap() },
        request_id: String::new(),
        accepted_ms: 10,
        key: None,
        waits: Duration::ZERO,
        is_drained: false,
        caller: Caller::stays(),
    }
}

type Happens = fn(&Connection);

/// What happens on a connection after a response was handed over to it, and whether that response is lost.
const HISTORIES: &[(&str, &[Happens], bool)] = &[
    (
        "written, then asked again",
        &[|c| c.wrote(9), Connection::flushed, |c| c.read(9), Connection::asked, Connection::reset],
        false,
    ),
    (
        "written to one that had asked again before, then reset",
        &[|c| c.read(9), |c| c.wrote(9), Connection::flushed, Connection::asked, Connection::reset],
        true,
    ),
    ("written, then a clean end", &[|c| c.wrote(9), Connection::flushed, Connection::ended, Connection::reset], false),
    ("written, then reset", &[|c| c.wrote(9), Connection::flushed, Connection::reset, Connection::ended], true),
    ("reset in the middle", &[|c| c.wrote(9), Connection::reset], true),
    ("a clean end in the middle", &[|c| c.wrote(9), Connection::ended], true),
    ("ended before a byte", &[Connection::ended], true),
    ("flushed before a byte, then ended", &[Connection::flushed, Connection::ended], true),
    ("asked again before it was written, then reset", &[Connection::asked, |c| c.wrote(9), Connection::reset], true),
];

#[tokio::test]
async fn an_answer_is_lost_or_has_reached_its_caller_by_what_its_connection_does() {
    let room = Room::new();
    for (what, history, lost) in HISTORIES {
        let conn = Connection::new(&room.tracker, Weak::new());
        conn.wrote(100); // a response before
        let (answering, m_id, repeat) = room.call(what).await;
        assert!(!repeat, "{what}");
        answering.goes_out_on(Some(&*conn));
        history.iter().for_each(|happens| happens(&conn));
        let (answering, again, repeat) = room.call(what).await;
        assert_eq!((again == m_id, repeat), (*lost, *lost), "{what}");
        answering.reached();
    }
}

#[tokio::test]
async fn a_connection_that_stays_open_after_the_answer_has_brought_it() {
    let room = Room::new();
    let conn = Connection::new(&room.tracker, Weak::new());
    let (answering, first, _) = room.call("a").await;
    answering.goes_out_on(Some(&*conn));
    conn.wrote(9);
    conn.flushed();
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while conn.is_open() {
        assert!(tokio::time::Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    }
    conn.reset();
    let (_, second, repeat) = room.call("a").await;
    assert!(!repeat && first != second);
}

#[tokio::test]
async fn a_caller_that_hangs_up_before_its_answer_may_call_again() {
    let room = Room::new();
    let (answering, first, _) = room.call("a").await;
    drop(answering);
    let (answering, again, repeat) = room.call("a").await;
    assert_eq!((again, repeat), (first.clone(), true));
    // The repeat is lost as well; a third call is of the same message, and once its response is received a fourth is
    // not.
    drop(answering);
    let (answering, again, repeat) = room.call("a").await;
    assert_eq!((again, repeat), (first, true));
    answering.reached();
    assert!(!room.call("a").await.2);
}

#[tokio::test]
async fn an_equal_call_waits_a_moment_for_the_loss_of_the_one_before_it() {
    let room = Room::new();
    let (answering, first, _) = room.call("a").await;
    let ((_again, m_id, repeat), ()) = tokio::join!(room.call("a"), async {
        tokio::task::yield_now().await;
        drop(answering);
    });
    assert_eq!((m_id, repeat), (first, true));
}

#[tokio::test]
async fn equal_calls_that_are_both_alive_are_two_messages() {
    let room = Room::new();
    let (first, a, _) = room.call("a").await;
    let (second, b, repeat) = room.call("a").await;
    assert!(a != b && !repeat);
    first.reached();
    second.reached();
}

#[tokio::test]
async fn what_was_answered_before_a_stop_is_known_after_it() {
    let Room { tracker, store, folder, recorder } = {
        let room = Room::new();
        let conn = Connection::new(&room.tracker, Weak::new());
        room.call("a").await.0.goes_out_on(Some(&*conn));
        conn.wrote(9);
        conn.flushed();
        room
    };
    tracker.close();
    recorder.await.unwrap();
    store.close().await;
    drop((tracker, store));
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
    store.take_ownership(&"support".parse().unwrap()).await.unwrap();
    assert_eq!(store.accept(message("a")).await.unwrap().outcome, AcceptOutcome::New);
}

#[tokio::test]
async fn a_loss_is_recorded_at_the_stop_though_the_store_fails_for_a_moment() {
    let room = Room::new();
    let (file, away) = (room.folder.path().join("bridge.db"), room.folder.path().join("away"));
    let (answering, first, _) = room.call("a").await;
    std::fs::rename(&file, &away).unwrap();
    assert!(room.store.accept(message("another")).await.is_err());
    drop(answering);
    let back = tokio::spawn(async move {
        sleep(Duration::from_millis(700)).await; // the store fails for so long
        std::fs::rename(&away, &file).unwrap();
    });
    room.tracker.close();
    room.recorder.await.unwrap();
    back.await.unwrap();
    assert_eq!(room.store.accept(message("a")).await.unwrap().outcome, AcceptOutcome::RepeatOf(first));
}

/// A response that has arrived at a caller, which has not read it: the caller, the stream that is not polled any more,
/// as on a busy machine, and the message.
async fn arrived(room: &Room) -> (TcpStream, TrackedStream, MId) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut stream, service) =
        TrackConnections(Arc::clone(&room.tracker)).accept(listener.accept().await.unwrap().0, ()).await.unwrap();
    let (answering, m_id, _) = room.call_on("a", Some(&service.conn)).await;
    answering.goes_out_on(Some(&*service.conn));
    stream.write_all(b"answer").await.unwrap();
    stream.flush().await.unwrap();
    caller.readable().await.unwrap();
    (caller, stream, m_id)
}

#[tokio::test]
async fn a_reset_counts_before_the_connections_own_task_comes_to_it() {
    let room = Room::new();
    let (caller, _stream, first) = arrived(&room).await;
    drop(caller);
    let (_again, m_id, repeat) = room.call("a").await;
    assert_eq!((m_id, repeat), (first, true));
}

#[tokio::test]
async fn an_answer_does_not_count_as_read_while_a_reset_waits_for_the_connections_own_task() {
    let room = Room::new();
    let (caller, _stream, first) = arrived(&room).await;
    drop(caller);
    sleep(SETTLE + Duration::from_millis(500)).await; // the task does not run for so long
    let (_again, m_id, repeat) = room.call("a").await;
    assert_eq!((m_id, repeat), (first, true));
}

#[tokio::test]
async fn a_clean_end_that_waits_for_the_connections_own_task_is_waited_for() {
    let room = Room::new();
    let (mut caller, mut stream, first) = arrived(&room).await;
    assert_eq!(caller.read(&mut [0; 9]).await.unwrap(), 6);
    drop(caller);
    let ((_second, m_id, repeat), ()) = tokio::join!(room.call("a"), async {
        sleep(Duration::from_millis(500)).await; // the task does not run for so long
        stream.shutdown().await.unwrap();
    });
    assert!(m_id != first && !repeat);
}

#[tokio::test]
async fn a_caller_is_there_until_the_kernel_knows_that_it_is_not() {
    let room = Room::new();
    let (caller, stream, _) = arrived(&room).await;
    assert!(!stream.conn.is_over());
    drop(caller);
    assert!(stream.conn.is_over() && stream.conn.is_over());
}

/// A caller gives up while a response is on its way: it reads nothing, and its reset comes after its clean end.
#[tokio::test]
async fn an_answer_that_crosses_the_callers_end_is_lost() {
    let room = Room::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut stream, service) =
        TrackConnections(Arc::clone(&room.tracker)).accept(listener.accept().await.unwrap().0, ()).await.unwrap();
    let (answering, first, _) = room.call("a").await;
    answering.goes_out_on(Some(&*service.conn));
    drop(caller);
    stream.write_all(b"answer").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0, "a clean end, as far as can be read");
    stream.shutdown().await.unwrap();
    drop(stream);
    let (_again, m_id, repeat) = room.call("a").await;
    assert_eq!((m_id, repeat), (first, true));
}
