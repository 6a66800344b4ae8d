//! Finding one message among many: what a query means, which texts hold its words, and where a list goes on. Pure.

use std::fmt;
use std::str::FromStr;

use super::content::{Content, Label};
use super::folding::plain;
use super::{ContactId, EventBody, IdType};

/// Messages of one page.
pub(crate) const PAGE: u32 = 50;

/// Fewer digits than these are words: a price, a year, a count.
const LEAST_DIGITS: usize = 5;

/// Digits of the shortest number with its country's code.
const LEAST_OF_A_WHOLE: usize = 8;

/// Hex digits of an mId.
const M_ID_DIGITS: usize = 32;

/// What an operator looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Query {
    /// Any message.
    All,
    /// The message of this mId, with its statuses.
    MId(String),
    /// Messages of contacts that hold one of these digits in a row: a number or a part of it, in each spelling.
    Number(Vec<String>),
    /// Messages that hold each of these, folded, anywhere in their text.
    Words(Vec<String>),
}

impl Query {
    /// Returns what `typed` means: 32 hex digits are an mId; 5 or more digits, with blanks, `+`, `00` and the signs that
    /// people put between digits, a number or a part of one; what stands between two `"`, these words as they follow each
    /// other; all else words in any order.
    pub(crate) fn parse(typed: &str) -> Self {
        let typed = typed.trim();
        if typed.len() == M_ID_DIGITS && typed.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Self::MId(typed.to_ascii_lowercase());
        }
        let mut numbers = numbers(typed);
        if let Some(digits) = numbers.first() {
            let other = format!("+{digits}").parse().ok().and_then(|contact| IdType::Phone.other_spelling(&contact));
            numbers.extend(other.map(|contact: ContactId| contact.as_str().trim_start_matches('+').to_owned()));
            return Self::Number(numbers);
        }
        let words = words_of(typed);
        if words.is_empty() { Self::All } else { Self::Words(words) }
    }
}

/// Returns the words that were typed, folded; what stands between two `"` as one, as they follow each other.
pub(crate) fn words_of(typed: &str) -> Vec<String> {
    let typed = typed.trim();
    let phrase = typed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut words = match phrase {
        Some(phrase) => vec![plain(phrase).trim().to_owned()],
        None => plain(typed).split(' ').map(str::to_owned).collect(),
    };
    words.retain(|word| !word.is_empty());
    words
}

/// Returns the digits of a number without a leading `+` or `00`, or those of a part of one. What begins with `00` and is too
/// short for a whole number may be either; none where it is neither.
fn numbers(typed: &str) -> Vec<String> {
    let signs = |c: char| c.is_whitespace() || "-./()".contains(c);
    let bare: String = plain(typed).chars().filter(|c| !signs(*c)).collect();
    let (digits, part) = match (bare.strip_prefix('+'), bare.strip_prefix("00")) {
        (Some(digits), _) => (digits, None),
        (None, Some(digits)) => (digits, (digits.len() < LEAST_OF_A_WHOLE).then_some(bare.as_str())),
        (None, None) => (bare.as_str(), None),
    };
    let is_number = |digits: &&str| digits.len() >= LEAST_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    [Some(digits), part].into_iter().flatten().filter(is_number).map(str::to_owned).collect()
}

/// Returns the words of a content, folded: what is written, names of files, replies to choose from.
pub(crate) fn searchable(content: &Content) -> String {
    let mut words: Vec<&str> = Vec::new();
    match content {
        Content::Text { text } => words.push(text.as_str()),
        Content::Attachment(file) => {
            words.extend([&file.description, &file.file_name].into_iter().flatten().map(Label::as_str));
            let path = file.url.as_str().split(['?', '#']).next().unwrap_or_default();
            words.extend(path.rsplit('/').next());
        }
        Content::Location(place) => words.extend(place.address.as_ref().map(Label::as_str)),
        Content::QuickReply(question) => {
            words.push(question.title.as_str());
            words.extend(question.replies().iter().map(Label::as_str));
        }
    }
    plain(&words.join("\n"))
}

