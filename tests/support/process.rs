//! The bridge as a process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::until;

/// A bridge as a process. Killed when dropped.
pub struct Bridge {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Whether its stderr is read.
    read: Arc<AtomicBool>,
}

impl Bridge {
    /// Starts `command`, and keeps what it writes to stderr.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let read = Arc::new(AtomicBool::new(true));
        let reads = Arc::clone(&read);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
                while !reads.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        Self { child, log, read }
    }

    /// Waits for the line that says so, and tells its port.
    pub async fn ready(&self) -> u16 {
        until("the bridge is ready", || self.port().is_some()).await;
        self.port().unwrap()
    }

    /// Its port; `None` before it is ready.
    pub fn port(&self) -> Option<u16> {
        let log = self.log.lock().unwrap();
        let line = log.iter().find(|line| line.contains("\"message\":\"ready\""))?;
        let line: Value = serde_json::from_str(line).unwrap();
        let address: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
        Some(address.port())
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Where BonyChat calls it; it is ready.
    pub fn url(&self) -> String {
        self.address("\"message\":\"ready\"")
    }

    /// Where operators look.
    pub fn admin_url(&self) -> String {
        self.address("operators find /metrics")
    }

    /// The address in the log line that holds `words`.
    fn address(&self, words: &str) -> String {
        let log = self.log.lock().unwrap();
        let line = log.iter().find(|line| line.contains(words)).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        format!("http://{}", line["address"].as_str().unwrap())
    }

    /// Lets the reader of its log stand still, or go on.
    pub fn read_log(&self, on: bool) {
        self.read.store(on, Ordering::Relaxed);
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// kill -9.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }

    /// Memory of the process.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most that it ever was.
    pub fn most_resident_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Its process id.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Sends the signal of this name: `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the bridge ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.read_log(true);
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            let from = log.len().saturating_sub(40);
            eprintln!("--- the bridge's last lines\n{}", log[from..].join("\n"));
        }
    }
}
