//! The log's queue to stderr. Lines go into a bounded buffer, and a separate thread writes them: a blocked reader of
//! stderr (a paused terminal, a log shipper that hangs) then costs lines, which are counted and reported, and never
//! blocks the threads that carry messages.
//!
//! Own code rather than `tracing-appender`: its bound is a number of lines and not of bytes, its guard prints to stdout
//! if the queue is full at the stop (which may block in turn), it does not report dropped lines, and it depends on the
//! crates for rolling files.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Lines that wait, and those being written: seconds of a busy log.
const ROOM_BYTES: usize = 4 * 1024 * 1024;
/// Pause before a retry, if stderr is non-blocking and full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// The queue of this process, started with its first use.
static STDERR: OnceLock<Arc<Queue>> = OnceLock::new();

/// A bounded buffer of lines, and counts of those that did not fit.
#[derive(Debug)]
pub(super) struct Queue {
    room_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that the thread has taken and not written yet.
    writing: usize,
    /// Dropped lines that were not reported yet.
    unreported: u64,
    dropped: u64,
}

/// Returns the number of dropped lines since the process started.
pub(super) fn dropped() -> u64 {
    STDERR.get().map_or(0, |queue| queue.state().dropped)
}

/// Returns the queue to stderr.
///
/// # Errors
/// stderr cannot be duplicated, or the thread not started.
pub(super) fn stderr() -> io::Result<Arc<Queue>> {
    if let Some(queue) = STDERR.get() {
        return Ok(Arc::clone(queue));
    }
    // A separate handle: that of `std` is locked while it writes, and would block other writers.
    let out = std::fs::File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = Queue::start(out, ROOM_BYTES)?;
    Ok(Arc::clone(STDERR.get_or_init(|| queue)))
}

impl Queue {
    /// Returns a queue with a thread that writes to `out`.
    pub(super) fn start(mut out: impl Write + Send + 'static, room_bytes: usize) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self { room_bytes, state: Mutex::default(), changed: Condvar::new() });
        let of_thread = Arc::clone(&queue);
        std::thread::Builder::new().name("log".into()).spawn(move || of_thread.write_for_ever(&mut out))?;
        Ok(queue)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines if there is room. Never waits for the reader.
    pub(super) fn add(&self, lines: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + state.writing + lines.len() > self.room_bytes {
            state.lose(lines);
        } else {
            state.waiting.extend_from_slice(lines);
            self.changed.notify_all();
        }
    }

    /// Waits until everything is written, `limit` at most.
    pub(super) fn flush(&self, limit: Duration) {
        let pending = |state: &mut State| !state.waiting.is_empty() || state.writing > 0;
        drop(self.changed.wait_timeout_while(self.state(), limit, pending));
    }

    fn write_for_ever(&self, out: &mut impl Write) {
        loop {
            let taken = self.take();
            let unwritten = write(out, &taken);
            let unreported = self.written(unwritten);
            if unreported > 0 {
                tracing::warn!(
                    lines = unreported,
                    "{unreported} lines of the log were dropped: whatever reads stderr stood still or was too slow. Messages went \
                     on; bridge_log_lines_dropped_total counts such lines"
                );
            }
        }
    }

    /// Waits for lines and takes all.
    fn take(&self) -> Vec<u8> {
        let idle = |state: &mut State| state.waiting.is_empty();
        let mut state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut state.waiting);
        state.writing = taken.len();
        taken
    }

    /// Registers the end of a write. Returns the number of dropped lines to report, now that the reader has read.
    fn written(&self, unwritten: &[u8]) -> u64 {
        let mut state = self.state();
        state.writing = 0;
        state.lose(unwritten);
        self.changed.notify_all();
        if unwritten.is_empty() { std::mem::take(&mut state.unreported) } else { 0 }
    }
}

impl State {
    fn lose(&mut self, lines: &[u8]) {
        let count = lines.split_inclusive(|byte| *byte == b'\n').count() as u64;
        self.unreported += count;
        self.dropped += count;
    }
}

/// One write of the log is one line.
impl Write for &Queue {
    fn write(&mut self, log_format: &[u8]) -> io::Result<usize> {
        self.add(log_format);
        Ok(log_format.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `bytes`. Returns what could not be written.
fn write<'a>(out: &mut impl Write, mut bytes: &'a [u8]) -> &'a [u8] {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PAUSE),
            Err(_) => break, // there is no reader left
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// A reader that accepts a write when ordered to, and fails when ordered to.
    struct Reader {
        turns: Receiver<bool>,
        read: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.turns.recv().unwrap_or(false) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let _ = self.read.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue(room_bytes: usize) -> (Arc<Queue>, Sender<bool>, Receiver<String>) {
        let ((turn, turns), (read, lines)) = (channel(), channel());
        (Queue::start(Reader { turns, read }, room_bytes).unwrap(), turn, lines)
    }

    /// Returns the dropped lines, and those not reported yet.
    fn lost(queue: &Queue) -> (u64, u64) {
        let state = queue.state();
        (state.dropped, state.unreported)
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted_and_the_rest_keeps_its_order() {
        let (queue, turn, lines) = queue(12);
        for log_format in ["one\n", "two\n", "tre\n", "four\n", "x\n"] {
            queue.add(log_format.as_bytes());
        }
        assert_eq!(lost(&queue), (2, 2));
        queue.flush(Duration::from_millis(1)); // the reader is blocked: returns all the same
        turn.send(true).unwrap();
        turn.send(true).unwrap();
        let mut read = String::new();
        while read.len() < 12 {
            read += &lines.recv_timeout(SOON).unwrap();
        }
        assert_eq!(read, "one\ntwo\ntre\n");
        queue.flush(SOON);
        queue.add(b"five\n");
        turn.send(true).unwrap();
        assert_eq!(lines.recv_timeout(SOON).unwrap(), "five\n");
        queue.flush(SOON);
        assert_eq!(lost(&queue), (2, 0), "told of once there was room");
    }

    #[test]
    fn a_flush_returns_once_a_slow_reader_has_read() {
        let (queue, turn, lines) = queue(100);
        queue.add(b"the last line\n");
        let reader = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50)); // how slow it is
            turn.send(true)
        });
        queue.flush(SOON);
        assert_eq!(lines.try_recv().as_deref(), Ok("the last line\n"));
        assert!(reader.join().unwrap().is_ok());
    }

    #[test]
    fn lines_that_could_not_be_written_count_as_dropped_until_the_next_that_can() {
        let (queue, turn, lines) = queue(100);
        turn.send(false).unwrap();
        queue.add(b"one\ntwo\n");
        queue.flush(SOON);
        assert_eq!(lost(&queue), (2, 2));
        turn.send(true).unwrap();
        queue.add(b"three\n");
        assert_eq!(lines.recv_timeout(SOON).unwrap(), "three\n");
        queue.flush(SOON);
        assert_eq!(lost(&queue), (2, 0));
    }
}
