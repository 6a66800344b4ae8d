//! `bridge store copy` of a house on a file into a schema of its own.

use std::process::Output;

use super::House;
use super::postgres::fresh_schema;

/// A house on a file, and the URL of an empty schema under a name of its own; `None` where there is no PostgreSQL.
pub async fn house_and_schema() -> Option<(House, String)> {
    let url = fresh_schema().await?;
    let name = url.rsplit("search_path%3D").next().unwrap().to_owned();
    Some((House::new().on_a_file(), format!("{url}&application_name={name}")))
}

impl House {
    /// The store as `bridge store copy` names it.
    pub fn source(&self) -> String {
        format!("sqlite:{}", self.database().display())
    }

    /// `bridge store copy` of this house's file.
    pub fn copy(&self, to: &str) -> Output {
        self.run(&["store", "copy", "--from", &self.source(), "--to", to])
    }

    /// `bridge serve`, which is refused; what it says.
    pub fn refused(&self) -> String {
        let refused = self.command(&["serve"]).env("BRIDGE__SERVER__LISTEN", "127.0.0.1:0").output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        String::from_utf8(refused.stderr).unwrap()
    }
}

/// Exit code and words of a command.
pub fn said(output: &Output) -> (Option<i32>, String) {
    let words = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(words).unwrap())
}
