//! Tokens that are not taken, by edges and by callers.

use futures::future::join_all;
use grpc_multiplexer_tests::signer::{MARKER, Signer, encode, jwks, now, says};
use grpc_multiplexer_tests::{Caller, Folder, Mux, auth, says_hello};
use grpc_multiplexer_tunnel::TOKEN_SCHEME;
use grpc_multiplexer_tunnel::message::Code;
use serde_json::{Value, json};

use crate::{call, for_callers, issuer_of, pong, server};

/// Tokens for `sub`, each with what is wrong with it.
fn wrong(signer: &Signer, sub: &str) -> Vec<(&'static str, String)> {
    let good = says(sub, 3600);
    let with = |name: &str, value: Value| {
        let mut says = good.clone();
        says[name] = value;
        signer.signs(&says)
    };
    let without = |name: &str| {
        let mut says = good.clone();
        says.as_object_mut().unwrap().remove(name);
        signer.signs(&says)
    };
    let (token, unsigned) = (signer.signs(&good), signer.text("none", &good));
    let (text, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = text.split_once('.').unwrap();
    let other = encode(says("other", 3600).to_string().as_bytes());
    let algorithm = "signed in another way than its issuer's keys are for";
    vec![
        (
            "the signature of the JWT is wrong",
            Signer::new("a").signs(&good),
        ),
        (
            "the signature of the JWT is wrong",
            format!("{header}.{other}.{signature}"),
        ),
        ("the signature of the JWT is wrong", format!("{text}.")),
        (
            "by a key that is not among its issuer's",
            Signer::new("b").signs(&good),
        ),
        (algorithm, format!("{unsigned}.")),
        (algorithm, format!("{unsigned}.{signature}")),
        (algorithm, signer.confuses(&good)),
        (
            "of another issuer (iss)",
            with("iss", json!("https://id.test/realm/")),
        ),
        ("of another issuer (iss)", without("iss")),
        ("for another audience (aud)", with("aud", json!("grpc"))),
        ("for another audience (aud)", without("aud")),
        ("has no end (exp)", without("exp")),
        ("has expired (exp)", with("exp", json!(now() - 31))),
        ("a time in it is no number", with("exp", json!("never"))),
        ("has not come yet (nbf)", with("nbf", json!(now() + 3600))),
        ("its header is no JSON", format!("eyJ{token}")),
        ("its signature is no base64", format!("{token}=")),
        (
            "longer than 8192 bytes",
            with("more", json!("x".repeat(8192))),
        ),
    ]
}

/// What comes of a hello for `rainbow` with a token.
async fn shows(mux: &Mux, token: &str) -> Result<(), (Code, String)> {
    let said = says_hello(mux, Some(auth(TOKEN_SCHEME, token))).await;
    said.map_err(|refused| (refused.code(), refused.text))
}

/// No part of a token that is long enough to be of use.
fn is_in_no_log(mux: &Mux, tokens: &[String]) {
    let parts = tokens.iter().flat_map(|token| token.split('.'));
    let parts: Vec<_> = parts
        .filter(|part| part.len() > 16)
        .chain([MARKER])
        .collect();
    for line in mux.log() {
        for part in &parts {
            assert!(!line.contains(part), "{line}");
        }
    }
}

#[tokio::test]
async fn an_edge_gets_no_tunnel_by_a_wrong_jwt_and_is_told_why() {
    let (folder, signer) = (Folder::new("jwt-abuse"), Signer::new("a"));
    let mut options = issuer_of("edges", &folder, &[&signer]);
    options.extend(["--log-level", "trace"].map(str::to_owned));
    let mux = server(&options).await;
    let unauthenticated = wrong(&signer, "rainbow").into_iter();
    let mut cases: Vec<_> = unauthenticated
        .map(|(said, token)| (Code::Unauthenticated, said, token))
        .collect();
    let other = "'rainbow' is not among those that the edge's JWT grants in its claim sub: ";
    cases.extend([
        (Code::NotAllowed, other, signer.token("kitchen")),
        // A subject is no pattern.
        (Code::NotAllowed, other, signer.token("*")),
        (
            Code::Unauthenticated,
            "what the edge's --token-file has is none",
            "x".repeat(40),
        ),
    ]);
    // Those that come later wait: all of them at once.
    let answers = cases.iter().map(|(_, _, token)| shows(&mux, token));
    let answers = join_all(answers).await;
    let mut others = Vec::new();
    for ((code, said, token), answer) in cases.iter().zip(answers) {
        match answer {
            Err((answered, text)) if answered == *code && text.contains(said) => {
                assert!(!text.contains(token), "{text}");
            }
            other => others.push((said, other)),
        }
    }
    assert!(others.is_empty(), "{others:#?}");
    for (_, said, _) in &cases {
        mux.says(said).await;
    }
    let good = signer.token("rainbow");
    assert_eq!(shows(&mux, &good).await, Ok(()));
    mux.says("principal=jwt rainbow").await;
    let mut tokens: Vec<_> = cases.into_iter().map(|(_, _, token)| token).collect();
    tokens.push(good);
    is_in_no_log(&mux, &tokens);
}

#[tokio::test]
async fn a_caller_with_a_wrong_jwt_is_nobody_and_the_log_says_why() {
    let (folder, signer) = (Folder::new("jwt-callers"), Signer::new("a"));
    let keys = folder.put("keys.json", jwks(&[&signer]));
    let mux = for_callers(&folder, &keys, &["--log-level", "trace"]).await;
    let (backend, address) = pong().await;
    let _edge =
        grpc_multiplexer_tests::Edge::start(&mux, "rainbow", address.parse().unwrap()).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut tokens = Vec::new();
    for (said, token) in wrong(&signer, "svc-billing") {
        let answer = call(&caller, &token).await;
        answer.is_ours(16, "mux: caller not authenticated", "unauthenticated", "no");
        let line = mux.says(said).await;
        assert!(line.contains("reason=\"bad-jwt\""), "{line}");
        tokens.push(token);
    }
    let stranger = signer.token("svc-support");
    call(&caller, &stranger).await;
    mux.says("reason=\"unknown-jwt\"").await;
    assert!(backend.seen().is_empty());
    let good = signer.token("svc-billing");
    assert_eq!(call(&caller, &good).await.body, b"pong");
    tokens.extend([stranger, good]);
    is_in_no_log(&mux, &tokens);
}
