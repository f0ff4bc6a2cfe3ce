//! A hook over gRPC, as a user may write one.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grpc_multiplexer_proto::hooks::v1::authorize_request::Who;
use grpc_multiplexer_proto::hooks::v1::hooks_service_server::{HooksService, HooksServiceServer};
use grpc_multiplexer_proto::hooks::v1::{
    ArrivingCaller, ArrivingEdge, AuthorizeRequest, AuthorizeResponse, ConnectedRequest,
    ConnectedResponse, DisconnectedRequest, DisconnectedResponse,
};
use grpc_multiplexer_tests::{Caller, free, until, within};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::yes;

/// What is said of an edge; `None` for nothing, ever.
type Decide = dyn Fn(&ArrivingEdge) -> Option<Result<AuthorizeResponse, Status>> + Send + Sync;

/// What is said of a caller, in its time.
type DecideOnCallers =
    dyn Fn(ArrivingCaller) -> BoxFuture<'static, Result<AuthorizeResponse, Status>> + Send + Sync;

/// What it was told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Connected(ConnectedRequest),
    Disconnected(DisconnectedRequest),
}

impl Told {
    pub(crate) fn epoch(&self) -> &str {
        match self {
            Self::Connected(told) => &told.epoch,
            Self::Disconnected(told) => &told.epoch,
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        match self {
            Self::Connected(told) => &told.client_id,
            Self::Disconnected(told) => &told.client_id,
        }
    }

    pub(crate) fn server_id(&self) -> &str {
        match self {
            Self::Connected(told) => &told.server_id,
            Self::Disconnected(told) => &told.server_id,
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

/// Of what a hook fails to be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Fails {
    #[default]
    Never,
    /// Of everything.
    All,
    /// Of one client id.
    Of(&'static str),
}

/// What it saw, and how it behaves.
#[derive(Clone)]
struct Shared {
    decide: Arc<Decide>,
    decide_on_callers: Arc<DecideOnCallers>,
    callers: Arc<Mutex<Vec<ArrivingCaller>>>,
    asked: Arc<Mutex<Vec<ArrivingEdge>>>,
    told: Arc<Mutex<Vec<Told>>>,
    /// Of what it fails to be told, though it hears it.
    fails: Arc<Mutex<Fails>>,
    /// Whether it keeps its answers to itself.
    holds: Arc<watch::Sender<bool>>,
    /// Where it calls an edge as soon as it is told of it, and what comes of that.
    calls: Arc<Mutex<Option<SocketAddr>>>,
    codes: Arc<Mutex<Vec<Option<u32>>>>,
}

/// One that runs until it is stopped or dropped.
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    shared: Shared,
    stop: CancellationToken,
    work: JoinSet<()>,
}

impl Hook {
    /// One that answers all edges alike.
    pub(crate) async fn saying(answer: AuthorizeResponse) -> Self {
        Self::start(move |_| Some(Ok(answer.clone()))).await
    }

    pub(crate) async fn start(
        decide: impl Fn(&ArrivingEdge) -> Option<Result<AuthorizeResponse, Status>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let nobody = |_| ready(Err(Status::internal("no caller was expected"))).boxed();
        Self::that(Arc::new(decide), Arc::new(nobody)).await
    }

    /// One that lets all edges in, and decides on callers.
    pub(crate) async fn of_callers(
        decide: impl Fn(&ArrivingCaller) -> Result<AuthorizeResponse, Status> + Send + Sync + 'static,
    ) -> Self {
        Self::of_callers_in_time(move |caller| ready(decide(&caller))).await
    }

    /// The same, and takes its time, which may be for ever.
    pub(crate) async fn of_callers_in_time<F>(
        decide: impl Fn(ArrivingCaller) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<AuthorizeResponse, Status>> + Send + 'static,
    {
        let decide = move |caller| decide(caller).boxed();
        Self::that(Arc::new(|_| Some(Ok(yes()))), Arc::new(decide)).await
    }

    async fn that(decide: Arc<Decide>, decide_on_callers: Arc<DecideOnCallers>) -> Self {
        let shared = Shared {
            decide,
            decide_on_callers,
            callers: Arc::default(),
            asked: Arc::default(),
            told: Arc::default(),
            fails: Arc::default(),
            holds: Arc::default(),
            calls: Arc::default(),
            codes: Arc::default(),
        };
        // It may come back there.
        let [address] = free();
        Self::at(address, shared).await
    }

    /// Of which callers it was asked.
    pub(crate) fn callers(&self) -> Vec<ArrivingCaller> {
        self.shared.callers.lock().unwrap().clone()
    }

    /// Waits until it was asked of callers so often.
    pub(crate) async fn callers_times(&self, times: usize) -> Vec<ArrivingCaller> {
        let callers = async || Some(self.callers()).filter(|callers| callers.len() >= times);
        until(
            &format!("{times} questions about callers to a hook"),
            callers,
        )
        .await
    }

    async fn at(address: SocketAddr, shared: Shared) -> Self {
        // A process that is just being started has all sockets of this one until it runs its program.
        let listen = async || TcpListener::bind(address).await.ok();
        let listener = until("the place of a hook", listen).await;
        let stop = CancellationToken::new();
        let (service, stopped) = (shared.clone(), stop.clone().cancelled_owned());
        let mut work = JoinSet::new();
        work.spawn(async move {
            let sockets = TcpListenerStream::new(listener);
            let served = tonic::transport::Server::builder()
                .add_service(HooksServiceServer::new(service))
                .serve_with_incoming_shutdown(sockets, stopped);
            served.await.unwrap();
        });
        Self {
            address,
            shared,
            stop,
            work,
        }
    }

    /// Goes away, with its connections.
    pub(crate) async fn stop(mut self) -> Stopped {
        self.stop.cancel();
        within("the end of a hook", self.work.join_next()).await;
        Stopped {
            address: self.address,
            shared: self.shared.clone(),
        }
    }

    /// Hears what it is told from now on, and says of some of it that it failed.
    pub(crate) fn fails(&self, fails: Fails) {
        *self.shared.fails.lock().unwrap() = fails;
    }

    /// Keeps its answers to itself from now on; or gives them.
    pub(crate) fn holds(&self, holds: bool) {
        self.shared.holds.send_replace(holds);
    }

    /// Calls each edge that it is told of by way of `proxy`, before it answers.
    pub(crate) fn calls_back(&self, proxy: SocketAddr) {
        *self.shared.calls.lock().unwrap() = Some(proxy);
    }

    /// What came of that.
    pub(crate) fn codes(&self) -> Vec<Option<u32>> {
        self.shared.codes.lock().unwrap().clone()
    }

    /// Of which edges it was asked.
    pub(crate) fn asked(&self) -> Vec<ArrivingEdge> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn asked_times(&self, times: usize) -> Vec<ArrivingEdge> {
        let asked = async || Some(self.asked()).filter(|asked| asked.len() >= times);
        until(&format!("{times} questions to a hook"), asked).await
    }

    /// The same about `id`.
    pub(crate) async fn asked_of(&self, id: &str, times: usize) {
        until(
            &format!("{times} questions about {id} to a hook"),
            async || {
                let asked = self.shared.asked.lock().unwrap();
                (asked.iter().filter(|edge| edge.client_id == id).count() >= times).then_some(())
            },
        )
        .await;
    }

    /// What it was told of, everything.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.shared.told.lock().unwrap().clone()
    }

    /// Waits until it was told so much of `id`, what was told again left out.
    pub(crate) async fn told_of(&self, id: &str, times: usize) -> Vec<Told> {
        let told = async || Some(once(&self.told(), id)).filter(|told| told.len() >= times);
        until(&format!("{times} things told of {id}"), told).await
    }
}

/// One that went away.
pub(crate) struct Stopped {
    address: SocketAddr,
    shared: Shared,
}

impl Stopped {
    /// Comes back where it was.
    pub(crate) async fn back(self) -> Hook {
        Hook::at(self.address, self.shared).await
    }
}

/// What was told of `id`, without what was told again.
pub(crate) fn once(told: &[Told], id: &str) -> Vec<Told> {
    let mut of_id: Vec<_> = told.iter().filter(|told| told.client_id() == id).collect();
    of_id.dedup();
    of_id.into_iter().cloned().collect()
}

#[tonic::async_trait]
impl HooksService for Shared {
    async fn authorize(
        &self,
        request: Request<AuthorizeRequest>,
    ) -> Result<Response<AuthorizeResponse>, Status> {
        let edge = match request.into_inner().who {
            Some(Who::Edge(edge)) => edge,
            Some(Who::Caller(caller)) => {
                self.callers.lock().unwrap().push(caller.clone());
                self.may_answer().await;
                return (self.decide_on_callers)(caller).await.map(Response::new);
            }
            None => return Err(Status::invalid_argument("nobody")),
        };
        self.asked.lock().unwrap().push(edge.clone());
        self.may_answer().await;
        match (self.decide)(&edge) {
            Some(answer) => answer.map(Response::new),
            None => pending().await,
        }
    }

    async fn connected(
        &self,
        request: Request<ConnectedRequest>,
    ) -> Result<Response<ConnectedResponse>, Status> {
        let told = request.into_inner();
        let calls = *self.calls.lock().unwrap();
        if let Some(proxy) = calls {
            let caller = Caller::connect(proxy).await;
            let metadata = [("client-id", &*told.client_id)];
            let answer = caller.call("/s/m", &metadata, b"x").await;
            self.codes.lock().unwrap().push(answer.code());
        }
        self.heard(Told::Connected(told))?;
        Ok(Response::new(ConnectedResponse {}))
    }

    async fn disconnected(
        &self,
        request: Request<DisconnectedRequest>,
    ) -> Result<Response<DisconnectedResponse>, Status> {
        self.heard(Told::Disconnected(request.into_inner()))?;
        Ok(Response::new(DisconnectedResponse {}))
    }
}

impl Shared {
    async fn may_answer(&self) {
        let mut holds = self.holds.subscribe();
        holds.wait_for(|holds| !holds).await.unwrap();
    }

    fn heard(&self, told: Told) -> Result<(), Status> {
        let fails = match *self.fails.lock().unwrap() {
            Fails::Never => false,
            Fails::All => true,
            Fails::Of(id) => told.client_id() == id,
        };
        self.told.lock().unwrap().push(told);
        if fails {
            return Err(Status::internal("it fails"));
        }
        Ok(())
    }
}
