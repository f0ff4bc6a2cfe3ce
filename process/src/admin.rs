//! The admin listener: whether this process lives, whether it is ready, and its metrics.
//!
//! It has a thread and a runtime of its own. So it answers also while the process's own runtime does not, and can say
//! just that; and nothing that callers or edges do takes its turn. It must never show a secret or change anything: it
//! has no authentication, and listens on loopback unless told otherwise.

mod counted;
mod exchange;
mod listener;
mod readiness;
mod workers;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{BindError, ListenerTls, Remarks, Threads, local_addresses};
use exchange::exchange;

pub use counted::Counted;
pub use listener::AdminListener;
pub use readiness::Readiness;
use workers::Workers;

/// How long one exchange may take, from accept to the last byte.
const EXCHANGE: Duration = Duration::from_secs(30);
/// Exchanges at a time; whoever comes beyond waits.
const EXCHANGES: usize = 64;
/// Pause after an accept that failed, as without descriptors: it would fail again at once.
const PAUSE: Duration = Duration::from_millis(250);
/// *Source:* OpenMetrics 1.0.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const INDEX: &str = "\
/livez    whether the process works at all
/readyz   whether it should get calls, and if not, why
/metrics  what it counts, for Prometheus
";

/// An admin listener that answers for as long as this lives.
#[derive(Debug)]
pub struct Admin {
    addresses: String,
    _stop: DropGuard,
}

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Its address.
    #[error("--admin-listener")]
    Bind(#[from] BindError),
    /// The system gives no thread or no runtime.
    #[error("the admin listener cannot run")]
    Run(#[from] io::Error),
}

/// What is to be counted, to be served by an [`Admin`]: a registry whose families all get our prefix.
pub(crate) fn families() -> Registry {
    Registry::with_prefix("grpc_multiplexer")
}

/// What the answers are made of.
struct Pages {
    workers: Workers,
    readiness: Readiness,
    metrics: Registry,
}

impl Admin {
    /// Answers on `listeners` about the runtime that this is called in and `threads`, about `readiness`, and with `metrics`;
    /// over TLS where `tls` gives one for whoever comes next.
    ///
    /// # Errors
    ///
    /// [`AdminError::Run`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn serve(
        listeners: Vec<TcpListener>,
        threads: &Threads,
        readiness: Readiness,
        metrics: Registry,
        tls: impl Fn() -> Option<ListenerTls> + Clone + Send + 'static,
    ) -> Result<Self, AdminError> {
        let left = readiness.left().clone();
        let pages = Pages {
            workers: Workers::of(Handle::current(), threads),
            readiness,
            metrics,
        };
        let pages = Arc::new(pages);
        let router = router(Arc::clone(&pages));
        let addresses = local_addresses(&listeners);
        let sockets: Vec<_> = listeners
            .into_iter()
            .map(TcpListener::into_std)
            .collect::<io::Result<_>>()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let told = stop.clone();
        let answer = async move {
            let mut listeners = JoinSet::new();
            for socket in sockets {
                let listener = TcpListener::from_std(socket)?;
                listeners.spawn(listen(listener, router.clone(), tls.clone(), left.clone()));
            }
            told.cancelled().await;
            io::Result::Ok(())
        };
        let thread = thread::Builder::new().name("admin".to_owned());
        thread.spawn(move || {
            if let Err(error) = runtime.block_on(answer) {
                tracing::error!(%error, "the admin listener ended");
            }
        })?;
        Ok(Self {
            addresses,
            _stop: stop.drop_guard(),
        })
    }

    /// Where it listens, joined by `,`; `None` where it does not.
    #[must_use]
    pub fn addresses(&self) -> Option<&str> {
        Some(&*self.addresses).filter(|addresses| !addresses.is_empty())
    }
}

fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(pages)
}

async fn live(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    match pages.workers.dead().await {
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("dead: {why}\n")),
        None => (StatusCode::OK, "alive\n".to_owned()),
    }
}

async fn ready(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    let reasons = pages.readiness.reasons();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines = reasons
        .iter()
        .map(|reason| format!("not ready: {reason}\n"));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}

async fn metrics(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &pages.metrics) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, METRICS_TYPE)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain; charset=utf-8")],
            format!("{error}\n"),
        ),
    }
}

/// Takes whoever asks, a bounded number at a time, until this is `left` to another process.
async fn listen(
    listener: TcpListener,
    router: Router,
    tls: impl Fn() -> Option<ListenerTls>,
    left: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(EXCHANGES));
    let remarks = Arc::new(Remarks::default());
    let mut exchanges = JoinSet::new();
    let accept = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        (listener.accept().await, place)
    };
    loop {
        let (accepted, place) = tokio::select! {
            biased;
            () = left.cancelled() => break,
            came = accept() => came,
        };
        match accepted {
            Ok((socket, _)) => {
                let (router, tls, remarks) = (router.clone(), tls(), Arc::clone(&remarks));
                exchanges.spawn(async move {
                    let _place = place;
                    // Who asks too slowly is cut off.
                    let _ = timeout(EXCHANGE, exchange(socket, router, tls, &remarks)).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "admin: cannot accept");
                sleep(PAUSE).await;
            }
        }
        while exchanges.try_join_next().is_some() {}
    }
    drop(listener);
    while exchanges.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
