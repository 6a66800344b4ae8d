//! Opens the database: checks its URL, migrates its schema forward, refuses it with a reason if it must not be used.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;
use url::Url;

use super::db::{Db, args};
use super::pool::Pool;
use super::reach::{cause, place};
use super::sql;
use crate::domain::clock::{self, now_ms};
use crate::store::StoreError;

/// Forward only: number, name and statements of each step; those of both engines, and what a cluster needs.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "0001_start", include_str!("../migrations/postgres/0001_start.sql")),
    (2, "0002_once", include_str!("../migrations/postgres/0002_once.sql")),
    (3, "0003_leases", include_str!("../migrations/postgres/0003_leases.sql")),
    (4, "0004_sent_forms", include_str!("../migrations/postgres/0004_sent_forms.sql")),
    (5, "0005_rewriting", include_str!("../migrations/postgres/0005_rewriting.sql")),
    (6, "0006_destinations", include_str!("../migrations/postgres/0006_destinations.sql")),
    (7, "0007_heard", include_str!("../migrations/postgres/0007_heard.sql")),
    (8, "0008_wording", include_str!("../migrations/postgres/0008_wording.sql")),
    (9, "0009_journey", include_str!("../migrations/postgres/0009_journey.sql")),
    (10, "0010_finder", include_str!("../migrations/postgres/0010_finder.sql")),
    (11, "0011_bulk", include_str!("../migrations/postgres/0011_bulk.sql")),
    (12, "0012_operator_pauses", include_str!("../migrations/postgres/0012_operator_pauses.sql")),
    (13, "0013_job_filling", include_str!("../migrations/postgres/0013_job_filling.sql")),
    (14, "0014_paused_by", include_str!("../migrations/postgres/0014_paused_by.sql")),
    (15, "0015_early_lesson", include_str!("../migrations/postgres/0015_early_lesson.sql")),
    (16, "0016_channel_pauses", include_str!("../migrations/postgres/0016_channel_pauses.sql")),
];

/// Longest wait for the server when the process starts.
const WAIT: Duration = Duration::from_secs(5);

/// Parameters of a URL that libpq knows and sqlx supports.
const KNOWN: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Why the database cannot be used, and what to do. Nothing was changed, and the text holds no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(
        "store.url: PostgreSQL does not take it: check its parts, such as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require"
    )]
    Url(#[source] sqlx::Error),
    #[error("store.url: pgbouncer must be true or false")]
    Pooler,
    #[error("cannot use {place}: {cause}; check store.url")]
    Unreachable {
        place: String,
        cause: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("{place} did not answer within {WAIT:?}: check store.url, and that the server can be reached from here")]
    Silent { place: String },
    #[error("there is no store in {place}: check store.url, or start `bridge serve` once to make it")]
    Missing { place: String },
    #[error(
        "schema `{schema}` of {place} holds tables of another program (such as `{table}`): give the bridge a database or a \
         schema of its own, as with ?options=-csearch_path%3DSCHEMA in store.url; nothing was changed"
    )]
    Foreign { place: String, schema: String, table: String },
    #[error("{place} has no schema for this user: CREATE SCHEMA one, or check search_path in store.url")]
    NoSchema { place: String },
    #[error(
        "{place} keeps text as {encoding}, which cannot hold every message: make the database with ENCODING 'UTF8'"
    )]
    Encoding { place: String, encoding: String },
    #[error(
        "the store in {place} was made by a newer bridge (step {found}, this one knows {known}): run that version again, \
         or restore the copy made before it; nothing was changed"
    )]
    Newer { place: String, found: i64, known: i64 },
    #[error(
        "the store in {place} was made by an older bridge (step {found}, this one knows {known}): use the `bridge` that \
         serves it, or let `bridge serve` of this version bring it forward; nothing was changed"
    )]
    Older { place: String, found: i64, known: i64 },
    #[error("cannot open the store in {place}")]
    Engine {
        place: String,
        #[source]
        source: StoreError,
    },
}

/// Returns the connections of a process that owns channels. Creates or migrates the schema.
pub(super) async fn owner(url: &str) -> Result<Pool, OpenError> {
    open(url, true).await
}

