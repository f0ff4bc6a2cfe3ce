//! Tunnels that end because what let them in does so no more.

use grpc_multiplexer_tests::{Backend, Caller, Change, Edge};

use crate::tokens::{FIRST, SECOND, lines, shows, takes};
use crate::tunnel::is_reached;
use crate::{NOWHERE, Pki, borrowed, edge, pong, server};

const GONE: &str = "edge lost its right to the tunnel";
const MENDED: &str = "no tunnel, and none until this is mended";

/// With the call that is on it.
#[tokio::test]
async fn a_token_that_is_taken_out_takes_its_tunnel_along_and_no_other() {
    let pki = Pki::new("taken-out");
    let (_backend, backend) = pong().await;
    let hanging = Backend::h2(async |mut call| call.read_all().await).await;
    let tokens = [(FIRST, "kitchen rainbow"), (SECOND, "rainbow")];
    let mux = server(&takes(&pki, &tokens)).await;
    let options = shows(&pki, "kitchen", FIRST[0]);
    let address = hanging.address.to_string();
    let kitchen = Edge::dialling(mux.multiplexer, "kitchen", &address, &borrowed(&options));
    let rainbow = edge(&mux, &backend, &shows(&pki, "rainbow", SECOND[0]));
    for edge in [&kitchen, &rainbow] {
        edge.says(" connected ").await;
    }
    let caller = Caller::connect(mux.proxy).await;
    let call = caller.start("/s/m", &[("client-id", "kitchen")]).await;
    hanging.calls(1).await;

    pki.folder.put("tokens", lines(&tokens[1..]));
    let change = mux.reload().await;
    let why = "does not have the token";
    let line = change.brings("the end of its tunnel", mux.says(GONE)).await;
    assert!(
        line.contains("client_id=kitchen") && line.contains(why),
        "{line}"
    );
    let answer = change.brings("the end of its call", call.answer()).await;
    assert_eq!(answer.code(), Some(14));
    let lost = kitchen.says("tunnel lost");
    let line = change.brings("the end at the edge", lost).await;
    assert!(line.contains(why), "{line}");
    assert!(kitchen.says(MENDED).await.contains(why));
    is_reached(&mux).await;
    rainbow.never_said("tunnel lost");
    assert_eq!(mux.listed().await, ["rainbow"]);
}

#[tokio::test]
async fn an_id_that_a_token_no_longer_grants_takes_its_tunnel_along() {
    let pki = Pki::new("other-ids");
    let mux = server(&takes(&pki, &[(FIRST, "rainbow")])).await;
    let edge = edge(&mux, NOWHERE, &shows(&pki, "token", FIRST[0]));
    edge.says(" connected ").await;
    pki.folder.put("tokens", lines(&[(FIRST, "kitchen")]));
    // Without a word to the server.
    let change = Change::saved();
    change.brings("the end of its tunnel", mux.says(GONE)).await;
    let line = edge.says("tunnel lost").await;
    assert!(line.contains("grants: 'kitchen'"), "{line}");
}

/// On both wires.
#[tokio::test]
async fn a_pattern_that_takes_no_certificate_of_it_takes_a_tunnel_along() {
    let pki = Pki::new("other-pattern");
    let write = |pattern: &str| {
        let text = format!("edges-certificate-id: '{pattern}'\n");
        pki.folder.put("server.yaml", text)
    };
    let mut options = pki.mutual("multiplexer");
    options.push(format!("--config={}", write("{id}.test")));
    let mux = server(&options).await;
    let options = pki.edge(&pki.authority.signs("rainbow.test"), "rainbow");
    for (round, protocol) in ["1", "legacy"].into_iter().enumerate() {
        write("{id}.test");
        mux.reload().await;
        let protocol = [format!("--tunnel-protocol={protocol}")];
        let edge = edge(&mux, NOWHERE, &[&options[..], &protocol].concat());
        edge.says(" connected ").await;
        write("{id}.other.test");
        let change = mux.reload().await;
        let cut = mux.says_times(GONE, round + 1);
        change.brings("the end of its tunnel", cut).await;
        let lost = edge.says("tunnel lost");
        change.brings("the end at the edge", lost).await;
        assert!(mux.listed().await.is_empty());
    }
}
