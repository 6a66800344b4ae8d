//! A PostgreSQL for tests: the one that `BRIDGE_TEST_POSTGRES_URL` names, or a throwaway cluster of the binaries found on
//! this machine, one for each test process, which ends and leaves nothing behind when the process ends, however it does.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::Instant;

/// Where a PostgreSQL for tests is found.
const GIVEN: &str = "BRIDGE_TEST_POSTGRES_URL";

/// Set where a test that cannot have a PostgreSQL must fail.
const REQUIRED: &str = "BRIDGE_TEST_POSTGRES_REQUIRED";

/// Longest wait for a new cluster; generous, because tests share the machine.
const SOON: Duration = Duration::from_mins(1);

/// Settings of a cluster whose rows nobody needs tomorrow.
const FAST: &[&str] = &["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=64MB"];

/// Takes orders, one a line and each answered by one, until its standard input closes, which the kernel does for a
/// process that ended.
const SUPERVISOR: &str = r#"
set -u
bin=$1 home=$2
shift 2
cleanup() { rm -rf "$home"; }
trap cleanup EXIT
"$bin/initdb" -D "$home/data" -U bridge -A trust -E UTF8 --locale=C --no-sync >"$home/log" 2>&1 || exit 1
serve() {
    "$bin/postgres" -D "$home/data" -k "$home" -c listen_addresses= -c max_connections=300 "$@" \
        >>"$home/log" 2>&1 </dev/null &
    server=$!
}
serve "$@"
pooler=
while read -r order; do
    if [ "$order" = start ]; then
        serve "$@"
    elif [ "$order" = pool ]; then
        pgbouncer "$home/pooler.ini" >>"$home/log" 2>&1 </dev/null &
        pooler=$!
    else
        kill -"$order" $server
        wait $server
    fi
    echo done
done
kill -KILL $pooler 2>/dev/null
kill -QUIT $server 2>/dev/null
wait $server
"#;

/// A pooler as people set it up: each transaction gets the server that is free, and nothing is let through that this cannot
/// keep.
const POOLER: &str = "\
[databases]
postgres = host=HOME port=5432 user=bridge
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = HOME
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
";

/// A cluster that ends when this is dropped, or with the process.
#[derive(Debug)]
struct Cluster {
    home: PathBuf,
    port: u16,
    signals: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are ended in words, and what was committed is written out.
    Fast,
    /// All its processes end at once; it recovers when it starts.
    Immediate,
}

/// A cluster of one test's own, which it may stop and start again.
#[derive(Debug)]
pub struct Server(Cluster);

impl Server {
    /// One that forgets with a power cut; `None` where there is none to be had, which is said loudly.
    ///
    /// # Panics
    /// Where a PostgreSQL is required, and cannot be had.
    pub async fn start() -> Option<Self> {
        let started = Cluster::start(FAST, &[]);
        let server = started.map_err(|why| say_skipped(&why)).ok().map(Self)?;
        drop(connect(&server.url()).await);
        Some(server)
    }

