//! The settings by which a message is put into words, in the form that the store keeps (`outbound.wording`): characters of
//! one call, language and switches in one line; of a location, its template from the next line on.

use std::fmt::Write as _;

use super::translate::Formatter;
use crate::domain::{Language, Wording, Wordings};

/// Quick replies are numbered.
const NUMBERED: &str = "numbered";
/// Placeholders are filled in, and the text is cut with room for their values.
const PLACEHOLDERS: &str = "placeholders";

impl Formatter {
    /// Returns the stored form of these settings.
    pub(super) fn wordings(&self) -> Wordings {
        let language = match self.language {
            Language::En => "en",
            Language::Es => "es",
        };
        let mut line = format!("{} {language}", self.text_limit);
        for (holds, switch) in [(self.number_quick_replies, NUMBERED), (self.placeholders, PLACEHOLDERS)] {
            if holds {
                let _ = write!(line, " {switch}");
            }
        }
        let of_locations = Wording::new(format!("{line}\n{}", self.location_text));
        Wordings { of_locations, of_others: Wording::new(line) }
    }

    /// Returns the settings of a stored form; `None` where it cannot be read. What it does not hold is as here.
    pub(super) fn of(&self, wording: &Wording) -> Option<Self> {
        let (line, location_text) = match wording.as_str().split_once('\n') {
            Some((line, location_text)) => (line, location_text),
            None => (wording.as_str(), self.location_text.as_str()),
        };
        let mut words = line.split(' ');
        let text_limit = words.next()?.parse().ok()?;
        let language = match words.next()? {
            "en" => Language::En,
            "es" => Language::Es,
            _ => return None,
        };
        let (mut number_quick_replies, mut placeholders) = (false, false);
        for switch in words {
            match switch {
                NUMBERED => number_quick_replies = true,
                PLACEHOLDERS => placeholders = true,
                _ => return None,
            }
        }
        let location_text = location_text.to_owned();
        Some(Self { text_limit, number_quick_replies, location_text, language, placeholders })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_as_the_same_settings() {
        let now = Formatter {
            text_limit: 9,
            number_quick_replies: false,
            location_text: "now {address}".into(),
            language: Language::En,
            placeholders: false,
        };
        for (text_limit, number_quick_replies, placeholders, language) in
            [(4096, false, false, Language::En), (1, true, false, Language::Es), (7000, true, true, Language::En)]
        {
            let location_text = "{address}\n\n{latitude} placeholders\n".to_owned();
            let then = Formatter { text_limit, number_quick_replies, location_text, language, placeholders };
            let Wordings { of_locations, of_others } = then.wordings();
            assert_eq!(now.of(&of_locations).unwrap(), then);
            let others = now.of(&of_others).unwrap();
            assert_eq!(others, Formatter { location_text: now.location_text.clone(), ..then });
        }
        for unknown in ["", "x en", "4096", "4096 fr", "4096 en another"] {
            assert!(now.of(&Wording::new(unknown.into())).is_none(), "{unknown}");
        }
    }
}
