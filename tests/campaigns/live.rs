//! The live stream of the operators' page under load: twenty who listen, one of whom does not read. What it costs the bridge in
//! CPU time and memory beside the same load without listeners, that the slow one is told what it has missed, and the stop.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, SOON, blocking, contact, until};

const OPERATORS: &str = "token-of-the-operators";
/// As many as one process takes.
const LISTENERS: usize = 20;
/// Steps a second: a message that goes well makes two.
const STEPS_PER_SECOND: u32 = 500;
const WRITERS: u32 = 8;
/// Messages after which one who does not read has missed some, whatever waits for it: 1,024 lines and the buffers of its connection.
const ENOUGH: usize = 1_500;
/// Bound of what the listeners add to the memory, KiB.
const MEMORY_KIB: u64 = 10 * 1024;
/// Bound of what they add to the CPU time, as a share of one core. Of a release build: a debug build takes several times as much.
const SHARE_OF_A_CORE: f64 = 0.10;

/// What a load took of the bridge.
struct Cost {
    messages: usize,
    took: Duration,
    cpu: Duration,
    most_kib: u64,
}

impl Cost {
    /// CPU time as a share of one core.
    fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }
}

/// CPU time of the process so far. Source: `utime` and `stime` of `/proc/PID/stat`, in ticks of 10 ms.
fn cpu(bridge: &Bridge) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", bridge.pid().as_raw_nonzero())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Writes at the rate for so long, and at least so many messages; returns what that took of the bridge.
async fn load(house: &House, bridge: &Bridge, lasts: Duration, at_least: usize) -> Cost {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // `most_resident_kib` begins anew.
    std::fs::write(format!("/proc/{}/clear_refs", bridge.pid().as_raw_nonzero()), "5").unwrap();
    let (began, before) = (Instant::now(), cpu(bridge));
    let written = Arc::new(AtomicUsize::new(0));
    let writers = (0..WRITERS).map(|_| {
        let (bonychat, url, written) = (house.bonychat.clone(), bridge.url(), Arc::clone(&written));
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_secs(2) * WRITERS / STEPS_PER_SECOND);
            while began.elapsed() < lasts || written.load(Ordering::Relaxed) < at_least {
                pace.tick().await;
                let to = contact(NEXT.fetch_add(1, Ordering::Relaxed));
                assert_eq!(bonychat.text(&url, CHANNEL, &to, "as it happens").await.status, 200);
                written.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let messages = written.load(Ordering::Relaxed);
    Cost {
        messages,
        took: began.elapsed(),
        cpu: cpu(bridge).saturating_sub(before),
        most_kib: bridge.most_resident_kib(),
    }
}

/// One who listens.
struct Listener {
    stream: TcpStream,
    /// What came and was not counted yet.
    rest: String,
    has_begun: bool,
    /// From which the stream goes on.
    position: String,
    lines: usize,
    gaps: usize,
    /// Lines that the gaps say are left out.
    left_out: usize,
}

impl Listener {
    /// `narrow`: with small buffers at both ends. Those of a connection to this machine hold megabytes, for they go by the size
    /// of a packet.
    fn open(base: &str, narrow: bool, position: &str) -> Self {
        let address: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        if narrow {
            socket.set_recv_buffer_size(4096).unwrap();
            socket.set_tcp_mss(536).unwrap();
        }
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let head = format!(
            "GET /live/events?from={position} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {OPERATORS}\r\n"
        );
        let head = head + "accept-language: en\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        Self {
            stream,
            rest: String::new(),
            has_begun: false,
            position: position.to_owned(),
            lines: 0,
            gaps: 0,
            left_out: 0,
        }
    }

    /// Reads what has come; returns false at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) => self.rest.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(error) => {
                return matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            }
        }
        while let Some((event, rest)) = self.rest.split_once("\n\n") {
            self.has_begun |= event.contains("event: begins");
            self.lines += event.matches("event: line").count();
            if let Some((_, position)) = event.rsplit_once("id: ") {
                position.clone_into(&mut self.position);
            }
            if event.contains("event: gap") {
                self.gaps += 1;
                let told = event.split("at least: ").nth(1).and_then(|rest| rest.split(['.', ';']).next());
                self.left_out += told.map_or(0, |lines| lines.parse::<usize>().unwrap());
            }
            self.rest = rest.to_owned();
        }
        true
    }
}