    /// As [`Self::start`], reached at a port of `localhost`, with a certificate and its key (PEM).
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_certificate(certificate: &[u8], key: &[u8]) -> Option<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.map_or(0, |address| address.port());
        let more = [format!("port={port}"), "listen_addresses=127.0.0.1".into(), "ssl=on".into()];
        let (cert, private) = ("server.pem", "server.key");
        let more = more.into_iter().chain([format!("ssl_cert_file=../{cert}"), format!("ssl_key_file=../{private}")]);
        let more: Vec<String> = more.flat_map(|setting| ["-c".to_owned(), setting]).collect();
        let settings: Vec<&str> = FAST.iter().copied().chain(more.iter().map(String::as_str)).collect();
        let mut started = Cluster::start(&settings, &[(cert, certificate), (private, key)]);
        if let Ok(cluster) = &mut started {
            cluster.port = port;
        }
        let server = started.map_err(|why| say_skipped(&why)).ok().map(Self)?;
        drop(connect(&server.url()).await);
        Some(server)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Its one database.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Stops it; it has ended when this returns.
    ///
    /// # Errors
    /// Its supervisor has ended.
    pub fn stop(&mut self, how: Stop) -> std::io::Result<()> {
        self.order(match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        })
    }

    /// Starts it again; it takes its time to answer.
    ///
    /// # Errors
    /// Its supervisor has ended.
    pub fn start_again(&mut self) -> std::io::Result<()> {
        self.order("start")
    }

    /// Puts a PgBouncer in its transaction mode before it, and tells the URL through it; `None` where there is none to be
    /// had, which is said loudly.
    ///
    /// # Panics
    /// Where a PostgreSQL is required, and no pooler can be had.
    pub async fn pooled(&mut self) -> Option<String> {
        let home = self.0.home.display().to_string();
        let started = match Command::new("pgbouncer").arg("--version").output() {
            Ok(_) => std::fs::write(self.0.home.join("pooler.ini"), POOLER.replace("HOME", &home))
                .and_then(|()| self.order("pool"))
                .map_err(|error| format!("Cannot start a PgBouncer: {error}")),
            Err(_) => Err("No pgbouncer in PATH (apt-get install pgbouncer)".to_owned()),
        };
        if let Err(why) = started {
            say_skipped(&why);
            return None;
        }
        let url = format!("postgres://bridge@localhost:6432/postgres?host={home}");
        drop(connect(&url).await);
        Some(url)
    }

    fn order(&mut self, order: &str) -> std::io::Result<()> {
        writeln!(self.0.signals, "{order}")?;
        self.0.answers.read_line(&mut String::new()).map(drop)
    }
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
            "\n*** SKIPPED: tests over PostgreSQL. {why}.\n*** Install it (apt-get install postgresql), or set \
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
    match cluster.get_or_insert_with(|| Cluster::start(FAST, &[])) {
        Ok(cluster) => Some(cluster.url()),
        Err(why) => {
            say_skipped(why);
            None
        }
    }
}

/// Waits for a cluster that has just been started.
async fn connect(url: &str) -> PgConnection {
    let started = Instant::now();
    let options = url.parse::<PgConnectOptions>();
    let options = options.map(|options| options.extra_float_digits(None).statement_cache_capacity(0));
    loop {
        let tried = match &options {
            Ok(options) => PgConnection::connect_with(options).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match tried {
            Ok(link) => return link,
            Err(why) => assert!(started.elapsed() < SOON, "the PostgreSQL for tests does not answer: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Cluster {
    fn url(&self) -> String {
        format!("postgres://bridge@localhost:{}/postgres?host={}", self.port, self.home.display())
    }

    /// With `files` that it alone may read.
    fn start(settings: &[&str], files: &[(&str, &[u8])]) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let bin = binaries().ok_or("No initdb and postgres in PATH or /usr/lib/postgresql/*/bin")?;
        let name = format!("bridge-pg-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let home = std::env::temp_dir().join(name);
        let trouble = |error: std::io::Error| format!("Cannot make {}: {error}", home.display());
        std::fs::create_dir_all(&home).map_err(trouble)?;
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).map_err(trouble)?;
        for (name, text) in files {
            std::fs::write(home.join(name), text).map_err(trouble)?;
            std::fs::set_permissions(home.join(name), std::fs::Permissions::from_mode(0o600)).map_err(trouble)?;
        }
        let mut command = Command::new("sh");
        // initdb refuses root: it runs as somebody who owns the folder and nothing else.
        if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
            let (user, group) = ["postgres", "nobody"]
                .into_iter()
                .find_map(|name| Some((number(name, "-u")?, number(name, "-g")?)))
                .ok_or("Neither user postgres nor nobody is known, and initdb refuses root")?;
            for owned in std::iter::once(home.clone()).chain(files.iter().map(|(name, _)| home.join(name))) {
                std::os::unix::fs::chown(&owned, Some(user), Some(group)).map_err(trouble)?;
            }
            command = Command::new("setpriv");
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into(), "sh".into()]);
        }
        let mut supervisor = command
            .args(["-c", SUPERVISOR, "sh"])
            .args([&bin, &home])
            .args(settings)
            .current_dir(&home)
            .process_group(0) // what ends the tests ends it by its pipe alone
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("Cannot start a cluster: {error}"))?;
        let pipes = supervisor.stdin.take().zip(supervisor.stdout.take());
        let (signals, answers) = pipes.ok_or("A cluster takes no orders")?;
        Ok(Self { home, port: 5432, signals, answers: BufReader::new(answers) })
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
