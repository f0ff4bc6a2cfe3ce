//! Secrets are shown to those whom they are for, and to nobody else: not on the way, not in a log, not in an answer.
//!
//! Those of other tests are looked for as well, in all that the processes of those tests say, in their arguments and in their
//! environments.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

mod material;
mod places;
mod server;
mod strangers;
mod world;

use grpc_multiplexer_tests::secrets::{are_not_in, found_in, plant};
use grpc_multiplexer_tests::{Edge, ScriptedServer};

use material::token;
use world::{Tls, World, said_everything};

/// Edges and callers by each of their credentials, operators, and whoever looks at pages.
#[tokio::test]
async fn what_works_shows_no_secret() {
    for format in ["pretty", "json"] {
        let mut world = World::start(Tls::Everywhere, format).await;
        let edges = world.edges().await;
        for token in [&world.caller_token, &world.signer.token("svc-billing")] {
            let answer = world.call("/s/m", token).await;
            assert_eq!(answer.body, world.body.as_bytes(), "{answer:?}");
            let failed = world.call("/s/fail", token).await;
            assert_eq!(failed.code(), Some(13), "{failed:?}");
        }
        let shows = world.shows_token("right", &world.caller_token);
        for (args, said) in [
            (&["list"][..], "kitchen"),
            (&["list", "--json"], "\"rainbow\""),
            (&["check", "rainbow"], "ok       backend"),
        ] {
            let (_, told) = world.ask(args, &shows).await;
            assert!(told.contains(said), "{told}");
        }
        let leaf = world.authority.signs("operator.test");
        let kick = ["kick", "garden", "--reason=why"];
        let (code, said) = world.ask(&kick, &world.operator(&leaf)).await;
        assert_eq!(code, Some(0), "{said}");
        edges[2].says("an operator closed the tunnel: why").await;
        for page in ["/", "/livez", "/readyz", "/metrics", "/nothing"] {
            are_not_in(page, world.page(page).await);
        }
        world.takes_its_own_place().await;
        world.crash().await;
        edges[0].says_times(&world.connected(), 2).await;
        for process in edges.iter().map(|edge| &**edge).chain([&world.server]) {
            said_everything(process);
        }
        world.nothing_is_readable_on_the_way();
        // It was told, and said nothing of it.
        assert!(found_in(world.to_hook.seen()).is_some());
    }
}

/// Whoever has that gets the place of an edge.
#[tokio::test]
async fn what_a_tunnel_is_known_by_is_in_no_log_of_its_edge() {
    let (server, proof) = (ScriptedServer::start().await, token());
    let args = ["--log-level", "trace"];
    let edge = Edge::dialling(server.address, "rainbow", "127.0.0.1:1", &args);
    let tunnel = server.take(proof.as_bytes()).await;
    plant(&tunnel.hello.instance_id);
    edge.says(" connected ").await;
    drop(tunnel);
    let again = server.take(proof.as_bytes()).await;
    assert_eq!(again.hello.resume_token, proof.as_bytes());
    edge.says_times(" connected ", 2).await;
    said_everything(&edge);
}

/// Else the taps would hear nothing, or what is looked for would not be found.
#[tokio::test]
async fn in_plain_text_secrets_are_readable_on_the_way() {
    let world = World::start(Tls::Nowhere, "pretty").await;
    let edges = world.edges().await;
    let answer = world.call("/s/m", &world.caller_token).await;
    assert_eq!(answer.body, world.body.as_bytes(), "{answer:?}");
    for tap in [&world.to_proxy, &world.to_multiplexer] {
        assert!(found_in(tap.seen()).is_some());
    }
    for process in edges.iter().map(|edge| &**edge).chain([&world.server]) {
        said_everything(process);
    }
}
