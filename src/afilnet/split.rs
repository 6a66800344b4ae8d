//! Long text in parts (afilnet.md 3.2: 4,096 characters for whatsapp and telegram). Pure; called by `translate` alone.

use unicode_segmentation::UnicodeSegmentation;

/// Returns `text` in parts of at most `limit` characters (Unicode scalar values), none of them blank, cut at a
/// paragraph, a line, a sentence or a word if there is one. A text that fits is unchanged; of a longer one, only white
/// space at the cuts is lost. A cut never falls inside a grapheme, unless one grapheme alone is longer than the limit.
pub(super) fn split(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(1);
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(window) = window(rest, limit) {
        // Of what comes behind the window as much again decides where a sentence ends; more would make each part cost
        // the whole rest.
        let seen = start_of(rest, limit.saturating_mul(2));
        let (part, after) = rest.split_at(cut(seen, window, limit));
        parts.push(trimmed_end(part));
        rest = trimmed_start(after);
    }
    parts.push(rest);
    parts.retain(|part| !part.trim().is_empty());
    parts.into_iter().map(str::to_owned).collect()
}

/// Returns the first `length` characters of `text`, or all of it.
fn start_of(text: &str, length: usize) -> &str {
    window(text, length).map_or(text, |end| &text[..end])
}

/// Returns the byte index after the first `limit` characters of `text`; `None` if it has no more than these.
fn window(text: &str, limit: usize) -> Option<usize> {
    text.char_indices().nth(limit).map(|(at, _)| at)
}

/// Returns where to cut a text that begins with `text`, whose first `limit` characters end at byte `window`. At least
/// 1, at most `window`.
fn cut(text: &str, window: usize, limit: usize) -> usize {
    // A cut at a paragraph, line or sentence in the first half would make too many parts.
    let half = text.char_indices().nth(limit / 2).map_or(0, |(at, _)| at);
    let (mut paragraph, mut line, mut word, mut grapheme) = (0, 0, 0, 0);
    let mut breaks_in_a_row = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        let end = at + cluster.len();
        if end > window {
            break;
        }
        grapheme = end;
        if !cluster.trim().is_empty() {
            breaks_in_a_row = 0;
            continue;
        }
        word = end;
        if cluster.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
            line = end;
            breaks_in_a_row += 1;
        }
        if breaks_in_a_row > 1 || cluster == "\u{2029}" {
            paragraph = end;
        }
    }
    let sentence = || {
        let ends = text.split_sentence_bound_indices().map(|(at, sentence)| at + sentence.len());
        ends.take_while(|end| *end <= grapheme).last().unwrap_or(0)
    };
    let far = |at: usize| (at > half).then_some(at);
    far(paragraph)
        .or_else(|| far(line))
        .or_else(|| far(sentence()))
        .or_else(|| (word > 0).then_some(word))
        .or_else(|| (grapheme > 0).then_some(grapheme))
        .unwrap_or(window)
}

/// Returns `text` without the graphemes of white space at its start. A space with a combining accent is not white
/// space.
fn trimmed_start(text: &str) -> &str {
    let blank: usize = text.graphemes(true).take_while(|g| g.trim().is_empty()).map(str::len).sum();
    &text[blank..]
}

