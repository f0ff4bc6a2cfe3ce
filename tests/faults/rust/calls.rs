//! One call of each kind, and whether all of its answer came.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use futures::stream::{self, Iter, Map, StreamExt as _, Zip};
use grpc_multiplexer_examples::echo::echo_service_client::EchoServiceClient;
use grpc_multiplexer_examples::echo::{
    BidiStreamRequest, ClientStreamRequest, EchoRequest, ServerStreamRequest,
};
use grpc_multiplexer_tests::errors_page;
use tokio::time::{Instant, interval};
use tokio_stream::wrappers::IntervalStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Messages at a pace.
type Paced<M> = Map<Zip<Iter<vec::IntoIter<M>>, IntervalStream>, fn((M, Instant)) -> M>;

/// Metadata that names a call; its backend notes each that it sees.
pub(crate) const TOKEN: &str = "call-token";
/// What a call may take before its caller gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What tonic says of that.
const TIMED_OUT: &str = "Timeout expired";
/// Between two messages of a stream.
const PACE: Duration = Duration::from_millis(20);
const MEBIBYTE: usize = 1 << 20;

/// The four kinds of gRPC, and how long a call of each lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Over at once.
    Unary,
    /// Lasts 150 ms.
    Slow,
    /// So many messages from the backend, one every 20 ms.
    Download(u32),
    /// So many messages to it, one every 20 ms.
    Upload(u32),
    /// So many messages there and back in turn.
    Talk(u32),
    /// 32 MiB from the backend, as fast as they come.
    Bulk,
    /// The same without an end.
    Flood,
}

/// What load consists of. Each caller has moments without a call: of a library on hyper, a connection that
/// never has one costs a call wherever a server says goodbye.
pub(crate) const MIX: [Kind; 7] = [
    Kind::Unary,
    Kind::Download(8),
    Kind::Unary,
    Kind::Upload(8),
    Kind::Slow,
    Kind::Talk(8),
    Kind::Download(30),
];

/// How a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// By a status of the server's own.
    Ours { reason: String, code: Code },
    /// By a status that came from the backend, as it seems.
    Backends { code: Code, message: String },
    /// The caller's own library failed it: its connection broke, say.
    Own(String),
    /// As if it had ended well, with less than was asked for.
    Truncated(String),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let code = status.code();
        let message = status.message().to_owned();
        let reason = status.metadata().get("x-mux-error");
        match reason.and_then(|reason| reason.to_str().ok()) {
            Some(reason) => Self::Ours {
                reason: reason.to_owned(),
                code,
            },
            None if status.source().is_some() => Self::Own(message),
            None => Self::Backends { code, message },
        }
    }
}

impl Failure {
    /// What cases name when they excuse it.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Ours { reason, .. } => reason,
            Self::Backends { .. } => "backend",
            Self::Own(_) => "own",
            Self::Truncated(_) => "truncated",
        }
    }

    /// Whether its status is one that callers are promised for its reason.
    pub(crate) fn is_promised(&self) -> bool {
        let Self::Ours { reason, code } = self else {
            return true;
        };
        let number = format!("{} ", *code as i32);
        let mut rows = errors_page().into_iter();
        rows.any(|row| row.reason == reason && row.status.starts_with(&number))
    }

    /// Whether the caller's own library saw that its connection broke, and did not only lose its patience.
    pub(crate) fn is_broken_link(&self) -> bool {
        matches!(self, Self::Own(message) if message != TIMED_OUT)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours { reason, code } => write!(f, "{reason} ({code:?})"),
            Self::Backends { code, message } => write!(f, "the backend's {code:?} {message:?}"),
            Self::Own(message) => write!(f, "the caller's own {message:?}"),
            Self::Truncated(what) => write!(f, "truncated: {what}"),
        }
    }
}

