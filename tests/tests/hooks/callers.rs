//! What a hook says of callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_proto::v1::ListGrpcServerRequest;
use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, Folder, Mux, free};
use tokio::task::JoinSet;
use tonic::Status;

use crate::hook::Hook;
use crate::{knowing, no, pong, server, yes};

const TOKEN: &str = "first-token-of-rainbow-0123456789abcdef";
const SHA256: &str = "4d1145def5d743a39576d432973127d793cbc906e34d14f73434f03f922f4b71";

async fn for_callers(hook: &Hook, further: &[&str]) -> (Mux, Backend, Edge) {
    let mux = server(hook.address, &[&["--hooks-for=callers"], further].concat()).await;
    let (backend, address) = pong().await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &[]);
    edge.says(" connected ").await;
    (mux, backend, edge)
}

async fn call(caller: &Caller, metadata: &[(&str, &str)]) -> Answer {
    let metadata = [&[("client-id", "rainbow")], metadata].concat();
    caller.call("/shop.Invoices/List", &metadata, b"x").await
}

/// A yes for so long.
fn for_seconds(seconds: i64, answer: AuthorizeResponse) -> AuthorizeResponse {
    AuthorizeResponse {
        cache_for: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..answer
    }
}

#[tokio::test]
async fn a_caller_that_the_hook_refuses_is_told_why_and_reaches_nobody() {
    let hook = Hook::of_callers(|caller| {
        let paid = caller
            .headers
            .iter()
            .any(|it| it.name == "paid" && it.value == "yes");
        Ok(if paid { yes() } else { no("not paid for") })
    })
    .await;
    let (mux, backend, _edge) = for_callers(&hook, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = call(
        &caller,
        &[("authorization", "Bearer secret"), ("cookie", "secret")],
    )
    .await;
    let said = "mux: the server's hook refuses it: not paid for";
    answer.is_ours(7, said, "hook-refused", "no");
    assert!(backend.seen().is_empty());
    assert_eq!(call(&caller, &[("paid", "yes")]).await.code(), Some(0));
    let callers = hook.callers();
    assert_eq!(callers[0].client_id, "rainbow");
    assert_eq!(callers[0].method, "/shop.Invoices/List");
    assert_eq!(callers[0].remote_address, "127.0.0.1");
    let shown = format!("{callers:?}");
    assert!(!shown.contains("secret"), "{shown}");
    // Edges are none of its business here.
    assert_eq!(hook.asked(), []);
}

#[tokio::test]
async fn a_caller_can_do_and_see_no_more_than_both_let_it() {
    let hook = Hook::of_callers(|_| {
        Ok(AuthorizeResponse {
            client_ids: vec!["rainbow".to_owned()],
            ..knowing(&[("plan", "gold")])
        })
    })
    .await;
    let folder = Folder::new("hooks-callers");
    let text = format!(
        "callers:\n  billing:\n    tokens: [{SHA256}]\n    calls: [{{ids: ['*'], methods: ['*']}}]\n"
    );
    let policy = format!(
        "--callers-policy={}",
        folder.put_secret("policy.yaml", text)
    );
    let (mux, backend, _edge) = for_callers(&hook, &[&policy]).await;
    let (_, address) = pong().await;
    let other = Edge::dialling(mux.multiplexer, "kitchen", &address, &[]);
    other.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    // Whom the policy does not know is not asked for.
    let answer = call(&caller, &[]).await;
    assert_eq!(answer.mux_error(), Some("unauthenticated"));
    assert!(hook.callers().is_empty());
    let token = format!("Bearer {TOKEN}");
    let shown = ("proxy-authorization", &*token);
    let answer = call(&caller, &[shown, ("x-mux-caller-ctx-plan", "forged")]).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    let seen = backend.seen_call(0).headers;
    assert_eq!(seen["x-mux-caller-ctx-plan"], "gold");
    assert_eq!(seen["x-mux-caller"], "billing");
    let asked = &hook.callers()[0];
    assert_eq!(asked.name, "billing");
    let credentials = asked.credentials.as_ref().unwrap();
    assert_eq!(
        (&*credentials.token_sha256, &*credentials.token),
        (SHA256, "")
    );
    let hidden = caller
        .call("/s/m", &[("client-id", "kitchen"), shown], b"x")
        .await;
    hidden.is_ours(5, "Client 'kitchen' not registered", "unknown-edge", "no");
    let mut request = tonic::Request::new(ListGrpcServerRequest::default());
    request
        .metadata_mut()
        .insert("proxy-authorization", token.parse().unwrap());
    let listed = mux
        .discovery()
        .await
        .list_grpc_server(request)
        .await
        .unwrap();
    assert_eq!(listed.into_inner().servers, ["rainbow"]);
    assert_eq!(hook.callers().last().unwrap().client_id, "");
}

/// But not for others; and many who come at once ask once.
#[tokio::test]
async fn an_answer_is_kept_as_long_as_it_says_for_who_shows_the_same() {
    let hook = Hook::of_callers(|_| Ok(for_seconds(3600, yes()))).await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let proxy = mux.proxy;
        calls.spawn(async move {
            let caller = Caller::connect(proxy).await;
            call(&caller, &[("authorization", "Bearer a")]).await.code()
        });
    }
    assert_eq!(calls.join_all().await, [Some(0); 50]);
    assert_eq!(hook.callers().len(), 1);
    let caller = Caller::connect(mux.proxy).await;
    call(&caller, &[("authorization", "Bearer b")]).await;
    call(&caller, &[("proxy-authorization", "Bearer a")]).await;
    call(&caller, &[]).await;
    assert_eq!(hook.callers().len(), 4);
    call(&caller, &[("authorization", "Bearer b")]).await;
    assert_eq!(hook.callers().len(), 4);
}

#[tokio::test]
async fn an_answer_that_is_for_one_call_is_for_no_other() {
    let hook = Hook::of_callers(|caller| match &*caller.method {
        "/shop.Invoices/List" => Ok(yes()),
        _ => Ok(no("not this method")),
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &[]).await;
    let mut calls = JoinSet::new();
    for number in 0..40 {
        let proxy = mux.proxy;
        calls.spawn(async move {
            let caller = Caller::connect(proxy).await;
            let method = ["/shop.Invoices/List", "/shop.Invoices/Delete"][number % 2];
            let answer = caller.call(method, &[("client-id", "rainbow")], b"x").await;
            assert_eq!(answer.code(), Some([0, 7][number % 2]), "{answer:?}");
        });
    }
    calls.join_all().await;
    assert_eq!(hook.callers().len(), 40);
}

#[tokio::test]
async fn a_hook_that_fails_keeps_callers_out_or_lets_them_in_as_is_asked_for() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let hook = Hook::of_callers(move |_| match is_broken.load(Ordering::Relaxed) {
        true => Err(Status::internal("it fails")),
        false => Ok(yes()),
    })
    .await;
    let (mux, backend, _edge) = for_callers(&hook, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let said = "mux: the server's hook does not say who may call";
    call(&caller, &[])
        .await
        .is_ours(14, said, "hook-failed", "no");
    assert!(backend.seen().is_empty());
    broken.store(false, Ordering::Relaxed);
    assert_eq!(call(&caller, &[]).await.code(), Some(0));

    let [nowhere] = free();
    let further = ["--hooks-for=callers", "--hooks-on-failure=allow"];
    let mux = server(nowhere, &further).await;
    let (_backend, address) = pong().await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &[]);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    assert_eq!(call(&caller, &[]).await.code(), Some(0));
}
