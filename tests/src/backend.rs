//! Backends in the test: an ordinary gRPC server, and scripted ones on the h2 crate that note what they saw.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt as _;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;

use grpc_multiplexer_examples::Echo;

use crate::until;

/// How the request's half of a call ended at the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// END_STREAM.
    Cleanly,
    /// RST_STREAM.
    Reset(Reason),
    /// With its connection.
    Lost,
}

/// One call, as a backend saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// `:path`.
    pub path: String,
    /// `:scheme` and `:authority`, as in `http://host:port`.
    pub origin: String,
    /// Metadata.
    pub headers: HeaderMap,
    /// Everything in DATA frames.
    pub body: Vec<u8>,
    /// Trailers of the request.
    pub trailers: HeaderMap,
    /// How the request ended, once it did.
    pub ended: Option<Ended>,
}

/// A backend on a free port. Stops when dropped.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
    tasks: JoinSet<()>,
}

/// [`Backend::pong`], and its address as options have it.
pub async fn pong() -> (Backend, String) {
    let backend = Backend::pong().await;
    let address = backend.address.to_string();
    (backend, address)
}

impl Backend {
    /// The example backend: a tonic server.
    pub async fn echo() -> Self {
        Self::serving(Echo::default()).await
    }

    /// The same, for a test that asks `echo` what became of its calls.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn serving(echo: Echo) -> Self {
        Self::routes(grpc_multiplexer_examples::routes(echo).await.unwrap()).await
    }

    /// A tonic server with any services.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn routes(routes: Routes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut backend = Self::over(listener.local_addr().unwrap(), JoinSet::new());
        let count = Arc::clone(&backend.connections);
        let sockets =
            TcpListenerStream::new(listener).inspect(move |_| *count.lock().unwrap() += 1);
        backend.tasks.spawn(async move {
            tonic::transport::Server::builder()
                .add_routes(routes)
                .serve_with_incoming(sockets)
                .await
                .unwrap();
        });
        backend
    }

    /// A scripted backend: `script` is run for every call.
    pub async fn h2<F>(script: impl Fn(H2Call) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::h2_with(&Builder::new(), script).await
    }

    /// A scripted backend that reads every call, and answers `pong`. What nobody reads counts against a connection for good.
    pub async fn pong() -> Self {
        Self::h2(async |mut call| {
            call.read_all().await;
            call.ok(b"pong").await;
        })
        .await
    }

    /// One that answers `some` at once, and is done with a call when its caller is.
    pub async fn half() -> Self {
        Self::h2(async |mut call| {
            call.headers();
            call.data(b"some").await;
            call.read_all().await;
            call.trailers(&[("grpc-status", "0")]);
        })
        .await
    }

    /// A scripted backend with other settings.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn h2_with<F>(
        settings: &Builder,
        script: impl Fn(H2Call) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut backend = Self::over(listener.local_addr().unwrap(), JoinSet::new());
        let (seen, count) = (Arc::clone(&backend.seen), Arc::clone(&backend.connections));
        let settings = settings.clone();
        backend.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (settings, script, seen) = (settings.clone(), script.clone(), seen.clone());
                let count = Arc::clone(&count);
                connections.spawn(async move {
                    if speaks(&socket, &count).await {
                        serve(socket, settings, script, seen).await;
                    }
                });
            }
        });
        backend
    }

    /// A backend whose every connection is handled by `script`, for what is no HTTP/2.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn tcp<F>(script: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut backend = Self::over(listener.local_addr().unwrap(), JoinSet::new());
        let (script, count) = (Arc::new(script), Arc::clone(&backend.connections));
        backend.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (script, count) = (Arc::clone(&script), Arc::clone(&count));
                connections.spawn(async move {
                    if speaks(&socket, &count).await {
                        script(socket).await;
                    }
                });
            }
        });
        backend
    }

    fn over(address: SocketAddr, tasks: JoinSet<()>) -> Self {
        Self {
            address,
            seen: Arc::default(),
            connections: Arc::default(),
            tasks,
        }
    }

    /// The calls so far.
    ///
    /// # Panics
    ///
    /// Never, unless a script panicked.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Call number `n` (from 0), which came.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[must_use]
    pub fn seen_call(&self, n: usize) -> Seen {
        self.seen.lock().unwrap()[n].clone()
    }

    /// The same, for a test of so many calls that they cannot all be kept: its body is forgotten.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[must_use]
    pub fn take_call(&self, n: usize) -> Seen {
        let seen = &mut self.seen.lock().unwrap()[n];
        let body = std::mem::take(&mut seen.body);
        Seen {
            body,
            ..seen.clone()
        }
    }

    /// Connections so far on which something was said.
    ///
    /// # Panics
    ///
    /// Never, unless a script panicked.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// Waits until call number `n` (from 0) ended, and says how.
    pub async fn call_ended(&self, n: usize) -> Ended {
        until(
            &format!("the end of call {n} in {:?}", self.seen()),
            async || self.seen().get(n)?.ended,
        )
        .await
    }

    /// Waits until `n` calls came.
    pub async fn calls(&self, n: usize) {
        until(&format!("{n} calls at the backend"), async || {
            (self.seen().len() >= n).then_some(())
        })
        .await;
    }

    /// Ends it and all its connections.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Counts a connection on which something is said. An edge that starts only looks whether anybody is there.
