//! Bodies of responses in the character set that they declare, as UTF-8. Pure.

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Longest label that is shown.
const LONGEST_LABEL: usize = 40;
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
/// An XML declaration ends within so many bytes.
const LONGEST_DECLARATION: usize = 256;

/// The character set that a response declares. Labels mean what they mean to browsers (encoding.spec.whatwg.org):
/// `iso-8859-1` is windows-1252, which has a sign for each of its control characters. `us-ascii` is UTF-8, of which it is a
/// part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Charset {
    /// It is not declared.
    Undeclared,
    Utf8,
    Other(&'static Encoding),
    /// The label, if it can be shown. Such a response is read as UTF-8.
    Unknown(String),
}

impl Charset {
    /// Returns what a `Content-Type` declares.
    pub(crate) fn of_content_type(value: &str) -> Self {
        let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let charset = parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        charset.map_or(Self::Undeclared, |(_, label)| Self::of_label(label.trim().trim_matches(['"', '\''])))
    }

    /// Returns what the XML declaration at the start of a body declares. A declaration that can be read as ASCII is not in
    /// UTF-16, whatever it declares.
    pub(crate) fn of_xml(body: &[u8]) -> Self {
        let declared = || {
            let body = body.strip_prefix(UTF8_MARK).unwrap_or(body).trim_ascii_start();
            let declaration = body.strip_prefix(b"<?xml")?;
            let end = declaration.windows(2).take(LONGEST_DECLARATION).position(|two| two == b"?>")?;
            let (_, value) = std::str::from_utf8(&declaration[..end]).ok()?.split_once("encoding")?;
            let value = value.trim_start().strip_prefix('=')?.trim_start();
            let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            Some(Self::of_label(value[1..].split(quote).next()?.trim()))
        };
        match declared() {
            Some(Self::Other(encoding)) if encoding == UTF_16LE || encoding == UTF_16BE => Self::Utf8,
            declared => declared.unwrap_or(Self::Undeclared),
        }
    }

    fn of_label(label: &str) -> Self {
        if label.is_empty() {
            return Self::Undeclared;
        }
        if ["us-ascii", "ascii"].iter().any(|ascii| label.eq_ignore_ascii_case(ascii)) {
            return Self::Utf8;
        }
        match Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) if encoding == UTF_8 => Self::Utf8,
            Some(encoding) => Self::Other(encoding),
            None => {
                let legal = |c: char| c.is_ascii_alphanumeric() || "-_.:+()".contains(c);
                let shown = label.len() <= LONGEST_LABEL && label.chars().all(legal);
                Self::Unknown(if shown { label.to_owned() } else { "?".to_owned() })
            }
        }
    }

    /// Returns a body of this character set, of which nothing is received yet. `capacity`: bytes that are announced.
    pub(crate) fn body(&self, capacity: usize) -> Utf8Body {
        match self {
            Self::Undeclared | Self::Utf8 | Self::Unknown(_) => Utf8Body::AsReceived(Vec::with_capacity(capacity)),
            Self::Other(encoding) if encoding.is_single_byte() => {
                let bytes = Vec::with_capacity(capacity);
                Utf8Body::Doubted { bytes, read: 0, valid: 0, invalid: 0, encoding }
            }
            Self::Other(encoding) => {
                Utf8Body::Decoded(String::with_capacity(capacity), Box::new(encoding.new_decoder()))
            }
        }
    }

    /// Returns a whole body of this character set as UTF-8.
    pub(crate) fn decoded(&self, body: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Undeclared | Self::Utf8 | Self::Unknown(_) => body,
            Self::Other(_) => {
                let mut decoded = self.body(body.len());
                decoded.push(&body);
                decoded.finish()
            }
        }
    }
}

/// A body that is turned into UTF-8 as it arrives: what was received is not kept beside it. A byte order mark goes before what
/// was declared. What is UTF-8 already, or taken for it, stays byte for byte as it was received, whether it is valid or not.
///
/// A body that is valid UTF-8 is UTF-8, though it declares a character set of one byte a character: servers declare one by
/// default over whatever a program writes. As a text of such a set it would hold no letter beyond ASCII but in pairs of a
/// capital and a sign (`Ã±`, `Â¿`), which nobody writes. So is one with fewer invalid bytes than characters beyond ASCII: one
/// character that a preview cuts in two must not give the other rows of a page other words than at the read before. Sets of
/// several bytes a character count as declared: in some of them (GBK) short words are valid UTF-8 by chance.
pub(crate) enum Utf8Body {
    AsReceived(Vec<u8>),
    /// As UTF-8 it has so many characters beyond ASCII, and so many invalid sequences, up to `read`: a character may have
    /// begun behind that.
    Doubted {
        bytes: Vec<u8>,
        read: usize,
        valid: usize,
        invalid: usize,
        encoding: &'static Encoding,
    },
    Decoded(String, Box<Decoder>),
}

