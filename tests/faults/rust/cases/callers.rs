//! Callers and backends that do not read, cancel, and ask for too much.

use std::time::Duration;

use futures::future::join_all;
use grpc_multiplexer_examples::echo::ServerStreamRequest;
use grpc_multiplexer_tests::{Call, Caller};
use prost::Message as _;
use tokio::time::{sleep, timeout};

use super::{Case, How};
use crate::calls::Kind;
use crate::score::Score;
use crate::world::{EDGES, Excuse, Setup, VICTIM, World};

const DOWNLOAD: &str = "/grpc.multiplexer.examples.v1.EchoService/ServerStream";
/// KiB that a call may take which nobody reads: the largest that a stream's window grows to.
const PER_STALLED: u64 = 16 * 1024;
/// Calls that are made at least at full rate in five seconds, on any machine.
const FULL_RATE: usize = 5_000;
/// No call of others takes as long, whoever does not read.
const PROMPT: Duration = Duration::from_secs(5);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "F21",
            "1 caller does not read tiny messages",
            How::World(|| Box::pin(unread(1, 10))),
        )
        .short(),
        Case::new(
            "F21",
            "32 callers do not read tiny messages",
            How::World(|| Box::pin(unread(32, 10))),
        )
        .short(),
        Case::new(
            "F21",
            "200 callers do not read tiny messages",
            How::World(|| Box::pin(unread(200, 10))),
        )
        .short(),
        Case::new(
            "F21",
            "nobody is slow, and calls come at full rate",
            How::World(|| Box::pin(full_rate())),
        ),
        Case::new(
            "F22",
            "1 caller does not read large messages",
            How::World(|| Box::pin(unread(1, 1 << 20))),
        ),
        Case::new(
            "F22",
            "32 callers do not read large messages",
            How::World(|| Box::pin(unread(32, 1 << 20))),
        ),
        Case::new(
            "F22",
            "200 callers do not read large messages",
            How::World(|| Box::pin(unread(200, 1 << 20))),
        ),
        Case::new(
            "F24",
            "5,000 calls are cancelled after 5 ms",
            How::World(|| Box::pin(cancels(5))),
        )
        .short(),
        Case::new(
            "F24",
            "5,000 calls are cancelled after 1 ms",
            How::World(|| Box::pin(cancels(1))),
        ),
        Case::new(
            "F42",
            "four times the calls that an edge takes",
            How::World(|| Box::pin(overload())),
        ),
    ]
}

/// So many downloads over the victim, each over a connection of its own, of which nobody reads more than headers.
async fn unread(callers: usize, size: usize) -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    let before = world.mux.resident();
    let proxy = world.mux.proxy;
    let stalled: Vec<(Caller, Call)> = join_all((0..callers).map(async |_| {
        let caller = Caller::connect(proxy).await;
        let mut call = caller.start(DOWNLOAD, &[("client-id", "edge-0")]).await;
        call.data(&download(size), true).await;
        assert!(call.headers().await, "the backend answers");
        (caller, call)
    }))
    .await;
    world.pass(10).await;
    let grown = world.mux.resident().saturating_sub(before);
    let limit = 64 * 1024 + PER_STALLED * callers as u64;
    world.score.require(grown < limit, || {
        format!("{callers} stalled calls took {grown} KiB")
    });
    drop(stalled);
    world.heal();
    world.pass(2).await;
    let mut score = world.judge(Excuse::NONE).await?;
    if let Some(slow) = score.slowest.filter(|slowest| slowest.took >= PROMPT) {
        score.problems.push(slow.to_string());
    }
    Ok(score)
}

/// One gRPC message that asks for messages without end.
fn download(size: usize) -> Vec<u8> {
    let request = ServerStreamRequest {
        payload: vec![1; size].into(),
        count: u32::MAX,
        ..ServerStreamRequest::default()
    };
    let message = request.encode_to_vec();
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

/// As many calls as go, for five seconds.
async fn full_rate() -> anyhow::Result<Score> {
    let world = World::start(Setup::PLAIN).await?;
    let workers = (0..64).map(async |n| {
        let edge = n % EDGES;
        let channel = world.channel(edge);
        // Each ends at a failure, which counts.
        while world.over(channel.clone(), edge, Kind::Unary).await {}
    });
    let _ = timeout(Duration::from_secs(5), join_all(workers)).await;
    let mut score = world.judge(Excuse::NONE).await?;
    let calls = score.calls;
    score.require(calls > FULL_RATE, || {
        format!("only {calls} calls were made")
    });
    Ok(score)
}

/// A hundred at a time.
async fn cancels(millis: u64) -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    let canceller = world.channel(VICTIM);
    let workers = (0..100).map(async |n: u64| {
        for turn in 0..50 {
            let call = crate::calls::call(
                canceller.clone(),
                VICTIM,
                Kind::Slow,
                1 << 40 | n << 20 | turn,
            );
            let ended = timeout(Duration::from_millis(millis), call).await;
            assert!(!matches!(ended, Ok(Ok(()))), "150 ms have passed");
        }
    });
    join_all(workers).await;
    drop(canceller);
    world.heal();
    world.pass(5).await;
    world.judge(Excuse::NONE).await
}

/// An edge takes 12 calls of 150 ms: 80 in a second. Four times as many come; what is done is at least 90 % of what could
/// be, and the rest is told at once.
async fn overload() -> anyhow::Result<Score> {
    let setup = Setup {
        server: &[
            "--max-calls-per-edge",
            "12",
            "--max-queued-calls-per-edge",
            "12",
        ],
        load: false,
        ..Setup::PLAIN
    };
    let mut world = World::start(setup).await?;
    for _ in 0..100 {
        world.many(VICTIM, Kind::Slow, 32);
        sleep(Duration::from_millis(100)).await;
    }
    world.heal();
    let done = world.well().await;
    world
        .score
        .require(done >= 720, || format!("{done} of 800 calls were served"));
    world.judge(Excuse::victims(&["edge-busy"])).await
}
