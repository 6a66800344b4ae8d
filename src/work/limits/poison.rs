//! One message that always meets a fault which should concern a whole account or channel is not the account's trouble:
//! a filter in front of the far side that answers 403 to its words, for one. It must not pause all others for ever.

use std::collections::HashMap;
use std::hash::Hash;

/// Times that one is refused while others pass in between, before it is known for what it is.
const TIMES: u32 = 3;

/// Suspects kept, at most; the trouble is real where there are more.
const MOST: usize = 1000;

/// Who was refused how often, and how many others had passed by then.
#[derive(Debug)]
pub(in crate::work) struct Suspects<K>(HashMap<K, (u32, u64)>);

impl<K> Default for Suspects<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Suspects<K> {
    /// Notes a refusal of `who`, when `passed` others had passed in all. True at the third with others in between.
    pub(in crate::work) fn is_poison(&mut self, who: &K, passed: u64) -> bool {
        let Some((times, before)) = self.0.get_mut(who) else {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            self.0.insert(who.clone(), (1, passed));
            return false;
        };
        if *before != passed {
            *times += 1;
            *before = passed;
        }
        let poison = *times >= TIMES;
        if poison {
            self.0.remove(who);
        }
        poison
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_alone_is_refused_is_poison_and_a_common_trouble_is_not() {
        let mut suspects = Suspects::default();
        for _ in 0..100 {
            assert!(!suspects.is_poison(&"a", 7), "nobody passes");
        }
        assert!(!suspects.is_poison(&"a", 8));
        assert!(suspects.is_poison(&"a", 9));
        assert!(!suspects.is_poison(&"a", 10), "counted anew");
    }
}
