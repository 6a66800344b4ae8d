//! Why the database cannot be reached, at the start and while the bridge runs.

use sqlx::postgres::PgConnectOptions;

use crate::telemetry::trouble;

/// No connection was made while the bridge runs.
#[derive(Debug, thiserror::Error)]
#[error("{place} cannot be reached: {cause}")]
pub(in crate::store) struct Unreachable {
    place: String,
    cause: String,
    source: sqlx::Error,
}

impl Unreachable {
    pub(super) fn new(options: &PgConnectOptions, source: sqlx::Error) -> Self {
        Self { place: place(options), cause: cause(options.get_host(), &source), source }
    }

    /// Returns why, without where.
    pub(in crate::store) fn cause(&self) -> &str {
        &self.cause
    }
}

/// Returns the database for messages, without its password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(folder) => format!("database `{name}` at {}", folder.display()),
        None => format!("database `{name}` at {}:{}", options.get_host(), options.get_port()),
    }
}

/// Returns why no connection was made, and what to do.
pub(super) fn cause(host: &str, error: &sqlx::Error) -> String {
    let of_server = |code: &str| match code {
        "28000" | "28P01" => {
            "it does not let this user in. Its user or password is wrong, or whoever runs it must allow both in pg_hba.conf"
        }
        "3D000" => "it has no such database. Its name is wrong, or whoever runs it must CREATE DATABASE",
        "42501" => "this user may not use that database. Whoever runs it must GRANT CONNECT",
        "53300" => "it has no connection left. Whoever runs it must raise max_connections, or others must use fewer",
        "57P03" => "it is starting or stopping. Try again in a while",
        _ => "it refused the connection, for the reason that follows",
    };
    match error {
        sqlx::Error::Database(refusal) => of_server(refusal.code().as_deref().unwrap_or_default()).to_owned(),
        sqlx::Error::Tls(source) if source.to_string().contains("does not support TLS") => {
            "it offers no TLS, which sslmode asks for. Whoever runs it must switch `ssl` on; only on a network of your own \
             may sslmode be left out"
                .to_owned()
        }
        sqlx::Error::Io(source) if source.kind() == std::io::ErrorKind::NotFound => {
            "a file is missing: the one of sslrootcert, sslcert or sslkey, or the socket of a server on this machine, which \
             then is not running"
                .to_owned()
        }
        sqlx::Error::Configuration(_) => "its settings do not fit together".to_owned(),
        _ => trouble::cause(host, error, "sslrootcert of store.url"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;
    use crate::store::postgres::pool::{Pool, probe};

    #[test]
    fn why_there_is_no_connection_is_said_in_plain_words_with_what_to_do() {
        let invalid = |what: &str| sqlx::Error::Io(Error::other(format!("invalid peer certificate: {what}")));
        let refused = Error::new(ErrorKind::ConnectionRefused, "Connection refused (os error 111)");
        for (error, cause_of, remedy) in [
            (invalid("UnknownIssuer"), "nobody whom this machine trusts", "name that one in sslrootcert of store.url"),
            (invalid("Expired"), "its certificate expired", "Whoever runs db.test must renew it"),
            (invalid("certificate not valid for name \"db.test\""), "another host name", "Check the address"),
            (sqlx::Error::Io(refused), "nothing listens at that port", "Its service is down"),
            (
                sqlx::Error::Io(Error::other("failed to lookup address information: Name or service not known")),
                "there is no such host",
                "Check its spelling",
            ),
            (sqlx::Error::Io(ErrorKind::NotFound.into()), "a file is missing", "sslrootcert"),
            (sqlx::Error::Tls("server does not support TLS".into()), "it offers no TLS", "switch `ssl` on"),
        ] {
            let said = cause("db.test", &error);
            assert!(said.contains(cause_of) && said.contains(remedy), "{error}: {said}");
        }
    }

    #[tokio::test]
    async fn while_the_bridge_runs_the_cause_is_said_in_plain_words_too() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let options = PgConnectOptions::new().host("127.0.0.1").port(nobody.port()).database("bridge");
        let pool = Pool::new(options, true, false, "public");
        let error = pool.write("probe", &(), &|db, ()| Box::pin(probe(db))).await.unwrap_err();
        let logged = std::iter::successors(Some(&error as &dyn std::error::Error), |cause| (*cause).source());
        let logged = logged.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let place = format!("database `bridge` at 127.0.0.1:{}", nobody.port());
        assert!(logged.contains(&place) && logged.contains("nothing listens at that port"), "{logged}");
        let told = error.reason();
        assert!(told.contains("nothing listens at that port. Its service is down"), "{told}");
        assert!(!told.contains("127.0.0.1"), "anybody may ask /readyz: {told}");
    }
}
