//! Answers in the character set that they declare.

use super::json_and_soap::soap_transport;
use super::listener::{Afilnet, Play, to};
use super::*;

const WORDS: &str = "\u{bf}cu\u{e1}nto a \u{d1}u\u{f1}oa?";

/// An answer with one row that says `words`, in the bytes of the caller.
fn rows(words: &[u8]) -> Vec<u8> {
    let (before, after) =
        (br#"{"status":"SUCCESS","result":{"list":[{"messageid":"7","sent":"0","message":""#, br#""}]}}"#);
    [before.as_slice(), words, after.as_slice()].concat()
}

fn in_xml(declaration: &str, json: &[u8]) -> Vec<u8> {
    let before = format!("{declaration}<s:Envelope xmlns:s=\"x\"><s:Body><aResponse><return>");
    [before.as_bytes(), json, b"</return></aResponse></s:Body></s:Envelope>"].concat()
}

/// The words of the only row that is read of such an answer.
async fn read(transport: config::Transport, content_type: &str, body: &[u8]) -> String {
    let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\nconnection: close\r\n{content_type}\r\n", body.len());
    let afilnet = Afilnet::that(Play::Say([head.as_bytes(), body].concat())).await;
    let rows = afilnet.client(transport).messages(&to()).await.unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    row.text.clone()
}

fn latin1(words: &str) -> Vec<u8> {
    words.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

#[tokio::test]
async fn json_is_read_in_the_charset_that_its_header_declares() {
    let post = || config::Transport::Post;
    let latin = rows(&latin1(WORDS));
    for charset in ["iso-8859-1", "ISO-8859-1", "\"windows-1252\"", "latin1"] {
        let header = format!("content-type: text/html; charset={charset}\r\n");
        assert_eq!(read(post(), &header, &latin).await, WORDS, "{charset}");
    }
    for header in ["", "content-type: application/json\r\n", "content-type: text/html; charset=UTF-8\r\n"] {
        assert_eq!(read(post(), header, &rows(WORDS.as_bytes())).await, WORDS, "{header}");
        assert_eq!(read(post(), header, &[b"\xef\xbb\xbf", rows(WORDS.as_bytes()).as_slice()].concat()).await, WORDS);
        // As before: a wrong byte harms only itself.
        assert_eq!(read(post(), header, &rows(b"a\xf1o")).await, "a\u{fffd}o", "{header}");
    }
    // Declared by a server that knows nothing of what the program behind it writes.
    for charset in ["iso-8859-1", "windows-1252"] {
        let (header, long) = (format!("content-type: text/html; charset={charset}\r\n"), WORDS.repeat(20_000));
        assert_eq!(read(post(), &header, &rows(WORDS.as_bytes())).await, WORDS, "{charset}");
        assert_eq!(read(post(), &header, &rows(long.as_bytes())).await, long, "{charset}");
    }
    let unknown = "content-type: text/html; charset=klingon-8\r\n";
    assert_eq!(read(post(), unknown, &rows(WORDS.as_bytes())).await, WORDS);
    // Larger than what is received, and parsed, at once.
    let long = WORDS.repeat(20_000);
    let header = "content-type: text/html; charset=iso-8859-1\r\n";
    assert_eq!(read(post(), header, &rows(&latin1(&long))).await, long);
}

#[tokio::test]
async fn xml_is_read_in_the_charset_of_its_header_or_else_of_its_declaration() {
    let (latin, utf8) = (rows(&latin1(WORDS)), rows(WORDS.as_bytes()));
    let header = |charset: &str| format!("content-type: text/xml; charset={charset}\r\n");
    let xml = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n");
    for (header, declaration, json) in [
        (header("iso-8859-1"), xml("ISO-8859-1"), &latin),
        (header("iso-8859-1"), xml("UTF-8"), &latin),
        (header("utf-8"), xml("ISO-8859-1"), &utf8),
        ("content-type: text/xml\r\n".to_owned(), xml("ISO-8859-1"), &latin),
        (String::new(), xml("windows-1252"), &latin),
        (String::new(), xml("UTF-8"), &utf8),
        (String::new(), String::new(), &utf8),
        (header("iso-8859-1"), xml("ISO-8859-1"), &utf8),
        (String::new(), xml("ISO-8859-1"), &utf8),
    ] {
        let body = in_xml(&declaration, json);
        assert_eq!(read(soap_transport(), &header, &body).await, WORDS, "{header} {declaration}");
    }
}
