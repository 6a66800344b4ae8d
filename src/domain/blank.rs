//! Blank texts. Pure.

/// Returns whether `text` has no visible character. A blank text is not a message.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
}

/// Unicode's default-ignorable characters (fillers, joiners, marks of direction, variation selectors, tags), and the blank
/// pattern of Braille.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank() {
        for text in [
            "",
            " ",
            "\n\t",
            "\u{a0}",
            "\u{3000}",
            "\u{200b}",
            "\u{200d}\u{200c}",
            "\u{2060}",
            "\u{feff}",
            "\u{2800}",
            "\u{2800} \u{2800}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{115f}\u{1160}",
            "\u{ad}",
            "\u{34f}",
            "\u{61c}",
            "\u{180e}",
            "\u{202e}\u{2069}",
            "\u{fe0f}",
            "\u{e0020}\u{e007f}",
            "\u{0}\u{1}",
            "\u{85}",
        ] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["a", " . ", "0", "👍", "👨‍👩‍👧", "❤\u{fe0f}", "\u{2801}", "\u{200f}שלום", "\u{301}", "|", "\u{fffc}"]
        {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
