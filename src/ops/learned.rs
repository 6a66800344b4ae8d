//! What the rows of a channel have shown of its account, in words.

use std::time::Duration;

use crate::domain::Language;
use crate::domain::matching::{AccountTraits, Features};
use crate::domain::span::span;
use crate::store::ObservedTraits;

/// What a send may hold, in English and Spanish.
const FEATURES: [(Features, [&str; 2]); 9] = [
    (Features::WORDS, ["plain words", "palabras"]),
    (Features::FILE, ["files", "archivos"]),
    (Features::LINK, ["links", "enlaces"]),
    (Features::ACCENT, ["accents and other letters than a to z", "acentos y otras letras que de la a a la z"]),
    (Features::SIGN, ["emoji and signs", "emojis y signos"]),
    (Features::BREAK, ["line breaks", "saltos de línea"]),
    (Features::MARKUP, ["marks such as * _ < &", "marcas como * _ < &"]),
    (Features::NUMBER, ["long numbers", "números largos"]),
    (Features::LONG, ["long texts", "textos largos"]),
];

/// One trait of the account, known or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) words: String,
}

/// Returns what is known of an account. `zone`: the one in which its times are read.
pub(crate) fn facts(learned: &ObservedTraits, zone: &str, language: Language) -> Vec<Fact> {
    let say = |english: &'static str, spanish: &'static str| match language {
        Language::En => english,
        Language::Es => spanish,
    };
    let fact = |name, words: &str| Fact { name, words: words.to_owned() };
    let ObservedTraits { traits, areas } = learned;
    let AccountTraits { shows_texts, shows_files, settle_lag_ms, verbatim, rewritten, late_flags, prompt_flags } =
        *traits;
    let not_seen = say(
        "none was seen yet; until then looking cannot tell whether one arrived",
        "aún no se ha visto ninguno; hasta entonces, mirar no dice si uno llegó",
    );
    let shows =
        |seen: bool| if seen { say("show in their conversation", "aparecen en su conversación") } else { not_seen };
    let names_of = |of: Features| {
        let named = FEATURES.into_iter().filter(|(feature, _)| of.meets(*feature));
        let words: Vec<&str> = named.map(|(_, [english, spanish])| say(english, spanish)).collect();
        if words.is_empty() { say("none is known", "no se conoce nada").to_owned() } else { words.join(", ") }
    };
    let lag = u64::try_from(settle_lag_ms).unwrap_or_default();
    let lag = if lag == 0 {
        say("no delay was seen", "no se ha visto ningún retraso").to_owned()
    } else {
        let most = say("at most", "como mucho");
        format!("{most} {}", span(Duration::from_millis(lag), language))
    };
    let flags = match (late_flags, prompt_flags) {
        (true, _) => say(
            "rows of the bridge bore the customer's flag at first",
            "al principio, filas del puente llevaban la marca del cliente",
        ),
        (false, true) => say("right at once", "correctas desde el principio"),
        (false, false) => say("not known yet", "aún no se sabe"),
    };
    let destinations = if areas.is_empty() {
        say("not known yet", "aún no se sabe").to_owned()
    } else {
        let under_the_number = say(
            "messages show under the number that was written to; country codes",
            "los mensajes aparecen con el número al que se escribió; prefijos de país",
        );
        format!("{under_the_number}: {}", areas.join(", "))
    };
    vec![
        fact(say("Texts that are sent", "Textos enviados"), shows(shows_texts)),
        fact(say("Files that are sent", "Archivos enviados"), shows(shows_files)),
        fact(say("Shown word for word", "Aparecen palabra por palabra"), &names_of(verbatim)),
        fact(say("Shown in other words", "Aparecen con otras palabras"), &names_of(rewritten)),
        fact(say("Time until a row shows", "Tiempo hasta que aparece una fila"), &lag),
        fact(say("Direction of rows", "Sentido de las filas"), flags),
        fact(say("Numbers in several spellings", "Números con varias grafías"), &destinations),
        fact(say("Time zone of its times (configured)", "Zona horaria de sus horas (configurada)"), zone),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(learned: &ObservedTraits, language: Language) -> Vec<String> {
        facts(learned, "Europe/Madrid", language).into_iter().map(|fact| fact.words).collect()
    }

    #[test]
    fn what_is_learned_is_told_in_both_languages_and_what_is_not_known_too() {
        let nothing = ObservedTraits::default();
        let known = ObservedTraits {
            traits: AccountTraits {
                shows_texts: true,
                settle_lag_ms: 3000,
                verbatim: Features::WORDS.with(Features::ACCENT),
                rewritten: Features::LINK,
                prompt_flags: true,
                ..AccountTraits::default()
            },
            areas: vec!["34".into(), "54".into()],
        };
        let english = words(&known, Language::En);
        assert_eq!(english[0], "show in their conversation");
        assert!(english[1].starts_with("none was seen yet"), "{english:?}");
        assert_eq!(english[2..4], ["plain words, accents and other letters than a to z", "links"]);
        assert_eq!((english[4].as_str(), english[5].as_str()), ("at most 3 s", "right at once"));
        assert!(english[6].ends_with("country codes: 34, 54") && english[7] == "Europe/Madrid", "{english:?}");
        for learned in [&nothing, &known] {
            let (english, spanish) = (words(learned, Language::En), words(learned, Language::Es));
            assert_eq!(english.len(), spanish.len());
            for (english, spanish) in
                english.iter().zip(&spanish).take(7).filter(|(english, _)| !english.contains(" 3 s"))
            {
                assert_ne!(english, spanish);
            }
        }
        assert_eq!(words(&nothing, Language::En)[2..4], ["none is known", "none is known"]);
    }

    #[test]
    fn each_feature_has_a_name() {
        let all = FEATURES.into_iter().fold(Features::default(), |all, (feature, _)| all.with(feature));
        assert_eq!(all, Features::from_bits(511), "name a new one here");
    }
}
