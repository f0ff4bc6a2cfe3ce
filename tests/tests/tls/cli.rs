//! `list`, `watch` and `check` where a proxy listener speaks TLS, and asks who comes.

use grpc_multiplexer_tests::{Backend, Mux, TOKENS, command, output};

use crate::{Pki, answered, borrowed, edge, server};

/// What a subcommand says with these options.
async fn ask(mux: &Mux, asked: &[&str], options: &[String]) -> (Option<i32>, String) {
    let address = format!("--proxy-address={}", mux.proxy);
    answered(&[asked, &[&address], &borrowed(options)].concat()).await
}

#[tokio::test]
async fn a_proxy_is_asked_over_tls_with_a_certificate_or_a_token() {
    let pki = Pki::new("asked");
    let policy = format!(
        "callers: {{ anna: {{ dns-names: [anna.test], tokens: [{}], calls: [{{ ids: ['*'], methods: ['*'] }}] }} }}",
        TOKENS[0][1]
    );
    let policy = pki.folder.put_secret("policy.yaml", policy);
    let mut options = pki.mutual("proxy");
    options.push(format!("--callers-policy={policy}"));
    let mux = server(&options).await;
    // It answers before a call is over: who asks for reflection says more only then.
    let backend = Backend::h2(async |mut call| call.ok(b"pong").await).await;
    let edge = edge(&mux, &backend.address.to_string(), &[]);
    edge.says(" connected ").await;

    let trust = format!("--proxy-tls-ca={}", pki.ca);
    let shows = |name: &str| {
        let leaf = pki.authority.signs(name);
        let [certificate, key] = leaf.put(&pki.folder, name);
        vec![
            trust.clone(),
            format!("--proxy-tls-certificate={certificate}"),
            format!("--proxy-tls-key={key}"),
        ]
    };
    let token = pki.folder.put_secret("token", TOKENS[0][0]);
    let mut bears = shows("nobody.test");
    bears.push(format!("--token-file={token}"));
    for options in [shows("anna.test"), bears] {
        let (code, said) = ask(&mux, &["list"], &options).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("\nrainbow "), "{said}");
        let (_, said) = ask(&mux, &["check", "rainbow"], &options).await;
        assert!(said.contains("ok       backend "), "{said}");
    }

    let stranger = Pki::new("asked-stranger");
    let other_ca = vec![format!("--proxy-tls-ca={}", stranger.ca)];
    let readable = vec![trust.clone(), format!("--token-file={}", pki.ca)];
    for (options, code, told) in [
        (vec![], 1, "over TLS only: give --proxy-tls-ca"),
        (vec![trust.clone()], 1, "it may ask for a certificate"),
        (
            other_ca,
            1,
            "UnknownIssuer): is its certificate for that host",
        ),
        (shows("nobody.test"), 1, "--token-file"),
        (readable, 2, "--token-file"),
        (
            vec!["--proxy-tls-ca=/nonexistent".to_owned()],
            2,
            "/nonexistent",
        ),
    ] {
        let (ended, said) = ask(&mux, &["list"], &options).await;
        assert_eq!(ended, Some(code), "{options:?}: {said}");
        assert!(said.contains(told), "{options:?}: {said}");
    }
}

#[test]
fn a_token_goes_to_no_other_machine_in_plain_text() {
    let pki = Pki::new("asked-far");
    let token = pki.folder.put_secret("token", TOKENS[0][0]);
    let mut command = command("grpc-multiplexer-client");
    command.args([
        "list",
        "--proxy-address=192.0.2.1:1",
        "--token-file",
        &token,
    ]);
    let output = output(&mut command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("the token would go to 192.0.2.1:1 in plain text"),
        "{said}"
    );
    assert!(!said.contains(TOKENS[0][0]));
}

/// Where there is no file of authorities, those of the system are asked.
#[test]
fn a_certificate_makes_it_tls_for_a_token_too() {
    let pki = Pki::new("asked-system");
    let token = pki.folder.put_secret("token", TOKENS[0][0]);
    let [certificate, key] = pki.authority.signs("anna.test").put(&pki.folder, "anna");
    // Of the reserved domain that no name is in.
    let mut command = command("grpc-multiplexer-client");
    command
        .args(["list", "--proxy-address=far.invalid:1"])
        .arg(format!("--token-file={token}"))
        .arg(format!("--proxy-tls-certificate={certificate}"))
        .arg(format!("--proxy-tls-key={key}"))
        .env("SSL_CERT_FILE", &pki.ca);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot connect to far.invalid:1"), "{said}");
}
