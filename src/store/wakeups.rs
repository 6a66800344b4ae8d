//! Notifications between the HTTP handlers and the loops of one process, sent after a commit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Settlement;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{ChannelName, Fault, MId};

/// The first verdict on a message, as its HTTP caller gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FirstVerdict {
    /// Sent, or not known yet: the rest comes as `message_status`.
    Accepted,
    /// Refused for good; no `message_status` follows.
    Refused(Fault),
}

/// One channel's notifications, and whether verdicts can be expected.
#[derive(Debug)]
pub(crate) struct ChannelWakeups {
    /// An outbound message was accepted or may be due now.
    pub(crate) outbound: Notify,
    /// Something is in doubt, or may be settled now.
    pub(crate) lookups: Notify,
    /// An event was recorded or may be due now.
    pub(crate) events: Notify,
    /// Approximate number of queued outbound messages; 0 for a channel that another process owns.
    waiting: AtomicI64,
    /// Which process gives the verdicts.
    owner: AtomicU8,
    account_load: Arc<AccountLoad>,
    /// Pauses by hand that last.
    pauses: Mutex<Vec<OperatorPause>>,
}

/// Which process gives the verdicts on a channel's messages.
const HERE: u8 = 0;
const ELSEWHERE: u8 = 1;
/// Elsewhere, and soon.
const ELSEWHERE_SOON: u8 = 2;

/// Backlog and health of one Afilnet account, for the HTTP handlers.
#[derive(Debug)]
pub(crate) struct AccountLoad {
    requests_per_second: f64,
    /// Paused or failing: no verdict can be expected.
    stalled: AtomicBool,
    waiting: AtomicI64,
}

impl AccountLoad {
    pub(crate) fn new(requests_per_second: u32) -> Arc<Self> {
        let requests_per_second = f64::from(requests_per_second.max(1));
        Arc::new(Self { requests_per_second, stalled: AtomicBool::new(false), waiting: AtomicI64::new(0) })
    }

    /// Sets whether no verdicts can be expected at all.
    pub(crate) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }
}

impl ChannelWakeups {
    /// Messages may be due, `more` of them newly queued or requeued.
    pub(crate) fn notify_outbound(&self, more: i64) {
        self.add_waiting(more);
        self.outbound.notify_one();
    }

    /// Returns whether this process delivers the channel's messages.
    pub(crate) fn is_local(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == HERE
    }

    /// This process delivers the channel's messages from now on; `waiting` are queued.
    pub(crate) fn set_local(&self, waiting: i64) {
        self.owner.store(HERE, Ordering::Relaxed);
        self.add_waiting(waiting - self.waiting.load(Ordering::Relaxed));
    }

    /// Another process delivers the channel's messages, or none yet; `soon`: it expects to give verdicts soon.
    pub(crate) fn set_remote(&self, soon: bool) {
        self.owner.store(if soon { ELSEWHERE_SOON } else { ELSEWHERE }, Ordering::Relaxed);
        self.add_waiting(-self.waiting.load(Ordering::Relaxed));
    }

    /// Sets the pauses by hand that last, and returns those that lasted until now.
    pub(crate) fn set_pauses(&self, pauses: Vec<OperatorPause>) -> Vec<OperatorPause> {
        std::mem::replace(&mut *lock(&self.pauses), pauses)
    }

    /// Returns the pauses by hand that last.
    pub(crate) fn pauses(&self) -> Vec<OperatorPause> {
        lock(&self.pauses).clone()
    }

    /// Returns whether a pause by hand of this kind lasts.
    pub(crate) fn is_paused(&self, kind: PauseKind) -> bool {
        lock(&self.pauses).iter().any(|pause| pause.kind == kind)
    }

    /// `count` more messages wait (or fewer, where negative).
    pub(crate) fn add_waiting(&self, count: i64) {
        self.waiting.fetch_add(count, Ordering::Relaxed);
        self.account_load.waiting.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns whether a verdict on a message accepted now can be expected within `limit`: the account works, and its
    /// backlog takes no longer at the account's rate.
    #[expect(clippy::cast_precision_loss, reason = "an estimate; 2^53 messages do not wait")]
    pub(crate) fn verdict_expected(&self, limit: Duration) -> bool {
        if self.is_paused(PauseKind::Out) {
            return false;
        }
        match self.owner.load(Ordering::Relaxed) {
            ELSEWHERE => return false,
            ELSEWHERE_SOON => return true,
            _ => {}
        }
        if self.account_load.stalled.load(Ordering::Relaxed) {
            return false;
        }
        let waiting = self.account_load.waiting.load(Ordering::Relaxed).max(0) as f64;
        waiting / self.account_load.requests_per_second <= limit.as_secs_f64()
    }
}

/// All notifications of a store.
#[derive(Debug, Default)]
pub(crate) struct Wakeups {
    channels: Mutex<HashMap<ChannelName, Arc<ChannelWakeups>>>,
    callers: Mutex<HashMap<MId, oneshot::Sender<FirstVerdict>>>,
    /// A pause by hand has begun or ended.
    pub(crate) pauses: Notify,
}

impl Wakeups {
    /// Registers a channel with the account it shares. Called once per channel, before the first notification.
    pub(crate) fn register(&self, channel: &ChannelName, account_load: &Arc<AccountLoad>) -> Arc<ChannelWakeups> {
        let wakeups = Arc::new(ChannelWakeups {
            outbound: Notify::new(),
            lookups: Notify::new(),
            events: Notify::new(),
            waiting: AtomicI64::new(0),
            owner: AtomicU8::new(HERE),
            account_load: Arc::clone(account_load),
            pauses: Mutex::default(),
        });
        lock(&self.channels).insert(channel.clone(), Arc::clone(&wakeups));
        wakeups
    }

