//! The result of a search as a file: JSON lines, or CSV that is safe to open in a spreadsheet. Without texts, like the search itself.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::find::{Refusal, Request, SearchResult, find_of, time};
use crate::config::Config;
use crate::store::{FoundMessage, Store};
use crate::telemetry::harmless_json;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One object a line.
    JsonLines,
    /// RFC 4180, in UTF-8 with a byte order mark.
    Csv,
}

/// The columns of CSV.
const COLUMNS: [&str; 11] =
    ["m_id", "channel", "contact", "direction", "state", "kind", "attempts", "stored", "done", "fault", "noted"];

impl Format {
    /// Returns the one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::JsonLines, Self::Csv].into_iter().find(|format| format.name() == name)
    }

    /// Returns its name, which is also the ending of its files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/x-ndjson; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// Returns what a file begins with. CSV has a byte order mark: without it Excel reads UTF-8 as the code page of the machine.
    pub(crate) fn head(self) -> String {
        match self {
            Self::JsonLines => String::new(),
            Self::Csv => format!("\u{feff}{}", line(COLUMNS.map(Cow::Borrowed))),
        }
    }

    /// Returns the line of a message. Times are UTC.
    pub(crate) fn row(self, found: &FoundMessage) -> String {
        let FoundMessage { side, message } = found;
        match self {
            Self::JsonLines => harmless_json(&serde_json::to_string(found).unwrap_or_default()) + "\n",
            Self::Csv => line([
                cell(&message.m_id),
                cell(&message.channel),
                cell(&message.contact),
                side.as_str().into(),
                cell(&message.state),
                cell(&message.kind),
                message.attempt.to_string().into(),
                time(message.accepted_ms).into(),
                message.done_ms.map(time).unwrap_or_default().into(),
                cell(message.fault.as_deref().unwrap_or_default()),
                message.noted_ms.map(time).unwrap_or_default().into(),
            ]),
        }
    }

    /// Returns a last line that says why the file has not all that was asked for; `next`: where the rest begins.
    pub(crate) fn cut(self, words: &str, next: Option<&str>) -> String {
        match self {
            Self::JsonLines => harmless_json(&serde_json::json!({ "cut": words, "next": next }).to_string()) + "\n",
            Self::Csv => {
                let mut cells = COLUMNS.map(|_| Cow::Borrowed(""));
                cells[0] = cell(words);
                line(cells)
            }
        }
    }
}

/// Messages of a file, at most.
pub(crate) const MOST: usize = 100_000;
/// Messages that one search returns.
const AT_ONCE: usize = 500;

/// A search that goes on page by page until all is found, or [`MOST`].
#[derive(Debug)]
pub(crate) struct Export {
    request: Request,
    left: usize,
}

/// Some messages, and what comes after them.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) messages: Vec<FoundMessage>,
    pub(crate) then: Then,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    More,
    End,
    /// As many rows as a file takes, and the cursor of the rest.
    Cut(String),
}

impl Export {
    pub(crate) fn new(request: Request, most: usize) -> Self {
        Self { request, left: most }
    }

    /// Returns what comes next, of these channels alone; `None`: of all. The time of one search is bounded; where it is up, the next
    /// goes on.
    ///
    /// # Errors
    /// As [`find_of`].
    pub(crate) async fn next(
        &mut self,
        store: &dyn Store,
        config: &Config,
        channels: Option<&BTreeSet<String>>,
    ) -> Result<Piece, Refusal> {
        self.request.limit = u32::try_from(AT_ONCE.min(self.left)).unwrap_or(u32::MAX);
        let SearchResult { messages, next, .. } = find_of(store, config, channels, self.request.clone()).await?;
        self.left = self.left.saturating_sub(messages.len());
        let then = match next {
            None => Then::End,
            Some(next) if self.left == 0 => Then::Cut(next.to_string()),
            Some(next) => {
                self.request.before = Some(next.to_string());
                Then::More
            }
        };
        Ok(Piece { messages, then })
    }
}

