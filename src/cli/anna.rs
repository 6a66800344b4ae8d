//! `bridge anna`: AnnA's API by hand, to prove the login and to handle one user. JSON on stdout, secrets masked. Exit
//! codes: 0 ok, 1 AnnA refused it, 2 wrong usage or configuration, 3 AnnA could not be asked or does not speak its API.

use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::output::Failure;
use crate::anna::{AnnaClient, AnnaError, Filters, Person, Request};
use crate::config::Config;
use crate::telemetry::harmless_json;

/// What stands in place of a secret.
const MASK: &str = "***";
/// Ends of keys, in small letters, with values that sign somebody in.
const SECRET_KEYS: &[&str] = &["hash", "url", "link", "token", "pass"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Log in, and print how long the token is used
    Token,
    /// Get the access of a user: a personal hash and its links
    UserHash {
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        service: Service,
        #[command(flatten)]
        shown: PrintSecrets,
    },
    /// The same, making the user or writing over the name that is stored
    UserHashForced {
        #[command(flatten)]
        user: User,
        /// Name of the user
        #[arg(long, value_name = "NAME")]
        name: String,
        #[command(flatten)]
        service: Service,
        #[command(flatten)]
        shown: PrintSecrets,
    },
    /// Close the account of a user
    Inactivate {
        #[command(flatten)]
        user: User,
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
    /// Print the company with its departments and channels
    Structure(PrintSecrets),
    /// Count the open and pending requests of a user
    Alerts {
        #[command(flatten)]
        person: UserSelector,
        #[command(flatten)]
        filters: Filter,
    },
    /// List the requests of a user
    Requests {
        #[command(flatten)]
        person: UserSelector,
        #[command(flatten)]
        filters: Filter,
        #[command(flatten)]
        shown: PrintSecrets,
    },
    /// Get the personal link to the requests of a user
    Link {
        #[command(flatten)]
        person: UserSelector,
        #[command(flatten)]
        shown: PrintSecrets,
    },
}

#[derive(Debug, Args)]
pub(super) struct User {
    /// AnnA's id of the user
    #[arg(value_parser = user_id)]
    user_id: String,
}

#[derive(Debug, Args)]
pub(super) struct Service {
    /// Service that the link opens; anna.start_service unless given
    #[arg(long, value_name = "ALIAS")]
    service: Option<String>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct PrintSecrets {
    /// Print hashes and links as they are: whoever has one is that user
    #[arg(long)]
    show_secrets: bool,
}

#[derive(Debug, Args)]
pub(super) struct UserSelector {
    /// AnnA's id of the user
    #[arg(value_parser = user_id, required_unless_present = "doc_value")]
    user_id: Option<String>,
    /// Type of the document that names the user
    #[arg(long, value_name = "TYPE", requires = "doc_value")]
    doc_type: Option<String>,
    /// Its value
    #[arg(long, value_name = "VALUE", requires = "doc_type")]
    doc_value: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Alias of a department
    #[arg(long, value_name = "ALIAS")]
    department: Option<String>,
    /// Alias of a channel of AnnA's
    #[arg(long = "anna-channel", value_name = "ALIAS")]
    channel: Option<String>,
    /// First day, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Last day, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// open or closed
    #[arg(long, value_parser = ["open", "closed"])]
    status: Option<String>,
    /// yes: those that wait for the user's answer; no: the others
    #[arg(long, value_parser = ["yes", "no"])]
    pending: Option<String>,
}

/// AnnA writes `COMPANY_HASH@USER_ID`: an id with an `@` would be ambiguous.
fn user_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('@') {
        return Err("a user id is not empty and holds no @".to_owned());
    }
    Ok(text.to_owned())
}

impl UserSelector {
    fn person(&self) -> Person<'_> {
        Person {
            user_id: self.user_id.as_deref().unwrap_or_default(),
            doc_type: self.doc_type.as_deref().unwrap_or_default(),
            doc_value: self.doc_value.as_deref().unwrap_or_default(),
        }
    }
}

