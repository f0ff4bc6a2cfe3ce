//! Callers that call while something changes.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Caller, Mux};

/// As many callers, each on a connection of its own.
const CALLERS: usize = 4;

/// Callers that make one call to `rainbow` after the other, until they are asked how it went. A call that is not answered with
/// `pong` ends its caller.
#[derive(Debug)]
pub struct Load {
    calls: JoinSet<usize>,
    stop: CancellationToken,
}

impl Load {
    /// Calls of `/s/m`.
    pub async fn start(mux: &Mux) -> Self {
        Self::of(mux, "/s/m", &[]).await
    }

    /// Calls of another method, with further metadata.
    pub async fn of(mux: &Mux, method: &str, metadata: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let metadata: Vec<_> = [("client-id", "rainbow")]
            .iter()
            .chain(metadata)
            .map(owned)
            .collect();
        let (mut calls, stop) = (JoinSet::new(), CancellationToken::new());
        for _ in 0..CALLERS {
            let (caller, stop) = (Caller::connect(mux.proxy).await, stop.clone());
            let (method, metadata) = (method.to_owned(), metadata.clone());
            calls.spawn(async move {
                let metadata: Vec<_> = metadata
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let mut made = 0;
                while !stop.is_cancelled() {
                    let answer = caller.call(&method, &metadata, b"x").await;
                    assert_eq!(answer.body, b"pong", "{answer:?}");
                    made += 1;
                }
                made
            });
        }
        Self { calls, stop }
    }

    /// Sees that every call was answered.
    ///
    /// # Panics
    ///
    /// When one was not, and when hardly any was made.
    pub async fn none_failed(self) {
        self.stop.cancel();
        let made = self.calls.join_all().await;
        assert!(made.iter().all(|made| *made > 10), "{made:?}");
    }
}
