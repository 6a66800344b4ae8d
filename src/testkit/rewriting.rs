//! What an account may make of what it is given: each rewriting alone is known from some platform, and a world composes
//! several at random.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use unicode_normalization::UnicodeNormalization as _;

/// What agents write: of every kind that a platform may rewrite.
pub(crate) const AGENTS: [&str; 14] = [
    "ok",
    "Su pedido sale hoy por la tarde",
    "\u{bf}Qu\u{e9} d\u{ed}a le viene bien?",
    "Hola \u{1f44b} Ana, le atiende Jos\u{e9}",
    "\u{1f44d}",
    "Siga su pedido en https://tienda.example/p/12345 hoy",
    "https://tienda.example/p/1",
    "Llame al 600111222 cuando pueda",
    "Primera l\u{ed}nea\nSegunda l\u{ed}nea & \"algo m\u{e1}s\"",
    "*Importante*: traiga el DNI",
    "Buenos d\u{ed}as",
    "Perfecto",
    "Le confirmo la cita del jueves a las 10:30 en la calle Mayor 7, segundo piso. Traiga por favor la factura original y el \
     documento firmado; si no puede venir, av\u{ed}senos antes del mi\u{e9}rcoles por la tarde.",
    "Gracias por su paciencia, seguimos en ello",
];

/// What somebody types in the panel.
pub(crate) const OPERATORS: [&str; 8] = [
    "Le llamo en cinco minutos",
    "No queda en ese color, lo siento mucho",
    "Vaya a la tienda del centro cuando quiera",
    "Abrimos de nueve a dos",
    "Tome nota del n\u{fa}mero de env\u{ed}o: KX-77",
    "Disculpe, estaba reunida con otro cliente",
    "https://mapas.example/centro",
    "Que tenga buen fin de semana",
];

/// One way in which an account shows rows otherwise than they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rewriting {
    Latin1,
    Latin1Twice,
    Windows1252,
    AccentsAsQuestionMarks,
    AccentsAsReplacements,
    AccentsStripped,
    EmojiRemoved,
    EmojiAsQuestionMarks,
    EmojiAsNames,
    LinksShortened,
    LinksSigned,
    LinksTracked,
    Paragraphs,
    BreaksAsSpaces,
    BreaksAsCrLf,
    Entities,
    EntitiesTwice,
    Signature,
    AgentsName,
    SpacesCollapsed,
    Decomposed,
    ZeroWidth,
    CutAt160,
    NumbersSpelled,
    UpperCase,
    MarkupStripped,
    Quotes,
    OwnTimesMoved,
    AllTimesMoved,
    FlagsLate,
    IdsAbsent,
    IdsAtEveryRead,
    IdsOfPlaces,
    FilesElsewhere,
    FilesLate,
    CustomersFilesLate,
    RowsLate,
    RowsNever,
}

impl Rewriting {
    pub(crate) const ALL: [Self; 38] = [
        Self::Latin1,
        Self::Latin1Twice,
        Self::Windows1252,
        Self::AccentsAsQuestionMarks,
        Self::AccentsAsReplacements,
        Self::AccentsStripped,
        Self::EmojiRemoved,
        Self::EmojiAsQuestionMarks,
        Self::EmojiAsNames,
        Self::LinksShortened,
        Self::LinksSigned,
        Self::LinksTracked,
        Self::Paragraphs,
        Self::BreaksAsSpaces,
        Self::BreaksAsCrLf,
        Self::Entities,
        Self::EntitiesTwice,
        Self::Signature,
        Self::AgentsName,
        Self::SpacesCollapsed,
        Self::Decomposed,
        Self::ZeroWidth,
        Self::CutAt160,
        Self::NumbersSpelled,
        Self::UpperCase,
        Self::MarkupStripped,
        Self::Quotes,
        Self::OwnTimesMoved,
        Self::AllTimesMoved,
        Self::FlagsLate,
        Self::IdsAbsent,
        Self::IdsAtEveryRead,
        Self::IdsOfPlaces,
        Self::FilesElsewhere,
        Self::FilesLate,
        Self::CustomersFilesLate,
        Self::RowsLate,
        Self::RowsNever,
    ];

