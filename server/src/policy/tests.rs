//! Who a caller is, what it may, and what is wrong with a policy.

mod labels;

use grpc_multiplexer_process::CertificateNames;
use proptest::prelude::*;

use serde_json::{Value, json};

use super::*;
use crate::credential::line;
use crate::jwt::JwtDenied;
use crate::jwt::signer::taken;

const TOKEN: &str = "a token of billing with more than 32 characters";
const OTHER: &str = "another token, of another caller, and as long";

/// The SHA-256 of a token, as it is in a file.
fn hex(token: &str) -> String {
    line(token, &[])[..64].to_owned()
}

fn parse(text: &str) -> CallersPolicy {
    CallersPolicy::parse(text.as_bytes()).unwrap()
}

/// The mistakes in a text, one a line.
fn mistakes(text: &str) -> String {
    let wrong = CallersPolicy::parse(text.as_bytes()).unwrap_err();
    let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    wrong.join("\n")
}

fn certificate(uris: &[&str], dns: &[&str]) -> Certificate {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let names = CertificateNames {
        uris: owned(uris),
        dns: owned(dns),
        signs: false,
    };
    names.into()
}

fn token(token: &str) -> Bearer {
    Bearer::Token(Digest::of(token.as_bytes()), None)
}

/// The name of whoever shows this.
fn who(policy: &CallersPolicy, certificate: Option<&Certificate>, bearer: Bearer) -> String {
    match policy.rights(certificate, bearer) {
        Ok(rights) => rights.caller().unwrap().to_str().unwrap().to_owned(),
        Err(denied) => {
            assert!(matches!(denied, Denied::Unknown(_)), "{denied:?}");
            "nobody".to_owned()
        }
    }
}

