//! Calls that are begun only to be broken off: by their caller, or by the server because the caller makes it do so.

use futures::future::join_all;
use grpc_multiplexer_tests::{Caller, Frame, HungUp, kind, until};
use h2::Reason;
use tokio::time::Instant;

use crate::bench::{Bench, ENHANCE_YOUR_CALM, ID, call};

const CANCEL: u32 = 8;
/// Calls that are begun and broken off in one go.
const AT_ONCE: u32 = 100;

/// `n` calls, each followed by what makes the server, or us, give it up.
fn broken_off<'a>(
    n: u32,
    end: bool,
    then: impl Fn(u32) -> Frame + 'a,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    (0..n / AT_ONCE).map(move |round| {
        let streams = (0..AT_ONCE).map(|m| 2 * (round * AT_ONCE + m) + 3);
        streams
            .flat_map(|stream| [call(stream, "/s/hang", end), then(stream)])
            .flat_map(|frame| frame.bytes())
            .collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_reset_of_calls_that_were_taken_is_kept_to_a_pace_and_cut() {
    let bench = Bench::start().await;
    let started = Instant::now();
    bench
        .unnoticed(96, async {
            // Each piece begins calls, and cancels those of the piece before.
            let pieces = (0..2_000).map(|round: u32| {
                let of = |round: u32| (0..AT_ONCE).map(move |n| 2 * (round * AT_ONCE + n) + 3);
                let begun = of(round).map(|stream| call(stream, "/s/hang", true));
                let before = round.checked_sub(1).into_iter().flat_map(of);
                let cancelled = before.map(|stream| Frame::reset(stream, CANCEL));
                begun
                    .chain(cancelled)
                    .flat_map(|frame| frame.bytes())
                    .collect()
            });
            let ended = bench.flood(pieces).await.expect("it is cut");
            assert_eq!(ended.code, Some(ENHANCE_YOUR_CALM), "{ended:?}");
        })
        .await;
    let (handlers, took) = (hanging(&bench), started.elapsed());
    println!("cut after {took:?}, {handlers} calls at the backend");
    // A second's worth at once, and then the pace; 1,000 more may be under way.
    let most = 2_000 * (took.as_secs() as usize + 2) + 1_000;
    assert!(handlers <= most, "{handlers} calls in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_reset_ends_its_connection_and_harms_nobody_else() {
    let bench = Bench::start().await;
    let started = Instant::now();
    bench
        .unnoticed(96, async {
            let calls = broken_off(200_000, true, |stream| Frame::reset(stream, CANCEL));
            let ended = bench.flood(calls).await.expect("it is cut");
            assert_eq!(ended.code, Some(ENHANCE_YOUR_CALM), "{ended:?}");
        })
        .await;
    let handlers = hanging(&bench);
    println!(
        "cut after {:?}, {handlers} calls at the backend",
        started.elapsed()
    );
    bench.mux.says("kind=\"cancels\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_cancel_all_their_calls_are_not_punished() {
    const CANCELS: usize = 5_000;
    const ONE_AFTER_ANOTHER: usize = 1_000;
    let bench = Bench::start().await;
    bench
        .unnoticed(96, async {
            let caller = Caller::connect(bench.mux.proxy).await;
            for _ in 0..ONE_AFTER_ANOTHER {
                let mut call = caller.start("/s/hang", &[ID]).await;
                call.reset(Reason::CANCEL);
            }
            for _ in 0..CANCELS / 1_000 {
                let calls = join_all((0..1_000).map(|_| caller.start("/s/hang", &[ID]))).await;
                for mut call in calls {
                    call.reset(Reason::CANCEL);
                }
            }
            // It may be one too many while the cancels are on their way.
            let answer = until("an answer", async || {
                let mut last = caller.start("/s/echo", &[ID]).await;
                last.try_data(b"and now", true).await;
                let answer = last.answer().await;
                (answer.reset != Some(Reason::REFUSED_STREAM)).then_some(answer)
            })
            .await;
            assert_eq!(answer.code(), Some(0), "{answer:?}");
        })
        .await;
}

/// Its name, whether the request ends before it, and the frame.
type Form = (&'static str, bool, fn(u32) -> Frame);

/// What makes a server reset a stream, so that it is no more counted as open while its call still runs.
const MADE_YOU_RESET: [Form; 7] = [
    ("a window that overflows", false, |stream| {
        let most = (u32::MAX >> 1).to_be_bytes();
        Frame::new(kind::WINDOW_UPDATE, 0, stream, &most)
    }),
    ("credit of nothing", false, |stream| {
        Frame::new(kind::WINDOW_UPDATE, 0, stream, &[0; 4])
    }),
    ("DATA after the end", true, |stream| {
        Frame::data(stream, b"more", false)
    }),
    ("HEADERS after the end", true, |stream| {
        call(stream, "/s/hang", true)
    }),
    ("PRIORITY of a wrong length", false, |stream| {
        Frame::new(kind::PRIORITY, 0, stream, &[0; 4])
    }),
    ("a stream that depends on itself", false, |stream| {
        let on_itself = [&stream.to_be_bytes()[..], &[1]].concat();
        Frame::new(kind::PRIORITY, 0, stream, &on_itself)
    }),
    ("a message longer than it says", false, |stream| {
        Frame::headers(stream, &[("grpc-status", "0")], false)
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_the_server_reset_loses_the_connection() {
    /// As many resets as a connection may provoke in its life, and what comes together with the last.
    const MOST: usize = 11_000;
    let bench = Bench::start().await;
    bench
        .unnoticed(64, async {
            for (what, end, form) in MADE_YOU_RESET {
                let before = hanging(&bench);
                let ended = bench.flood(broken_off(20_000, end, form)).await;
                let HungUp { code, .. } = ended.unwrap_or_else(|| panic!("{what} is not cut"));
                assert_ne!(code, Some(0), "{what}");
                let handlers = hanging(&bench) - before;
                println!("{what}: {handlers} handlers, {code:?}");
                assert!(handlers <= MOST, "{what}: {handlers} handlers");
            }
        })
        .await;
}

/// Calls that hang, or did, at the backend.
fn hanging(bench: &Bench) -> usize {
    let seen = bench.backend.seen();
    seen.iter().filter(|seen| seen.path == "/s/hang").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_early_answers_to_uploads_under_way_harm_nobody() {
    const CALLS: u32 = 5_000;
    let bench = Bench::start().await;
    bench
        .unnoticed(64, async {
            let mut caller = bench.attacker().await;
            for round in 0..CALLS / AT_ONCE {
                let streams = (0..AT_ONCE).map(|n| 2 * (round * AT_ONCE + n) + 1);
                for stream in streams.clone() {
                    let refused = [
                        call(stream, "/no-method", false),
                        Frame::data(stream, &[0; 100], false),
                    ];
                    caller.send_all(&refused).await;
                }
                for _ in 0..AT_ONCE {
                    caller.wait_for(kind::HEADERS).await;
                }
                let late = streams.map(|stream| Frame::data(stream, &[0; 100], true));
                caller.send_all(&late.collect::<Vec<_>>()).await;
            }
            assert_eq!(caller.flood([]).await, None, "it lives");
        })
        .await;
}
