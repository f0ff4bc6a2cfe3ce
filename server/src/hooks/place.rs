//! Where a hook is.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grpc_multiplexer_proto::hooks::v1::hooks_service_client::HooksServiceClient;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::json::LARGEST;
use super::options::LONGEST;
use super::question::Client;
use crate::url::Url;

/// A hook over gRPC that says nothing is asked for a sign of life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Where it is, and what it speaks.
#[derive(Debug)]
pub(super) enum Place {
    Grpc(Url),
    /// JSON over HTTP/1.
    Json(Url),
}

impl Place {
    pub(super) fn url(&self) -> &Url {
        match self {
            Self::Grpc(url) | Self::Json(url) => url,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url().fmt(f)
    }
}

/// The one channel that all questions over gRPC share; another after each reload, which may have brought another TLS.
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<Option<(Arc<Place>, Client)>>);

impl Channels {
    pub(super) fn to(&self, place: &Arc<Place>) -> Client {
        // A panic while the lock is held leaves a channel that is still whole.
        let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*channel {
            Some((to, client)) if Arc::ptr_eq(to, place) => client.clone(),
            _ => {
                let client = client(place);
                *channel = Some((Arc::clone(place), client.clone()));
                client
            }
        }
    }
}

/// A connection outlives the questions that wait for it. One that hangs is given up when nobody could wait for it any more.
fn client(place: &Arc<Place>) -> Client {
    let url = place.url().clone();
    let origin = url.to_string();
    let endpoint = Endpoint::from_shared(origin)
        .expect("a URL is one")
        .connect_timeout(LONGEST)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(LONGEST)
        .keep_alive_while_idle(true);
    let channel: Channel = endpoint.connect_with_connector_lazy(service_fn(move |_| {
        let url = url.clone();
        async move { url.connect().await.map(TokioIo::new) }
    }));
    HooksServiceClient::new(channel).max_decoding_message_size(LARGEST)
}

#[cfg(test)]
mod tests {
    use grpc_multiplexer_proto::hooks::v1::AuthorizeRequest;
    use rustls::crypto::ring::default_provider;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::super::question::Question as _;
    use super::*;

    /// Whether it hangs while it is made, as with TLS, or later.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_hangs_is_given_up_and_another_is_made() {
        for scheme in ["http", "https"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = format!("{scheme}://{}", listener.local_addr().unwrap());
            let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            let url = at.parse::<Url>().unwrap().with_tls(Arc::new(tls));
            let client = client(&Arc::new(Place::Grpc(url)));
            // Nobody waits for an answer as long as for the connection.
            let ask = async {
                loop {
                    let asked = AuthorizeRequest::default().ask(client.clone());
                    let _ = timeout(LONGEST / 4, asked).await;
                }
            };
            let connections = async {
                let _hangs = listener.accept().await.unwrap();
                listener.accept().await.unwrap()
            };
            tokio::select! {
                () = ask => {}
                another = timeout(10 * KEEP_ALIVE, connections) => drop(another.unwrap()),
            }
        }
    }
}
