//! Connections on which nothing more can be begun, lanes and callers' own.

use grpc_multiplexer_examples::echo::EchoRequest;
use grpc_multiplexer_tests::{Frame, FrameConnection, kind, within};

use crate::soak::Stage;
use crate::soak::counters::Counter;
use crate::soak::messages::{ECHO, framed};
use crate::worn;

/// The last stream id that a caller has.
const LAST_ID: u32 = (1 << 31) - 1;

/// As many lanes as calls, on a tunnel that stays.
pub(super) async fn last_calls(stage: &mut Stage) -> anyhow::Result<()> {
    let calls = 520;
    stage.call_worn(worn::LAST, calls).await;
    stage.counters.add(Counter::Streams, calls as u64);
    stage.world.heal();
    Ok(())
}

/// Connections whose first stream is one of the last.
pub(super) async fn last_ids(stage: &mut Stage) -> anyhow::Result<()> {
    const CALLS: u32 = 10;
    let id = stage.id();
    let message = framed(&EchoRequest::default());
    for _ in 0..3 {
        let mut caller = FrameConnection::connect(stage.world.mux.proxy).await;
        for stream in (0..CALLS).rev().map(|left| LAST_ID - 2 * left) {
            let call = [
                Frame::call(stream, ECHO, &id, false),
                Frame::data(stream, &message, true),
            ];
            caller.send_all(&call).await;
            let answered = answered(&mut caller, stream).await;
            stage.require(answered, || format!("stream {stream} was not answered"));
        }
        stage.counters.add(Counter::LastId, 1);
    }
    stage.world.heal();
    Ok(())
}

/// Waits for the end of an answer; whether there was a message in it, which a failure has not.
async fn answered(caller: &mut FrameConnection, stream: u32) -> bool {
    let mut message = false;
    let end = async {
        while let Some(frame) = caller.frame().await {
            message |= frame.stream == stream && frame.kind == kind::DATA;
            if frame.stream == stream && frame.ends() {
                return message;
            }
        }
        false
    };
    within("the end of an answer", end).await
}
