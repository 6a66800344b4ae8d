//! A house of its own for each test: two simulators, a folder, and the bridge as a process. Shared by `tests/it` and
//! `tests/campaigns`; what only one of them uses is public like the rest, so that neither warns of it.

pub mod exchange;
pub mod metrics;
#[path = "../../src/testkit/postgres.rs"]
pub mod postgres;
pub mod process;
pub mod store_copy;
pub mod tools;
pub mod transports;
mod turn;
pub mod workload;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bridge::sim::afilnet::{self, Afilnet};
use bridge::sim::bonychat::{self, BonyChat, IdType};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use process::Bridge;

/// BonyChat's id of the one channel that every house has.
pub const CHANNEL: &str = "channel1";
/// Its API token.
pub const TOKEN: &str = "token-of-channel-1";
/// Its platform id at Afilnet.
pub const PLATFORM_ID: &str = "100";

/// Longest wait for a state that must come; generous, because tests share the machine.
pub const SOON: Duration = Duration::from_mins(1);

/// Simulators, folder and settings; the bridge is started and ended by the test.
pub struct House {
    /// The simulated Afilnet.
    pub afilnet: Afilnet,
    /// The simulated BonyChat.
    pub bonychat: BonyChat,
    /// Of the store and of whatever the test writes; the bridge runs in it.
    pub folder: TempDir,
    settings: Vec<(String, String)>,
    plain: Vec<(&'static str, String)>,
    address: Ipv4Addr,
    port: u16,
    channels: usize,
}

impl House {
    /// Two simulators and a configuration that hurries: no limits worth mentioning, short polls and waits.
    pub fn new() -> Self {
        Self::seeded(1)
    }

    /// As [`Self::new`], where both platforms have so many channels, of which one is configured.
    pub fn with_channels(channels: usize) -> Self {
        Self::of(1, channels)
    }

    /// As [`Self::new`], where faults that come by chance follow `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self::of(seed, 1)
    }

    /// As [`Self::new`], with so many channels, each of an account of its own, on a PostgreSQL that several processes may
    /// share; `None` where there is none.
    pub async fn shared(channels: usize) -> Option<Self> {
        let url = postgres::fresh_schema().await?;
        let mut house = Self::of(1, channels).set("STORE__URL", &url).set("STORE__LEASE", "2s");
        for n in 1..channels {
            for (key, value) in [
                ("CHANNEL_ID", channel_of(n, channels)),
                ("API_TOKEN", token_of(n, channels)),
                ("ID_TYPE", "phone".into()),
                ("PLATFORM", "whatsapp".into()),
                ("PLATFORM_ID", platform_of(n, channels)),
                ("AFILNET_USER", format!("user{n}")),
                ("AFILNET_PASSWORD", "password".into()),
                ("POLL_ACTIVE", "50ms".into()),
                ("POLL_IDLE", "100ms".into()),
                ("TEXT_LIMIT", "70".into()),
            ] {
                house = house.set(&format!("CHANNELS__C{n}__{key}"), &value);
            }
        }
        Some(house)
    }

    fn of(seed: u64, channels: usize) -> Self {
        turn::take();
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let others = (1..channels).map(|n| (format!("user{n}"), "password".to_owned()));
        let accounts = std::iter::once(("user".to_owned(), "password".to_owned())).chain(others).collect();
        let there = |n| afilnet::ChannelSpec::new("whatsapp", &platform_of(n, channels), "Ventas");
        let options =
            afilnet::Options { seed, accounts, channels: (0..channels).map(there).collect(), ..Default::default() };
        let afilnet = Afilnet::start(free, options).unwrap();
        let here = |n| {
            let token = format!("token-of-channel-{}", n + 1);
            bonychat::ChannelSpec::new(&channel_of(n, channels), &token, IdType::Phone)
        };
        let options = bonychat::Options {
            channels: (0..channels).map(here).collect(),
            rate_limit: false,
            ..bonychat::Options::default()
        };
        let bonychat = BonyChat::start(free, options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (settings, plain, address) = (Vec::new(), Vec::new(), own_address());
        let mut house = Self { settings, plain, address, port: 0, channels, folder, afilnet, bonychat };
        let store = house.store_url();
        let (api, webhook) = (house.afilnet.url(), house.bonychat.webhook_url());
        for (key, value) in [
            ("ADMIN__LISTEN", "127.0.0.1:0"),
            ("STORE__URL", store.as_str()),
            ("STORE__LEASE", "1s"),
            ("AFILNET__URL", &api),
            ("AFILNET__USER", "user"),
            ("AFILNET__PASSWORD", "password"),
            ("AFILNET__REQUESTS_PER_SECOND", "10000"),
            ("AFILNET__MAX_IN_FLIGHT", "16"),
            ("AFILNET__TIMEOUT", "5s"),
            ("BONYCHAT__WEBHOOK_URL", &webhook),
            ("BONYCHAT__REQUESTS_PER_SECOND", "10000"),
            ("OUTBOUND__LOOK_AFTER", "200ms, 300ms, 500ms"),
            ("INBOUND__FIRST_RUN", "unread"),
            ("RETRY__INITIAL", "50ms"),
            ("RETRY__MAX", "500ms"),
            ("CHANNELS__SUPPORT__CHANNEL_ID", CHANNEL),
            ("CHANNELS__SUPPORT__API_TOKEN", TOKEN),
            ("CHANNELS__SUPPORT__ID_TYPE", "phone"),
            ("CHANNELS__SUPPORT__PLATFORM", "whatsapp"),
            ("CHANNELS__SUPPORT__PLATFORM_ID", PLATFORM_ID),
            ("CHANNELS__SUPPORT__POLL_ACTIVE", "50ms"),
            ("CHANNELS__SUPPORT__POLL_IDLE", "100ms"),
        ] {
            house = house.set(key, value);
        }
        house
    }

    /// Sets `BRIDGE__{key}` for every start from now on.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets a variable of that very name for every start from now on.
    #[must_use]
    pub fn set_plain(mut self, name: &'static str, value: &str) -> Self {
        self.plain.push((name, value.to_owned()));
        self
    }

    /// Leaves to the configuration what was set.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self
    }

