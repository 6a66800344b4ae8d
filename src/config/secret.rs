//! Secrets in files of their own, `password_file = "/run/secrets/afilnet"`.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

/// Largest secret file read, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// Why a file gives no text, as the end of a sentence about it.
#[derive(Debug)]
pub(super) enum Unread {
    /// There is no file at that path, or it may not be read.
    Path(String),
    /// Its content is not usable.
    Content(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(why) | Self::Content(why) => f.write_str(why),
        }
    }
}

/// Returns the text of a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<String, Unread> {
    let in_words = |error: std::io::Error| {
        Unread::Path(match error.kind() {
            std::io::ErrorKind::NotFound => format!("does not exist: {}", path.display()),
            std::io::ErrorKind::PermissionDenied => format!("may not be read by this user: {}", path.display()),
            _ => format!("cannot be read ({}): {}", error.kind(), path.display()),
        })
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(in_words)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(in_words)?;
    if bytes.len() as u64 > limit {
        return Err(Unread::Content(format!("is larger than {limit} bytes: {}", path.display())));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        Unread::Content(format!(
            "is not UTF-8 text, first in its line {line} (an accent or a sign saved as Latin-1, or a file that is no text): \
             {}. Save it as UTF-8",
            path.display()
        ))
    })
}

/// Returns the secret in a file, without its final newline; never empty.
pub(super) fn read_secret(path: &Path) -> Result<String, Unread> {
    let mut text = read(path, SECRET_LIMIT)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err(Unread::Content(format!("is empty: {}", path.display()))) } else { Ok(text) }
}

/// Returns whether every user of the machine may read it.
pub(super) fn open_to_all(path: &Path) -> bool {
    mode(path).is_some_and(|mode| mode & 0o004 != 0)
}

/// Returns the mode of a file if others than its owner may write it, or every user of the machine may read it.
pub(super) fn loose_mode(path: &Path) -> Option<u32> {
    mode(path).filter(|mode| mode & 0o026 != 0)
}

fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

/// Returns a description of suspicious characters at the ends of a value: they are invisible and rarely intended.
pub(super) fn oddity(text: &str) -> Option<&'static str> {
    let quoted = |open: char, close: char| text.len() > 1 && text.starts_with(open) && text.ends_with(close);
    if text.starts_with('\u{feff}') {
        Some("begins with a byte order mark (BOM), which an editor put there. Save it without")
    } else if text.ends_with(['\n', '\r']) {
        Some(
            "ends with a line end (LF, or CR LF as Windows writes it), which is taken as a part of it. Save it without",
        )
    } else if text.trim() != text {
        Some("has blanks around it. Remove them")
    } else if [('"', '"'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')]
        .into_iter()
        .any(|(open, close)| quoted(open, close))
    {
        Some(
            "stands in quotes, which are taken as a part of it (env files of Docker and systemd units differ from a shell in \
             this). Remove them",
        )
    } else {
        None
    }
}
