//! Requests that are not HTTP, or have too large a header, never reach a handler: hyper responds by itself, with a
//! status and an empty body. Such a response is recognised here and replaced by one that states the error, like every
//! other.

use std::io::IoSlice;
use std::net::IpAddr;

use bytes::Bytes;

use crate::bonychat::wire;
use crate::telemetry::Refusal;

/// Most bytes of a request's header, its first line included. BonyChat's have about 400; a proxy adds as many.
pub(super) const HEADER_BYTES: usize = 16 * 1024;

/// hyper's own responses are shorter: a status line, `content-length: 0`, `connection` and `date`.
const LONGEST: usize = 200;

/// Returns the response to write in place of `bufs`, and how many bytes it replaces, if `bufs` is a response of hyper's
/// own. No handler gives an error without a body, so an empty body identifies them.
pub(super) fn replacement(bufs: &[IoSlice<'_>], peer: IpAddr) -> Option<(Bytes, usize)> {
    let length = bufs.iter().map(|buf| buf.len()).sum();
    if length > LONGEST {
        return None;
    }
    let whole: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
    let status_line = status_line_of_empty_error(std::str::from_utf8(&whole).ok()?)?;
    let body = wire::error_body(&words(status_line));
    if let Some(times) = Refusal::Malformed.count_and_sample() {
        tracing::warn!(
            %peer, status = status_line, times,
            "refused what is not a request of HTTP/1.1, or has more than {HEADER_BYTES} bytes of header"
        );
    }
    let response = format!(
        "{status_line}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    Some((response.into(), length))
}

/// Returns the status line if `response` is a whole 4xx without a body.
fn status_line_of_empty_error(response: &str) -> Option<&str> {
    let (status_line, headers) = response.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let (version, status) = status_line.split_once(' ')?;
    let is_error = version.starts_with("HTTP/1.") && status.starts_with('4');
    (is_error && headers.split("\r\n").any(|header| header.eq_ignore_ascii_case("content-length: 0")))
        .then_some(status_line)
}

/// Returns the text of the error, for integrators and operators in English only: BonyChat's calls do not get here.
fn words(status_line: &str) -> String {
    match status_line.split(' ').nth(1) {
        Some("431") => format!(
            "The request's header has more than {HEADER_BYTES} bytes or more than 100 lines, so nothing was sent. Send a \
             shorter one."
        ),
        Some("414") => "The request's address is too long, so nothing was sent. Messages go to POST /message.".into(),
        _ => "The request is not valid HTTP/1.1, so nothing was sent. Messages go to POST /message.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(parts: &[&str]) -> Option<(String, usize)> {
        let bufs: Vec<_> = parts.iter().map(|part| IoSlice::new(part.as_bytes())).collect();
        let (response, replaced) = replacement(&bufs, [127, 0, 0, 1].into())?;
        Some((String::from_utf8(response.to_vec()).unwrap(), replaced))
    }

    #[test]
    fn an_error_without_a_body_gets_one_and_nothing_else_is_touched() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        for parts in [&[bare][..], &[&bare[..20], &bare[20..]]] {
            let (response, length) = replaced(parts).unwrap();
            assert_eq!(length, bare.len());
            assert!(response.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{response}");
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{response}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(body["error"]["message"].as_str().unwrap().contains("nothing was sent"), "{body}");
        }
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "",
        ] {
            assert_eq!(replaced(&[other]), None, "{other:?}");
        }
    }
}
