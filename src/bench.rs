//! `bridge bench`: durable accepts per second and their latency on this machine, over both engines and beside a forwarder
//! that stores nothing.
//! Backend, bridge and load share the machine's cores, so that only the ratios of one run mean something.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{App, Tuning};
use crate::config::Config;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Connections that send side by side
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Messages per case (the case without group commit sends a tenth)
    #[arg(long, default_value_t = 20_000)]
    messages: u32,
    /// Folder for the stores; they should lie on the disk that is to be measured
    #[arg(long, default_value = ".")]
    folder: std::path::PathBuf,
    /// PostgreSQL to measure too (`postgres://USER:PASSWORD@HOST/DATABASE`), in a schema that is made for it and dropped after
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

const TOKEN: &str = "bench-token-0123456789abcdef";

/// The answer of a backend that answers at once.
const SUCCESS: &str = r#"{"status":"SUCCESS","result":[]}"#;

/// One case's figures.
struct Figures {
    accepted_per_second: f64,
    /// Counted at the backend, until the last message was there.
    delivered_per_second: f64,
    p50: Duration,
    p95: Duration,
    p99: Duration,
}

/// Runs every case and prints one table.
///
/// # Errors
/// A server did not start, an answer was not 200, or a message did not reach the backend exactly once.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} connections, one message each at a time; every bridge accept is fsynced to a store in {}\n\n{:<44} {:>10} {:>12} {:>9} {:>9} {:>9}",
        args.connections,
        args.folder.display(),
        "case",
        "accepts/s",
        "delivered/s",
        "p50",
        "p95",
        "p99"
    )?;
    let fsync = fsync_time(&args.folder)?;
    let forwarder = forwarder(&args).await?;
    row(&mut out, "forwarder that stores nothing (axum, reqwest)", &forwarder)?;
    let at_once = bridge(&args, args.messages, "0s", Tuning { group_commit: true }).await?;
    row(&mut out, "bridge, group commit, answers when stored", &at_once)?;
    let verdict = bridge(&args, args.messages, "5s", Tuning { group_commit: true }).await?;
    row(&mut out, "bridge, group commit, answers the verdict", &verdict)?;
    let alone = bridge(&args, args.messages / 10, "0s", Tuning { group_commit: false }).await?;
    row(&mut out, "bridge, one commit each, answers when stored", &alone)?;
    let shared = postgres(&args, &mut out).await?;
    writeln!(
        out,
        "\ngroup commit accepts {:.1} times what one commit each does; {:.2} of the forwarder that stores nothing\n\
         one 4 KiB write with fsync takes {:.2} ms here",
        at_once.accepted_per_second / alone.accepted_per_second,
        at_once.accepted_per_second / forwarder.accepted_per_second,
        fsync.as_secs_f64() * 1000.0
    )?;
    match shared {
        Ok(shared) => writeln!(
            out,
            "PostgreSQL accepts {:.2} of what SQLite does, and delivers {:.2} of it",
            shared.accepted_per_second / at_once.accepted_per_second,
            shared.delivered_per_second / at_once.delivered_per_second
        )?,
        Err(why) => writeln!(out, "PostgreSQL was not measured. {why}")?,
    }
    Ok(())
}

/// The same over the PostgreSQL that is named; why not, where that failed or none is.
async fn postgres(args: &BenchArgs, out: &mut impl std::io::Write) -> anyhow::Result<Result<Figures, String>> {
    let Some(url) = &args.postgres else {
        return Ok(Err("Name one with --postgres URL.".into()));
    };
    // A machine that is too busy for it still has the other figures.
    let at_once = in_a_schema_of_its_own(args, url).await;
    if let Ok(figures) = &at_once {
        row(out, "bridge on PostgreSQL, answers when stored", figures)?;
    }
    Ok(at_once.map_err(|error| format!("{error:#}")))
}

