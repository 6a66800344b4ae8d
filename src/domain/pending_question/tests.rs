//! Which texts answer a question, as tables and for any replies.

use proptest::prelude::*;

use super::*;

const DAYS: &[&str] = &["Lunes", "Martes", "Miércoles por la tarde"];

fn question(replies: &[&str]) -> PendingQuestion {
    let replies = replies.iter().map(|reply| Label::try_from((*reply).to_owned()).unwrap()).collect();
    PendingQuestion { m_id: "q1".parse().unwrap(), replies, asked_ms: 1000 }
}

fn check(replies: &[&str], cases: &[(&str, Option<&str>)]) {
    let question = question(replies);
    for (text, expected) in cases {
        assert_eq!(question.reply(text, 2000), *expected, "{text:?} to {replies:?}");
    }
}

#[test]
fn digits_of_any_script_are_digits() {
    for text in
        ["٢", "۲", "२", "２", "২", "๒", "၂", "២", "༢", "߂", "𝟐", "𝟸", "٢.", "(२)", "№ ٢", "رقم", "٠٢", "opción २"]
    {
        check(DAYS, &[(text, (text != "رقم").then_some("Martes"))]);
    }
    // Digits of another script are ambiguous as those of ASCII are.
    check(&["٢ أيام", "Martes"], &[("2", None), ("٢", None), ("2 أيام", Some("٢ أيام"))]);
}

#[test]
fn a_number_is_the_reply_at_its_place() {
    for text in [
        "2",
        " 2 ",
        "2.",
        "2)",
        "2 )",
        "(2)",
        "( 2 )",
        "#2",
        "# 2",
        "2.-",
        "-2",
        "2!",
        "*2*",
        "\"2\"",
        "«2»",
        "2\n",
        "\u{a0}2",
        "02",
        "2️⃣",
        "2⃣",
        "2\u{fe0f}",
        "2\u{fe0e}\u{20e3}",
        " 2️⃣.",
        "２",
        "（２）",
        "②",
        "⑵",
        "⒉",
        "2º",
        "2ª",
        "2.º",
        "\u{200e}2",
        "\u{2068}2\u{2069}",
        "nº 2",
        "nº2",
        "Nº 2",
        "n° 2",
        "n.º 2",
        "n. 2",
        "n 2",
        "№ 2",
        "no. 2",
        "No.2",
        "núm. 2",
        "num 2",
        "número 2",
        "NÚMERO: 2",
        "el número 2",
        "nro. 2",
        "number 2",
        "nr 2",
        "Number #2",
        "opción 2",
        "opcion 2",
        "Opción 2.",
        "OPCIÓN (2)",
        "opcio\u{301}n 2",
        "opción2",
        "opción: 2",
        "la opción 2",
        "opción nº 2",
        "opción número 2",
        "op. 2",
        "opc 2",
        "option 2",
        "Option 2)",
        "the option 2",
        "opt 2",
        "reply 2",
        "answer: 2",
        "choice 2",
        "respuesta 2",
        "elección 2",
    ] {
        check(DAYS, &[(text, Some("Martes"))]);
    }
}

#[test]
fn a_reply_is_known_by_its_own_words() {
    check(
        DAYS,
        &[
            ("Martes", Some("Martes")),
            ("martes", Some("Martes")),
            ("MARTES", Some("Martes")),
            (" martes.", Some("Martes")),
            ("¡Martes!", Some("Martes")),
            ("¿martes?", Some("Martes")),
            ("*martes*", Some("Martes")),
            ("ｍａｒｔｅｓ", Some("Martes")),
            ("mar\u{200b}tes", Some("Martes")),
            ("miercoles por la tarde", Some("Miércoles por la tarde")),
            ("Mie\u{301}rcoles por la tarde", Some("Miércoles por la tarde")),
            ("MIÉRCOLES  por\nla\u{a0}tarde…", Some("Miércoles por la tarde")),
            ("2. Martes", Some("Martes")),
            ("2) martes", Some("Martes")),
            ("2 martes", Some("Martes")),
            ("2️⃣ martes", Some("Martes")),
        ],
    );
    check(&["Straße", "ΟΔΟΣ", "Don't"], &[("STRASSE", Some("Straße")), ("STRAẞE", Some("Straße"))]);
    check(&["Straße", "ΟΔΟΣ", "Don't"], &[("οδός", Some("ΟΔΟΣ")), ("don’t", Some("Don't"))]);
    check(&["❤️", "👍", "!!!"], &[("❤", Some("❤️")), ("👍\u{fe0f}", Some("👍")), ("!!!", Some("!!!"))]);
    check(&["¿Otra cosa?", "の"], &[("otra cosa", Some("¿Otra cosa?")), ("の", Some("の"))]);
}

