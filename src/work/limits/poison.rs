//! Poison detector. A message that alone meets a fault which should concern its whole account or channel (a filter that
//! responds 403 to its text, for example) must not pause all others forever.

use std::collections::HashMap;
use std::hash::Hash;

/// Refusals of one message, with others accepted between them, that make it poison.
const TIMES: u32 = 3;

/// Messages kept, at most; with more, the fault is not theirs.
const MOST: usize = 1000;

/// How often each message was refused, and how many others had been accepted by then.
#[derive(Debug)]
pub(in crate::work) struct PoisonDetector<K>(HashMap<K, (u32, u64)>);

impl<K> Default for PoisonDetector<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> PoisonDetector<K> {
    /// Registers a refusal of `who`, when `passed` others had been accepted in all. Returns true at the third with
    /// others accepted between them.
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
        let mut poison = PoisonDetector::default();
        for _ in 0..100 {
            assert!(!poison.is_poison(&"a", 7), "nobody passes");
        }
        assert!(!poison.is_poison(&"a", 8));
        assert!(poison.is_poison(&"a", 9));
        assert!(!poison.is_poison(&"a", 10), "counted anew");
    }
}
