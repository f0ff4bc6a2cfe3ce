//! Callers that do not read, flood, say nothing, and take much.

use futures::future::join_all;
use grpc_multiplexer_examples::echo::ServerStreamRequest;
use grpc_multiplexer_tests::{Call, Caller, Frame, FrameConnection, kind};
use tokio::net::TcpStream;

use super::Stage;
use super::kinds::{Kind, On};
use super::messages::{DOWNLOAD, framed};
use crate::calls;
use crate::world::Excuse;

/// GOAWAY's code for whoever floods.
const ENHANCE_YOUR_CALM: u32 = 11;

pub(super) fn faults() -> Vec<Kind> {
    use On::Any;
    let none = Excuse::NONE;
    vec![
        Kind::new(
            "32 callers do not read small messages",
            Any,
            none,
            |stage| Box::pin(unread(stage, 32, 10)),
        ),
        Kind::new("8 callers do not read large messages", Any, none, |stage| {
            Box::pin(unread(stage, 8, 1 << 20))
        }),
        Kind::new("a caller floods", Any, none, |stage| Box::pin(flood(stage))),
        Kind::new("50 callers say nothing", Any, none, |stage| {
            Box::pin(silent(stage))
        }),
        Kind::new("a caller asks for 32 MiB", Any, none, |stage| {
            Box::pin(bulk(stage))
        }),
    ]
}

/// Downloads without end, each over a connection of its own, of which nobody reads more than headers.
async fn unread(stage: &mut Stage, callers: usize, size: usize) -> anyhow::Result<()> {
    let id = stage.id();
    let proxy = stage.world.mux.proxy;
    let request = framed(&ServerStreamRequest {
        payload: vec![1; size].into(),
        count: u32::MAX,
        ..ServerStreamRequest::default()
    });
    let stalled: Vec<(Caller, Call)> = join_all((0..callers).map(async |_| {
        let caller = Caller::connect(proxy).await;
        let mut call = caller.start(DOWNLOAD, &[("client-id", &id)]).await;
        call.data(&request, true).await;
        assert!(call.headers().await, "the backend answers");
        (caller, call)
    }))
    .await;
    stage.world.pass(6).await;
    drop(stalled);
    stage.world.heal();
    Ok(())
}

async fn flood(stage: &mut Stage) -> anyhow::Result<()> {
    let frames = [
        Frame::new(kind::PING, 0, 0, b"flooding"),
        Frame::settings(false),
    ];
    let frame = &frames[stage.draw(0..=1) as usize];
    let mut caller = FrameConnection::connect(stage.world.mux.proxy).await;
    let ended = caller
        .flood((0..500).map(|_| frame.bytes().repeat(200)))
        .await;
    let code = ended.and_then(|ended| ended.code);
    let cut = code == Some(ENHANCE_YOUR_CALM);
    let score = &mut stage.world.score;
    score.require(cut, || format!("a caller that floods heard {code:?}"));
    stage.world.heal();
    Ok(())
}

async fn silent(stage: &mut Stage) -> anyhow::Result<()> {
    let proxy = stage.world.mux.proxy;
    let mut callers = Vec::new();
    for _ in 0..50 {
        callers.push(TcpStream::connect(proxy).await?);
    }
    stage.world.pass(6).await;
    drop(callers);
    stage.world.heal();
    Ok(())
}

async fn bulk(stage: &mut Stage) -> anyhow::Result<()> {
    stage.world.one(stage.victim, calls::Kind::Bulk).await;
    stage.world.heal();
    Ok(())
}
