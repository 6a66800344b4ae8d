//! Finds the one envelope of an answer that a PHP notice, a warning or some markup stands around. Pure.
//!
//! A wrong reading of a send is a lost or a doubled message, and no reading only costs a look at the conversation. So
//! the envelope must be the only one, whole, and on lines or between tags of its own: a notice that quotes JSON (of a
//! provider behind Afilnet, say) goes on after it in the same line. A whole web page is no envelope, whatever it shows.

/// Most bytes of noise before an envelope, and behind it.
const MOST_NOISE: usize = 16 << 10;
/// Places at which an envelope is looked for.
const MOST_PLACES: usize = 16;

/// Returns the envelope's JSON in `text`, as `is_envelope` knows it, and what stands around it. `None` where there is
/// none, or where it is not sure.
pub(super) fn envelope(text: &str, is_envelope: impl Fn(&str) -> bool) -> Option<(&str, String)> {
    let starts = text.match_indices('{').map(|(at, _)| at).take_while(|at| *at <= MOST_NOISE);
    let starts = starts.filter(|at| ends_a_piece(&text[..*at])).take(MOST_PLACES);
    let whole = |at: usize| object(&text[at..]).filter(|json| is_envelope(json)).map(|json| (at, json));
    let (at, json) = starts.into_iter().find_map(whole)?;
    let (before, behind) = (&text[..at], &text[at + json.len()..]);
    let in_comment = before.rfind("<!--").is_some_and(|open| !before[open..].contains("-->"));
    let apart = behind.len() <= MOST_NOISE && begins_a_piece(behind) && !in_comment;
    let sound = apart && ![before, behind].into_iter().any(is_doubtful);
    sound.then(|| (json, format!("{before} {behind}")))
}

/// Returns whether a line or a tag ends where `before` does.
fn ends_a_piece(before: &str) -> bool {
    matches!(before.trim_end_matches([' ', '\t', '\u{feff}']).chars().next_back(), None | Some('\n' | '\r' | '>'))
}

/// Returns whether a line or a tag begins where `behind` does.
fn begins_a_piece(behind: &str) -> bool {
    matches!(behind.trim_start_matches([' ', '\t']).chars().next(), None | Some('\n' | '\r' | '<'))
}

/// Returns whether noise may hold another envelope, or belongs to a web page.
fn is_doubtful(noise: &str) -> bool {
    let noise = noise.to_ascii_lowercase();
    ["status\"", "status'", "status&quot;", "<!doctype", "<html", "<head", "<body", "<script"]
        .iter()
        .any(|sign| noise.contains(sign))
}

/// Returns the object that `text` begins with, by its braces alone: it need not be JSON.
fn object(text: &str) -> Option<&str> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(..=at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = r#"{"status":"SUCCESS","result":["{}\"}"]}"#;

    fn found(text: &str) -> Option<&str> {
        envelope(text, |json| json.contains(r#""status":"#)).map(|(json, _)| json)
    }

    #[test]
    fn an_envelope_apart_from_its_noise_is_found() {
        for text in [
            format!(
                "<br />\n<b>Notice</b>:  Undefined index: status in <b>/var/www/api.php</b> on line <b>12</b><br />\n{OK}"
            ),
            format!("\nNotice: Array to string conversion in /a.php on line 3\n\u{feff}{OK}"),
            format!("{OK}\n<br />\n<b>Warning</b>: mysqli_close() {{x}} in <b>/a.php</b><br />"),
            format!("{OK}<br />"),
            format!("Deprecated: each() in a.php\r\n  {OK}  \r\nWarning: session_write_close() in b.php\r\n"),
            format!("<pre>{OK}</pre>"),
            format!("<!-- a -->{OK}<!-- 0.02 s -->"),
            format!("<p>{{not json}}\n{{\"a\":1}}\n{OK}"),
        ] {
            assert_eq!(found(&text), Some(OK), "{text}");
        }
    }

    #[test]
    fn a_doubtful_one_is_not() {
        for text in [
            // Quoted in a notice, and the script ended there.
            format!("Warning: provider said {OK} in /a.php on line 3"),
            format!("Warning: provider said\n{OK} in /a.php on line 3"),
            format!("Warning: provider said {OK}"),
            format!("{OK} and so on"),
            format!("{OK},"),
            // More than one.
            format!("{OK}\n{OK}"),
            format!("Notice: 'status' => 1\n{OK}"),
            format!("<br>said {{\"status\":\"ERROR\"}} in a.php\n{OK}"),
            format!("{OK}<br>said {{&quot;status&quot;:&quot;ERROR&quot;}}"),
            // Not whole.
            format!("<br />\n{}", &OK[..OK.len() - 1]),
            // A web page.
            format!("<!DOCTYPE html>\n<pre>\n{OK}\n</pre>"),
            format!("<html><body>{OK}</body></html>"),
            format!("<!--\n{OK}\n-->"),
            // Too much.
            format!("{}\n{OK}", "x".repeat(MOST_NOISE + 1)),
            format!("{OK}\n{}", "x".repeat(MOST_NOISE + 1)),
            "{".repeat(100_000),
            "\n{".repeat(100_000),
            String::new(),
        ] {
            assert_eq!(found(&text), None, "{text:.200}");
        }
    }
}
