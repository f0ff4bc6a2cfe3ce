//! What a hook may do instead of answering.

use std::net::SocketAddr;

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_tests::{Backend, Caller, free, metric};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Status;

use crate::hook::Hook;
use crate::{edge, knowing, listed, server, yes};

const FAILED: &str =
    "the server's hook does not say who may come just now; the server's log says why";

const PROTOCOL: &str = "--tunnel-protocol=1";
const ALLOW: &str = "--hooks-on-failure=allow";

/// An edge is refused, and the log says what the hook did.
async fn refuses(hook: SocketAddr, said: &str, further: &[&str]) {
    let mux = server(hook, &[&["--hooks-for=edges"], further].concat()).await;
    let refused = edge(&mux, "rainbow", &[PROTOCOL]);
    let line = refused.says("no tunnel").await;
    assert!(line.contains(FAILED), "{line}");
    let line = mux.says("the hook did not say who may come").await;
    for part in [said, "is_let_in=false", &format!("hook=http://{hook}/")] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(mux.listed().await.is_empty());
    let failed = r#"hook_duration_seconds_count{hook="authorize",result="failed"}"#;
    assert!(metric(mux.admin, failed).await >= 1.0);
}

/// It is refused, or let in as if there were no hook.
async fn is_away(hook: SocketAddr, said: &str) {
    refuses(hook, said, &[]).await;
    let mux = server(hook, &[ALLOW, "--hooks-for=edges"]).await;
    let let_in = edge(&mux, "rainbow", &[PROTOCOL]);
    let_in.says(" connected ").await;
    assert!(listed(&mux).await[0].context.is_empty());
    let line = mux.says("the hook did not say").await;
    assert!(
        line.contains(said) && line.contains("is_let_in=true"),
        "{line}"
    );
}

/// It is refused either way.
async fn is_wrong(hook: SocketAddr, said: &str) {
    refuses(hook, said, &[ALLOW]).await;
}

#[tokio::test]
async fn a_hook_that_is_not_there() {
    let [nowhere] = free();
    is_away(nowhere, "error=it cannot be reached").await;
}

#[tokio::test]
async fn a_hook_that_says_nothing() {
    let hook = Hook::start(|_| None).await;
    is_away(hook.address, "no answer within 2s").await;
}

#[tokio::test]
async fn a_hook_that_speaks_something_else() {
    let other = Backend::tcp(async |mut socket| {
        // All of the question.
        let _ = socket.read_exact(&mut [0; 150]).await;
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let said = "it does not speak gRPC; where it speaks JSON, give --hooks-url";
    is_wrong(other.address, said).await;
    // One that has no such service.
    let (backend, _) = crate::pong().await;
    is_wrong(backend.address, "error=it answers Internal: ").await;
}

#[tokio::test]
async fn a_hook_that_hangs_up() {
    let other = Backend::tcp(async |_| {}).await;
    is_away(other.address, "it hung up without an answer").await;
}

#[tokio::test]
async fn a_hook_that_fails() {
    let hook = Hook::start(|_| Some(Err(Status::internal("a\nbug")))).await;
    is_wrong(hook.address, "it answers Internal: a bug").await;
    // It says that it is away.
    let hook = Hook::start(|_| Some(Err(Status::unavailable("later")))).await;
    is_away(hook.address, "it answers Unavailable: later").await;
}

/// Once a minute each, with one of those to whom it happened.
#[tokio::test]
async fn everything_that_goes_wrong_is_in_the_log_and_with_whom() {
    let hook = Hook::start(|edge| {
        Some(match &*edge.client_id {
            "rainbow" => Ok(knowing(&[("Tenant", "a")])),
            "kitchen" => Err(Status::permission_denied("not mine")),
            _ => Err(Status::internal("no caller was expected")),
        })
    })
    .await;
    let mux = server(hook.address, &["--hooks-for=edges", "--hooks-for=callers"]).await;
    let mut edges = Vec::new();
    for (id, said) in [
        ("rainbow", "its context has the key \"Tenant\""),
        ("kitchen", "it answers PermissionDenied: not mine"),
        ("attic", "it answers Internal: no caller was expected"),
    ] {
        edges.push(edge(&mux, id, &[]));
        let line = mux
            .says(&format!("who=edge client_id={id} remote=127.0.0.1:"))
            .await;
        assert!(line.contains(said), "no {said} in {line}");
    }
    // What goes wrong with callers is another thing.
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "cellar")], b"").await;
    answer.is_ours(
        14,
        "mux: the server's hook does not say who may call",
        "hook-failed",
        "no",
    );
    mux.says("who=caller client_id=cellar remote=127.0.0.1")
        .await;
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
        (knowing(&[("k", "v ")]), "and no space at either end"),
        (wrong_ids, "\"a b\" among client_ids"),
        // More than is read.
        (
            knowing(&[("k", &"v".repeat(300 * 1024))]),
            "it answers OutOfRange",
        ),
    ] {
        let hook = Hook::saying(answer).await;
        is_wrong(hook.address, said).await;
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
