//! Why a body of `/message` is refused: every broken rule with its path in `BonyChat`'s spelling, as text for an agent
//! (bonychat.md F3, A27). No problem holds the value that was sent.

use std::fmt;

use serde_json::Value;
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::json::{MOST_DEPTH, Unreadable};
use crate::domain::{IdType, Language, MOST_CONTACT_ID, PHONE_DIGITS};

/// A body that cannot become a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rejected {
    /// All of them, by path; never empty.
    pub(crate) problems: Vec<Problem>,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// The path in `BonyChat`'s spelling: `message.attachment.url`, `message.replies[3]`, `contactId`, `body`.
    pub(crate) path: String,
    /// What.
    pub(crate) rule: Rule,
}

/// A rule of bonychat.md sections 2.4, 3.1 and 6.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rule {
    /// The body is JSON; the place of the error, both from 1.
    Json { line: usize, column: usize },
    /// Objects and lists nest at most [`MOST_DEPTH`] deep.
    Depth,
    /// The key is there and not null.
    Present,
    /// The text is not blank.
    NotBlank,
    /// The value is text.
    Text,
    /// The value is text or a number.
    TextOrNumber,
    /// The value is a number, or text that parses as one.
    Number,
    /// The value is an object.
    Object,
    /// The value is a list.
    List,
    /// At most this number of characters.
    AtMost(u64),
    /// A number within these bounds.
    Within { min: f64, max: f64 },
    /// A list with 1 to this many entries.
    Entries(usize),
    /// One file per message.
    OneFile,
    /// A link that anyone can open (A35).
    PublicLink,
    /// A contact id of this type (section 1, step 3).
    Contact(IdType),
    /// A custom contact id spelled as the bridge spells its destination (A6).
    Spelling,
    /// A supported type (A25); named if it is a short plain word.
    Supported(Option<String>),
    /// A rule without a text of its own.
    Valid,
}

impl Rejected {
    /// Returns the rejection of a body that cannot be parsed at all.
    pub(super) fn unreadable(why: Unreadable) -> Self {
        let rule = match why {
            Unreadable::NotJson { line, column } => Rule::Json { line, column },
            Unreadable::TooDeep => Rule::Depth,
        };
        Self { problems: vec![Problem::at("body", rule)] }
    }

    /// Returns whether the body was parsed as JSON and breaks rules; otherwise it is not JSON, or nests too deep.
    pub(crate) fn is_json(&self) -> bool {
        !self.problems.iter().any(|problem| matches!(problem.rule, Rule::Json { .. } | Rule::Depth))
    }

    /// Returns all problems as one sentence for the agent: "contactId: …; message.text: …".
    pub(crate) fn in_words(&self, language: Language) -> String {
        self.problems.iter().map(|problem| problem.in_words(language)).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(Language::En))
    }
}

impl std::error::Error for Rejected {}

impl Problem {
    pub(super) fn at(path: impl Into<String>, rule: Rule) -> Self {
        Self { path: path.into(), rule }
    }

    /// "path: rule". An unsupported type is named in the words of A25 alone.
    pub(crate) fn in_words(&self, language: Language) -> String {
        match self.rule {
            Rule::Supported(_) => self.rule.in_words(language),
            _ => format!("{}: {}", self.path, self.rule.in_words(language)),
        }
    }
}

impl Rule {
    /// Returns the rule in the agent's language.
    pub(crate) fn in_words(&self, language: Language) -> String {
        match language {
            Language::En => self.in_english(),
            Language::Es => self.in_spanish(),
        }
    }

    fn in_english(&self) -> String {
        match self {
            Self::Json { line, column } => format!("not valid JSON (line {line}, column {column})"),
            Self::Depth => format!("must not nest objects and lists more than {MOST_DEPTH} deep"),
            Self::Present => "is missing".into(),
            Self::NotBlank => "must not be empty".into(),
            Self::Text => "must be text".into(),
            Self::TextOrNumber => "must be text or a number".into(),
            Self::Number => "must be a number".into(),
            Self::Object => "must be an object".into(),
            Self::List => "must be a list".into(),
            Self::AtMost(most) => format!("at most {most} characters"),
            Self::Within { min, max } => format!("must be between {min} and {max}"),
            Self::Entries(most) => format!("must have 1 to {most} entries"),
            Self::OneFile => "at most 1 file in a message".into(),
            Self::PublicLink => {
                "must be an https link that is public: no private address, no port, no user name".into()
            }
            Self::Contact(IdType::Phone) => {
                let (least, most) = (PHONE_DIGITS.start(), PHONE_DIGITS.end());
                format!("must be a phone number: + and {least} to {most} digits, country code first")
            }
            Self::Contact(IdType::Custom) => {
                format!("must be 1 to {MOST_CONTACT_ID} characters out of A-Z, a-z, 0-9, _, =, +, / and @")
            }
            Self::Spelling => "must have = and two digits only for what an id cannot hold (A, not =41)".into(),
            Self::Supported(Some(word)) => format!("Message type {word} is not supported"),
            Self::Supported(None) => "This message type is not supported".into(),
            Self::Valid => "is not valid".into(),
        }
    }

