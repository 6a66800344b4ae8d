//! A PostgreSQL for tests: the one that `BRIDGE_TEST_POSTGRES_URL` names, or a throwaway cluster of the binaries found on
//! this machine, one for each test process, which ends and leaves nothing behind when the process ends, however it does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::Instant;

/// Where a PostgreSQL for tests is found.
const GIVEN: &str = "BRIDGE_TEST_POSTGRES_URL";

/// Set where a test that cannot have a PostgreSQL must fail.
const REQUIRED: &str = "BRIDGE_TEST_POSTGRES_REQUIRED";

/// Longest wait for a new cluster; generous, because tests share the machine.
const SOON: Duration = Duration::from_mins(1);

/// Runs until its standard input closes, which the kernel does for a process that ended.
const SUPERVISOR: &str = r#"
set -u
bin=$1 home=$2
cleanup() { rm -rf "$home"; }
trap cleanup EXIT
"$bin/initdb" -D "$home/data" -U bridge -A trust -E UTF8 --locale=C --no-sync >"$home/log" 2>&1 || exit 1
"$bin/postgres" -D "$home/data" -k "$home" -c listen_addresses= -c fsync=off -c max_connections=300 \
    -c full_page_writes=off -c shared_buffers=64MB >>"$home/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
"#;

/// A cluster that ends when this is dropped, or with the process.
#[derive(Debug)]
struct Cluster {
    /// Without a database.
    home: PathBuf,
    _supervisor: Child,
}

/// Whether there is a PostgreSQL for tests. Where there is none, that is said loudly.
///
/// # Panics
/// Where one is required and there is none.
#[must_use]
pub fn available() -> bool {
    server().is_some()
}

/// The URL of a schema of its own, empty and gone with its cluster; `None` where there is no PostgreSQL, which is said
/// loudly.
///
/// # Panics
/// Where a PostgreSQL is required or named, and cannot be had.
pub async fn fresh_schema() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = server()?;
    let schema = format!("bridge_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut link = connect(&server).await;
    // One left by an earlier process of the same number goes first.
    for statement in [format!("DROP SCHEMA IF EXISTS {schema} CASCADE"), format!("CREATE SCHEMA {schema}")] {
        if let Err(error) = link.execute(sqlx::AssertSqlSafe(statement)).await {
            panic!("cannot make a schema for a test: {error}");
        }
    }
    let _ = link.close().await;
    let mut url = server;
    let first = if url.contains('?') { '&' } else { '?' };
    let _ = write!(url, "{first}options=-csearch_path%3D{schema}");
    Some(url)
}

/// Says that a test that needs PostgreSQL was left out; not through `eprintln!`, which hides what passing tests say.
fn say_skipped(why: &str) {
    static SAID: OnceLock<()> = OnceLock::new();
    assert!(std::env::var_os(REQUIRED).is_none(), "no PostgreSQL for tests, and {REQUIRED} is set: {why}");
    SAID.get_or_init(|| {
        let _ = writeln!(
            std::io::stderr(),
            "\n*** SKIPPED: every test over PostgreSQL. {why}.\n*** Install it (apt-get install postgresql), or set \
             {GIVEN}=postgres://USER:PASSWORD@HOST/DATABASE to one where schemas may be made.\n"
        );
    });
}

/// The URL of the server for this process.
fn server() -> Option<String> {
    static CLUSTER: Mutex<Option<Result<Cluster, String>>> = Mutex::new(None);
    if let Ok(given) = std::env::var(GIVEN) {
        return Some(given);
    }
    let mut cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    match cluster.get_or_insert_with(Cluster::start) {
        Ok(cluster) => Some(format!("postgres://bridge@localhost/postgres?host={}", cluster.home.display())),
        Err(why) => {
            say_skipped(why);
            None
        }
    }
}

/// Waits for a cluster that has just been started.
async fn connect(url: &str) -> PgConnection {
    let started = Instant::now();
    loop {
        match PgConnection::connect(url).await {
            Ok(link) => return link,
            Err(error) if started.elapsed() > SOON => panic!("the PostgreSQL for tests does not answer: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

impl Cluster {
    fn start() -> Result<Self, String> {
        let bin = binaries().ok_or("No initdb and postgres in PATH or /usr/lib/postgresql/*/bin")?;
        let home = std::env::temp_dir().join(format!("bridge-pg-{}", std::process::id()));
        let files = |error: std::io::Error| format!("Cannot make {}: {error}", home.display());
        std::fs::create_dir_all(&home).map_err(files)?;
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).map_err(files)?;
        let mut command = Command::new("sh");
        // initdb refuses root: it runs as somebody who owns the folder and nothing else.
        if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
            let (user, group) = ["postgres", "nobody"]
                .into_iter()
                .find_map(|name| Some((number(name, "-u")?, number(name, "-g")?)))
                .ok_or("Neither user postgres nor nobody is known, and initdb refuses root")?;
            std::os::unix::fs::chown(&home, Some(user), Some(group)).map_err(files)?;
            command = Command::new("setpriv");
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into(), "sh".into()]);
        }
        let supervisor = command
            .args(["-c", SUPERVISOR, "sh"])
            .args([&bin, &home])
            .current_dir(&home)
            .process_group(0) // what ends the tests ends it by its pipe alone
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("Cannot start a cluster: {error}"))?;
        Ok(Self { home, _supervisor: supervisor })
    }
}

/// The folder of `initdb` and `postgres`: in PATH, or the newest that Debian keeps.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    let both = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    debian.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| both(folder))
}

/// What `id` says of a user.
fn number(user: &str, which: &str) -> Option<u32> {
    let said = Command::new("id").args([which, user]).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(said.stdout).ok()?.trim().parse().ok()
}
