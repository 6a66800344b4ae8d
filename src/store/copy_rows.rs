//! Tables and rows, as they are passed from one engine to the other.

/// Tables about running processes, and the index of words, which is made anew from the texts: a copy starts without them.
pub(super) const LEFT_OUT: &[&str] = &["leases", "processes", "text_blocks", "text_lists"];

/// Columns about running processes in other tables: a store of one process does not have them.
pub(super) const LEFT_OUT_OF: &[(&str, &str)] =
    &[("events", "held_ms"), ("outbound", "caller_ms"), ("outbound", "taken_by")];

/// A table as both sides have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Columns of its key, in order; empty for the target.
    pub(super) key: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Columns are texts and integers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Other(String),
}

/// One value of a row.
pub(super) enum Value<'a> {
    Null,
    Whole(i64),
    Text(&'a str),
}

impl Table {
    /// Returns the columns as an SQL list.
    pub(super) fn columns_listed(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Returns how this table differs from the same one on the other side, in any order of columns.
    pub(super) fn difference(&self, there: &Table) -> Option<String> {
        let lacks = |one: &Table, other: &Table, side: &str| {
            let missing = one.columns.iter().find(|column| !other.columns.contains(column))?;
            Some(format!("the {side} has no column `{}` of that kind", missing.name))
        };
        lacks(self, there, "target").or_else(|| lacks(there, self, "source")).or_else(|| {
            let other = self.columns.iter().find(|column| matches!(column.kind, Kind::Other(_)))?;
            Some(format!("column `{}` is neither text nor a whole number", other.name))
        })
    }
}

/// Quotes any name for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Appends a row in PostgreSQL's COPY text format. Its texts cannot hold NUL, which becomes U+FFFD as everywhere.
pub(super) fn put_row(batch: &mut Vec<u8>, values: &[Value<'_>]) {
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            batch.push(b'\t');
        }
        match value {
            Value::Null => batch.extend_from_slice(b"\\N"),
            Value::Whole(number) => batch.extend_from_slice(number.to_string().as_bytes()),
            Value::Text(text) => {
                for byte in text.bytes() {
                    match byte {
                        b'\\' => batch.extend_from_slice(b"\\\\"),
                        b'\n' => batch.extend_from_slice(b"\\n"),
                        b'\r' => batch.extend_from_slice(b"\\r"),
                        b'\t' => batch.extend_from_slice(b"\\t"),
                        0 => batch.extend_from_slice("\u{fffd}".as_bytes()),
                        other => batch.push(other),
                    }
                }
            }
        }
    }
    batch.push(b'\n');
}

/// What the reader passes to the writer.
pub(super) enum Piece {
    Rows(Vec<u8>),
    /// The table has no more.
    End,
}