async fn speaks(socket: &TcpStream, count: &Mutex<usize>) -> bool {
    let speaks = matches!(socket.peek(&mut [0]).await, Ok(1));
    if speaks {
        *count.lock().unwrap() += 1;
    }
    speaks
}

async fn serve<F>(
    socket: TcpStream,
    settings: Builder,
    script: impl Fn(H2Call) -> F,
    seen: Arc<Mutex<Vec<Seen>>>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    socket.set_nodelay(true).unwrap();
    let Ok(mut connection) = settings.handshake(socket).await else {
        return;
    };
    let mut calls = JoinSet::new();
    let close = Arc::new(tokio::sync::SetOnce::new());
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let call = H2Call::new(request, respond, Arc::clone(&seen), Arc::clone(&close));
                    calls.spawn(script(call));
                }
                // Handles of its calls learn why it ended; let scripts note it.
                Some(Err(_)) | None => {
                    while calls.join_next().await.is_some() {}
                    return;
                }
            },
            how = close.wait() => {
                match how {
                    None => return,
                    Some(reason) => connection.abrupt_shutdown(*reason),
                }
                // From here on the connection only winds down.
                let _ = poll_fn(|cx| connection.poll_closed(cx)).await;
                return;
            }
        }
    }
}

type Close = Arc<tokio::sync::SetOnce<Option<Reason>>>;

/// One call at a scripted backend.
#[derive(Debug)]
pub struct H2Call {
    /// The request's headers.
    pub request: Request<()>,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    index: usize,
    close: Close,
}

