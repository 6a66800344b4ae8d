//! What the simulated Afilnet makes of words, links and numbers before it shows them: what platforms of its kind are known
//! to do.

use super::switches::{FiledUnder, OwnWords};

/// A text of the API as its row shows it.
pub(super) fn own_words(how: OwnWords, text: &str) -> String {
    match how {
        OwnWords::AsSent => text.to_owned(),
        OwnWords::Latin1 => text.bytes().map(char::from).collect(),
        OwnWords::LinksReplaced => {
            let word = |word: &str| {
                if word.starts_with("https://") { "https://afl.example/x7".into() } else { word.to_owned() }
            };
            text.split(' ').map(word).collect::<Vec<_>>().join(" ")
        }
        OwnWords::EmojiNames => {
            text.chars().map(|c| if c >= '\u{2600}' { ":wave:".to_owned() } else { c.to_string() }).collect()
        }
        OwnWords::Paragraphs => format!("<p>{}</p>", text.replace('\n', "<br />")),
        OwnWords::Signature => format!("{text}\n-- Tienda Ejemplo"),
    }
}

/// The link of a file that Afilnet keeps itself.
pub(super) fn elsewhere(row: u64, link: &str) -> String {
    let ending = link.split(['?', '#']).next().and_then(|path| path.rsplit('.').next()).unwrap_or("bin");
    let ending = if ending.len() <= 4 { ending } else { "bin" };
    format!("https://media.afilnet.example/out/{row:06x}.{ending}")
}

/// A link that has another signature at every read.
pub(super) fn signed(link: &str, turn: u64) -> String {
    format!("{}?X-Amz-Signature={turn:016x}", link.split('?').next().unwrap_or(link))
}

/// The conversation in which a message to this destination is kept.
pub(super) fn filed_under(how: FiledUnder, destination: &str) -> String {
    let without = |code: &str, digits: usize| {
        let rest = destination.strip_prefix(code)?;
        (destination.len() == digits).then(|| rest.to_owned())
    };
    match how {
        FiledUnder::AsWritten => destination.to_owned(),
        FiledUnder::WithoutMobileDigits => {
            let argentina = without("549", 13).map(|rest| format!("54{rest}"));
            let mexico = || without("521", 13).map(|rest| format!("52{rest}"));
            let brazil = || {
                let rest = without("55", 13)?;
                let (area, number) = rest.split_at_checked(2)?;
                Some(format!("55{area}{}", number.strip_prefix('9')?))
            };
            argentina.or_else(mexico).or_else(brazil).unwrap_or_else(|| destination.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_filed_without_the_digits_of_mobiles() {
        let of = |number| filed_under(FiledUnder::WithoutMobileDigits, number);
        assert_eq!(of("5491155551234"), "541155551234");
        assert_eq!(of("5215512345678"), "525512345678");
        assert_eq!(of("5511987654321"), "551187654321");
        assert_eq!(of("34600111222"), "34600111222");
    }

    #[test]
    fn words_and_links_are_rewritten_as_the_switch_says() {
        assert_eq!(own_words(OwnWords::Latin1, "\u{bf}Qu\u{e9}?"), "\u{c2}\u{bf}Qu\u{c3}\u{a9}?");
        assert_eq!(own_words(OwnWords::LinksReplaced, "en https://t.example/1 hoy"), "en https://afl.example/x7 hoy");
        assert_eq!(own_words(OwnWords::EmojiNames, "Hola \u{1f44b}"), "Hola :wave:");
        assert_eq!(own_words(OwnWords::Paragraphs, "a\nb"), "<p>a<br />b</p>");
        assert_eq!(
            elsewhere(0x8c1f, "https://cdn.example/u/IMG.jpg?x=1"),
            "https://media.afilnet.example/out/008c1f.jpg"
        );
        assert_eq!(
            signed("https://m.example/1.jpg?old", 7),
            "https://m.example/1.jpg?X-Amz-Signature=0000000000000007"
        );
    }
}
