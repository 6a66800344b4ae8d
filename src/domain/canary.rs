//! Whether what is given away holds anything of a person or a secret. Pure, and knows nothing of how it was redacted.

use std::collections::HashSet;

use super::entities;
use super::excerpt::unescaped;
use super::folding::plain;

/// Fewer digits are no number of a person.
const TELLING_DIGITS: usize = 5;
/// So many last digits are the number without its country.
const NATIONAL_DIGITS: usize = 9;
/// Shorter secrets count only as a word of their own.
const SHORT_SECRET: usize = 4;
/// A text with fewer letters may be in any answer.
const TELLING_LETTERS: usize = 4;
/// A single word up to this length may be the name of a field.
const LONGEST_NAME: usize = 16;

/// Answers that are about to be given away, prepared for questions.
pub(crate) struct Outgoing {
    /// As they are, in small letters.
    lowered: String,
    /// Their words as they follow each other, folded, with a space around each.
    words: String,
    vocabulary: HashSet<String>,
    /// Names of fields and codes of the contract, folded.
    names: HashSet<String>,
    numbers: HashSet<String>,
    /// The last digits of long numbers.
    national: HashSet<String>,
}

impl Outgoing {
    /// `codes`: words of the platform's contract, which a text may hold too.
    pub(crate) fn new<'a>(answers: impl IntoIterator<Item = &'a str>, codes: &[&str]) -> Self {
        let (mut lowered, mut words) = (String::new(), " ".to_owned());
        let (mut numbers, mut national) = (HashSet::new(), HashSet::new());
        let mut names: HashSet<String> = codes.iter().map(|code| plain(code)).collect();
        for answer in answers {
            let readable = entities::decoded(&unescaped(answer));
            for form in [answer, readable.as_str()] {
                lowered.push_str(&form.to_lowercase());
                lowered.push('\n');
            }
            names.extend(fields(answer).map(plain));
            let folded = plain(&readable);
            for word in words_of(&folded) {
                words.push_str(word);
                words.push(' ');
            }
            for run in folded.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= TELLING_DIGITS) {
                numbers.insert(run.to_owned());
                national.extend(tail(run).map(str::to_owned));
            }
        }
        let vocabulary = words.split(' ').map(str::to_owned).collect();
        Self { lowered, words, vocabulary, names, numbers, national }
    }

    /// Returns whether they hold this secret, in any case and in the forms in which a call carries it.
    pub(crate) fn holds_secret(&self, secret: &str) -> bool {
        let secret = secret.trim().to_lowercase();
        if secret.len() < SHORT_SECRET {
            return !secret.is_empty() && !self.names.contains(&secret) && self.vocabulary.contains(&secret);
        }
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        self.lowered.contains(&secret) || self.lowered.contains(&encoded.to_lowercase())
    }

    /// Returns whether they hold the number of this contact, with or without its country; or its id, if that is no number.
    pub(crate) fn holds_contact(&self, contact: &str) -> bool {
        let digits: String = contact.chars().filter(char::is_ascii_digit).collect();
        if digits.len() >= TELLING_DIGITS && digits.len() * 2 > contact.len() {
            return self.holds_number(&digits);
        }
        self.holds_text(&plain(contact))
    }

    /// Returns whether they hold this number, with or without its country.
    pub(crate) fn holds_number(&self, digits: &str) -> bool {
        digits.len() >= TELLING_DIGITS
            && (self.numbers.contains(digits) || tail(digits).is_some_and(|tail| self.national.contains(tail)))
    }

    /// Returns whether they hold this text, which is folded, whole and apart from other words. One that is as short as a
    /// code, or is the name of a field, tells nobody anything.
    pub(crate) fn holds_text(&self, folded: &str) -> bool {
        let words: Vec<&str> = words_of(folded).collect();
        let letters = folded.chars().filter(|c| c.is_alphabetic() && *c != 'x').count();
        let is_name = words.len() == 1 && words[0].len() <= LONGEST_NAME && self.names.contains(words[0]);
        if letters < TELLING_LETTERS || is_name {
            // A replacement may be the same as a shorter number by chance.
            let runs = folded.split(|c: char| !c.is_ascii_digit());
            return runs.filter(|run| run.len() >= NATIONAL_DIGITS).any(|run| self.holds_number(run));
        }
        words.iter().all(|word| self.vocabulary.contains(*word))
            && self.words.contains(&format!(" {} ", words.join(" ")))
    }
}

/// Returns whether a replacement of a number would be taken for one of these.
pub(crate) fn is_one_of(number: &str, whole: &HashSet<String>, tails: &HashSet<String>) -> bool {
    whole.contains(number) || tail(number).is_some_and(|tail| tails.contains(tail))
}

/// Returns the last digits of a number that has more.
pub(crate) fn tail(digits: &str) -> Option<&str> {
    digits.get(digits.len().checked_sub(NATIONAL_DIGITS)?..)
}

fn words_of(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Returns the strings that a colon follows.
fn fields(answer: &str) -> impl Iterator<Item = &str> {
    answer
        .split('"')
        .zip(answer.split('"').skip(1))
        .filter(|(_, behind)| behind.trim_start().starts_with(':'))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_found_in_each_form_and_nothing_else_is() {
        let answers = [
            r#"{"status":"SUCCESS","operator":"x","result":[{"message":"Ma\u00f1ana &iexcl;a las diez!","destination":"34600111222"}]}"#,
            "user=ana%40example.com&password=s3cr3t%21",
        ];
        let out = Outgoing::new(answers, &["SUCCESS"]);
        for secret in ["s3cr3t!", "ana@example.com", "S3CR3T!"] {
            assert!(out.holds_secret(secret), "{secret}");
        }
        for contact in ["+34600111222", "600111222", "0034600111222"] {
            assert!(out.holds_contact(contact), "{contact}");
        }
        assert!(out.holds_text(&plain("mañana, a las diez")) && out.holds_text(&plain("¡A LAS DIEZ!")));
        for other in ["manana a las once", "las die", "Operator", "success", "12:30", "xxxx", "👍", ""] {
            assert!(!out.holds_text(&plain(other)), "{other}");
        }
        assert!(!out.holds_secret("another") && !out.holds_secret("") && !out.holds_contact("+34600111223"));
    }
}