impl H2Call {
    fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        seen: Arc<Mutex<Vec<Seen>>>,
        close: Close,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, ());
        let mut all = seen.lock().unwrap();
        let index = all.len();
        let uri = request.uri();
        all.push(Seen {
            path: uri.path().to_owned(),
            origin: format!(
                "{}://{}",
                uri.scheme_str().unwrap_or_default(),
                uri.authority().map_or("", |authority| authority.as_str())
            ),
            headers: request.headers().clone(),
            body: Vec::new(),
            trailers: HeaderMap::new(),
            ended: None,
        });
        drop(all);
        Self {
            request,
            body,
            respond,
            stream: None,
            seen,
            index,
            close,
        }
    }

    /// Which of the backend's calls it is, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.index
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap()[self.index]);
    }

    fn note_end(&self, error: &h2::Error) {
        let ended = match error.reason() {
            Some(reason) if error.is_reset() => Ended::Reset(reason),
            _ => Ended::Lost,
        };
        self.note(|seen| seen.ended = Some(ended));
    }

    /// Reads more of the request; `None` at its end, which is noted.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        match self.body.data().await {
            Some(Ok(data)) => {
                let _ = self.body.flow_control().release_capacity(data.len());
                self.note(|seen| seen.body.extend_from_slice(&data));
                Some(data)
            }
            Some(Err(error)) => {
                self.note_end(&error);
                None
            }
            None => {
                match self.body.trailers().await {
                    Ok(trailers) => self.note(|seen| {
                        seen.trailers = trailers.unwrap_or_default();
                        seen.ended = Some(Ended::Cleanly);
                    }),
                    Err(error) => self.note_end(&error),
                }
                None
            }
        }
    }

    /// Reads the request to its end.
    pub async fn read_all(&mut self) {
        while self.chunk().await.is_some() {}
    }

    /// Waits until the call is reset or its connection ends, and notes it.
    pub async fn wait_reset(&mut self) {
        let reset = match &mut self.stream {
            Some(stream) => poll_fn(|cx| stream.poll_reset(cx)).await,
            None => poll_fn(|cx| self.respond.poll_reset(cx)).await,
        };
        let ended = reset.map_or(Ended::Lost, Ended::Reset);
        self.note(|seen| seen.ended = Some(ended));
    }

    /// Sends gRPC response headers.
    pub fn headers(&mut self) {
        self.respond(&[], false);
    }

    /// Sends response headers with further entries; with END_STREAM if `end`.
    ///
    /// # Panics
    ///
    /// When an entry is malformed.
    pub fn respond(&mut self, entries: &[(&str, &str)], end: bool) {
        let mut response = Response::builder().header("content-type", "application/grpc");
        for (name, value) in entries {
            response = response.header(*name, *value);
        }
        self.respond_with(response.body(()).unwrap(), end);
    }

    /// Sends any response headers.
    pub fn respond_with(&mut self, response: Response<()>, end: bool) {
        // A caller that left is no matter of the script's.
        self.stream = self.respond.send_response(response, end).ok();
    }

    /// The response's half, once headers went out.
    ///
    /// # Panics
    ///
    /// When none did.
    pub fn stream(&mut self) -> &mut SendStream<Bytes> {
        self.stream.as_mut().expect("headers were sent")
    }

    /// Sends bytes as the window allows; false when the stream is gone.
    pub async fn data(&mut self, bytes: &[u8]) -> bool {
        let mut rest = Bytes::copy_from_slice(bytes);
        let Some(stream) = &mut self.stream else {
            return false;
        };
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            if stream.capacity() == 0 {
                let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
                if !matches!(room, Some(Ok(_))) {
                    return false;
                }
            }
            let chunk = rest.split_to(stream.capacity().min(rest.len()));
            if stream.send_data(chunk, false).is_err() {
                return false;
            }
        }
        true
    }

    /// Sends trailers.
    ///
    /// # Panics
    ///
    /// When an entry is malformed, or no headers went out.
    pub fn trailers(&mut self, entries: &[(&'static str, &str)]) {
        let trailers = entries
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        // A caller that left is no matter of the script's.
        let _ = self.stream().send_trailers(trailers);
    }

    /// Answers with these bytes and status 0.
    pub async fn ok(&mut self, body: &[u8]) {
        self.headers();
        self.data(body).await;
        self.trailers(&[("grpc-status", "0")]);
    }

    /// Answers with the request's body, once that has ended.
    pub async fn echo(&mut self) {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend_from_slice(&chunk);
        }
        self.ok(&body).await;
    }

    /// Resets the call.
    pub fn reset(&mut self, reason: Reason) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Closes the whole connection without a word.
    pub fn close_connection(&self) {
        let _ = self.close.set(None);
    }

    /// Closes the whole connection with GOAWAY.
    pub fn go_away(&self, reason: Reason) {
        let _ = self.close.set(Some(reason));
    }
}
