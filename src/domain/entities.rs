//! HTML entities, as Afilnet may write them into a row's text (afilnet.md U12). Pure.

/// The Latin-1 characters from U+00A0 on, by their names in HTML.
const LATIN_1: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 \
     sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring \
     AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash \
     Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml \
     igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn \
     yuml";

/// Others that occur in messenger texts.
const OTHERS: [(&str, char); 13] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("euro", '€'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
];

/// Longest name or number between `&` and `;`.
const LONGEST: usize = 10;

/// Returns `text` with its entities decoded once: `&amp;lt;` becomes `&lt;`. What is not an entity is unchanged.
pub(crate) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let inside = &from[1..];
        let end = inside.bytes().take(LONGEST + 1).position(|b| b == b';');
        if let Some((c, end)) = end.and_then(|end| Some((character(&inside[..end])?, end))) {
            out.push(c);
            rest = &inside[end + 1..];
        } else {
            out.push('&');
            rest = inside;
        }
    }
    out.push_str(rest);
    out
}

/// Returns the character for the text between `&` and `;`.
fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let (digits, radix) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16),
            None => (number, 10),
        };
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        return u32::from_str_radix(digits, radix).ok().filter(|n| plain && *n != 0).and_then(char::from_u32);
    }
    let other = OTHERS.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    let latin =
        || (0xA0..).zip(LATIN_1.split(' ')).find(|(_, known)| *known == name).and_then(|(n, _)| char::from_u32(n));
    other.or_else(latin)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_numbers_become_characters() {
        for (text, expected) in [
            (
                "&iquest;Qu&eacute; tal, se&ntilde;or &Ntilde;u&ntilde;ez? &iexcl;Ping&uuml;ino&excl;",
                "¿Qué tal, señor Ñuñez? ¡Pingüino&excl;",
            ),
            ("&#191;Qu&#xE9;&#XE9;&#039;s &#128512;", "¿Quéé's 😀"),
            ("a &lt;b&gt; &quot;c&quot; &amp; d&apos;s&nbsp;5&euro; &yuml;&AElig;", "a <b> \"c\" & d's\u{a0}5€ ÿÆ"),
            ("&Aacute;&Eacute;&Iacute;&Oacute;&Uacute;&Uuml;&aacute;&iacute;&oacute;&uacute;", "ÁÉÍÓÚÜáíóú"),
            ("&amp;lt; &amp;amp;", "&lt; &amp;"),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }

    #[test]
    fn what_is_no_entity_stays() {
        for text in
            ["", "a & b", "R&D;", "&", "&;", "&#;", "&#x;", "&#0;", "&#xD800;", "&#+5;", "AT&T; ?a=1&b=2", "&añadido;"]
        {
            assert_eq!(decoded(text), text);
        }
    }

    proptest! {
        #[test]
        fn escaped_numerically_any_text_comes_back(text in any::<String>()) {
            let escaped: String = text.chars().map(|c| match c {
                '\0' => c.to_string(),
                c => format!("&#{};", u32::from(c)),
            }).collect();
            prop_assert_eq!(decoded(&escaped), text);
        }
    }
}