fn trimmed_end(text: &str) -> &str {
    let blank: usize = text.graphemes(true).rev().take_while(|g| g.trim().is_empty()).map(str::len).sum();
    &text[..text.len() - blank]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_left_alone() {
        for text in ["a", "  a\n\n", "ñ日👍", "1234567890"] {
            assert_eq!(split(text, 10), [text]);
        }
    }

    #[test]
    fn the_best_boundary_wins() {
        for (text, limit, parts) in [
            ("One two.\n\nThree. Four five", 20, &["One two.\n\nThree.", "Four five"][..]),
            ("First one here.\n\nThen. And", 20, &["First one here.", "Then. And"]),
            ("First one here\nthen. And so", 20, &["First one here", "then. And so"]),
            ("It is done here. Good day", 20, &["It is done here.", "Good day"]),
            ("¿Qué tal estás? Bien todo", 20, &["¿Qué tal estás?", "Bien todo"]),
            ("It is a long day today", 10, &["It is a", "long day", "today"]),
            ("今日は天気です。明日も晴れ", 10, &["今日は天気です。", "明日も晴れ"]),
            ("abcdefghij", 4, &["abcd", "efgh", "ij"]),
            ("abcd efgh", 4, &["abcd", "efgh"]),
            ("a\r\nb\r\nc", 3, &["a", "b", "c"]),
        ] {
            assert_eq!(split(text, limit), parts, "{text:?}");
        }
    }

    #[test]
    fn graphemes_stay_whole_while_they_can() {
        let family = "👩‍👩‍👧‍👦";
        assert_eq!(family.chars().count(), 7);
        assert_eq!(split(&family.repeat(3), 10), [family, family, family]);
        assert_eq!(split(&"e\u{301}".repeat(4), 3), ["e\u{301}", "e\u{301}", "e\u{301}", "e\u{301}"]);
        assert_eq!(split("🇪🇸🇫🇷", 3), ["🇪🇸", "🇫🇷"]);
        // A grapheme that does not fit into a part is cut between its characters.
        let tower = format!("a{}", "\u{301}".repeat(9));
        assert_eq!(split(&tower, 4).concat(), tower);
        assert!(split(&tower, 4).iter().all(|part| part.chars().count() <= 4));
    }

    #[test]
    fn no_part_is_blank() {
        assert_eq!(split(&format!("a{}b", " ".repeat(50)), 5), ["a", "b"]);
        assert_eq!(split(&format!("{}b", "\n".repeat(50)), 5), ["b"]);
        assert_eq!(split(&format!("abcde{}", " ".repeat(50)), 5), ["abcde"]);
    }

    /// CPU time of this thread for the cheapest of a few runs: what else the machine does costs none of it.
    fn cheapest_run(text: &str) -> std::time::Duration {
        let spent = || {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            std::time::Duration::try_from(now).unwrap()
        };
        let run = || {
            let start = spent();
            assert!(split(text, 10).len() >= text.chars().count() / 10);
            spent().saturating_sub(start)
        };
        (0..25).map(|_| run()).min().unwrap()
    }

    #[test]
    fn a_text_of_four_times_the_length_costs_about_four_times_as_much_to_split() {
        for unit in ["a\u{301}", "a ", "Aa. ", "👍"] {
            let (short, long) = (unit.repeat(1000), unit.repeat(4000));
            let ratio = cheapest_run(&long).as_secs_f64() / cheapest_run(&short).as_secs_f64();
            assert!(ratio < 9.0, "{unit:?}: {ratio:.1} times"); // a quadratic one costs sixteen times as much
        }
    }

    fn words(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    fn odd_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-zñ¿?.!,]{1,9}",
            3 => "[ \n]{1,3}",
            1 => "\r\n|\t|\u{2029}|\u{a0}",
            1 => "👩‍👩‍👧‍👦|🇪🇸|e\u{301}| \u{308}|日本。|\u{200b}|\u{200d}",
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_white_space_at_the_cuts(text in odd_text(), limit in 1usize..40) {
            let parts = split(&text, limit);
            let mut rest = text.as_str();
            for part in &parts {
                prop_assert!(part.chars().count() <= limit);
                prop_assert!(!part.trim().is_empty());
                let at = rest.find(part.as_str());
                prop_assert!(at.is_some());
                let (gap, found) = rest.split_at(at.unwrap());
                prop_assert_eq!(gap.trim(), "");
                rest = &found[part.len()..];
            }
            prop_assert_eq!(rest.trim(), "");
            prop_assert_eq!(words(&parts.concat()), words(&text));
        }

        #[test]
        fn no_cut_falls_inside_a_grapheme(text in odd_text(), limit in 1usize..40) {
            if text.graphemes(true).any(|g| g.chars().count() > limit) {
                return Ok(());
            }
            let edges: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
            let mut at = 0;
            for part in split(&text, limit) {
                let start = at + text[at..].find(part.as_str()).unwrap();
                at = start + part.len();
                prop_assert!(edges.contains(&start) && edges.contains(&at), "{:?}", part);
            }
        }
    }
}
