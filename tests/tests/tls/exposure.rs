//! What is open to others: said at the start, or refused.

use grpc_multiplexer_tests::{Process, checked};

use crate::Pki;

const SERVER: &str = "grpc-multiplexer-server";
const EDGE: &str = "grpc-multiplexer-client";
pub(crate) const OPEN: &str = "open to others than this machine: ";

fn options(options: &[&str]) -> Vec<String> {
    options.iter().map(|option| (*option).to_owned()).collect()
}

/// It is open as `wanted` says: with a warning, or refused with the same words.
fn is_open(program: &str, given: &[String], wanted: &str) {
    let (code, said) = checked(program, given);
    assert_eq!(
        (code, said),
        (Some(0), format!("warning: {OPEN}{wanted}\n"))
    );
    let strict = [given, &options(&["--require-secure", "true"])].concat();
    let (code, said) = checked(program, &strict);
    assert_eq!(code, Some(2), "{said}");
    let line = format!("flag --require-secure: \"true\": {OPEN}{wanted}\n");
    assert!(said.ends_with(&line), "{said}");
}

fn is_closed(program: &str, given: &[String]) {
    let strict = [given, &options(&["--require-secure", "true"])].concat();
    assert_eq!(checked(program, &strict), (Some(0), String::new()));
}

#[test]
fn what_is_open_is_named_with_the_flags_that_mend_it() {
    let pki = Pki::new("open");
    is_closed(SERVER, &[]);
    is_closed(EDGE, &[]);
    is_open(
        SERVER,
        &options(&["--proxy-listener=:1", "--multiplexer-listener=192.0.2.1:2"]),
        "--proxy-listener :1 (give --proxy-tls-certificate, --proxy-tls-key and --proxy-tls-client-ca); \
         --multiplexer-listener 192.0.2.1:2 (give --multiplexer-tls-certificate, --multiplexer-tls-key and \
         --multiplexer-tls-client-ca)",
    );
    let mut half = pki.listener("multiplexer");
    half.extend(options(&["--multiplexer-listener=[::]:2"]));
    let wanted = "--multiplexer-listener [::]:2 (give --multiplexer-tls-client-ca)";
    is_open(SERVER, &half, wanted);
    let mut whole = pki.mutual("multiplexer");
    whole.extend(options(&[
        "--multiplexer-listener=[::]:2",
        "--edges-certificate-id={id}.test",
    ]));
    is_closed(SERVER, &whole);

    let plain = options(&[
        "--multiplexer-address=localhost:1",
        "--multiplexer-address=mux.test:2",
    ]);
    is_open(
        EDGE,
        &plain,
        "--multiplexer-address mux.test:2 (give --multiplexer-tls-ca)",
    );
    is_closed(EDGE, &[&plain[..], &pki.trust()].concat());
    let wanted = "--admin-listener :3 (give --admin-tls-certificate, --admin-tls-key and --admin-tls-client-ca)";
    is_open(SERVER, &options(&["--admin-listener=:3"]), wanted);
    is_open(EDGE, &options(&["--admin-listener=:3"]), wanted);
}

/// All that callers say goes that way. Beside a server it is one warning still.
#[test]
fn a_backend_on_another_machine_is_named_with_what_secures_it() {
    for of_this_machine in [
        "localhost:1",
        "127.1.2.3:1",
        "http://[::1]:1",
        "unix:/run/backend",
        "https://backend.test:1",
    ] {
        is_closed(EDGE, &options(&["--grpc-server-address", of_this_machine]));
    }
    for far in ["backend.test:1", "http://backend.test:1/"] {
        is_open(
            EDGE,
            &options(&["--grpc-server-address", far]),
            "--grpc-server-address backend.test:1 (give --grpc-server-address https://backend.test:1 and --backend-ca)",
        );
    }
    is_open(
        EDGE,
        &options(&[
            "--grpc-server-address=[2001:db8::1]:1",
            "--multiplexer-address=mux.test:2",
        ]),
        "--multiplexer-address mux.test:2 (give --multiplexer-tls-ca); \
         --grpc-server-address [2001:db8::1]:1 (give --grpc-server-address https://[2001:db8::1]:1 and --backend-ca)",
    );
}

/// An authority may sign for callers, too, or for edges that are to have other names.
#[test]
fn names_that_any_certificate_may_take_are_named_with_what_keeps_them() {
    let pki = Pki::new("claimed");
    let mut mutual = pki.mutual("multiplexer");
    is_closed(SERVER, &mutual);
    mutual.push("--multiplexer-listener=[::]:2".to_owned());
    let wanted = "client ids, any of which whoever has a certificate may take (give --edges-certificate-id or --edges-tokens \
                  or --edges-keys or --edges-enrolment or --edges-jwt-issuer)";
    is_open(SERVER, &mutual, wanted);
    let hook = "--hooks-url=http://localhost:1";
    // A hook that is not asked of edges keeps no name.
    for other in [
        &["--hooks-for=events"][..],
        &["--hooks-for=callers", "--hooks-for=events"],
    ] {
        let given = [&mutual[..], &options(&[hook]), &options(other)].concat();
        is_open(SERVER, &given, wanted);
    }
    for kept in [
        &["--edges-certificate-id={id}.test"][..],
        &[hook],
        &[hook, "--hooks-for=callers", "--hooks-for=edges"],
    ] {
        is_closed(SERVER, &[&mutual[..], &options(kept)].concat());
    }
}

