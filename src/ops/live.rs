//! What happens as it happens, for several who look at once: one look at the store a second for all of them, and only while
//! somebody listens. What a listener takes too slowly is left out, and the listener is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::find::Refusal;
use super::tail::{Line, News, Tail, TailFilter};
use crate::config::Config;
use crate::store::Store;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Those who listen at once, at most.
pub(crate) const LISTENERS: usize = 20;
/// Lines that wait for the slowest listener, at most; of about 300 bytes each, once for all.
const WAITING: usize = 1024;
/// Messages, events and steps of the time before that are shown at first, at most, and how old they are at most.
const RECENT: usize = 50;
const RECENT_MS: i64 = 10 * 60 * 1000;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Line(Arc<Line>),
    /// More happened than is told here.
    LeftOut,
    /// The store cannot be read; it is tried again.
    Unreadable,
}

/// The tail for all who listen in this process.
#[derive(Debug)]
pub(crate) struct Live {
    told: broadcast::Sender<Heard>,
    /// Whether the store is looked at. Who listens is counted under this lock too: so the last look ends before nobody listens,
    /// or goes on for the next.
    looking: Mutex<bool>,
}

/// One who listens.
#[derive(Debug)]
pub(crate) struct Listener(broadcast::Receiver<Heard>);

impl Listener {
    /// Returns what happens next; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(heard) => Some(heard),
            Err(RecvError::Lagged(_)) => Some(Heard::LeftOut),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Live {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { told: broadcast::channel(WAITING).0, looking: Mutex::new(false) })
    }

    /// Returns one more who listens, from now on; `None` where too many do. Looks end once `stopping` is cancelled.
    pub(crate) fn listen(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        config: &Arc<Config>,
        stopping: &CancellationToken,
    ) -> Option<Listener> {
        let mut looking = self.lock();
        if self.told.receiver_count() >= LISTENERS {
            return None;
        }
        let listener = Listener(self.told.subscribe());
        if !std::mem::replace(&mut *looking, true) {
            let (live, store, config) = (Arc::clone(self), Arc::clone(store), Arc::clone(config));
            let stopping = stopping.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = stopping.cancelled() => *live.lock() = false,
                    () = live.look(store.as_ref(), &config) => {}
                }
            });
        }
        Some(listener)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether nobody listens any more, and then that nobody looks.
    fn is_over(&self) -> bool {
        let mut looking = self.lock();
        *looking = self.told.receiver_count() > 0;
        !*looking
    }

    /// Looks until nobody listens.
    async fn look(&self, store: &dyn Store, config: &Config) {
        let mut tail: Option<Tail> = None;
        let mut failing = false;
        while !self.is_over() {
            let looked = match &mut tail {
                Some(tail) => tail.look(store).await,
                None => Tail::begin(store, config, TailFilter::default()).await.map(|begun| {
                    tail = Some(begun);
                    News::default()
                }),
            };
            match looked {
                Ok(news) => {
                    failing = false;
                    self.tell(news);
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the live tail cannot read the store");
                        let _ = self.told.send(Heard::Unreadable); // nobody may listen
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn tell(&self, News { lines, left_out }: News) {
        for line in lines {
            let _ = self.told.send(Heard::Line(Arc::new(line)));
        }
        if left_out.is_some() {
            let _ = self.told.send(Heard::LeftOut);
        }
    }
}

/// Returns what happened in the last minutes, the newest first.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn recent(store: &dyn Store, config: &Config) -> Result<News, Refusal> {
    let back = i64::try_from(RECENT).unwrap_or(i64::MAX);
    let mut tail = Tail::begin_before(store, config, back, RECENT_MS).await?;
    let mut news = tail.look(store).await?;
    news.lines.reverse();
    Ok(news)
}

/// Leaves so many of the newest of [`recent`].
pub(crate) fn newest(mut lines: Vec<Line>, is_seen: impl Fn(&Line) -> bool) -> Vec<Line> {
    lines.retain(is_seen);
    lines.truncate(RECENT);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::find::Side;

    fn line(n: i64) -> Line {
        Line {
            at_ms: n,
            channel: "support".into(),
            contact: "+********222".into(),
            side: Side::Out,
            m_id: format!("m{n}"),
            step: "sent",
            fault: None,
            words: "sent".into(),
            words_es: "enviado".into(),
        }
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_what_is_left_out_and_goes_on_with_the_rest() {
        let live = Live::new();
        let mut slow = Listener(live.told.subscribe());
        let many = i64::try_from(WAITING).unwrap() + 500;
        live.tell(News { lines: (0..many).map(line).collect(), left_out: None });
        assert_eq!(slow.next().await, Some(Heard::LeftOut), "the oldest 500");
        let mut heard = 0;
        while let Ok(Some(Heard::Line(line))) = tokio::time::timeout(Duration::ZERO, slow.next()).await {
            assert_eq!(line.at_ms, 500 + heard, "in order, none twice");
            heard += 1;
        }
        assert_eq!(heard, i64::try_from(WAITING).unwrap());
        live.tell(News { lines: vec![line(1)], left_out: Some((0, 1)) });
        assert!(matches!(slow.next().await, Some(Heard::Line(_))));
        assert_eq!(slow.next().await, Some(Heard::LeftOut), "more happened than a look takes");
    }

    #[test]
    fn nobody_looks_once_nobody_listens() {
        let live = Live::new();
        *live.lock() = true;
        let listener = Listener(live.told.subscribe());
        assert!(!live.is_over());
        drop(listener);
        assert!(live.is_over() && !*live.lock());
    }
}