/// One who reads until the end of the stream.
struct Reader {
    thread: std::thread::JoinHandle<()>,
    has_begun: Arc<AtomicBool>,
    accounted: Arc<AtomicUsize>,
}

impl Reader {
    fn start(base: &str) -> Self {
        let (has_begun, accounted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (base, begins, counts) = (base.to_owned(), Arc::clone(&has_begun), Arc::clone(&accounted));
        let thread = std::thread::spawn(move || {
            let mut listener = Listener::open(&base, false, "");
            while listener.read() {
                begins.store(listener.has_begun, Ordering::Relaxed);
                counts.store(listener.lines + listener.left_out, Ordering::Relaxed);
            }
        });
        Self { thread, has_begun, accounted }
    }
}

/// A bridge whose caches and pools are full.
async fn warm(lasts: Duration) -> (House, Bridge) {
    let mut house = House::new().on_a_file().set("ADMIN__TOKEN", OPERATORS).set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    load(&house, &bridge, lasts, ENOUGH / 2).await;
    house.settled().await;
    (house, bridge)
}

async fn twenty_listen(lasts: Duration) {
    // A process of its own for each: its memory grows with what is stored, too.
    let (house, bridge) = warm(lasts).await;
    let alone = load(&house, &bridge, lasts, ENOUGH).await;
    drop((house, bridge));
    let (house, mut bridge) = warm(lasts).await;
    let base = bridge.admin_url();
    let mut slow = Listener::open(&base, true, "");
    until("the slow one listens", || slow.read() && slow.has_begun).await;
    let readers: Vec<Reader> = (1..LISTENERS).map(|_| Reader::start(&base)).collect();
    until("all listen", || readers.iter().all(|reader| reader.has_begun.load(Ordering::Relaxed))).await;
    let listened = load(&house, &bridge, lasts, ENOUGH).await;
    house.settled().await;

    let deadline = Instant::now() + SOON;
    while slow.gaps == 0 {
        if !blocking(|| slow.read()) {
            // It stood still for longer than the bridge waits, and goes on as a browser does.
            slow = Listener::open(&base, true, &slow.position);
        }
        assert!(Instant::now() < deadline, "no gap in {} lines, beside {} messages", slow.lines, listened.messages);
    }
    let happened = 2 * listened.messages;
    let told = |reader: &Reader| reader.accounted.load(Ordering::Relaxed);
    until("each line is told, or told as left out", || readers.iter().all(|reader| told(reader) >= happened)).await;
    let began = Instant::now();
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    let ended = began.elapsed();
    for reader in readers {
        reader.thread.join().unwrap();
    }
    let more_kib = listened.most_kib.saturating_sub(alone.most_kib);
    let share = listened.share() - alone.share();
    let steps = |cost: &Cost| 2.0 * f64::from(u32::try_from(cost.messages).unwrap()) / cost.took.as_secs_f64();
    println!(
        "{LISTENERS} listeners, one of whom does not read, at {:.0} steps/s ({:.0} without them): {:+.1} % of one core ({:.0} % to {:.0} %), \
         memory {more_kib:+} KiB ({} to {}), the slow one got {} lines, and {} were told as left out; ended after {ended:.1?}",
        steps(&listened),
        steps(&alone),
        share * 100.0,
        alone.share() * 100.0,
        listened.share() * 100.0,
        alone.most_kib,
        listened.most_kib,
        slow.lines,
        slow.left_out,
    );
    assert!(slow.left_out > 0, "how many are left out is told");
    assert!(more_kib <= MEMORY_KIB, "{more_kib} KiB more");
    assert!(ended < Duration::from_secs(10), "{ended:?}");
    assert!(cfg!(debug_assertions) || share <= SHARE_OF_A_CORE, "{:.1} % of one core more", share * 100.0);
    house.check();
}

/// As little as shows it; its CPU time is printed and not held: a debug build on a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_listeners_one_of_whom_does_not_read_cost_little_memory_and_do_not_hold_up_the_stop() {
    twenty_listen(Duration::from_secs(3)).await;
}

/// For longer, and in a release build with its CPU time held:
/// `cargo test --release --features crashpoints --test campaigns -- --ignored --nocapture twenty_listeners`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: minutes"]
async fn twenty_listeners_for_a_minute_cost_a_tenth_of_a_core_and_ten_megabytes() {
    twenty_listen(Duration::from_mins(1)).await;
}
