//! Problems of a configuration: all at once, each with its key, where it was set, and the remedy. They never hold
//! values, so that no secret appears, not even one set under the wrong key.

use std::fmt;
use std::path::PathBuf;

/// Where a key was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: `config/default.toml`.
    Default,
    /// The operator's file, with the line (from 1) where it could be found.
    File {
        /// As given on the command line.
        path: PathBuf,
        /// Of the key itself.
        line: Option<usize>,
    },
    /// A variable of this name.
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "file {}, line {line}", path.display()),
            Self::File { path, line: None } => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {}", name.escape_debug()),
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`; empty for the file itself.
    pub key: String,
    /// Where the value came from.
    pub source: Source,
    /// What is wrong and what to do, without the value.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{} ", self.key.escape_debug())?;
        }
        write!(f, "({}): {}", self.source, self.what)
    }
}

/// All problems, sorted by key. Displayed as one per line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem. The first one of a key counts, since later ones follow from it.
    pub(super) fn note(&mut self, key: &str, source: Source, what: impl Into<String>) {
        if !self.has(key) || key.is_empty() {
            self.0.push(Problem { key: key.to_owned(), source, what: what.into() });
        }
    }

    /// Extends the text of the problem of `key`. Returns whether it has one.
    pub(super) fn add(&mut self, key: &str, more: &str) -> bool {
        let found = self.0.iter_mut().find(|problem| problem.key == key);
        found.map(|problem| problem.what = format!("{}. {more}", problem.what)).is_some()
    }

    /// Returns whether `key` has one.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|problem| problem.key == key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| a.key.cmp(&b.key));
        self
    }

    /// Returns them sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has 1 problem:")?,
            n => write!(f, "the configuration has {n} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
