//! What a hook says of edges: a no, bounds, and what backends and callers then know of them.

use std::net::{Ipv4Addr, SocketAddrV4};

use grpc_multiplexer_proto::hooks::v1::AuthorizeResponse;
use grpc_multiplexer_tests::{
    Caller, Edge, Folder, Mux, metric, says_hello_from, whatever_becomes_of_rainbow,
};

use crate::hook::Hook;
use crate::{NOBODY, SHA256, TOKEN, edge, knowing, listed, no, pong, server, yes};

#[tokio::test]
async fn an_edge_that_the_hook_refuses_is_told_why_and_is_nowhere() {
    let hook = Hook::start(|edge| {
        Some(Ok(match &*edge.client_id {
            "rainbow" => yes(),
            _ => no("it is\nnot paid for"),
        }))
    })
    .await;
    let mux = server(hook.address, &[]).await;
    let (refused, let_in) = (
        edge(&mux, "kitchen", &[]),
        edge(&mux, "rainbow", &["--label=team=red"]),
    );
    let said = refused.says("no tunnel").await;
    let why = "the server's hook refuses it: it is not paid for";
    assert!(said.contains(why), "{said}");
    assert!(mux.says("edge refused").await.contains(why));
    // Another that is refused for the same is another.
    let _another = edge(&mux, "attic", &[]);
    for id in ["kitchen", "attic"] {
        let line = format!("{why} (client id {id}, from 127.0.0.1)");
        mux.says(&line).await;
    }
    let_in.says(" connected ").await;
    assert_eq!(mux.listed().await, ["rainbow"]);
    let asked = hook.asked();
    let asked = asked.iter().find(|it| it.client_id == "rainbow").unwrap();
    assert!(asked.remote_address.starts_with("127.0.0.1:"), "{asked:?}");
    assert!(asked.version.starts_with("grpc-multiplexer/"), "{asked:?}");
    let credentials = asked.credentials.clone().unwrap();
    assert_eq!(credentials, Default::default());
    assert_eq!(asked.labels["team"], "red");
    // Nor is one of the original's, which is not told why.
    let legacy = edge(&mux, "old", &["--tunnel-protocol=legacy"]);
    legacy.says("or this one may not").await;
    assert_eq!(mux.listed().await, ["rainbow"]);
    let refused = r#"hook_duration_seconds_count{hook="authorize",result="refused"}"#;
    assert!(metric(mux.admin, refused).await >= 2.0);
}

/// As by whatever else an id is kept from it.
#[tokio::test]
async fn who_the_hook_refuses_does_not_learn_what_becomes_of_the_id() {
    const REFUSED: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
    const BOUND: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 2);
    let hook = Hook::start(|edge| {
        let from: SocketAddrV4 = edge.remote_address.parse().unwrap();
        Some(Ok(match *from.ip() {
            REFUSED => no("not paid for"),
            BOUND => AuthorizeResponse {
                client_ids: vec!["kitchen".to_owned()],
                ..yes()
            },
            _ => yes(),
        }))
    })
    .await;
    let mux = server(hook.address, &["--operator-listener=127.0.0.1:0"]).await;
    let rainbow = || edge(&mux, "rainbow", &[]);
    let no = async |from| {
        says_hello_from(from, &mux, None, |_| None)
            .await
            .unwrap_err()
    };
    let ask = async || [no(REFUSED).await, no(BOUND).await];
    let [free, others @ ..] = whatever_becomes_of_rainbow(&mux, rainbow, ask).await;
    assert_ne!(free[0], free[1]);
    for told in others {
        assert_eq!(told, free);
    }
}

#[tokio::test]
async fn a_hook_says_which_ids_an_edge_may_have() {
    let bound = AuthorizeResponse {
        client_ids: vec!["rainbow".to_owned(), "kitchen-*".to_owned()],
        ..yes()
    };
    let hook = Hook::saying(bound).await;
    let mux = server(hook.address, &[]).await;
    let other = edge(&mux, "attic", &[]);
    let said = other.says("no tunnel").await;
    assert!(
        said.contains("the server's hook does not let it have the client id 'attic'"),
        "{said}"
    );
    let edges = ["kitchen-2", "rainbow"].map(|id| edge(&mux, id, &[]));
    for edge in &edges {
        edge.says(" connected ").await;
    }
    assert_eq!(mux.listed().await, ["kitchen-2", "rainbow"]);
}

