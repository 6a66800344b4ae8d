//! What damage to a character set leaves of a text. Pure.

/// Letters that damage to a character set leaves in the place of one, at most: an emoji is four bytes, and twice damaged eight
/// characters, of which half are letters.
const LEFT_OF_ONE: usize = 8;

/// Letters of ASCII that a text needs to be found in another, and those that are enough in one that is damaged.
const LEAST: usize = 8;
const LEAST_IN_DAMAGE: usize = 4;

/// Letters of each text that are compared, at most.
const LONGEST: usize = 240;

/// Returns whether the shown text holds the other with something else in the place of each character beyond ASCII.
/// `letters` are those of `shown`.
pub(super) fn holds_damaged(said: &str, shown: &str, letters: &str) -> bool {
    // Few letters are found in many texts, unless what stands between them is what no person types.
    let least = if shown.chars().any(is_damage) { LEAST_IN_DAMAGE } else { LEAST };
    if said.chars().filter(char::is_ascii_alphanumeric).count() < least {
        return false;
    }
    // Runs of ASCII letters, each behind the room that the characters before it may take.
    let mut runs: Vec<(usize, String)> = vec![(0, String::new())];
    for c in said.chars().take(LONGEST) {
        match runs.last_mut() {
            Some((_, run)) if c.is_ascii_alphanumeric() => run.push(c.to_ascii_lowercase()),
            Some((room, run)) if run.is_empty() && !c.is_ascii() => *room += LEFT_OF_ONE,
            _ if !c.is_ascii() => runs.push((LEFT_OF_ONE, String::new())),
            _ => {}
        }
    }
    let shown: String = letters.chars().take(LONGEST).collect();
    let mut ends: Option<Vec<usize>> = None; // `None`: anywhere
    for (room, run) in runs.iter().filter(|(_, run)| !run.is_empty()) {
        let follows = |at: usize, end: usize| end <= at && shown[end..at].chars().count() <= *room;
        let begins = |at: &usize| ends.as_ref().is_none_or(|ends| ends.iter().any(|end| follows(*at, *end)));
        let found: Vec<usize> =
            shown.match_indices(run.as_str()).map(|(at, _)| at).filter(begins).map(|at| at + run.len()).collect();
        if found.is_empty() {
            return false;
        }
        ends = Some(found);
    }
    true
}

/// Returns whether a character is what damage to a character set leaves and no person types.
pub(super) fn is_damage(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{fffd}')
}
