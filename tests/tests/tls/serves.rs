//! Edges whose credential names the methods that they may serve.

use grpc_multiplexer_tests::{Backend, Caller, Edge, Folder, KEYS, Mux};

use crate::tokens::{FIRST, lines};
use crate::{borrowed, edge, server};

const RAINBOW: &[(&str, &str)] = &[("client-id", "rainbow")];

/// Sees which of the methods a caller gets to.
async fn serves(mux: &Mux, method: &str, may: bool) {
    let answer = Caller::connect(mux.proxy).await;
    let answer = answer.call(method, RAINBOW, b"ping").await;
    if may {
        assert_eq!(answer.code(), Some(0), "{method}: {answer:?}");
    } else {
        let message = "mux: edge 'rainbow' may not serve this method";
        answer.is_ours(12, message, "not-served", "no");
    }
}

/// The file is changed under a call: what comes on top leaves it alone.
#[tokio::test]
async fn an_edge_serves_the_methods_of_its_token_and_no_others() {
    let folder = Folder::new("serves");
    let backend = Backend::h2(async |mut call| {
        if call.request.uri().path() != "/shop.Stock/Watch" {
            call.read_all().await;
        }
        call.chunk().await;
        call.ok(b"pong").await;
    })
    .await;
    let line = |grants| lines(&[(FIRST, grants)]);
    let tokens = folder.put_secret("tokens", line("rainbow /shop.Stock/* /shop.Invoices/List"));
    let mux = server(&[format!("--edges-tokens={tokens}")]).await;
    let token = folder.put_secret("token", FIRST[0]);
    let edge = edge(
        &mux,
        &backend.address.to_string(),
        &[format!("--token-file={token}")],
    );
    let said = mux.says("edge connected").await;
    let named = "/shop.Stock/* /shop.Invoices/List";
    assert!(said.contains(named), "{said}");
    for (method, may) in [
        ("/shop.Stock/Count", true),
        ("/shop.Invoices/List", true),
        ("/shop.Invoices/Delete", false),
        ("/shop.Stocks/Count", false),
        ("/grpc.health.v1.Health/Check", false),
    ] {
        serves(&mux, method, may).await;
    }

    let caller = Caller::connect(mux.proxy).await;
    let mut watch = caller.start("/shop.Stock/Watch", RAINBOW).await;
    folder.put_secret("tokens", line("rainbow /shop.Stock/* /shop.Invoices/*"));
    mux.reload().await;
    serves(&mux, "/shop.Invoices/Delete", true).await;
    edge.never_said("tunnel lost");
    watch.data(b"more", true).await;
    assert_eq!(watch.answer().await.code(), Some(0));

    let watch = caller.start("/shop.Stock/Watch", RAINBOW).await;
    backend.calls(5).await;
    folder.put_secret("tokens", line("rainbow /shop.Invoices/*"));
    mux.reload().await;
    let why = "does not let it serve all methods any more that it did";
    let said = mux.says("edge lost its right to the tunnel").await;
    assert!(said.contains(why), "{said}");
    assert_eq!(watch.answer().await.code(), Some(14));
    assert!(edge.says("tunnel lost").await.contains(why));
    edge.says_times(" connected ", 2).await;
    serves(&mux, "/shop.Stock/Count", false).await;
    serves(&mux, "/shop.Invoices/List", true).await;
}

#[tokio::test]
async fn so_does_one_with_a_key_and_one_that_enrolled() {
    let folder = Folder::new("serves-keys");
    let backend = Backend::pong().await;
    let address = backend.address.to_string();
    let keys = folder.put(
        "authorized-edges",
        format!("rainbow /shop.Stock/* {}\n", KEYS[0].public),
    );
    let key = folder.put_secret("key", KEYS[0].private);
    let tokens = folder.put_secret("tokens", lines(&[(FIRST, "rain* /shop.Stock/*")]));
    let token = folder.put_secret("token", FIRST[0]);
    let state = format!("--state-dir={}", folder.0.join("state").display());
    let new = folder.0.join("new");
    for (of_server, of_edge) in [
        (
            vec![format!("--edges-keys={keys}")],
            vec![format!("--key-file={key}")],
        ),
        (
            vec![format!("--edges-enrolment={tokens}"), state.clone()],
            vec![
                format!("--key-file={}", new.display()),
                format!("--enrolment-token-file={token}"),
            ],
        ),
        // What was written down holds without the token's line.
        (vec![state], vec![format!("--key-file={}", new.display())]),
    ] {
        let mux = server(&of_server).await;
        let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &borrowed(&of_edge));
        edge.says(" connected ").await;
        serves(&mux, "/shop.Stock/Count", true).await;
        serves(&mux, "/shop.Invoices/List", false).await;
    }
}
