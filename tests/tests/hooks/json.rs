//! The same over HTTP/1, as JSON.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use grpc_multiplexer_tests::{Authority, Backend, Folder, Mux, until};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::hook::Hook;
use crate::{edge, listed, yes};

/// Status and body of the answer to what is asked at a path.
type Answer = fn(&str, &Value) -> (&'static str, String);

/// One that runs until it is dropped.
struct JsonHook {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    _work: JoinSet<()>,
}

impl JsonHook {
    async fn start(tls: Option<TlsAcceptor>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                connections.spawn(async move {
                    match tls {
                        None => serve(socket, &seen, answer).await,
                        Some(tls) => serve(tls.accept(socket).await.ok()?, &seen, answer).await,
                    }
                });
            }
        });
        Self {
            address,
            asked,
            _work: work,
        }
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    /// What it was told at a path, once it was so often.
    async fn told(&self, path: &str, times: usize) -> Vec<Value> {
        let told = async || {
            let asked = self.asked().into_iter();
            let told = asked.filter(|(at, _)| at == path).map(|(_, body)| body);
            Some(told.collect::<Vec<_>>()).filter(|told| told.len() >= times)
        };
        until(&format!("{times} requests to {path}"), told).await
    }
}

async fn serve(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    asked: &Mutex<Vec<(String, Value)>>,
    answer: Answer,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let path = head
        .strip_prefix("post ")
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!(
        head.contains("\r\ncontent-type: application/json\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nhost: 127.0.0.1:"), "{head}");
    let length = head.split("\r\ncontent-length: ").nth(1).unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    io.read_exact(&mut body).await.ok()?;
    let body = serde_json::from_slice(&body).unwrap();
    let (status, said) = answer(path, &body);
    asked.lock().unwrap().push((path.to_owned(), body));
    let length = said.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
    io.write_all((head + &said).as_bytes()).await.ok()?;
    io.shutdown().await.ok()
}

async fn server(url: String, further: &[&str]) -> Mux {
    let url = format!("--hooks-url={url}");
    Mux::with(&[&[&*url], further].concat()).await
}

fn allows(path: &str, _: &Value) -> (&'static str, String) {
    let answer = match path {
        "/my/hooks/authorize" => {
            json!({"allow": true, "context": {"tenant": "blue"}, "clientIds": ["rain*"]})
        }
        _ => json!({}),
    };
    ("200 OK", answer.to_string())
}

#[tokio::test]
async fn json_is_asked_and_told_as_grpc_is() {
    let hook = JsonHook::start(None, allows).await;
    let mux = server(format!("http://{}/my/hooks/", hook.address), &[]).await;
    let other = edge(&mux, "kitchen", &[]);
    let said = other.says("no tunnel").await;
    assert!(
        said.contains("does not let it have the client id"),
        "{said}"
    );
    drop(other);
    let rainbow = edge(&mux, "rainbow", &[]);
    rainbow.says(" connected ").await;
    assert_eq!(listed(&mux).await[0].context["tenant"], "blue");
    drop(rainbow);
    let begun = &hook.told("/my/hooks/connected", 1).await[0];
    let ended = &hook.told("/my/hooks/disconnected", 1).await[0];
    assert_eq!(begun["clientId"], "rainbow");
    assert_eq!(begun["context"], json!({"tenant": "blue"}));
    assert!(begun["time"].as_str().unwrap().ends_with('Z'), "{begun}");
    assert!(begun["epoch"].is_string() && begun["epoch"] == ended["epoch"]);
    let asked = hook.told("/my/hooks/authorize", 2).await;
    let of_rainbow = |asked: &&Value| asked["edge"]["clientId"] == "rainbow";
    let asked = asked.iter().find(of_rainbow).unwrap();
    assert_eq!(asked["serverId"], begun["serverId"]);
}

/// Also where a hook that is away would not.
#[tokio::test]
async fn what_is_no_answer_refuses() {
    const ANSWERS: [(Answer, &str); 6] = [
        (
            |_, _| ("403 Forbidden", r#"{"allow": true}"#.to_owned()),
            "it answers 403 Forbidden",
        ),
        (
            |_, _| ("204 No Content", String::new()),
            "it answers 204 No Content",
        ),
        (
            |_, _| ("302 Found", String::new()),
            "redirections are not followed",
        ),
        (
            |_, _| ("200 OK", r#"{"allow": true"#.to_owned()),
            "its answer is not as it must be",
        ),
        (
            |_, _| ("200 OK", r#"{"alow": true}"#.to_owned()),
            "its answer is not as it must be",
        ),
        (
            |_, _| ("200 OK", " ".repeat(300 * 1024)),
            "its answer is larger than 256 KiB",
        ),
    ];
    for (answer, wanted) in ANSWERS {
        let hook = JsonHook::start(None, answer).await;
        let further = ["--hooks-for=edges", "--hooks-on-failure=allow"];
        let mux = server(format!("http://{}", hook.address), &further).await;
        let refused = edge(&mux, "rainbow", &[]);
        let said = refused.says("no tunnel").await;
        assert!(said.contains("the server's hook does not say"), "{said}");
        let said = mux.says("the hook did not say who may come").await;
        assert!(said.contains(wanted), "no {wanted} in {said}");
        assert_eq!(hook.asked()[0].0, "/authorize");
    }
    let hangs_up = Backend::tcp(async |_| {}).await;
    let grpc = Hook::saying(yes()).await;
    for (address, wanted) in [
        (hangs_up.address, "it hung up without an answer"),
        (
            grpc.address,
            "it does not speak HTTP/1; where it speaks gRPC, give --hooks-address",
        ),
    ] {
        let mux = server(format!("http://{address}"), &["--hooks-for=edges"]).await;
        let _refused = edge(&mux, "rainbow", &[]);
        let said = mux.says("the hook did not say who may come").await;
        assert!(said.contains(wanted), "no {wanted} in {said}");
    }
    // What says no is an answer.
    let hook = JsonHook::start(None, |_, _| ("200 OK", "{}".to_owned())).await;
    let mux = server(
        format!("http://{}", hook.address),
        &["--hooks-on-failure=allow"],
    )
    .await;
    let refused = edge(&mux, "rainbow", &[]);
    let said = refused.says("no tunnel").await;
    assert!(said.contains("refuses it: no reason given"), "{said}");
}

#[tokio::test]
async fn a_hook_is_asked_over_tls_and_only_the_right_one() {
    let folder = Folder::new("hooks-tls");
    let authority = Authority::new("hooks");
    let acceptor = |authority: &Authority| {
        let tls = authority.signs("127.0.0.1").server(None, &["http/1.1"]);
        TlsAcceptor::from(Arc::new(tls))
    };
    let ca = folder.put("ca.pem", authority.pem());
    let ca = format!("--hooks-ca={ca}");
    let hook = JsonHook::start(Some(acceptor(&authority)), |_, _| {
        ("200 OK", r#"{"allow": true}"#.to_owned())
    })
    .await;
    let mux = server(format!("https://{}", hook.address), &[&ca]).await;
    let let_in = edge(&mux, "rainbow", &[]);
    let_in.says(" connected ").await;

    let other = Authority::new("other");
    let hook = JsonHook::start(Some(acceptor(&other)), |_, _| {
        ("200 OK", r#"{"allow": true}"#.to_owned())
    })
    .await;
    let mux = server(format!("https://{}", hook.address), &[&ca]).await;
    let refused = edge(&mux, "rainbow", &[]);
    refused.says("the server's hook does not say").await;
    mux.says("TLS with it failed; --hooks-ca says whom to trust")
        .await;
    assert_eq!(hook.asked(), []);
}
