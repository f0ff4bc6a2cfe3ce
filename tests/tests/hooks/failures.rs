//! What a hook may do instead of answering.

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_tests::{Backend, free, metric};
use tonic::Status;

use crate::hook::Hook;
use crate::{edge, knowing, listed, server, yes};

const FAILED: &str =
    "the server's hook does not say who may come just now; the server's log says why";

/// Whatever it does, an edge is refused, or let in as if there were no hook; and the log says what it did.
async fn fails(hook: std::net::SocketAddr, said: &str) {
    const PROTOCOL: &str = "--tunnel-protocol=1";
    let mux = server(hook, &["--hooks-for=edges"]).await;
    let refused = edge(&mux, "rainbow", &[PROTOCOL]);
    let line = refused.says("no tunnel").await;
    assert!(line.contains(FAILED), "{line}");
    let line = mux.says("the hook did not say who may come").await;
    for part in [said, "on_failure=deny", &format!("hook=http://{hook}/")] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(mux.listed().await.is_empty());
    let failed = r#"hook_duration_seconds_count{hook="authorize",result="failed"}"#;
    assert!(metric(mux.admin, failed).await >= 1.0);

    let allow = "--hooks-on-failure=allow";
    let mux = server(hook, &[allow, "--hooks-for=edges"]).await;
    let let_in = edge(&mux, "rainbow", &[PROTOCOL]);
    let_in.says(" connected ").await;
    assert!(listed(&mux).await[0].context.is_empty());
    assert!(mux.says("the hook did not say").await.contains(said));
}

#[tokio::test]
async fn a_hook_that_is_not_there() {
    let [nowhere] = free();
    fails(nowhere, "it answers Unavailable").await;
}

#[tokio::test]
async fn a_hook_that_says_nothing() {
    let hook = Hook::start(|_| None).await;
    fails(hook.address, "no answer within 2s").await;
}

#[tokio::test]
async fn a_hook_that_speaks_something_else() {
    let other = Backend::tcp(async |socket| {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = socket;
        let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    fails(other.address, "error=").await;
    // One that has no such service.
    let (backend, _) = crate::pong().await;
    fails(backend.address, "error=").await;
}

#[tokio::test]
async fn a_hook_that_fails() {
    let hook = Hook::start(|_| Some(Err(Status::internal("a\nbug")))).await;
    fails(hook.address, "it answers Internal: a bug").await;
}

#[tokio::test]
async fn a_hook_whose_answer_breaks_a_bound() {
    let many: Vec<_> = (0..17).map(|n| format!("k{n}")).collect();
    let many: Vec<_> = many.iter().map(|key| (&**key, "")).collect();
    let long = "v".repeat(257);
    let wrong_ids = AuthorizeResponse {
        client_ids: vec!["a b".to_owned()],
        ..yes()
    };
    for (answer, said) in [
        (
            knowing(&many),
            "its context has 17 entries; it may have up to 16",
        ),
        (
            knowing(&[("Tenant", "a")]),
            "its context has the key \"Tenant\"",
        ),
        (
            knowing(&[("a-bin", "a")]),
            "its context has the key \"a-bin\"",
        ),
        (knowing(&[("k", &long)]), "a value of \"k\" that cannot be"),
        (knowing(&[("k", "ä")]), "a value of \"k\" that cannot be"),
        (wrong_ids, "\"a b\" among client_ids"),
        // More than is read.
        (
            knowing(&[("k", &"v".repeat(300 * 1024))]),
            "it answers OutOfRange",
        ),
    ] {
        let hook = Hook::saying(answer).await;
        fails(hook.address, said).await;
    }
}

/// And edges come as soon as it is.
#[tokio::test]
async fn a_hook_that_went_away_and_comes_back() {
    let hook = Hook::saying(yes()).await;
    let mux = server(hook.address, &[]).await;
    let first = edge(&mux, "rainbow", &[]);
    first.says(" connected ").await;
    let stopped = hook.stop().await;
    let second = edge(&mux, "kitchen", &[]);
    second.says(FAILED).await;
    // Who is there already stays.
    assert_eq!(mux.listed().await, ["rainbow"]);
    let _hook = stopped.back().await;
    second.says(" connected ").await;
    assert_eq!(mux.listed().await, ["kitchen", "rainbow"]);
}
