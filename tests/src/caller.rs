//! A caller that speaks HTTP/2 with nothing between it and the frames but the h2 crate.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::secrets::plant_words;
use crate::{Answer, within};

/// One connection of a caller.
#[derive(Debug)]
pub struct Caller {
    send: SendRequest<Bytes>,
    connection: JoinSet<Option<h2::Error>>,
}

impl Caller {
    /// Connects to a proxy, or to a backend.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &mut Builder::new()).await
    }

    /// Connects with other settings. Data frames of any size may wait unread: the limit that h2 puts on them is about
    /// the caller's own patience.
    ///
    /// # Panics
    ///
    /// When nobody listens, or does not speak HTTP/2.
    pub async fn with(address: SocketAddr, settings: &mut Builder) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket, settings).await
    }

    /// Connects from an IPv4 address of this machine.
    ///
    /// # Panics
    ///
    /// When that is none, nobody listens, or does not speak HTTP/2.
    pub async fn from(local: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((local, 0).into()).unwrap();
        let socket = socket.connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket, &mut Builder::new()).await
    }

    /// Connects with TLS, to `127.0.0.1` as the name of the certificate.
    ///
    /// # Errors
    ///
    /// What is wrong with TLS.
    ///
    /// # Panics
    ///
    /// When nobody listens, or does not speak HTTP/2.
    pub async fn secure(address: SocketAddr, tls: ClientConfig) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connect = TlsConnector::from(Arc::new(tls)).connect(name, socket);
        let stream = within("a TLS handshake", connect).await?;
        Ok(Self::over(stream, &mut Builder::new()).await)
    }

    async fn over<T>(io: T, settings: &mut Builder) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (send, connection) = settings
            .data_frame_budget(1 << 40)
            .handshake(io)
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { connection.await.err() });
        Self {
            send,
            connection: tasks,
        }
    }

    /// The headers of a gRPC call. What they say of who calls is a [secret](crate::secrets).
    ///
    /// # Panics
    ///
    /// When `path` or an entry is malformed.
    #[must_use]
    pub fn request(path: &str, metadata: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://mux.test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in metadata {
            if matches!(*name, "authorization" | "proxy-authorization" | "cookie") {
                plant_words(value);
            }
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    /// Starts a call whose request is only headers so far.
    pub async fn start(&self, path: &str, metadata: &[(&str, &str)]) -> Call {
        self.send(Self::request(path, metadata), false).await
    }

    /// Makes a whole call.
    pub async fn call(&self, path: &str, metadata: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut call = self.start(path, metadata).await;
        call.data(body, true).await;
        call.answer().await
    }

    /// Makes a whole call to a backend that [echoes](crate::H2Call::echo) it.
    ///
    /// # Panics
    ///
    /// When it fails, or the answer is another.
    pub async fn echoes(&self, metadata: &[(&str, &str)], body: &[u8]) {
        let answer = self.call("/s/echo", metadata, body).await;
        assert_eq!(answer.code(), Some(0), "{:?}", answer.error);
        assert!(answer.body == body, "another body");
    }

    /// Sends any request's headers.
    ///
    /// # Panics
    ///
    /// When the connection is gone.
    pub async fn send(&self, request: Request<()>, end: bool) -> Call {
        let mut ready = within("room for a call", self.send.clone().ready())
            .await
            .unwrap();
        let (response, send) = ready.send_request(request, end).unwrap();
        Call {
            response: Some(response),
            body: None,
            send,
            answer: Answer {
                status: 0,
                headers: HeaderMap::new(),
                body: Vec::new(),
                trailers: HeaderMap::new(),
                trailers_only: false,
                reset: None,
                error: None,
            },
        }
    }

    /// Waits for the connection's end; the error that ended it, if it was one.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn closed(mut self) -> Option<h2::Error> {
        drop(self.send);
        within("the end of the connection", self.connection.join_next())
            .await
            .unwrap()
            .unwrap()
    }
}

/// One call.
#[derive(Debug)]
pub struct Call {
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    send: SendStream<Bytes>,
    answer: Answer,
}

impl Call {
    /// Sends bytes as they are, as the window allows.
    ///
    /// # Panics
    ///
    /// When the stream is gone.
    pub async fn data(&mut self, bytes: &[u8], end: bool) {
        assert!(self.try_data(bytes, end).await, "the stream is gone");
    }

    /// The same; false when the stream is gone.
    pub async fn try_data(&mut self, bytes: &[u8], end: bool) -> bool {
        let mut rest = Bytes::copy_from_slice(bytes);
        if rest.is_empty() {
            return self.send.send_data(rest, end).is_ok();
        }
        while !rest.is_empty() {
            self.send.reserve_capacity(rest.len());
            if self.send.capacity() == 0 {
                let room = within("window", poll_fn(|cx| self.send.poll_capacity(cx))).await;
                if !matches!(room, Some(Ok(_))) {
                    return false;
                }
            }
            let n = self.send.capacity().min(rest.len());
            let chunk = rest.split_to(n);
            if self.send.send_data(chunk, end && rest.is_empty()).is_err() {
                return false;
            }
        }
        true
    }

    /// The request's half, for what the other methods do not do.
    pub fn sender(&mut self) -> &mut SendStream<Bytes> {
        &mut self.send
    }

    /// Resets the call.
    pub fn reset(&mut self, reason: Reason) {
        self.send.send_reset(reason);
    }

    /// Waits for the response's headers; false when there are none.
    ///
    /// # Panics
    ///
    /// When nothing comes.
    pub async fn headers(&mut self) -> bool {
        let Some(response) = self.response.take() else {
            return self.body.is_some();
        };
        match within("response headers", response).await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                self.answer.status = parts.status.as_u16();
                self.answer.headers = parts.headers;
                self.answer.trailers_only = body.is_end_stream();
                self.body = Some(body);
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Response headers so far.
    #[must_use]
    pub fn seen_headers(&self) -> &HeaderMap {
        &self.answer.headers
    }

    /// Waits for more of the body; `None` at its end.
    ///
    /// # Panics
    ///
    /// When nothing comes.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        if !self.headers().await {
            return None;
        }
        let body = self.body.as_mut()?;
        match within("response data", body.data()).await {
            Some(Ok(data)) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                self.answer.body.extend_from_slice(&data);
                Some(data)
            }
            Some(Err(error)) => {
                self.failed(&error);
                None
            }
            None => None,
        }
    }

    /// Waits for `n` bytes of the body.
    ///
    /// # Panics
    ///
    /// When the body ends before.
    pub async fn bytes(&mut self, n: usize) {
        while self.answer.body.len() < n {
            assert!(self.chunk().await.is_some(), "{:?}", self.answer);
        }
    }

    /// Waits for the whole answer.
    pub async fn answer(mut self) -> Answer {
        while self.chunk().await.is_some() {}
        if self.answer.error.is_none()
            && let Some(mut body) = self.body.take()
        {
            match within("response trailers", body.trailers()).await {
                Ok(Some(trailers)) => self.answer.trailers = trailers,
                Ok(None) => {}
                Err(error) => self.failed(&error),
            }
        }
        self.answer
    }

    fn failed(&mut self, error: &h2::Error) {
        if error.is_reset() && error.is_remote() {
            self.answer.reset = error.reason();
        }
        self.answer.error = Some(error.to_string());
    }
}