#[test]
fn anything_else_is_left_as_it_is() {
    let ten: Vec<String> = ('a'..='j').map(String::from).collect();
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    check(&ten, &[("10", Some("j")), ("🔟", Some("j")), ("1️⃣0️⃣", Some("j")), ("⑩", Some("j")), ("11", None)]);
    for text in [
        "",
        " ",
        ".",
        "?",
        "#",
        "0",
        "4",
        "22",
        "2.5",
        "2,5",
        "1/2",
        "½",
        "+2",
        "2€",
        "$2",
        "2%",
        "2 3",
        "2 y 3",
        "1️⃣ 2️⃣",
        "no 2",
        "no, 2",
        "no",
        "el 2",
        "la 2",
        "el",
        "la número",
        "opción",
        "opción dos",
        "opción 2 y 3",
        "opción 4",
        "opción €2",
        "mesa 2",
        "2 personas",
        "son 2",
        "a las 2",
        "20:00",
        "2. Lunes",
        "4. Martes",
        "Mart",
        "Martes y lunes",
        "martes no",
        "99999999999999999999999",
        "👍",
        "\u{fe0f}",
        "\u{0}",
    ] {
        check(DAYS, &[(text, None)]);
    }
    check(DAYS, &[(&format!("2{}", " ".repeat(LONGEST)), None)]);
    check(&["か", "!!!"], &[("が", None), ("???", None)]);
    check(&["\u{200b}", "x"], &[("", None), (".", None), ("\u{200b}", None), ("1", Some("\u{200b}"))]);
}

#[test]
fn replies_that_say_the_same_are_told_apart_by_number_alone() {
    check(&["Sí", "si.", "No"], &[("sí", None), ("Sí", None), ("si.", None), ("2", Some("si.")), ("no", Some("No"))]);
    check(&["Sí", "Sí"], &[("Sí", None), ("1. Sí", Some("Sí"))]);
}

#[test]
fn a_number_that_could_mean_two_replies_means_none() {
    // The text of a reply wins if its place means the same or nothing; otherwise it is ambiguous.
    check(&["2", "3"], &[("1", Some("2")), ("2", None), ("3", Some("3")), ("2.", None), ("opción 2", Some("3"))]);
    check(&["1", "2"], &[("1", Some("1")), ("2", Some("2")), ("(2)", Some("2"))]);
    check(&["2", "1"], &[("1", None), ("2", None), ("opción 1", Some("2")), ("nº 2", Some("1"))]);
    check(&["02", "tres"], &[("2", None), ("02", None), ("1", Some("02"))]);
    check(&["2️⃣", "x"], &[("2", None), ("1", Some("2️⃣")), ("x", Some("x"))]);
    check(&["Opción 2", "Opción 1"], &[("opción 2", None), ("2", None)]);
    check(&["Opción 1", "Opción 2"], &[("opción 2", Some("Opción 2")), ("2", Some("Opción 2"))]);
    check(
        &["2 personas", "3 personas", "4 personas"],
        &[
            ("1", Some("2 personas")),
            ("2", None),
            ("3", None),
            ("4", None),
            ("opción 2", Some("3 personas")),
            ("2 personas", Some("2 personas")),
            ("2. 3 personas", Some("3 personas")),
        ],
    );
    check(&["Lunes 2", "Martes 3"], &[("2", None), ("1", Some("Lunes 2")), ("3", None)]);
    check(&["1 hora", "2 horas"], &[("1", Some("1 hora")), ("2", Some("2 horas"))]);
    check(&["10:30", "12:00"], &[("1", Some("10:30")), ("2", Some("12:00")), ("12:00", Some("12:00"))]);
    check(&["2. x", "x"], &[("2. x", None), ("x", Some("x")), ("1", Some("2. x")), ("2", None)]);
    check(&["a", "b", "5", "menú 5"], &[("5", Some("5"))]);
}

