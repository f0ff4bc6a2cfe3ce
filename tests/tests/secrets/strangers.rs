//! Who shows something wrong, and what is said of it.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use grpc_multiplexer_tests::secrets::are_not_in;
use grpc_multiplexer_tests::signer::{Signer, says};
use grpc_multiplexer_tests::{Authority, KEYS};

use crate::material::token;
use crate::world::{Tls, World, said_everything};

#[tokio::test]
async fn who_is_refused_is_told_nothing_secret_and_nobody_else_is() {
    let world = World::start(Tls::Everywhere, "json").await;
    let edges = world.edges().await;
    let expired = |sub: &str| world.signer.signs(&says(sub, -3600));
    let forged = |sub: &str| Signer::new("a").token(sub);
    let put = |name: &str, text: &str| world.folder.put_secret(name, text);
    let shows = |name: &str, text: &str| format!("--token-file={}", put(name, text));
    for (id, shows) in [
        ("rainbow", shows("unknown", &token())),
        ("kitchen", shows("of-another", &world.edge_token)),
        ("garden", shows("expired", &expired("garden"))),
        ("garden", shows("forged", &forged("garden"))),
        (
            "kitchen",
            format!("--key-file={}", put("other-key", KEYS[1].private)),
        ),
    ] {
        let edge = world.edge(id, &[&shows]);
        edge.says("none until this is mended").await;
        said_everything(&edge);
    }
    let twice = format!("{0} {0}", world.caller_token);
    for bearer in [
        &token(),
        &world.edge_token,
        &twice,
        &expired("svc-billing"),
        &forged("svc-billing"),
        &world.signer.token("svc-support"),
    ] {
        let answer = world.call("/s/m", bearer).await;
        assert_eq!(answer.mux_error(), Some("unauthenticated"), "{answer:?}");
        are_not_in("an answer", format!("{answer:?}"));
    }
    for subcommand in [&["list"][..], &["check", "rainbow"], &["check", "nobody"]] {
        let (code, said) = world
            .ask(subcommand, &world.shows_token("wrong", &token()))
            .await;
        assert_ne!(code, Some(0), "{said}");
    }
    let stranger = Authority::new("stranger").signs("operator.test");
    let kick = ["kick", "rainbow", "--reason=why"];
    let (code, said) = world.ask(&kick, &world.operator(&stranger)).await;
    assert_ne!(code, Some(0), "{said}");
    for process in edges.iter().map(|edge| &**edge).chain([&world.server]) {
        said_everything(process);
    }
    world.nothing_is_readable_on_the_way();
}

/// Half of it, what belongs elsewhere, and what all can read.
#[tokio::test]
async fn what_a_reload_cannot_take_is_not_shown() {
    let world = World::start(Tls::Everywhere, "pretty").await;
    let edges = world.edges().await;
    let (token, key) = (&world.edge_token, KEYS[0].private);
    let pem = key.replace('\n', "\n      ");
    let mut times = 0;
    let mut is_refused = async |file: &str, text: &str| {
        let whole = std::fs::read(world.file(file)).unwrap();
        world.folder.put(file, text);
        world.server.signal("HUP");
        times += 1;
        world
            .server
            .says_times("configuration not reloaded", times)
            .await;
        world.folder.put(file, whole);
    };
    let right = world.configuration();
    for wrong in [
        &format!("edges-tokens: {token}\n"),
        &format!("callers-policy: {}\n", world.caller_token),
        &format!("edges-tokens: |\n  {token} rainbow\n"),
        &format!("multiplexer:\n  tls:\n    key: |\n      {pem}"),
        &format!("{right}token: {token}\n"),
        &format!("{right}reconnect-wait: 9\nedges-jwt-keys: https://me:{token}@id.test/?{token}\n"),
        token,
        key,
    ] {
        is_refused("server.yaml", wrong).await;
    }
    world.folder.put("server.yaml", world.configuration());
    world.server.signal("HUP");
    world.server.says("option reloaded").await;
    for (file, wrong) in [
        ("edges-tokens", &format!("{token} rainbow\n")),
        ("edges-keys", &key.to_owned()),
        ("keys.json", token),
        ("keys.json", &format!("{{\"keys\": [\"{token}\"]}}")),
        (
            "policy.yaml",
            &format!("callers: {{a: {{tokens: [{token}], calls: {token}}}}}\n"),
        ),
        ("proxy-key.pem", token),
        ("proxy.pem", &key.to_owned()),
    ] {
        is_refused(file, wrong).await;
    }
    for (edge, file, wrong) in [
        (&edges[0], "rainbow", format!("{token}\n{token}\n")),
        (&edges[1], "kitchen", key[..key.len() - 50].to_owned()),
        (&edges[2], "garden", world.signer.token("garden").repeat(99)),
    ] {
        world.folder.put(file, wrong);
        edge.signal("HUP");
        edge.says("configuration not reloaded").await;
        world.folder.put(file, token);
        set_permissions(world.file(file), Permissions::from_mode(0o644)).unwrap();
        edge.signal("HUP");
        edge.says("other users can read").await;
    }
    for process in edges.iter().map(|edge| &**edge).chain([&world.server]) {
        said_everything(process);
    }
}
