//! Unknown behaviour of the live Afilnet, as switches: one for each open question of afilnet.md section 6, with the
//! names and values of its table. The first value of each is what the bridge expects.

use std::str::FromStr;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A switch or a value that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSwitch(String);

/// One position of a switch, as text.
trait Position: Sized {
    /// Every value, the default first.
    fn names() -> Vec<&'static str>;
    fn parse(text: &str) -> Option<Self>;
    fn name(&self) -> String;
}

/// Defines an enum of a switch's values. Names after `|` are accepted too, for shells that drop quotes and spaces.
macro_rules! positions {
    ($(#[$doc:meta] $name:ident { $first:ident = $first_text:literal $(| $first_alias:literal)*
        $(, $value:ident = $text:literal $(| $alias:literal)*)* $(,)? })*) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name {
            #[default]
            #[doc = concat!("`", $first_text, "`")]
            $first,
            $(#[doc = concat!("`", $text, "`")] $value,)*
        }

        impl Position for $name {
            fn names() -> Vec<&'static str> {
                vec![$first_text $(, $text)*]
            }
            fn parse(text: &str) -> Option<Self> {
                match text {
                    $first_text $(| $first_alias)* => Some(Self::$first),
                    $($text $(| $alias)* => Some(Self::$value),)*
                    _ => None,
                }
            }
            fn name(&self) -> String {
                match self {
                    Self::$first => $first_text.to_owned(),
                    $(Self::$value => $text.to_owned(),)*
                }
            }
        }
    )*};
}

positions! {
    /// How the envelope's `status` is spelled (F2).
    StatusCase { Upper = "upper", Lower = "lower" }
    /// What `result` holds after a send (F5, F6).
    SendResult {
        EmptyArray = "empty_array", Absent = "absent", Null = "null", EmptyObject = "empty_object",
        EmptyString = "empty_string", IdScalar = "id_scalar", IdObject = "id_object",
    }
    /// How a read wraps its rows (2.1).
    ListShape {
        ResultList = "result.list" | "result_list", ResultArray = "result_array",
        ListSingleObject = "list_single_object", NullWhenEmpty = "null_when_empty",
    }
    /// The response to a read without rows (3.4).
    EmptyRead { EmptyList = "empty_list", ChatNotFound = "chat_not_found" }
    /// Whether `getunreadmessages` marks as read (U1).
    UnreadMarksRead { Yes = "yes", No = "no" }
    /// Whether `getmessages` marks as read (U1).
    GetmessagesMarksRead { No = "no", Yes = "yes" }
    /// Whether `getunreadmessages` shows the business's own rows too (U2).
    UnreadIncludesSent { No = "no", Yes = "yes" }
    /// Which field holds the direction (F8).
    DirectionField {
        AsDocumented = "sent_issent_as_documented", AlwaysSent = "always_sent", AlwaysIssent = "always_issent",
    }
    /// How the direction is written (U2).
    DirectionValues {
        Text = "\"0\"/\"1\"" | "text", Number = "0/1" | "number", Bool = "bool", Absent = "absent",
    }
    /// What the direction field means: written by the business, or dispatched, which every row is (U2).
    DirectionMeaning { Outgoing = "outgoing", Dispatched = "dispatched" | "dispatched (1 on all rows)" }
    /// The order of rows (U4).
    RowOrder { Asc = "asc", Desc = "desc", Shuffled = "shuffled" }
    /// How many conversations `getchats` lists, those with the newest rows.
    ChatsListed { All = "all", Newest50 = "newest_50" }
    /// How many rows `getmessages` shows, the newest (U5).
    Window { Unlimited = "unlimited", Last20 = "last_20", Last100 = "last_100" }
    /// The zone of `datetime` (U6); `account_offset` is three hours behind UTC.
    Zone { Madrid = "Europe/Madrid", Utc = "UTC", AccountOffset = "account_offset" }
    /// The form of `datetime` (3.7).
    DatetimeFormat { SpaceSeconds = "space_seconds", Rfc3339 = "rfc3339", Epoch = "epoch" }
    /// The form of `messageid` (U7).
    IdType { StringDigits = "string_digits", Number = "number", Hex = "hex", Missing = "missing" }
    /// Whether the three reads show one message under one id (U8); `never`: each read under another.
    IdStable { Yes = "yes", No = "no", Never = "never" }
    /// What `message` holds for a file (U9).
    FileInMessage { Url = "url", CaptionOnly = "caption_only", Empty = "empty", HtmlAnchor = "html_anchor" }
    /// How a row's `status` is written (U3).
    RowStatusForm { Numeric = "numeric", Words = "words", Null = "null" }
    /// What `sendmessage` to a new destination does (U11).
    NewDestination { CreatesChat = "creates_chat", ChatNotFound = "chat_not_found" }
    /// How `message` is escaped (U12).
    Escape { None = "none", HtmlEntities = "html_entities" }
    /// What the row of a text that came through the API says: its words, or what platforms are known to make of them.
    OwnWords {
        AsSent = "as_sent", Latin1 = "latin_1", LinksReplaced = "links_replaced", EmojiNames = "emoji_names",
        Paragraphs = "html_paragraphs", Signature = "signature",
    }
    /// Where rows say that files are: the link that was given, with a new signature at every read, or one of Afilnet's own.
    FileLinks { AsSent = "as_sent", SignedAtEveryRead = "signed_at_every_read", Elsewhere = "elsewhere" }
    /// Under which number a message is kept.
    FiledUnder { AsWritten = "as_written", WithoutMobileDigits = "without_mobile_digits" }
    /// Under which spellings of a number its conversation is read.
    ReadUnder { AsWritten = "as_written", AnySpelling = "any_spelling" }
    /// What wrong credentials get (2.4).
    AuthFailure { Envelope200 = "envelope_200", Http401 = "http_401" }
    /// What the address filter does; `off` admits all (2).
    IpDenied {
        Off = "off", Http403 = "http_403", Envelope = "envelope INCORRECT_USER_PASSWORD" | "envelope",
        ConnectionDrop = "connection_drop",
    }
    /// What a client over the limit gets (U13).
    RateLimit {
        Off = "off", Http429 = "http_429", Http503Html = "http_503_html", EnvelopeUnknownCode = "envelope_unknown_code",
    }
    /// The response's content type, and whether the body starts with a byte order mark (2).
    ContentType {
        Html = "text/html", Json = "application/json",
        HtmlBom = "text/html with BOM" | "text/html+bom",
        JsonBom = "application/json with BOM" | "application/json+bom",
    }
    /// The character set that the response is in, and that its content type and its XML declaration name.
    Charset { Utf8 = "utf-8", Latin1 = "iso-8859-1" }
}

