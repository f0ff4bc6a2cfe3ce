//! Calls that nobody cancels: a hundred a second, and four streams without end.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::notices::{in_ms, percentile};
use crate::{EMPTY, Target};

const STREAMS: usize = 4;
const EVERY: Duration = Duration::from_millis(10);
/// A call that takes longer is a failed one.
const LIMIT: Duration = Duration::from_secs(20);

/// Those that run.
pub(crate) struct Innocents {
    seen: Arc<Mutex<Seen>>,
    calls: JoinSet<()>,
    streams: JoinSet<anyhow::Result<()>>,
    _connection: JoinSet<()>,
}

/// What became of them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    took: Vec<Duration>,
    failures: Vec<String>,
    lost: usize,
}

impl Innocents {
    /// Where the backend is to answer nobody, they are four calls that wait.
    pub(crate) async fn start(target: &Target, quiet: bool) -> anyhow::Result<Self> {
        let mut connection = JoinSet::new();
        let caller = target.connect(&mut connection).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut streams = JoinSet::new();
        for _ in 0..STREAMS {
            if quiet {
                let (caller, target) = (caller.clone(), target.clone());
                streams.spawn(async move { begin(&caller, &target, "Hang").await.map(drop) });
            } else {
                let mut body = begin(&caller, target, "Stream").await?;
                streams.spawn(async move { read(&mut body).await });
            }
        }
        let mut calls = JoinSet::new();
        if !quiet {
            calls.spawn(call_all_the_time(caller, target.clone(), Arc::clone(&seen)));
        }
        Ok(Self {
            seen,
            calls,
            streams,
            _connection: connection,
        })
    }

    /// Lets the calls that run end, and looks whether the streams still do.
    pub(crate) async fn end(mut self) -> Seen {
        self.calls.shutdown().await;
        let mut seen = self.seen.lock().unwrap().clone();
        while let Some(ended) = self.streams.try_join_next() {
            seen.lost += 1;
            seen.failures.push(format!("a stream ended: {ended:?}"));
        }
        seen
    }
}

impl Seen {
    pub(crate) fn unharmed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p99 = in_ms(percentile(&self.took, 0.99));
        let failed = self.failures.len() - self.lost;
        let calls = self.took.len() + failed;
        write!(f, "innocents {failed} of {calls} failed, p99 {p99} ms, ")?;
        write!(f, "streams {} of {STREAMS} lost", self.lost)?;
        self.failures
            .iter()
            .take(5)
            .try_for_each(|failure| write!(f, "\n     {failure}"))
    }
}

async fn call_all_the_time(caller: SendRequest<Bytes>, target: Target, seen: Arc<Mutex<Seen>>) {
    let mut ticks = interval(EVERY);
    let mut calls = JoinSet::new();
    loop {
        ticks.tick().await;
        while calls.try_join_next().is_some() {}
        let (caller, target, seen) = (caller.clone(), target.clone(), Arc::clone(&seen));
        calls.spawn(async move {
            let start = Instant::now();
            let result = timeout(LIMIT, echo(&caller, &target)).await;
            let mut seen = seen.lock().unwrap();
            match result {
                Ok(Ok(())) => seen.took.push(start.elapsed()),
                Ok(Err(error)) => seen.failures.push(format!("{error:#}")),
                Err(_) => seen.failures.push(format!("no answer in {LIMIT:?}")),
            }
        });
    }
}

async fn begin(
    caller: &SendRequest<Bytes>,
    target: &Target,
    method: &str,
) -> anyhow::Result<RecvStream> {
    let mut caller = caller.clone().ready().await?;
    let (response, mut send) = caller.send_request(target.request(method, 0), false)?;
    send.send_data(Bytes::from_static(EMPTY), true)?;
    let response = response.await?;
    if let Some(status) = response.headers().get("grpc-status") {
        anyhow::bail!(
            "status {status:?}: {:?}",
            response.headers().get("grpc-message")
        );
    }
    Ok(response.into_body())
}

/// Reads to the end.
async fn read(body: &mut RecvStream) -> anyhow::Result<()> {
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    let trailers = body.trailers().await?;
    let status = trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"));
    anyhow::ensure!(
        status.is_some_and(|status| status == "0"),
        "ended with {trailers:?}"
    );
    Ok(())
}

async fn echo(caller: &SendRequest<Bytes>, target: &Target) -> anyhow::Result<()> {
    read(&mut begin(caller, target, "Echo").await?).await
}
