//! What is wrong with the options, or odd, before anything starts.

use grpc_multiplexer_tests::signer::Signer;
use grpc_multiplexer_tests::{Folder, checked};
use serde_json::json;

use crate::{issuer, issuer_of};

const SERVER: &str = "grpc-multiplexer-server";

#[test]
fn every_mistake_names_its_place() {
    let (folder, signer) = (Folder::new("jwt-mistakes"), Signer::new("a"));
    let keys = |name: &str, key: serde_json::Value| {
        let text = json!({ "keys": [key] }).to_string();
        issuer("edges", &folder.put(name, text))
    };
    let right = issuer_of("edges", &folder, &[&signer]);
    let with = |option: &str| [&right[..], &[option.to_owned()]].concat();
    let policy = folder.put_secret("policy.yaml", "callers: {a: {jwt-subjects: [a]}}");
    let secret = json!({"kty": "oct", "k": "c2VjcmV0LXNlY3JldA"});
    let private = json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "d": "c2VjcmV0LXNlY3JldA"});
    for (options, said) in [
        (
            right[..1].to_vec(),
            "--edges-jwt-issuer: \"https://id.test/realm\": needs --edges-jwt-audience as well",
        ),
        (right[..1].to_vec(), "needs --edges-jwt-keys as well"),
        (right[1..].to_vec(), "needs --edges-jwt-issuer as well"),
        (
            keys("symmetric", secret),
            "the key number 1 is symmetric (kty oct)",
        ),
        (
            keys("private", private),
            "the key number 1 is a private one (d)",
        ),
        (
            keys("none", json!({"kty": "EC", "crv": "P-521"})),
            "no public key in this that signatures",
        ),
        (
            issuer("edges", &folder.put("other", "jwt: 1")),
            "this is no JWKS",
        ),
        (issuer("edges", "/nonexistent"), "the file cannot be read"),
        (
            issuer("edges", "ftp://id.test/x"),
            "must be a URL such as https://",
        ),
        (
            issuer("edges", "https://me:secret-secret@id.test"),
            "must be a URL such as https://",
        ),
        (
            with("--edges-jwt-keys-ca=system"),
            "has no effect without an https:// URL as --edges-jwt-keys",
        ),
        (with("--edges-jwt-claim=/"), "must be the name of a claim"),
        (
            vec!["--edges-jwt-audience=".to_owned()],
            "must not be empty",
        ),
        (
            vec!["--edges-jwt-claim=ids".to_owned()],
            "has no effect without --edges-jwt-issuer",
        ),
        (
            issuer_of("callers", &folder, &[&signer]),
            "has no effect without --callers-policy",
        ),
        (
            vec![format!("--callers-policy={policy}")],
            "its jwt-subjects and jwt-claims have no effect without --callers-jwt-issuer",
        ),
    ] {
        let (code, err) = checked(SERVER, &options);
        assert_eq!(code, Some(2), "{options:?}");
        assert!(err.contains(said), "{said}: {err}");
        assert!(!err.contains("c2VjcmV0"), "{err}");
    }
    assert_eq!(checked(SERVER, &right), (Some(0), String::new()));
}

/// What decides who comes in is not to be changed on its way.
#[test]
fn keys_that_come_in_plain_text_from_elsewhere_are_open() {
    let said = "--edges-jwt-keys id.test:80 (give an https:// URL)";
    let plain = issuer("edges", "http://id.test/jwks.json");
    let (code, err) = checked(SERVER, &plain);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains(said), "{err}");
    let strict = [&plain[..], &["--require-secure=true".to_owned()]].concat();
    let (code, err) = checked(SERVER, &strict);
    assert_eq!(code, Some(2));
    assert!(err.contains(said), "{err}");
    let near = issuer("edges", "http://localhost:1/jwks.json");
    assert_eq!(checked(SERVER, &near), (Some(0), String::new()));
}

/// With TLS a token is enough to know who comes.
#[test]
fn a_listener_that_asks_for_jwts_is_open_only_without_tls() {
    let (folder, signer) = (Folder::new("jwt-open"), Signer::new("a"));
    let mut options = issuer_of("edges", &folder, &[&signer]);
    options.push("--multiplexer-listener=[::]:2".to_owned());
    let (code, said) = checked(SERVER, &options);
    let wanted = "--multiplexer-listener [::]:2 (give --multiplexer-tls-certificate and --multiplexer-tls-key)";
    assert_eq!(code, Some(0));
    assert!(said.contains(wanted), "{said}");
}
