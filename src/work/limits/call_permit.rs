//! Call permits for Afilnet: a slot of the rate limiter plus closed breakers for channel, account and sends. Call
//! results feed back into the breakers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::circuit_breaker::{CircuitBreaker, Permit};
use super::rate_limiter::Slot;
use super::upstream::Upstream;
use crate::domain::{ChannelName, Fault, LeaseDeadline, MId, Messenger, ReadError, RetryPolicy, Scope, Verdict};
use crate::store::{AccountLoad, Attempt};
use crate::work::wait::may_call;

/// How long a read lets sends of the same account go first.
const READS_YIELD_FOR: Duration = Duration::from_millis(500);

/// One Afilnet account: what its channels share.
#[derive(Debug)]
pub(in crate::work) struct Account {
    /// Its breaker is open while Afilnet refuses the account or has an outage; its outages are those of sends.
    pub(in crate::work) upstream: Upstream<MId>,
    /// Open while the account has no credit, or only sends have an outage.
    pub(in crate::work) send_breaker: Arc<CircuitBreaker>,
    pub(in crate::work) load: Arc<AccountLoad>,
    /// Reads of all its channels, but for one that a channel without any may begin all the same. What this bounds is memory:
    /// a read that waits for its call holds some kilobytes, and a thousand channels find thousands due in one round.
    reads: Arc<Semaphore>,
}

/// Reads side by side of an account, at least: some more than its calls in flight, which are what bounds their speed.
const READS_SIDE_BY_SIDE: usize = 64;

/// The calls of one channel to Afilnet: permits for them, and feedback of their results.
pub(in crate::work) struct AfilnetCalls {
    name: ChannelName,
    retry: RetryPolicy,
    messenger: Arc<dyn Messenger>,
    deadline: LeaseDeadline,
    pub(in crate::work) account: Arc<Account>,
    /// Open while Afilnet does not know the channel.
    pub(in crate::work) breaker: Arc<CircuitBreaker>,
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum CallKind {
    /// A read lets sends of the same account go first.
    Read,
    Send,
}

impl CallKind {
    fn yields_for(self) -> Duration {
        match self {
            Self::Read => READS_YIELD_FOR,
            Self::Send => Duration::ZERO,
        }
    }
}

/// Permission to make one call to Afilnet.
pub(in crate::work) struct CallPermit {
    slot: Slot,
    /// For a send: its permit of the send breaker, of which the probe is the message itself.
    send_breaker: Option<Permit>,
}

impl CallPermit {
    /// Returns whether the call is the probe of the account's sends.
    fn is_probe(&self) -> bool {
        self.send_breaker.as_ref().is_some_and(Permit::is_probe)
    }

    /// Returns the permit unused, or keeps it if the call is the probe of the account's sends.
    pub(in crate::work) fn unused_unless_probe(self) -> Option<Self> {
        if self.is_probe() {
            return Some(self);
        }
        self.unused();
        None
    }

    /// Returns the permit unused: no call was made.
    pub(in crate::work) fn unused(self) {
        self.slot.unused();
    }
}

/// How long the probe of an account's sends may wait for a slot and closed breakers before another gets its turn.
const PROBE_WITHIN: Duration = Duration::from_secs(30);

impl Account {
    pub(in crate::work) fn new(requests_per_second: u32, max_in_flight: u32) -> Self {
        Self {
            upstream: Upstream::new(requests_per_second, max_in_flight),
            send_breaker: CircuitBreaker::new(),
            load: AccountLoad::new(requests_per_second),
            reads: Arc::new(Semaphore::new(READS_SIDE_BY_SIDE.max(2 * max_in_flight as usize))),
        }
    }

    /// Returns room for one read more; `None` while there is none.
    pub(in crate::work) fn room_for_read(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.reads).try_acquire_owned().ok()
    }
}

impl AfilnetCalls {
    /// For the calls of channel `name` by `messenger`, which may start until `deadline`.
    pub(in crate::work) fn new(
        name: ChannelName,
        retry: RetryPolicy,
        messenger: Arc<dyn Messenger>,
        deadline: LeaseDeadline,
        account: Arc<Account>,
    ) -> Self {
        Self { name, retry, messenger, deadline, account, breaker: CircuitBreaker::new() }
    }

    /// Waits for a permit: until the breakers of the channel, the account and, for a send, its sends are closed or the
    /// send is their probe, and until there is a slot. `None` when the stop begins first.
    pub(in crate::work) async fn acquire(&self, kind: CallKind, stop: &CancellationToken) -> Option<CallPermit> {
        if !may_call(&self.deadline, stop).await {
            return None;
        }
        stop.run_until_cancelled(self.permit(kind)).await
    }