/// And it is not asked before, so that nobody can have it asked who shows nothing.
#[tokio::test]
async fn who_is_not_let_in_otherwise_is_not_by_a_hook() {
    let folder = Folder::new("hooks-tokens");
    let tokens = folder.put_secret("tokens", format!("{SHA256} rainbow\n"));
    let [right, wrong] = [
        ("right", TOKEN),
        ("wrong", "wrong-token-0123456789-0123456789abcdef"),
    ]
    .map(|(name, token)| format!("--token-file={}", folder.put_secret(name, token)));
    let hook = Hook::saying(yes()).await;
    let tokens = format!("--edges-tokens={tokens}");
    let mux = server(hook.address, &[&tokens]).await;
    let without = edge(&mux, "rainbow", &[&wrong]);
    let said = without.says("no tunnel").await;
    assert!(said.contains("--edges-tokens"), "{said}");
    let another = edge(&mux, "kitchen", &[&right]);
    another.says("no tunnel").await;
    assert_eq!(hook.asked(), []);
    drop(without);
    let let_in = edge(&mux, "rainbow", &[&right]);
    let_in.says(" connected ").await;
    let asked = hook.asked();
    let credentials = asked[0].credentials.as_ref().unwrap();
    assert_eq!(credentials.token_sha256, SHA256);
    assert_eq!(credentials.principal, format!("token {}", &SHA256[..8]));
    // The token itself is for nobody.
    assert_eq!(credentials.token, "");

    let mux = server(hook.address, &["--hooks-send-tokens=true"]).await;
    let shown = edge(&mux, "rainbow", &[&right]);
    shown.says(" connected ").await;
    let asked = hook.asked();
    let credentials = asked.last().unwrap().credentials.as_ref().unwrap();
    assert_eq!(credentials.token, TOKEN);
    for said in [mux.log(), shown.log()].concat() {
        assert!(!said.contains(TOKEN), "{said}");
    }
}

#[tokio::test]
async fn what_a_hook_knows_of_an_edge_goes_with_every_call_to_it_and_nobody_forges_it() {
    let hook = Hook::start(|edge| {
        let id = edge.client_id.clone();
        Some(Ok(knowing(&[("tenant", "blue & co"), ("of", &id)])))
    })
    .await;
    let mux = server(hook.address, &[]).await;
    let (backend, address) = pong().await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &["--tunnels=2"]);
    edge.says_times(" connected ", 2).await;
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..8 {
        let metadata = [
            ("client-id", "rainbow"),
            ("x-mux-ctx-tenant", "forged"),
            ("x-mux-ctx-further", "forged"),
        ];
        let answer = caller.call("/s/m", &metadata, b"x").await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
    }
    for seen in backend.seen() {
        let context: Vec<_> = seen
            .headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-mux-"))
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let wanted = [
            ("x-mux-ctx-of", "rainbow"),
            ("x-mux-ctx-tenant", "blue & co"),
        ];
        assert_eq!(context, wanted);
    }
    let shown = listed(&mux).await;
    assert_eq!(shown[0].context["tenant"], "blue & co");
    assert_eq!(shown[0].context.len(), 2);
}

/// As the hook would have it at any other time: nothing of one tunnel is left for the next.
#[tokio::test]
async fn each_tunnel_is_asked_for_anew() {
    let hook = Hook::saying(yes()).await;
    let mux = server(hook.address, &[]).await;
    let edge = edge(&mux, "rainbow", &["--tunnels=3"]);
    edge.says_times(" connected ", 3).await;
    assert_eq!(hook.asked().len(), 3);
}

/// A server without one asks nobody, and one whose hook is for something else does not ask it.
#[tokio::test]
async fn a_hook_that_is_for_events_is_not_asked() {
    let hook = Hook::saying(no("never")).await;
    let mux = server(hook.address, &["--hooks-for=events"]).await;
    let edge = edge(&mux, "rainbow", &[]);
    edge.says(" connected ").await;
    hook.told_of("rainbow", 1).await;
    assert_eq!(hook.asked(), []);

    let hook = Hook::saying(yes()).await;
    let mux: Mux = server(hook.address, &["--hooks-for=edges"]).await;
    let other = Edge::dialling(mux.multiplexer, "rainbow", NOBODY, &[]);
    other.says(" connected ").await;
    drop(other);
    mux.says("edge disconnected").await;
    assert_eq!(hook.told(), []);
}