/// Returns the connections of a command. Migrates nothing.
pub(super) async fn visitor(url: &str) -> Result<Pool, OpenError> {
    open(url, false).await
}

/// Checks that the URL can be understood, without connecting.
pub(super) fn verify(url: &str) -> Result<(), OpenError> {
    options(url).map(drop)
}

async fn open(url: &str, migrates: bool) -> Result<Pool, OpenError> {
    let (options, pooler) = options(url)?;
    let place = place(&options);
    let unverified = is_unverified(&options);
    if unverified {
        tracing::warn!(
            "store: {place} is not asked to prove its identity: on a network that others use, add \
             sslmode=verify-full to store.url (and sslrootcert=FILE, where its certificate is of a CA of your own)"
        );
    }
    let mut link = connect(&options, &place).await?;
    let engine = |source| OpenError::Engine { place: place.clone(), source };
    let pooler = match pooler {
        Some(said) => said,
        None => behind_pooler(&mut link, &options, &place).await.map_err(engine)?,
    };
    let mut db = Db::new(link, !pooler, "".into());
    db.run(sql::BEGIN_STEPS).await.map_err(engine)?;
    let opened = prepare(&mut db, &place, migrates).await;
    db.run(if opened.is_ok() { "COMMIT" } else { "ROLLBACK" }).await.map_err(engine)?;
    db.close().await;
    let schema = opened?;
    tracing::info!(pooler, "store: PostgreSQL");
    Ok(Pool::new(options, !pooler, unverified, &schema))
}

/// Returns the options of the URL, and whether it names a pooler. Unknown parameters are logged by name and left out;
/// their values never are.
pub(super) fn options(url: &str) -> Result<(PgConnectOptions, Option<bool>), OpenError> {
    let mut url =
        Url::parse(url.trim()).map_err(|error| OpenError::Url(sqlx::Error::Configuration(Box::new(error))))?;
    let (mut known, mut pooler) = (Vec::new(), None);
    for (key, value) in url.query_pairs() {
        match (key.as_ref(), value.as_ref()) {
            ("pgbouncer", "true") => pooler = Some(true),
            ("pgbouncer", "false") => pooler = Some(false),
            ("pgbouncer", _) => return Err(OpenError::Pooler),
            (name, _) if KNOWN.contains(&name) => known.push((key.into_owned(), value.into_owned())),
            (name, _) => tracing::warn!(name, "store.url: `{name}` is not known here and is left out"),
        }
    }
    verify_as_libpq(&mut known);
    url.set_query(None);
    if !known.is_empty() {
        url.query_pairs_mut().extend_pairs(known);
    }
    let mut options: PgConnectOptions = url.as_str().parse().map_err(OpenError::Url)?;
    if options.get_application_name().is_none() {
        options = options.application_name("bonychat-afilnet-bridge");
    }
    // PgBouncer refuses a connection that sets how floats are written; no column holds any.
    Ok((options.extra_float_digits(None).disable_statement_logging(), pooler))
}

