//! Takes callers: accept, meet, and one task per connection; one per call.

use std::future::{Future as _, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use grpc_multiplexer_process::{Counted, Remarks, Seldom, Threads};
use grpc_multiplexer_tunnel::BoxedIo;
use h2::server::{Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::Request;
use tokio::net::TcpListener;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info_span, warn};

use super::Proxy;
use super::caller::Caller;
use super::comers::Met;
use super::crowd::{Crowd, Crowded, Member};
use super::farewell::Farewell;
use crate::accept::{Accepted, accept_loop};
use crate::edge::places::CallerId;
use crate::gather::Gathering;
use crate::guard::{Flood, Floods, FrameGuard};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::newcomers::Newcomers;
use crate::overload::Taken;
use crate::trust;
use crate::windows::Tuner;

/// Between two PINGs to a caller.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// How long the answer may take. That to the first PING has the time of a handshake: it
/// shows that the caller did begin.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(20);
pub(super) type H2 = Connection<FrameGuard<Gathering<BoxedIo>>, Bytes>;

/// What every caller connection needs.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) proxy: Arc<Proxy>,
    /// Cancelled when callers are to go elsewhere: each is told, and its calls go on.
    pub(crate) drain: CancellationToken,
    /// Cancelled when connections must end.
    pub(crate) close: CancellationToken,
    pub(crate) connections: TaskTracker,
    pub(crate) calls: TaskTracker,
    /// Where edges should have dialled that dialled here.
    pub(crate) multiplexer_port: u16,
    pub(crate) remarks: Remarks,
    pub(crate) metrics: Metrics,
    /// Connections so far.
    pub(crate) met: AtomicU64,
    pub(crate) limits: Limits,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) newcomers: Arc<Newcomers>,
    pub(crate) threads: Threads,
    pub(crate) turned_away: Seldom,
    pub(crate) floods: Arc<Floods>,
}

impl Callers {
    /// Takes callers from `listener` until they are told to go elsewhere.
    pub(crate) async fn listen(self: Arc<Self>, listener: Arc<TcpListener>) {
        let serve = |accepted: Accepted| {
            let remote = accepted.remote;
            // What is turned away is closed at once.
            let Some(counted) = self.let_in(remote) else {
                return;
            };
            let (callers, thread) = (Arc::clone(&self), accepted.thread.clone());
            let serve = async move {
                let _counted = counted;
                callers.serve(accepted).await;
            };
            let serve = serve.instrument(info_span!("caller", peer.addr = %remote));
            self.connections.spawn_on(serve, &thread);
        };
        let (newcomers, threads) = (&self.newcomers, &self.threads);
        accept_loop(&listener, "proxy", newcomers, threads, &self.drain, serve).await;
    }

    /// Counts a caller that came, unless there are too many.
    fn let_in(&self, remote: SocketAddr) -> Option<(Member, Taken)> {
        let joined = self.crowd.join(remote.ip()).and_then(|member| {
            let socket = self.proxy.overload.caller().ok_or(Crowded::Overload)?;
            Ok((member, socket))
        });
        if let Err(crowded) = &joined {
            self.metrics.turned_away("proxy", crowded.label());
            if let Some(times) = self.turned_away.again() {
                warn!(%remote, times, reason = %crowded, "callers turned away");
            }
        }
        joined.ok()
    }

    async fn serve(self: Arc<Self>, accepted: Accepted) {
        let close = self.close.clone();
        let serve = async {
            let remote = accepted.remote;
            let (socket, seat) = match accepted.open() {
                Ok(opened) => opened,
                Err(error) => return debug!(%remote, %error, "no caller"),
            };
            // Boxed: over soon, and large.
            match seat.shake_hands(Box::pin(self.meet(socket))).await {
                Some(Ok(Some(met))) => self.run(met, remote.ip()).await,
                Some(Ok(None)) => {}
                Some(Err(error)) => debug!(%remote, %error, "no caller"),
                None => {
                    self.metrics.turned_away("proxy", "silent");
                    debug!(%remote, "no caller: others waited for its seat");
                }
            }
        };
        close.run_until_cancelled(serve).await;
    }

