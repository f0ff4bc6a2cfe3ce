//! A backend that breaks off or talks nonsense in the middle of calls: the call fails, never as if it had ended well,
//! and no other call is hurt that could live.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::{
    Answer, Backend, Caller, Edge, Frame, FrameConnection, Path, frame_backend, kind,
};

const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
/// The beginning of a message of nine bytes.
const SO_FAR: &[u8] = b"\0\0\0\0\x09so far";

/// What a backend does to its connection.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Closes,
    ResetsTcp,
    GoesAway(u32),
    SaysHttp1,
    /// A frame of 16 bytes of which 4 come.
    BreaksAFrame,
    /// DATA on the stream of the connection itself.
    BreaksTheProtocol,
    /// A header block that cannot be decoded.
    BreaksCompression,
    ResetsTheStream(u32),
}

const FAULTS: [Fault; 10] = [
    Fault::Closes,
    Fault::ResetsTcp,
    Fault::GoesAway(0),
    Fault::GoesAway(2),
    Fault::SaysHttp1,
    Fault::BreaksAFrame,
    Fault::BreaksTheProtocol,
    Fault::BreaksCompression,
    Fault::ResetsTheStream(0),
    Fault::ResetsTheStream(8),
];

/// How far a call is when the fault comes.
#[derive(Debug, Clone, Copy)]
struct Phase {
    /// The response began.
    answered: bool,
    /// The request ended.
    asked: bool,
}

impl Fault {
    /// Does it; gives the connection back where it survives on the backend's side.
    async fn happen(self, mut connection: FrameConnection, stream: u32) -> Option<FrameConnection> {
        match self {
            Self::Closes => connection.close(),
            Self::ResetsTcp => connection.abort(),
            // The call is one that it took.
            Self::GoesAway(reason) => {
                connection.send(&Frame::go_away(stream, reason)).await;
                connection.close();
            }
            Self::BreaksAFrame => {
                let begin = [0, 0, 16, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4];
                connection.bytes(&begin).await;
                connection.close();
            }
            Self::SaysHttp1 => {
                let text = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
                connection.bytes(text).await;
                return Some(connection);
            }
            Self::BreaksTheProtocol => {
                connection.send(&Frame::data(0, b"x", true)).await;
                return Some(connection);
            }
            Self::BreaksCompression => {
                let block = Frame::new(kind::HEADERS, 0x5, stream, &[0xff; 16]);
                connection.send(&block).await;
                return Some(connection);
            }
            Self::ResetsTheStream(reason) => {
                connection.send(&Frame::reset(stream, reason)).await;
                return Some(connection);
            }
        }
        None
    }
}

/// A backend that does the fault of the moment to every call.
async fn faulty(fault: Arc<Mutex<(Fault, Phase)>>) -> Backend {
    frame_backend(move |mut connection| {
        let fault = Arc::clone(&fault);
        async move {
            while let Some(stream) = next_call(&mut connection).await {
                let (fault, phase) = *fault.lock().unwrap();
                if phase.answered {
                    let begin = [
                        Frame::headers(stream, &OK, false),
                        Frame::data(stream, SO_FAR, false),
                    ];
                    connection.send_all(&begin).await;
                    if !phase.asked {
                        // The caller's word that it has them.
                        connection.wait_for(kind::DATA).await;
                    }
                }
                match fault.happen(connection, stream).await {
                    Some(survivor) => connection = survivor,
                    None => return,
                }
            }
        }
    })
    .await
}

async fn next_call(connection: &mut FrameConnection) -> Option<u32> {
    loop {
        let frame = connection.frame().await?;
        if frame.kind == kind::HEADERS {
            return Some(frame.stream);
        }
    }
}