    /// Returns the notifications of `channel`, if it is registered.
    pub(crate) fn channel(&self, channel: &ChannelName) -> Option<Arc<ChannelWakeups>> {
        lock(&self.channels).get(channel).cloned()
    }

    /// Notifies the loops that a settlement concerns; `noticed`: it queued an event.
    pub(crate) fn notify_settled(&self, channel: &ChannelName, settlement: &Settlement, noticed: bool) {
        let Some(wakeups) = self.channel(channel) else { return };
        let requeued = match settlement {
            Settlement::Queued { .. } | Settlement::Sent { more: true, .. } => 1,
            Settlement::Sent { .. }
            | Settlement::Failed { .. }
            | Settlement::Unknown { .. }
            | Settlement::Unconfirmed { .. } => 0,
        };
        wakeups.notify_outbound(requeued);
        if matches!(settlement, Settlement::Unknown { .. }) {
            wakeups.lookups.notify_one();
        }
        if noticed {
            wakeups.events.notify_one();
        }
    }

    /// So many queued messages have failed without an attempt, and events tell their agents.
    pub(crate) fn notify_failed(&self, channel: &ChannelName, count: usize) {
        if let Some(wakeups) = self.channel(channel) {
            wakeups.notify_outbound(-i64::try_from(count).unwrap_or(0));
            wakeups.events.notify_one();
        }
    }

    /// Something is in doubt, or may be settled now.
    pub(crate) fn notify_lookups(&self, channel: &ChannelName) {
        if let Some(wakeups) = self.channel(channel) {
            wakeups.lookups.notify_one();
        }
    }

    /// Notifies the publisher: an event was recorded or may be due now.
    pub(crate) fn notify_events(&self, channel: &ChannelName) {
        if let Some(wakeups) = self.channel(channel) {
            wakeups.events.notify_one();
        }
    }

    /// Registers a caller that will wait for the first verdict on `m_id`, until the [`WaitingCaller`] is dropped.
    pub(crate) fn await_verdict(self: &Arc<Self>, m_id: &MId) -> WaitingCaller {
        let (sender, verdict) = oneshot::channel();
        lock(&self.callers).insert(m_id.clone(), sender);
        WaitingCaller { m_id: m_id.clone(), verdict, wakeups: Arc::clone(self) }
    }

    /// Takes over the duty to answer the caller of `m_id`, if one still waits. From then on, a failure that is not sent
    /// through the returned channel must reach the agent as `message_status`.
    pub(crate) fn take_caller(&self, m_id: &MId) -> Option<oneshot::Sender<FirstVerdict>> {
        lock(&self.callers).remove(m_id).filter(|sender| !sender.is_closed())
    }
}

/// A caller that waits for the first verdict.
#[derive(Debug)]
pub(crate) struct WaitingCaller {
    m_id: MId,
    verdict: oneshot::Receiver<FirstVerdict>,
    wakeups: Arc<Wakeups>,
}

impl WaitingCaller {
    /// Waits up to `limit` and returns the verdict; without one by then, the message counts as accepted. If the sender
    /// has already taken over the duty to answer, its verdict is awaited beyond `limit`: the agent would not get it
    /// otherwise.
    pub(crate) async fn verdict(mut self, limit: Duration) -> FirstVerdict {
        if let Ok(verdict) = tokio::time::timeout(limit, &mut self.verdict).await {
            return verdict.unwrap_or(FirstVerdict::Accepted);
        }
        if lock(&self.wakeups.callers).remove(&self.m_id).is_some() {
            return FirstVerdict::Accepted;
        }
        (&mut self.verdict).await.unwrap_or(FirstVerdict::Accepted)
    }
}

impl Drop for WaitingCaller {
    fn drop(&mut self) {
        lock(&self.wakeups.callers).remove(&self.m_id);
    }
}

/// A poisoned lock holds a plain map that is consistent, so it is used on.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
