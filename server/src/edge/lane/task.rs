//! The work behind a lane: the one task that polls its connection.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use grpc_multiplexer_tunnel::{PeerEnd, Session, StreamEnd};
use h2::Reason;
use h2::client::Connection;
use tokio::time::{Instant, Sleep, sleep_until};

use super::stream::Held;
use super::{Lane, LaneEnd, lock};
use crate::edge::sniff::Sniffer;
use crate::guard::FrameGuard;
use crate::windows::Tuner;

/// A lane without calls is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// How long the word on why a stream ended may trail its end.
const WORD_OF_END: Duration = Duration::from_secs(1);
/// A backend is slow whose cancelled calls are held for longer.
const LONG_HOLD: Duration = Duration::from_millis(250);

/// The work behind a [`Lane`].
pub(crate) struct LaneTask {
    lane: Arc<Lane>,
    connection: Connection<FrameGuard<Sniffer>, Bytes>,
    session: Session,
    peer: PeerEnd,
    tuner: Tuner,
    target: u32,
    timer: Pin<Box<Sleep>>,
    idle_since: Option<Instant>,
    /// The backend's GOAWAY was noted.
    went_away: bool,
}

impl LaneTask {
    pub(super) fn new(
        lane: Arc<Lane>,
        connection: Connection<FrameGuard<Sniffer>, Bytes>,
        session: Session,
        peer: PeerEnd,
    ) -> Self {
        Self {
            lane,
            connection,
            session,
            peer,
            tuner: Tuner::new(),
            target: 0,
            timer: Box::pin(sleep_until(Instant::now())),
            idle_since: None,
            went_away: false,
        }
    }

    /// Runs the connection to its end. Nothing is left of the lane then.
    pub(crate) async fn run(mut self) {
        let _always = EndOnDrop(Arc::clone(&self.lane));
        let result = poll_fn(|cx| self.poll(cx)).await;
        self.lane.retire();
        self.note_go_away(result.as_ref().err());
        let Self { connection, .. } = self;
        // Closes the stream, and with it what the edge still says about it.
        drop(connection);
        let end = why(&result, &self.peer, &self.session).await;
        tracing::debug!(?end, error = ?result.err(), "lane closed");
        self.lane.over(end);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.lane.holdings.register(cx.waker());
        loop {
            let now = Instant::now();
            let markers = self.mark(now);
            let refill = self.poll_held(now, cx);
            if self.is_forsaken(refill.is_some()) {
                return Poll::Ready(Ok(()));
            }
            self.grow(now);
            self.retarget();
            let idle = self.idle(now);
            if let Poll::Ready(end) = Pin::new(&mut self.connection).poll(cx) {
                return Poll::Ready(end);
            }
            self.note_go_away(self.lane.error().as_ref());
            let Some(wake_at) = [markers, refill, idle].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            if self.timer.deadline() != wake_at {
                self.timer.as_mut().reset(wake_at);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Lets go of held streams that may be reset now, or ended by themselves. Returns when to come back.
    fn poll_held(&self, now: Instant, cx: &mut Context<'_>) -> Option<Instant> {
        let mut over = Vec::new();
        let mut gate = self.lane.gate();
        let since = gate.first_held()?.since();
        if since.is_some_and(|since| now > since + LONG_HOLD) {
            self.lane.resets.slow(gate.held(), now);
        }
        gate.look_after_held(|held| held.poll_discard(cx));
        while let Some(held) = gate.release(now) {
            over.push(held);
        }
        let refill = gate.refill_at();
        drop(gate);
        // Without the lock: what a handle does when it goes is not ours to know.
        over.into_iter().for_each(Held::reset);
        refill
    }

    /// Whether all that is left are cancelled calls that wait for their reset on a lane that takes no more: its end is
    /// theirs too. One that sent all the resets that its backend bears is such a lane.
    fn is_forsaken(&self, spent: bool) -> bool {
        let only_held = || {
            let held = self.lane.gate().held();
            held > 0 && held == self.lane.calls()
        };
        if !only_held() || !(spent || self.lane.is_over()) {
            return false;
        }
        self.lane.retire();
        drop(lock(&self.lane.sender).take());
        // A call that began in between is on the lane; one that only chose it finds no sender, and goes elsewhere.
        only_held()
    }

    /// Notes the backend's GOAWAY, once.
    fn note_go_away(&mut self, error: Option<&h2::Error>) {
        let error = error.filter(|error| error.is_go_away() && error.is_remote());
        if let Some(error) = error.filter(|_| !self.went_away) {
            self.went_away = true;
            self.lane.went_away(error);
        }
    }

    /// Sends a marker if one is due. Returns when to come back.
    fn mark(&mut self, now: Instant) -> Option<Instant> {
        let lane = Arc::clone(&self.lane);
        let mut gate = lane.gate();
        if gate.marker_at(now)? <= now {
            let window = self.tuner.window();
            let sent = self.connection.set_initial_window_size(window).is_ok();
            gate.marker_tried(now, sent);
        }
        gate.marker_at(now)
    }

    /// Grows the stream window if the lane carries bulk. Whatever could grow it brings bytes, and so polls this task.
    fn grow(&mut self, now: Instant) {
        if !self.lane.is_bulk() {
            return;
        }
        let (holdings, rtt) = (&self.lane.holdings, self.session.rtt());
        if let Some(window) = self.tuner.sample(now, holdings, rtt) {
            // While another SETTINGS is out, the next sample tries again.
            if self.connection.set_initial_window_size(window).is_ok() {
                self.tuner.grown(window);
            }
        }
    }

    /// Keeps the connection's window at its base beyond what is held.
    fn retarget(&mut self) {
        let target = self.lane.holdings.target(self.tuner.window());
        if target != self.target {
            self.target = target;
            self.connection.set_target_window_size(target);
        }
    }

    /// Closes the lane when it had no call for long. Returns when to come back.
    fn idle(&mut self, now: Instant) -> Option<Instant> {
        if self.lane.calls() > 0 {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert(now);
        if !self.lane.is_over() {
            if self.session.is_legacy() {
                // Such an edge may take the end of its last stream for the end of the tunnel's use.
                return None;
            }
            if now < since + IDLE {
                return Some(since + IDLE);
            }
        }
        self.lane.retire();
        // A call that chose the lane a moment ago finds no sender, and goes elsewhere.
        drop(lock(&self.lane.sender).take());
        None
    }
}

/// A lane whose task panics has ended too, and its calls must learn it.
struct EndOnDrop(Arc<Lane>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.over(LaneEnd::BackendLost);
    }
}

/// Why the lane ended: what the edge said of the stream, where the tunnel is still there to say it.
async fn why(result: &Result<(), h2::Error>, peer: &PeerEnd, session: &Session) -> LaneEnd {
    let calm = result
        .as_ref()
        .is_err_and(|error| error.is_remote() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM));
    if calm {
        return LaneEnd::BackendCalm;
    }
    match word_of_end(peer, session).await {
        Some(StreamEnd::TunnelLost) => LaneEnd::TunnelLost,
        _ => LaneEnd::BackendLost,
    }
}

/// What the edge says of how a stream ended that did.
pub(super) async fn word_of_end(peer: &PeerEnd, session: &Session) -> Option<StreamEnd> {
    tokio::select! {
        biased;
        word = peer.wait() => Some(word),
        _ = session.closed() => Some(StreamEnd::TunnelLost),
        () = tokio::time::sleep(WORD_OF_END) => None,
    }
}
