//! What is no token, whoever signs it.

use serde_json::json;

use super::super::signer::{Signer, encode};
use super::*;

fn refused(keys: &Keys, token: &str) -> JwtDenied {
    signed_by(keys, token.as_bytes()).err().unwrap()
}

#[test]
fn only_a_text_in_three_parts_is_meant_as_one() {
    let signer = Signer::new();
    assert!(is_jwt(signer.signs(&json!({})).as_bytes()));
    for other in [
        "",
        "a.b-c_d~e+f/g==",
        "5f0c2d1e9a7b4836c1d2e3f405162738",
        "eyJ.eyJ",
        "a.b.c",
    ] {
        assert!(!is_jwt(other.as_bytes()), "{other}");
    }
}

#[test]
fn what_is_no_token_is_not_taken_though_it_is_signed() {
    let signer = Signer::new();
    let keys = Keys::parse(&signer.jwks()).unwrap();
    let says = json!({"sub": "rainbow"});
    let right = signer.signs(&says);
    assert!(signed_by(&keys, right.as_bytes()).is_ok());
    let (signed, signature) = right.rsplit_once('.').unwrap();
    for (header, wanted) in [
        (json!({"alg": "EdDSA", "kid": "b"}), JwtDenied::UnknownKey),
        (json!({"alg": "none", "kid": "a"}), JwtDenied::Algorithm),
        (json!({"alg": "HS256", "kid": "a"}), JwtDenied::Algorithm),
        (json!({"alg": "ES256", "kid": "a"}), JwtDenied::Algorithm),
        (json!({"alg": "eddsa", "kid": "a"}), JwtDenied::Algorithm),
        (json!({"alg": "none"}), JwtDenied::Algorithm),
    ] {
        assert_eq!(
            refused(&keys, &signer.signs_with(&header, &says)),
            wanted,
            "{header}"
        );
    }
    for header in [
        json!({"kid": "a"}),
        json!({"alg": 1, "kid": "a"}),
        json!({"alg": "EdDSA", "kid": 1}),
        json!({"alg": "EdDSA", "kid": "a", "crit": ["b64"], "b64": false}),
        json!(["EdDSA"]),
    ] {
        let denied = refused(&keys, &signer.signs_with(&header, &says));
        assert!(
            matches!(denied, JwtDenied::Malformed(_)),
            "{header} {denied:?}"
        );
    }
    for says in [json!("sub"), json!(["sub"])] {
        let denied = refused(&keys, &signer.signs(&says));
        assert!(
            matches!(denied, JwtDenied::Malformed(_)),
            "{says} {denied:?}"
        );
    }
    for (token, wanted) in [
        (format!("{signed}."), JwtDenied::Signature),
        (
            format!("{signed}.{}", encode(&[0; 64])),
            JwtDenied::Signature,
        ),
        (format!("{signed}x.{signature}"), JwtDenied::Signature),
        (Signer::new().signs(&says), JwtDenied::Signature),
        (
            "e".repeat(LONGEST_TOKEN + 1),
            JwtDenied::Long(LONGEST_TOKEN),
        ),
    ] {
        assert_eq!(refused(&keys, &token), wanted, "{token}");
    }
    for token in [
        format!("{right}="),
        format!("{signed}.{signature}\n"),
        format!("e.{right}"),
        signed.to_owned(),
    ] {
        let denied = refused(&keys, &token);
        assert!(
            matches!(denied, JwtDenied::Malformed(_)),
            "{token} {denied:?}"
        );
    }
}
