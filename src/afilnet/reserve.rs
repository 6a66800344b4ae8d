//! Long text with placeholders in parts that fit once the placeholders are filled in (anna.md section 8). The cuts depend on
//! the text as the agent wrote it alone: whatever a retry fills in, no part moves. Pure; called by `translate` alone.

use super::split::split;
use crate::domain::Template;
use crate::domain::placeholder::{Piece, push_text};

/// Characters that Unicode keeps free for use inside a program: one that the text does not hold stands for a placeholder.
const INTERNAL: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';
/// Makes one grapheme, which is never cut, of a placeholder's characters.
const JOINING: char = '\u{301}';

/// `pieces` in templates of at most `limit` characters each, cut as `split` cuts; the characters of a placeholder are those
/// that are kept free for its value.
pub(super) fn split_template(pieces: Vec<Piece>, limit: usize) -> Vec<Template> {
    let holds = |c: char| pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(c)));
    let Some(mark) = INTERNAL.into_iter().find(|c| !holds(*c)) else {
        // A text that uses them all is sent as it was written.
        let typed = Template::new(pieces, limit).typed();
        let texts = split(&typed, limit).into_iter();
        return texts.map(|text| Template::new(vec![Piece::Text(text)], limit)).collect();
    };
    let mut text = String::new();
    let mut placeholders = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(plain) => text.push_str(&plain),
            Piece::Placeholder(placeholder) => {
                text.push(mark);
                text.extend(std::iter::repeat_n(JOINING, placeholder.width().min(limit).saturating_sub(1)));
                placeholders.push(placeholder);
            }
        }
    }
    let mut placeholders = placeholders.into_iter();
    // Joining characters of the last placeholder that are still to come: a grapheme that no part can hold is cut.
    let mut joining = 0;
    let mut templates = Vec::new();
    for part in split(&text, limit) {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        for c in part.chars() {
            if joining > 0 && c == JOINING {
                joining -= 1;
                continue;
            }
            joining = 0;
            if c != mark {
                plain.push(c);
            } else if let Some(placeholder) = placeholders.next() {
                joining = placeholder.width().min(limit).saturating_sub(1);
                push_text(&mut pieces, std::mem::take(&mut plain));
                pieces.push(Piece::Placeholder(placeholder));
            }
        }
        push_text(&mut pieces, plain);
        if !pieces.is_empty() {
            templates.push(Template::new(pieces, limit));
        }
    }
    templates
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Replacement;
    use crate::domain::placeholder::{LINK_WIDTH, pieces};
    use secrecy::ExposeSecret as _;

    fn parts(text: &str, limit: usize) -> Vec<Template> {
        split_template(pieces(text).unwrap(), limit)
    }

    fn typed(text: &str, limit: usize) -> Vec<String> {
        parts(text, limit).iter().map(Template::typed).collect()
    }

    fn filled(template: &Template, value: &str) -> String {
        let one = |_| Replacement { value: Some(value.to_owned().into()), fallback: "f".to_owned() };
        let replacements: Vec<Replacement> = template.placeholders().iter().map(one).collect();
        template.fill(&replacements, |_| true).words.expose_secret().to_owned()
    }

    #[test]
    fn a_text_that_fits_with_its_links_is_one_part_and_else_is_cut_at_words() {
        let text = "Siga su caso: {{anna.chat_url}}";
        assert_eq!(typed(text, 4096), [text]);
        assert_eq!(typed(text, 1014), [text]);
        assert_eq!(typed(text, 1013), ["Siga su caso:", "{{anna.chat_url}}"]);
        let two = "a{{anna.chat_url}}{{anna.messenger_link}}b";
        assert_eq!(typed(two, 2002), [two]);
        assert_eq!(typed(two, 2001), ["a{{anna.chat_url}}{{anna.messenger_link}}", "b"]);
    }

    #[test]
    fn a_text_that_holds_every_internal_character_is_sent_as_it_was_written() {
        let text = format!("{}{{{{anna.pending}}}}", INTERNAL.collect::<String>());
        assert_eq!(typed(&text, 4096), [text.as_str()]);
        assert_eq!(parts(&text, 4096)[0].placeholders(), []);
        let some = "\u{fdd0}\u{301}{{anna.pending}}\u{301}\u{301}";
        assert_eq!(typed(some, 4096), [some]);
    }

    fn odd_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => "[a-zñ.]{1,9}",
            2 => "[ \n]{1,3}",
            1 => "\u{301}|\u{fdd0}|👩‍👩‍👧‍👦|\u{200d}",
            3 => "\\{\\{anna\\.(chat_url|pending|messenger_link)\\}\\}",
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_word_and_no_placeholder_is_lost_and_every_part_fits(text in odd_text(), limit in LINK_WIDTH..1500) {
            let Some(pieces) = pieces(&text) else { return Ok(()) };
            let whole = Template::new(pieces.clone(), usize::MAX);
            let parts = split_template(pieces, limit);
            let words = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let typed: String = parts.iter().map(Template::typed).collect();
            prop_assert_eq!(words(&typed), words(&whole.typed()));
            let placeholders: Vec<_> = parts.iter().flat_map(Template::placeholders).collect();
            prop_assert_eq!(placeholders, whole.placeholders());
            for part in &parts {
                prop_assert!(filled(part, &"v".repeat(200)).chars().count() <= limit);
            }
        }
    }
}
