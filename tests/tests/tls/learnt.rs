//! What somebody who may not have a client id learns of it by asking: nothing, whatever it shows.

use std::net::Ipv4Addr;

use futures::future::join_all;
use grpc_multiplexer_process::SshPrivateKey;
use grpc_multiplexer_tests::signer::{AUDIENCE, ISSUER, Signer, jwks};
use grpc_multiplexer_tests::{
    Folder, KEYS, Mux, auth, says_hello_from, whatever_becomes_of_rainbow,
};
use grpc_multiplexer_tunnel::message::{Auth, Refused};
use grpc_multiplexer_tunnel::{Channel, KEY_SCHEME, TOKEN_SCHEME};

use crate::tokens::{FIRST, KITCHENS, SECOND, lines};
use crate::{NOWHERE, edge, server};

/// A token that nobody knows.
const UNKNOWN: &str = "unknown-token-0123456789-0123456789abcdef";

/// Everything that an edge can show in plain text, taken for `kitchen` alone, and the first token for `rainbow`.
fn takes(folder: &Folder, signer: &Signer) -> Vec<String> {
    let tokens = lines(&[(FIRST, "rainbow"), (SECOND, "kitchen")]);
    let tokens = folder.put_secret("tokens", tokens);
    let enrolment = folder.put_secret("enrolment", lines(&[(KITCHENS, "kitchen")]));
    let keys = folder.put("edges-keys", format!("kitchen {}\n", KEYS[0].public));
    let jwt_keys = folder.put("keys.json", jwks(&[signer]));
    let state = folder.0.join("state");
    vec![
        format!("--edges-tokens={tokens}"),
        format!("--edges-keys={keys}"),
        format!("--edges-enrolment={enrolment}"),
        format!("--state-dir={}", state.display()),
        format!("--edges-jwt-issuer={ISSUER}"),
        format!("--edges-jwt-audience={AUDIENCE}"),
        format!("--edges-jwt-keys={jwt_keys}"),
        "--operator-listener=127.0.0.1:0".to_owned(),
    ]
}

/// One way to ask: which of the [`KEYS`] is proven, if one is, and what is shown.
type Shown = (Option<usize>, Option<Auth>);

fn token(token: &str) -> Shown {
    (None, Some(auth(TOKEN_SCHEME, token)))
}

fn private(number: usize) -> SshPrivateKey {
    KEYS[number].private.parse().unwrap()
}

fn key(number: usize, proven: bool, enrolment_token: &str) -> Shown {
    let auth = Auth {
        enrolment_token: enrolment_token.into(),
        ..auth(KEY_SCHEME, private(number).public().bytes())
    };
    (proven.then_some(number), Some(auth))
}

/// The server's no to who shows this. Each comes from an address of its own, because who guesses is answered late.
async fn no(mux: &Mux, number: usize, (proven, auth): &Shown) -> Refused {
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number).unwrap() + 1);
    let prove = |nonce: &[u8]| {
        let sign = |number: usize| private(number).sign(&Channel::Plain.to_sign(nonce));
        Some(proven.map_or(vec![0; 64], sign))
    };
    let said = says_hello_from(from, mux, auth.clone(), prove).await;
    said.unwrap_err()
}

#[tokio::test]
async fn who_may_not_have_an_id_is_told_the_same_whatever_becomes_of_it() {
    let (folder, signer) = (Folder::new("learnt"), Signer::new("a"));
    let mux = server(&takes(&folder, &signer)).await;
    let shown = [
        (None, None),
        token(UNKNOWN),
        token(SECOND[0]),
        token(&signer.token("kitchen")),
        token(&Signer::new("a").token("rainbow")),
        key(0, true, ""),
        key(0, false, ""),
        key(1, true, ""),
        key(1, true, UNKNOWN),
        key(1, true, KITCHENS[0]),
        (None, Some(auth("password", "x"))),
    ];
    let file = folder.put_secret("token", FIRST[0]);
    let right = [format!("--token-file={file}")];
    let rainbow = || edge(&mux, NOWHERE, &right);
    let ask = async || {
        let asked = shown.iter().enumerate();
        join_all(asked.map(|(number, shown)| no(&mux, number, shown))).await
    };
    let [free, others @ ..] = whatever_becomes_of_rainbow(&mux, rainbow, ask).await;
    for (state, told) in ["taken", "away", "kept out"].iter().zip(&others) {
        assert_eq!(told, &free, "{state}");
    }
}
