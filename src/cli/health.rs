//! `bridge health`: a container's HEALTHCHECK without a shell or another program.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use crate::ops::local::on_this_machine;

const WITHIN: Duration = Duration::from_secs(3);

/// Calls `/healthz` of the bridge that listens there.
pub(super) fn ask(listen: SocketAddr) -> anyhow::Result<()> {
    let address = on_this_machine(listen);
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)
        .with_context(|| format!("no bridge answers on {address}: is it running, and is server.listen the same?"))?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).with_context(|| format!("the bridge on {address} did not answer in time"))?;
    anyhow::ensure!(&answer == b"HTTP/1.1 200", "the bridge on {address} answers, but not with 200: see its log");
    Ok(())
}
