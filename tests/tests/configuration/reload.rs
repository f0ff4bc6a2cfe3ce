//! SIGHUP reads the configuration again: whole or not at all, and only what can change while the process works.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use grpc_multiplexer_tests::{Backend, Call, Caller, Edge, Folder, Mux, Process, command, until};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::{EDGE, SERVER};

const DONE: &str = "configuration reloaded";
const REFUSED: &str = "configuration not reloaded, everything stays as it was";

async fn reload(process: &Process) {
    process.signal("HUP");
    process.says(DONE).await;
}

/// A server with a file, which may say nothing of the listeners.
pub(crate) async fn server(folder: &Folder, text: &str) -> (Mux, String) {
    let file = folder.put("server.yaml", text);
    // Not `Mux::with`, which would give the log level by flag.
    let mut server = command(SERVER);
    server.args([
        "--proxy-listener=127.0.0.1:0",
        "--multiplexer-listener=127.0.0.1:0",
        "--admin-listener=127.0.0.1:0",
        "--config",
        &file,
    ]);
    (Mux::of(Process::of(server)).await, file)
}

#[tokio::test]
async fn a_level_that_changes_is_said_and_takes_effect() {
    let folder = Folder::new("level");
    let (mux, file) = server(&folder, "log-level: info\n").await;
    let caller = Caller::connect(mux.proxy).await;
    caller.call("/s/m", &[("client-id", "nobody")], b"").await;
    let calls = || {
        mux.log()
            .iter()
            .filter(|line| line.contains("DEBUG"))
            .count()
    };
    assert_eq!(calls(), 0);
    folder.put("server.yaml", "log-level: debug\n");
    reload(&mux).await;
    let line = mux.says(" option reloaded ").await;
    assert!(line.ends_with("key=log-level old=info new=debug"), "{line}");
    let line = mux.says(DONE).await;
    assert!(
        line.ends_with(&format!("read={file}, 0 variables, 3 flags options=1")),
        "{line}"
    );
    caller.call("/s/m", &[("client-id", "nobody")], b"").await;
    mux.says("DEBUG").await;
}

#[tokio::test]
async fn one_mistake_and_everything_stays_as_it_was() {
    let folder = Folder::new("stays");
    let (mux, file) = server(&folder, "log-level: info\n").await;
    folder.put(
        "server.yaml",
        "log-level: debug\ncolour: red\ndrain-timeout: 1\n",
    );
    mux.signal("HUP");
    mux.says(REFUSED).await;
    for wanted in [
        format!("ERROR {file}:2:1: colour: unknown key"),
        format!("ERROR {file}:3:16: drain-timeout: \"1\": the unit is missing; "),
    ] {
        assert_eq!(
            mux.log()
                .iter()
                .filter(|line| line.contains(&wanted))
                .count(),
            1,
            "{wanted}"
        );
    }
    let caller = Caller::connect(mux.proxy).await;
    caller.call("/s/m", &[("client-id", "nobody")], b"").await;
    mux.never_said("DEBUG");

    // It is mended, and a file that is gone is no mistake of a file's.
    folder.put("server.yaml", "log-level: debug\n");
    reload(&mux).await;
    fs::remove_file(&file).unwrap();
    mux.signal("HUP");
    mux.says_times(REFUSED, 2).await;
    mux.says("flag --config: ").await;
}

/// What is at the path of a file that cannot be used.
enum Broken {
    Text(Vec<u8>),
    Folder,
    Pipe,
    LinkToNowhere,
}

impl Broken {
    fn put_at(&self, path: &Path) {
        // Nothing, a file or an empty folder.
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        match self {
            Self::Text(text) => fs::write(path, text).unwrap(),
            Self::Folder => fs::create_dir(path).unwrap(),
            Self::Pipe => {
                let made = Command::new("mkfifo").arg(path).status().unwrap();
                assert!(made.success());
            }
            Self::LinkToNowhere => symlink("nowhere", path).unwrap(),
        }
    }
}

