//! How much one answer may bring, and that large ones are taken in one at a time: each costs several times its size in
//! memory until its rows are read.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Largest answer to a call that brings no list.
pub(super) const SMALL: usize = 1 << 20;
/// From here on an answer takes part of the memory that large ones share.
const LARGE: usize = 1 << 20;

/// One large answer at a time in this process.
static TURNS: Semaphore = Semaphore::const_new(1);

/// What the answer to one call may bring, and what it brought.
#[derive(Debug)]
pub(super) struct Intake {
    /// Most bytes of its body.
    most: usize,
    /// Held from where the body becomes large until its rows are read.
    turn: Option<SemaphorePermit<'static>>,
    /// Bytes of a body that was too large: as announced, or how many came before it was given up.
    too_large: Option<u64>,
}

impl Intake {
    pub(super) fn of(most: usize) -> Self {
        Self { most, turn: None, too_large: None }
    }

    /// The same with its turn taken beforehand, so that the wait for it is none of the call's own time.
    pub(super) async fn with_turn(self) -> Self {
        Self { turn: TURNS.acquire().await.ok(), ..self }
    }

    /// Whether the answer was a large one.
    pub(super) fn is_large(bytes: usize) -> bool {
        bytes > LARGE
    }

    /// How much of an announced body is worth making room for; `None` where it is too large.
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

    /// Lets a body grow to so many bytes, once there is room for it; `None` where it is too large.
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

    /// Bytes of a body that was too large.
    pub(super) fn too_large(&self) -> Option<u64> {
        self.too_large
    }
}