    /// Returns a further permit at once, under the breakers of `first`, if there is a free slot. None while the send
    /// breaker is open: its one probe is under way.
    pub(in crate::work) fn try_acquire_too(&self, first: &CallPermit) -> Option<CallPermit> {
        let slot = (!first.is_probe()).then(|| self.account.upstream.limiter.try_acquire()).flatten()?;
        Some(CallPermit { slot, send_breaker: None })
    }

    async fn permit(&self, kind: CallKind) -> CallPermit {
        loop {
            // The channel first: the holder of the sends' probe must not wait for a paused channel.
            let channel = self.channel(kind).await;
            let send_breaker = match kind {
                CallKind::Read => None,
                CallKind::Send => Some(self.account.send_breaker.acquire().await),
            };
            let slot = self.slot(kind);
            let slot = if send_breaker.as_ref().is_some_and(Permit::is_probe) {
                // The account is paused too: lets another channel probe the sends.
                let Ok(slot) = tokio::time::timeout(PROBE_WITHIN, slot).await else { continue };
                slot
            } else {
                slot.await
            };
            if channel.holds() && send_breaker.as_ref().is_none_or(Permit::holds) {
                return CallPermit { slot, send_breaker };
            }
            slot.unused(); // tripped while this one waited
        }
    }

    /// Waits until the channel's breaker is closed. Its probe is a call that changes nothing.
    async fn channel(&self, kind: CallKind) -> Permit {
        loop {
            let channel = self.breaker.acquire().await;
            if !channel.is_probe() {
                return channel;
            }
            let _slot = self.slot(kind).await;
            match self.messenger.probe_channel().await {
                Ok(true) => self.on_success(&channel),
                Ok(false) => self.on_fault(&Fault::ChannelNotFound, None),
                Err(error) => self.on_fault(&error.fault, error.asked),
            }
        }
    }

    /// Waits until the account's breaker is closed and it has a slot. Its probe is a call that changes nothing.
    async fn slot(&self, kind: CallKind) -> Slot {
        loop {
            let (account, slot) = self.account.upstream.acquire(kind.yields_for()).await;
            if !account.is_probe() {
                return slot;
            }
            match self.messenger.account_balance().await {
                Ok(_) => self.on_success(&account),
                Err(error) => self.on_fault(&error.fault, error.asked),
            }
        }
    }

    /// Asks for the account's balance if no other call waits or could be made in place of it, and the account is not paused:
    /// then its own probes ask. `None`: not asked; `Some(None)`: asked, and there is no number.
    pub(in crate::work) async fn balance_aside(&self) -> Option<Option<f64>> {
        if self.account.upstream.breaker.is_open() || !self.deadline.is_valid() {
            return None;
        }
        let _slot = self.account.upstream.limiter.try_acquire()?;
        // A refusal pauses nothing: where this method alone is refused, messages continue, and the probe of a pause would be this
        // same call.
        Some(self.messenger.account_balance().await.ok().flatten())
    }

    /// Feeds the result of a send back: whether there is credit, and whether Afilnet has an outage.
    pub(in crate::work) fn on_send_result(&self, permit: &CallPermit, verdict: &Verdict) {
        let (fault, asked) = match verdict {
            Verdict::Sent { .. } => {
                self.account.upstream.on_accepted();
                if let Some(sends) = &permit.send_breaker {
                    self.on_success(sends);
                }
                return;
            }
            Verdict::NotSent { fault, asked } => (fault, *asked),
            Verdict::Refused { fault } | Verdict::Unknown { fault } => (fault, None),
        };
        if fault.is_of_message() {
            // Afilnet processes sends: an outage of sends is over.
            let lasted = self.account.upstream.on_refused();
            if let Some(sends) = permit.send_breaker.as_ref().filter(|_| lasted) {
                self.on_success(sends);
            }
            return;
        }
        if fault.is_outage() {
            let lasts = self.account.upstream.on_outage();
            if !lasts && *fault != Fault::Busy {
                return;
            }
            if lasts {
                // Other calls may succeed meanwhile: only a send shows that sends work again, one at a time.
                self.account.send_breaker.trip_backing_off(|failures| self.probe_after(fault, failures, asked));
                self.account.send_breaker.set_fault(fault);
            }
        } else if fault.scope() == Scope::Call {
            return;
        }
        self.on_fault(fault, asked);
    }

    /// Feeds the result of a read back. A fault of this read alone is left to the poller.
    pub(in crate::work) fn on_read_result(&self, error: Option<&ReadError>) {
        if let Some(error) = error.filter(|error| error.fault.scope() != Scope::Call) {
            self.on_fault(&error.fault, error.asked);
        }
    }

