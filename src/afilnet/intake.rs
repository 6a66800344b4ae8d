//! Limits the size of responses, and reads large ones one at a time: each costs several times its size in memory until
//! its rows are read.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Largest response to a call that does not return a list.
pub(super) const SMALL: usize = 1 << 20;
/// Largest response that is parsed on the runtime's thread.
pub(super) const READ_AT_ONCE: usize = 64 << 10;
/// From this size on a response is a large one.
const LARGE: usize = 1 << 20;

/// One large response at a time in this process.
static TURNS: Semaphore = Semaphore::const_new(1);

/// Limit and size of the response to one call.
#[derive(Debug)]
pub(super) struct Intake {
    /// Most bytes of its body.
    most: usize,
    /// Held from when the body becomes large until its rows are read.
    turn: Option<SemaphorePermit<'static>>,
    /// Bytes of a body that was too large: as announced, or as received before it was given up.
    too_large: Option<u64>,
}

impl Intake {
    pub(super) fn of(most: usize) -> Self {
        Self { most, turn: None, too_large: None }
    }

    /// Returns it with its turn taken beforehand, so that the wait does not count towards the call's timeout.
    pub(super) async fn with_turn(self) -> Self {
        Self { turn: TURNS.acquire().await.ok(), ..self }
    }

    /// Returns whether the response was a large one.
    pub(super) fn is_large(bytes: usize) -> bool {
        bytes > LARGE
    }

    /// Returns how much to reserve for an announced body; `None` if it is too large.
    pub(super) fn announced(&mut self, bytes: Option<u64>) -> Option<usize> {
        let Some(bytes) = bytes else { return Some(0) };
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= self.most => Some(bytes.min(LARGE)),
            _ => {
                self.too_large = Some(bytes);
                None
            }
        }
    }

    /// Waits until a body may grow to this size; `None` if it is too large.
    pub(super) async fn admit(&mut self, bytes: usize) -> Option<()> {
        if bytes > self.most {
            self.too_large = Some(bytes as u64);
            return None;
        }
        if Self::is_large(bytes) && self.turn.is_none() {
            self.turn = TURNS.acquire().await.ok();
        }
        Some(())
    }

    /// Returns the bytes of a body that was too large, if one was.
    pub(super) fn too_large(&self) -> Option<u64> {
        self.too_large
    }
}