/// Verifies as libpq does, which is stricter than the driver: a root certificate with `require` is verified against,
/// and `system` means the public roots and the host name.
fn verify_as_libpq(known: &mut Vec<(String, String)>) {
    let value = |known: &[(String, String)], key: &str| {
        known.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    let (mode, root) = (value(known, "sslmode"), value(known, "sslrootcert"));
    let mode = match (mode.as_deref(), root.as_deref()) {
        (_, Some("system")) => "verify-full",
        (Some("require"), Some(_)) => "verify-ca",
        _ => return,
    };
    known.retain(|(name, value)| name != "sslmode" && (name != "sslrootcert" || value != "system"));
    known.push(("sslmode".into(), mode.into()));
}

/// Returns whether a man in the middle could pose as the server.
pub(super) fn is_unverified(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    !here && !matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
}

pub(super) async fn connect(options: &PgConnectOptions, place: &str) -> Result<PgConnection, OpenError> {
    timeout(WAIT, PgConnection::connect_with(options))
        .await
        .map_err(|_| OpenError::Silent { place: place.to_owned() })?
        .map_err(|source| OpenError::Unreachable {
            place: place.to_owned(),
            cause: cause(options.get_host(), &source),
            source,
        })
}

/// Returns whether a pooler gives each transaction any free server process, as PgBouncer does in transaction mode: two
/// connections then share a server process, or one meets several. There a prepared statement may be missing or another
/// one at its next use, so none stays prepared; elsewhere they do, which gives more accepts a second (12 to 44 % in two
/// noisy runs of a debug build).
async fn behind_pooler(first: &mut PgConnection, options: &PgConnectOptions, place: &str) -> Result<bool, StoreError> {
    let Ok(mut second) = connect(options, place).await else { return Ok(true) };
    let mut known: [Option<i64>; 2] = [None, None];
    for _ in 0..4 {
        for (at, link) in [&mut *first, &mut second].into_iter().enumerate() {
            // One protocol message, so that a pooler cannot split it.
            let row = sqlx::Executor::fetch_one(link, sql::SERVER_PROCESS).await;
            let process = row
                .and_then(|row| sqlx::Row::try_get::<i64, _>(&row, 0))
                .map_err(super::db::failed(sql::SERVER_PROCESS))?;
            if known[at].is_some_and(|before| before != process) || known[1 - at] == Some(process) {
                return Ok(true);
            }
            known[at] = Some(process);
        }
    }
    let _ = second.close().await;
    Ok(false)
}

/// Times in the store are compared by every process that shares it, so all use the server's clock.
async fn follow_server(db: &mut Db) -> Result<(), StoreError> {
    let asked_ms = now_ms();
    let server_ms: i64 = db.one(sql::SERVER_MS, args![]).await?;
    let took_ms = now_ms() - asked_ms;
    if let Some(apart_ms) = clock::follow(server_ms + took_ms / 2) {
        tracing::warn!(
            apart_ms,
            "this machine's clock and the database's are {} s apart; times in the store are the database's",
            apart_ms / 1000
        );
    }
    Ok(())
}

/// Checks the schema, and creates or migrates it if `migrates`. Returns its name.
pub(super) async fn prepare(db: &mut Db, place: &str, migrates: bool) -> Result<String, OpenError> {
    let place = || place.to_owned();
    let engine = |source| OpenError::Engine { place: place(), source };
    let server: Option<(Option<String>, String, String, String)> =
        db.optional(sql::SERVER, args![]).await.map_err(engine)?;
    let Some((Some(schema), encoding, durable, flushed)) = server else {
        return Err(OpenError::NoSchema { place: place() });
    };
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { place: place(), encoding });
    }
    if durable == "off" || flushed == "off" {
        tracing::warn!(
            "store: PostgreSQL runs with synchronous_commit or fsync off: a power cut may lose what was acknowledged"
        );
    }
    follow_server(db).await.map_err(engine)?;
    if migrates {
        db.execute(sql::LOCK_SCHEMA, args![]).await.map_err(engine)?;
    }
    let tables: Vec<(String,)> = db.rows(sql::TABLES, args![]).await.map_err(engine)?;
    let known = MIGRATIONS.last().map_or(0, |(number, ..)| *number);
    let found = if tables.iter().any(|(name,)| name == "bridge_steps") {
        db.one(sql::LAST_STEP, args![]).await.map_err(engine)?
    } else if let Some((table,)) = tables.into_iter().next() {
        return Err(OpenError::Foreign { place: place(), schema, table });
    } else if migrates {
        db.run(sql::MAKE_STEPS).await.map_err(engine)?;
        0
    } else {
        return Err(OpenError::Missing { place: place() });
    };
    if found > known {
        return Err(OpenError::Newer { place: place(), found, known });
    }
    if found < known && !migrates {
        return Err(OpenError::Older { place: place(), found, known });
    }
    for (number, name, statements) in MIGRATIONS.iter().filter(|(number, ..)| *number > found) {
        db.run(statements).await.map_err(engine)?;
        db.execute(sql::ADD_STEP, args![number, name, now_ms()]).await.map_err(engine)?;
        tracing::info!(step = name, "store: migrated");
    }
    Ok(schema)
}
