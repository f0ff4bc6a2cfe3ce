//! Takes operators, and serves them gRPC.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{CertificateNames, Remarks, Threads};
use grpc_multiplexer_proto::admin::v1::FILE_DESCRIPTOR_SET;
use grpc_multiplexer_proto::admin::v1::admin_service_server::AdminServiceServer;
use grpc_multiplexer_tunnel::tune;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_reflection::server::{Builder, Error};
use tower::ServiceExt as _;
use tracing::debug;

use super::{Admin, Operator};
use crate::accept::{Accepted, accept_loop};
use crate::greet::{Newcomer, Protocol, Secured, greet};
use crate::newcomers::Newcomers;
use crate::registry::Registry;
use crate::settings::Live;
use crate::trust;

/// What its sockets are called.
pub(crate) const OPERATOR: &str = "operator";

/// Connections at a time. With one more, that which has been there longest ends.
const CONNECTIONS: usize = 64;
/// Largest message that is taken.
const MESSAGE: usize = 64 * 1024;
/// Between two PINGs to an operator, and how long the answer may take.
const ALIVE: Duration = Duration::from_secs(20);
/// What connections may take to end when the server goes away.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// For a person with a browser.
const HTTP1: &str =
    "This is the operator listener of a grpc-multiplexer server, which speaks gRPC.\n";

/// What serves every operator.
#[derive(Debug)]
pub(crate) struct Operators {
    routes: Routes,
    settings: Live,
    newcomers: Arc<Newcomers>,
    threads: Threads,
    remarks: Remarks,
    /// Cancelled when operators are to go elsewhere.
    drain: CancellationToken,
}

impl Operators {
    /// Those who work on `registry`, until `drain`.
    pub(crate) fn new(
        registry: Arc<Registry>,
        settings: Live,
        threads: Threads,
        drain: CancellationToken,
    ) -> Result<Self, Error> {
        let reflection = Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let admin = AdminServiceServer::new(Admin { registry }).max_decoding_message_size(MESSAGE);
        let routes = Routes::new(admin).add_service(reflection.max_decoding_message_size(MESSAGE));
        Ok(Self {
            routes: routes.prepare(),
            settings,
            newcomers: Newcomers::new(CONNECTIONS),
            threads,
            remarks: Remarks::default(),
            drain,
        })
    }

    /// Takes operators from `listener` until they are to go elsewhere, and then sees those off who are there.
    pub(crate) async fn listen(self: Arc<Self>, listener: Arc<TcpListener>) {
        let tasks = TaskTracker::new();
        let serve = |accepted: Accepted| {
            let remote = accepted.remote;
            let (operators, of_calls) = (Arc::clone(&self), tasks.clone());
            let thread = accepted.thread.clone();
            let serve = async move {
                let (socket, seat) = match accepted.open() {
                    Ok(opened) => opened,
                    Err(error) => return debug!(%remote, %error, "no operator"),
                };
                let serve = Box::pin(operators.serve(socket, remote, of_calls));
                if let Some(Err(error)) = seat.shake_hands(serve).await {
                    debug!(%remote, %error, "operator connection failed");
                }
            };
            tasks.spawn_on(serve, &thread);
        };
        let (newcomers, threads) = (&self.newcomers, &self.threads);
        accept_loop(&listener, OPERATOR, newcomers, threads, &self.drain, serve).await;
        tasks.close();
        // What is left ends with this process.
        let _ = timeout(LAST_WORDS, tasks.wait()).await;
    }

    async fn serve(
        &self,
        socket: TcpStream,
        remote: SocketAddr,
        tasks: TaskTracker,
    ) -> io::Result<()> {
        tune(&socket, ALIVE)?;
        let limit = self
            .settings
            .now(|settings| settings.limits.handshake_timeout);
        let newcomer = greet(socket, limit).await?;
        match self.meet(newcomer).await? {
            Some(secured) => self.answer(secured, remote, tasks).await,
            None => Ok(()),
        }
    }

    /// Serves one connection to its end.
    async fn answer(
        &self,
        secured: Secured,
        remote: SocketAddr,
        tasks: TaskTracker,
    ) -> io::Result<()> {
        let Secured {
            io,
            certificate,
            shown,
            ..
        } = secured;
        let operator = Operator(name(remote, certificate));
        let routes = self.routes.clone().map_request(
            move |mut request: http::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(operator.clone());
                request
            },
        );
        let connection = http2::Builder::new(Tasks(tasks))
            .timer(TokioTimer::new())
            .keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .serve_connection(TokioIo::new(io), TowerToHyperService::new(routes));
        tokio::pin!(connection);
        let distrusted = trust::lost(&shown, &self.settings, |settings| {
            settings.operator_tls.as_ref()
        });
        tokio::select! {
            biased;
            () = self.drain.cancelled() => connection.as_mut().graceful_shutdown(),
            why = distrusted => return Err(io::Error::other(why)),
            served = connection.as_mut() => return served.map_err(io::Error::other),
        }
        connection.await.map_err(io::Error::other)
    }

    /// What came, if it speaks what is spoken here. Who else came is told, and gone.
    async fn meet(&self, newcomer: Newcomer) -> io::Result<Option<Secured>> {
        let say = |what| self.remarks.say(what);
        let tls = self.settings.now(|settings| settings.operator_tls.clone());
        match (tls, newcomer.speaks) {
            (None, Protocol::Http2) => Ok(Some(newcomer.in_plain_text())),
            (Some(tls), Protocol::Tls) => newcomer.secure(&tls, &self.remarks).await,
            (None, Protocol::Tls) => {
                say(
                    "an operator speaks TLS, and this listener does not: give it --operator-tls-certificate and \
                     --operator-tls-key",
                );
                newcomer.answer_tls().await.map(|()| None)
            }
            (_, Protocol::Http1) => newcomer.answer_http1(HTTP1).await.map(|()| None),
            (Some(_), _) => {
                say(
                    "an operator came without TLS, which the operator listener has (--operator-tls-certificate)",
                );
                Ok(None)
            }
            (None, _) => Ok(None),
        }
    }
}

/// Who that is, as far as is known.
fn name(remote: SocketAddr, certificate: Option<CertificateNames>) -> String {
    let names = certificate.unwrap_or_default();
    let names = names.uris.iter().chain(&names.dns);
    names.fold(remote.to_string(), |name, next| {
        format!("{name} {}", next.escape_debug())
    })
}

/// Calls are tasks of the listener.
#[derive(Debug, Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}
