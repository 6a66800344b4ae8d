//! Live updates for several listeners: one read of the store a second for all of them, and only while there is a listener.
//! What a listener takes too slowly is left out, and it gets the number of lines left out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::find::Refusal;
use super::tail::{LeftOut, Tail, TailFilter, TailLine, TailPosition, TailUpdate};
use crate::config::Config;
use crate::domain::clock::now_ms;
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
/// How far what follows a page reaches back before it: commits need not come in the order of their times.
const BEFORE_MS: i64 = 10_000;
/// Lines that are caught up with, the newest: as many as a page keeps.
const CAUGHT_UP: usize = 200;

/// One update to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LiveUpdate {
    TailLine(Arc<TailLine>),
    /// Position after these lines: a listener that starts there gets what follows.
    Position(TailPosition),
    /// Lines of all channels that were left out, at least; 0: the number is not known.
    LeftOut(u64),
    /// The store cannot be read; it is tried again.
    Unreadable,
}

/// The tail for all who listen in this process.
#[derive(Debug)]
pub(crate) struct Live {
    updates: broadcast::Sender<LiveUpdate>,
    /// Whether the store is being read. Listeners are counted under this lock too: the reads end after the last listener, or go
    /// on for the next one.
    looking: Mutex<bool>,
    /// Whether updates are sent from now on.
    begun: watch::Sender<bool>,
}

/// One listener.
#[derive(Debug)]
pub(crate) struct Listener {
    updates: broadcast::Receiver<LiveUpdate>,
    begun: watch::Receiver<bool>,
}

impl Listener {
    /// Returns what happens next; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<LiveUpdate> {
        match self.updates.recv().await {
            Ok(heard) => Some(heard),
            Err(RecvError::Lagged(lines)) => Some(LiveUpdate::LeftOut(lines)),
            Err(RecvError::Closed) => None,
        }
    }

    /// Ends once updates are sent from then on.
    pub(crate) fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut begun = self.begun.clone();
        async move {
            if begun.wait_for(|begun| *begun).await.is_err() {
                std::future::pending::<()>().await; // the bridge stops
            }
        }
    }
}