/// Whatever is found in place of the file, it is named once, and what was in force stays.
async fn survives_every_broken_file(process: &Process, file: &str) {
    let text = |text: &[u8]| Broken::Text(text.to_vec());
    let larger = text(&b"#".repeat(2 << 20));
    for (round, (broken, wanted)) in [
        (text(b"log-level: debug\ndrain-time"), ":3:1: not YAML: "),
        (
            text(b"log-level: debug\ndrain-timeout: 2"),
            ":2:16: drain-timeout: \"2\": ",
        ),
        (text(b"drain-timeout: 2s\nlog-level: \"deb"), ":2:"),
        (text(b"log-level: debug\n\0\0\0"), ":2:1: "),
        (text(b"log-level: debug\n\xff"), ":2:1: not UTF-8"),
        (larger, "larger than 1024 KiB"),
        (Broken::Folder, "this is a folder"),
        (Broken::Pipe, "this is no regular file"),
        (
            Broken::LinkToNowhere,
            "the file cannot be read: No such file",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        broken.put_at(Path::new(file));
        let said = process.log().len();
        process.signal("HUP");
        process.says_times(REFUSED, round + 1).await;
        let errors = process.log().split_off(said);
        let errors = errors.iter().filter(|line| line.contains(" ERROR "));
        let errors: Vec<_> = errors.collect();
        let [named, refused] = &errors[..] else {
            panic!("{wanted}: {errors:#?}");
        };
        assert!(
            named.contains(wanted) && named.contains(file),
            "{wanted}: {named}"
        );
        assert!(refused.contains(REFUSED), "{refused}");
    }
    Broken::Text(b"log-level: debug\n".to_vec()).put_at(Path::new(file));
    reload(process).await;
    // Measured at what was in force all the time.
    let changed = process.says(" option reloaded ").await;
    assert!(
        changed.ends_with("key=log-level old=info new=debug"),
        "{changed}"
    );
}

#[tokio::test]
async fn a_file_that_is_broken_changes_nothing() {
    let folder = Folder::new("broken");
    let (mux, file) = server(&folder, "log-level: info\n").await;
    survives_every_broken_file(&mux, &file).await;
    let caller = Caller::connect(mux.proxy).await;
    caller.call("/s/m", &[("client-id", "nobody")], b"").await;
    mux.says("call failed").await;

    let file = folder.put("client.yaml", "log-level: info\n");
    let mut edge = command(EDGE);
    edge.arg(format!("--multiplexer-address={}", mux.multiplexer));
    edge.args(["--client-id=rainbow", "--config", &file]);
    let edge = Process::of(edge);
    edge.says(" connected ").await;
    survives_every_broken_file(&edge, &file).await;
    assert_eq!(mux.listed().await, ["rainbow"]);
}

#[tokio::test]
async fn a_file_that_was_found_and_is_gone_changes_nothing() {
    let home = Folder::new("gone");
    let file = home.put(".grpc-multiplexer-server", "log-level: debug\n");
    let mut server = command(SERVER);
    server.env("HOME", &home.0).args([
        "--proxy-listener=127.0.0.1:0",
        "--multiplexer-listener=127.0.0.1:0",
        "--admin-listener=127.0.0.1:0",
    ]);
    let mux = Mux::of(Process::of(server)).await;
    fs::remove_file(&file).unwrap();
    // Not even for one that would be read in its place after a restart.
    home.put(".grpc-multiplexer-server.yaml", "log-level: warning\n");
    mux.signal("HUP");
    mux.says(REFUSED).await;
    mux.says(&format!(
        "ERROR {file}: the file cannot be read: No such file"
    ))
    .await;
    let caller = Caller::connect(mux.proxy).await;
    caller.call("/s/m", &[("client-id", "nobody")], b"").await;
    mux.says("call failed").await;

    // It is back.
    home.put(".grpc-multiplexer-server", "log-level: info\n");
    reload(&mux).await;
    let changed = mux.says(" option reloaded ").await;
    assert!(
        changed.ends_with("key=log-level old=debug new=info"),
        "{changed}"
    );
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_does_not_change() {
    let folder = Folder::new("restart");
    let file = folder.put(
        "server.yaml",
        "proxy-listener: 127.0.0.1:0\nmultiplexer-listener: 127.0.0.1:0\n",
    );
    let mut server = command(SERVER);
    server.args(["--admin-listener=127.0.0.1:0", "--config", &file]);
    let mux = Mux::of(Process::of(server)).await;
    folder.put(
        "server.yaml",
        "proxy-listener: 127.0.0.1:1\nmultiplexer-listener: 127.0.0.1:0\nlog-format: json\ndrain-timeout: 1s\n",
    );
    reload(&mux).await;
    let needs =
        |key: &str| format!("WARN option changed, which needs a restart key={key} in_force=");
    let line = mux.says(&needs("proxy-listener")).await;
    assert!(
        line.ends_with("in_force=127.0.0.1:0 new=127.0.0.1:1"),
        "{line}"
    );
    mux.says(&needs("log-format")).await;
    let line = mux.says(" option reloaded ").await;
    assert!(line.ends_with("key=drain-timeout old=25s new=1s"), "{line}");
    mux.never_said("key=multiplexer-listener");
    Caller::connect(mux.proxy).await;
}

/// The new file is right, but only with an address that needs a restart.
#[tokio::test]
async fn what_does_not_go_with_what_stays_is_not_taken() {
    let folder = Folder::new("together");
    let file = folder.put("client.yaml", "grpc-server-address: localhost:1\n");
    let mut edge = command(EDGE);
    edge.args(["--multiplexer-address=127.0.0.1:1", "--config", &file]);
    let edge = Process::of(edge);
    edge.says(" starting ").await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = folder.put("ca.pem", made.cert.pem());
    let text = format!("grpc-server-address: https://localhost:1\nbackend-ca: {ca}\n");
    folder.put("client.yaml", text);
    edge.signal("HUP");
    edge.says(REFUSED).await;
    edge.says("WARN option changed, which needs a restart key=grpc-server-address ")
        .await;
    edge.says("backend-ca: \"").await;
}

#[tokio::test]
async fn a_flag_still_wins_when_the_file_changes() {
    let folder = Folder::new("flag");
    let file = folder.put("server.yaml", "log-level: warning\n");
    let mux = Mux::with(&["--config", &file, "--log-level", "info"]).await;
    folder.put("server.yaml", "log-level: debug\n");
    reload(&mux).await;
    let line = mux.says(DONE).await;
    assert!(line.ends_with(" options=0"), "{line}");
}

#[tokio::test]
async fn many_hangups_at_once_end_nothing() {
    let folder = Folder::new("many");
    let (mux, _) = server(&folder, "").await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", "127.0.0.1:1", &[]);
    edge.says(" connected ").await;
    for process in [&*mux, &*edge] {
        for _ in 0..20 {
            process.signal("HUP");
        }
        process.says(DONE).await;
    }
    assert_eq!(mux.listed().await, ["rainbow"]);
    for process in [&*mux, &*edge] {
        process.signal("HUP");
        let reloads = process
            .log()
            .iter()
            .filter(|line| line.contains(DONE))
            .count();
        process.says_times(DONE, reloads + 1).await;
    }
}

/// A call that never ends, over a server and an edge with a file each.
struct Hanging {
    folder: Folder,
    mux: Mux,
    edge: Edge,
    _backend: Backend,
    _caller: Caller,
    _call: Call,
}

impl Hanging {
    async fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let (mux, _) = server(&folder, "drain-timeout: 1h\n").await;
        let backend = Backend::h2(async |mut call| {
            call.headers();
            call.wait_reset().await;
        })
        .await;
        let file = folder.put("client.yaml", "drain-timeout: 1h\n");
        let address = backend.address.to_string();
        let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &["--config", &file]);
        edge.says(" connected ").await;
        let caller = Caller::connect(mux.proxy).await;
        let mut call = caller.start("/s/m", &[("client-id", "rainbow")]).await;
        assert!(call.headers().await);
        Self {
            folder,
            mux,
            edge,
            _backend: backend,
            _caller: caller,
            _call: call,
        }
    }
}

