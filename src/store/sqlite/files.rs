//! The store's files under a running bridge: each must stay the one that was opened. What is written to a file that was
//! deleted or replaced is gone at the next start.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Returns a name beside the store's file.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A file of the store that is not the one that was opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} was deleted or replaced under the running bridge, so nothing more is accepted or sent. If it was moved, move it \
     back, and the bridge goes on by itself. If it is lost, copy what process {process} holds open (/proc/{process}/fd) \
     before it ends"
)]
pub(crate) struct FileGone {
    name: String,
    process: u32,
}

/// Names of the files, each with device and inode as they were opened.
#[derive(Debug)]
pub(super) struct Files(Vec<(PathBuf, (u64, u64))>);

impl Files {
    /// Records the identities of the files; called when the store is open, so that its WAL and index exist.
    pub(super) fn opened(file: &Path) -> std::io::Result<Self> {
        let endings = ["", "-wal", "-shm", ".lock"].into_iter();
        endings
            .map(|ending| beside(file, ending))
            .map(|path| identity(&path).map(|id| (path, id)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks that each name still belongs to the file that was opened.
    pub(super) fn check(&self) -> Result<(), FileGone> {
        let gone = self.0.iter().find(|(path, opened)| match identity(path) {
            Ok(there) => there != *opened,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        });
        let Some((path, _)) = gone else { return Ok(()) };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Err(FileGone { name, process: std::process::id() })
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|there: Metadata| (there.dev(), there.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_moved_away_or_replaced_is_missed_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        for ending in ["", "-wal", "-shm", ".lock"] {
            std::fs::write(beside(&file, ending), "x").unwrap();
        }
        let files = Files::opened(&file).unwrap();
        assert!(files.check().is_ok());
        for ending in ["", "-wal", "-shm", ".lock"] {
            let (there, away) = (beside(&file, ending), beside(&file, ".away"));
            std::fs::rename(&there, &away).unwrap();
            assert!(files.check().unwrap_err().to_string().starts_with(&format!("a.db{ending} was")), "{ending}");
            std::fs::write(&there, "x").unwrap();
            assert!(files.check().is_err(), "another file: {ending}");
            std::fs::rename(&away, &there).unwrap();
            assert!(files.check().is_ok(), "{ending}");
        }
    }
}
