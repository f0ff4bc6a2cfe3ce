//! The server and the edge as processes.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use grpc_multiplexer_proto::admin::v1::admin_service_client::AdminServiceClient;
use grpc_multiplexer_proto::v1::ListGrpcServerRequest;
use grpc_multiplexer_proto::v1::discovery_service_client::DiscoveryServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use crate::{Process, free, is_ready, until};

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";

/// A running `grpc-multiplexer-server`.
#[derive(Debug)]
pub struct Mux {
    process: Process,
    /// Where callers call.
    pub proxy: SocketAddr,
    /// Where edges dial in.
    pub multiplexer: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
}

impl Mux {
    /// Starts one on free ports.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with further options.
    pub async fn with(args: &[&str]) -> Self {
        Self::at("127.0.0.1:0", "127.0.0.1:0", args).await
    }

    /// Starts one at given addresses.
    ///
    /// # Panics
    ///
    /// When it does not listen.
    pub async fn at(proxy: &str, multiplexer: &str, args: &[&str]) -> Self {
        let all = options(proxy, multiplexer, args);
        Self::of(Process::start(SERVER, &all)).await
    }

    /// Starts one with further options where nobody else listens while it is away, as one does that comes [back](Self::again).
    pub async fn lasting(args: &[&str]) -> Self {
        let [proxy, multiplexer] = free().map(|address| address.to_string());
        Self::at(&proxy, &multiplexer, args).await
    }

    /// Starts another one at the same addresses.
    pub async fn again(&self, args: &[&str]) -> Self {
        let [proxy, multiplexer] = [self.proxy, self.multiplexer].map(|at| at.to_string());
        Self::at(&proxy, &multiplexer, args).await
    }

    /// Starts one that may open at most `descriptors` files and sockets.
    pub async fn limited(descriptors: usize) -> Self {
        let all = options("127.0.0.1:0", "127.0.0.1:0", &[]);
        Self::of(Process::limited(SERVER, &all, descriptors)).await
    }

    /// Starts one on free ports with its stderr elsewhere, as in `2>/dev/full`. Nothing that it says is heard.
    pub async fn unheard(stderr: &str) -> Self {
        let [proxy, multiplexer, admin] = free();
        let [a, b, c] = [proxy, multiplexer, admin].map(|address| address.to_string());
        let all = options(&a, &b, &["--admin-listener", &c]);
        let process = Process::redirected(SERVER, &all, stderr);
        is_ready(admin).await;
        Self::known(process, proxy, multiplexer, admin)
    }

    /// One that was started in another way, with addresses that were chosen for it.
    #[must_use]
    pub fn known(
        process: Process,
        proxy: SocketAddr,
        multiplexer: SocketAddr,
        admin: SocketAddr,
    ) -> Self {
        Self {
            process,
            proxy,
            multiplexer,
            admin,
        }
    }

    /// One that was started in another way, once it listens.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub async fn of(process: Process) -> Self {
        let line = process.says(" listening ").await;
        Self {
            proxy: field(&line, "proxy_listener"),
            multiplexer: field(&line, "multiplexer_listener"),
            admin: field(&line, "admin_listener"),
            process,
        }
    }
}

impl Mux {
    /// A client of its discovery API.
    pub async fn discovery(&self) -> DiscoveryServiceClient<Channel> {
        let channel = Endpoint::from_shared(format!("http://{}", self.proxy)).unwrap();
        DiscoveryServiceClient::new(channel.connect().await.unwrap())
    }

    /// The client ids it lists.
    pub async fn listed(&self) -> Vec<String> {
        let listed = self
            .discovery()
            .await
            .list_grpc_server(ListGrpcServerRequest::default())
            .await;
        listed.unwrap().into_inner().servers
    }
}

impl Mux {
    /// Where it takes operators, if it was told to.
    pub async fn operator_listener(&self) -> SocketAddr {
        field(&self.says(" listening ").await, "operator_listener")
    }