    /// What is set.
    pub fn setting(&self, key: &str) -> &str {
        self.settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str()).unwrap()
    }

    /// A file of its own, or with `BRIDGE_TEST_STORE=postgres` a schema of its own: the same tests run over both.
    fn store_url(&self) -> String {
        if std::env::var("BRIDGE_TEST_STORE").is_ok_and(|store| store == "postgres") {
            let schema = postgres::fresh_schema();
            let schema = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(schema));
            return schema.expect("BRIDGE_TEST_STORE=postgres needs a PostgreSQL");
        }
        format!("sqlite:{}", self.database().display())
    }

    /// Puts this house on a file, whatever the others are on: for tests of what files do.
    #[must_use]
    pub fn on_a_file(self) -> Self {
        let file = format!("sqlite:{}", self.database().display());
        self.set("STORE__URL", &file)
    }

    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The file of the store, where the house is on one.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("bridge.db")
    }

    /// The binary with this house's settings, and nothing of the surrounding `BRIDGE_` environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("BRIDGE_")) {
            command.env_remove(key);
        }
        command.args(arguments).current_dir(self.folder.path());
        command.envs(self.settings.iter().map(|(key, value)| (format!("BRIDGE__{key}"), value)));
        command.envs(self.plain.iter().cloned());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        blocking(|| self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Starts the bridge and waits until it is ready; at the same address every time.
    pub async fn start(&mut self) -> Bridge {
        let bridge = self.start_another(self.port).await;
        self.port = bridge.port().unwrap();
        bridge
    }

    /// Starts a process of several; at `port` where that is not 0.
    pub async fn start_another(&self, port: u16) -> Bridge {
        let bridge = self.spawn(port, &[]);
        bridge.ready().await;
        bridge
    }

    /// As [`Self::start_another`] with more of an environment; what this makes may end before it is ready.
    pub async fn start_another_with(&self, port: u16, environment: &[(&str, &str)]) -> Bridge {
        let mut bridge = self.spawn(port, environment);
        until("the bridge is ready or has ended", || bridge.port().is_some() || bridge.has_ended()).await;
        bridge
    }

    fn spawn(&self, port: u16, environment: &[(&str, &str)]) -> Bridge {
        let mut command = self.command(&["serve"]);
        command.env("BRIDGE__SERVER__LISTEN", format!("{}:{port}", self.address)).envs(environment.iter().copied());
        Bridge::spawn(&mut command)
    }

    /// A start at the same address that may be refused.
    pub fn spawn_start(&self) -> Bridge {
        self.spawn(self.port, &[])
    }

    /// A start that is to be refused: its exit code, and what it said.
    pub async fn refused_start(&self) -> (Option<i32>, String) {
        let mut command = self.command(&["serve"]);
        command.env("BRIDGE__SERVER__LISTEN", format!("{}:0", self.address)).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + SOON;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() >= deadline {
                child.kill().unwrap();
                panic!("it was not refused");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ended = child.wait_with_output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    }

    /// As [`Self::start`] with more of an environment; what this makes may end before it is ready.
    pub async fn start_with(&mut self, environment: &[(&str, &str)]) -> Bridge {
        if self.port == 0 {
            self.port = self.free_port();
        }
        self.start_another_with(self.port, environment).await
    }

    /// Where the bridge is or will be.
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// Where a process at that port is or will be.
    pub fn url_at(&self, port: u16) -> String {
        format!("http://{}:{port}", self.address)
    }

    /// A port that nobody listens at now.
    pub fn free_port(&self) -> u16 {
        std::net::TcpListener::bind((self.address, 0)).unwrap().local_addr().unwrap().port()
    }

    /// As [`Self::start`], where no file of the process may grow beyond so many blocks of 512 bytes: a disk that fills up.
    pub async fn start_with_files_up_to(&mut self, blocks: u32, environment: &[(&str, &str)]) -> Bridge {
        let plain = self.command(&["serve"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" serve")]).arg(plain.get_program());
        limited.current_dir(self.folder.path()).envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
        limited.envs(environment.iter().copied());
        let bridge = Bridge::spawn(limited.env("BRIDGE__SERVER__LISTEN", format!("{}:{}", self.address, self.port)));
        self.port = bridge.ready().await;
        bridge
    }

    /// A message of plain words through the bridge, as BonyChat sends it.
    pub async fn agent(&self, bridge: &Bridge, contact: &str, text: &str) -> bonychat::SendOutcome {
        self.bonychat.text(&bridge.url(), CHANNEL, contact, text).await
    }

    /// The customer writes.
    pub fn customer(&self, contact: &str, text: &str) {
        self.afilnet.receive(PLATFORM_ID, &contact[1..], text).unwrap();
    }

    /// mIds of the messages in a state, by the command that an operator would use.
    pub fn messages(&self, state: &str) -> Vec<String> {
        let listed = self.run(&["messages", "list", "--state", state, "--limit", "100000"]);
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let lines = String::from_utf8(listed.stdout).unwrap();
        lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }

    /// Waits until no message is on its way any more: none queued, being sent or in doubt.
    pub async fn settled(&self) {
        let on_its_way = |line: &str| matches!(line.split('\t').nth(3), Some("queued" | "sending" | "unknown"));
        let deadline = Instant::now() + SOON;
        loop {
            // One query for all: between two queries a message may change its state.
            let listed = self.run(&["messages", "list", "--limit", "1000000"]);
            assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
            if !String::from_utf8(listed.stdout).unwrap().lines().any(on_its_way) {
                return;
            }
            assert!(Instant::now() < deadline, "not within {SOON:?}: no message is on its way");
            tokio::time::sleep(Duration::from_millis(200)).await; // each query is a process of its own
        }
    }

    /// What must hold at the end of every test.
    pub fn check(&self) {
        assert_eq!(self.bonychat.violations(), []);
        assert_eq!(self.afilnet.secrets_in_url(), 0);
        assert_eq!(self.afilnet.counters().redirects_followed, 0);
    }
}

