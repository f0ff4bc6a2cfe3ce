//! The server's options and files.

use std::net::SocketAddr;

use grpc_multiplexer_tests::signer::{AUDIENCE, ISSUER, Signer, jwks};
use grpc_multiplexer_tests::{Authority, Backend, Folder, KEYS, Process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::material::{sha256, token};

/// Who may come: an edge and a caller by a token, an edge by a key, edges and a caller by tokens of `signer`, and an edge that
/// enrols with a token.
pub(crate) fn put_files(folder: &Folder, signer: &Signer, [edge, caller, enrolment]: [&str; 3]) {
    folder.put("keys.json", jwks(&[signer]));
    folder.put("edges-keys", format!("kitchen {}\n", KEYS[0].public));
    folder.put_secret("edges-tokens", format!("{} rainbow\n", sha256(edge)));
    folder.put_secret("edges-enrolment", format!("{} attic\n", sha256(enrolment)));
    let tokens = sha256(caller);
    let policy = format!(
        "
callers:
  billing:
    tokens: [{tokens}]
    jwt-subjects: [svc-billing]
    calls: [{{ids: ['*'], methods: ['*']}}]
"
    );
    folder.put_secret("policy.yaml", policy);
}

/// All that is said by flags, in plain text.
pub(crate) fn options(
    folder: &Folder,
    [proxy, multiplexer, admin, operator, hook]: [SocketAddr; 5],
    format: &str,
) -> Vec<String> {
    let path = |name: &str| folder.0.join(name).display().to_string();
    let mut options = vec![
        format!("--proxy-listener={proxy}"),
        format!("--multiplexer-listener={multiplexer}"),
        format!("--admin-listener={admin}"),
        format!("--operator-listener={operator}"),
        format!("--log-format={format}"),
        "--log-level=trace".to_owned(),
        "--warm-up=0".to_owned(),
        format!("--config={}", path("server.yaml")),
        format!("--edges-keys={}", path("edges-keys")),
        format!("--edges-jwt-keys={}", path("keys.json")),
        format!("--edges-enrolment={}", path("edges-enrolment")),
        format!("--state-dir={}", path("state")),
        format!("--hooks-url=http://{hook}"),
        "--hooks-send-tokens=true".to_owned(),
    ];
    for whose in ["edges", "callers"] {
        options.push(format!("--{whose}-jwt-issuer={ISSUER}"));
        options.push(format!("--{whose}-jwt-audience={AUDIENCE}"));
    }
    options
}

/// TLS at every listener, each with a key of its own.
pub(crate) fn tls_options(folder: &Folder, authority: &Authority) -> Vec<String> {
    let mut options = Vec::new();
    for listener in ["proxy", "multiplexer", "admin", "operator"] {
        let leaf = authority.signs("127.0.0.1");
        let [certificate, key] = leaf.put(folder, listener);
        options.push(format!("--{listener}-tls-certificate={certificate}"));
        options.push(format!("--{listener}-tls-key={key}"));
    }
    let ca = folder.0.join("ca.pem");
    options.push(format!("--operator-tls-client-ca={}", ca.display()));
    options
}

/// What is said by a file, and can be mistaken in a reload.
pub(crate) fn configuration(folder: &Folder, publisher: SocketAddr) -> String {
    let path = |name: &str| folder.0.join(name).display().to_string();
    let (tokens, policy, key) = (path("edges-tokens"), path("policy.yaml"), token());
    format!(
        "edges-tokens: {tokens}\ncallers-policy: {policy}\ncallers-jwt-keys: http://{publisher}/?key={key}\n"
    )
}

/// Who has keys, and asks nobody for another one.
pub(crate) async fn publisher(keys: &str) -> Backend {
    let length = keys.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{keys}");
    Backend::tcp(move |mut socket| {
        let answer = answer.clone();
        async move {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.read(&mut [0; 1]).await;
        }
    })
    .await
}

/// A hook that lets everybody in, over HTTP.
pub(crate) async fn hook() -> Backend {
    Backend::tcp(async |mut socket| {
        let mut asked = [0; 4096];
        let read = socket.read(&mut asked).await.unwrap_or_default();
        let says = match asked[..read].starts_with(b"POST /authorize") {
            true => r#"{"allow": true}"#,
            false => "{}",
        };
        let length = says.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{says}");
        let _ = socket.write_all(answer.as_bytes()).await;
        let _ = socket.shutdown().await;
        while matches!(socket.read(&mut asked).await, Ok(1..)) {}
    })
    .await
}

pub(crate) async fn started(options: &[String]) -> Process {
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let server = Process::start("grpc-multiplexer-server", &options);
    server.says("proxy_listener").await;
    server
}
