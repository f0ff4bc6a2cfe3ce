//! What the calls of one caller connection share.
//!
//! Among it what is done about *early cancels*. A call that is cancelled as soon as it began costs its caller two small
//! frames, and everybody else a place on a lane and the start of a handler. But callers do cancel in bursts, and nothing
//! is wrong with it: deadlines that pass together, hedged calls, a program that stops. So two things are done:
//!
//! * Calls that were cancelled early *on a lane* set a pace ([`PACE`]): past a second's worth of them, the next calls of
//!   that connection wait in front of the edge, and nobody else's do. A call that is cancelled while it waits costs
//!   nothing.
//! * Only what no such caller does ends the connection: more than [`EARLY_CANCELS`] of calls younger than [`EARLY`],
//!   less those that its other calls earn back, one each. A caller that hedges every call, and so cancels every other,
//!   never gets there, however fast it is; nor does one that cancels all its calls, up to the rate.

use std::future::pending;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpc_multiplexer_tunnel::Allowance;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::edge::places::CallerId;
use crate::policy::Certificate;
use crate::windows::Holdings;

/// A call younger than this was cancelled early.
const EARLY: Duration = Duration::from_secs(1);
/// Early cancels at once, and per second beside that.
const EARLY_CANCELS: (u64, u64) = (20_000, 2_000);
/// What a call costs that is cancelled early on a lane, in time.
const PACE: Duration = Duration::from_micros(500);
/// So much of it may be owed before others wait.
const BURST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Caller {
    id: CallerId,
    address: IpAddr,
    /// What it showed, where it was asked for one.
    certificate: Option<Certificate>,
    /// Cancelled when its calls must end: all must, or what it showed is good no more.
    ends: CancellationToken,
    distrusted: AtomicBool,
    holdings: Arc<Holdings>,
    bulk: AtomicBool,
    calls: AtomicUsize,
    /// Microseconds, 0 before the first is known.
    rtt: AtomicU64,
    early_cancels: Mutex<Allowance>,
    floods: AtomicBool,
    /// When its early cancels on lanes are paid for, at their pace.
    paid: Mutex<Instant>,
}

impl Caller {
    /// One whose calls must end when `ends` is cancelled.
    pub(crate) fn new(
        id: CallerId,
        address: IpAddr,
        certificate: Option<Certificate>,
        ends: CancellationToken,
    ) -> Self {
        let (burst, per_second) = EARLY_CANCELS;
        Self {
            id,
            address,
            certificate,
            ends,
            distrusted: AtomicBool::new(false),
            holdings: Arc::default(),
            bulk: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            rtt: AtomicU64::new(0),
            early_cancels: Mutex::new(Allowance::new(burst, per_second)),
            floods: AtomicBool::new(false),
            paid: Mutex::new(Instant::now()),
        }
    }

    /// Which connection this is, among all of this process.
    pub(crate) fn id(&self) -> CallerId {
        self.id
    }