    fn in_spanish(&self) -> String {
        match self {
            Self::Json { line, column } => format!("no es JSON válido (línea {line}, columna {column})"),
            Self::Depth => format!("no puede anidar objetos y listas a más de {MOST_DEPTH} niveles"),
            Self::Present => "falta".into(),
            Self::NotBlank => "no puede estar vacío".into(),
            Self::Text => "debe ser texto".into(),
            Self::TextOrNumber => "debe ser texto o un número".into(),
            Self::Number => "debe ser un número".into(),
            Self::Object => "debe ser un objeto".into(),
            Self::List => "debe ser una lista".into(),
            Self::AtMost(most) => format!("como máximo {most} caracteres"),
            Self::Within { min, max } => format!("debe estar entre {min} y {max}"),
            Self::Entries(most) => format!("debe tener de 1 a {most} elementos"),
            Self::OneFile => "como máximo 1 archivo por mensaje".into(),
            Self::PublicLink => "debe ser un enlace https público: sin dirección privada, puerto ni usuario".into(),
            Self::Contact(IdType::Phone) => {
                let (least, most) = (PHONE_DIGITS.start(), PHONE_DIGITS.end());
                format!(
                    "debe ser un número de teléfono: + y de {least} a {most} cifras, con el prefijo del país delante"
                )
            }
            Self::Contact(IdType::Custom) => {
                format!("debe tener de 1 a {MOST_CONTACT_ID} caracteres de entre A-Z, a-z, 0-9, _, =, +, / y @")
            }
            Self::Spelling => {
                "solo puede tener = y dos cifras en lugar de lo que no cabe en un identificador (A, no =41)".into()
            }
            Self::Supported(Some(word)) => format!("El tipo de mensaje {word} no es compatible"),
            Self::Supported(None) => "Este tipo de mensaje no es compatible".into(),
            Self::Valid => "no es válido".into(),
        }
    }

    /// Returns the code under which a validator reports this rule; `Rule::of` reads it back.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Present => "required",
            Self::NotBlank => "said",
            Self::Text => "text",
            Self::TextOrNumber => "text_or_number",
            Self::Number => "number",
            Self::Object => "object",
            Self::PublicLink => "public_link",
            Self::AtMost(_) => "length",
            Self::Within { .. } => "range",
            Self::Json { .. }
            | Self::Depth
            | Self::List
            | Self::Entries(_)
            | Self::OneFile
            | Self::Contact(_)
            | Self::Spelling
            | Self::Supported(_)
            | Self::Valid => "valid",
        }
    }

    /// Returns the rule that a validator found broken.
    fn of(error: &ValidationError) -> Self {
        let bound = |name: &str| error.params.get(name);
        match error.code.as_ref() {
            "length" => bound("max").and_then(Value::as_u64).map_or(Self::Valid, Self::AtMost),
            "range" => match (bound("min").and_then(Value::as_f64), bound("max").and_then(Value::as_f64)) {
                (Some(min), Some(max)) => Self::Within { min, max },
                _ => Self::Valid,
            },
            code => [Self::Present, Self::NotBlank, Self::Text, Self::TextOrNumber, Self::Number, Self::Object]
                .into_iter()
                .chain([Self::PublicLink])
                .find(|rule| rule.code() == code)
                .unwrap_or(Self::Valid),
        }
    }
}

/// Converts the nested errors of `validator` into problems below `path`. Its own texts hold the values, so only codes
/// and bounds are used. A field called `itself` adds nothing to the path.
pub(super) fn collect(path: &str, errors: &ValidationErrors, into: &mut Vec<Problem>) {
    for (field, found) in errors.errors() {
        let path = match (path, field.as_ref()) {
            (path, "itself") => path.to_owned(),
            ("", field) => spelled(field),
            (path, field) => format!("{path}.{}", spelled(field)),
        };
        match found {
            ValidationErrorsKind::Field(errors) => {
                into.extend(errors.iter().map(|error| Problem::at(path.clone(), Rule::of(error))));
            }
            ValidationErrorsKind::Struct(errors) => collect(&path, errors, into),
            ValidationErrorsKind::List(entries) => {
                for (index, errors) in entries {
                    collect(&format!("{path}[{index}]"), errors, into);
                }
            }
        }
    }
}

/// Returns `BonyChat`'s spelling of a field: `file_name` is `fileName`.
fn spelled(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut key, word| {
        let mut letters = word.chars();
        key.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        key + letters.as_str()
    })
}