    /// What it makes of the words of a row that the bridge sent.
    pub(crate) fn of_words(self, text: &str, rng: &mut StdRng) -> String {
        let each = |what: &dyn Fn(char) -> String| text.chars().map(what).collect::<String>();
        match self {
            Self::Latin1 => latin_1(text),
            Self::Latin1Twice => latin_1(&latin_1(text)),
            Self::Windows1252 => each(&|c| {
                let mut utf8 = [0; 4];
                c.encode_utf8(&mut utf8).bytes().map(windows_1252).collect()
            }),
            Self::AccentsAsQuestionMarks => each(&|c| if is_accented(c) { "?".into() } else { c.into() }),
            Self::AccentsAsReplacements => each(&|c| if is_accented(c) { "\u{fffd}".into() } else { c.into() }),
            Self::AccentsStripped => text.nfd().filter(|c| !('\u{300}'..'\u{370}').contains(c)).collect(),
            Self::EmojiRemoved => each(&|c| if is_emoji(c) { String::new() } else { c.into() }),
            Self::EmojiAsQuestionMarks => each(&|c| if is_emoji(c) { "?".into() } else { c.into() }),
            Self::EmojiAsNames => each(&|c| if is_emoji(c) { ":wave:".into() } else { c.into() }),
            Self::LinksShortened => links(text, |_| "https://afl.example/x7".to_owned()),
            Self::LinksSigned => {
                let signature: u32 = rng.random();
                links(text, |link| format!("{link}?X-Signature={signature}"))
            }
            Self::LinksTracked => links(text, |link| format!("{link}?utm_source=afilnet")),
            Self::Paragraphs => format!("<p>{}</p>", text.replace('\n', "<br/>")),
            Self::BreaksAsSpaces => text.replace('\n', " "),
            Self::BreaksAsCrLf => text.replace('\n', "\r\n\r\n"),
            Self::Entities => entities(text),
            Self::EntitiesTwice => entities(&entities(text)),
            Self::Signature => format!("{text}\n-- Tienda Ejemplo"),
            Self::AgentsName => format!("*Ana:* {text}"),
            Self::SpacesCollapsed => text.split_whitespace().collect::<Vec<_>>().join("  "),
            Self::Decomposed => text.nfd().collect(),
            Self::ZeroWidth => format!("\u{feff}{}\u{200b}", text.replace(' ', " \u{200b}")),
            Self::CutAt160 => text.chars().take(160).collect(),
            Self::NumbersSpelled => text.replace("600111222", "+34 600 11 12 22"),
            Self::UpperCase => text.to_uppercase(),
            Self::MarkupStripped => each(&|c| if "*_~`".contains(c) { String::new() } else { c.into() }),
            Self::Quotes => each(&|c| if c == '"' { "\u{201c}".into() } else { c.into() }),
            _ => text.to_owned(),
        }
    }

    /// What it makes of links in rows of anybody.
    pub(crate) fn of_anybodys_words(self, text: &str, rng: &mut StdRng) -> String {
        match self {
            Self::LinksSigned | Self::Decomposed | Self::ZeroWidth => self.of_words(text, rng),
            _ => text.to_owned(),
        }
    }
}

/// The number in this variable of the environment.
pub(crate) fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The rewritings of one world: none in every fourth.
pub(crate) fn composed(rng: &mut StdRng) -> Vec<Rewriting> {
    if rng.random_ratio(1, 4) {
        return Vec::new();
    }
    let count = rng.random_range(1..=4);
    let mut chosen: Vec<Rewriting> = Rewriting::ALL.choose_multiple(rng, count).copied().collect();
    chosen.sort_unstable();
    chosen
}

fn latin_1(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80 => '\u{20ac}',
        0x99 => '\u{2122}',
        0x9f => '\u{178}',
        0x91 => '\u{2018}',
        0x8b => '\u{2039}',
        byte => char::from(byte),
    }
}

fn is_accented(c: char) -> bool {
    !c.is_ascii() && c < '\u{2000}'
}

fn is_emoji(c: char) -> bool {
    c >= '\u{2000}'
}

fn links(text: &str, of: impl Fn(&str) -> String) -> String {
    let word = |word: &str| if word.starts_with("https://") { of(word) } else { word.to_owned() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn entities(text: &str) -> String {
    let of = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_ascii() => c.to_string(),
        c => format!("&#{};", u32::from(c)),
    };
    text.chars().map(of).collect()
}