    /// Trips the breaker for a fault's scope.
    fn on_fault(&self, fault: &Fault, asked: Option<Duration>) {
        let (breaker, what) = match fault.scope() {
            Scope::Account | Scope::Call => (&self.account.upstream.breaker, "the account is"),
            Scope::Sends => (&self.account.send_breaker, "the account's sends are"),
            Scope::Channel => (&self.breaker, "the channel is"),
        };
        let newly = match fault.scope() {
            Scope::Account | Scope::Call => {
                breaker.trip_backing_off(|failures| self.probe_after(fault, failures, asked))
            }
            Scope::Sends | Scope::Channel => breaker.trip(self.retry.max),
        };
        breaker.set_fault(fault);
        if fault.scope() != Scope::Channel {
            self.account.load.set_stalled(true);
        }
        if newly {
            tracing::error!(
                channel_name = %self.name,
                fault = fault.code(),
                "channel `{}`: {what} paused ({}). Nothing is lost: messages are kept, and a probe finds out when it \
                 works again",
                self.name,
                fault.code(),
            );
        }
    }

    /// Returns the code of the fault by which sends of this channel are paused.
    pub(in crate::work) fn paused_by(&self) -> Option<String> {
        let breakers = [&self.account.upstream.breaker, &self.breaker, &self.account.send_breaker];
        breakers.into_iter().find_map(|breaker| breaker.open_by())
    }

    /// Returns the wait before the next probe; `failures` counts the trip and the probes that failed since. Wrong
    /// credentials are probed slowly from the start, to avoid a lock-out (afilnet.md section 4); anything else soon,
    /// with growing waits.
    fn probe_after(&self, fault: &Fault, failures: u32, asked: Option<Duration>) -> Duration {
        if matches!(fault, Fault::Credentials(_)) {
            return self.retry.max;
        }
        self.retry.wait(failures, asked, 1.0)
    }

    /// Returns whether this message alone meets a fault that should concern all.
    pub(in crate::work) fn is_poison(&self, attempt: &Attempt, fault: &Fault) -> bool {
        fault.scope() == Scope::Account && self.account.upstream.is_poison(&attempt.m_id)
    }

