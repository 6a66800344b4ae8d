//! The index of words: for blocks of rows, which rows hold a gram, three letters that follow each other. Grams are hashed into
//! lists, so the index holds no text and a list may name a row that does not hold the gram: what it finds is compared with the
//! text. It never leaves a row out. Pure.

/// Rows of a block: those whose ids, divided by it, are equal.
pub(crate) const BLOCK_ROWS: i64 = 4096;

/// Lists of a block, and those that are stored together: a part.
const LISTS: u32 = 2048;
const LISTS_OF_A_PART: u16 = 8;

/// Letters of a gram. Shorter words are in no list.
const GRAM: usize = 3;

/// Lists that are read for one search, at most: further ones leave out hardly a row more.
const MOST_LISTS: usize = 8;

/// Digits of a row's number in its block: two of these.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";

/// Between the lists of a part.
const BETWEEN: char = '.';

/// The list of a gram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GramList(u16);

impl GramList {
    fn of(gram: &[char]) -> Self {
        // FNV-1a: stored lists depend on it, so it stays as it is.
        let mut hash: u32 = 0x811c_9dc5;
        for byte in gram.iter().flat_map(|c| u32::from(*c).to_le_bytes()) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        Self(u16::try_from((hash ^ (hash >> 16)) % LISTS).unwrap_or_default())
    }

    /// Returns the number of the part that it is stored in.
    pub(crate) fn part(self) -> i64 {
        i64::from(self.0 / LISTS_OF_A_PART)
    }

    /// Returns the rows that the list names in a stored part, by their numbers in the block, the last first.
    pub(crate) fn rows(self, part: &str) -> Vec<i64> {
        let list = part.split(BETWEEN).nth(usize::from(self.0 % LISTS_OF_A_PART)).unwrap_or_default();
        let digit = |byte: u8| (0..).zip(DIGITS).find(|(_, digit)| **digit == byte).map_or(0, |(value, _)| value);
        let number = |pair: &[u8]| digit(pair[0]) * 64 + digit(pair[1]);
        list.as_bytes().chunks_exact(2).rev().map(number).collect()
    }
}

/// Returns the lists that name every row that holds these folded words; none where no word is long enough.
pub(crate) fn lists_of(words: &[String]) -> Vec<GramList> {
    let mut lists: Vec<GramList> = words.iter().flat_map(|word| grams(word)).collect();
    lists.sort_unstable();
    lists.dedup();
    let every = lists.len().div_ceil(MOST_LISTS).max(1);
    lists.into_iter().step_by(every).collect()
}

/// Returns the lists of a folded text's grams. A gram does not reach over a blank.
fn grams(folded: &str) -> Vec<GramList> {
    let letters: Vec<char> = folded.chars().collect();
    letters.windows(GRAM).filter(|gram| !gram.contains(&' ')).map(GramList::of).collect()
}

/// The lists of one block, while it is read.
pub(crate) struct BlockLists(Vec<Vec<u16>>);

impl BlockLists {
    pub(crate) fn empty() -> Self {
        Self(vec![Vec::new(); LISTS as usize])
    }

    /// Adds a row by its id. Rows come in the order of their ids.
    pub(crate) fn add(&mut self, id: i64, folded: &str) {
        let row = u16::try_from(id.rem_euclid(BLOCK_ROWS)).unwrap_or_default();
        for list in grams(folded) {
            let rows = &mut self.0[usize::from(list.0)];
            if rows.last() != Some(&row) {
                rows.push(row);
            }
        }
    }

    /// Returns the parts that name any row, as they are stored, each with its number.
    pub(crate) fn parts(&self) -> Vec<(i64, String)> {
        let mut parts = Vec::new();
        for (number, lists) in (0..).zip(self.0.chunks(LISTS_OF_A_PART.into())) {
            if lists.iter().all(Vec::is_empty) {
                continue;
            }
            let mut part = String::with_capacity(lists.iter().map(|rows| 2 * rows.len() + 1).sum());
            for (at, rows) in lists.iter().enumerate() {
                if at > 0 {
                    part.push(BETWEEN);
                }
                for row in rows {
                    let row = usize::from(*row);
                    part.push(char::from(DIGITS[row / DIGITS.len()]));
                    part.push(char::from(DIGITS[row % DIGITS.len()]));
                }
            }
            parts.push((number, part));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::find::holds;

    /// The rows that all lists of these words name.
    fn named(lists: &BlockLists, words: &[String]) -> Option<BTreeSet<i64>> {
        let parts = lists.parts();
        let rows = |list: GramList| {
            let part = parts.iter().find(|(number, _)| *number == list.part());
            part.map(|(_, part)| list.rows(part).into_iter().collect()).unwrap_or_default()
        };
        lists_of(words).into_iter().map(rows).reduce(|one: BTreeSet<i64>, other| &one & &other)
    }

    #[test]
    fn a_rare_word_names_its_row_and_hardly_another() {
        let mut lists = BlockLists::empty();
        for row in 0..BLOCK_ROWS {
            let text = if row == 777 { "el xilofono azul" } else { "gracias por su mensaje, en breve le atendemos" };
            lists.add(40 * BLOCK_ROWS + row, text);
        }
        assert_eq!(named(&lists, &["xilofono".into()]), Some([777].into()));
        assert_eq!(named(&lists, &["gracias".into(), "xilofono".into()]), Some([].into()));
        assert_eq!(named(&lists, &["el".into()]), None, "too short for a list");
        assert_eq!(named(&lists, &["gracias".into()]).unwrap().len(), 4095);
        assert!(lists.parts().iter().all(|(number, _)| (0..256).contains(number)));
    }

    #[test]
    fn the_list_of_a_gram_stays_the_same_over_versions() {
        assert_eq!(lists_of(&["hola".into()]).into_iter().map(|list| list.0).collect::<Vec<_>>(), HOLA);
    }

    /// Stored lists of earlier versions have these numbers.
    const HOLA: [u16; 2] = [808, 1735];

    proptest! {
        /// Whatever the texts and whatever part of one is looked for, its row is named.
        #[test]
        fn no_row_that_holds_the_words_is_left_out(
            texts in proptest::collection::vec("[a-e ñ日]{0,30}", 1..40),
            which: proptest::sample::Index,
            from in 0..30_usize,
            len in 1..12_usize,
        ) {
            let mut lists = BlockLists::empty();
            for (row, text) in (0..).zip(&texts) {
                lists.add(row, text);
            }
            let typed: String = which.get(&texts).chars().skip(from).take(len).collect();
            for words in [vec![typed.clone()], typed.split(' ').map(str::to_owned).collect()] {
                let Some(named) = named(&lists, &words) else { continue };
                for (row, text) in (0..).zip(&texts) {
                    prop_assert!(!holds(text, &words) || named.contains(&row), "{words:?} is in {text:?}");
                }
            }
        }
    }
}