impl Utf8Body {
    /// Adds what was received next.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        match self {
            Self::AsReceived(bytes) => bytes.extend_from_slice(chunk),
            Self::Decoded(text, decoder) => decode(decoder, chunk, text, false),
            Self::Doubted { bytes, read, valid, invalid, .. } => {
                bytes.extend_from_slice(chunk);
                let mut whole = 0;
                for piece in bytes[*read..].utf8_chunks() {
                    *valid += piece.valid().chars().filter(|c| !c.is_ascii()).count();
                    whole += piece.valid().len();
                    if piece.invalid().is_empty() {
                        continue;
                    }
                    // The last may only be cut off.
                    let is_last = bytes.len() == *read + whole + piece.invalid().len();
                    let is_cut = std::str::from_utf8(piece.invalid()).is_err_and(|error| error.error_len().is_none());
                    if !(is_last && is_cut) {
                        *invalid += 1;
                        whole += piece.invalid().len();
                    }
                }
                *read += whole;
            }
        }
    }

    /// Bytes that are kept so far.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::AsReceived(bytes) | Self::Doubted { bytes, .. } => bytes.len(),
            Self::Decoded(text, _) => text.len(),
        }
    }

    /// Returns the whole body.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::AsReceived(bytes) => bytes,
            Self::Doubted { bytes, read, valid, invalid, encoding } => {
                let invalid = invalid + usize::from(read < bytes.len());
                let is_utf8 = (invalid == 0 || valid > invalid) && !bytes.starts_with(UTF8_MARK);
                if is_utf8 { bytes } else { as_declared(encoding, &bytes) }
            }
            Self::Decoded(mut text, mut decoder) => {
                decode(&mut decoder, &[], &mut text, true);
                text.into_bytes()
            }
        }
    }
}

/// Returns a whole body, in the character set that it declares, as UTF-8.
fn as_declared(encoding: &'static Encoding, received: &[u8]) -> Vec<u8> {
    let (mut text, mut decoder) = (String::with_capacity(received.len()), encoding.new_decoder());
    decode(&mut decoder, received, &mut text, true);
    text.into_bytes()
}

