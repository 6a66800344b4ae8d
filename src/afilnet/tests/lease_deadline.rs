//! Calls of a process with an expired lease: not a byte of them is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::listener::{Afilnet, to};
use super::*;
use crate::domain::LeaseDeadline;
use crate::domain::clock::now_ms;

/// Counts the bytes that arrive; responds nothing.
async fn counting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/http/", listener.local_addr().unwrap());
    let bytes = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&bytes);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut chunk = [0; 4096];
            while let Ok(n) = stream.read(&mut chunk).await
                && n > 0
            {
                count.fetch_add(n, Ordering::SeqCst);
            }
        }
    });
    (url, bytes)
}

#[tokio::test]
async fn behind_a_closed_fence_no_call_is_made_and_it_is_known_as_not_sent() {
    let issuer = Afilnet::answering(json_and_soap::TOKEN).await;
    let json = json_and_soap::oauth(&issuer.url, config::Grant::ClientCredentials);
    for transport in [
        config::Transport::Post,
        config::Transport::Basic,
        config::Transport::Get,
        json,
        json_and_soap::soap_transport(),
    ] {
        let afilnet = Afilnet::answering(r#"{"status":"SUCCESS","result":[]}"#).await;
        let lease_deadline = LeaseDeadline::expired();
        let client = afilnet.client(transport).behind(&lease_deadline);
        let verdict = client.send(&to(), &text("Hola"), 0, None).await.outcome;
        assert_eq!(verdict, Verdict::NotSent { fault: Fault::Interrupted, asked: None });
        assert_eq!(afilnet.requests.lock().unwrap().len(), 0);
        lease_deadline.extend_to(now_ms() + 60_000);
        assert_eq!(client.send(&to(), &text("Hola"), 0, None).await.outcome, Verdict::Sent { afilnet_id: None });
    }
}

#[tokio::test]
async fn a_fence_that_closes_while_the_connection_is_made_lets_no_byte_through() {
    let (url, bytes) = counting().await;
    let http = client(Duration::from_secs(10), &[]).unwrap();
    // The body is polled once the connection stands, and before the head is written.
    let body = reqwest::Body::wrap(LeaseDeadline::expired().guard(Bytes::from_static(b"message=Hola")));
    let error = http.post(&url).body(body).send().await.unwrap_err();
    assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
    assert_eq!(super::super::failure::failure(&error), super::super::classify::Failure::BeforeSend(Fault::Interrupted));
    assert_eq!(bytes.load(Ordering::SeqCst), 0);
}