#[test]
fn a_question_is_open_for_a_day() {
    let day = 24 * 3_600_000;
    let question = question(DAYS);
    assert_eq!(question.reply("2", 1000 + day), Some("Martes"));
    assert_eq!(question.reply("2", 1001 + day), None);
    assert_eq!(question.reply("martes", 1001 + day), None);
    assert_eq!(question.reply("2", 0), Some("Martes")); // clocks differ
    assert_eq!(question.reply("2", i64::MIN), Some("Martes"));
}

#[test]
fn a_question_is_known_by_its_numbered_replies() {
    let question = question(DAYS);
    let asked = "¿Qué día?\n1. Lunes\n2. Martes\n3. Miércoles por la tarde\nResponda con el número";
    assert!(question.shown_in(asked));
    assert!(question.shown_in(&asked.replace('\n', "\r\n ").replace('é', "e\u{301}")));
    for other in ["", "¿Qué día?", "1. Lunes\n2. Martes", "Lunes\nMartes\nMiércoles por la tarde"] {
        assert!(!question.shown_in(other), "{other}");
    }
}

#[test]
fn it_survives_its_stored_form() {
    let question = question(DAYS);
    let stored = serde_json::to_string(&question).unwrap();
    assert_eq!(serde_json::from_str::<PendingQuestion>(&stored).unwrap(), question);
}

fn any_replies() -> impl Strategy<Value = Vec<String>> {
    let reply = prop_oneof!["\\PC{1,12}", "[0-9]{1,2}", "[123] [ab]", "[sS][ií][.!]?", "(op|n)[.º ]{0,2}[0-9]"];
    proptest::collection::vec(reply.prop_filter("a label", |text| Label::new(text.as_str()).is_ok()), 1..=10)
}

fn built(replies: &[String]) -> PendingQuestion {
    question(&replies.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn a_place_gives_its_reply_or_the_customers_words(replies in any_replies(), at in 0..10usize) {
        let at = at % replies.len();
        let n = at + 1;
        for text in [format!("{n}"), format!("{n}."), format!(" ({n})"), format!("opción {n}"), format!("#{n}")] {
            let reply = built(&replies).reply(&text, 2000).map(str::to_owned);
            prop_assert!(reply.is_none() || reply.as_ref() == Some(&replies[at]), "{text:?}: {reply:?}");
        }
    }

    #[test]
    fn a_place_always_counts_among_replies_without_numbers(
        replies in proptest::collection::vec("[a-zA-ZñáéÍ¿?!🙂 ]{0,12}[a-z🙂]", 1..=10), at in 0..10usize,
    ) {
        let at = at % replies.len();
        let n = at + 1;
        for text in [format!("{n}"), format!("{n})"), format!("nº {n}"), format!("{n}\u{fe0f}\u{20e3}")] {
            let question = built(&replies);
prop_assert_eq!(question.reply(&text, 2000), Some(replies[at].as_str()), "{:?}", text);
        }
    }

    #[test]
    fn own_words_never_give_other_words(replies in any_replies(), at in 0..10usize) {
        let own = &replies[at % replies.len()];
        if let Some(reply) = built(&replies).reply(&format!(" {}  ", own.to_uppercase()), 2000) {
            prop_assert_eq!(folded(reply), folded(own));
        }
    }

    #[test]
    fn no_text_breaks_it(replies in any_replies(), text in any::<String>(), at_ms in any::<i64>()) {
        let question = built(&replies);
        let known = question.reply(&text, at_ms).is_none_or(|reply| replies.iter().any(|there| there == reply));
        prop_assert!(known);
        question.shown_in(&text);
    }
}
