//! Bursts of cancelled calls reach the backend, and do not cost anybody the connection that all share.

use std::time::Duration;

use futures::future::join_all;
use grpc_multiplexer_examples::Echo;
use grpc_multiplexer_examples::echo::{BidiStreamRequest, EchoRequest, ServerStreamRequest};
use grpc_multiplexer_tests::{Backend, Call, Caller, Edge, Mux, until};
use h2::Reason;
use prost::Message;
use tokio::time::sleep;

const CANCELS: usize = 2_000;
const AT_ONCE: usize = 200;
const ID: (&str, &str) = ("client-id", "rainbow");

fn path(method: &str) -> String {
    format!("/grpc.multiplexer.examples.v1.EchoService/{method}")
}

/// A gRPC message on the wire.
fn message(message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], &body].concat()
}

fn unary(delay: Duration) -> Vec<u8> {
    message(&EchoRequest {
        text: "hello".to_owned(),
        delay: Some(delay.try_into().unwrap()),
        ..EchoRequest::default()
    })
}

/// Far beyond any test.
const FOR_EVER: Duration = Duration::from_secs(3_600);

/// Server, edge and a backend on tonic, with bystanders: a stream that lives through it all, and unary calls.
struct Bench {
    mux: Mux,
    _edge: Edge,
    _backend: Backend,
    echo: Echo,
    stream: Call,
    _bystander: Caller,
}

impl Bench {
    async fn start() -> Self {
        let mux = Mux::start().await;
        let echo = Echo::default();
        let backend = Backend::serving(echo.clone()).await;
        let edge = Edge::start(&mux, "rainbow", backend.address).await;
        let bystander = Caller::connect(mux.proxy).await;
        let mut stream = bystander.start(&path("BidiStream"), &[ID]).await;
        let first = message(&BidiStreamRequest::default());
        stream.data(&first, false).await;
        stream.bytes(5).await;
        Self {
            _edge: edge,
            echo,
            stream,
            _bystander: bystander,
            _backend: backend,
            mux,
        }
    }

    /// Cancels all the calls that `start` gives, `after` they were written, while others call; nobody else notices.
    async fn burst(&self, after: Duration, start: impl AsyncFn(&Caller) -> Call) {
        let hostile = Caller::connect(self.mux.proxy).await;
        let innocent = Caller::connect(self.mux.proxy).await;
        let echo = path("Echo");
        for _ in 0..CANCELS / AT_ONCE {
            let mut calls = Vec::new();
            for _ in 0..AT_ONCE {
                calls.push(start(&hostile).await);
            }
            let others = (0..5).map(|_| innocent.call(&echo, &[ID], &[0; 5]));
            let cancel = async {
                if !after.is_zero() {
                    // The time is the point: it decides how far the backend came with the calls.
                    sleep(after).await;
                }
                for call in &mut calls {
                    call.reset(Reason::CANCEL);
                }
            };
            let ((), others) = tokio::join!(cancel, join_all(others));
            for answer in others {
                assert_eq!(answer.code(), Some(0), "{answer:?}");
            }
        }
    }

    async fn came_to_no_harm(mut self) {
        let last = message(&BidiStreamRequest::default());
        self.stream.data(&last, true).await;
        let answer = self.stream.answer().await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        // There may be more lanes than before, but none that died.
        let closed = self
            .mux
            .log()
            .into_iter()
            .find(|line| line.contains("lane closed"));
        assert_eq!(closed, None);
    }

    /// Waits until so many handlers learned that their call was cancelled.
    async fn handlers_learned(&self, at_least: usize) {
        let at_least = u64::try_from(at_least).unwrap();
        until(&format!("{at_least} cancelled handlers"), async || {
            (self.echo.cancelled() >= at_least).then_some(())
        })
        .await;
    }
}

async fn hang(caller: &Caller) -> Call {
    let mut call = caller.start(&path("Echo"), &[ID]).await;
    call.data(&unary(FOR_EVER), true).await;
    call
}

#[tokio::test]
async fn two_thousand_cancels_at_once_of_calls_that_hang_harm_nobody() {
    let bench = Bench::start().await;
    bench.burst(Duration::ZERO, hang).await;
    bench.came_to_no_harm().await;
}

#[tokio::test]
async fn two_thousand_cancels_after_two_milliseconds_of_calls_that_hang_harm_nobody() {
    let bench = Bench::start().await;
    // How many handlers had begun by then is the machine's business; those of the streams below all had.
    bench.burst(Duration::from_millis(2), hang).await;
    bench.came_to_no_harm().await;
}

#[tokio::test]
async fn two_thousand_cancels_of_streams_with_data_under_way_reach_their_handlers_and_harm_nobody()
{
    let bench = Bench::start().await;
    bench
        .burst(Duration::ZERO, async |caller: &Caller| {
            let mut call = caller.start(&path("ServerStream"), &[ID]).await;
            let request = message(&ServerStreamRequest {
                payload: vec![0; 1_000].into(),
                count: u32::MAX,
                delay: Some(Duration::from_millis(1).try_into().unwrap()),
                ..ServerStreamRequest::default()
            });
            call.data(&request, true).await;
            assert!(call.headers().await);
            call
        })
        .await;
    bench.handlers_learned(CANCELS).await;
    bench.came_to_no_harm().await;
}

#[tokio::test]
async fn cancelled_calls_that_end_by_themselves_meanwhile_harm_nobody() {
    let bench = Bench::start().await;
    bench
        .burst(Duration::from_millis(2), async |caller: &Caller| {
            let mut call = caller.start(&path("Echo"), &[ID]).await;
            call.data(&unary(Duration::from_millis(2)), true).await;
            call
        })
        .await;
    bench.came_to_no_harm().await;
}
