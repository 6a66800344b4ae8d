//! Placeholders in what agents write, `{{anna.NAME[:ALIAS][|FALLBACK]}}` (anna.md section 8): found, kept apart from
//! the text around them, filled in. Pure.

use secrecy::{ExposeSecret as _, SecretString};

/// How every placeholder begins.
pub(crate) const OPENING: &str = "{{anna.";
/// How every placeholder ends.
const CLOSING: &str = "}}";
/// Most characters of an alias.
const MOST_ALIAS: usize = 64;
/// Most characters of a fallback that is written in the placeholder.
pub(crate) const MOST_FALLBACK: usize = 200;
/// Characters of a part that are kept free for a link. A longer one is sent where the part has room for it.
pub(crate) const LINK_WIDTH: usize = 1000;
/// The same for a number, or for the fallback in its place.
const NUMBER_WIDTH: usize = MOST_FALLBACK;

/// What a placeholder asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PlaceholderKind {
    /// A personal link that signs the contact in to AnnA Chat and opens the service of this alias.
    ChatUrl { alias: Option<String> },
    /// A personal link to the contact's requests.
    MessengerLink,
    /// How many requests of the contact are open and pending.
    Pending,
}

impl PlaceholderKind {
    /// Its name in a placeholder, in the metrics and the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ChatUrl { .. } => "chat_url",
            Self::MessengerLink => "messenger_link",
            Self::Pending => "pending",
        }
    }

    /// Characters that are kept free for it.
    fn width(&self) -> usize {
        match self {
            Self::ChatUrl { .. } | Self::MessengerLink => LINK_WIDTH,
            Self::Pending => NUMBER_WIDTH,
        }
    }
}

/// One placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) kind: PlaceholderKind,
    /// What stands in its place where AnnA gives nothing, as the agent wrote it.
    pub(crate) fallback: Option<String>,
    typed: String,
}

impl Placeholder {
    /// Parses what stands between `{{anna.` and `}}`; `None` where that is no placeholder.
    fn parse(inner: &str) -> Option<Self> {
        let (name, fallback) = match inner.split_once('|') {
            Some((name, fallback)) => (name, Some(fallback)),
            None => (inner, None),
        };
        let kind = match name.split_once(':') {
            Some(("chat_url", alias)) if is_alias(alias) => PlaceholderKind::ChatUrl { alias: Some(alias.to_owned()) },
            Some(_) => return None,
            None => match name {
                "chat_url" => PlaceholderKind::ChatUrl { alias: None },
                "messenger_link" => PlaceholderKind::MessengerLink,
                "pending" => PlaceholderKind::Pending,
                _ => return None,
            },
        };
        if fallback.is_some_and(|fallback| !is_fallback(fallback)) {
            return None;
        }
        let typed = format!("{OPENING}{inner}{CLOSING}");
        Some(Self { kind, fallback: fallback.map(str::to_owned), typed })
    }

    /// Characters that are kept free for what stands in its place.
    pub(crate) fn width(&self) -> usize {
        self.kind.width()
    }
}

fn is_alias(text: &str) -> bool {
    (1..=MOST_ALIAS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Returns whether it is one line of 1 to 200 characters with a visible one: a blank fallback would leave a hole in the
/// message.
pub(crate) fn is_fallback(text: &str) -> bool {
    let line = |c: char| !c.is_control() && !matches!(c, '{' | '}' | '\u{2028}' | '\u{2029}');
    text.chars().count() <= MOST_FALLBACK && text.chars().all(line) && !super::blank::is_blank(text)
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Placeholder(Placeholder),
}

/// Returns the pieces of `text`; `None` where it holds no placeholder. What only looks like one is text.
pub(crate) fn pieces(text: &str) -> Option<Vec<Piece>> {
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    let mut any = false;
    while let Some(at) = rest.find(OPENING) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let inner = &rest[OPENING.len()..];
        let end = inner.find(['{', '}']).filter(|end| inner[*end..].starts_with(CLOSING));
        if let Some((end, placeholder)) = end.and_then(|end| Some((end, Placeholder::parse(&inner[..end])?))) {
            push_text(&mut pieces, std::mem::take(&mut plain));
            pieces.push(Piece::Placeholder(placeholder));
            rest = &inner[end + CLOSING.len()..];
            any = true;
        } else {
            plain.push_str(OPENING);
            rest = inner;
        }
    }
    plain.push_str(rest);
    push_text(&mut pieces, plain);
    any.then_some(pieces)
}

/// Adds a text that is not empty.
pub(crate) fn push_text(pieces: &mut Vec<Piece>, text: String) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// The words of one call, with placeholders in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
    /// Most characters once it is filled in.
    most: usize,
}

