//! What a hook says of callers.

use grpc_multiplexer_proto::hooks::v1::{AuthorizeResponse, Header};
use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_proto::v1::{ListGrpcServerRequest, WatchGrpcServerRequest};
use grpc_multiplexer_tests::{Answer, Backend, Caller, Edge, Folder, Mux, within};
use tokio::task::JoinSet;

use crate::hook::Hook;
use crate::{NOBODY, SHA256, TOKEN, knowing, no, pong, server, yes};

pub(crate) async fn for_callers(hook: &Hook, further: &[&str]) -> (Mux, Backend, Edge) {
    let mux = server(hook.address, &[&["--hooks-for=callers"], further].concat()).await;
    let (backend, address) = pong().await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &[]);
    edge.says(" connected ").await;
    (mux, backend, edge)
}

pub(crate) async fn call(caller: &Caller, metadata: &[(&str, &str)]) -> Answer {
    let metadata = [&[("client-id", "rainbow")], metadata].concat();
    caller.call("/shop.Invoices/List", &metadata, b"x").await
}

/// The option of a policy that knows one caller, by its token, and what that may.
pub(crate) fn policy(calls: &str) -> (String, Folder) {
    let folder = Folder::new("hooks-callers");
    let text = format!("callers:\n  billing:\n    tokens: [{SHA256}]\n    calls: [{calls}]\n");
    let path = folder.put_secret("policy.yaml", text);
    (format!("--callers-policy={path}"), folder)
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
    let (policy, _folder) = policy("{ids: ['*'], methods: ['*']}");
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
    let forged = [
        ("x-mux-caller-ctx-plan", "forged"),
        ("x-mux-caller", "forged"),
        ("x-forwarded-for", "forged"),
    ];
    let answer = call(&caller, &[&[shown], &forged[..]].concat()).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    let seen = backend.seen_call(0).headers;
    assert_eq!(seen["x-mux-caller-ctx-plan"], "gold");
    assert_eq!(seen["x-mux-caller"], "billing");
    let asked = &hook.callers()[0];
    assert!(!format!("{asked:?}").contains("forged"), "{asked:?}");
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

/// What is no for certain is so without a question, whoever asks for it.
#[tokio::test]
async fn a_hook_is_not_asked_about_what_the_server_refuses_by_itself() {
    let hook = Hook::of_callers(|_| Ok(yes())).await;
    let (policy, _folder) = policy("{ids: [rainbow], methods: [/shop.Invoices/List]}");
    let (mux, _backend, _edge) = for_callers(&hook, &[&policy]).await;
    let caller = Caller::connect(mux.proxy).await;
    let token = format!("Bearer {TOKEN}");
    let shown = ("proxy-authorization", &*token);
    let [rainbow, kitchen, junk] = ["rainbow", "kitchen", "a b"].map(|id| ("client-id", id));
    for (method, ids, error) in [
        ("List", &[][..], "no-id"),
        ("List", &[rainbow, rainbow], "many-ids"),
        ("List", &[junk], "bad-id"),
        ("Delete", &[rainbow], "not-allowed"),
        ("List", &[kitchen], "unknown-edge"),
    ] {
        let path = format!("/shop.Invoices/{method}");
        let answer = caller.call(&path, &[ids, &[shown]].concat(), b"x").await;
        assert_eq!(answer.mux_error(), Some(error), "{answer:?}");
    }
    assert_eq!(hook.callers(), []);
    assert_eq!(call(&caller, &[shown]).await.code(), Some(0));
    assert_eq!(hook.callers().len(), 1);
}

#[tokio::test]
async fn a_hook_that_is_to_see_what_callers_show_sees_it() {
    let hook = Hook::of_callers(|_| Ok(yes())).await;
    let further = ["--hooks-send-tokens=true", "--forwarded-headers=append"];
    let (mux, _backend, _edge) = for_callers(&hook, &further).await;
    let caller = Caller::connect(mux.proxy).await;
    let token = format!("Bearer {TOKEN}");
    let shown = [
        ("proxy-authorization", &*token),
        ("authorization", "Basic for-the-backend"),
        ("cookie", "session=1"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    assert_eq!(call(&caller, &shown).await.code(), Some(0));
    let asked = &hook.callers()[0];
    let credentials = asked.credentials.as_ref().unwrap();
    assert_eq!(
        (&*credentials.token, &*credentials.token_sha256),
        (TOKEN, SHA256)
    );
    for (name, value) in shown {
        let is_it = |it: &&Header| it.name == name && it.value == value;
        assert!(asked.headers.iter().any(|it| is_it(&it)), "{name}");
    }
}

/// Neither by an event, nor by a number that grows with each.
#[tokio::test]
async fn what_the_hook_hides_comes_and_goes_unnoticed() {
    let hook = Hook::of_callers(|_| {
        Ok(AuthorizeResponse {
            client_ids: vec!["rainbow".to_owned()],
            ..yes()
        })
    })
    .await;
    let (mux, _backend, mut rainbow) = for_callers(&hook, &[]).await;
    let request = WatchGrpcServerRequest {
        snapshot: true,
        details: true,
        ..WatchGrpcServerRequest::default()
    };
    let mut discovery = mux.discovery().await;
    let mut watch = discovery
        .watch_grpc_server(request)
        .await
        .unwrap()
        .into_inner();
    let mut next = async || {
        let event = within("an event", watch.message()).await.unwrap().unwrap();
        (event.event(), event.server, event.revision)
    };
    let list = async || {
        let request = ListGrpcServerRequest {
            details: true,
            ..ListGrpcServerRequest::default()
        };
        let listed = mux.discovery().await.list_grpc_server(request).await;
        let mut listed = listed.unwrap().into_inner();
        // It is another every time.
        listed
            .edges
            .iter_mut()
            .for_each(|edge| edge.heartbeat_rtt = None);
        listed
    };
    let (event, id, _) = next().await;
    assert_eq!((event, &*id), (Event::Connected, "rainbow"));
    assert_eq!(next().await.0, Event::SnapshotEnd);
    let before = list().await;
    let mut kitchen = Edge::dialling(mux.multiplexer, "kitchen", NOBODY, &[]);
    kitchen.says(" connected ").await;
    assert_eq!(list().await, before);
    kitchen.kill().await;
    mux.says("edge disconnected").await;
    assert_eq!(list().await, before);
    rainbow.kill().await;
    let (event, id, gone) = next().await;
    assert_eq!((event, &*id), (Event::Disconnected, "rainbow"));
    assert_eq!(list().await.revision, gone);
    assert_ne!(gone, before.revision);
}
