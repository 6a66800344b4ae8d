//! Programs of others that tests run: a reverse proxy, Prometheus.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::until;

/// Where `.ci/run` unpacks what it does not install.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/prometheus/usr/bin");

/// Returns where `program` is installed. `None` where it is not, unless the environment variable `required` is 1.
pub fn installed(program: &str, required: &str) -> Option<String> {
    let places = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", UNPACKED];
    let found = places.map(|place| format!("{place}/{program}")).into_iter().find(|at| Path::new(at).exists());
    if found.is_none() {
        assert!(std::env::var(required).as_deref() != Ok("1"), "{required}=1 and there is no {program}");
        println!("skipped: there is no {program} on this machine");
    }
    found
}

/// Returns an address that nobody listens at now.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A service as a process of its own. Stopped when dropped.
pub struct Service {
    child: Child,
    /// Where it listens.
    pub base: SocketAddr,
    folder: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status(); // it ends its workers; killed, it would leave them
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts `command`, which listens at `base` and keeps its files in `folder`.
    pub async fn start(command: &mut Command, base: SocketAddr, folder: TempDir) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let service = Self { child, base, folder };
        until("the service listens", || TcpStream::connect(base).is_ok()).await;
        service
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