/// Makes one call of edge number `edge`, and looks at all that comes back.
pub(crate) async fn call(
    channel: Channel,
    edge: usize,
    kind: Kind,
    token: u64,
) -> Result<(), Failure> {
    let asked = Asked {
        client: EchoServiceClient::new(channel),
        edge,
        token,
    };
    match kind {
        Kind::Unary => asked.unary(Duration::ZERO).await,
        Kind::Slow => asked.unary(Duration::from_millis(150)).await,
        Kind::Download(count) => {
            let payload = asked.payload(0);
            asked.download(count, payload, PACE).await
        }
        Kind::Bulk => {
            asked
                .download(32, Bytes::from(vec![7; MEBIBYTE]), Duration::ZERO)
                .await
        }
        Kind::Flood => {
            asked
                .download(u32::MAX, Bytes::from(vec![7; MEBIBYTE]), Duration::ZERO)
                .await
        }
        Kind::Upload(count) => asked.upload(count).await,
        Kind::Talk(count) => asked.talk(count).await,
    }
}

struct Asked {
    client: EchoServiceClient<Channel>,
    edge: usize,
    token: u64,
}

impl Asked {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(PATIENCE);
        let metadata = request.metadata_mut();
        let id = format!("edge-{}", self.edge);
        let id = id.parse().expect("an id is a value");
        metadata.insert("client-id", id);
        metadata.insert(TOKEN, self.token.into());
        request
    }

    /// Bytes that no other message has: mostly few, at times more than a frame.
    fn payload(&self, n: u32) -> Bytes {
        let seed = self.token.wrapping_mul(31).wrapping_add(u64::from(n));
        let size = if seed.is_multiple_of(23) {
            70_000
        } else {
            seed % 2_000
        };
        let mut payload = seed.to_be_bytes().to_vec();
        payload.resize(8 + size as usize, seed as u8);
        payload.into()
    }

    async fn unary(mut self, delay: Duration) -> Result<(), Failure> {
        let payload = self.payload(0);
        let request = self.request(EchoRequest {
            payload: payload.clone(),
            delay: prost_types::Duration::try_from(delay).ok(),
            ..EchoRequest::default()
        });
        let answer = self.client.echo(request).await?.into_inner();
        whole(answer.payload == payload, || {
            "another payload came".to_owned()
        })
    }

    async fn download(mut self, count: u32, payload: Bytes, pace: Duration) -> Result<(), Failure> {
        let request = self.request(ServerStreamRequest {
            payload: payload.clone(),
            delay: prost_types::Duration::try_from(pace).ok(),
            count,
            ..ServerStreamRequest::default()
        });
        let mut answers = self.client.server_stream(request).await?.into_inner();
        let mut came = 0;
        while let Some(answer) = answers.message().await? {
            let right = answer.index == came && answer.payload == payload;
            whole(right, || {
                format!("message {} in place of {came}", answer.index)
            })?;
            came += 1;
        }
        whole(came == count, || format!("{came} of {count} messages came"))
    }

    async fn upload(mut self, count: u32) -> Result<(), Failure> {
        let payloads: Vec<_> = (0..count).map(|n| self.payload(n)).collect();
        let bytes: usize = payloads.iter().map(Bytes::len).sum();
        let request = self.request(paced(payloads.into_iter().map(|payload| {
            ClientStreamRequest {
                payload,
                ..ClientStreamRequest::default()
            }
        })));
        let answer = self.client.client_stream(request).await?.into_inner();
        let right = answer.messages == count && answer.total_bytes == bytes as u64;
        whole(right, || {
            format!("{} of {count} messages arrived", answer.messages)
        })
    }

    async fn talk(mut self, count: u32) -> Result<(), Failure> {
        let payloads: Vec<_> = (0..count).map(|n| self.payload(n)).collect();
        let request = self.request(paced(payloads.clone().into_iter().map(|payload| {
            BidiStreamRequest {
                payload,
                ..BidiStreamRequest::default()
            }
        })));
        let mut answers = self.client.bidi_stream(request).await?.into_inner();
        let mut expected = payloads.iter();
        while let Some(answer) = answers.message().await? {
            whole(expected.next() == Some(&answer.payload), || {
                format!("message {} is another", answer.index)
            })?;
        }
        whole(expected.next().is_none(), || {
            "fewer answers than messages".to_owned()
        })
    }
}

/// One of the messages every 20 ms.
fn paced<M: Send + 'static>(messages: impl Iterator<Item = M>) -> Paced<M> {
    let messages: Vec<M> = messages.collect();
    let ticks = IntervalStream::new(interval(PACE));
    stream::iter(messages)
        .zip(ticks)
        .map(|(message, _)| message)
}

fn whole(right: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if right {
        Ok(())
    } else {
        Err(Failure::Truncated(what()))
    }
}
