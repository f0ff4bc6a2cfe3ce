//! Tunnels of one edge side by side, how they prove that they belong together, and what an edge does that is superseded.

use std::time::Duration;

use grpc_multiplexer_tests::{Edge, ScriptedServer, within};
use grpc_multiplexer_tunnel::BARE_ENDPOINT;
use grpc_multiplexer_tunnel::message::{Code, open::Kind};

/// An edge `a` of a server, with options.
fn edge(server: &ScriptedServer, args: &[&str]) -> Edge {
    Edge::dialling(server.address, "a", "127.0.0.1:1", args)
}

#[tokio::test]
async fn slots_are_numbered_and_prove_that_they_are_of_one_instance() {
    let server = ScriptedServer::start().await;
    let _edge = edge(&server, &["--tunnels", "3"]);
    let first = server.take(b"one").await;
    assert_eq!(first.hello.tunnel_slot, 0);
    assert_eq!(first.hello.resume_token, b"");
    assert_eq!(first.hello.instance_id.len(), 16);
    let others = [server.take(b"two").await, server.take(b"three").await];
    let mut slots = others.each_ref().map(|tunnel| tunnel.hello.tunnel_slot);
    slots.sort_unstable();
    assert_eq!(slots, [1, 2]);
    for tunnel in &others {
        assert_eq!(tunnel.hello.instance_id, first.hello.instance_id);
        // The second of them may have been under way when the first was welcomed.
        let token = tunnel.hello.resume_token.as_slice();
        assert!([&b"one"[..], b"two"].contains(&token), "{token:?}");
    }
    // Each is dialled again for itself, with the newest proof: that of the welcome that was read last.
    let lost = others[0].hello.tunnel_slot;
    let [gone, stays] = others;
    drop(gone);
    let again = server.take(b"four").await;
    assert_eq!(again.hello.tunnel_slot, lost);
    let token = again.hello.resume_token.as_slice();
    assert!([&b"two"[..], b"three"].contains(&token), "{token:?}");
    assert_eq!(again.hello.instance_id, first.hello.instance_id);
    assert!(!first.session.is_closed() && !stays.session.is_closed());
}

#[tokio::test]
async fn no_slot_but_the_first_dials_before_there_is_anything_to_prove_it_with() {
    let server = ScriptedServer::start().await;
    let _edge = edge(&server, &["--tunnels", "2"]);
    for _ in 0..3 {
        let hello = server.refuse(Code::Limit).await;
        assert_eq!(hello.tunnel_slot, 0);
    }
}

#[tokio::test]
async fn where_an_upgrade_fails_the_process_before_still_knows_its_edge() {
    let server = ScriptedServer::start().await;
    let edge = edge(&server, &[]);
    let stays = server.take_as("old", b"of the old one").await;
    stays.session.drain("upgrade", Duration::ZERO);
    let fails = server.take_as("new", b"of the new one").await;
    assert_eq!(fails.hello.resume_token, b"of the old one");
    edge.says_times(" connected ", 2).await;
    drop(fails);
    // The newest first: that process may be back.
    let refused = server.refuse(Code::DuplicateClientId).await;
    assert_eq!(refused.resume_token, b"of the new one");
    let again = server.take_as("old", b"more").await;
    assert_eq!(again.hello.resume_token, b"of the old one");
    // There was a pause after the loss of the tunnel, and none after the refusal.
    edge.says_times(" connected ", 3).await;
    let pauses = edge
        .log()
        .into_iter()
        .filter(|line| line.contains("dialling again"));
    assert_eq!(pauses.count(), 1);
}

#[tokio::test]
async fn a_duplicate_is_one_with_either_proof() {
    let server = ScriptedServer::start().await;
    let edge = edge(&server, &[]);
    for (n, token) in [(1, b"one"), (2, b"two")] {
        let tunnel = server.take_as(&format!("process {n}"), token).await;
        edge.says_times(" connected ", n).await;
        drop(tunnel);
    }
    for token in [b"two", b"one"] {
        let refused = server.refuse(Code::DuplicateClientId).await;
        assert_eq!(refused.resume_token, token);
    }
    // There was a pause after each loss. Here is another one.
    edge.says_times("dialling again", 3).await;
}

#[tokio::test]
async fn slots_begin_with_different_servers() {
    let [first, second] = [ScriptedServer::start().await, ScriptedServer::start().await];
    let further = second.address.to_string();
    let both = ["--multiplexer-address", &further, "--tunnels", "2"];
    let _edge = edge(&first, &both);
    let one = first.take(b"of the first").await;
    let other = second.take(b"of the second").await;
    assert_eq!([one.hello.tunnel_slot, other.hello.tunnel_slot], [0, 1]);
    // One server's proof is not for another.
    assert_eq!(other.hello.resume_token, b"");
    assert_eq!(other.hello.instance_id, one.hello.instance_id);
}

#[tokio::test]
async fn a_superseded_edge_stays_up_says_what_to_do_and_waits_a_minute() {
    let server = ScriptedServer::start().await;
    let edge = edge(&server, &[]);
    let tunnel = server.take(b"").await;
    tunnel.session.supersede("edge-b took over");
    let said = edge.says("another edge took this one's name").await;
    assert!(said.contains("reason=edge-b took over"), "{said}");
    assert!(said.contains("a name of its own"), "{said}");
    // Until the server closes it the tunnel serves.
    let open = tunnel
        .session
        .open(Kind::H2, BARE_ENDPOINT, Duration::from_secs(5));
    let refused = within("an answer", open).await.unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    tunnel.session.close(Code::DuplicateClientId, "taken over");
    let next = edge.says("dialling again").await;
    let (_, after) = next.split_once("after=").unwrap();
    let seconds: f64 = after.trim_end_matches(char::is_alphabetic).parse().unwrap();
    assert!((30.0..=60.0).contains(&seconds), "{next}");
}

#[tokio::test]
async fn a_superseded_edge_that_is_to_end_then_says_so_and_ends_with_3() {
    let server = ScriptedServer::start().await;
    let mut edge = edge(&server, &["--exit-on-superseded", "true"]);
    let tunnel = server.take(b"").await;
    tunnel.session.supersede("edge-b took over");
    within("the edge to drain", tunnel.session.peer_drains()).await;
    tunnel.session.close(Code::Ok, "drained");
    assert_eq!(edge.ended().await.code(), Some(3));
    edge.says("another edge took this one's name").await;
}