    /// Serves one connection to its end.
    async fn run(&self, met: Met, address: IpAddr) {
        let Met {
            mut connection,
            certificate,
            shown,
            written,
            turn,
        } = met;
        let _counted = Counted::on(&self.metrics.caller_connections);
        let id = CallerId(self.met.fetch_add(1, Ordering::Relaxed));
        let ends = self.proxy.cut.child_token();
        let caller = Arc::new(Caller::new(id, address, certificate, ends));
        let limit = self.limits.handshake_timeout;
        let mut upkeep = Upkeep::new(&mut connection, Arc::clone(&caller), limit);
        let leave = self.drain.child_token();
        let mut farewell = Farewell::new(leave.clone(), written, &self.proxy.settings);
        let distrusted = trust::lost(&shown, &self.proxy.settings, |settings| {
            settings.proxy_tls.as_ref()
        });
        tokio::pin!(distrusted);
        loop {
            let next = poll_fn(|cx| {
                if !caller.is_distrusted()
                    && let Poll::Ready(why) = distrusted.as_mut().poll(cx)
                {
                    self.remarks
                        .say(format_args!("a caller may call no more: {why}"));
                    caller.distrust();
                    leave.cancel();
                }
                if upkeep.poll(cx, &mut connection).is_ready() {
                    return Poll::Ready(None);
                }
                // Before the connection is polled, so that it has written the answers of the calls that are over.
                let was_idle = caller.is_idle();
                let accepted = connection.poll_accept(cx);
                if accepted.is_pending() && turn.is_over() {
                    // After everybody else who has something to do.
                    cx.waker().wake_by_ref();
                }
                if accepted.is_pending() && farewell.poll(cx, was_idle, &mut connection).is_ready()
                {
                    return connection.poll_accept(cx);
                }
                accepted
            });
            match next.await {
                Some(Ok(call)) => {
                    farewell.call_came();
                    self.start(call, &caller);
                }
                Some(Err(error)) => {
                    if error.reason() == Some(Reason::ENHANCE_YOUR_CALM) && error.is_library() {
                        self.floods.seen(Flood::Errors);
                    }
                    return debug!(%error, "caller connection failed");
                }
                None if caller.floods() => return self.floods.seen(Flood::Cancels),
                // Dropped, the connection would answer a call that crossed the farewell with a reset, which overtakes it.
                None => return farewell.heard().await,
            }
        }
    }

    fn start(&self, call: (Request<RecvStream>, SendResponse<Bytes>), caller: &Arc<Caller>) {
        let (request, respond) = call;
        let proxy = Arc::clone(&self.proxy);
        let (head, upload) = request.into_parts();
        let (head, under_way) = (Box::new(head), caller.call());
        let serve = proxy.serve(head, upload, respond, Arc::clone(caller), under_way);
        // Boxed: a task is moved a few times before it begins, and once more when it is over.
        self.calls.spawn(Box::pin(serve).in_current_span());
    }
}

/// What a connection needs beside its calls: windows that fit, and a PING now and then.
struct Upkeep {
    caller: Arc<Caller>,
    tuner: Tuner,
    target: u32,
    pings: Option<PingPong>,
    asked: Option<Instant>,
    ask_at: Instant,
    ticks: Interval,
    /// The connection is ended for too many cancels.
    ended: bool,
}

impl Upkeep {
    fn new(connection: &mut H2, caller: Arc<Caller>, first: Duration) -> Self {
        let mut pings = connection.ping_pong();
        // The first one measures, and shows that somebody is there.
        let asked = pings
            .as_mut()
            .and_then(|pings| pings.send_ping(Ping::opaque()).ok())
            .map(|()| Instant::now());
        let mut ticks = interval_at(Instant::now() + first, PING_TIMEOUT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            caller,
            tuner: Tuner::new(),
            target: 0,
            pings,
            asked,
            ask_at: Instant::now() + PING_INTERVAL,
            ticks,
            ended: false,
        }
    }

    /// Ready when the caller is dead.
    fn poll(&mut self, cx: &mut Context<'_>, connection: &mut H2) -> Poll<()> {
        self.caller.holdings().register(cx.waker());
        if self.caller.floods() && !self.ended {
            self.ended = true;
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        self.fit_windows(connection);
        self.poll_pings(cx)
    }

    fn fit_windows(&mut self, connection: &mut H2) {
        let holdings = self.caller.holdings();
        let rtt = self.caller.rtt();
        if self.caller.is_bulk() && !rtt.is_zero() {
            let grown = self.tuner.sample(Instant::now(), holdings, Some(rtt));
            // While another SETTINGS is out, the next sample tries again.
            if let Some(window) = grown
                && connection.set_initial_window_size(window).is_ok()
            {
                self.tuner.grown(window);
            }
        }
        let target = holdings.target(self.tuner.window());
        if target != self.target {
            self.target = target;
            connection.set_target_window_size(target);
        }
    }

    /// Ready when a PING went unanswered.
    fn poll_pings(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pings) = &mut self.pings else {
            return Poll::Pending;
        };
        if let (Some(asked), Poll::Ready(Ok(_))) = (self.asked, pings.poll_pong(cx)) {
            self.caller.measured(asked.elapsed());
            self.asked = None;
        }
        while self.ticks.poll_tick(cx).is_ready() {
            match self.asked {
                // The only one that can be out at the first tick is the first.
                Some(_) => return Poll::Ready(()),
                None if self.ask_at <= Instant::now() => {
                    self.ask_at = Instant::now() + PING_INTERVAL;
                    self.asked = pings
                        .send_ping(Ping::opaque())
                        .ok()
                        .map(|()| Instant::now());
                    // Its answer is polled for from here on.
                    cx.waker().wake_by_ref();
                }
                None => {}
            }
        }
        Poll::Pending
    }
}
