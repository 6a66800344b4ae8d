//! An Afilnet that records every byte it gets, and behaves as ordered.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the listener does after it has read a whole request.
#[derive(Clone)]
pub(super) enum Play {
    /// Writes these bytes and closes.
    Say(Vec<u8>),
    /// Writes these bytes and keeps the connection open without writing more.
    SayAndHang(Vec<u8>),
    Reset,
    /// Responds to the first request with these bytes, and resets the same connection after the second.
    SayThenReset(Vec<u8>),
}

pub(super) struct Afilnet {
    pub(super) url: String,
    pub(super) requests: Arc<Mutex<Vec<String>>>,
}

impl Afilnet {
    pub(super) async fn that(play: Play) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/http/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, play.clone(), Arc::clone(&kept)));
            }
        });
        Self { url, requests }
    }

    pub(super) async fn answering(json: &str) -> Self {
        Self::that(Play::Say(http(200, "", json))).await
    }

    pub(super) fn client(&self, transport: config::Transport) -> AfilnetClient {
        client_of(&channel(&self.url, transport))
    }

    pub(super) fn hasty(&self) -> AfilnetClient {
        let mut channel = channel(&self.url, config::Transport::Post);
        channel.afilnet.timeout = Duration::from_millis(300);
        client_of(&channel)
    }

    /// The only request there was: its head and its body.
    pub(super) fn request(&self) -> (String, String) {
        let requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1, "requests");
        let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

async fn serve(mut stream: TcpStream, play: Play, kept: Arc<Mutex<Vec<String>>>) {
    let Some(first) = request(&mut stream).await else { return };
    kept.lock().unwrap().push(first);
    match play {
        Play::Say(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Play::SayAndHang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        Play::Reset => stream.set_zero_linger().unwrap(),
        Play::SayThenReset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let Some(second) = request(&mut stream).await else { return };
            kept.lock().unwrap().push(second);
            stream.set_zero_linger().unwrap();
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    while !whole(&read) {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8(read).ok()
}

/// Whether `read` holds a whole request.
fn whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

pub(super) fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len()).into()
}

pub(super) fn to() -> Destination {
    "34600111222".parse().unwrap()
}

pub(super) fn pairs(form: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

pub(super) fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
