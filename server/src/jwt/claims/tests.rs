//! Times and names.

use serde_json::json;

use super::*;

const NOW: u64 = 1_000_000;

fn claims(says: Value) -> Claims {
    Claims(says)
}

fn end(says: Value) -> Result<u64, JwtDenied> {
    let end = claims(says).end(Duration::from_secs(NOW));
    end.map(|end| end.as_secs())
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end_and_thirty_seconds_more() {
    let malformed = |what| Err(JwtDenied::Malformed(what));
    for (says, wanted) in [
        (json!({}), Err(JwtDenied::NoEnd)),
        (json!({"exp": NOW}), Ok(NOW + 30)),
        (json!({"exp": NOW as f64 + 0.5}), Ok(NOW + 30)),
        (json!({"exp": NOW - 29}), Ok(NOW + 1)),
        (json!({"exp": NOW - 30}), Err(JwtDenied::Expired)),
        (json!({"exp": 0}), Err(JwtDenied::Expired)),
        (json!({"exp": NOW, "nbf": NOW + 30}), Ok(NOW + 30)),
        (
            json!({"exp": NOW + 60, "nbf": NOW + 31}),
            Err(JwtDenied::TooEarly),
        ),
        (
            json!({"exp": u64::MAX}),
            malformed("a time in it is out of reach"),
        ),
        (
            json!({"exp": -1}),
            malformed("a time in it is out of reach"),
        ),
        (
            json!({"exp": 1e300}),
            malformed("a time in it is out of reach"),
        ),
        (
            json!({"exp": NOW.to_string()}),
            malformed("a time in it is no number"),
        ),
        (json!({"exp": null}), malformed("a time in it is no number")),
        (
            json!({"exp": NOW, "nbf": "0"}),
            malformed("a time in it is no number"),
        ),
    ] {
        assert_eq!(end(says.clone()), wanted, "{says}");
    }
}

#[test]
fn issuer_and_audience_are_matched_exactly_and_must_be_there() {
    for (says, wanted) in [
        (json!({"iss": "a", "aud": "b"}), Ok(())),
        (json!({"iss": "a", "aud": ["x", "b"]}), Ok(())),
        (json!({"iss": "A", "aud": "b"}), Err(JwtDenied::Issuer)),
        (json!({"iss": ["a"], "aud": "b"}), Err(JwtDenied::Issuer)),
        (json!({"aud": "b"}), Err(JwtDenied::Issuer)),
        (json!({"iss": "a"}), Err(JwtDenied::Audience)),
        (json!({"iss": "a", "aud": []}), Err(JwtDenied::Audience)),
        (json!({"iss": "a", "aud": "bb"}), Err(JwtDenied::Audience)),
    ] {
        assert_eq!(claims(says.clone()).are_of("a", "b"), wanted, "{says}");
    }
}

#[test]
fn a_claim_is_a_text_or_a_list_of_texts_wherever_it_stands() {
    let claims = claims(json!({
        "sub": "rainbow",
        "ids": ["kitchen-*", 1, "garden"],
        "kubernetes.io": {"serviceaccount": {"name": "edge"}},
        "https://x.test/ids": "attic",
        "admin": true,
    }));
    for (name, wanted) in [
        ("sub", &["rainbow"][..]),
        ("ids", &["kitchen-*", "garden"]),
        ("/ids", &["kitchen-*", "garden"]),
        ("/ids/2", &["garden"]),
        ("/kubernetes.io/serviceaccount/name", &["edge"]),
        ("https://x.test/ids", &["attic"]),
        ("kubernetes.io", &[]),
        ("admin", &[]),
        ("nothing", &[]),
    ] {
        let claim: JwtClaim = name.parse().unwrap();
        assert_eq!(claims.texts(&claim), wanted, "{name}");
    }
    for wrong in ["", "/", "a\nb"] {
        assert_eq!(wrong.parse::<JwtClaim>(), Err(JwtClaimError), "{wrong}");
    }
}