/// Appends what `chunk` says. A string is never grown by the decoder, which ends where it is full.
fn decode(decoder: &mut Decoder, chunk: &[u8], text: &mut String, last: bool) {
    let mut rest = chunk;
    loop {
        text.reserve(decoder.max_utf8_buffer_length(rest.len()).unwrap_or(rest.len()));
        let (result, read, _) = decoder.decode_to_string(rest, text, last);
        rest = &rest[read..];
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_content_type_declares_its_charset_in_every_spelling() {
        for value in [
            "text/html; charset=iso-8859-1",
            "text/html;charset=ISO-8859-1",
            "application/json; version=1; Charset = \"latin1\"",
            "text/plain; charset='windows-1252'; q=1",
            "text/xml; charset=cp1252",
        ] {
            assert_eq!(Charset::of_content_type(value), Charset::Other(WINDOWS_1252), "{value}");
        }
        for value in ["text/html; charset=UTF-8", "text/html; charset=utf8", "text/xml; charset=us-ascii"] {
            assert_eq!(Charset::of_content_type(value), Charset::Utf8, "{value}");
        }
        for value in ["", "application/json", "text/html; charset", "text/html; charset=", "charset=latin1"] {
            assert_eq!(Charset::of_content_type(value), Charset::Undeclared, "{value}");
        }
        for (value, label) in [
            ("text/html; charset=klingon-8", "klingon-8"),
            ("text/html; charset=hz-gb-2312", "hz-gb-2312"),
            ("text/html; charset=<b>34600111222 wrote", "?"),
            (&format!("text/html; charset={}", "x".repeat(41)), "?"),
        ] {
            assert_eq!(Charset::of_content_type(value), Charset::Unknown(label.to_owned()), "{value}");
        }
    }

    #[test]
    fn an_xml_declaration_declares_it_too() {
        for (body, expected) in [
            ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>", Charset::Other(WINDOWS_1252)),
            ("\u{feff}\n <?xml version='1.0' encoding = 'Shift_JIS' ?><a/>", Charset::Other(SHIFT_JIS)),
            ("<?xml version=\"1.0\" encoding=\"utf-8\"?><a/>", Charset::Utf8),
            ("<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", Charset::Utf8),
            ("<?xml version=\"1.0\" encoding=\"x-odd\"?><a/>", Charset::Unknown("x-odd".to_owned())),
            ("<?xml version=\"1.0\"?><a encoding=\"latin1\"/>", Charset::Undeclared),
            ("<?xml encoding=\"latin1\"", Charset::Undeclared),
            ("{\"a\":\"<?xml encoding='latin1'?>\"}", Charset::Undeclared),
            ("", Charset::Undeclared),
        ] {
            assert_eq!(Charset::of_xml(body.as_bytes()), expected, "{body}");
        }
    }

    fn read(charset: &str, body: &[u8]) -> Vec<u8> {
        Charset::of_content_type(&format!("text/html; charset={charset}")).decoded(body.to_vec())
    }

    #[test]
    fn a_body_is_read_as_it_was_declared() {
        let words = "\u{bf}cu\u{e1}nto a \u{d1}u\u{f1}oa?".as_bytes();
        assert_eq!(read("iso-8859-1", b"\xbfcu\xe1nto a \xd1u\xf1oa?"), words);
        assert_eq!(read("windows-1252", b"\x80 \x93"), "\u{20ac} \u{201c}".as_bytes());
        assert_eq!(read("iso-8859-15", b"\xa4"), "\u{20ac}".as_bytes());
        assert_eq!(read("utf-16le", b"\xd1\x00a\x00"), "\u{d1}a".as_bytes());
        assert_eq!(read("utf-8", words), words);
        assert_eq!(read("klingon-8", words), words, "as UTF-8");
        // Bytes that are wrong stay the business of whoever reads the text.
        assert_eq!(read("utf-8", b"a\xf1o"), b"a\xf1o");
        assert_eq!(read("shift_jis", b"a\x81"), "a\u{fffd}".as_bytes());
    }

    #[test]
    fn what_is_utf8_is_read_as_that_though_it_declares_one_byte_a_character() {
        let words = "\u{bf}cu\u{e1}nto a \u{d1}u\u{f1}oa? \u{1f44d} 5 \u{20ac}".as_bytes();
        for charset in ["iso-8859-1", "windows-1252", "iso-8859-15", "latin1", "windows-1251", "koi8-r"] {
            assert_eq!(read(charset, words), words, "{charset}");
            assert_eq!(read(charset, b"{\"a\":1}"), b"{\"a\":1}", "{charset}");
        }
        let cut = b"Se\xc3\xb1or, Mar\xc3\xada \xe2\x82".as_slice();
        assert_eq!(read("iso-8859-1", cut), cut, "a preview that was cut");
        assert_eq!(read("iso-8859-1", b"\xf1 Se\xc3\xb1or, Mar\xc3\xada"), b"\xf1 Se\xc3\xb1or, Mar\xc3\xada");
        // What has as many bytes that are no UTF-8 as characters is what it declares.
        for (charset, body, says) in [
            ("iso-8859-1", b"Se\xf1or, Mar\xeda".as_slice(), "Se\u{f1}or, Mar\u{ed}a"),
            ("iso-8859-1", b"Se\xc3\xb1or \xa1", "Se\u{c3}\u{b1}or \u{a1}"),
            ("iso-8859-1", b"CAF\xc9", "CAF\u{c9}"),
            ("iso-8859-1", b"\xc3\xb1 \xe2\x82", "\u{c3}\u{b1} \u{e2}\u{201a}"),
            ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2", "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"),
            // By chance.
            ("gbk", b"\xc4\xa3", "\u{6a21}"),
            ("utf-16le", b"\xc3\xa9", "\u{a9c3}"),
        ] {
            assert_eq!(read(charset, body), says.as_bytes(), "{charset} {says}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_content_and_goes_before_what_was_declared() {
        assert_eq!(read("iso-8859-1", b"\xef\xbb\xbf\xc3\xb1"), "\u{f1}".as_bytes());
        assert_eq!(read("iso-8859-1", b"\xff\xfe\xf1\x00"), "\u{f1}".as_bytes());
        assert_eq!(read("utf-8", b"\xef\xbb\xbf{}"), b"\xef\xbb\xbf{}", "left to whoever reads the text, as ever");
    }

    #[test]
    fn what_is_utf8_is_not_copied() {
        let body = b"{}".to_vec();
        let at = body.as_ptr();
        let decoded = Charset::Utf8.decoded(body);
        assert_eq!(decoded.as_ptr(), at);
    }

    proptest! {
        #[test]
        fn pieces_make_the_same_as_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in 1usize..9,
            label in prop::sample::select(vec!["utf-8", "latin1", "shift_jis", "gb18030", "utf-16le", "iso-2022-jp", "odd"]),
        ) {
            let charset = Charset::of_label(label);
            let mut body = charset.body(0);
            bytes.chunks(cut).for_each(|chunk| body.push(chunk));
            let whole = charset.decoded(bytes);
            prop_assert_eq!(body.len() <= whole.len(), true);
            prop_assert_eq!(body.finish(), whole);
        }
    }
}
