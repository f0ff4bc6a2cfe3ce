//! Edges that have the client ids of their tokens, for as long as those last.

use std::time::Duration;

use grpc_multiplexer_tests::signer::{MARKER, Signer, jwks, says};
use grpc_multiplexer_tests::{Caller, Edge, Folder, Load, Mux, TOKENS, free};
use serde_json::json;
use tokio::time::Instant;

use crate::publisher::{Publisher, Says};
use crate::{borrowed, issuer, issuer_of, pong, server};

/// An edge `id` of a server on this machine, which shows what is in a file.
fn edge(mux: &Mux, id: &str, backend: &str, file: &str) -> Edge {
    let options = [
        format!("--token-file={file}"),
        "--log-level".to_owned(),
        "trace".to_owned(),
    ];
    Edge::dialling(mux.multiplexer, id, backend, &borrowed(&options))
}

async fn is_reached(mux: &Mux) {
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
    assert_eq!(answer.body, b"pong", "{answer:?}");
}

#[tokio::test]
async fn an_edge_has_the_id_that_its_jwt_is_about() {
    let (folder, signer) = (Folder::new("jwt-sub"), Signer::new("a"));
    let (_backend, backend) = pong().await;
    let mux = server(&issuer_of("edges", &folder, &[&signer])).await;
    let token = signer.token("rainbow");
    let file = folder.put_secret("token", format!("{token}\n"));
    let edge = edge(&mux, "rainbow", &backend, &file);
    edge.says(" connected ").await;
    is_reached(&mux).await;
    for line in edge.log() {
        for part in token.split('.').chain([MARKER]) {
            assert!(!line.contains(part), "{line}");
        }
    }
}

#[tokio::test]
async fn another_claim_may_have_ids_and_what_they_begin_with() {
    let (folder, signer) = (Folder::new("jwt-claim"), Signer::new("a"));
    let mut options = issuer_of("edges", &folder, &[&signer]);
    options.push("--edges-jwt-claim=/mux/ids".to_owned());
    let mux = server(&options).await;
    let mut says = says("attic", 3600);
    says["mux"] = json!({"ids": ["rainbow", "kitchen-*"]});
    let file = folder.put_secret("token", signer.signs(&says));
    for id in ["rainbow", "kitchen-2"] {
        edge(&mux, id, "127.0.0.1:1", &file)
            .says(" connected ")
            .await;
    }
    let refused = edge(&mux, "attic", "127.0.0.1:1", &file);
    refused
        .says("claim /mux/ids: 'rainbow', 'kitchen-*'; give the edge")
        .await;
}

/// It is not the token that is wrong, so nobody has to mend it.
#[tokio::test]
async fn an_edge_whose_jwt_cannot_be_checked_yet_comes_again_soon() {
    let (folder, signer) = (Folder::new("jwt-early"), Signer::new("a"));
    let [address] = free();
    let url = format!("http://{address}/jwks.json?of=test");
    let mux = server(&issuer("edges", &url)).await;
    let file = folder.put_secret("token", signer.token("rainbow"));
    let edge = edge(&mux, "rainbow", "127.0.0.1:1", &file);
    let said = edge.says("no tunnel").await;
    assert!(
        said.contains("keys could not be fetched so far") && !said.contains("until this is mended"),
        "{said}"
    );
    let keys = Says::keys(&jwks(&[&signer]));
    let _publisher = Publisher::on(&address.to_string(), None, keys).await;
    edge.says(" connected ").await;
}

