//! The operator listener with TLS, by way of the subcommands of operators.

use grpc_multiplexer_tests::{Leaf, Mux, checked};

use crate::{NOWHERE, Pki, answered, borrowed, edge, server};

const SERVER: &str = "grpc-multiplexer-server";

/// The options of a server that takes operators with a certificate.
fn asks(pki: &Pki) -> Vec<String> {
    let mut options = pki.mutual("operator");
    options.push("--operator-listener=127.0.0.1:0".to_owned());
    options
}

/// What `kick rainbow` says with these options.
async fn kick(mux: &Mux, options: &[String]) -> (Option<i32>, String) {
    let address = mux.operator_listener().await.to_string();
    let kick = [
        "kick",
        "rainbow",
        "--reason=why",
        "--operator-address",
        &address,
    ];
    answered(&[&kick[..], &borrowed(options)].concat()).await
}

fn shows(pki: &Pki, leaf: &Leaf) -> Vec<String> {
    let [certificate, key] = leaf.put(&pki.folder, "operator-own");
    vec![
        format!("--operator-tls-ca={}", pki.ca),
        format!("--operator-tls-certificate={certificate}"),
        format!("--operator-tls-key={key}"),
    ]
}

#[tokio::test]
async fn only_who_shows_a_certificate_of_the_authority_may() {
    let pki = Pki::new("operator");
    let mux = server(&asks(&pki)).await;
    let edge = edge(&mux, NOWHERE, &[]);
    edge.says(" connected ").await;
    let stranger = Pki::new("stranger").authority.signs("operator.test");
    for (options, said) in [
        (vec![], "operator-tls-ca"),
        (
            shows(&pki, &stranger)[..1].to_vec(),
            "--operator-tls-certificate",
        ),
        (shows(&pki, &stranger), "--operator-tls-certificate"),
        (
            vec!["--operator-tls-ca=/nonexistent".to_owned()],
            "/nonexistent",
        ),
    ] {
        let (code, answer) = kick(&mux, &options).await;
        assert_ne!(code, Some(0), "{answer}");
        assert!(answer.contains(said), "no {said} in {answer}");
    }
    mux.says("which --operator-tls-client-ca asks for").await;
    mux.says("no authority in --operator-tls-client-ca signed")
        .await;
    assert_eq!(mux.listed().await, ["rainbow"]);

    let (code, answer) = kick(&mux, &shows(&pki, &pki.authority.signs("operator.test"))).await;
    assert_eq!(code, Some(0), "{answer}");
    assert!(answer.contains("1 tunnel closed"), "{answer}");
    edge.says("an operator closed the tunnel: why").await;
    // And who it was.
    let said = mux.says("edge kicked").await;
    assert!(said.contains("operator.test"), "{said}");
}

/// A certificate of the server's alone is not enough.
#[test]
fn for_others_than_this_machine_it_must_ask_who_it_is() {
    let pki = Pki::new("operator-open");
    let open = |options: Vec<String>| {
        let listens = ["--operator-listener=:1".to_owned()];
        checked(SERVER, &[&listens[..], &options].concat())
    };
    let (code, said) = open(pki.listener("operator"));
    assert_eq!(code, Some(2));
    let wanted = "would be open to others than this machine; give --operator-tls-client-ca";
    assert!(said.contains(wanted), "{said}");
    assert_eq!(open(pki.mutual("operator")), (Some(0), String::new()));
}
