//! A minimal HTTP/1.1 server: a simulator must be able to break a connection at any byte, which a library server does
//! not allow. Reads requests with a length or in chunks, keeps connections alive, and ends each response by its
//! [`Ending`].

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::switchable_listener::SwitchableListener;

/// Largest request line with headers, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Largest request body, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// One request, read whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query of the request line.
    pub(super) target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    one_shot: bool,
}

impl Request {
    /// The first header of this name (lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The target's query, without `?`.
    pub(super) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The media type of the body, in lower case and without parameters.
    pub(super) fn media_type(&self) -> String {
        let whole = self.header("content-type").unwrap_or_default();
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All of it is sent.
    Whole,
    /// The full length is announced, half of the body is sent, the connection is closed.
    Truncated,
    /// The head at once, then the body one byte at a time with this pause before each.
    Drip(Duration),
    /// No answer: the connection is reset (RST).
    Reset,
    /// No answer: the connection stays open until the client leaves.
    Hang,
    /// No answer: the connection is reset and the port is closed for this long.
    Refused(Duration),
}

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) ending: Ending,
}

impl Reply {
    /// A whole answer of this media type.
    pub(super) fn new(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", media_type.to_owned())],
            body: body.into(),
            ending: Ending::Whole,
        }
    }

    /// A whole answer in JSON.
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An HTML page as a web server shows it, with the status for its title.
    pub(super) fn page(status: u16) -> Self {
        let title = format!("{status} {}", reason(status));
        let body = format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n");
        Self::new(status, "text/html; charset=UTF-8", body)
    }

    /// No response, only this ending.
    pub(super) fn nothing(ending: Ending) -> Self {
        Self { status: 200, headers: Vec::new(), body: Vec::new(), ending }
    }

    /// The same answer with one more header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn head(&self, keep_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let _ = write!(head, "content-length: {}\r\nconnection: {connection}\r\n\r\n", self.body.len());
        head.into_bytes()
    }
}

/// Returns the reason phrase of a status.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// What answers requests.
pub(super) trait Service: Send + Sync + 'static {
    /// Answers one request.
    fn serve(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Serves one connection until either side ends it.
pub(super) async fn converse<S: Service>(stream: TcpStream, service: Arc<S>, listener: Arc<SwitchableListener>) {
    let mut connection = Connection { stream, unread: Vec::new() };
    loop {
        match connection.exchange(&*service, &listener).await {
            Ok(true) => {}
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                // The client may be gone already; then the response is not needed.
                let _ = connection.answer(&Reply::page(400), false).await;
                return;
            }
            Ok(false) | Err(_) => return,
        }
    }
}

fn malformed() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

/// Where `needle` begins in `bytes`.
pub(super) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

struct Connection {
    stream: TcpStream,
    /// Bytes received and not yet used.
    unread: Vec<u8>,
}

impl Connection {
    /// One request and its answer. `false`: the connection is over.
    async fn exchange<S: Service>(&mut self, service: &S, listener: &Arc<SwitchableListener>) -> io::Result<bool> {
        let Some(request) = self.request().await? else { return Ok(false) };
        let keep_alive = !request.one_shot;
        let reply = service.serve(request).await;
        match reply.ending {
            Ending::Whole => {
                self.answer(&reply, keep_alive).await?;
                Ok(keep_alive)
            }
            Ending::Truncated => {
                let mut bytes = reply.head(keep_alive);
                bytes.extend_from_slice(&reply.body[..reply.body.len() / 2]);
                self.write(&bytes).await?;
                Ok(false)
            }
            Ending::Drip(pause) => {
                self.write(&reply.head(keep_alive)).await?;
                for byte in &reply.body {
                    tokio::time::sleep(pause).await;
                    self.write(&[*byte]).await?;
                }
                Ok(keep_alive)
            }
            Ending::Reset => self.reset(),
            Ending::Hang => {
                while self.fill().await? {
                    self.unread.clear();
                }
                Ok(false)
            }
            Ending::Refused(pause) => {
                listener.close_for(pause);
                self.reset()
            }
        }
    }

    async fn answer(&mut self, reply: &Reply, keep_alive: bool) -> io::Result<()> {
        let mut bytes = reply.head(keep_alive);
        bytes.extend_from_slice(&reply.body);
        self.write(&bytes).await
    }

    /// Makes the drop of the socket send RST instead of FIN.
    fn reset(&self) -> io::Result<bool> {
        self.stream.set_zero_linger()?;
        Ok(false)
    }

    /// The next request; `None` where the client closed before its first byte.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end + 4;
            }
            if self.unread.len() > MAX_HEAD {
                return Err(malformed());
            }
            if !self.fill().await? {
                return if self.unread.is_empty() { Ok(None) } else { Err(malformed()) };
            }
        };
        let head = self.take(end).await?;
        let mut request = parse_head(&String::from_utf8_lossy(&head)).ok_or_else(malformed)?;
        if request.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = if request.header("transfer-encoding").is_some_and(|e| e.eq_ignore_ascii_case("chunked")) {
            self.chunks().await?
        } else {
            let length = request.header("content-length").map_or(Ok(0), str::parse).map_err(|_| malformed())?;
            self.take(length).await?
        };
        Ok(Some(request))
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| malformed())?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if size > MAX_BODY || body.len() + size > MAX_BODY {
                return Err(malformed());
            }
            body.extend(self.take(size).await?);
            self.line().await?;
        }
    }

    /// The bytes up to the next line end, without it.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                let line = self.take(end + 2).await?;
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.unread.len() > MAX_HEAD || !self.fill().await? {
                return Err(malformed());
            }
        }
    }

    /// The next `length` bytes.
    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > MAX_BODY {
            return Err(malformed());
        }
        while self.unread.len() < length {
            if !self.fill().await? {
                return Err(malformed());
            }
        }
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Waits for more bytes. `false`: the client sends no more.
    async fn fill(&mut self) -> io::Result<bool> {
        loop {
            self.stream.readable().await?;
            match self.read_block() {
                Ok(count) => return Ok(count > 0),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads what has come, without waiting. Not part of `fill`, since the block would enlarge its future.
    fn read_block(&mut self) -> io::Result<usize> {
        let mut block = [0; 16 * 1024];
        let count = self.stream.try_read(&mut block)?;
        self.unread.extend_from_slice(&block[..count]);
        Ok(count)
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Request line and headers.
fn parse_head(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return None;
    }
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method: method.to_owned(), target: target.to_owned(), headers, ..Request::default() };
    let asked = request.header("connection").unwrap_or_default().to_ascii_lowercase();
    request.one_shot = asked.contains("close") || (version == "HTTP/1.0" && !asked.contains("keep-alive"));
    Some(request)
}
