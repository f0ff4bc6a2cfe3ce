//! How long a call may take: what its caller says, what the server says, and what its backend is told.

use std::pin::pin;
use std::time::Duration;

use grpc_multiplexer_tests::{Backend, Ended, Folder, Path};
use h2::Reason;
use tokio::time::Instant;

use crate::life::{ANSWER, waiting};

/// What a `grpc-timeout` says, in microseconds.
fn micros(timeout: &str) -> u64 {
    let (number, unit) = timeout.split_at(timeout.len() - 1);
    let unit = match unit {
        "m" => 1_000,
        "u" => 1,
        "S" => 1_000_000,
        other => panic!("{other}"),
    };
    number.parse::<u64>().unwrap() * unit
}

#[tokio::test]
async fn a_call_whose_time_is_over_ends_on_both_sides() {
    let backend = waiting().await;
    let path = Path::to(&backend).await;
    for (n, answer) in [&[][..], ANSWER].into_iter().enumerate() {
        let metadata = [&[("grpc-timeout", "400m")], answer].concat();
        let started = Instant::now();
        let ended = path.start(&metadata).await.answer().await;
        let took = started.elapsed();
        ended.is_ours(4, "mux: deadline exceeded", "deadline", "maybe");
        assert_eq!(ended.trailers_only, answer.is_empty());
        assert_eq!(ended.body.len(), 6 * answer.len());
        assert!(took >= Duration::from_millis(400), "{took:?}");
        assert!(took <= Duration::from_secs(10), "{took:?}");
        assert_eq!(backend.call_ended(n).await, Ended::Reset(Reason::CANCEL));
        let seen = backend.seen()[n].headers["grpc-timeout"].clone();
        let seen = micros(seen.to_str().unwrap());
        assert!((1_000..400_000).contains(&seen), "{seen}");
    }
}

#[tokio::test]
async fn a_deadline_that_the_backend_keeps_is_the_backends() {
    let backend = Backend::h2(|mut call| async move {
        call.respond(&[("grpc-status", "4"), ("grpc-message", "theirs")], true);
    })
    .await;
    let path = Path::to(&backend).await;
    let answer = path.ask(&[("grpc-timeout", "20S")]).await.answer().await;
    answer.is_backends(4);
    assert_eq!(answer.message(), "theirs");
}

/// What its caller says counts where that is less. A call of the server's own services, such as a watch, lasts.
#[tokio::test]
async fn no_call_takes_longer_than_the_server_lets_calls_take() {
    let backend = waiting().await;
    let folder = Folder::new("call-time");
    let file = folder.put("server.yaml", "max-call-time: 2s\n");
    let address = backend.address.to_string();
    let path = Path::with(&["--config", &file], &address, &[]).await;
    let mut watch = path.caller.start("/grpc.health.v1.Health/Watch", &[]).await;
    watch.data(&[0; 5], true).await;
    assert!(watch.headers().await);
    let timed = async |timeout: &[(&str, &str)], is_limited: bool| {
        let metadata = [timeout, ANSWER].concat();
        let started = Instant::now();
        let answer = path.start(&metadata).await.answer().await;
        let took = started.elapsed();
        answer.is_ours(4, "mux: deadline exceeded", "deadline", "maybe");
        assert_eq!(answer.body, b"so far");
        let limit = Duration::from_secs(2);
        assert!(!is_limited || took >= limit, "{timeout:?}: {took:?}");
        assert!(took <= Duration::from_secs(12), "{timeout:?}: {took:?}");
    };
    tokio::join!(
        timed(&[], true),
        timed(&[("grpc-timeout", "1H")], true),
        timed(&[("grpc-timeout", "1500m")], false),
    );
    for (n, seen) in backend.seen().iter().enumerate() {
        let told = micros(seen.headers["grpc-timeout"].to_str().unwrap());
        assert!((1_000..2_000_000).contains(&told), "{told}");
        assert_eq!(backend.call_ended(n).await, Ended::Reset(Reason::CANCEL));
    }
    assert!(futures::poll!(pin!(watch.answer())).is_pending());

    folder.put("server.yaml", "");
    path.mux.reload().await;
    let _lasts = path.ask(&[]).await;
    backend.calls(4).await;
    assert!(!backend.seen()[3].headers.contains_key("grpc-timeout"));
}
