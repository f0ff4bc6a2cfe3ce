//! Callers that call while something changes.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Caller, Mux, within};

/// As many callers, each on a connection of its own.
const CALLERS: usize = 4;
/// Calls of each before whatever changes, and after it.
const SOME: usize = 10;

/// Callers that make one call to `rainbow` after the other, until they are asked how it went. A call that is not answered with
/// `pong` ends its caller.
#[derive(Debug)]
pub struct Load {
    calls: JoinSet<()>,
    stop: CancellationToken,
}

impl Load {
    /// Calls of `/s/m`.
    pub async fn start(mux: &Mux) -> Self {
        Self::of(mux, "/s/m", &[]).await
    }

    /// Calls of `/s/m` over TLS.
    ///
    /// # Panics
    ///
    /// When the proxy is not the one that `tls` trusts.
    pub async fn secure(mux: &Mux, tls: &ClientConfig) -> Self {
        let connect = async || Caller::secure(mux.proxy, tls.clone()).await.unwrap();
        Self::over(connect, "/s/m", &[]).await
    }

    /// Calls of another method, with further metadata.
    pub async fn of(mux: &Mux, method: &str, metadata: &[(&str, &str)]) -> Self {
        Self::over(async || Caller::connect(mux.proxy).await, method, metadata).await
    }

    async fn over(
        connect: impl AsyncFn() -> Caller,
        method: &str,
        metadata: &[(&str, &str)],
    ) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let metadata: Vec<_> = [("client-id", "rainbow")]
            .iter()
            .chain(metadata)
            .map(owned)
            .collect();
        let (mut calls, stop) = (JoinSet::new(), CancellationToken::new());
        let begun = Arc::new(Barrier::new(CALLERS + 1));
        for _ in 0..CALLERS {
            let caller = connect().await;
            let (stop, begun) = (stop.clone(), Arc::clone(&begun));
            let (method, metadata) = (method.to_owned(), metadata.clone());
            calls.spawn(async move {
                let metadata: Vec<_> = metadata
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let call = async || {
                    let answer = caller.call(&method, &metadata, b"x").await;
                    assert_eq!(answer.body, b"pong", "{answer:?}");
                };
                for _ in 0..SOME {
                    call().await;
                }
                begun.wait().await;
                while !stop.is_cancelled() {
                    call().await;
                }
                for _ in 0..SOME {
                    call().await;
                }
            });
        }
        within("calls before anything changes", begun.wait()).await;
        Self { calls, stop }
    }

    /// Sees that every call was answered, and that more are now.
    ///
    /// # Panics
    ///
    /// When one was not.
    pub async fn none_failed(self) {
        self.stop.cancel();
        self.calls.join_all().await;
    }
}
