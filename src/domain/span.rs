//! Spans of time in words.

use std::time::Duration;

use super::Language;

/// Returns a span in the largest whole unit of which it holds at least two: `3 days`, `2 h`, `7 min`; below two minutes
/// in seconds.
pub(crate) fn span(time: Duration, language: Language) -> String {
    let (count, unit) = match time.as_secs() {
        seconds @ 172_800.. => (seconds / 86_400, if language == Language::Es { "días" } else { "days" }),
        seconds @ 7200.. => (seconds / 3600, "h"),
        seconds @ 120.. => (seconds / 60, "min"),
        seconds => (seconds, "s"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_largest_unit_of_which_it_holds_two() {
        for (seconds, english, spanish) in [
            (0, "0 s", "0 s"),
            (119, "119 s", "119 s"),
            (120, "2 min", "2 min"),
            (7199, "119 min", "119 min"),
            (7200, "2 h", "2 h"),
            (172_799, "47 h", "47 h"),
            (172_800, "2 days", "2 días"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!([span(time, Language::En), span(time, Language::Es)], [english, spanish]);
        }
    }
}
