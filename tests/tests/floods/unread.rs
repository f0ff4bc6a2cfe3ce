//! Callers that do not read what they asked for: they cost their windows, and nobody else waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use grpc_multiplexer_tests::{Backend, Caller, Frame, FrameConnection, kind, until};
use h2::server::Builder;

use crate::bench::{Bench, ID, answer, call};

const MIB: usize = 1024 * 1024;
const CALLS: usize = 16;
/// 480 MiB in all.
const EACH: usize = 30 * MIB;
/// What the server may grow by, in megabytes: for each call two windows of 256 KiB, what is on its way between them, and
/// a piece of what they were cut from.
const GROWTH: u64 = 48;
/// What of it all may have left the backend.
const SENT: usize = 64 * MIB;

/// `/s/flood` answers with 30 MiB; `sent` counts them.
async fn backend(sent: &Arc<AtomicUsize>) -> Backend {
    let sent = Arc::clone(sent);
    let mut wide = Builder::new();
    wide.initial_connection_window_size(1 << 28);
    Backend::h2_with(&wide, move |mut call| {
        let sent = Arc::clone(&sent);
        async move {
            if call.request.uri().path() != "/s/flood" {
                return answer(call).await;
            }
            call.headers();
            let chunk = Bytes::from(vec![0; 16 * 1024]);
            for _ in 0..EACH / chunk.len() {
                if !call.data(&chunk).await {
                    return;
                }
                sent.fetch_add(chunk.len(), Ordering::Relaxed);
            }
        }
    })
    .await
}

/// Waits until nothing more leaves the backend while the bystander makes its calls.
async fn stalled(sent: &AtomicUsize) {
    let mut before = 0;
    let mut same = 0;
    until("the backend to be stopped", async || {
        let now = sent.load(Ordering::Relaxed);
        same = if now == before && now > 0 {
            same + 1
        } else {
            0
        };
        before = now;
        (same == 50).then_some(())
    })
    .await;
    assert!(before <= SENT, "{before} bytes left the backend");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_takes_no_data_costs_its_windows() {
    let sent = Arc::new(AtomicUsize::new(0));
    let bench = Bench::with(backend(&sent).await).await;
    bench
        .unnoticed(GROWTH, async {
            let caller = Caller::connect(bench.mux.proxy).await;
            let mut calls = Vec::new();
            for _ in 0..CALLS {
                let mut call = caller.start("/s/flood", &[ID]).await;
                assert!(call.headers().await);
                calls.push(call);
            }
            stalled(&sent).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_reads_nothing_at_all_costs_its_windows() {
    let sent = Arc::new(AtomicUsize::new(0));
    let bench = Bench::with(backend(&sent).await).await;
    bench
        .unnoticed(GROWTH, async {
            let mut caller = FrameConnection::connect(bench.mux.proxy).await;
            // All the credit there can be.
            let window = [&[0, 4][..], &(u32::MAX >> 1).to_be_bytes()].concat();
            let credit = (u32::MAX >> 2).to_be_bytes();
            caller
                .send_all(&[
                    Frame::new(kind::SETTINGS, 0, 0, &window),
                    Frame::new(kind::WINDOW_UPDATE, 0, 0, &credit),
                ])
                .await;
            for n in 0..CALLS {
                let stream = u32::try_from(2 * n + 1).unwrap();
                caller.send(&call(stream, "/s/flood", true)).await;
            }
            stalled(&sent).await;
        })
        .await;
}
