//! What redaction keeps and what it does not.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    codes: &[("status", 16), ("error", 60), ("sent", 16)],
    words: [&["success"], &["true"]],
    bare: &["status"],
    times: &["datetime"],
    texts: &["message"],
    places: &["latitude"],
};

/// Redacts these answers with one key, drawn from `seed`.
fn redacted(answers: &[&str], seed: u64) -> Vec<String> {
    let found: Vec<String> = answers.iter().flat_map(|answer| RULES.numbers(answer.as_bytes())).collect();
    let mut state = seed | 1;
    let numbers = Numbers::draw(
        found.iter().map(String::as_str),
        |_| false,
        || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from(state >> 60).unwrap()
        },
    );
    let out = answers.iter().map(|answer| RULES.redacted(answer.as_bytes(), &numbers, 60));
    out.map(|out| String::from_utf8(out).unwrap()).collect()
}

fn one(answer: &str) -> String {
    redacted(&[answer], 7).remove(0)
}

/// With `#` for each digit.
fn shape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

#[test]
fn what_parsers_depend_on_stays_and_words_and_numbers_do_not() {
    for (answer, expected) in [
        (r#"{"status":"SUCCESS","result":[]}"#, r#"{"status":"SUCCESS","result":[]}"#),
        (r#"{"status":"success", "result":null}"#, r#"{"status":"success", "result":null}"#),
        (
            r#"{"status":"ERROR","error":"MISSING_COMPULSORY_PARAM"}"#,
            r#"{"status":"ERROR","error":"MISSING_COMPULSORY_PARAM"}"#,
        ),
        (
            r#"{"@type":null,"a.b":null,"ana@example.org":null,"ana@web":null,"@ana.org":null,"a@@b":null}"#,
            r#"{"@type":null,"a.b":null,"xxx@xxxxxxx.xxx":null,"xxx@xxx":null,"@xxx.xxx":null,"x@@x":null}"#,
        ),
        (r#"{"error":"bad user ANA"}"#, r#"{"error":"xxx xxxx xxx"}"#),
        (r#"{"error":"USER_600111222"}"#, r#"{"error":"xxxx_999999999"}"#),
        (
            r#"{"sent":"1","status":2,"id":"","n":null,"ok":true}"#,
            r#"{"sent":"1","status":2,"id":"","n":null,"ok":true}"#,
        ),
        (
            r#"{"message":"Hola ANA, 5 &amp; 6\r\nS\u00ed \ud83d\ude00 👍 &eacute;&#233;"}"#,
            r#"{"message":"xxxx xxx, 9 &amp; 9\r\nx\u0078 \ud83d\ude00 👍 &aacute;&#120;"}"#,
        ),
        (r#"{"message":{"status":"ERROR","body":"Ana"}}"#, r#"{"message":{"status":"xxxxx","body":"xxx"}}"#),
        (r#"{"34600111222":{"name":"Ana"}}"#, r#"{"99999999999":{"name":"xxx"}}"#),
        (r#"{"url":"https:\/\/files.example\/a.pdf"}"#, r#"{"url":"https:\/\/xxxxx.xxxxxxx\/x.xxx"}"#),
        ("<html><body class=\"ana\">Ana</body></html>", "<html><body xxxxx=\"xxx\">xxx</body></html>"),
        (r#"{"a":"unclosed Ana"#, r#"{"a":"xxxxxxxx xxx"#),
        ("\u{feff}OK\r\n", "\u{feff}xx\r\n"),
        ("", ""),
    ] {
        let same = |c: char| if c.is_ascii_digit() { '9' } else { c };
        let (got, expected): (String, String) =
            (one(answer).chars().map(same).collect(), expected.chars().map(same).collect());
        assert_eq!(got, expected, "{answer}");
    }
}

#[test]
fn dates_are_moved_by_whole_weeks_in_their_own_form() {
    for (answer, expected) in [
        (r#"{"datetime":"2024-05-10 12:34:56"}"#, r#"{"datetime":"2023-03-17 12:34:56"}"#),
        (r#"{"datetime":" 2024-05-10T12:34:56.789+02:00 "}"#, r#"{"datetime":" 2023-03-17T12:34:56.789+02:00 "}"#),
        (r#"{"created":"2024-05-10"}"#, r#"{"created":"2023-03-17"}"#),
        (r#"{"datetime":1715337296}"#, r#"{"datetime":1679049296}"#),
        (r#"{"datetime":"1715337296000"}"#, r#"{"datetime":"1679049296000"}"#),
        (r#"{"datetime":"0000-00-00 00:00:00"}"#, r#"{"datetime":"0000-00-00 00:00:00"}"#),
    ] {
        assert_eq!(one(answer), expected, "{answer}");
    }
    assert_ne!(one(r#"{"destination":1715337296}"#), r#"{"destination":1679049296}"#, "a number and no time");
    assert_ne!(one(r#"{"message":"2024-05-10"}"#), r#"{"message":"2023-03-17"}"#, "words of a person");
    for number in ["34600111222", "600111222", "12:34600111222", "12:34.600111222", "12:34:56+600111222"] {
        let out = one(&format!(r#"{{"created":"2024-05-10 {number}"}}"#));
        assert!(!out.contains("600111222") && !out.contains("600111"), "{out}");
    }
}

#[test]
fn equal_numbers_stay_equal_others_differ_and_their_order_is_kept() {
    let (first, second) = (
        r#"{"list":[{"destination":"34600111222","messageid":9},{"destination":34600111223,"messageid":10}]}"#,
        r#"{"destination":"34600111222","messageid":"0010"}"#,
    );
    for seed in 0..50 {
        let out = redacted(&[first, second], seed);
        let (list, row): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&out[0]).unwrap(), serde_json::from_str(&out[1]).unwrap());
        let rows = list["list"].as_array().unwrap();
        assert_eq!(rows[0]["destination"], row["destination"], "across answers");
        let number = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
        assert!(number(&rows[0]["destination"]) < number(&rows[1]["destination"]), "in order");
        assert_eq!(format!("00{}", number(&rows[1]["messageid"])), number(&row["messageid"]));
        assert_ne!(number(&row["destination"]), "34600111222");
    }
}

proptest! {
    #[test]
    fn no_word_and_no_number_of_a_person_is_left(
        text in "[a-wyzA-WYZñÑéü]{3,12}( [a-wyzñ]{1,9}){0,6}", number in "[1-9][0-9]{7,12}", seed in any::<u64>(),
    ) {
        let json = serde_json::json!({"status": "SUCCESS", "result": {"list": [
            {"message": text, "destination": number, "from": text, "nested": [text, {"x": number}]}, text, number]}});
        for answer in [json.to_string(), format!("<p title=\"{text}\">{text} {number}</p>"), format!("{text}\n{number}"),
            json.to_string().chars().take(json.to_string().len() / 2).collect(),
            serde_json::json!({"echo": json.to_string()}).to_string()] {
            let out = redacted(&[&answer], seed).remove(0);
            prop_assert!(!out.contains(&number), "{out}");
            for word in text.split(' ').filter(|word| word.chars().count() >= 3) {
                let kept = ["status", "SUCCESS", "result", "list", "message", "destination", "from", "nested", "title", "echo", "true", "false",
                    "null"];
                prop_assume!(!kept.iter().any(|kept| kept.to_lowercase().contains(&word.to_lowercase())));
                prop_assert!(!out.to_lowercase().contains(&word.to_lowercase()), "{word} in {out}");
            }
        }
    }

    #[test]
    fn structure_types_and_lengths_stay(value in json(), seed in any::<u64>()) {
        let answer = value.to_string();
        let out = redacted(&[&answer], seed).remove(0);
        let read: serde_json::Value = serde_json::from_str(&out).map_err(|error| TestCaseError::fail(format!("{error}: {out}")))?;
        prop_assert!(alike(&value, &read), "{answer} became {out}");
    }

    #[test]
    fn equal_values_stay_equal_and_different_numbers_differ(
        numbers in prop::collection::vec("[0-9]{1,14}", 1..40), seed in any::<u64>(),
    ) {
        let answers: Vec<String> = numbers.iter().map(|number| format!(r#"{{"destination":"{number}"}}"#)).collect();
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let out = redacted(&answers, seed);
        let mut known: HashMap<&str, &String> = HashMap::new();
        for (number, out) in numbers.iter().zip(&out) {
            prop_assert_eq!(*known.entry(number).or_insert(out), out);
        }
        for (a, out_a) in &known {
            for (b, out_b) in &known {
                prop_assert_eq!(a == b, out_a == out_b, "{} {}", a, b);
                if a.len() == b.len() {
                    prop_assert_eq!(a < b, out_a < out_b, "{} {}", a, b);
                }
            }
        }
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>(), jsonish in r#"[\[\]{}",:\\u0-9a-f&;#<>!./ -]{0,80}"#) {
        for answer in [text, jsonish] {
            let out = one(&answer);
            prop_assert_eq!(shape(&one(&answer)), shape(&out), "the same each time");
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,20}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::from("")),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let names = prop::sample::select(vec!["status", "message", "list", "datetime", "sent", "other"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::vec((names, inner), 0..5).prop_map(|fields| {
                serde_json::Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// The same structure, and texts of the same length, apart from letters that are longer in UTF-16.
fn alike(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (a, b) {
        (Value::Null, Value::Null) | (Value::Number(_), Value::Number(_)) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a.is_empty() == b.is_empty(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        _ => false,
    }
}
