//! What platforms make of words, and words of others.

use super::readings::WINDOWS_1252;
use super::*;

fn likeness(said: &str, shown: &str) -> Likeness {
    SendForms::new(Some(said), None).likeness(&RowWords::new(shown), false)
}

#[test]
fn words_compare_whatever_was_done_to_their_form() {
    assert_eq!(normal(" Se\u{301}  \r\n ma\u{f1}ana&nbsp;"), "S\u{e9} ma\u{f1}ana");
    assert_eq!(normal("&iquest;a &amp; b?"), normal("\u{bf}a &\tb?\n"));
    assert_eq!(normal(" \n"), "");
}

#[test]
fn what_can_be_undone_is_equal() {
    let said = "\u{bf}Qu\u{e9} tal, Mar\u{ed}a & Jos\u{e9}? 5 \u{20ac}";
    let latin_1 = |text: &str| text.bytes().map(char::from).collect::<String>();
    let windows = said
        .bytes()
        .map(|b| if (0x80..0xa0).contains(&b) { WINDOWS_1252[usize::from(b) - 0x80] } else { char::from(b) });
    for shown in [
        latin_1(said),
        latin_1(&latin_1(said)),
        windows.collect(),
        "&iquest;Qu&eacute; tal, Mar&iacute;a &amp; Jos&eacute;? 5 &euro;".to_owned(),
        "&amp;iquest;Qu&amp;eacute; tal, Mar&amp;iacute;a &amp;amp; Jos&amp;eacute;? 5 &amp;euro;".to_owned(),
        "<p>\u{bf}Qu\u{e9} tal,<br/>Mar\u{ed}a &amp; Jos\u{e9}?</p> 5 \u{20ac}".to_owned(),
        said.nfd().collect(),
        format!("\u{feff}{said}\u{200b}"),
    ] {
        assert_eq!(likeness(said, &shown), Likeness::Equal, "{shown}");
    }
}

#[test]
fn what_a_platform_rewrote_is_strongly_alike() {
    for (said, shown) in [
        ("Siga su pedido en https://tienda.example/p/12345?utm=wa hoy", "Siga su pedido en https://afl.example/x7 hoy"),
        ("Hola \u{1f44b} Ana", "Hola :wave: Ana"),
        ("Hola \u{1f44b} Ana", "Hola ?? Ana"),
        ("\u{1f44b}", ":wave:"),
        ("\u{bf}Qu\u{e9} tal?", "Qu? tal?"),
        ("ma\u{f1}ana", "ma?ana"),
        ("\u{bf}Qu\u{e9} d\u{ed}a le viene bien?", "?Qu? d?a le viene bien?\n-- Tienda Ejemplo"),
        ("Su pedido sale hoy", "Su pedido sale hoy\n-- Tienda Ejemplo"),
        ("Su pedido sale hoy por la tarde", "Su pedido sale hoy por"),
        ("Llame al 600111222 cuando pueda", "Llame al +34 600 11 12 22 cuando pueda"),
        ("Uno *dos* tres", "Uno dos tres"),
        ("Total: 1.234,50", "TOTAL: 1234.50"),
    ] {
        assert!(likeness(said, shown) >= Likeness::Strong, "{said} / {shown}: {:?}", likeness(said, shown));
    }
}

#[test]
fn what_is_left_of_a_sign_between_a_name_and_a_signature_may_be_it() {
    for shown in [
        "*Ana:* ?\n-- Tienda Ejemplo",
        "*Ana:* \u{fffd}\u{fffd}\n-- Tienda Ejemplo",
        "Ana: \u{25a1} \u{2014} Tienda Ejemplo",
        "*Ana:* :thumbsup:\n-- Tienda Ejemplo",
        "*Ana:* \n-- Tienda Ejemplo",
        "<p>*Ana:* ?</p>\n-- Tienda Ejemplo",
        "*Ana Mar\u{ed}a (Ventas):* ??\n-- Tienda Ejemplo, calle Mayor 7, de nueve a dos",
    ] {
        assert_eq!(likeness("\u{1f44d}", shown), Likeness::Weak, "{shown}");
        assert_eq!(likeness("Su pedido sale hoy", shown), Likeness::Unlike, "{shown}");
    }
    for shown in [
        "Le llamo en cinco minutos",
        "\u{bf}le llamo en cinco minutos?",
        "Disculpe, estaba reunida con otro cliente ?",
        "Tome nota: el n\u{fa}mero de env\u{ed}o es KX-77 - gracias",
        "hasta luego, buenas tardes \u{1f44b}",
    ] {
        assert_eq!(likeness("\u{1f44d}", shown), Likeness::Unlike, "{shown}");
    }
}

