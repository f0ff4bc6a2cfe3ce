//! Calls that are answered early or cancelled: each ends with a reset, and resets are counted.

use std::time::Duration;

use futures::future::join_all;
use grpc_multiplexer_examples::echo::{ClientStreamRequest, EchoRequest, ServerStreamRequest};
use grpc_multiplexer_tests::{Frame, FrameConnection, kind};
use h2::Reason;
use tokio::time::sleep;

use super::begin_all;
use crate::soak::Stage;
use crate::soak::counters::Counter;
use crate::soak::messages::{DOWNLOAD, ECHO, UPLOAD, framed};

const FAILED_PRECONDITION: u32 = 9;
const CANCEL: u32 = 8;

/// The server refuses calls whose uploads go on.
pub(super) async fn early_answers_of_the_server(stage: &mut Stage) -> anyhow::Result<()> {
    const CALLS: u32 = 20_500;
    const AT_ONCE: u32 = 100;
    let id = stage.id();
    let mut caller = FrameConnection::connect(stage.world.mux.proxy).await;
    for round in 0..CALLS / AT_ONCE {
        let streams = (0..AT_ONCE).map(|n| 2 * (round * AT_ONCE + n) + 1);
        let begun: Vec<_> = streams
            .clone()
            .flat_map(|stream| {
                let begin = Frame::call(stream, "/no-method", &id, false);
                [begin, Frame::data(stream, &[0; 100], false)]
            })
            .collect();
        caller.send_all(&begun).await;
        for _ in 0..AT_ONCE {
            caller.wait_for(kind::HEADERS).await;
        }
        let late: Vec<_> = streams
            .map(|stream| Frame::data(stream, &[0; 100], true))
            .collect();
        caller.send_all(&late).await;
    }
    let cut = caller.flood([]).await;
    stage.require(cut.is_none(), || format!("its caller heard {cut:?}"));
    stage.counters.add(Counter::ErrorsOfCaller, CALLS.into());
    stage.world.heal();
    Ok(())
}

/// A backend refuses calls whose uploads go on.
pub(super) async fn early_answers_of_a_backend(stage: &mut Stage) -> anyhow::Result<()> {
    const CALLS: usize = 2_100;
    const AT_ONCE: usize = 50;
    let id = stage.id();
    let caller = stage.patient_caller().await;
    let refused = framed(&ClientStreamRequest {
        status_code: FAILED_PRECONDITION as i32,
        ..ClientStreamRequest::default()
    });
    let more = framed(&ClientStreamRequest {
        payload: vec![1; 500].into(),
        ..ClientStreamRequest::default()
    });
    let mut codes = Vec::new();
    for _ in 0..CALLS / AT_ONCE {
        let calls = (0..AT_ONCE).map(async |_| {
            let mut call = caller.start(UPLOAD, &[("client-id", &id)]).await;
            for message in [&refused, &more, &more] {
                call.try_data(message, false).await;
            }
            call.headers().await;
            // The caller learns a little later.
            call.try_data(&more, false).await;
            call.answer().await.code()
        });
        codes.extend(join_all(calls).await);
    }
    let wrong: Vec<_> = codes
        .iter()
        .filter(|code| **code != Some(FAILED_PRECONDITION))
        .collect();
    stage.require(wrong.is_empty(), || {
        format!("{} answers were {:?}", wrong.len(), wrong[0])
    });
    stage.counters.add(Counter::ErrorsAtBackend, CALLS as u64);
    stage.world.heal();
    Ok(())
}

/// Downloads that are cancelled while they come.
pub(super) async fn answered_and_cancelled(stage: &mut Stage) -> anyhow::Result<()> {
    const ROUNDS: usize = 50;
    const AT_ONCE: usize = 50;
    let id = stage.id();
    let before = stage.resets().await;
    let caller = stage.patient_caller().await;
    let request = framed(&ServerStreamRequest {
        payload: vec![1; 1_000].into(),
        count: u32::MAX,
        ..ServerStreamRequest::default()
    });
    for _ in 0..ROUNDS {
        let calls = begin_all(&caller, DOWNLOAD, &id, &request, AT_ONCE).await;
        let calls = join_all(calls.into_iter().map(async |mut call| {
            call.headers().await;
            call
        }));
        calls
            .await
            .iter_mut()
            .for_each(|call| call.reset(Reason::CANCEL));
    }
    stage.world.pass(1).await;
    let events = stage.resets().await - before;
    stage.counters.add(Counter::LateData, events);
    stage.world.heal();
    Ok(())
}

/// Calls that are cancelled all at once when they are on their lane, and not answered yet.
pub(super) async fn cancelled(stage: &mut Stage) -> anyhow::Result<()> {
    const ROUNDS: u64 = 20;
    const AT_ONCE: usize = 60;
    let id = stage.id();
    let before = stage.resets().await;
    let caller = stage.patient_caller().await;
    let request = framed(&EchoRequest {
        delay: prost_types::Duration::try_from(Duration::from_secs(1)).ok(),
        ..EchoRequest::default()
    });
    for _ in 0..ROUNDS {
        let mut calls = begin_all(&caller, ECHO, &id, &request, AT_ONCE).await;
        sleep(Duration::from_millis(5)).await;
        calls.iter_mut().for_each(|call| call.reset(Reason::CANCEL));
    }
    stage.world.pass(1).await;
    let each = (stage.resets().await - before) / ROUNDS;
    for _ in 0..ROUNDS {
        stage.counters.add(Counter::UnacceptedAtBackend, each);
    }
    stage.world.heal();
    Ok(())
}

/// Calls that are cancelled with the same write that begins them.
pub(super) async fn abandoned(stage: &mut Stage) -> anyhow::Result<()> {
    const ROUNDS: u32 = 10;
    const AT_ONCE: u32 = 100;
    let id = stage.id();
    let mut caller = FrameConnection::connect(stage.world.mux.proxy).await;
    for round in 0..ROUNDS {
        let streams = (0..AT_ONCE).map(|n| 2 * (round * AT_ONCE + n) + 1);
        let begun = streams
            .clone()
            .map(|stream| Frame::call(stream, ECHO, &id, false));
        let reset = streams.map(|stream| Frame::reset(stream, CANCEL));
        caller
            .send_all(&begun.chain(reset).collect::<Vec<_>>())
            .await;
        stage
            .counters
            .add(Counter::UnacceptedAtServer, AT_ONCE.into());
        sleep(Duration::from_millis(100)).await;
    }
    let cut = caller.flood([]).await;
    stage.require(cut.is_none(), || format!("its caller heard {cut:?}"));
    stage.world.heal();
    Ok(())
}