/// Returns a loopback address of this test's own, if the system has more than one: a call to an ended process must not
/// reach that of another test, which may get the same port meanwhile.
fn own_address() -> Ipv4Addr {
    static HOUSES: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let house = HOUSES.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    Ipv4Addr::from_bits((127 << 24) | (1 << 23) | ((std::process::id() & 0x7fff) << 8) | house)
}

/// Polls until `state` holds; panics with `what` after [`SOON`].
pub async fn until(what: &str, state: impl FnMut() -> bool) {
    until_within(SOON, what, state).await;
}

/// Fails if what began then took longer than `limit` on a machine with a core for it; prints how long it took.
pub fn took_at_most(limit: Duration, what: &str, began: Instant) {
    let (took, load) = (began.elapsed(), load_of_a_core());
    println!("{what}: {took:.1?}, at a load of {load:.1} a core");
    assert!(load > 1.0 || took < limit, "{what}: {took:?}, not {limit:?}, at a load of {load:.1} a core");
}

/// Returns how much runs on this machine for each of its cores, on an average over the last minute: above 1, what runs waits for one.
pub fn load_of_a_core() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    load / f64::from(u32::try_from(cores).unwrap())
}

/// As [`until`], within `limit`. Pauses as long as a check took: one that runs a command would otherwise keep a core busy
/// that the bridge needs.
pub async fn until_within(limit: Duration, what: &str, mut state: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    loop {
        let began = Instant::now();
        if state() {
            return;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        let pause = began.elapsed().clamp(Duration::from_millis(10), Duration::from_millis(250));
        tokio::time::sleep(pause).await;
    }
}

/// Cases of one test that run at the same time.
const SIDE_BY_SIDE: usize = 3;

/// Runs each case in a task of its own, few at a time: for cases that mostly wait. Panics as the first that failed does.
pub async fn side_by_side<C, F>(cases: impl IntoIterator<Item = C>, run: impl Fn(C) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let start = |case| {
        let (room, case) = (Arc::clone(&room), run(case));
        tokio::spawn(async move {
            let _turn = room.acquire().await;
            case.await;
        })
    };
    let running: Vec<_> = cases.into_iter().map(start).collect();
    for task in running {
        if let Err(failed) = task.await {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
}

/// The channel of a contact, where each of `channels` has its share of them, and that channel's name at Afilnet.
pub fn channel_of(contact: usize, channels: usize) -> String {
    format!("channel{}", contact % channels + 1)
}

/// See [`channel_of`].
pub fn token_of(contact: usize, channels: usize) -> String {
    format!("token-of-channel-{}", contact % channels + 1)
}

/// See [`channel_of`].
pub fn platform_of(contact: usize, channels: usize) -> String {
    (100 + contact % channels).to_string()
}

/// A contact of its own for each `n`.
pub fn contact(n: usize) -> String {
    format!("+34600{n:06}")
}

/// Runs what blocks its thread. The simulators that it may wait for share the test's few threads, so they get another one.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

/// Status and JSON of a GET.
pub fn get(base: &str, path: &str) -> (u16, Value) {
    let answer = blocking(|| {
        let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: bridge\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}