#[test]
fn damage_that_leaves_letters_of_its_own_is_seen_in_a_longer_text() {
    for (said, shown) in [
        ("Buenos d\u{ed}as", "Buenos dA\u{ad}as\n-- Tienda Ejemplo"),
        ("Buenos d\u{ed}as", "*Ana:* Buenos dA\u{83}A\u{83}A\u{82}A\u{ad}as\n-- Tienda Ejemplo"),
        ("S\u{ed}, ma\u{f1}ana", "SA\u{ad}, maA\u{b1}ana a las tres, como siempre"),
    ] {
        assert!(likeness(said, shown) >= Likeness::Weak, "{said} / {shown}: {:?}", likeness(said, shown));
    }
    for (said, shown) in [
        ("Buenos d\u{ed}as", "Buenos precios tenemos, de verdad"),
        ("S\u{ed}, ma\u{f1}ana", "Sin falta, mande una foto de la caja"),
    ] {
        assert_eq!(likeness(said, shown), Likeness::Unlike, "{said} / {shown}");
    }
}

#[test]
fn somebody_elses_words_are_unlike() {
    let sentences = [
        "Su pedido sale hoy por la tarde",
        "Le llamo en cinco minutos",
        "\u{bf}Qu\u{e9} d\u{ed}a le viene bien?",
        "Ma\u{f1}ana abrimos a las diez",
        "Perfecto, muchas gracias",
        "Puede pasar a recogerlo cuando quiera",
        "No queda en ese color, lo siento",
        "La factura va en el correo de ayer",
    ];
    for (at, said) in sentences.iter().enumerate() {
        for (other, shown) in sentences.iter().enumerate() {
            assert_eq!(likeness(said, shown) == Likeness::Equal, at == other, "{said} / {shown}");
            assert_eq!(likeness(said, shown) == Likeness::Unlike, at != other, "{said} / {shown}");
        }
    }
}

#[test]
fn a_text_tells_what_of_it_may_be_rewritten() {
    let of = |text: &str| SendForms::new(Some(text), None).features();
    assert_eq!(of("Hola Ana, te llamo"), Features::WORDS);
    assert_eq!(of("Ma\u{f1}ana"), Features::WORDS.with(Features::ACCENT));
    assert_eq!(of("\u{1f44b}"), Features::WORDS.with(Features::SIGN));
    assert!(
        of("a https://x.test\nb & 123456")
            .holds(Features::LINK.with(Features::BREAK).with(Features::MARKUP).with(Features::NUMBER))
    );
    assert!(of(&"a".repeat(161)).holds(Features::LONG));
    assert_eq!(SendForms::new(Some("x"), Some("https://x.test/a.jpg")).features(), Features::FILE);
}

#[test]
fn a_long_text_is_compared_in_time_that_grows_with_its_length() {
    let said = "una frase bastante larga ".repeat(300);
    let started = std::time::Instant::now();
    for end in 0..20 {
        likeness(&said, &format!("{}{end}", "otra frase igual de larga ".repeat(300)));
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn where_links_are_kept_another_link_is_somebody_elses() {
    let kept = |said: &str, shown: &str| SendForms::new(Some(said), None).likeness(&RowWords::new(shown), true);
    let (one, other) = ("https://tienda.example/p/1", "https://tienda.example/p/2");
    assert_eq!((kept(one, other), kept(one, one)), (Likeness::Unlike, Likeness::Equal));
    assert_eq!(likeness(one, other), Likeness::Weak);
    assert_eq!(kept(&format!("Mire esto {one}"), &format!("Mire esto {other}")), Likeness::Weak);
}