/// A token of the other kind, in the same kind of file.
#[tokio::test]
async fn a_token_that_is_known_by_its_hash_will_do_as_well() {
    let (folder, signer) = (Folder::new("jwt-or-token"), Signer::new("a"));
    let mut options = issuer_of("edges", &folder, &[&signer]);
    let [known, digest] = TOKENS[0];
    let tokens = folder.put_secret("tokens", format!("{digest} rainbow\n"));
    options.push(format!("--edges-tokens={tokens}"));
    let mux = server(&options).await;
    for (token, principal) in [
        (known, "token 4d1145de"),
        (&signer.token("rainbow"), "jwt rainbow"),
    ] {
        let file = folder.put_secret("token", token);
        let mut edge = edge(&mux, "rainbow", "127.0.0.1:1", &file);
        edge.says(" connected ").await;
        mux.says(&format!("principal={principal}")).await;
        edge.kill().await;
    }
    for (token, said) in [
        ("x".repeat(40), "does not have the token"),
        (Signer::new("a").token("rainbow"), "signature"),
    ] {
        let file = folder.put_secret("wrong", token);
        edge(&mux, "rainbow", "127.0.0.1:1", &file).says(said).await;
    }
}

#[tokio::test]
async fn a_tunnel_ends_with_its_jwt() {
    let (folder, signer) = (Folder::new("jwt-end"), Signer::new("a"));
    let (_backend, backend) = pong().await;
    let mux = server(&issuer_of("edges", &folder, &[&signer])).await;
    // Thirty seconds are leeway, and three at least are left for a call.
    let file = folder.put_secret("token", signer.signs(&says("rainbow", -26)));
    let edge = edge(&mux, "rainbow", &backend, &file);
    edge.says(" connected ").await;
    is_reached(&mux).await;
    let line = mux.says("edge lost its right to the tunnel").await;
    assert!(line.contains("the JWT has expired (exp)"), "{line}");
    edge.says("closed by the peer: the JWT has expired").await;
    mux.says("edge disconnected").await;
    // It comes again with what it has, and at once with what it is given.
    edge.says("no tunnel, and none until this is mended").await;
    folder.put("token", signer.token("rainbow"));
    let begun = Instant::now();
    edge.reload().await;
    edge.says_times(" connected ", 2).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    is_reached(&mux).await;
}

/// The next one in time, and the first one's end while the edge has the next.
#[tokio::test]
async fn a_jwt_is_renewed_under_load_and_no_call_fails() {
    let (folder, signer) = (Folder::new("jwt-renewed"), Signer::new("a"));
    let (_backend, backend) = pong().await;
    let mut options = issuer_of("edges", &folder, &[&signer]);
    options.extend(["--log-level", "info"].map(str::to_owned));
    let mux = server(&options).await;
    let file = folder.put_secret("token", signer.signs(&says("rainbow", -15)));
    let options = [format!("--token-file={file}")];
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &backend, &borrowed(&options));
    edge.says(" connected ").await;
    let load = Load::start(&mux).await;
    folder.put("token", signer.token("rainbow"));
    edge.says("there is another credential").await;
    edge.says_times(" connected ", 2).await;
    edge.says("old tunnel closed").await;
    load.none_failed().await;
    edge.never_said("tunnel lost");
    edge.never_said("has expired");
}

/// A key that is taken out closes the tunnels that it let in, and a new one lets others in.
#[tokio::test]
async fn keys_change_in_their_file() {
    let folder = Folder::new("jwt-keys");
    let (first, second) = (Signer::new("a"), Signer::new("b"));
    let mux = server(&issuer_of("edges", &folder, &[&first])).await;
    let edge = |id: &str, signer: &Signer| {
        let file = folder.put_secret(id, signer.token(id));
        edge(&mux, id, "127.0.0.1:1", &file)
    };
    let old = edge("rainbow", &first);
    old.says(" connected ").await;
    folder.put("keys.json", jwks(&[&first, &second]));
    mux.reload().await;
    let new = edge("kitchen", &second);
    new.says(" connected ").await;
    folder.put("keys.json", jwks(&[&second]));
    let change = mux.reload().await;
    let closed = old.says("closed by the peer: the JWT is signed by a key that is not among");
    change.brings("the end of a tunnel", closed).await;
    // What cannot be used is not taken.
    folder.put(
        "keys.json",
        r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#,
    );
    mux.says("the key number 1 is symmetric").await;
    mux.says("everything stays as it was").await;
    assert_eq!(mux.listed().await, ["kitchen"]);
    new.never_said("tunnel lost");
}