/// Returns the words of an event, folded. Statuses have none: what they tell the agent was written by no person.
pub(crate) fn searchable_event(body: &EventBody) -> String {
    match body {
        EventBody::Message { content } | EventBody::MessageEcho { content } => searchable(content),
        EventBody::MessageStatus { .. } => String::new(),
    }
}

/// Returns whether a folded text holds each of these words.
pub(crate) fn holds(folded: &str, words: &[String]) -> bool {
    words.iter().all(|word| folded.contains(word.as_str()))
}

/// From BonyChat to Afilnet, or from Afilnet to BonyChat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Out,
    In,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Out, Self::In];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

/// State of a message or an event, as operators name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageState {
    Queued,
    Sending,
    Unknown,
    Sent,
    Failed,
    /// May have been delivered; its conversation continues or waits. No operator has noted it.
    Unconfirmed,
    /// The same, and an operator has left it so.
    Noted,
    /// An event that BonyChat has taken.
    Done,
    /// An event that was given up, and that no operator has dealt with.
    Dead,
}

impl MessageState {
    pub(crate) const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sending,
        Self::Unknown,
        Self::Sent,
        Self::Failed,
        Self::Unconfirmed,
        Self::Noted,
        Self::Done,
        Self::Dead,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unconfirmed => "unconfirmed",
            Self::Noted => "noted",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    /// Returns whether what goes this way can be in it.
    pub(crate) fn is_of(self, side: Side) -> bool {
        match self {
            Self::Queued => true,
            Self::Done | Self::Dead => side == Side::In,
            Self::Sending | Self::Unknown | Self::Sent | Self::Failed | Self::Unconfirmed | Self::Noted => {
                side == Side::Out
            }
        }
    }
}

impl FromStr for MessageState {
    type Err = BadQuery;
    fn from_str(text: &str) -> Result<Self, BadQuery> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(BadQuery("there is no such state"))
    }
}

/// What of a query cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadQuery(pub(crate) &'static str);

/// Where a list goes on: with rows below these ids. One for each way, since each has its own ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) out: i64,
    pub(crate) inbound: i64,
}

impl Cursor {
    /// The newest.
    pub(crate) const TOP: Self = Self { out: i64::MAX, inbound: i64::MAX };

    pub(crate) fn of(self, side: Side) -> i64 {
        match side {
            Side::Out => self.out,
            Side::In => self.inbound,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.out, self.inbound)
    }
}

impl FromStr for Cursor {
    type Err = BadQuery;
    fn from_str(text: &str) -> Result<Self, BadQuery> {
        let bad = BadQuery("a cursor is what the page before ended with, such as 1200-900");
        let (out, inbound) = text.split_once('-').ok_or(bad)?;
        let id = |digits: &str| {
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or(bad)
        };
        Ok(Self { out: id(out)?, inbound: id(inbound)? })
    }
}

/// Which messages to find: all that fulfil each of these.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) query: Query,
    /// `None`: both ways.
    pub(crate) side: Option<Side>,
    pub(crate) channel: Option<String>,
    pub(crate) state: Option<MessageState>,
    /// Code of the last fault. Without a state, of those that failed, are in doubt, or were given up.
    pub(crate) fault: Option<String>,
    /// Accepted or recorded then or later, and before the other; epoch milliseconds.
    pub(crate) since_ms: Option<i64>,
    pub(crate) until_ms: Option<i64>,
    /// Of one of these contacts; any where it is empty.
    pub(crate) contacts: Vec<String>,
    pub(crate) before: Cursor,
    pub(crate) limit: u32,
}

