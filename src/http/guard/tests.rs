//! The limits of one connection, over a pipe with room for 64 bytes and on paused time.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::Semaphore;

use super::*;

impl Abort for DuplexStream {
    fn abort(&self) {}
}

/// A guarded stream whose peer has room for 64 bytes, that peer, and the slots of the listener.
fn connection(slots: usize) -> (GuardedStream<DuplexStream>, DuplexStream, std::sync::Arc<Semaphore>) {
    let slots = std::sync::Arc::new(Semaphore::new(slots));
    let slot = Slot(std::sync::Arc::clone(&slots).try_acquire_owned().unwrap());
    let (io, peer) = duplex(64);
    let address = ([127, 0, 0, 1], 1).into();
    (GuardedStream { io, peer: address, slot, blocked: None, replacement: None, closing: None }, peer, slots)
}

/// Writes `response` whole and returns how that ended, and after how many seconds.
async fn write(stream: &mut GuardedStream<DuplexStream>, response: &[u8]) -> (Result<(), io::ErrorKind>, u64) {
    let started = Instant::now();
    let outcome = async {
        stream.write_all(response).await?;
        stream.flush().await
    };
    let outcome = outcome.await.map_err(|error| error.kind());
    (outcome, started.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_cut_off() {
    let (mut stream, _peer, _slots) = connection(2);
    assert_eq!(write(&mut stream, &[0; 64]).await, (Ok(()), 0));
    assert_eq!(write(&mut stream, &[0; 1]).await, (Err(io::ErrorKind::TimedOut), 20));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_cut_off_sooner_where_others_wait_for_its_place() {
    let (mut stream, _peer, _slots) = connection(1);
    assert_eq!(write(&mut stream, &[0; 65]).await, (Err(io::ErrorKind::TimedOut), 1));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_a_byte_now_and_then_is_cut_off_as_well() {
    let (mut stream, mut peer, _slots) = connection(2);
    let reader = tokio::spawn(async move {
        while peer.read_u8().await.is_ok() {
            sleep(Duration::from_millis(900)).await;
        }
    });
    assert_eq!(write(&mut stream, &[0; 200]).await, (Err(io::ErrorKind::TimedOut), 20));
    reader.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_that_takes_each_response_in_time_is_served() {
    let (mut stream, mut peer, _slots) = connection(2);
    let reader = tokio::spawn(async move {
        let mut all = [0; 640];
        for part in all.chunks_mut(64) {
            sleep(Duration::from_secs(15)).await;
            peer.read_exact(part).await.unwrap();
        }
    });
    for _ in 0..10 {
        assert_eq!(write(&mut stream, &[0; 64]).await.0, Ok(()));
    }
    reader.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_parser_is_replaced_whole_however_little_the_peer_takes() {
    let (mut stream, mut peer, _slots) = connection(2);
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        String::from_utf8(all).unwrap()
    });
    let bare = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(write(&mut stream, bare).await, (Ok(()), 0));
    drop(stream);
    let response = reader.await.unwrap();
    assert!(response.ends_with("Messages go to POST /message.\"}}"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_still_writes_after_the_last_response_is_discarded_for_a_while() {
    // Closes by itself.
    let (mut stream, mut peer, _slots) = connection(2);
    let writer = tokio::spawn(async move {
        peer.write_all(&vec![0; 100_000]).await.unwrap();
        peer
    });
    let started = Instant::now();
    let (closed, peer) = tokio::join!(stream.shutdown(), async { drop(writer.await.unwrap()) });
    closed.unwrap();
    let () = peer;
    assert!(started.elapsed() < LINGER_WITHIN, "{:?}", started.elapsed());
    // Sends nothing more, and stays open.
    let (mut stream, _peer, _slots) = connection(2);
    let started = Instant::now();
    stream.shutdown().await.unwrap();
    assert!(started.elapsed() >= LINGER_WITHIN && started.elapsed() < LINGER_WITHIN * 2, "{:?}", started.elapsed());
    // Never ends.
    let (mut stream, mut peer, _slots) = connection(2);
    let writer = tokio::spawn(async move {
        let mut written = 0_usize;
        while peer.write_all(&[0; 64]).await.is_ok() {
            written += 64;
        }
        written
    });
    stream.shutdown().await.unwrap();
    drop(stream);
    let written = writer.await.unwrap();
    assert!((LINGER_BYTES..LINGER_BYTES + 16_384).contains(&written), "{written}");
}
