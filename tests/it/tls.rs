//! Platforms with a certificate that only an extra CA file verifies. `tests/fixtures/tls` holds that CA's certificate
//! and, for `localhost` and these tests alone, a certificate with its key; both are good for 100 years.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::postgres::Server;

use crate::support::{House, contact, until};

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 32\r\nconnection: close\r\n\r\n{\"status\":\"SUCCESS\",\"result\":[]}";

/// Responds to every request with an empty list. Returns its URL, and counts the requests.
async fn far_side() -> (String, Arc<AtomicUsize>) {
    let fixture = |name: &str| format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/far", listener.local_addr().unwrap().port());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 4096]).await;
                count.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(ANSWER.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn afilnet_is_trusted_by_its_ca_file_alone() {
    let (url, requests) = far_side().await;
    let house = House::new().set("AFILNET__URL", &url);
    let refused = house.run(&["channels"]);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("certificate does not prove who it is"), "{words}");
    assert!(words.contains("localhost: nobody whom this machine trusts vouches for its certificate"), "{words}");
    assert_eq!(requests.load(Ordering::Relaxed), 0);
    let trusted = house.set("AFILNET__CA_FILE", CA).run(&["channels"]);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    assert!(requests.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_side_that_cannot_be_reached_is_named_with_the_cause_once() {
    let (url, requests) = far_side().await;
    let house = House::new();
    for (url, causes) in [
        ("http://127.0.0.1:1/", ["127.0.0.1: the connection was refused", "nothing listens at that port"]),
        ("https://no-such-host.invalid/", ["no-such-host.invalid:", "DNS"]),
    ] {
        let mut channels = house.command(&["channels"]);
        let refused = channels.env("BRIDGE__AFILNET__URL", url).output().unwrap();
        let words = String::from_utf8_lossy(&refused.stderr);
        assert!(causes.iter().all(|cause| words.contains(cause)), "{url}: {words}");
    }
    let mut house =
        house.set("BONYCHAT__WEBHOOK_URL", &url).set("BONYCHAT__REQUESTS_PER_SECOND", "20").set("LOG__LEVEL", "debug");
    let bridge = house.start().await;
    let told = || bridge.log().iter().filter(|line| line.contains("no connection to localhost: nobody whom")).count();
    for n in 0..3 {
        house.customer(&contact(n), "hello");
    }
    until("the cause is told", || told() > 0).await;
    let failed = || bridge.log().iter().filter(|line| line.contains("no answer from BonyChat to event")).count();
    until("calls have failed", || failed() > 2).await;
    assert_eq!((told(), requests.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_trusted_by_its_ca_file() {
    let (url, requests) = far_side().await;
    let mut house = House::new()
        .set("BONYCHAT__WEBHOOK_URL", &url)
        .set("BONYCHAT__REQUESTS_PER_SECOND", "20")
        .set("BONYCHAT__CA_FILE", CA);
    let _bridge = house.start().await;
    house.customer(&contact(1), "hello");
    until("the event came", || requests.load(Ordering::Relaxed) > 0).await;
}

#[test]
fn a_ca_file_without_certificates_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pem");
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    std::fs::write(&broken, format!("{begin}\nAAAA\n{end}\n")).unwrap();
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/server.key");
    for file in [broken.to_str().unwrap(), key, "/no/such/file.pem"] {
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_bridge"));
        check.arg("check").env_clear().env("BRIDGE__AFILNET__CA_FILE", file).env("BRIDGE__BONYCHAT__CA_FILE", file);
        let check = check.output().unwrap();
        let words = String::from_utf8_lossy(&check.stderr);
        assert_eq!(check.status.code(), Some(2), "{words}");
        for named in ["afilnet.ca_file (environment", "bonychat.ca_file (environment", file] {
            assert!(words.contains(named), "{named}: {words}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_verified_as_users_of_libpq_expect() {
    let fixture = |name: &str| format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read(fixture(name)).unwrap();
    let Some(server) = Server::with_certificate(&read("server.pem"), &read("server.key")).await else { return };
    let url = |host: &str, query: &str| format!("postgres://bridge@{host}:{}/postgres?{query}", server.port());
    let other = fixture("server.pem"); // signs no certificate
    for (host, query, words) in [
        ("localhost", "sslmode=verify-full".to_owned(), "nobody whom this machine trusts"),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), "its certificate"),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), "its certificate"),
        ("localhost", "sslrootcert=system".to_owned(), "sslrootcert of store.url"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={CA}"), "for another host name"),
    ] {
        let house = House::new().set("STORE__URL", &url(host, &query));
        let (code, said) = house.refused_start().await;
        assert_eq!(code, Some(1), "{query}: {said}");
        let whole =
            said.contains(words) && said.contains("check store.url") && said.contains("invalid peer certificate");
        assert!(whole, "{query}: {said}");
    }
    for (host, query) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={CA}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={CA}")),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={CA}")),
    ] {
        let mut house = House::new().set("STORE__URL", &url(host, &query));
        let bridge = house.start().await;
        assert_eq!(house.agent(&bridge, &contact(1), "over TLS").await.status, 200, "{query}");
        let mut link = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url()).await.unwrap();
        let plain = "SELECT COUNT(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
             WHERE NOT s.ssl AND a.client_addr IS NOT NULL";
        let plain: i64 = sqlx::query_scalar(plain).fetch_one(&mut link).await.unwrap();
        assert_eq!(plain, 0, "{query}");
    }
}
