//! The walk through a schema: values that keep it, and values that break one constraint each. A keyword, a type or a
//! pattern that has no generator here is a failure, so that every constraint of the document is tried.

use super::super::*;
use crate::domain::PHONE_DIGITS;
use crate::testkit::fuzz_input::InputRng;

/// A body that breaks one constraint.
pub(super) struct Broken {
    /// The path, as problems spell it.
    pub(super) path: String,
    /// Which.
    pub(super) keyword: &'static str,
    /// What is sent there.
    pub(super) with: &'static str,
    pub(super) value: Value,
}

/// A walker of one document, for channels of one kind.
pub(super) struct Walk {
    pub(super) document: Value,
    pub(super) id_type: IdType,
    pub(super) rng: InputRng,
}

impl Walk {
    /// The schema, and behind a reference what it refers to. Keywords without a generator here are a failure.
    fn resolved(&self, schema: &Value) -> Value {
        let schema = match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        };
        let known = "type const enum oneOf discriminator required properties items minItems maxItems minLength maxLength \
                     pattern format minimum maximum description";
        let known: Vec<&str> = known.split(' ').collect();
        let keywords = schema.as_object().unwrap().keys();
        assert_eq!(keywords.filter(|keyword| !known.contains(&keyword.as_str())).collect::<Vec<_>>(), [""; 0]);
        schema.clone()
    }

    /// Values that keep `schema`, the edges of its limits among them.
    pub(super) fn kept(&mut self, path: &str, schema: &Value) -> Vec<Value> {
        let schema = self.resolved(schema);
        if let Some(word) = schema.get("const") {
            return vec![word.clone()];
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return words.clone();
        }
        if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            return choices.iter().flat_map(|choice| self.kept(path, choice)).collect();
        }
        match schema["type"].as_str().unwrap() {
            "string" => self.lengths(path, &schema).into_iter().map(|n| self.text(path, &schema, n).into()).collect(),
            "number" => {
                let (least, most) = (schema["minimum"].as_f64().unwrap(), schema["maximum"].as_f64().unwrap());
                let share = f64::from(u32::try_from(self.rng.next_u64() >> 32).unwrap()) / f64::from(u32::MAX);
                [least, most, 0.0, -0.0, least + (most - least) * share].into_iter().map(Value::from).collect()
            }
            "array" => {
                let (least, most) = (limit(&schema, "minItems"), limit(&schema, "maxItems"));
                let items = self.kept(&format!("{path}[0]"), &schema["items"]);
                let some = |rng: &mut InputRng, n| (0..n).map(|_| rng.pick(&items).clone()).collect::<Vec<_>>().into();
                let mut lists: Vec<Value> = [least, most].into_iter().map(|n| some(&mut self.rng, n)).collect();
                lists.extend(items.iter().map(|item| vec![item.clone(); least].into()));
                lists
            }
            "object" => {
                let whole = self.whole(path, &schema);
                let mut objects = vec![whole.clone()];
                let bare = |(key, _): &(&String, &Value)| schema["required"].as_array().unwrap().contains(&json!(key));
                objects.push(
                    whole.as_object().unwrap().iter().filter(bare).map(|(k, v)| (k.clone(), v.clone())).collect(),
                );
                for (key, property) in schema["properties"].as_object().unwrap() {
                    objects.extend(
                        self.kept(&below(path, key), property).into_iter().map(|value| with(&whole, key, value)),
                    );
                }
                objects.push(with(&whole, "unknownKey", json!({ "text": [1] })));
                objects
            }
            other => panic!("no generator for the type {other}"),
        }
    }

    /// An object with every property, each some kept value.
    fn whole(&mut self, path: &str, schema: &Value) -> Value {
        let properties = schema["properties"].as_object().unwrap();
        let some = |(key, property): (&String, &Value)| {
            let kept = self.kept(&below(path, key), property);
            (key.clone(), self.rng.pick(&kept).clone())
        };
        Value::Object(properties.iter().map(some).collect())
    }

    /// The edges of a text's length, and one between.
    fn lengths(&mut self, path: &str, schema: &Value) -> Vec<usize> {
        let (mut least, mut most) =
            (limit(schema, "minLength"), schema.get("maxLength").map_or(40, |_| limit(schema, "maxLength")));
        if schema.get("format").is_some() {
            least = "https://x".len();
        }
        if path == "contactId" && self.id_type == IdType::Phone {
            (least, most) = (PHONE_DIGITS.start() + 1, PHONE_DIGITS.end() + 1); // the rule is in the description: with the +
        }
        vec![least, most, least + self.rng.below(most - least + 1)]
    }

    /// A text of `length` characters that keeps the pattern and the format of `schema`.
    fn text(&mut self, path: &str, schema: &Value, length: usize) -> String {
        let lenient = *self.rng.pick::<&str>(&["a", "ñ", "\u{1f600}", "\u{301}", "."]);
        let mut filled = |start: &str, from: &str| {
            let from: Vec<char> = from.chars().collect();
            let left = length.saturating_sub(start.chars().count());
            start.to_owned() + &(0..left).map(|_| *self.rng.pick(&from)).collect::<String>()
        };
        match (path, schema.get("pattern").and_then(Value::as_str)) {
            ("contactId", Some(_)) if self.id_type == IdType::Phone => filled("+", "123456789"),
            ("contactId", Some("^[A-Za-z0-9_=+/@]+$")) => filled("", "azZ_=+/@"),
            (_, Some("^https://[^/?#]")) => filled("https://x.test/a", "abz09"),
            (_, Some(pattern)) if pattern == openapi::says_something() => {
                filled(lenient, "a \n\t\u{a0}\u{3000}ñ日\u{1f600}\u{301}\"\\\u{7f}")
            }
            (_, None) => filled("", "aZ0 \n\t\u{2028}ñ日\u{1f600}\u{301}\"\\\u{7f}/.;"),
            (path, Some(pattern)) => panic!("{path}: no generator for the pattern {pattern}"),
        }
    }

    /// Values that break one constraint of `schema`, each constraint in turn.
    pub(super) fn broken(&mut self, path: &str, schema: &Value) -> Vec<Broken> {
        let schema = self.resolved(schema);
        if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            let mut all = self.of_another_type(path, "object");
            all.extend(choices.iter().flat_map(|choice| self.broken(path, choice)).filter(|b| b.path != path));
            return all;
        }
        let mut all = Vec::new();
        let mut say = |keyword, with, value: Value| all.push(Broken { path: path.to_owned(), keyword, with, value });
        match (schema.get("const"), schema.get("enum"), schema["type"].as_str().unwrap_or_default()) {
            (Some(_), ..) => {
                say("const", "another word", "unknown-type".into());
                say("const", "nothing said", " ".into());
            }
            (_, Some(_), _) => say("enum", "another word", "sticker".into()),
            (.., "string") => {
                if let Some(most) = schema.get("maxLength") {
                    let most = usize::try_from(most.as_u64().unwrap()).unwrap();
                    say("maxLength", "one more", self.text(path, &schema, most + 1).into());
                }
                if limit(&schema, "minLength") > 0 {
                    say("minLength", "one less", "".into());
                }
                for (with, text) in misfits(path, &schema) {
                    say("pattern", with, text.into());
                }
            }
            (.., "number") => {
                let (least, most) = (schema["minimum"].as_f64().unwrap(), schema["maximum"].as_f64().unwrap());
                for (keyword, value) in
                    [("minimum", least.next_down()), ("minimum", f64::MIN), ("maximum", most.next_up())]
                {
                    say(keyword, "beyond", value.into());
                }
                say("type", "a numeric text", most.to_string().into());
            }
            (.., "array") => {
                let items = self.kept(&format!("{path}[0]"), &schema["items"]);
                let list = |n| vec![items[0].clone(); n];
                say("minItems", "one less", list(limit(&schema, "minItems") - 1).into());
                say("maxItems", "one more", list(limit(&schema, "maxItems") + 1).into());
                say("maxItems", "many more", list(1000).into());
                let at = self.rng.below(limit(&schema, "maxItems"));
                for one in self.broken(&format!("{path}[{at}]"), &schema["items"]) {
                    let mut list = list(limit(&schema, "maxItems"));
                    list[at] = one.value;
                    all.push(Broken { value: list.into(), ..one });
                }
            }
            (.., "object") => {
                for (key, property) in schema["properties"].as_object().unwrap() {
                    let whole = self.whole(path, &schema);
                    let path = below(path, key);
                    let beside_text = whole.get("text").is_some();
                    for one in self.broken(&path, property) {
                        let lenient = if beside_text && one.with == "another word" {
                            "another word beside text"
                        } else {
                            one.with
                        };
                        all.push(Broken { value: with(&whole, key, one.value), with: lenient, ..one });
                    }
                    if schema["required"].as_array().unwrap().contains(&json!(key)) {
                        let mut value = whole;
                        value.as_object_mut().unwrap().remove(key);
                        all.push(Broken { path, keyword: "required", with: "nothing", value });
                    }
                }
            }
            (.., other) => panic!("no generator for the type {other}"),
        }
        all.extend(self.of_another_type(path, schema["type"].as_str().unwrap_or("string")));
        all
    }

    /// Values of every type except `own`.
    fn of_another_type(&mut self, path: &str, own: &str) -> Vec<Broken> {
        let number = if self.id_type == IdType::Phone { json!(34_600_111_222_u64) } else { json!(7) };
        let others = [
            ("null", "null", Value::Null),
            ("boolean", "true", json!(true)),
            ("number", "a number", number),
            ("string", "a text", json!("some text")),
            ("array", "an empty list", json!([])),
            ("array", "a list", json!([{ "type": "text", "text": "x" }])),
            ("object", "an empty object", json!({})),
            ("object", "an object with a title", json!({ "title": "x" })),
            ("object", "an object with a text", json!({ "text": "x" })),
        ];
        let broken = |(_, with, value)| Broken { path: path.to_owned(), keyword: "type", with, value };
        others.into_iter().filter(|(kind, ..)| *kind != own).map(broken).collect()
    }
}

