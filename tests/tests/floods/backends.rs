//! Backends that flood: the calls on that lane fail, and nobody else's.

use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::{Caller, Edge, Frame, frame_backend, kind, until};

use crate::bench::{Bench, repeated};

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_floods_fails_the_calls_on_its_lane() {
    let bench = Bench::start().await;
    let credit = 1u32.to_be_bytes();
    let floods = vec![
        Frame::new(kind::PING, 0, 0, b"flooding"),
        Frame::settings(false),
        Frame::new(0xfa, 0, 0, b"?"),
        Frame::new(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 3]),
        Frame::new(kind::WINDOW_UPDATE, 0, 0, &credit),
        Frame::data(1, b"", false),
        Frame::new(kind::CONTINUATION, 0, 1, b""),
    ];
    let count = floods.len();
    let left = Arc::new(Mutex::new(floods));
    let cuts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&cuts);
    let hostile = frame_backend(move |mut lane| {
        let (left, cuts) = (Arc::clone(&left), Arc::clone(&noted));
        async move {
            // A dial that brings no call is only a look.
            while let Some(frame) = lane.frame().await {
                if frame.kind == kind::HEADERS {
                    break;
                }
            }
            let Some(frame) = left.lock().unwrap().pop() else {
                return;
            };
            let headers = Frame::headers(1, &[(":status", "200")], false);
            if frame.kind == kind::DATA {
                lane.send(&headers).await;
            }
            if frame.kind == kind::CONTINUATION {
                let endless = Frame::new(kind::HEADERS, 0, 1, &headers.payload);
                lane.send(&endless).await;
            }
            let ended = lane.flood(repeated(&frame, 200_000)).await;
            cuts.lock().unwrap().push((frame, ended));
        }
    })
    .await;
    let _edge = Edge::start(&bench.mux, "hostile", hostile.address).await;
    bench
        .unnoticed(64, async {
            let caller = Caller::connect(bench.mux.proxy).await;
            for _ in 0..count {
                let answer = caller.call("/s/m", &[("client-id", "hostile")], b"").await;
                assert_eq!(answer.code(), Some(14), "{answer:?}");
                assert_eq!(answer.mux_error(), Some("backend-lost"), "{answer:?}");
            }
            until("the end of every flood", async || {
                (cuts.lock().unwrap().len() == count).then_some(())
            })
            .await;
        })
        .await;
    for (frame, ended) in cuts.lock().unwrap().iter() {
        assert!(ended.is_some(), "{frame:?} is not cut");
    }
}
