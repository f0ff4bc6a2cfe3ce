//! Signatures that OpenSSL made, and sets of keys that are none.

use serde_json::json;

use super::super::token::signed_by;
use super::*;

/// An RSA key, one of each curve, and one of Ed25519; and a token of each algorithm, whose subject is its name.
const KEYS: &[u8] = include_bytes!("keys.json");
const TOKENS: &str = include_str!("tokens.txt");

fn keys() -> Keys {
    Keys::parse(KEYS).unwrap()
}

/// The set with other fields in each key.
fn altered(alter: impl Fn(&mut Map<String, Value>)) -> Result<Keys, WrongKeys> {
    let mut set: Value = serde_json::from_slice(KEYS).unwrap();
    for key in set["keys"].as_array_mut().unwrap() {
        alter(key.as_object_mut().unwrap());
    }
    Keys::parse(set.to_string().as_bytes())
}

#[test]
fn every_algorithm_is_taken_that_openssl_signed_by() {
    let keys = keys();
    let unnamed = altered(|key| drop(key.remove("kid"))).unwrap();
    let mut subjects = Vec::new();
    for token in TOKENS.lines() {
        let (claims, _) = signed_by(&keys, token.as_bytes()).unwrap();
        subjects.push(claims.subject().to_owned());
        assert!(signed_by(&unnamed, token.as_bytes()).is_ok());
    }
    let wanted = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519";
    assert_eq!(subjects.join(" "), wanted);
}

/// Each signature under each other algorithm.
#[test]
fn a_signature_is_of_one_algorithm_and_one_text() {
    let (keys, tokens): (_, Vec<_>) = (keys(), TOKENS.lines().collect());
    let names = [
        "rsa", "rsa", "rsa", "rsa", "rsa", "rsa", "p256", "p384", "ed", "ed",
    ];
    for (one, name) in tokens.iter().zip(names) {
        let (message, signature) = one.rsplit_once('.').unwrap();
        let signature = decode(signature).unwrap();
        let own = (0..tokens.len()).find(|at| tokens[*at] == *one).unwrap();
        for (at, algorithm) in ALL.iter().enumerate() {
            let signed = |message: &str| {
                let message = message.as_bytes();
                let signed = Signed {
                    algorithm,
                    message,
                    signature: &signature,
                };
                keys.signer(Some(name), &signed).is_ok()
            };
            let is_own = at == own || (name == "ed" && matches!(at, 8 | 9));
            assert_eq!(signed(message), is_own, "{one} as {algorithm}");
            assert!(!signed(&message[1..]), "{one}");
        }
    }
}

const ALL: [&str; 12] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519",
    "none", "HS256",
];

#[test]
fn a_key_is_for_what_it_says() {
    for (name, value, is_left) in [
        ("use", json!("sig"), true),
        ("use", json!("enc"), false),
        ("key_ops", json!(["verify"]), true),
        ("key_ops", json!(["encrypt"]), false),
        ("kty", json!("PQC"), false),
    ] {
        let keys = altered(|key| drop(key.insert(name.to_owned(), value.clone())));
        assert_eq!(keys.is_ok(), is_left, "{name} {value}");
    }
    let only = altered(|key| drop(key.insert("alg".to_owned(), json!("PS256")))).unwrap();
    let taken = |token: &&str| signed_by(&only, token.as_bytes()).is_ok();
    let taken: Vec<_> = TOKENS
        .lines()
        .enumerate()
        .filter(|(_, token)| taken(token))
        .collect();
    assert_eq!(taken.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3]);
}

#[test]
fn what_is_no_set_of_public_keys_is_told() {
    let one = |key: Value| json!({ "keys": [key] }).to_string();
    let many = json!({ "keys": vec![json!({}); MOST + 1] }).to_string();
    for (text, wanted) in [
        (String::new(), WrongKeys::NoSet),
        ("-----BEGIN PUBLIC KEY-----".to_owned(), WrongKeys::NoSet),
        ("[]".to_owned(), WrongKeys::NoSet),
        (json!({"keys": {}}).to_string(), WrongKeys::NoSet),
        (one(json!("a")), WrongKeys::NoSet),
        (json!({"keys": []}).to_string(), WrongKeys::None),
        (
            one(json!({"kty": "OKP", "crv": "X25519", "x": "AA"})),
            WrongKeys::None,
        ),
        (many, WrongKeys::Many),
        (
            one(json!({"kty": "oct", "k": "c2VjcmV0"})),
            WrongKeys::Symmetric(1),
        ),
        (
            one(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"})),
            WrongKeys::Private(1),
        ),
        (
            one(json!({"kty": "RSA", "e": "AQAB"})),
            WrongKeys::Broken(1, "n"),
        ),
        (
            one(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"})),
            WrongKeys::Short(1),
        ),
        (
            one(json!({"kty": "OKP", "crv": "Ed25519", "x": "a b"})),
            WrongKeys::Broken(1, "x"),
        ),
        (
            one(json!({"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"})),
            WrongKeys::Broken(1, "x and y: they are not as long as on its curve"),
        ),
    ] {
        assert_eq!(Keys::parse(text.as_bytes()), Err(wanted), "{text}");
    }
}

/// Whoever has the file can mend it; whoever fetches the set cannot.
#[test]
fn a_key_that_is_broken_takes_no_other_along_where_nobody_can_mend_it() {
    let good: Value = serde_json::from_slice(KEYS).unwrap();
    let with = |odd: Value| {
        let mut set = good.clone();
        set["keys"].as_array_mut().unwrap().insert(1, odd);
        set.to_string()
    };
    for (odd, wanted) in [
        (
            json!({"kty": "RSA", "e": "AQAB"}),
            WrongKeys::Broken(2, "n"),
        ),
        (
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            WrongKeys::Short(2),
        ),
    ] {
        let text = with(odd);
        assert_eq!(Keys::parse(text.as_bytes()), Err(wanted.clone()));
        assert_eq!(Keys::usable(text.as_bytes()), Ok((keys(), vec![wanted])));
    }
    // What should be secret and is not, is more than a key that cannot be used.
    for odd in [
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}),
    ] {
        assert!(Keys::usable(with(odd).as_bytes()).is_err());
    }
}

/// Some write a number with zeros in front.
#[test]
fn zeros_in_front_of_a_number_do_not_count() {
    let zero = |key: &mut Map<String, Value>| {
        if let Some(Value::String(n)) = key.get("n") {
            let n = [&[0], &decode(n).unwrap()[..]].concat();
            key.insert("n".to_owned(), json!(super::super::signer::encode(&n)));
        }
    };
    assert_eq!(altered(zero), Ok(keys()));
}