/// Asserts that a call failed, visibly, by a status of ours.
fn failed(answer: &Answer, phase: Phase, what: &str) {
    let code = answer.code();
    assert!(code.is_some_and(|code| code != 0), "{what}: {answer:?}");
    assert!(answer.mux_error().is_some(), "{what}: {answer:?}");
    assert_eq!(answer.reset, None, "{what}: {answer:?}");
    let info = answer.error_info().expect("a status of ours has details");
    assert_eq!(info.metadata["backend_reached"], "maybe", "{what}");
    if phase.answered && !phase.asked {
        assert!(answer.body.starts_with(SO_FAR), "{what}: {answer:?}");
    } else if !phase.answered {
        assert!(answer.trailers_only, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn a_fault_is_never_a_clean_end_and_hurts_nobody_elsewhere() {
    let fault = Arc::new(Mutex::new((
        Fault::Closes,
        Phase {
            answered: false,
            asked: false,
        },
    )));
    let backend = faulty(Arc::clone(&fault)).await;
    let path = Path::to(&backend).await;
    let sound = Backend::h2(|mut call| async move {
        call.headers();
        while let Some(data) = call.chunk().await {
            call.data(&data).await;
        }
        call.trailers(&[("grpc-status", "0")]);
    })
    .await;
    let _edge = Edge::start(&path.mux, "sound", sound.address).await;
    // On the same connection of the same caller, over another edge.
    let sound = [("client-id", "sound")];
    let mut bystander = path.caller.start("/s/m", &sound).await;
    let mut echoed = 0;
    for (answered, asked) in [(false, false), (false, true), (true, false), (true, true)] {
        let phase = Phase { answered, asked };
        for fault_now in FAULTS {
            let what = format!("{fault_now:?} {phase:?}");
            *fault.lock().unwrap() = (fault_now, phase);
            let mut call = if asked {
                path.ask(&[]).await
            } else {
                path.start(&[]).await
            };
            if answered && !asked {
                call.bytes(SO_FAR.len()).await;
                call.data(b"half of a message", false).await;
            }
            let answer = call.answer().await;
            failed(&answer, phase, &what);
            bystander.data(b"alive", false).await;
            echoed += 5;
            bystander.bytes(echoed).await;
        }
    }
    bystander.data(b"", true).await;
    bystander.answer().await.is_backends(0);
    assert_eq!(path.mux.listed().await, ["rainbow", "sound"]);
}

#[tokio::test]
async fn harm_to_one_call_spares_its_neighbours_on_the_same_lane() {
    let long = [&OK[..], &[("content-length", "5")]].concat();
    for frames in [
        vec![Frame::reset(0, 2)],
        vec![Frame::reset(0, 0)],
        vec![Frame::headers(0, &OK, false), Frame::reset(0, 8)],
        // No status line, a connection header, a pseudo-header after others, a name in capitals.
        vec![Frame::headers(0, &OK[1..], false)],
        vec![Frame::headers(
            0,
            &[&OK[..], &[("connection", "close")]].concat(),
            false,
        )],
        vec![Frame::headers(0, &[OK[1], OK[0]], false)],
        // Fewer bytes than promised, and more.
        vec![
            Frame::headers(0, &long, false),
            Frame::data(0, b"1234", true),
        ],
        vec![
            Frame::headers(0, &long, false),
            Frame::data(0, b"123456", false),
        ],
        // Headers twice, without an end.
        vec![Frame::headers(0, &OK, false), Frame::headers(0, &OK, false)],
    ] {
        let what = format!("{frames:?}");
        let backend = frame_backend(move |mut connection| {
            let frames = frames.clone();
            async move {
                let neighbour = connection.wait_for(kind::HEADERS).await.stream;
                let begin = [
                    Frame::headers(neighbour, &OK, false),
                    Frame::data(neighbour, SO_FAR, false),
                ];
                connection.send_all(&begin).await;
                let harmed = connection.wait_for(kind::HEADERS).await.stream;
                let mut frames = frames.clone();
                frames.iter_mut().for_each(|f| f.stream = harmed);
                connection.send_all(&frames).await;
                // The neighbour's, after the harm.
                connection.wait_for(kind::DATA).await;
                let end = Frame::headers(neighbour, &[("grpc-status", "0")], true);
                connection.send(&end).await;
                while connection.frame().await.is_some() {}
            }
        })
        .await;
        let path = Path::to(&backend).await;
        let mut neighbour = path.start(&[]).await;
        neighbour.bytes(SO_FAR.len()).await;
        let harmed = path.ask(&[]).await.answer().await;
        let code = harmed.code();
        assert!(code.is_some_and(|code| code != 0), "{what}: {harmed:?}");
        assert!(harmed.mux_error().is_some(), "{what}: {harmed:?}");
        neighbour.data(b"go on", true).await;
        let neighbour = neighbour.answer().await;
        neighbour.is_backends(0);
        assert_eq!(neighbour.body, SO_FAR, "{what}");
        assert_eq!(backend.connections(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_backend_that_is_gone_for_good_fails_its_calls_and_no_others() {
    let sound = Backend::echo().await;
    let gone = Backend::h2(|mut call| async move {
        call.headers();
        call.wait_reset().await;
    })
    .await;
    let path = Path::to(&gone).await;
    let _edge = Edge::start(&path.mux, "sound", sound.address).await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        let mut call = path.start(&[]).await;
        assert!(call.headers().await);
        calls.push(call);
    }
    gone.stop().await;
    for call in calls {
        let message = "mux: backend of edge 'rainbow' closed the connection";
        call.answer()
            .await
            .is_ours(14, message, "backend-lost", "maybe");
    }
    let next = path.ask(&[]).await.answer().await;
    let message = "mux: backend of edge 'rainbow' unreachable (refused)";
    next.is_ours(14, message, "backend-connect", "no");
    let health = [("client-id", "sound")];
    let caller = Caller::connect(path.mux.proxy).await;
    let health = caller.call("/grpc.health.v1.Health/Check", &health, &[0; 5]);
    health.await.is_backends(0);
}
