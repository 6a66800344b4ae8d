//! The pending question of a conversation: a question that its customer may still answer, and which texts answer it
//! (design.md section 3, step 4). Pure. The store keeps it, the poller uses it.

use serde::{Deserialize, Serialize};

use super::MId;
use super::content::Label;
use super::folding::plain;

/// How long after a question its replies count as answers.
const OPEN_MS: i64 = 24 * 3_600_000;

/// Longest text that is examined, in bytes; a reply has at most 256 characters.
const LONGEST: usize = 4096;

/// Words for "number" before one, folded; `no` only with its dot, otherwise it is the word no.
const NOUNS: &[&str] = &[
    "answer",
    "choice",
    "eleccion",
    "n",
    "no",
    "nr",
    "nro",
    "num",
    "number",
    "numero",
    "op",
    "opc",
    "opcion",
    "opt",
    "option",
    "reply",
    "respuesta",
];

/// Words that may precede those.
const ARTICLES: &[&str] = &["el", "la", "the"];

/// A sent question, as far as needed for its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingQuestion {
    /// The message that asked.
    pub(crate) m_id: MId,
    /// In the order of their numbers, from 1.
    pub(crate) replies: Vec<Label>,
    /// When its first byte may have been sent, epoch milliseconds.
    pub(crate) asked_ms: i64,
}

impl PendingQuestion {
    /// Returns the exact text of the one reply that a customer's `text`, written at `at_ms`, can mean: by its number,
    /// by its text, or by both as the question showed them. `None` if it means none or could mean two: then the
    /// customer's own text is passed on. A bare number could mean its place, and any reply that contains it as well.
    pub(crate) fn reply(&self, text: &str, at_ms: i64) -> Option<&str> {
        if at_ms.saturating_sub(self.asked_ms) > OPEN_MS || text.len() > LONGEST {
            return None;
        }
        let said = folded(text);
        let own: Vec<String> = self.replies.iter().map(|reply| folded(reply.as_str())).collect();
        let (number, line) = (number(text), line(&said));
        let in_words = |at: usize| own[at] == said && !said.is_empty();
        let by_place = |at: usize| {
            number.as_ref().is_some_and(|number| number.value == at + 1)
                || line.is_some_and(|(value, words)| value == at + 1 && words == own[at])
        };
        let mut meant = (0..own.len()).filter(|at| in_words(*at) || by_place(*at));
        let (only, other) = (meant.next()?, meant.next());
        let rival = |number: &Number| (0..own.len()).any(|at| at != only && holds(&own[at], number.value));
        let doubtful = !in_words(only) && number.is_some_and(|number| number.bare && rival(&number));
        (other.is_none() && !doubtful).then(|| self.replies[only].as_str())
    }

    /// Returns whether `text`, of an own row, shows this question with its numbers: rows before it are not answers to
    /// it.
    pub(crate) fn shown_in(&self, text: &str) -> bool {
        let lines: Vec<String> =
            (1..).zip(&self.replies).map(|(n, reply)| format!("{n}. {}", reply.as_str())).collect();
        plain(text).contains(&plain(&lines.join("\n")))
    }
}

/// The number that a text consists of, perhaps with words that announce it.
struct Number {
    value: usize,
    /// Without words that announce it.
    bare: bool,
}

/// Returns the number that `text` consists of: `2`, `2.`, `(2)`, `#2`, a keycap, `nº 2`, `opción 2`.
fn number(text: &str) -> Option<Number> {
    let said = folded(&text.replace('№', "n.").replace(['º', 'ª', '°'], "."));
    let (before, digits) = said.split_at(said.find(|c: char| c.is_ascii_digit())?);
    let value = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    let words: Vec<&str> = before.split(between).filter(|word| !word.is_empty()).collect();
    let bare = words.is_empty();
    let announced = words.iter().any(|word| NOUNS.contains(word))
        && words.iter().all(|word| NOUNS.contains(word) || ARTICLES.contains(word))
        && (!words.contains(&"no") || before.contains("no."));
    (bare || announced).then_some(Number { value, bare })
}

/// Splits a text that begins with a number into that number and the words after it.
fn line(said: &str) -> Option<(usize, &str)> {
    let (digits, words) = said.split_at(said.find(|c: char| !c.is_ascii_digit())?);
    Some((digits.parse().ok()?, words.trim_start_matches(between)))
}

/// Returns whether one of the numbers in folded words is `value`.
fn holds(own: &str, value: usize) -> bool {
    own.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.parse() == Ok(value))
}

/// Returns the form in which equal texts are compared: [`plain`], without outer punctuation if there is anything else.
fn folded(text: &str) -> String {
    let plain = plain(text);
    match plain.trim_matches(between) {
        "" => plain,
        inner => inner.to_owned(),
    }
}

/// Returns whether a character around a word or a number does not change it: not a sign, a currency or a unit.
fn between(c: char) -> bool {
    c.is_whitespace() || ".,:;!?¡¿()[]{}\"'«»“”„‹›-–—·•*_#/\\|`".contains(c)
}

#[cfg(test)]
mod tests;
