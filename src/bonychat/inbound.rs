//! The content that `BonyChat` gets for a row's text. Pure.

use unicode_segmentation::UnicodeSegmentation as _;

use super::files;
use crate::domain::content::{Attachment, FileUrl, MOST_LINK, MOST_TEXT, Text};
use crate::domain::{Content, Language, Reach};

/// Returns the contents of one row's events, in order; never empty. `files`: which hosts a file may be on for a text
/// that is one link to it to become that file; `None`: never. A blank text becomes a placeholder (A33); one over the
/// limit becomes several (A32).
pub(crate) fn contents(text: &str, files: Option<Reach>, language: Language) -> Vec<Content> {
    if let Some(file) = files.and_then(|reach| linked_file(text, reach)) {
        return vec![Content::Attachment(file)];
    }
    let parts: Vec<Content> = split(text, MOST_TEXT).filter_map(text_content).collect();
    if parts.is_empty() { text_content(placeholder(language)).into_iter().collect() } else { parts }
}

/// Returns the text for a row without text.
fn placeholder(language: Language) -> &'static str {
    match language {
        Language::En => "[unsupported message]",
        Language::Es => "[mensaje no compatible]",
    }
}

/// Returns a part as content; `None` for a blank one, which makes no event.
fn text_content(part: &str) -> Option<Content> {
    Text::new(part).ok().map(|text| Content::Text { text })
}

/// Returns the file if the whole text is one https link to a public host with a path that ends in a file name with a
/// known extension: a customer must not make BonyChat fetch from inside a network.
fn linked_file(text: &str, reach: Reach) -> Option<Attachment> {
    let link = text.trim();
    if link.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let url = url::Url::parse(link).ok().filter(|url| url.scheme() == "https" && url.has_host())?;
    let (kind, mime_type) = files::by_extension(files::extension(&url)?)?;
    let fits = |file: &FileUrl| file.as_str().len() <= MOST_LINK && file.is_public(reach);
    Some(Attachment {
        kind,
        url: FileUrl::new(link).ok().filter(fits)?,
        mime_type: Some(mime_type.to_owned()),
        file_name: files::name(&url),
        description: None,
    })
}

/// Returns `text` in parts of at most `limit` characters; joined they are the whole text.
fn split(text: &str, limit: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (part, tail) = rest.split_at(first_part(rest, limit));
        rest = tail;
        (!part.is_empty()).then_some(part)
    })
}

