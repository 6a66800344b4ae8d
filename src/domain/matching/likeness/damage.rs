//! What damage to a character set leaves of a text. Pure.

use super::{Form, LEAST_SHARED, LONGEST_COMPARED, Likeness, count};

/// Letters that damage to a character set leaves in the place of one, at most: an emoji is four bytes, and twice damaged eight
/// characters, of which half are letters.
const LEFT_OF_ONE: usize = 8;

/// Returns whether damage to everything beyond ASCII would explain the difference.
pub(super) fn left_by_damage(said: &Form, shown: &Form) -> bool {
    said.ascii == shown.ascii && said.ascii.len() >= 3 && said.ascii.len() * 2 >= count(&said.letters)
}

/// Returns whether the shown text holds the other with something else in the place of each character beyond ASCII.
pub(super) fn holds_damaged(said: &Form, shown: &Form) -> Likeness {
    // Few letters are found in many texts, unless what stands between them is what nobody types.
    let least = if shown.normal.chars().any(is_damage) { LEAST_SHARED / 2 } else { LEAST_SHARED };
    if said.ascii.len() < least {
        return Likeness::Unlike;
    }
    // Runs of ASCII letters, each behind the room that the characters before it may take.
    let mut runs: Vec<(usize, String)> = vec![(0, String::new())];
    for c in said.normal.chars().take(LONGEST_COMPARED) {
        match runs.last_mut() {
            Some((_, run)) if c.is_ascii_alphanumeric() => run.push(c.to_ascii_lowercase()),
            Some((room, run)) if run.is_empty() && !c.is_ascii() => *room += LEFT_OF_ONE,
            _ if !c.is_ascii() => runs.push((LEFT_OF_ONE, String::new())),
            _ => {}
        }
    }
    let shown: String = shown.letters.chars().take(LONGEST_COMPARED).collect();
    let mut ends: Option<Vec<usize>> = None; // `None`: anywhere
    for (room, run) in runs.iter().filter(|(_, run)| !run.is_empty()) {
        let follows = |at: usize, end: usize| end <= at && shown[end..at].chars().count() <= *room;
        let begins = |at: &usize| ends.as_ref().is_none_or(|ends| ends.iter().any(|end| follows(*at, *end)));
        let found: Vec<usize> =
            shown.match_indices(run.as_str()).map(|(at, _)| at).filter(begins).map(|at| at + run.len()).collect();
        if found.is_empty() {
            return Likeness::Unlike;
        }
        ends = Some(found);
    }
    Likeness::Weak
}

/// Returns whether a character is what damage to a character set leaves and nobody types.
pub(super) fn is_damage(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{fffd}')
}
