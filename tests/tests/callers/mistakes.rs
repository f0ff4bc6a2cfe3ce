//! What is wrong with a policy, or odd, before anything starts.

use grpc_multiplexer_tests::{Folder, checked};

use crate::{BILLING, labels, policy};

const SERVER: &str = "grpc-multiplexer-server";

#[test]
fn every_mistake_names_its_place() {
    let folder = Folder::new("policy-mistakes");
    let file = |name: &str, text: &str| {
        let file = folder.put_secret(name, text);
        vec![format!("--callers-policy={file}")]
    };
    let readable = folder.put("readable", policy());
    let clear = policy().replace(BILLING[1], BILLING[0]);
    let by_name = "callers: {a: {uris: [a:b]}}";
    for (options, said) in [
        (
            file("clear", &clear),
            "clear\": line 4, column 14: callers: billing: tokens: must be the SHA-256",
        ),
        (
            file("key", "caller: {}"),
            "key\": line 1, column 1: unknown key; there can be dry-run, audit, edges, callers",
        ),
        (
            file(
                "labels",
                &labels::policy().replace("{team: red, room: '*'}", "{room: '*'}"),
            ),
            "labels\": line 9, column 24: callers: billing: calls: labels: no entry of edges lets this label count",
        ),
        (
            file("name", by_name),
            "its uris and dns-names have no effect without --proxy-tls-client-ca",
        ),
        (
            vec![format!("--callers-policy={readable}")],
            "run: chmod 600",
        ),
        (
            vec!["--callers-policy=/nonexistent".to_owned()],
            "the file cannot be read",
        ),
        (
            vec!["--callers-token-metadata=authorization".to_owned()],
            "has no effect without --callers-policy",
        ),
        (
            vec!["--callers-token-metadata=cookie".to_owned()],
            "\"cookie\": must be proxy-authorization or authorization",
        ),
    ] {
        let (code, err) = checked(SERVER, &options);
        assert_eq!(code, Some(2), "{options:?}");
        assert!(err.contains(said), "{said}: {err}");
        assert!(!err.contains("first-token"), "{err}");
    }
    assert_eq!(
        checked(SERVER, &file("right", &policy())),
        (Some(0), String::new())
    );
    let (code, said) = checked(SERVER, &file("nobody", "callers: {}"));
    assert_eq!(code, Some(0));
    assert!(
        said.contains("names no caller, so nobody can call"),
        "{said}"
    );
}

/// With TLS, that is enough to know who calls.
#[test]
fn a_listener_with_a_policy_is_open_only_without_tls() {
    let folder = Folder::new("policy-open");
    let file = folder.put_secret("policy.yaml", policy());
    let options = [
        format!("--callers-policy={file}"),
        "--proxy-listener=:1".to_owned(),
    ];
    let (code, said) = checked(SERVER, &options);
    let wanted = "warning: open to others than this machine: --proxy-listener :1 (give --proxy-tls-certificate and \
                  --proxy-tls-key)\n";
    assert_eq!((code, &*said), (Some(0), wanted));
}