/// When a row that the bridge sent appears in reads (U16): `0 s`, `2 s` or any other number of seconds, `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentRowVisible {
    /// This number of seconds after it was sent.
    After(u32),
    /// Not at all.
    Never,
}

impl Default for SentRowVisible {
    fn default() -> Self {
        Self::After(0)
    }
}

impl Position for SentRowVisible {
    fn names() -> Vec<&'static str> {
        vec!["0 s", "2 s", "never"]
    }
    fn parse(text: &str) -> Option<Self> {
        if text == "never" {
            return Some(Self::Never);
        }
        text.strip_suffix('s').unwrap_or(text).trim().parse().ok().map(Self::After)
    }
    fn name(&self) -> String {
        match self {
            Self::After(seconds) => format!("{seconds} s"),
            Self::Never => "never".to_owned(),
        }
    }
}

/// A time after which something shows: `0 s`, `2 s` or any other number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay(u32);

impl Delay {
    /// Returns whether it has passed since `at_ms`.
    pub(super) fn has_passed(self, at_ms: i64, now_ms: i64) -> bool {
        now_ms >= at_ms + i64::from(self.0) * 1000
    }
}

impl Position for Delay {
    fn names() -> Vec<&'static str> {
        vec!["0 s", "2 s"]
    }
    fn parse(text: &str) -> Option<Self> {
        text.strip_suffix('s').unwrap_or(text).trim().parse().ok().map(Self)
    }
    fn name(&self) -> String {
        format!("{} s", self.0)
    }
}