/// What may stand in the place of one placeholder.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    /// What AnnA gave.
    pub(crate) value: Option<SecretString>,
    /// What stands there where AnnA gave nothing, or more than there is room for.
    pub(crate) fallback: String,
}

/// A template with everything filled in.
#[derive(Debug)]
pub(crate) struct FilledWords {
    pub(crate) words: SecretString,
    /// Which placeholders got their fallback because there is no room for what AnnA gave.
    pub(crate) too_long: Vec<usize>,
}

impl Template {
    /// A call of these pieces, whose words take at most so many characters.
    pub(crate) fn new(pieces: Vec<Piece>, most: usize) -> Self {
        Self { pieces, most }
    }

    /// Its placeholders, in order.
    pub(crate) fn placeholders(&self) -> Vec<Placeholder> {
        let placeholders = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some(placeholder.clone()),
            Piece::Text(_) => None,
        });
        placeholders.collect()
    }

    /// Returns it as the agent wrote it.
    pub(crate) fn typed(&self) -> String {
        let typed = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Placeholder(placeholder) => placeholder.typed.clone(),
        };
        self.pieces.iter().map(typed).collect()
    }

    /// The words with a replacement in the place of each placeholder, in order. Where they are longer than the call takes, or
    /// do not `fit` its transport, the longest values give way to their fallbacks, until they fit.
    pub(crate) fn fill(&self, replacements: &[Replacement], fits: impl Fn(&str) -> bool) -> FilledWords {
        let mut chosen: Vec<&str> = replacements
            .iter()
            .map(|one| one.value.as_ref().map_or(one.fallback.as_str(), |value| value.expose_secret()))
            .collect();
        let mut too_long = Vec::new();
        loop {
            let words = self.saying(&chosen);
            let exposed = words.expose_secret();
            let is_taken = fits(exposed);
            if exposed.chars().count() <= self.most && is_taken {
                return FilledWords { words, too_long };
            }
            let saved =
                |at: usize| chosen[at].chars().count().saturating_sub(replacements[at].fallback.chars().count());
            // For a transport, a value may be too long that has no more characters than its fallback.
            let filled = (0..chosen.len()).filter(|at| replacements[*at].value.is_some() && !too_long.contains(at));
            let longest = filled.max_by_key(|at| saved(*at)).filter(|at| saved(*at) > 0 || !is_taken);
            let Some(longest) = longest else { return FilledWords { words, too_long } };
            chosen[longest] = &replacements[longest].fallback;
            too_long.push(longest);
        }
    }

    /// The words with these in the places of placeholders.
    fn saying(&self, chosen: &[&str]) -> SecretString {
        let (mut words, mut next) = (String::new(), chosen.iter());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => words.push_str(text),
                Piece::Placeholder(placeholder) => words.push_str(next.next().unwrap_or(&placeholder.typed.as_str())),
            }
        }
        words.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<(PlaceholderKind, Option<String>)> {
        let placeholder = |piece| match piece {
            Piece::Placeholder(Placeholder { kind, fallback, .. }) => Some((kind, fallback)),
            Piece::Text(_) => None,
        };
        pieces(text).unwrap_or_default().into_iter().filter_map(placeholder).collect()
    }

    #[test]
    fn the_grammar_takes_what_the_contract_names_and_nothing_else() {
        let chat = |alias: Option<&str>| PlaceholderKind::ChatUrl { alias: alias.map(str::to_owned) };
        for (text, kind, fallback) in [
            ("a {{anna.chat_url}} b", chat(None), None),
            ("{{anna.chat_url:my.Flow-1_x}}", chat(Some("my.Flow-1_x")), None),
            ("{{anna.chat_url:f|llame al 900}}", chat(Some("f")), Some("llame al 900")),
            (
                "{{anna.messenger_link|https://x.test/?a=1&b=2}}",
                PlaceholderKind::MessengerLink,
                Some("https://x.test/?a=1&b=2"),
            ),
            ("{{anna.pending|varias: 1|2}}", PlaceholderKind::Pending, Some("varias: 1|2")),
            ("{{{{anna.pending}}}}", PlaceholderKind::Pending, None),
            ("{{anna.{{anna.pending}}", PlaceholderKind::Pending, None),
        ] {
            assert_eq!(found(text), [(kind, fallback.map(str::to_owned))], "{text}");
        }
        let (long_alias, long_fallback) = ("a".repeat(65), "a".repeat(201));
        for text in [
            "",
            "no placeholder",
            "{{anna.foo}}",
            "{{anna.}}",
            "{{ anna.pending}}",
            "{{anna.pending }}",
            "{{ANNA.pending}}",
            "{{anna.Pending}}",
            "{{anna.pending",
            "{{anna.pending}",
            "{anna.pending}",
            "{{anna.pending:x}}",
            "{{anna.messenger_link:x}}",
            "{{anna.chat_url:}}",
            "{{anna.chat_url:a b}}",
            "{{anna.chat_url:ñ}}",
            &format!("{{{{anna.chat_url:{long_alias}}}}}"),
            "{{anna.pending|}}",
            "{{anna.pending| \u{200b}}}",
            "{{anna.pending|a\nb}}",
            "{{anna.pending|a{b}}",
            &format!("{{{{anna.pending|{long_fallback}}}}}"),
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    fn given(value: &str, fallback: &str) -> Replacement {
        Replacement { value: Some(value.to_owned().into()), fallback: fallback.to_owned() }
    }

    fn filled(text: &str, most: usize, replacements: &[Replacement]) -> (String, Vec<usize>) {
        let filled = Template::new(pieces(text).unwrap(), most).fill(replacements, |_| true);
        (filled.words.expose_secret().to_owned(), filled.too_long)
    }

    #[test]
    fn values_stand_where_placeholders_stood_and_are_never_read_as_placeholders_again() {
        let text = "¡{{anna.chat_url}}! {{anna.pending}}";
        let replacements = [given("{{anna.pending}}", "f"), Replacement { value: None, fallback: "-".to_owned() }];
        assert_eq!(filled(text, 100, &replacements), ("¡{{anna.pending}}! -".to_owned(), vec![]));
    }

    #[test]
    fn where_there_is_no_room_the_longest_value_gives_way() {
        let text = "{{anna.chat_url}} {{anna.messenger_link}}";
        let replacements = [given("aaaa", "x"), given("bbbbbbbb", "y")];
        assert_eq!(filled(text, 13, &replacements), ("aaaa bbbbbbbb".to_owned(), vec![]));
        assert_eq!(filled(text, 12, &replacements), ("aaaa y".to_owned(), vec![1]));
        assert_eq!(filled(text, 3, &replacements), ("x y".to_owned(), vec![1, 0]));
        assert_eq!(filled(text, 1, &replacements), ("x y".to_owned(), vec![1, 0]));
        let short = |words: &str| words.len() <= 6;
        let filled = Template::new(pieces(text).unwrap(), 100).fill(&replacements, short);
        assert_eq!((filled.words.expose_secret(), filled.too_long), ("aaaa y", vec![1]), "the transport takes no more");
        // Of as many characters as the fallback, but longer on its way.
        let replacements = [given("a&&&", "none")];
        let filled = Template::new(pieces("{{anna.chat_url}}").unwrap(), 100)
            .fill(&replacements, |words| words.replace('&', "%26").len() < 10);
        assert_eq!((filled.words.expose_secret(), filled.too_long), ("none", vec![0]));
    }

    #[test]
    fn a_value_is_not_in_what_is_printed_for_debugging() {
        let template = Template::new(pieces("{{anna.pending}}").unwrap(), 100);
        let replacements = [given("hidden-value", "-")];
        let printed = format!("{replacements:?} {:?}", template.fill(&replacements, |_| true));
        assert!(!printed.contains("hidden-value"), "{printed}");
    }

    proptest! {
        #[test]
        fn pieces_put_together_are_the_text(text in "([a-z {}|:.]|\\{\\{anna\\.|chat_url|pending|\\}\\}|ñ|\n){0,40}") {
            if let Some(pieces) = pieces(&text) {
                prop_assert_eq!(Template::new(pieces, 0).typed(), text);
            }
        }
    }
}