    /// Where it comes from.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// What whoever is there showed, if anything.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// What it showed is good no more: its calls end.
    pub(crate) fn distrust(&self) {
        self.distrusted.store(true, Ordering::Relaxed);
        self.ends.cancel();
    }

    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::Relaxed)
    }

    /// Cancelled when its calls must end.
    pub(crate) fn ends(&self) -> &CancellationToken {
        &self.ends
    }

    /// Why they must; `sent` is whether the call may have reached a backend.
    pub(crate) fn why_ended(&self, sent: bool) -> Failure {
        if self.is_distrusted() {
            Failure::Revoked
        } else {
            Failure::Draining { sent }
        }
    }

    /// Waits until what it showed is good no more.
    pub(crate) async fn distrusted(&self) {
        self.ends.cancelled().await;
        if !self.is_distrusted() {
            pending().await
        }
    }

    /// Bytes that calls of this connection received and could not pass on yet.
    pub(crate) fn holdings(&self) -> &Arc<Holdings> {
        &self.holdings
    }

    /// A call begins. The owner of the connection is woken when the last one has ended.
    pub(crate) fn call(self: &Arc<Self>) -> OneCall {
        self.calls.fetch_add(1, Ordering::Relaxed);
        OneCall(Arc::clone(self))
    }

    /// Whether no call is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.load(Ordering::Acquire) == 0
    }

    /// A call of this connection uploads much: its windows may grow.
    pub(crate) fn promote(&self) {
        if !self.bulk.swap(true, Ordering::Relaxed) {
            self.holdings.wake();
        }
    }

    /// Smallest round trip so far, zero before the first is known.
    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_micros(self.rtt.load(Ordering::Relaxed))
    }

    /// Takes one round trip into account.
    pub(crate) fn measured(&self, rtt: Duration) {
        let known = self.rtt();
        if known.is_zero() || rtt < known {
            let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
            self.rtt.store(micros.max(1), Ordering::Relaxed);
        }
    }

    /// A call of this connection ended, so long after it began.
    pub(crate) fn ended(&self, lived: Duration, cancelled: bool) {
        let mut early = lock(&self.early_cancels);
        if !cancelled || lived >= EARLY {
            early.earn_back(1);
        } else if !early.take() && !self.floods.swap(true, Ordering::Relaxed) {
            self.holdings.wake();
        }
    }

    /// A call of this connection was cancelled on its lane, so long after it came there.
    pub(crate) fn left(&self, lived: Duration) {
        if lived < EARLY {
            let mut paid = lock(&self.paid);
            *paid = paid.max(Instant::now()) + PACE;
        }
    }

    /// Waits until another call may go to a lane.
    pub(crate) async fn in_pace(&self) {
        if let Some(owed) = self.owed() {
            sleep(owed).await;
        }
    }

    /// Whether one may now.
    pub(crate) fn is_in_pace(&self) -> bool {
        self.owed().is_none()
    }

    /// How long until one may, if that is not now.
    fn owed(&self) -> Option<Duration> {
        let owed = lock(&self.paid).saturating_duration_since(Instant::now());
        owed.checked_sub(BURST).filter(|owed| !owed.is_zero())
    }

    /// Whether it cancelled more calls early than anybody needs to.
    pub(crate) fn floods(&self) -> bool {
        self.floods.load(Ordering::Relaxed)
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.bulk.load(Ordering::Relaxed)
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct OneCall(Arc<Caller>);

impl Drop for OneCall {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::Release) == 1 {
            self.0.holdings.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock is held leaves a value that is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    fn caller() -> Caller {
        let address = Ipv4Addr::LOCALHOST.into();
        Caller::new(CallerId(1), address, None, CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_flood_of_early_cancels_is_one() {
        let (burst, _) = EARLY_CANCELS;
        let caller = caller();
        for _ in 0..burst {
            caller.ended(AT_ONCE, true);
        }
        assert!(!caller.floods());
        caller.ended(AT_ONCE, true);
        assert!(caller.floods());
    }

    #[tokio::test(start_paused = true)]
    async fn hedging_and_late_cancels_and_a_steady_rate_are_no_flood() {
        let (burst, per_second) = EARLY_CANCELS;
        let caller = caller();
        for _ in 0..10 * burst {
            caller.ended(AT_ONCE, true);
            caller.ended(AT_ONCE, false);
        }
        for _ in 0..10 * burst {
            caller.ended(EARLY, true);
        }
        for _ in 0..60 {
            for _ in 0..per_second {
                caller.ended(AT_ONCE, true);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!caller.floods());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_behind_a_burst_of_those_that_left_their_lane() {
        let caller = caller();
        let started = Instant::now();
        for _ in 0..1_000 {
            caller.left(AT_ONCE);
            caller.left(EARLY);
        }
        caller.in_pace().await;
        assert_eq!(started.elapsed(), AT_ONCE, "half a burst is none");
        for _ in 0..5_000 {
            caller.left(AT_ONCE);
        }
        caller.in_pace().await;
        let waited = started.elapsed();
        assert!(waited >= Duration::from_secs(2), "{waited:?}");
        assert!(waited <= Duration::from_millis(2_010), "{waited:?}");
        caller.in_pace().await;
        assert_eq!(started.elapsed(), waited);
    }
}