/// It lets everybody do everything.
#[test]
fn a_policy_that_is_tried_leaves_the_listener_as_open_as_it_was() {
    let pki = Pki::new("open-tried");
    let mut given = pki.listener("proxy");
    let policy = format!(
        "callers:\n  a: {{tokens: [{}], sees: [rainbow]}}\n",
        "0".repeat(64)
    );
    for (name, begins, is_tried) in [("policy", "", false), ("tried", "dry-run: true\n", true)] {
        let policy = pki.folder.put_secret(name, format!("{begins}{policy}"));
        given.truncate(pki.listener("proxy").len());
        given.extend([
            "--proxy-listener=:1".to_owned(),
            format!("--callers-policy={policy}"),
        ]);
        if is_tried {
            let (code, said) = checked(SERVER, &given);
            let open = format!("warning: {OPEN}--proxy-listener :1 (give --proxy-tls-client-ca)\n");
            assert_eq!(code, Some(0));
            assert!(said.ends_with(&open), "{said}");
        } else {
            is_closed(SERVER, &given);
        }
    }
}

/// With each listener that has them.
#[test]
fn what_a_listener_does_not_get_to_use_is_a_mistake() {
    let pki = Pki::new("no-effect");
    for listener in ["proxy", "multiplexer", "admin", "operator"] {
        let ca = format!("--{listener}-tls-client-ca={}", pki.ca);
        let list = pki.folder.put("crl.pem", pki.authority.revokes(&[]));
        let crl = format!("--{listener}-tls-client-crl={list}");
        let mut given = vec![ca.clone()];
        let certificate = format!("has no effect without --{listener}-tls-certificate");
        let (code, said) = checked(SERVER, &given);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&certificate), "{said}");
        let both = pki.listener(listener);
        for (alone, missing) in ["key", "certificate"].into_iter().enumerate() {
            let (code, said) = checked(SERVER, &both[alone..=alone]);
            assert_eq!(code, Some(2), "{said}");
            let needed = format!("needs its {missing}: give --{listener}-tls-{missing} as well");
            assert!(said.contains(&needed), "{said}");
        }
        given = both;
        given.push(crl);
        let (code, said) = checked(SERVER, &given);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(&format!("has no effect without --{listener}-tls-client-ca")),
            "{said}"
        );
    }
}

/// One line, and it works all the same; or it does not begin at all.
#[tokio::test]
async fn a_start_says_it_once_or_is_refused() {
    let open = [
        "--proxy-listener=127.0.0.1:0",
        "--multiplexer-listener=0.0.0.0:0",
        "--admin-listener=off",
    ];
    let server = Process::start(SERVER, &open);
    server.says(" listening ").await;
    let said = server.log();
    let warned: Vec<_> = said.iter().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains(&format!("{OPEN}--multiplexer-listener 0.0.0.0:0 ")));
    let strict = [&open[..], &["--require-secure=true"]].concat();
    let mut server = Process::start(SERVER, &strict);
    assert_eq!(server.ended().await.code(), Some(2));
}

/// Whoever takes TLS away while it runs is told as well, or it stays.
#[tokio::test]
async fn what_a_reload_opens_is_said_or_refused() {
    let pki = Pki::new("opens");
    let shown = pki.authority.signs("127.0.0.1");
    let [certificate, key] = shown.put(&pki.folder, "multiplexer");
    let ca = pki.folder.put("ca.pem", pki.authority.pem());
    let mutual = format!(
        "multiplexer: {{ tls: {{ certificate: {certificate}, key: {key}, client-ca: {ca} }} }}\n\
         edges-certificate-id: '{{id}}.test'\n"
    );
    for (strict, outcome, level) in [
        ("false", "configuration reloaded", " WARN "),
        ("true", "configuration not reloaded", " ERROR "),
    ] {
        let file = pki.folder.put("server.yaml", &mutual);
        let options = [
            "--proxy-listener=127.0.0.1:0",
            "--multiplexer-listener=0.0.0.0:0",
            "--admin-listener=off",
            &format!("--require-secure={strict}"),
            &format!("--config={file}"),
        ];
        let server = Process::start(SERVER, &options);
        server.says(" listening ").await;
        pki.folder.put("server.yaml", "");
        server.signal("HUP");
        server.says(outcome).await;
        let said = server.log();
        let open: Vec<_> = said.iter().filter(|line| line.contains(OPEN)).collect();
        assert_eq!(open.len(), 1, "{said:?}");
        assert!(open[0].contains(level), "{}", open[0]);
        assert!(open[0].contains("--multiplexer-listener 0.0.0.0:0 "));
    }
}