#[cfg(test)]
impl Search {
    /// Any message, newest first.
    pub(crate) fn all() -> Self {
        Self {
            query: Query::All,
            side: None,
            channel: None,
            state: None,
            fault: None,
            since_ms: None,
            until_ms: None,
            contacts: Vec::new(),
            before: Cursor::TOP,
            limit: PAGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::content::{Attachment, AttachmentKind, FileUrl, Location, QuickReply, Text};

    fn words(typed: &str) -> Vec<String> {
        match Query::parse(typed) {
            Query::Words(words) => words,
            other => panic!("{typed}: {other:?}"),
        }
    }

    fn text(words: &str) -> String {
        searchable(&Content::Text { text: Text::new(words).unwrap() })
    }

    #[test]
    fn a_query_is_an_m_id_a_number_or_words_by_itself() {
        let m_id = "0196F0c2a1b27c3d8e4f5a6b7c8d9e0f";
        assert_eq!(Query::parse(&format!(" {m_id} ")), Query::MId(m_id.to_lowercase()));
        assert_eq!(
            Query::parse("12345678901234567890123456789012"),
            Query::MId("12345678901234567890123456789012".into())
        );
        for typed in ["+34 600 111 222", "0034600111222", "34600111222", "(+34) 600-111.222", "٣٤٦٠٠١١١٢٢٢"]
        {
            assert_eq!(Query::parse(typed), Query::Number(vec!["34600111222".into()]), "{typed}");
        }
        assert_eq!(Query::parse("11 222"), Query::Number(vec!["11222".into()]), "a part of a number");
        assert_eq!(Query::parse("002114"), Query::Number(vec!["002114".into()]), "the end of one");
        assert_eq!(Query::parse("0034600"), Query::Number(vec!["34600".into(), "0034600".into()]), "either");
        let both = ["5491155551234", "541155551234"].map(str::to_owned).to_vec();
        assert_eq!(Query::parse("+54 9 11 5555 1234"), Query::Number(both), "in both spellings");
        for (typed, expected) in [
            ("1234", &["1234"][..]),
            ("Ya he PAGADO", &["ya", "he", "pagado"]),
            ("  José   Muñoz ", &["jose", "munoz"]),
            ("\"Ya  he pagado\"", &["ya he pagado"]),
            ("\"48213\"", &["48213"]),
            ("pedido 48213", &["pedido", "48213"]),
            ("34600+111222", &["34600+111222"]),
        ] {
            assert_eq!(words(typed), expected, "{typed}");
        }
        for nothing in ["", "  ", "\"\"", "\u{200b}"] {
            assert_eq!(Query::parse(nothing), Query::All, "{nothing:?}");
        }
    }

    #[test]
    fn every_kind_of_content_is_found_by_what_a_person_reads_of_it() {
        let label = |words: &str| Label::new(words).unwrap();
        let file = Attachment {
            kind: AttachmentKind::File,
            url: FileUrl::new("https://files.test/a/Factura-7.pdf?token=secret").unwrap(),
            mime_type: None,
            file_name: Some(label("Invoice.pdf")),
            description: Some(label("Su recibo")),
        };
        let file = searchable(&Content::Attachment(file));
        assert!(["factura-7.pdf", "invoice", "su recibo"].iter().all(|word| file.contains(word)), "{file}");
        assert!(!file.contains("secret"), "{file}");
        let place = Content::Location(Location::new(1.0, 2.0, Some(label("Gran Vía 1"))).unwrap());
        assert_eq!(searchable(&place), "gran via 1");
        let question = QuickReply::new(label("¿Qué día?"), vec![label("Lunes"), label("Sábado")]).unwrap();
        assert_eq!(searchable(&Content::QuickReply(question)), "¿que dia? lunes sabado");
        assert!(holds(&text("Ya HE   pagádo"), &words("pagado ya")));
        assert!(!holds(&text("ya he pagado"), &words("\"pagado ya\"")));
    }

    #[test]
    fn a_cursor_is_what_it_was_written_as() {
        let cursor = Cursor { out: 1200, inbound: 9 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "-", "1", "1-", "-1-2", "1-2-3", "+1-2", "a-b", "99999999999999999999-1"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever part of whatever text is typed, in whatever case, the text holds it.
        #[test]
        fn any_part_of_a_text_finds_it(written in "[\\PC]{1,60}", from in 0..60_usize, len in 1..20_usize, loud: bool) {
            let part: String = written.chars().skip(from).take(len).collect();
            let typed = if loud { part.to_uppercase() } else { part };
            if let (Ok(content), Query::Words(words)) = (Text::new(&*written), Query::parse(&format!("\"{typed}\""))) {
                let folded = searchable(&Content::Text { text: content });
                // Marks that are cut off from their letter may come in another order than behind it.
                let plain_scripts = written.chars().all(|c| c < '\u{590}');
                prop_assert!(!plain_scripts || holds(&folded, &words), "{folded:?} {words:?}");
            }
        }
    }
}