    /// Registers the success of a call with `permit`. Another breaker of the account may be open still.
    fn on_success(&self, permit: &Permit) {
        if permit.succeeded() {
            let paused = self.account.upstream.breaker.is_open() || self.account.send_breaker.is_open();
            self.account.load.set_stalled(paused);
            let rest = if paused { "but sends wait until one probe of theirs succeeds" } else { "going on" };
            tracing::info!(channel_name = %self.name, "channel `{}`: Afilnet works again, {rest}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::upstream::OUTAGES;
    use super::*;
    use crate::store::Store;
    use crate::store::open::SqliteStore;
    use crate::work::channel::Channel;
    use crate::work::testing;

    /// Two channels of one account.
    struct Two {
        account: Arc<Account>,
        channels: [Arc<Channel>; 2],
        _folder: tempfile::TempDir,
    }

    impl Two {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
            let account = Arc::new(Account::new(100, 4));
            let channels = ["strange", "sound"]
                .map(|name| testing::channel(testing::settings(name), testing::ports(&store), &account));
            Self { account, channels, _folder: folder }
        }

        fn calls(&self, which: usize) -> &Arc<AfilnetCalls> {
            &self.channels[which].state.calls
        }

        /// Returns whether callers of a channel still wait for verdicts.
        fn verdict_expected(&self, which: usize) -> bool {
            self.channels[which].state.wakeups.verdict_expected(Duration::ZERO)
        }

        /// The first channel begins to wait for a permit to send.
        fn strange_waits(&self) {
            let strange = Arc::clone(self.calls(0));
            tokio::spawn(async move { drop(strange.acquire(CallKind::Send, &CancellationToken::new()).await) });
        }

        /// Returns the second's permit to send, if it gets one in time.
        async fn sound_may_send(&self, within: Duration) -> Option<CallPermit> {
            let stop = CancellationToken::new();
            tokio::time::timeout(within, self.calls(1).acquire(CallKind::Send, &stop)).await.ok().flatten()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_channels_fault_stalls_no_other_of_its_account() {
        let two = Two::new();
        two.calls(0).on_fault(&Fault::ChannelNotFound, None);
        two.strange_waits();
        assert!(two.sound_may_send(Duration::from_secs(1)).await.is_some());
        assert!(two.verdict_expected(1), "callers of the other still wait for verdicts");
        two.calls(0).on_fault(&Fault::NoCredits, None);
        assert!(!two.verdict_expected(1), "what concerns the account is everybody's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_heals_ends_no_pause_but_its_own() {
        let two = Two::new();
        for pause in [Fault::NoCredits, Fault::Forbidden] {
            two.calls(1).on_fault(&pause, None);
            two.calls(0).on_fault(&Fault::ChannelNotFound, None);
            two.calls(0).on_success(&two.calls(0).breaker.acquire().await);
            assert!(!two.calls(0).breaker.is_open() && !two.verdict_expected(0));
            let (account, sends) = (&two.account.upstream.breaker, &two.account.send_breaker);
            let tripped = if account.is_open() { account } else { sends };
            two.calls(0).on_success(&tripped.acquire().await);
            assert!(two.verdict_expected(0), "after {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sends_work_again_where_afilnet_refuses_a_message_for_itself_but_not_for_want_of_credit() {
        let two = Two::new();
        let file = Verdict::Refused { fault: Fault::FileUrl };
        let permit = two.sound_may_send(Duration::ZERO).await.unwrap();
        for _ in 0..OUTAGES {
            two.calls(1).on_send_result(&permit, &Verdict::Unknown { fault: Fault::ConnectionLost });
        }
        assert!(two.account.upstream.breaker.is_open() && two.account.send_breaker.is_open());
        let mut probe = two.sound_may_send(Duration::from_mins(5)).await.unwrap();
        assert!(probe.send_breaker.as_ref().is_some_and(Permit::is_probe));
        two.calls(1).on_send_result(&probe, &file);
        assert!(!two.account.send_breaker.is_open() && two.verdict_expected(1));

        two.calls(1).on_send_result(&permit, &Verdict::NotSent { fault: Fault::NoCredits, asked: None });
        probe = two.sound_may_send(Duration::from_mins(5)).await.unwrap();
        two.calls(1).on_send_result(&probe, &file);
        assert!(two.account.send_breaker.is_open(), "a file is looked at before the credit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_told_by_the_fault_of_its_own() {
        let two = Two::new();
        let permit = two.sound_may_send(Duration::ZERO).await.unwrap();
        two.calls(1).on_send_result(&permit, &Verdict::NotSent { fault: Fault::NoCredits, asked: None });
        assert_eq!(two.calls(0).paused_by(), Some(Fault::NoCredits.code()), "all channels of the account");
        let probe = two.sound_may_send(Duration::from_mins(5)).await.unwrap();
        two.calls(1).on_success(probe.send_breaker.as_ref().unwrap());
        assert_eq!(two.calls(1).paused_by(), None);
        for _ in 0..OUTAGES {
            two.calls(1).on_send_result(&permit, &Verdict::Unknown { fault: Fault::ConnectionLost });
        }
        // A read may end the outage of the account, and that of its sends lasts.
        two.calls(1).on_success(&two.account.upstream.breaker.acquire().await);
        assert!(two.account.send_breaker.is_open());
        assert_eq!(two.calls(1).paused_by(), Some(Fault::ConnectionLost.code()));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_between_them_are_no_outages_in_a_row() {
        let two = Two::new();
        let permit = two.sound_may_send(Duration::ZERO).await.unwrap();
        for _ in 0..OUTAGES {
            two.calls(1).on_send_result(&permit, &Verdict::Unknown { fault: Fault::ConnectionLost });
            two.calls(1).on_send_result(&permit, &Verdict::Refused { fault: Fault::ChatNotFound });
        }
        assert!(!two.account.upstream.breaker.is_open() && !two.account.send_breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_whose_breaker_is_open_does_not_take_the_probe_of_the_sends() {
        let two = Two::new();
        two.calls(0).on_fault(&Fault::ChannelNotFound, None);
        two.account.send_breaker.trip(Duration::from_secs(1));
        two.strange_waits();
        tokio::time::sleep(Duration::from_millis(1100)).await; // on a clock of the test's own: the probe is due
        let permit = two.sound_may_send(Duration::from_secs(5)).await;
        assert!(permit.is_some_and(|permit| permit.send_breaker.is_some_and(|sends| sends.is_probe())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_is_tripped_while_it_waits_gives_the_probe_of_the_sends_back() {
        let two = Two::new();
        two.account.send_breaker.trip(Duration::from_secs(10));
        two.strange_waits();
        tokio::time::sleep(Duration::from_secs(5)).await; // on a clock of the test's own
        two.calls(0).on_fault(&Fault::ChannelNotFound, None);
        tokio::time::sleep(Duration::from_secs(6)).await; // the probe is taken
        let permit = two.sound_may_send(2 * PROBE_WITHIN).await;
        assert!(permit.is_some_and(|permit| permit.send_breaker.is_some_and(|sends| sends.is_probe())));
    }
}
