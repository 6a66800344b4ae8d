//! Secrets that stand in files of their own, `password_file = "/run/secrets/afilnet"`.

use std::io::Read as _;
use std::path::Path;

/// Largest secret file read, in bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// The text of a file of at most `limit` bytes, or why not, as the end of a sentence about it.
pub(super) fn read(path: &Path, limit: u64) -> Result<String, String> {
    let in_words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("does not exist: {}", path.display()),
        std::io::ErrorKind::PermissionDenied => format!("may not be read by this user: {}", path.display()),
        _ => format!("cannot be read ({}): {}", error.kind(), path.display()),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(in_words)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(in_words)?;
    if bytes.len() as u64 > limit {
        return Err(format!("is larger than {limit} bytes: {}", path.display()));
    }
    String::from_utf8(bytes).map_err(|_| format!("is not UTF-8 text: {}", path.display()))
}

/// The secret in a file, without its final newline; never empty.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    let mut text = read(path, SECRET_LIMIT)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err(format!("is empty: {}", path.display())) } else { Ok(text) }
}

/// Whether every user of the machine may read it.
pub(super) fn open_to_all(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}
