//! A future that ends in the middle.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;

/// A future that is dropped at its so-manieth poll, if that comes before it is spared.
pub(super) struct Doomed<F> {
    future: Option<Pin<Box<F>>>,
    polls: u32,
    spared: CancellationToken,
}

impl<F> Doomed<F> {
    pub(super) fn new(future: F, polls: u32, spared: CancellationToken) -> Self {
        Self {
            future: Some(Box::pin(future)),
            polls,
            spared,
        }
    }
}

impl<F: Future> Future for Doomed<F> {
    /// `None` when it was dropped.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 && !self.spared.is_cancelled() {
            self.future = None;
            return Poll::Ready(None);
        }
        self.polls = self.polls.saturating_sub(1);
        match &mut self.future {
            Some(future) => future.as_mut().poll(cx).map(Some),
            None => Poll::Ready(None),
        }
    }
}
