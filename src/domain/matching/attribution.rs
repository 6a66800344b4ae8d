//! Whose a row of the business is: the bridge's, where it shows what a call of ours said, or that of somebody who wrote
//! in Afilnet's own panel. Pure.

use unicode_normalization::UnicodeNormalization as _;

use super::sent_form::SentForm;
use crate::domain::placeholder::{Piece, pieces};
use crate::domain::{AfilnetRow, Direction, MId, entities};

/// A file name shorter than this proves nothing.
const LEAST_FILE_NAME: usize = 4;

/// That a row shows one call of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Match {
    pub(crate) m_id: MId,
    /// Which call of the message, from 0.
    pub(crate) part: u32,
    /// Whether it is the last one.
    pub(crate) last: bool,
}

/// One call that the bridge made and whose row nobody has claimed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnmatchedSend {
    matched: Match,
    /// The normal forms that its row may show: the words, or a file's link or caption.
    says: Vec<String>,
    /// What its row may hold among other things: a file's link, its name.
    holds: Vec<String>,
    skeletons: Vec<String>,
    is_file: bool,
    /// Where placeholders were filled in: what is known of the words that were sent.
    filled: Option<Filled>,
}

/// What is known of words whose placeholders were filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filled {
    /// Those of each attempt.
    forms: Vec<SentForm>,
    /// The skeletons of the texts around the placeholders, in order.
    around: Vec<String>,
}

impl Filled {
    fn shows(&self, words: &str) -> bool {
        self.forms.iter().any(|form| form.is(words))
    }

    /// Whether a row with this skeleton may say the same in other words: it holds the texts around the placeholders in their
    /// order; where there are none, a link.
    fn resembles(&self, row: &str) -> bool {
        let mut rest = row;
        for around in &self.around {
            let Some((_, behind)) = rest.split_once(around.as_str()) else { return false };
            rest = behind;
        }
        !self.around.is_empty() || row.contains("http")
    }
}

/// What is kept of the words that call number `part` is about to say. `key` is random.
pub(crate) fn sent_form(part: u32, key: [u8; 16], words: &str) -> SentForm {
    SentForm::new(part, key, &normal(words))
}

impl UnmatchedSend {
    /// A call that said `words`, or sent the file at this link with these words as its caption.
    pub(crate) fn new(matched: Match, words: Option<&str>, file_url: Option<&str>) -> Self {
        let forms: Vec<&str> = words.into_iter().chain(file_url).collect();
        let name = file_url.and_then(file_name);
        let mut skeletons: Vec<String> = forms.iter().map(|form| skeleton(form)).collect();
        if file_url.is_some() {
            skeletons.push(String::new()); // a sign alone may stand for a file
        }
        Self {
            matched,
            says: forms.iter().map(|form| normal(form)).collect(),
            holds: file_url.into_iter().chain(name).map(normal).collect(),
            skeletons,
            is_file: file_url.is_some(),
            filled: None,
        }
    }

    /// A call that said `template` with its placeholders filled in; each of `forms` is one attempt's.
    pub(crate) fn filled(matched: Match, template: &str, forms: Vec<SentForm>, file_url: Option<&str>) -> Self {
        let around = pieces(template).unwrap_or_default().into_iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(skeleton(&text)).filter(|skeleton| !skeleton.is_empty()),
            Piece::Placeholder(_) => None,
        });
        let filled = Some(Filled { forms, around: around.collect() });
        Self { filled, ..Self::new(matched, None, file_url) }
    }

    /// Whether a row with these words, in their normal form, says exactly what the call said.
    fn says(&self, words: &str) -> bool {
        self.says.iter().any(|says| says == words) || self.filled.as_ref().is_some_and(|filled| filled.shows(words))
    }

    pub(crate) fn is_file(&self) -> bool {
        self.is_file
    }
}