fn line(cells: [Cow<'_, str>; COLUMNS.len()]) -> String {
    cells.map(|cell| quoted(&cell)).join(",") + "\r\n"
}

/// Quotes a cell that would end or be split otherwise (RFC 4180).
fn quoted(cell: &str) -> String {
    let needs = cell.contains([',', ';', '"', '\t', '\r', '\n', '\'']) || cell.trim() != cell;
    if needs { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// Returns a cell that a spreadsheet takes as text. One that it would take as a formula, or as a number, whose digits it rounds,
/// gets an apostrophe before it, as OWASP has it for CSV injection: `=`, `+`, `-`, `@`, their wide forms, tab and line ends.
fn cell(text: &str) -> Cow<'_, str> {
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    let is_formula = text.starts_with(begins) || text.trim_start().starts_with(begins);
    let is_number = text.trim().parse::<f64>().is_ok();
    if is_formula || is_number { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::find::Side;
    use crate::store::ListedMessage;

    fn found(contact: &str, fault: &str) -> FoundMessage {
        let message = ListedMessage {
            m_id: "0196f0c2a1b27c3d8e4f5a6b7c8d9e0f".into(),
            channel: "support".into(),
            contact: contact.into(),
            next_ms: None,
            state: "failed".into(),
            kind: "text".into(),
            attempt: 2,
            accepted_ms: 0,
            done_ms: Some(1_500),
            fault: Some(fault.into()),
            noted_ms: None,
            part: 0,
            began_ms: 0,
            looks: Vec::new(),
        };
        FoundMessage { side: Side::Out, message }
    }

    #[test]
    fn no_cell_is_a_formula_or_a_number_of_a_spreadsheet() {
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("+34600111222", "'+34600111222"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("\n=1", "\"'\n=1\""),
            ("  =1", "'  =1"),
            ("＝1+1", "'＝1+1"),
            ("34600111222", "'34600111222"),
            ("019600000000000000000000000000e5", "'019600000000000000000000000000e5"),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("a,b", "\"a,b\""),
            ("a;b", "\"a;b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            (" a ", "\" a \""),
            ("+********222", "'+********222"),
            ("user_7@web", "user_7@web"),
            ("ñandú 💥", "ñandú 💥"),
            ("", ""),
        ] {
            let written = quoted(&cell(text));
            // A cell with an added apostrophe is quoted: some programs split cells at it.
            let quotes = if shown.starts_with('\'') { "\"" } else { "" };
            assert_eq!(written, format!("{quotes}{shown}{quotes}"), "{text:?}");
        }
    }

    #[test]
    fn a_file_of_either_form_has_each_message_in_one_record_and_says_where_it_is_cut() {
        let csv = Format::Csv;
        let head = "\u{feff}m_id,channel,contact,direction,state,kind,attempts,stored,done,fault,noted\r\n";
        assert_eq!(csv.head(), head);
        let row = "0196f0c2a1b27c3d8e4f5a6b7c8d9e0f,support,\"'+34600111222\",out,failed,text,2,1970-01-01T00:00:00Z,\
                   1970-01-01T00:00:01.5Z,\"'=1,2\",\r\n";
        assert_eq!(csv.row(&found("+34600111222", "=1,2")), row);
        assert_eq!(csv.cut("Cut, older ones are left out.", None), "\"Cut, older ones are left out.\",,,,,,,,,,\r\n");
        let json = Format::JsonLines;
        assert_eq!(json.head(), "");
        let row: serde_json::Value = serde_json::from_str(&json.row(&found("a\u{202e}\n", "x"))).unwrap();
        assert_eq!((&row["contact"], &row["direction"]), (&"a\u{202e}\n".into(), &"out".into()), "{row}");
        assert_eq!(json.row(&found("a\u{202e}\n", "x")).matches(['\n', '\u{202e}']).count(), 1, "one line");
        assert_eq!(json.cut("Cut.", Some("1-2")), "{\"cut\":\"Cut.\",\"next\":\"1-2\"}\n");
    }

    #[tokio::test]
    async fn a_file_takes_each_message_once_and_no_more_than_its_limit() {
        use std::time::Duration;

        use crate::domain::content::Text;
        use crate::domain::{ContactId, Content, MId};
        use crate::store::open::SqliteStore;
        use crate::store::{Caller, NewOutbound};

        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("bridge.db")).unwrap();
        let env = [
            ("AFILNET__USER", "user"),
            ("AFILNET__PASSWORD", "password"),
            ("BONYCHAT__WEBHOOK_URL", "https://bonychat.example/hook"),
            ("CHANNELS__SUPPORT__CHANNEL_ID", "gfd8g7fd89dgfd"),
            ("CHANNELS__SUPPORT__API_TOKEN", "token-0123456789abcdef"),
            ("CHANNELS__SUPPORT__ID_TYPE", "phone"),
            ("CHANNELS__SUPPORT__PLATFORM", "whatsapp"),
            ("CHANNELS__SUPPORT__PLATFORM_ID", "100"),
        ];
        let config =
            Config::load(None, env.map(|(key, value)| (format!("BRIDGE__{key}"), value.to_owned())).into()).unwrap();
        let mut all = Vec::new();
        for n in 0..7_i64 {
            let contact: ContactId = format!("+3460011122{n}").parse().unwrap();
            let message = NewOutbound {
                m_id: MId::fresh(),
                channel: "support".parse().unwrap(),
                destination: contact.as_str()[1..].parse().unwrap(),
                contact,
                other_spelling: None,
                content: Content::Text { text: Text::new("words").unwrap() },
                request_id: "r".into(),
                accepted_ms: n,
                key: None,
                waits: Duration::ZERO,
                is_drained: false,
                caller: Caller::stays(),
            };
            all.insert(0, message.m_id.to_string());
            store.accept(message).await.unwrap();
        }
        let request = Request {
            query: String::new(),
            side: None,
            channel: None,
            state: None,
            fault: None,
            since: None,
            until: None,
            contact: None,
            before: None,
            limit: 1,
            to_the_end: false,
            contacts_in_full: false,
        };
        for most in [1, 4, 7, 8] {
            let mut export = Export::new(request.clone(), most);
            let mut found = Vec::new();
            let then = loop {
                let Piece { messages, then } = export.next(&store, &config, None).await.unwrap();
                found.extend(messages.into_iter().map(|found| found.message.m_id));
                if then != Then::More {
                    break then;
                }
            };
            assert_eq!(found, all[..most.min(7)], "{most}");
            assert_eq!(matches!(then, Then::Cut(_)), most < 7, "{most}: {then:?}");
            if let Then::Cut(next) = then {
                let mut rest = Export::new(Request { before: Some(next), ..request.clone() }, 100);
                let rest = rest.next(&store, &config, None).await.unwrap().messages;
                assert_eq!(
                    rest.iter().map(|found| &found.message.m_id).collect::<Vec<_>>(),
                    all[most..].iter().collect::<Vec<_>>()
                );
            }
        }
    }
}
