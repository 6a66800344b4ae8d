//! Parameters as clients of Afilnet send them: query, urlencoded form, multipart form, Basic credentials.

use std::collections::BTreeMap;

use super::wire::{Request, find};

/// Parameters by name; of two with one name the last counts, as in PHP.
pub(super) type Params = BTreeMap<String, String>;

/// Parses a query or an urlencoded body.
pub(super) fn urlencoded(bytes: &[u8]) -> Params {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// Parses the body by its content type; empty if that is not a form.
pub(super) fn body(request: &Request) -> Params {
    match request.media_type().as_str() {
        "application/x-www-form-urlencoded" => urlencoded(&request.body),
        "multipart/form-data" => {
            let boundary = request.header("content-type").and_then(|whole| attribute(whole, "boundary"));
            boundary.map_or_else(Params::new, |boundary| multipart(&request.body, &boundary))
        }
        _ => Params::new(),
    }
}

/// `name="value"` or `name=value` out of a header.
fn attribute(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn multipart(body: &[u8], boundary: &str) -> Params {
    let opening = format!("--{boundary}\r\n");
    let closing = format!("\r\n--{boundary}");
    let mut params = Params::new();
    let mut rest = body;
    while let Some(at) = find(rest, opening.as_bytes()) {
        let part = &rest[at + opening.len()..];
        let (Some(blank), Some(end)) = (find(part, b"\r\n\r\n"), find(part, closing.as_bytes())) else { break };
        if blank + 4 <= end {
            let head = String::from_utf8_lossy(&part[..blank]);
            let named = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"));
            if let Some(name) = named.and_then(|line| attribute(line, "name")) {
                params.insert(name, String::from_utf8_lossy(&part[blank + 4..end]).into_owned());
            }
        }
        // The line break before a boundary belongs to it; what follows may be the next opening.
        rest = &part[(end + 2).min(part.len())..];
    }
    params
}

/// User and password of an `Authorization: Basic` header.
pub(super) fn basic(request: &Request) -> Option<(String, String)> {
    let (scheme, code) = request.header("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64(code.trim())?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn base64(code: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(code.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for c in code.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_be_bytes()[3]);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]
    use super::*;

    #[test]
    fn a_multipart_body_holds_its_parts() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"class\"\r\n\r\nchat\r\n--b\r\n\
                    content-disposition: form-data; name=message\r\nContent-Type: text/plain\r\n\r\n\
                    two\r\nlines --b ñ\r\n--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n--b--\r\n";
        let params = multipart(body.as_bytes(), "b");
        let found: Vec<_> = params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, [("class", "chat"), ("message", "two\r\nlines --b ñ"), ("x", "")]);
        assert!(multipart(b"--b\r\nno end", "b").is_empty());
        assert!(multipart(b"", "b").is_empty());
    }

    #[test]
    fn base64_is_read() {
        assert_eq!(base64("dXNlcjpwYXNzd29yZA==").unwrap(), b"user:password");
        assert_eq!(base64("w7E=").unwrap(), "ñ".as_bytes());
        assert!(base64("*").is_none());
    }
}