    /// A client of its API for operators.
    ///
    /// # Panics
    ///
    /// When it has none.
    pub async fn operator(&self) -> AdminServiceClient<Channel> {
        let channel = format!("http://{}", self.operator_listener().await);
        let channel = Endpoint::from_shared(channel).unwrap();
        AdminServiceClient::new(channel.connect().await.unwrap())
    }
}

impl Mux {
    /// A caller's connection, once one is let in.
    ///
    /// # Panics
    ///
    /// When none is.
    pub async fn lets_in(&self) -> TcpStream {
        const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        until("a caller is let in", async || {
            let mut socket = TcpStream::connect(self.proxy).await.ok()?;
            socket.write_all(HELLO).await.ok()?;
            socket.read_exact(&mut [0]).await.ok()?;
            Some(socket)
        })
        .await
    }
}

fn options<'a>(proxy: &'a str, multiplexer: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "--proxy-listener",
        proxy,
        "--multiplexer-listener",
        multiplexer,
    ];
    all.extend(args);
    all.extend(unless_given(args, &["--admin-listener", "127.0.0.1:0"]));
    all.extend(log_level(args));
    all.extend(unless_given(args, &["--warm-up", "0"]));
    all
}

/// A server that never saw an edge says so at once, unless a test is about what it does after a start.
fn unless_given<'a>(args: &[&str], option: &'a [&'a str]) -> &'a [&'a str] {
    if args.contains(&option[0]) {
        &[]
    } else {
        option
    }
}

/// Each call, unless a test that makes many wants less.
fn log_level(args: &[&str]) -> &'static [&'static str] {
    unless_given(args, &["--log-level", "debug"])
}

fn field(line: &str, name: &str) -> SocketAddr {
    let value = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {name} in {line:?}"));
    let value = value.trim_matches('"');
    value.split(',').next().unwrap().parse().unwrap()
}

impl Deref for Mux {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Mux {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A running `grpc-multiplexer-client`.
#[derive(Debug)]
pub struct Edge {
    process: Process,
}

impl Edge {
    /// Starts one, and waits until its tunnel is up.
    pub async fn start(mux: &Mux, client_id: &str, backend: SocketAddr) -> Self {
        let edge = Self::dialling(mux.multiplexer, client_id, &backend.to_string(), &[]);
        edge.says(" connected ").await;
        edge
    }

    /// Starts one, and does not wait.
    #[must_use]
    pub fn dialling(
        multiplexer: SocketAddr,
        client_id: &str,
        backend: &str,
        args: &[&str],
    ) -> Self {
        let multiplexer = multiplexer.to_string();
        let all = edge_options(&multiplexer, client_id, backend, args);
        Self {
            process: Process::start(EDGE, &all),
        }
    }

    /// Starts one with its stderr elsewhere, as in `2>/dev/full`, and waits until its tunnel is up. Its admin listener is
    /// the second value.
    pub async fn unheard(
        mux: &Mux,
        client_id: &str,
        backend: SocketAddr,
        stderr: &str,
    ) -> (Self, SocketAddr) {
        let [admin] = free();
        let [multiplexer, backend, at] =
            [mux.multiplexer, backend, admin].map(|address| address.to_string());
        let args = ["--admin-listener", &at];
        let all = edge_options(&multiplexer, client_id, &backend, &args);
        let process = Process::redirected(EDGE, &all, stderr);
        is_ready(admin).await;
        (Self { process }, admin)
    }
}

fn edge_options<'a>(
    multiplexer: &'a str,
    client_id: &'a str,
    backend: &'a str,
    args: &[&'a str],
) -> Vec<&'a str> {
    let mut all = vec![
        "--client-id",
        client_id,
        "--multiplexer-address",
        multiplexer,
        "--grpc-server-address",
        backend,
    ];
    all.extend(args);
    all.extend(log_level(args));
    all
}

impl Deref for Edge {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Edge {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