/// Texts that the pattern of `schema` does not match.
fn misfits(path: &str, schema: &Value) -> Vec<(&'static str, String)> {
    match schema.get("pattern").and_then(Value::as_str) {
        None => Vec::new(),
        Some(pattern) if pattern == openapi::says_something() => {
            let blanks = ('\0'..='\u{ffff}').chain(['\u{1d173}', '\u{e0001}']);
            let blanks = blanks.filter(|c| crate::domain::blank::is_blank(&c.to_string()));
            blanks.map(|c| ("a blank", c.to_string())).chain([("blanks", " \0\n\u{2029}\u{2800}".into())]).collect()
        }
        Some(_) if path == "contactId" => {
            ["-", ".", "ñ", "٣", "\u{7f}", "{"].map(|c| ("an odd character", format!("+34600111{c}"))).into()
        }
        Some(_) => vec![
            ("http", "http://x.test/a.jpg".into()),
            ("ftp", "ftp://x.test/a.jpg".into()),
            ("a file", "file:///etc/passwd".into()),
            ("data", "data:image/png;base64,AA".into()),
            ("a script", "javascript:alert(1)".into()),
            ("no scheme", "x.test/a.jpg".into()),
            ("no host", "https://?a".into()),
            ("http on loopback", "http://127.0.0.1/a.jpg".into()),
            ("the scheme in capitals", "HTTPS://x.test/a.jpg".into()),
            ("white space before", " https://x.test/a.jpg".into()),
        ],
    }
}

fn limit(schema: &Value, keyword: &str) -> usize {
    usize::try_from(schema.get(keyword).and_then(Value::as_u64).unwrap_or_default()).unwrap()
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut changed = object.clone();
    changed[key] = value;
    changed
}
