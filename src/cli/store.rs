//! `bridge store`: copies a store from SQLite to PostgreSQL, and undoes that if the copy was never served. Works while
//! no bridge runs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretString};

use super::output::{Failure, print};
use crate::config::StoreUrl;
use crate::store::copy::{Copied, copy, reopen};

/// What to do with a store as a whole.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Copy all that a SQLite store holds to an empty PostgreSQL database, and mark the SQLite store as moved
    Copy {
        /// The store to copy, as in store.url: sqlite:PATH
        #[arg(long, value_name = "URL", value_parser = secret)]
        from: SecretString,
        /// The database to copy it to, as in store.url: postgres://USER:PASSWORD@HOST/DATABASE
        #[arg(long, value_name = "URL", value_parser = secret, required_unless_present = "to_file")]
        to: Option<SecretString>,
        /// A file that holds the URL of --to, which other users of this machine could read off the command line
        #[arg(long, value_name = "PATH", conflicts_with = "to")]
        to_file: Option<PathBuf>,
    },
    /// Put a SQLite store back in use that was copied, where the copy was never served
    Reopen {
        /// The store that was copied, as in store.url: sqlite:PATH
        #[arg(long, value_name = "URL", value_parser = secret)]
        from: SecretString,
        /// No bridge has ever run on the copy: else what it sent would be sent again
        #[arg(long)]
        copy_never_served: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Copy { from, to, to_file } => {
            let from = file(&from)?;
            let to = match (to, to_file) {
                (Some(to), _) => to,
                (None, Some(path)) => read(&path)?,
                (None, None) => return Err(Failure::Usage("--to or --to-file names the database to copy to".into())),
            };
            let to = database(&to)?;
            let started = Instant::now();
            let copied = copy(&from, to.expose_secret()).await.map_err(anyhow::Error::new)?;
            Ok(print(&said(&copied, &from, started.elapsed().as_secs_f64()))?)
        }
        Command::Reopen { from, copy_never_served } => {
            let from = file(&from)?;
            if !copy_never_served {
                return Err(Failure::Usage(
                    "what the copy has sent would be sent again, and what it has taken would be missing: say \
                     --copy-never-served if no bridge has ever run on it. If one has, go on with the copy; nothing was changed"
                        .into(),
                ));
            }
            reopen(&from).await.map_err(anyhow::Error::new)?;
            Ok(print(&format!(
                "{} is in use again: `bridge serve` takes it where store.url names it.\nNext: empty the database that held \
                 the copy, so that nobody serves it.\n",
                from.display()
            ))?)
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a Result")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}

fn file(from: &SecretString) -> Result<PathBuf, Failure> {
    match StoreUrl::parse(from) {
        Ok(StoreUrl::Sqlite(file)) => Ok(file),
        _ => Err(Failure::Usage("--from must be sqlite:PATH, such as sqlite:data/bridge.db".into())),
    }
}

fn database(to: &SecretString) -> Result<SecretString, Failure> {
    match StoreUrl::parse(to) {
        Ok(StoreUrl::Postgres(url)) => Ok(url),
        _ => Err(Failure::Usage("--to must be postgres://USER:PASSWORD@HOST/DATABASE".into())),
    }
}

fn read(path: &std::path::Path) -> Result<SecretString, Failure> {
    let text = std::fs::read_to_string(path);
    text.map(|text| text.trim().into())
        .map_err(|error| Failure::Usage(format!("cannot read the file of --to-file, {}: {error}", path.display())))
}

/// Returns one line per table, then the total.
fn said(copied: &Copied, from: &std::path::Path, seconds: f64) -> String {
    let (mut report, from, place) = (String::new(), from.display(), &copied.place);
    for (table, rows) in &copied.tables {
        let _ = writeln!(report, "{table:<16} {rows:>10} rows");
    }
    let (tables, rows) = (copied.tables.len(), copied.tables.iter().map(|(_, rows)| rows).sum::<u64>());
    if copied.before {
        let _ = writeln!(
            report,
            "These {tables} tables, {rows} rows, were copied to {place} before, and {from} has not changed since: nothing was \
             left to copy."
        );
    } else {
        let _ = writeln!(
            report,
            "Copied {tables} tables, {rows} rows, from {from} to {place} in {seconds:.1} s; each table holds as many rows there \
             as here."
        );
    }
    let _ = writeln!(
        report,
        "{from} is kept and marked as moved: `bridge serve` refuses it.\nNext: set store.url to the new one, then `bridge \
         check` and `bridge serve`."
    );
    report
}