/// Whose an unseen row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attribution {
    /// It shows a call of ours.
    Ours(Match),
    /// The business's, and so like an unclaimed call of ours that it may be one in other words: neither proof of that
    /// call nor anybody else's message.
    Ambiguous,
    /// No call of ours; what its direction says.
    Foreign,
}

/// Words as they compare, whatever a platform did to their form: NFC, entities decoded, white space trimmed and each
/// run of it one space (so that CRLF is LF).
pub(crate) fn normal(text: &str) -> String {
    let composed: String = entities::decoded(text).nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is left of words that a platform has rewritten: letters and digits alone, folded.
fn skeleton(text: &str) -> String {
    let folded: String = entities::decoded(text).nfkc().collect();
    folded.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The last segment of a link's path.
fn file_name(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    path.rsplit('/').next().filter(|name| name.chars().count() >= LEAST_FILE_NAME && name.contains('.'))
}

/// Says whose each unseen row (oldest first) is, against the calls that no row shows yet (oldest first), and which of
/// these are left. One row is claimed by one call. A row that says it is the customer's is never claimed; one that does
/// not say becomes the business's where it shows exactly what a call said, and else the customer's.
pub(crate) fn attribute(
    rows: &mut [AfilnetRow],
    unseen: &[bool],
    mut spoken: Vec<UnmatchedSend>,
) -> (Vec<Attribution>, Vec<UnmatchedSend>) {
    let words: Vec<String> = rows.iter().map(|row| normal(&row.text)).collect();
    let mut attributions = vec![Attribution::Foreign; rows.len()];
    let mut matched = |index: usize, fits: &dyn Fn(&UnmatchedSend, &str) -> bool| {
        if attributions[index] == Attribution::Foreign
            && let Some(found) = spoken.iter().position(|call| fits(call, &words[index]))
        {
            attributions[index] = Attribution::Ours(spoken.remove(found).matched);
        }
    };
    // The surest first, over the whole page: a row without words takes no call that another row names.
    for index in (0..rows.len()).filter(|index| unseen[*index] && rows[*index].direction != Direction::Inbound) {
        matched(index, &|call, words| !words.is_empty() && call.says(words));
    }
    let business = |index: &usize| unseen[*index] && rows[*index].direction == Direction::Outbound;
    for index in (0..rows.len()).filter(business) {
        matched(index, &|call, words| call.holds.iter().any(|held| words.contains(held.as_str())));
    }
    for index in (0..rows.len()).filter(business) {
        matched(index, &|call, words| words.is_empty() && call.is_file);
    }
    for index in (0..rows.len()).filter(business) {
        if attributions[index] == Attribution::Foreign && is_like_one(&rows[index], &spoken) {
            attributions[index] = Attribution::Ambiguous;
        }
    }
    for (row, attributions) in
        rows.iter_mut().zip(&attributions).zip(unseen).filter(|(_, unseen)| **unseen).map(|(pair, _)| pair)
    {
        if row.direction == Direction::Unknown {
            row.direction =
                if *attributions == Attribution::Foreign { Direction::Inbound } else { Direction::Outbound };
        }
    }
    (attributions, spoken)
}

/// Doubts the rows of the business that were there before the bridge took stock and are like a call that no row shows: a
/// call that was made before then has its row among them, and what somebody wrote in the same words is no proof of it.
pub(crate) fn mark_history_ambiguous(
    rows: &[AfilnetRow],
    history: &[bool],
    unshown: &[UnmatchedSend],
    attributions: &mut [Attribution],
) {
    for (index, row) in rows.iter().enumerate().filter(|(index, _)| history[*index]) {
        if row.direction == Direction::Outbound && is_like_one(row, unshown) {
            attributions[index] = Attribution::Ambiguous;
        }
    }
}

fn is_like_one(row: &AfilnetRow, calls: &[UnmatchedSend]) -> bool {
    !calls.is_empty() && {
        let row = skeleton(&row.text);
        calls.iter().any(|call| resembles(&row, call))
    }
}

/// Whether one holds the other, or neither holds a letter.
fn resembles(row: &str, call: &UnmatchedSend) -> bool {
    let filled = call.filled.as_ref().is_some_and(|filled| filled.resembles(row));
    filled
        || call.skeletons.iter().any(|said| match (row.is_empty(), said.is_empty()) {
            (true, true) => true,
            (false, false) => row.contains(said.as_str()) || said.contains(row),
            (true, false) | (false, true) => false,
        })
}

#[cfg(test)]
mod tests {
    use super::super::testing::row;
    use super::*;

    fn matched(m_id: &str) -> Match {
        Match { m_id: m_id.parse().unwrap(), part: 0, last: true }
    }

    fn text(m_id: &str, words: &str) -> UnmatchedSend {
        UnmatchedSend::new(matched(m_id), Some(words), None)
    }

    fn file(m_id: &str, caption: Option<&str>) -> UnmatchedSend {
        UnmatchedSend::new(matched(m_id), caption, Some("https://x.test/f/a%20b.pdf?x=1&y=2"))
    }

    /// Whose each row is, as the mId of its claim, `?` or `-`; and the directions.
    fn judged(rows: &[(Direction, &str)], spoken: Vec<UnmatchedSend>) -> (Vec<String>, String) {
        let mut rows: Vec<AfilnetRow> = rows.iter().map(|(direction, text)| row("", *direction, 7, text)).collect();
        let unseen = vec![true; rows.len()];
        let (attributions, _) = attribute(&mut rows, &unseen, spoken);
        let names = attributions.iter().map(|attributions| match attributions {
            Attribution::Ours(matched) => matched.m_id.as_str().to_owned(),
            Attribution::Ambiguous => "?".to_owned(),
            Attribution::Foreign => "-".to_owned(),
        });
        (names.collect(), rows.iter().map(|row| row.direction.letter()).collect())
    }

    use Direction::{Inbound as I, Outbound as O, Unknown as U};

    #[test]
    fn words_compare_whatever_was_done_to_their_form() {
        assert_eq!(normal(" Se\u{301}  \r\n ma\u{f1}ana&nbsp;"), "S\u{e9} ma\u{f1}ana");
        assert_eq!(normal("&iquest;a &amp; b?"), normal("\u{bf}a &\tb?\n"));
        assert_eq!(normal(" \n"), "");
    }

    #[test]
    fn a_row_that_does_not_say_is_ours_where_we_said_so_and_else_the_customers() {
        let mut rows = vec![
            row("1", U, 7, "ok"),
            row("2", U, 7, "ok\r\n"),
            row("3", U, 7, "https://x.test/f/a%20b.pdf?x=1&y=2"),
            row("4", U, 7, ""),
            row("5", O, 8, "bye"),
            row("6", I, 9, "bye"),
            row("7", U, 7, "seen"),
        ];
        let own =
            vec![text("a", "ok"), file("b", Some("caption")), text("c", "bye"), text("d", "bye"), text("e", "seen")];
        let (attributions, left) = attribute(&mut rows, &[true, true, true, true, true, true, false], own);
        let letters: String = rows.iter().map(|row| row.direction.letter()).collect();
        assert_eq!(letters, "oioioiu");
        let claimed = |at: usize, m_id: &str| assert_eq!(attributions[at], Attribution::Ours(matched(m_id)), "{at}");
        claimed(0, "a");
        claimed(2, "b");
        claimed(4, "c");
        assert!([1, 3, 5, 6].iter().all(|at| attributions[*at] == Attribution::Foreign), "{attributions:?}");
        assert_eq!(left, [text("d", "bye"), text("e", "seen")]);
    }

    #[test]
    fn a_file_is_known_by_its_link_its_name_its_caption_or_by_no_words_at_all() {
        for shown in [
            "https://x.test/f/a%20b.pdf?x=1&amp;y=2",
            "<a href=\"https://x.test/f/a%20b.pdf?x=1&amp;y=2\">the bill</a>",
            "[file] a%20b.pdf",
            "the  bill",
            "",
        ] {
            assert_eq!(judged(&[(O, shown)], vec![file("f", Some("the bill"))]).0, ["f"], "{shown}");
        }
        // Another row names the file, so the one without words is not it.
        let two = [(O, ""), (O, "https://x.test/f/a%20b.pdf?x=1&y=2")];
        assert_eq!(judged(&two, vec![file("f", None)]).0, ["-", "f"]);
        // The customer's own picture is the customer's.
        assert_eq!(judged(&[(U, ""), (I, "")], vec![file("f", None)]), (vec!["-".into(), "-".into()], "ii".into()));
        assert_eq!(judged(&[(O, "")], vec![text("t", "words")]).0, ["-"]);
    }

    fn filled(m_id: &str, template: &str, sent: &[&str]) -> UnmatchedSend {
        let forms = (1..).zip(sent).map(|(key, words)| sent_form(0, [key; 16], words));
        UnmatchedSend::filled(matched(m_id), template, forms.collect(), None)
    }

    #[test]
    fn a_call_whose_placeholders_were_filled_in_is_known_by_what_any_attempt_sent() {
        let template = "Siga su caso: {{anna.chat_url}} - Ventas";
        let own =
            || filled("t", template, &["Siga su caso: https://a.test/?u=1&v=2 - Ventas", "Siga su caso: f - Ventas"]);
        for shown in ["Siga  su caso: https://a.test/?u=1&amp;v=2 - Ventas\r\n", "Siga su caso: f - Ventas"] {
            assert_eq!(judged(&[(O, shown)], vec![own()]).0, ["t"], "{shown}");
        }
        // As the agent wrote it, or with another link: not surely that call.
        for shown in [template, "Siga su caso: https://a.test/?u=2 - Ventas", "*Siga su caso:* a.test/x - Ventas"] {
            assert_eq!(judged(&[(O, shown)], vec![own()]).0, ["?"], "{shown}");
        }
        for shown in ["Ventas", "otra cosa", "- Ventas, siga su caso:"] {
            assert_eq!(judged(&[(O, shown)], vec![own()]).0, ["-"], "{shown}");
        }
        let bare = || filled("b", "{{anna.chat_url}}", &["https://a.test/1"]);
        assert_eq!(judged(&[(O, "https://a.test/2")], vec![bare()]).0, ["?"]);
        assert_eq!(judged(&[(O, "gracias")], vec![bare()]).0, ["-"]);
        assert_eq!(judged(&[(I, "https://a.test/1")], vec![bare()]).0, ["-"]);
    }

    #[test]
    fn a_row_of_the_business_that_is_like_an_unclaimed_call_is_doubtful() {
        for shown in ["*Hola*, Ana", "hola ana -- Ventas", "HOLA, ANA!", "Hola"] {
            assert_eq!(judged(&[(O, shown)], vec![text("t", "Hola Ana")]).0, ["?"], "{shown}");
        }
        assert_eq!(judged(&[(O, "Adiós")], vec![text("t", "Hola Ana")]).0, ["-"]);
        assert_eq!(judged(&[(O, "\u{1f44d}")], vec![text("t", "\u{2764}")]).0, ["?"]);
        assert_eq!(judged(&[(O, "\u{1f44d}")], vec![text("t", "Hola Ana")]).0, ["-"]);
        assert_eq!(judged(&[(O, "\u{1f4f7}")], vec![file("f", None)]).0, ["?"]);
        // Once its call is claimed a row like it is somebody's own words.
        assert_eq!(judged(&[(O, "Hola Ana"), (O, "Hola Ana!")], vec![text("t", "Hola Ana")]).0, ["t", "-"]);
        // What the customer may have written is never doubted away.
        assert_eq!(judged(&[(U, "Hola Ana!"), (I, "Hola")], vec![text("t", "Hola Ana")]).1, "ii");
    }
}
