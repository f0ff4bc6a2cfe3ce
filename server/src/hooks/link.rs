//! The connection to a hook that speaks gRPC.
//!
//! All questions share it. What makes it goes on when those who wait for it do not, so that also a hook is reached that is
//! farther away than an answer may take. One on which an answer does not come in time, nor any other, is left to those who wait
//! on it still, and the next question has another. In between nobody asks for a sign of life: servers take that for abuse.

use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grpc_multiplexer_proto::hooks::v1::hooks_service_client::HooksServiceClient;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Endpoint, Error};
use tower::service_fn;

use super::failure::HookError;
use super::json::LARGEST;
use super::options::LONGEST;
use super::question::{Client, Question};
use crate::url::Url;

/// Where such a hook is, and the connection to it, if there is one.
#[derive(Debug)]
pub(super) struct Link {
    url: Url,
    connection: Mutex<Option<Arc<Connection>>>,
}

/// One connection, or what becomes one.
#[derive(Debug)]
struct Connection {
    client: watch::Receiver<Option<Result<Client, Arc<Error>>>>,
    /// Answers that came.
    heard: AtomicU64,
    /// What makes it.
    _dial: JoinSet<()>,
}

impl Link {
    pub(super) fn to(url: Url) -> Self {
        Self {
            url,
            connection: Mutex::default(),
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Puts a question, which is to be answered by then.
    pub(super) async fn ask<Q: Question>(
        &self,
        question: Q,
        deadline: Instant,
    ) -> Result<Result<Q::Answer, HookError>, Elapsed> {
        let connection = self.connection();
        let client = match timeout_at(deadline, connection.client()).await? {
            Ok(client) => client,
            Err(error) => {
                self.forget(&connection);
                return Ok(Err(error));
            }
        };
        let heard = connection.heard();
        match timeout_at(deadline, question.ask(client)).await {
            Ok(Ok(answer)) => {
                connection.hears();
                Ok(Ok(answer.into_inner()))
            }
            Ok(Err(status)) => {
                match status.source() {
                    None => connection.hears(),
                    Some(_) => self.forget(&connection),
                }
                Ok(Err(HookError::grpc(&status)))
            }
            Err(late) => {
                if connection.heard() == heard {
                    self.forget(&connection);
                }
                Err(late)
            }
        }
    }

    fn connection(&self) -> Arc<Connection> {
        let mut connection = self.lock();
        Arc::clone(connection.get_or_insert_with(|| Arc::new(Connection::to(&self.url))))
    }

    /// The next question has another.
    fn forget(&self, connection: &Arc<Connection>) {
        let mut now = self.lock();
        if now.as_ref().is_some_and(|now| Arc::ptr_eq(now, connection)) {
            *now = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        // A panic while the lock is held leaves a connection that is still whole.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn to(url: &Url) -> Self {
        let (made, client) = watch::channel(None);
        let dial = dial(url.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let client = dial.await.map_err(Arc::new);
            // Nobody may need it any more.
            let _ = made.send(Some(client));
        });
        Self {
            client,
            heard: AtomicU64::new(0),
            _dial: tasks,
        }
    }

    /// A way to the hook, once there is one.
    async fn client(&self) -> Result<Client, HookError> {
        let mut client = self.client.clone();
        let made = client.wait_for(Option::is_some).await;
        match made.as_deref() {
            Ok(Some(Ok(client))) => Ok(client.clone()),
            Ok(Some(Err(error))) => Err(HookError::of_connection(&**error)),
            // Whoever dials says so at last, unless that panicked.
            Ok(None) | Err(_) => Err(HookError::Unreached("nobody dials".into())),
        }
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn hears(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }
}

async fn dial(url: Url) -> Result<Client, Error> {
    let endpoint = Endpoint::from_shared(url.to_string()).expect("a URL is one");
    let connect = service_fn(move |_| {
        let url = url.clone();
        async move { url.connect().await.map(TokioIo::new) }
    });
    let endpoint = endpoint.connect_timeout(LONGEST);
    let channel = endpoint.connect_with_connector(connect).await?;
    Ok(HooksServiceClient::new(channel).max_decoding_message_size(LARGEST))
}

#[cfg(test)]
mod tests;
