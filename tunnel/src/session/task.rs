//! The work behind a session: driver and keeper, to the end of either.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinError;
use tokio::time::{Timeout, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{CLOSE_TIMEOUT, Driver, Shared, Wire};
use crate::SessionError;

/// Decides when the session ends, and why: the control loop, or what stands in for it.
pub(super) type Keeper = Pin<Box<dyn Future<Output = SessionError> + Send>>;

/// The work behind a [`Session`](super::Session).
#[must_use = "a session does nothing unless its task runs"]
pub struct SessionTask {
    driver: Driver,
    keeper: Keeper,
    shared: Arc<Shared>,
}

impl fmt::Debug for SessionTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTask").finish_non_exhaustive()
    }
}

impl SessionTask {
    pub(super) fn new(driver: Driver, keeper: Keeper, shared: Arc<Shared>) -> Self {
        Self {
            driver,
            keeper,
            shared,
        }
    }

    /// Runs the tunnel to its end, and says why it ended. To be called within a runtime, which drives the connection on a
    /// task of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts the tunnel; its handles learn it.
    pub fn run(self) -> impl Future<Output = SessionError> + Send {
        let Self {
            driver,
            mut keeper,
            shared,
        } = self;
        let always = EndOnDrop(Arc::clone(&shared));
        // Outside of the future, which would keep room for it.
        #[expect(clippy::disallowed_methods, reason = "it ends with its handle")]
        let mut driving = AbortOnDropHandle::new(tokio::spawn(driver.run(Arc::clone(&shared))));
        async move {
            let end = tokio::select! {
                biased;
                end = &mut keeper => match end {
                    // All streams end with the connection, and the driver knows why.
                    SessionError::Lost(_) => match soon(&mut driving).await {
                        Ok(lost @ Ok(Err(_))) => SessionError::Lost(describe(lost)),
                        _ => end,
                    },
                    end => end,
                },
                lost = &mut driving => match shared.wire {
                    Wire::Bare => SessionError::Lost(describe(lost)),
                    // The peer's last words may still wait in the control stream.
                    Wire::Messages => match soon(keeper).await {
                        Ok(end @ SessionError::Goodbye { .. }) => end,
                        _ => SessionError::Lost(describe(lost)),
                    },
                },
            };
            shared.end(end.clone());
            // A goodbye is on its way out.
            if let SessionError::Closed(_) | SessionError::Violation { .. } = end {
                shared.hang_up.say();
                // Past this the socket is dropped, which also ends it.
                let _ = soon(driving).await;
            }
            // A name of its own would have room for it twice.
            drop(always);
            end
        }
    }
}

/// What comes of `end` within the time that a close may take. Boxed: no session needs it before its end.
fn soon<F: Future>(end: F) -> Pin<Box<Timeout<F>>> {
    Box::pin(timeout(CLOSE_TIMEOUT, end))
}

/// A session whose task is dropped, or panics, has ended too.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0
            .end(SessionError::Lost("its task was dropped".to_owned()));
    }
}

fn describe(joined: Result<Result<(), yamux::ConnectionError>, JoinError>) -> String {
    match joined {
        Ok(Ok(())) => "closed by the peer".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}
