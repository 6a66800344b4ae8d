//! The lists of a read's `result` (afilnet.md 2.1), one item at a time: no tree of a whole response is built, since it
//! takes many times the response's size in memory. Pure.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::json;

/// Least bytes of a response per item that is read: real rows have far more, and an item costs some hundred bytes.
const LEAST_ITEM_BYTES: usize = 64;
/// Items that are read even if they are shorter.
const FREE_ITEMS: usize = 10_000;
/// Longest item that is parsed, in bytes.
const LONGEST_ITEM_BYTES: usize = 4 << 20;

/// Calls `item` with each item of `result`: of its `list`, of itself if it is the list, or with itself if it is one
/// item without a list; not at all for null, an empty text or an empty PHP array. An item that is too long or too deep
/// becomes `Null`. Returns `None` if the result is none of these: such a response proves nothing, and its items must be
/// discarded.
pub(super) fn each_item(result: Option<&RawValue>, mut item: impl FnMut(Value)) -> Option<()> {
    let Some(result) = result else { return Some(()) };
    if !is_object(result) {
        return plain(result, &mut item);
    }
    let keys = Keys::of(result)?;
    match keys.list {
        Some(list) if is_object(list) => listed(list, &Keys::of(list)?, &mut item),
        Some(list) => plain(list, &mut item),
        None if keys.by_number || keys.looks_like_item => listed(result, &keys, &mut item),
        None => None,
    }
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

/// Reads a list that is not an object.
fn plain(list: &RawValue, item: &mut impl FnMut(Value)) -> Option<()> {
    match list.get().as_bytes().first()? {
        b'[' => {
            let each = Each { most: most(list), item };
            serde_json::Deserializer::from_str(list.get()).deserialize_seq(each).ok()
        }
        b'"' => serde_json::from_str::<Cow<'_, str>>(list.get()).ok()?.trim().is_empty().then_some(()),
        b'n' => Some(()),
        _ => None,
    }
}

/// Returns the items of an object in place of a list: PHP's array with gaps (`{"1":{},"2":{}}`) in the order of its
/// keys, or one item alone.
fn listed(object: &RawValue, keys: &Keys<'_>, item: &mut impl FnMut(Value)) -> Option<()> {
    if !keys.by_number {
        item(read(object));
        return Some(());
    }
    let each = Numbered { most: most(object) };
    let mut items = serde_json::Deserializer::from_str(object.get()).deserialize_map(each).ok()?;
    items.sort_by_key(|(key, _)| *key);
    for (_, value) in items {
        item(read(value));
    }
    Some(())
}

fn most(list: &RawValue) -> usize {
    FREE_ITEMS.max(list.get().len() / LEAST_ITEM_BYTES)
}

fn read(item: &RawValue) -> Value {
    Some(item).filter(|item| item.get().len() <= LONGEST_ITEM_BYTES).and_then(json::parsed).unwrap_or_default()
}

/// What the keys of an object show about it.
struct Keys<'a> {
    list: Option<&'a RawValue>,
    /// Every key is a number; true without keys.
    by_number: bool,
    looks_like_item: bool,
}

impl<'a> Keys<'a> {
    fn of(object: &'a RawValue) -> Option<Self> {
        let none = Self { list: None, by_number: true, looks_like_item: false };
        serde_json::Deserializer::from_str(object.get()).deserialize_map(none).ok()
    }
}

impl<'de> Visitor<'de> for Keys<'de> {
    type Value = Self;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            self.by_number &= !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
            self.looks_like_item |= matches!(key.as_ref(), "destination" | "messageid" | "message" | "platformid");
            if key == "list" {
                self.list = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(self)
    }
}

/// The items of an array.
struct Each<'f, F> {
    most: usize,
    item: &'f mut F,
}

impl<'de, F: FnMut(Value)> Visitor<'de> for Each<'_, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            self.most = self.most.checked_sub(1).ok_or_else(|| A::Error::custom("too many items"))?;
            (self.item)(read(item));
        }
        Ok(())
    }
}

/// The items of an object by their numbers.
struct Numbered {
    most: usize,
}

impl<'de> Visitor<'de> for Numbered {
    type Value = Vec<(u64, &'de RawValue)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            if items.len() >= self.most {
                return Err(A::Error::custom("too many items"));
            }
            items.push((key.parse().unwrap_or(u64::MAX), value));
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items(result: &str) -> Option<Vec<Value>> {
        let result: Box<RawValue> = serde_json::from_str(result).unwrap();
        let mut items = Vec::new();
        each_item(Some(&result), |item| items.push(item))?;
        Some(items)
    }

    #[test]
    fn every_form_of_a_list_is_read() {
        for (result, expected) in [
            (r#"{"list":["a"]}"#, Some(json!(["a"]))),
            (r#"["a","b"]"#, Some(json!(["a", "b"]))),
            (r#"{"list":null}"#, Some(json!([]))),
            (r#"{"list":" "}"#, Some(json!([]))),
            (r#"{"x":1,"list":{"10":"c","9":"b","1":"a"}}"#, Some(json!(["a", "b", "c"]))),
            (r#"{"2":"b","1":"a"}"#, Some(json!(["a", "b"]))),
            (r#"{"list":{"message":"a"}}"#, Some(json!([{"message": "a"}]))),
            (r#"{"message":"a"}"#, Some(json!([{"message": "a"}]))),
            ("{}", Some(json!([]))),
            ("[]", Some(json!([]))),
            ("null", Some(json!([]))),
            ("\"\"", Some(json!([]))),
            ("\"none\"", None),
            ("true", None),
            (r#"{"total":"a"}"#, None),
            (r#"{"list":"a"}"#, None),
        ] {
            assert_eq!(items(result), expected.map(|list| list.as_array().unwrap().clone()), "{result}");
        }
        assert_eq!(each_item(None, |_| panic!()), Some(()));
    }

    #[test]
    fn an_item_beyond_reason_harms_only_itself() {
        let (deep, long) = ("[".repeat(1000) + &"]".repeat(1000), "x".repeat(LONGEST_ITEM_BYTES));
        assert_eq!(
            items(&format!(r#"["a",{deep},"{long}","b"]"#)),
            Some(vec![json!("a"), json!(null), json!(null), json!("b")])
        );
    }

    #[test]
    fn the_number_of_items_is_bounded_by_the_answers_size() {
        assert_eq!(items(&format!("[{}0]", "0,".repeat(FREE_ITEMS - 1))).map(|items| items.len()), Some(FREE_ITEMS));
        assert_eq!(items(&format!("[{}0]", "0,".repeat(FREE_ITEMS))), None);
        let row = format!("\"{}\",", "x".repeat(80));
        assert_eq!(
            items(&format!("[{}0]", row.repeat(2 * FREE_ITEMS))).map(|items| items.len()),
            Some(2 * FREE_ITEMS + 1)
        );
    }
}