fn shop() -> CallersPolicy {
    let (token, other) = (hex(TOKEN), hex(OTHER));
    parse(&format!(
        "
callers:
  billing:
    uris: [spiffe://test/billing]
    tokens:
      - {token} # March
      - {other}
    calls:
      - ids: [rainbow, kitchen-*]
        methods: [/shop.Invoices/*, /shop.Stock/Count]
      - ids: [garden]
        methods: ['*']
    sees: [attic-*]
  support:
    dns-names: [Support.test]
    sees: ['*']
  health:
    uris: [urn:health]
"
    ))
}

#[test]
fn a_caller_is_known_by_what_it_shows() {
    let policy = shop();
    let billing = certificate(&["spiffe://test/billing"], &["support.test"]);
    let support = certificate(&[], &["other.test", "SUPPORT.test"]);
    for (certificate, bearer, wanted) in [
        (None, Bearer::Nothing, "nobody"),
        (None, Bearer::Malformed, "nobody"),
        (None, token("unknown"), "nobody"),
        (None, token(&hex(TOKEN)), "nobody"),
        (None, token(TOKEN), "billing"),
        (None, token(OTHER), "billing"),
        (Some(&billing), Bearer::Nothing, "billing"),
        (Some(&support), Bearer::Nothing, "support"),
        // A token counts first, and a wrong one is not made up for.
        (Some(&support), token(TOKEN), "billing"),
        (Some(&support), token("unknown"), "nobody"),
        (Some(&support), Bearer::Malformed, "nobody"),
    ] {
        assert_eq!(
            who(&policy, certificate, bearer.clone()),
            wanted,
            "{certificate:?} {bearer:?}"
        );
    }
}

#[test]
fn names_of_certificates_are_matched_exactly() {
    let policy = shop();
    for (uris, dns) in [
        (&["spiffe://test/billing/x"][..], &[][..]),
        (&["spiffe://TEST/billing"], &[]),
        (&["spiffe://test/billing", "urn:other"], &[]),
        (&["urn:other", "spiffe://test/billing"], &[]),
        (&[], &["support.test."]),
        (&[], &["x.support.test"]),
        (&[], &["*.test"]),
        (&[], &["spiffe://test/billing"]),
        (&["support.test"], &[]),
        (&[], &[]),
    ] {
        let certificate = certificate(uris, dns);
        let found = who(&policy, Some(&certificate), Bearer::Nothing);
        assert_eq!(found, "nobody", "{certificate:?}");
    }
}

#[test]
fn a_caller_may_what_its_policy_says_and_nothing_else() {
    let policy = shop();
    let rights = |uri: &str, dns: &str| {
        let certificate = certificate(&[uri], &[dns]);
        policy.rights(Some(&certificate), Bearer::Nothing).unwrap()
    };
    let billing = rights("spiffe://test/billing", "");
    let support = rights("urn:other", "support.test");
    let health = rights("urn:health", "");
    let nobody_asked = Rights::default();
    let (hidden, method) = (Err("hidden"), Err("method"));
    for (rights, id, path, wanted) in [
        (&billing, "rainbow", "/shop.Invoices/List", Ok(())),
        (&billing, "kitchen-2", "/shop.Invoices/List", Ok(())),
        (&billing, "rainbow", "/shop.Stock/Count", Ok(())),
        (&billing, "rainbow", "/shop.Stock/CountAll", method),
        (&billing, "rainbow", "/shop.Stock/count", method),
        (&billing, "rainbow", "/shop.InvoicesX/List", method),
        (&billing, "rainbow", "/other/List", method),
        (&billing, "garden", "/other/List", Ok(())),
        (&billing, "attic-1", "/shop.Invoices/List", method),
        (&billing, "rainbow2", "/shop.Invoices/List", hidden),
        (&billing, "kitchen", "/shop.Invoices/List", hidden),
        (&billing, "Rainbow", "/shop.Invoices/List", hidden),
        (&support, "rainbow", "/shop.Invoices/List", method),
        (&health, "rainbow", "/shop.Invoices/List", hidden),
        (&nobody_asked, "rainbow", "/any/Thing", Ok(())),
    ] {
        let id: ClientId = id.parse().unwrap();
        let found =
            rights
                .call(&id, path, || panic!("nobody asks"))
                .map_err(|denied| match denied {
                    Denied::Unknown(_) => "unknown",
                    Denied::Hidden(_) => "hidden",
                    Denied::Unlabelled(_) => "unlabelled",
                    Denied::Method => "method",
                });
        assert_eq!(found, wanted, "{rights:?} {id} {path}");
        assert_eq!(
            rights.see(&id, &Labels::default()),
            wanted != hidden,
            "{rights:?} {id}"
        );
    }
}

#[test]
fn every_mistake_is_told_with_its_place_and_without_the_value() {
    let token = hex(TOKEN);
    let text = format!(
        "caller: {{}}
callers:
  bil ling: {{}}
  a:
    uris: [no-uri, 'spiffe://test/*']
    dns-names: ['*.test', a..b]
    tokens: [secret-in-the-clear, {token}, {token}]
    calls:
      - ids: [rain*bow, '-']
        methods: [Method, /a.B/C*, /*/C]
      - ids: [a]
    sees: [a]
    sees: [b]
  b:
    sees: []
    tokens: x
"
    );
    let said = mistakes(&text);
    for wanted in [
        "line 1, column 1: unknown key; there can be dry-run, audit, edges, callers",
        "line 3, column 3: callers: a caller's name must be",
        "line 5, column 12: callers: a: uris: must be a URI",
        "line 5, column 20: callers: a: uris: must be a URI",
        "line 6, column 17: callers: a: dns-names: must be a DNS name",
        "line 6, column 27: callers: a: dns-names: must be",
        "line 7, column 14: callers: a: tokens: must be the SHA-256",
        "callers: a: the caller a has it already",
        "line 9, column 15: callers: a: calls: ids: must be a client id",
        "line 9, column 25: callers: a: calls: ids: must be",
        "line 10, column 19: callers: a: calls: methods: must be /package.Service/Method",
        "line 10, column 27: callers: a: calls: methods: must be",
        "line 10, column 36: callers: a: calls: methods: must be",
        "line 11, column 9: callers: a: calls: each entry needs methods, and ids, labels or both",
        "line 13, column 5: callers: a: the key is given twice",
        "line 15, column 11: callers: b: sees: expected at least one value",
        "line 16, column 13: callers: b: tokens: expected a list",
        "line 14, column 3: callers: b: nobody can show to be this caller",
    ] {
        assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
    }
    assert!(!said.contains("secret") && !said.contains(&token), "{said}");
    assert_eq!(said.lines().count(), 18, "{said}");
}

#[test]
fn a_jwt_is_of_its_subject_or_else_of_what_it_claims() {
    let policy = parse(&format!(
        "
callers:
  billing: {{jwt-subjects: [svc-billing], jwt-claims: [groups=billing]}}
  support: {{jwt-claims: [/realm/roles=support, groups=support]}}
  token: {{tokens: [{}]}}
",
        hex(TOKEN)
    ));
    let of = |says: Value| Bearer::Token(Digest::of(b"jwt"), Some(taken(&says)));
    for (says, wanted) in [
        (json!({"sub": "svc-billing"}), "billing"),
        (json!({"sub": "billing"}), "nobody"),
        (json!({"sub": "x", "groups": ["a", "billing"]}), "billing"),
        (json!({"groups": "support"}), "support"),
        (json!({"realm": {"roles": ["support"]}}), "support"),
        (json!({"roles": ["support"]}), "nobody"),
        // The claim that the policy names first.
        (json!({"groups": ["support", "billing"]}), "support"),
        (
            json!({"groups": "billing", "realm": {"roles": "support"}}),
            "billing",
        ),
        (json!({}), "nobody"),
    ] {
        assert_eq!(who(&policy, None, of(says.clone())), wanted, "{says}");
    }
    // A text that the policy knows by its SHA-256 is known whatever it looks like.
    let known = Bearer::Token(Digest::of(TOKEN.as_bytes()), Some(Err(JwtDenied::Expired)));
    assert_eq!(who(&policy, None, known), "token");
    let wrong = Bearer::Token(Digest::of(b"jwt"), Some(Err(JwtDenied::Expired)));
    let denied = policy.rights(None, wrong).unwrap_err();
    assert_eq!(denied.to_string(), JwtDenied::Expired.to_string());
}

#[test]
fn what_a_jwt_cannot_say_is_told() {
    let said = mistakes(
        "callers:
  a:
    jwt-claims: [groups, '=x', 'groups=', a=b]
    jwt-subjects: ['', a]
  b: {jwt-claims: [a=b], jwt-subjects: [a]}
",
    );
    for wanted in [
        "line 3, column 18: callers: a: jwt-claims: must be CLAIM=TEXT",
        "line 3, column 26: callers: a: jwt-claims: must be",
        "line 3, column 32: callers: a: jwt-claims: must be",
        "line 4, column 20: callers: a: jwt-subjects: must be a subject",
        "callers: b: the caller a has it already",
    ] {
        assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
    }
    assert_eq!(said.lines().count(), 6, "{said}");
}

#[test]
fn one_credential_is_one_callers() {
    let token = hex(TOKEN);
    let said = mistakes(&format!(
        "callers:\n  a: {{tokens: [{token}], dns-names: [A.test]}}\n  b: {{tokens: [{token}], dns-names: [a.test]}}\n"
    ));
    assert_eq!(said.matches("the caller a has it already").count(), 2);
}

#[test]
fn what_is_no_yaml_or_another_file_is_told_in_a_few_lines() {
    assert!(mistakes("callers: [").starts_with("line 2, column 1: not YAML"));
    let wrong = CallersPolicy::parse(b"\xff").unwrap_err();
    assert!(wrong[0].to_string().contains("UTF-8"));
    let other: String = (0..1000).map(|key| format!("key{key}: 1\n")).collect();
    let said = mistakes(&other);
    assert_eq!(said.lines().count(), 21);
    assert!(said.ends_with("there are more mistakes behind these"));
    assert!(parse("").is_empty() && parse("callers: {}").is_empty());
    assert!(!shop().is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z:*&!{}\\[\\], \n-]{0,80}") {
        let _ = CallersPolicy::parse(text.as_bytes());
    }
}