#[tokio::test]
async fn a_new_drain_timeout_of_the_server_holds_at_the_next_drain() {
    let mut path = Hanging::start("drain-server").await;
    path.folder.put("server.yaml", "drain-timeout: 1ms\n");
    reload(&path.mux).await;
    path.mux.signal("TERM");
    path.mux.says("drain time is over, cutting calls").await;
    assert_eq!(path.mux.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_new_drain_timeout_of_the_edge_holds_at_the_next_drain() {
    let mut path = Hanging::start("drain-edge").await;
    path.folder.put("client.yaml", "drain-timeout: 1ms\n");
    reload(&path.edge).await;
    path.edge.signal("TERM");
    path.edge.says("drain time is over, cutting calls").await;
    assert_eq!(path.edge.ended().await.code(), Some(0));
}

/// A TLS server in front of `backend`, and the PEM text of its certificate.
async fn tls(backend: &Backend) -> (Backend, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = backend.address;
    let front = Backend::tcp(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(socket).await {
                let mut backend = TcpStream::connect(address).await.unwrap();
                // Ends with either side.
                let _ = copy_bidirectional(&mut stream, &mut backend).await;
            }
        }
    })
    .await;
    (front, made.cert.pem())
}

#[tokio::test]
async fn the_edge_checks_a_backend_by_the_new_contents_of_its_file() {
    let folder = Folder::new("ca");
    let mux = Mux::start().await;
    let backend = Backend::pong().await;
    let (front, right) = tls(&backend).await;
    let (_other, wrong) = tls(&backend).await;
    let ca = folder.put("ca.pem", wrong);
    let address = format!("https://localhost:{}", front.address.port());
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &["--backend-ca", &ca]);
    edge.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    let call = async || caller.call("/s/m", &[("client-id", "rainbow")], b"").await;
    assert_eq!(call().await.mux_error(), Some("backend-connect"));

    // What cannot be used is not taken.
    folder.put("ca.pem", "nothing");
    edge.signal("HUP");
    edge.says(REFUSED).await;
    edge.says("ERROR flag --backend-ca: ").await;

    folder.put("ca.pem", right);
    reload(&edge).await;
    // A failed dial is remembered for a moment.
    until("an answer of the backend", async || {
        (call().await.body == b"pong").then_some(())
    })
    .await;
}