/// Measures in a new schema, so that nothing that lies in the database is touched or read.
async fn in_a_schema_of_its_own(args: &BenchArgs, url: &str) -> anyhow::Result<Figures> {
    let options: PgConnectOptions = url.parse().context("--postgres is no URL of a PostgreSQL")?;
    let mut link = PgConnection::connect_with(&options).await.context("cannot reach the database of --postgres")?;
    let schema = format!("bridge_bench_{}", std::process::id());
    link.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.context("cannot make a schema")?;
    let first = if url.contains('?') { '&' } else { '?' };
    let inside = format!("{url}{first}options=-csearch_path%3D{schema}");
    let figures = bridge_on(args, &inside, args.messages, "0s", Tuning::default()).await;
    let dropped = link.execute(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"))).await;
    dropped.with_context(|| format!("cannot drop the schema {schema}"))?;
    figures
}

fn row(out: &mut impl std::io::Write, case: &str, figures: &Figures) -> std::io::Result<()> {
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    writeln!(
        out,
        "{case:<44} {:>10.0} {:>12.0} {:>9} {:>9} {:>9}",
        figures.accepted_per_second,
        figures.delivered_per_second,
        ms(figures.p50),
        ms(figures.p95),
        ms(figures.p99)
    )?;
    out.flush()
}

/// Median of some writes with fsync in that folder.
fn fsync_time(folder: &std::path::Path) -> anyhow::Result<Duration> {
    let path = folder.join(format!("bridge-bench-fsync-{}", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            Ok(started.elapsed())
        })
        .collect::<std::io::Result<_>>()?;
    std::fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// A backend that counts sends and answers at once.
async fn backend() -> anyhow::Result<(SocketAddr, Arc<AtomicU64>)> {
    let sends = Arc::new(AtomicU64::new(0));
    let answer = |State(sends): State<Arc<AtomicU64>>, body: Bytes| async move {
        if body.windows(18).any(|w| w == b"method=sendmessage") {
            sends.fetch_add(1, Ordering::Relaxed);
            SUCCESS
        } else {
            r#"{"status":"SUCCESS","result":{"list":[]}}"#
        }
    };
    let router = Router::new().route("/api/http/", post(answer)).with_state(Arc::clone(&sends));
    Ok((listen(router).await?, sends))
}

async fn listen(router: Router) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// The same call passed on at once: what storing nothing, and promising nothing, would bring.
#[expect(clippy::disallowed_methods, reason = "the forwarder that the bridge is measured against")]
async fn forwarder(args: &BenchArgs) -> anyhow::Result<Figures> {
    let (address, sends) = backend().await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{address}/api/http/");
    let forward = move |body: Bytes| async move {
        let call: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("class", "chat")
            .append_pair("method", "sendmessage")
            .append_pair("destination", call["contactId"].as_str().unwrap_or_default())
            .append_pair("message", call["message"]["text"].as_str().unwrap_or_default())
            .finish();
        match http.post(url).body(form).send().await {
            Ok(_) => (axum::http::StatusCode::OK, r#"{"mId":"1"}"#),
            Err(_) => (axum::http::StatusCode::BAD_GATEWAY, ""),
        }
    };
    let to = listen(Router::new().route("/message", post(forward))).await?;
    measure(to, args.connections, args.messages, &sends).await
}

/// The bridge itself, on a file of its own.
async fn bridge(args: &BenchArgs, messages: u32, answer_within: &str, tuning: Tuning) -> anyhow::Result<Figures> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("bridge-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = args.folder.join(name);
    let store = format!("sqlite:{}", folder.join("bench.db").display());
    let figures = bridge_on(args, &store, messages, answer_within, tuning).await;
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    figures
}

/// The bridge itself, on an empty store.
async fn bridge_on(
    args: &BenchArgs,
    store: &str,
    messages: u32,
    answer_within: &str,
    tuning: Tuning,
) -> anyhow::Result<Figures> {
    let (address, sends) = backend().await?;
    let afilnet = format!("http://{address}/api/http/");
    let settings = [
        ("SERVER__LISTEN", "127.0.0.1:0"),
        ("ADMIN__LISTEN", "127.0.0.1:0"),
        ("STORE__URL", store),
        ("AFILNET__URL", afilnet.as_str()),
        ("AFILNET__USER", "bench"),
        ("AFILNET__PASSWORD", "bench"),
        ("AFILNET__REQUESTS_PER_SECOND", "100000"),
        ("AFILNET__MAX_IN_FLIGHT", "64"),
        ("BONYCHAT__WEBHOOK_URL", "http://127.0.0.1:9/unused"),
        ("OUTBOUND__ANSWER_WITHIN", answer_within),
        ("CHANNELS__BENCH__CHANNEL_ID", "bench"),
        ("CHANNELS__BENCH__API_TOKEN", TOKEN),
        ("CHANNELS__BENCH__ID_TYPE", "phone"),
        ("CHANNELS__BENCH__PLATFORM", "whatsapp"),
        ("CHANNELS__BENCH__PLATFORM_ID", "1"),
    ];
    let env = settings.map(|(key, value)| (format!("BRIDGE__{key}"), value.to_owned()));
    let config = Config::load(None, env.into()).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let app = App::start_tuned(config, tuning).await?;
    let figures = measure(app.address(), args.connections, messages, &sends).await;
    app.stop().await;
    figures
}

/// Sends `messages` over `connections` and waits until the backend has them all.
async fn measure(to: SocketAddr, connections: u32, messages: u32, sends: &AtomicU64) -> anyhow::Result<Figures> {
    let each = messages / connections;
    let started = Instant::now();
    let clients: Vec<_> = (0..connections).map(|n| tokio::spawn(client(to, n, each))).collect();
    let mut times = Vec::with_capacity(messages as usize);
    for client in clients {
        times.extend(client.await??);
    }
    let accepted = started.elapsed();
    let total = u64::from(each * connections);
    let deadline = Instant::now() + Duration::from_mins(2);
    while sends.load(Ordering::Relaxed) < total {
        ensure!(Instant::now() < deadline, "only {} of {total} messages arrived", sends.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let delivered = started.elapsed();
    ensure!(sends.load(Ordering::Relaxed) == total, "more messages arrived than were sent");
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    let count = f64::from(each * connections);
    Ok(Figures {
        accepted_per_second: count / accepted.as_secs_f64(),
        delivered_per_second: count / delivered.as_secs_f64(),
        p50: at(50),
        p95: at(95),
        p99: at(99),
    })
}

/// One connection that sends `count` messages one after the other, each to another of its contacts; raw, so that the load
/// costs little of what is measured.
async fn client(to: SocketAddr, number: u32, count: u32) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::with_capacity(count as usize);
    let mut answer = Vec::with_capacity(1024);
    for n in 0..count {
        let body = format!(
            r#"{{"channelId":"bench","contactId":"+34600{number:03}{:03}","message":{{"type":"text","text":"message {n}"}}}}"#,
            n % 200
        );
        let request = format!(
            "POST /message HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let started = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut answer).await?;
        times.push(started.elapsed());
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "answered {}", String::from_utf8_lossy(&answer));
    }
    Ok(times)
}

/// Reads one answer with a content-length, whole.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.context("no content-length")?.trim().parse()?;
            if answer.len() >= end + 4 + length {
                return Ok(());
            }
        }
        ensure!(stream.read_buf(answer).await? > 0, "the connection was closed");
    }
}
