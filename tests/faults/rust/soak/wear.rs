//! What wears connections out: each of these goes past the end of what a library counts for the life of one, twice or
//! more, and nobody is to notice.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use grpc_multiplexer_examples::echo::{ClientStreamRequest, EchoRequest, ServerStreamRequest};
use grpc_multiplexer_tests::{Call, Caller, Frame, FrameConnection, kind, metric, within};
use h2::Reason;
use h2::client::Builder;
use tokio::time::sleep;

use super::Stage;
use super::counters::Counter;
use super::kinds::{Kind, On};
use super::messages::{DOWNLOAD, ECHO, UPLOAD, framed};
use crate::world::Excuse;
use crate::worn;

const FAILED_PRECONDITION: u32 = 9;
const CANCEL: u32 = 8;
/// The last stream id that a caller has.
const LAST_ID: u32 = (1 << 31) - 1;

pub(super) fn faults() -> Vec<Kind> {
    use On::Any;
    let none = Excuse::NONE;
    vec![
        Kind::new(
            "20,500 early answers of the server to uploads",
            Any,
            none,
            |stage| Box::pin(early_answers_of_the_server(stage)),
        ),
        Kind::new(
            "2,100 early answers of a backend to uploads",
            Any,
            none,
            |stage| Box::pin(early_answers_of_a_backend(stage)),
        ),
        Kind::new(
            "2,500 calls are cancelled that get answers",
            Any,
            none,
            |stage| Box::pin(answered_and_cancelled(stage)),
        ),
        Kind::new(
            "1,200 calls are cancelled before a backend takes them",
            Any,
            none,
            |stage| Box::pin(cancelled(stage)),
        ),
        Kind::new(
            "1,000 calls are cancelled before the server takes them",
            Any,
            none,
            |stage| Box::pin(abandoned(stage)),
        ),
        Kind::new("callers send 270 empty frames", Any, none, |stage| {
            Box::pin(empty_uploads(stage))
        }),
        Kind::new("a backend sends 270 empty frames", Any, none, |stage| {
            Box::pin(empty_answers(stage))
        }),
        Kind::new("24,000 tiny frames that nobody reads", Any, none, |stage| {
            Box::pin(tiny(stage))
        }),
        Kind::new(
            "a backend ends its connection 520 times",
            Any,
            none,
            |stage| Box::pin(last_calls(stage)),
        ),
        Kind::new("callers run out of stream ids", Any, none, |stage| {
            Box::pin(last_ids(stage))
        }),
    ]
}

/// The server refuses calls whose uploads go on.
async fn early_answers_of_the_server(stage: &mut Stage) -> anyhow::Result<()> {
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
async fn early_answers_of_a_backend(stage: &mut Stage) -> anyhow::Result<()> {
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
async fn answered_and_cancelled(stage: &mut Stage) -> anyhow::Result<()> {
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
async fn cancelled(stage: &mut Stage) -> anyhow::Result<()> {
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
async fn abandoned(stage: &mut Stage) -> anyhow::Result<()> {
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

/// Each caller sends fewer than end its own connection; the lane is theirs together.
async fn empty_uploads(stage: &mut Stage) -> anyhow::Result<()> {
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
async fn empty_answers(stage: &mut Stage) -> anyhow::Result<()> {
    let calls = 3;
    stage.call_worn(worn::EMPTY, calls).await;
    let events = calls * worn::EMPTY_FRAMES;
    stage.counters.add(Counter::EmptyToCaller, events as u64);
    stage.world.heal();
    Ok(())
}

/// As many lanes as calls, on a tunnel that stays.
async fn last_calls(stage: &mut Stage) -> anyhow::Result<()> {
    let calls = 520;
    stage.call_worn(worn::LAST, calls).await;
    stage.counters.add(Counter::Streams, calls as u64);
    stage.world.heal();
    Ok(())
}

/// Answers in tiny frames, to callers with a window of one byte.
async fn tiny(stage: &mut Stage) -> anyhow::Result<()> {
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

/// Connections whose first stream is one of the last.
async fn last_ids(stage: &mut Stage) -> anyhow::Result<()> {
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

impl Stage {
    /// A caller that forgives itself what it cancels: its own library counts as well.
    async fn patient_caller(&self) -> Caller {
        let mut settings = Builder::new();
        settings.max_concurrent_reset_streams(100_000);
        Caller::with(self.world.mux.proxy, &mut settings).await
    }

    /// Calls that the server reset on lanes so far: of those that were cancelled before they were on one, no backend knows.
    async fn resets(&self) -> u64 {
        metric(self.world.mux.admin, "lane_resets_total").await as u64
    }

    /// Calls the backend that wears connections out, again and again over one connection.
    async fn call_worn(&mut self, path: &str, calls: usize) {
        let id = self.worn();
        let caller = self.patient_caller().await;
        for n in 0..calls {
            let answer = caller.call(path, &[("client-id", &id)], b"").await;
            let (code, message) = (answer.code(), answer.ending("grpc-message"));
            self.require(code == Some(0), || {
                format!(
                    "call {n} of {path} got {code:?} {message:?}, {:?}",
                    answer.error
                )
            });
        }
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.world.score.require(holds, what);
    }
}

/// So many calls of one caller.
async fn begin_all(caller: &Caller, path: &str, id: &str, body: &[u8], count: usize) -> Vec<Call> {
    let calls = (0..count).map(async |_| {
        let mut call = caller.start(path, &[("client-id", id)]).await;
        call.data(body, true).await;
        call
    });
    join_all(calls).await
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