/// Returns the bytes of the first part: all if it fits, else up to the last line break of the part's second half, else
/// up to the last white space, else up to the last grapheme that fits. Only a single grapheme over the limit is cut.
fn first_part(text: &str, limit: usize) -> usize {
    let Some((hard, _)) = text.char_indices().nth(limit) else { return text.len() };
    let (mut chars, mut line, mut word, mut whole) = (0, 0, 0, 0);
    for (at, grapheme) in text.grapheme_indices(true) {
        chars += grapheme.chars().count();
        if chars > limit {
            break;
        }
        whole = at + grapheme.len();
        if grapheme.chars().all(char::is_whitespace) {
            word = whole;
            if grapheme.ends_with('\n') {
                line = whole;
            }
        }
    }
    match (line, word, whole) {
        (line, _, whole) if line * 2 >= whole && line > 0 => line,
        (_, 1.., _) => word,
        (_, 0, 1..) => whole,
        (_, 0, 0) => hard,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::content::{AttachmentKind, Label};

    fn texts(contents: &[Content]) -> Vec<&str> {
        contents
            .iter()
            .map(|content| match content {
                Content::Text { text } => text.as_str(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn shown(text: &str) -> Vec<Content> {
        contents(text, Some(Reach::Public), Language::En)
    }

    #[test]
    fn a_text_up_to_the_limit_goes_as_it_is() {
        for text in ["hola", " hola \n", &"ñ".repeat(7000), "see https://x.test/a.jpg", "http://x.test/a.jpg"] {
            assert_eq!(texts(&shown(text)), [text]);
        }
    }

    #[test]
    fn a_row_without_words_gets_a_placeholder() {
        for text in ["", " ", "\n\t\u{a0}", "\u{200b}", "\u{2800}\u{2800}", "\u{3164} \u{feff}", "\u{0}"] {
            assert_eq!(texts(&shown(text)), ["[unsupported message]"]);
            assert_eq!(texts(&contents(text, Some(Reach::Public), Language::Es)), ["[mensaje no compatible]"]);
        }
        assert_eq!(texts(&shown(&" ".repeat(20_000))), ["[unsupported message]"]);
    }

    #[test]
    fn a_long_text_is_split_at_a_line_then_at_a_word_then_at_a_character() {
        for (text, expected) in [
            ("abcde\nf ghi", vec!["abcde\n", "f ghi"]),
            ("a\ncdef ghi jk", vec!["a\ncdef ", "ghi jk"]),
            ("abcdefgh\r\nij", vec!["abcdefgh\r\n", "ij"]),
            ("abcdefghi\r\nj", vec!["abcdefghi", "\r\nj"]),
            ("abcdefghijkl", vec!["abcdefghij", "kl"]),
            ("ab cdefghijklm", vec!["ab ", "cdefghijkl", "m"]),
            ("abcdefghi👨‍👩‍👧", vec!["abcdefghi", "👨‍👩‍👧"]),
            ("abcdefghie\u{301}", vec!["abcdefghi", "e\u{301}"]),
        ] {
            assert_eq!(split(text, 10).collect::<Vec<_>>(), expected, "{text}");
        }
        let endless = format!("a{}", "\u{301}".repeat(25));
        assert_eq!(split(&endless, 10).map(|part| part.chars().count()).collect::<Vec<_>>(), [10, 10, 6]);
    }

    #[test]
    fn a_link_to_a_file_becomes_the_file() {
        let shown = shown(" https://files.example.com/a/factura%20mayo.PDF?sig=x#page=2\n");
        let [Content::Attachment(file)] = shown.as_slice() else { panic!("{shown:?}") };
        assert_eq!(file.kind, AttachmentKind::File);
        assert_eq!(file.url.as_str(), "https://files.example.com/a/factura%20mayo.PDF?sig=x#page=2");
        assert_eq!(file.mime_type.as_deref(), Some("application/pdf"));
        assert_eq!(file.file_name.as_ref().map(Label::as_str), Some("factura mayo.PDF"));
        assert_eq!(file.description, None);
    }

    #[test]
    fn a_link_goes_on_as_a_legal_url() {
        let shown = shown("https://señal.example/año.jpg");
        let [Content::Attachment(file)] = shown.as_slice() else { panic!("{shown:?}") };
        assert_eq!(file.url.as_str(), "https://xn--seal-hqa.example/a%C3%B1o.jpg");
        assert_eq!(file.file_name.as_ref().map(Label::as_str), Some("año.jpg"));
    }

    #[test]
    fn every_known_extension_has_its_kind() {
        for (kind, extensions) in [
            (AttachmentKind::Image, "jpg jpeg png gif webp"),
            (AttachmentKind::Video, "mp4 3gp mov"),
            (AttachmentKind::Audio, "ogg opus oga mp3 m4a amr aac"),
            (AttachmentKind::File, "pdf doc docx xls xlsx ppt pptx zip txt csv vcf"),
        ] {
            for extension in extensions.split(' ') {
                let shown = shown(&format!("https://x.test/f.{extension}"));
                assert!(matches!(&shown[..], [Content::Attachment(file)] if file.kind == kind), "{extension}");
            }
        }
    }

    #[test]
    fn other_links_stay_text() {
        let long = format!("https://x.test/{}.jpg", "a".repeat(2000));
        for text in [
            "https://x.test/",
            "https://x.test/page",
            "https://x.test/page.html",
            "https://x.test/?file=a.jpg",
            "https://x.test/a.jpg/",
            "https://x.test.jpg",
            "https:///a.jpg ",
            "ftp://x.test/a.jpg",
            "https://x.test/a.jpg https://x.test/b.jpg",
            "https://x.test/a.jpg\nlook",
            "https://169.254.169.254/latest/meta-data/x.jpg",
            "https://10.0.0.1/a.pdf",
            "https://[::1]/a.pdf",
            "https://user:pw@x.test/a.jpg",
            "https://x.test:8443/a.jpg",
            "https://printer.local/a.pdf",
            "https://localhost/a.pdf",
            &long,
            &format!("https://x.test/{}.jpg", "ñ".repeat(400)),
        ] {
            let shown = shown(text);
            assert!(matches!(shown[..], [Content::Text { .. }]), "{text}");
        }
        assert_eq!(texts(&contents("https://x.test/a.jpg", None, Language::En)), ["https://x.test/a.jpg"]);
    }

    proptest! {
        #[test]
        fn splitting_loses_nothing_and_cuts_no_grapheme(text in "(\\PC|[ \n\r]|a|👨‍👩‍👧|e\u{301}){0,120}", limit in 8_usize..40) {
            let parts: Vec<&str> = split(&text, limit).collect();
            prop_assert_eq!(parts.concat(), text.clone());
            prop_assert!(parts.iter().all(|part| (1..=limit).contains(&part.chars().count())));
            let longest = text.graphemes(true).map(|g| g.chars().count()).max().unwrap_or(0);
            if longest <= limit {
                let again: Vec<&str> = parts.iter().flat_map(|part| part.graphemes(true)).collect();
                prop_assert_eq!(again, text.graphemes(true).collect::<Vec<_>>());
            }
        }

        #[test]
        fn there_is_always_something_to_show(text in "\\PC{0,40}|[ \n]{0,9000}|(\\w{1,30} ){0,900}", on: bool) {
            let shown = contents(&text, on.then_some(Reach::Public), Language::En);
            prop_assert!(!shown.is_empty());
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            if !crate::domain::blank::is_blank(&text) && shown.iter().all(|content| content.kind() == "text") {
                prop_assert_eq!(words(&texts(&shown).concat()), words(&text));
            }
        }
    }
}