impl Live {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            updates: broadcast::channel(WAITING).0,
            looking: Mutex::new(false),
            begun: watch::channel(false).0,
        })
    }

    /// Returns one more who listens, from now on; `None` where too many do. Looks end once `stopping` is cancelled.
    pub(crate) fn listen(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        config: &Arc<Config>,
        stopping: &CancellationToken,
    ) -> Option<Listener> {
        let mut looking = self.lock();
        if self.updates.receiver_count() >= LISTENERS {
            return None;
        }
        let listener = Listener { updates: self.updates.subscribe(), begun: self.begun.subscribe() };
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

    /// Returns whether there is no listener any more; the reads then count as ended.
    fn is_over(&self) -> bool {
        let mut looking = self.lock();
        *looking = self.updates.receiver_count() > 0;
        if !*looking {
            self.begun.send_replace(false);
        }
        !*looking
    }

    /// Reads the store until there is no listener.
    async fn look(&self, store: &dyn Store, config: &Config) {
        let mut tail: Option<Tail> = None;
        let mut failing = false;
        while !self.is_over() {
            let looked = match &mut tail {
                Some(tail) => tail.look(store).await,
                None => Tail::begin(store, config, TailFilter::default()).await.map(|begun| {
                    tail = Some(begun);
                    self.begun.send_replace(true);
                    TailUpdate::default()
                }),
            };
            match looked {
                Ok(news) => {
                    failing = false;
                    let position = tail.as_ref().map(Tail::position).filter(|_| !news.lines.is_empty());
                    self.tell(news);
                    if let Some(position) = position {
                        let _ = self.updates.send(LiveUpdate::Position(position)); // nobody may listen
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the live tail cannot read the store");
                        let _ = self.updates.send(LiveUpdate::Unreadable); // nobody may listen
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn tell(&self, TailUpdate { lines, left_out }: TailUpdate) {
        for line in lines {
            let _ = self.updates.send(LiveUpdate::TailLine(Arc::new(line)));
        }
        if let Some(LeftOut { lines, .. }) = left_out {
            let _ = self.updates.send(LiveUpdate::LeftOut(lines));
        }
    }
}

/// Lines that one person sees, and how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RecentLines {
    pub(crate) lines: Vec<TailLine>,
    /// The number of further lines left out, at least, of all channels; `Some(0)`: not known. `None`: none.
    pub(crate) left_out: Option<u64>,
}

impl RecentLines {
    /// Takes the newest of what a look showed. `sees_all`: only then the lines of all channels are counted.
    fn new(news: TailUpdate, most: usize, sees_all: bool, is_seen: impl Fn(&TailLine) -> bool) -> Self {
        let TailUpdate { mut lines, left_out } = news;
        lines.retain(is_seen);
        let more = lines.len().saturating_sub(most);
        lines.drain(..more);
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let left_out = match left_out {
            None => (more > 0).then_some(more),
            Some(left_out) => Some(if sees_all { left_out.lines.saturating_add(more) } else { more }),
        };
        Self { lines, left_out }
    }
}

/// Returns what happened in the last minutes, the newest first, and the position from which it goes on.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn recent(
    store: &dyn Store,
    config: &Config,
    sees_all: bool,
    is_seen: impl Fn(&TailLine) -> bool,
) -> Result<(RecentLines, TailPosition), Refusal> {
    let back = i64::try_from(RECENT).unwrap_or(i64::MAX);
    let mut tail = Tail::begin_before(store, config, back, RECENT_MS).await?;
    let position = tail.position().not_before(now_ms().saturating_sub(BEFORE_MS));
    let mut seen = RecentLines::new(tail.look(store).await?, RECENT, sees_all, is_seen);
    seen.lines.reverse();
    Ok((seen, position))
}

/// Returns what happened since a position, the oldest first; what happened shortly before may be among it.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn since(
    store: &dyn Store,
    config: &Config,
    position: TailPosition,
    sees_all: bool,
    is_seen: impl Fn(&TailLine) -> bool,
) -> Result<RecentLines, Refusal> {
    let mut tail = Tail::begin_at(store, config, position).await?;
    let news = tail.look(store).await?;
    Ok(RecentLines::new(news, CAUGHT_UP, sees_all, |line| line.at_ms >= position.since_ms() && is_seen(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::find::Side;

    fn line(n: i64) -> TailLine {
        TailLine {
            at_ms: n,
            channel: "support".into(),
            contact: "+********222".into(),
            side: Side::Out,
            m_id: format!("m{n}"),
            step: "sent",
            fault: None,
            words: "sent".into(),
            words_es: "enviado".into(),
            key: format!("0-1-{n}-0"),
        }
    }

    fn listener(live: &Live) -> Listener {
        Listener { updates: live.updates.subscribe(), begun: live.begun.subscribe() }
    }

    #[test]
    fn lines_of_channels_that_a_person_does_not_see_are_not_counted_for_them() {
        let many = |left_out| TailUpdate { lines: (0..9).map(line).collect(), left_out };
        let left_out = Some(LeftOut { since_ms: 0, until_ms: 9, lines: 100 });
        let odd = |line: &TailLine| line.at_ms % 2 == 1;
        for (left_out, sees_all, expected) in
            [(None, true, Some(2)), (left_out, true, Some(102)), (left_out, false, Some(2))]
        {
            let seen = RecentLines::new(many(left_out), 2, sees_all, odd);
            let times: Vec<i64> = seen.lines.iter().map(|line| line.at_ms).collect();
            assert_eq!((times, seen.left_out), (vec![5, 7], expected), "the newest two of four");
        }
        assert_eq!(RecentLines::new(many(left_out), 9, false, odd).left_out, Some(0), "more, but not how many");
        assert_eq!(RecentLines::new(many(None), 9, true, odd).left_out, None);
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_what_is_left_out_and_goes_on_with_the_rest() {
        let live = Live::new();
        let mut slow = listener(&live);
        let many = i64::try_from(WAITING).unwrap() + 500;
        live.tell(TailUpdate { lines: (0..many).map(line).collect(), left_out: None });
        assert_eq!(slow.next().await, Some(LiveUpdate::LeftOut(500)), "the oldest");
        let mut heard = 0;
        while let Ok(Some(LiveUpdate::TailLine(line))) = tokio::time::timeout(Duration::ZERO, slow.next()).await {
            assert_eq!(line.at_ms, 500 + heard, "in order, none twice");
            heard += 1;
        }
        assert_eq!(heard, i64::try_from(WAITING).unwrap());
        live.tell(TailUpdate { lines: vec![line(1)], left_out: Some(LeftOut { since_ms: 0, until_ms: 1, lines: 7 }) });
        assert!(matches!(slow.next().await, Some(LiveUpdate::TailLine(_))));
        assert_eq!(slow.next().await, Some(LiveUpdate::LeftOut(7)), "more happened than a look takes");
    }

    #[test]
    fn nobody_looks_once_nobody_listens() {
        let live = Live::new();
        *live.lock() = true;
        let listener = listener(&live);
        assert!(!live.is_over());
        drop(listener);
        assert!(live.is_over() && !*live.lock());
    }
}
