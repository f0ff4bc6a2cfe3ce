//! Where a hook is.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use grpc_multiplexer_proto::hooks::v1::hooks_service_client::HooksServiceClient;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::json::LARGEST;
use super::question::Client;
use crate::url::Url;

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

/// The one channel that all questions over gRPC share; another once the place or its TLS is another.
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

fn client(place: &Arc<Place>) -> Client {
    let url = place.url().clone();
    let origin = url.to_string();
    let endpoint = Endpoint::from_shared(origin).expect("a URL is one");
    let channel: Channel = endpoint.connect_with_connector_lazy(service_fn(move |_| {
        let url = url.clone();
        async move {
            url.connect()
                .await
                .map(TokioIo::new)
                .map_err(io::Error::other)
        }
    }));
    HooksServiceClient::new(channel).max_decoding_message_size(LARGEST)
}
