//! Frames without bytes, and tiny ones, which are work for nothing.

use bytes::Bytes;
use grpc_multiplexer_examples::echo::ClientStreamRequest;
use grpc_multiplexer_tests::Caller;
use h2::client::Builder;

use super::begin_all;
use crate::soak::Stage;
use crate::soak::counters::Counter;
use crate::soak::messages::{UPLOAD, framed};
use crate::worn;

/// Each caller sends fewer than end its own connection; the lane is theirs together.
pub(super) async fn empty_uploads(stage: &mut Stage) -> anyhow::Result<()> {
    const CALLERS: usize = 3;
    let id = stage.id();
    let message = framed(&ClientStreamRequest::default());
    for _ in 0..CALLERS {
        let caller = stage.patient_caller().await;
        let mut call = caller.start(UPLOAD, &[("client-id", &id)]).await;
        for _ in 0..worn::EMPTY_FRAMES {
            let sent = call.sender().send_data(Bytes::new(), false);
            stage.require(sent.is_ok(), || format!("{sent:?}"));
        }
        call.data(&message, true).await;
        let code = call.answer().await.code();
        stage.require(code == Some(0), || format!("empty frames got {code:?}"));
    }
    let events = CALLERS * worn::EMPTY_FRAMES;
    stage.counters.add(Counter::EmptyToBackend, events as u64);
    stage.world.heal();
    Ok(())
}

/// Each lane of the backend sends fewer than end it; the caller is the same.
pub(super) async fn empty_answers(stage: &mut Stage) -> anyhow::Result<()> {
    let calls = 3;
    stage.call_worn(worn::EMPTY, calls).await;
    let events = calls * worn::EMPTY_FRAMES;
    stage.counters.add(Counter::EmptyToCaller, events as u64);
    stage.world.heal();
    Ok(())
}

/// Answers in tiny frames, to callers with a window of one byte.
pub(super) async fn tiny(stage: &mut Stage) -> anyhow::Result<()> {
    const CALLS: usize = 8;
    /// Of what h2 reckons for a frame, less the six bytes that are in it.
    const WASTE: usize = 256 - 6;
    let id = stage.worn();
    let caller = Caller::with(stage.world.mux.proxy, Builder::new().initial_window_size(1)).await;
    let mut calls = begin_all(&caller, worn::TINY, &id, b"", CALLS).await;
    for call in &mut calls {
        let answered = call.headers().await;
        stage.require(answered, || "tiny frames are refused".to_owned());
    }
    stage.world.pass(3).await;
    for call in &mut calls {
        call.bytes(6).await;
    }
    let wasted = CALLS * worn::TINY_FRAMES * WASTE;
    stage.counters.add(Counter::TinyUnread, wasted as u64);
    stage.world.heal();
    Ok(())
}