impl Filter {
    fn filters(&self) -> Filters {
        let date = |date: Option<Date>| date.map(|date| date.strftime("%d/%m/%Y").to_string()).unwrap_or_default();
        let word = |given: &Option<String>, words: [(&str, &str); 2]| {
            let given = given.as_deref();
            let found = words.iter().find(|(word, _)| Some(*word) == given).map(|(_, code)| (*code).to_owned());
            found.unwrap_or_default()
        };
        Filters {
            department_alias: self.department.clone().unwrap_or_default(),
            channel_alias: self.channel.clone().unwrap_or_default(),
            data_ini: date(self.from),
            data_fim: date(self.to),
            status: word(&self.status, [("open", "A"), ("closed", "E")]),
            pendentes: word(&self.pending, [("yes", "S"), ("no", "N")]),
        }
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(super) enum Failed {
    /// It was asked for in the wrong way.
    Usage(&'static str),
    /// AnnA refused it.
    Refused(AnnaError),
    /// AnnA could not be asked, or what answers does not speak its API.
    NotAsked(AnnaError),
}

impl From<AnnaError> for Failed {
    fn from(error: AnnaError) -> Self {
        match error {
            AnnaError::Api { .. } | AnnaError::Auth(_) => Self::Refused(error),
            AnnaError::Busy { .. } | AnnaError::Protocol(_) | AnnaError::Transport(_) | AnnaError::Open => {
                Self::NotAsked(error)
            }
        }
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Usage(why) => Self::Usage(why.to_owned()),
            Failed::Refused(error) => Self::Work(error.into()),
            Failed::NotAsked(error) => Self::Remote(error.into()),
        }
    }
}

/// Runs one command, and returns what it brings, as JSON.
pub(super) async fn run(command: Command, config: &Config) -> Result<String, Failed> {
    let Some(settings) = &config.anna else {
        return Err(Failed::Usage("AnnA is not configured: set anna.base_url and the other keys of [anna]"));
    };
    let client = AnnaClient::new(settings).map_err(|_| AnnaError::Transport("the client cannot be built".into()))?;
    let service = |service: Service| service.service.unwrap_or_else(|| settings.start_service.clone());
    let (payload, shown) = match command {
        Command::Token => {
            let lifetime = client.token_lifetime().await?;
            (json!({"lifetime_seconds": lifetime.as_secs()}), true)
        }
        Command::UserHash { user, service: of, shown } => {
            let request = Request::UserHash { user_id: &user.user_id, start_service: &service(of) };
            (client.ask(&request).await?, shown.show_secrets)
        }
        Command::UserHashForced { user, name, service: of, shown } => {
            let (user_id, start_service) = (&user.user_id, &service(of));
            let request = Request::UserHashForced { user_id, user_name: &name, start_service };
            (client.ask(&request).await?, shown.show_secrets)
        }
        Command::Inactivate { user, yes } => {
            if !yes {
                return Err(Failed::Usage(
                    "this closes the user's account at AnnA, and nothing here opens it again: repeat it with --yes",
                ));
            }
            client.ask(&Request::Inactivate { user_id: &user.user_id }).await?;
            (json!({"inactivated": user.user_id}), true)
        }
        Command::Structure(shown) => (client.ask(&Request::Structure).await?, shown.show_secrets),
        Command::Alerts { person, filters } => {
            let request = Request::AlertCounter(person.person(), filters.filters());
            (json!({"alerts": client.ask(&request).await?}), true)
        }
        Command::Requests { person, filters, shown } => {
            let request = Request::Requests(person.person(), filters.filters());
            (client.ask(&request).await?, shown.show_secrets)
        }
        Command::Link { person, shown } => {
            let link = client.ask(&Request::Link(person.person())).await?;
            (json!({"link": link}), shown.show_secrets)
        }
    };
    let payload = if shown { payload } else { masked(payload) };
    Ok(format!("{}\n", harmless_json(&format!("{payload:#}"))))
}

/// Returns the line of `bridge check --live` about AnnA: never a failure, since messages do not depend on AnnA.
pub(super) async fn proof(config: &Config) -> String {
    let Some(settings) = &config.anna else { return "anna: off\n".to_owned() };
    let proved = match AnnaClient::new(settings) {
        Ok(client) => client.ask(&Request::Structure).await.map(drop),
        Err(_) => Err(AnnaError::Transport("the client cannot be built".into())),
    };
    match proved {
        Ok(()) => "anna: ok\n".to_owned(),
        Err(error) => format!("warning: anna: degraded({}): {error}\n", error.class()),
    }
}

/// Returns it without what signs somebody in: values under the keys of secrets, but for empty ones, and every text that
/// holds a link. A link need not name its scheme.
fn masked(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let one = |(key, value): (String, Value)| {
                let lower = key.to_lowercase();
                let secret = SECRET_KEYS.iter().any(|end| lower.ends_with(end));
                let value = if secret && !value.is_null() && value != "" { MASK.into() } else { masked(value) };
                (key, value)
            };
            Value::Object(object.into_iter().map(one).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(masked).collect()),
        Value::String(text) if text.contains("//") => MASK.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_links_are_masked_wherever_they_stand() {
        let value = json!({
            "Hash": "h", "ChatURL": "https://a.test/?h", "Expires": "20260101000000", "CompaniesHash": "c",
            "rows": [{"Protocol": 5, "Link": "see https://a.test/", "Open": true, "nothing": null}],
            "link": "a.test/?h", "requestUrl": "a.test/?h", "text": "//a.test/?h", "messengerLink": "", "hash": null
        });
        let expected = json!({
            "Hash": MASK, "ChatURL": MASK, "Expires": "20260101000000", "CompaniesHash": MASK,
            "rows": [{"Protocol": 5, "Link": MASK, "Open": true, "nothing": null}],
            "link": MASK, "requestUrl": MASK, "text": MASK, "messengerLink": "", "hash": null
        });
        assert_eq!(masked(value), expected);
    }

    #[test]
    fn filters_are_written_as_anna_reads_them() {
        let filter = Filter {
            department: None,
            channel: Some("web".into()),
            from: Some("2024-01-02".parse().unwrap()),
            to: None,
            status: Some("closed".into()),
            pending: Some("yes".into()),
        };
        let filters = filter.filters();
        assert_eq!((filters.data_ini.as_str(), filters.data_fim.as_str()), ("02/01/2024", ""));
        assert_eq!(
            (filters.status.as_str(), filters.pendentes.as_str(), filters.channel_alias.as_str()),
            ("E", "S", "web")
        );
        assert!(user_id("a@b").is_err() && user_id("").is_err() && user_id("WSGIU5555").is_ok());
    }
}
