//! Callers that call all the time, each an edge of its own, over a connection of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// How many.
pub(crate) const CALLERS: usize = 40;
/// Between two calls of one.
const EVERY: Duration = Duration::from_millis(50);
/// A call that takes longer is a failed one.
const LIMIT: Duration = Duration::from_secs(20);

/// Those that call.
#[derive(Debug)]
pub(crate) struct Callers {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

/// What became of their calls.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    took: Vec<Duration>,
    failures: BTreeMap<String, usize>,
    /// Longest time from an answer to the next, of any caller.
    gap: Duration,
}

impl Callers {
    /// Has as many call edges `NAME-0`, `NAME-1` and so on.
    pub(crate) fn start(proxy: SocketAddr, name: &str) -> anyhow::Result<Self> {
        let seen = Arc::<Mutex<Seen>>::default();
        let mut tasks = JoinSet::new();
        for n in 0..CALLERS {
            let caller = Caller::new(proxy)?;
            let first = Instant::now() + EVERY * u32::try_from(n)? / u32::try_from(CALLERS)?;
            tasks.spawn(caller.call_on(format!("{name}-{n}"), first, Arc::clone(&seen)));
        }
        let _tasks = tasks;
        Ok(Self { seen, _tasks })
    }

    /// What became of the calls that ended since the last time.
    pub(crate) fn so_far(&self) -> Seen {
        mem::take(&mut self.seen.lock().unwrap())
    }
}

/// One connection, and another when that is lost, as tonic does it.
#[derive(Debug, Clone)]
pub(crate) struct Caller(HealthClient<Channel>);

impl Caller {
    pub(crate) fn new(proxy: SocketAddr) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{proxy}"))?.connect_lazy();
        Ok(Self(HealthClient::new(channel)))
    }

    /// Makes one call.
    pub(crate) async fn call(&mut self, client_id: &str) -> Result<(), Status> {
        let mut request = Request::new(HealthCheckRequest::default());
        let id = client_id.parse().expect("an id is a value of metadata");
        request.metadata_mut().insert("client-id", id);
        match timeout(LIMIT, self.0.check(request)).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(Status::deadline_exceeded("no answer")),
        }
    }

    /// Calls for ever. How long a call took counts from when it was due.
    async fn call_on(mut self, client_id: String, first: Instant, seen: Arc<Mutex<Seen>>) {
        let mut ticks = interval_at(first, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last = first;
        loop {
            let due = ticks.tick().await;
            let result = self.call(&client_id).await;
            let mut seen = seen.lock().unwrap();
            match result {
                Ok(()) => {
                    seen.took.push(due.elapsed());
                    seen.gap = seen.gap.max(last.elapsed());
                    last = Instant::now();
                }
                Err(status) => *seen.failures.entry(shown(&status)).or_default() += 1,
            }
        }
    }
}

/// The server's reason, or what the caller's end says.
fn shown(status: &Status) -> String {
    let reason = status.metadata().get("x-mux-error");
    match reason.and_then(|reason| reason.to_str().ok()) {
        Some(reason) => reason.to_owned(),
        None if status.code() == Code::Unavailable => "the server was gone".to_owned(),
        None => format!("{:?} {}", status.code(), status.message()),
    }
}

impl Seen {
    pub(crate) fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    pub(crate) fn p99(&self) -> Duration {
        self.percentile(0.99)
    }

    fn percentile(&self, part: f64) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let index = (last as f64 * part).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |part| self.percentile(part).as_secs_f64() * 1_000.0;
        let (failed, calls) = (self.failed(), self.failed() + self.took.len());
        write!(f, "{calls} calls, {failed} failed")?;
        write!(f, ", p50 {:.1} p99 {:.1}", ms(0.5), ms(0.99))?;
        write!(f, " most {:.1} ms", ms(1.0))?;
        write!(f, ", longest without an answer {:.1?}", self.gap)?;
        let mut failures = self.failures.iter();
        failures.try_for_each(|(reason, times)| write!(f, "\n       {times} x {reason}"))
    }
}