/// Defines the struct of all switches.
macro_rules! table {
    ($($field:ident: $kind:ident,)*) => {
        /// The position of every switch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Switches {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] pub $field: $kind,)*
        }

        impl Switches {
            /// Returns every (switch, value), each switch's default first.
            #[must_use]
            pub fn all() -> Vec<(&'static str, &'static str)> {
                let mut all = Vec::new();
                $(all.extend($kind::names().into_iter().map(|value| (stringify!($field), value)));)*
                all
            }

            /// Sets one switch by its name.
            pub fn set(&mut self, switch: &str, value: &str) -> Result<(), BadSwitch> {
                match switch {
                    $(stringify!($field) => {
                        self.$field = $kind::parse(value).ok_or_else(|| refuse(switch, value, &$kind::names()))?;
                    })*
                    _ => {
                        let names = [$(stringify!($field)),*].join(", ");
                        return Err(BadSwitch(format!("there is no switch `{switch}`: use one of {names}")));
                    }
                }
                Ok(())
            }

            /// Returns every switch with its current value.
            #[must_use]
            pub fn now(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($field), self.$field.name())),*]
            }
        }
    };
}

table! {
    status_case: StatusCase,
    send_result: SendResult,
    list_shape: ListShape,
    empty_read: EmptyRead,
    unread_marks_read: UnreadMarksRead,
    getmessages_marks_read: GetmessagesMarksRead,
    unread_includes_sent: UnreadIncludesSent,
    direction_field: DirectionField,
    direction_values: DirectionValues,
    direction_meaning: DirectionMeaning,
    order: RowOrder,
    chats_listed: ChatsListed,
    window: Window,
    time_zone: Zone,
    datetime_format: DatetimeFormat,
    id_type: IdType,
    id_stable_across_methods: IdStable,
    file_in_message: FileInMessage,
    row_status: RowStatusForm,
    new_destination: NewDestination,
    escape: Escape,
    sent_row_visible_after: SentRowVisible,
    own_words: OwnWords,
    file_links: FileLinks,
    file_visible_after: Delay,
    own_flag_after: Delay,
    filed_under: FiledUnder,
    read_under: ReadUnder,
    auth_failure: AuthFailure,
    ip_denied: IpDenied,
    rate_limit: RateLimit,
    content_type: ContentType,
    charset: Charset,
}

fn refuse(switch: &str, value: &str, values: &[&str]) -> BadSwitch {
    BadSwitch(format!("`{switch}` cannot be `{value}`: use one of {}", values.join(", ")))
}

impl FromStr for Switches {
    type Err = BadSwitch;
    /// Parses `switch=value` pairs, separated by commas, over the defaults.
    fn from_str(text: &str) -> Result<Self, BadSwitch> {
        let mut switches = Self::default();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (switch, value) =
                pair.split_once('=').ok_or_else(|| BadSwitch(format!("`{pair}` is not SWITCH=VALUE")))?;
            switches.set(switch.trim(), value.trim())?;
        }
        Ok(switches)
    }
}

impl Serialize for Switches {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let now = self.now();
        let mut map = serializer.serialize_map(Some(now.len()))?;
        for (switch, value) in now {
            map.serialize_entry(switch, &value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]
    use super::*;

    #[test]
    fn every_value_can_be_set_and_is_shown_as_it_was_set() {
        let all = Switches::all();
        assert_eq!(all.len(), 98);
        for (switch, value) in all {
            let mut switches = Switches::default();
            switches.set(switch, value).unwrap();
            assert!(switches.now().contains(&(switch, value.to_owned())), "{switch}={value}");
        }
    }

    #[test]
    fn the_first_value_is_the_default() {
        let mut first = std::collections::BTreeMap::new();
        for (switch, value) in Switches::all() {
            first.entry(switch).or_insert(value);
        }
        for (switch, value) in Switches::default().now() {
            assert_eq!(first[switch], value, "{switch}");
        }
    }

    #[test]
    fn pairs_are_read_or_refused_in_words() {
        let switches: Switches = "order=desc, sent_row_visible_after=7s,direction_values=0/1".parse().unwrap();
        assert_eq!(switches.order, RowOrder::Desc);
        assert_eq!(switches.sent_row_visible_after, SentRowVisible::After(7));
        assert_eq!(switches.direction_values, DirectionValues::Number);
        for (bad, word) in [("order", "SWITCH=VALUE"), ("nothing=1", "status_case"), ("order=up", "shuffled")] {
            assert!(bad.parse::<Switches>().unwrap_err().to_string().contains(word), "{bad}");
        }
    }
}
