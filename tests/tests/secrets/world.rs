//! Everything that has a secret, at work at once.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use grpc_multiplexer_tests::secrets::{are_not_in, plant, plant_file};
use grpc_multiplexer_tests::signer::{MARKER, Signer, jwks};
use grpc_multiplexer_tests::{
    Answer, Authority, Backend, Caller, Edge, Folder, KEYS, Leaf, Process, Tap, auth, command,
    free, hello, output, within,
};
use grpc_multiplexer_tunnel::message::Hello;
use grpc_multiplexer_tunnel::{TOKEN_SCHEME, TunnelConfig, dial};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::material::token;
use crate::server::{configuration, hook, options, publisher, put_files, started, tls_options};

const EDGE: &str = "grpc-multiplexer-client";

/// Which listeners speak TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Everywhere,
    Nowhere,
}

/// A server that knows edges and callers by all that they can show, with a tap in front of both listeners.
pub(crate) struct World {
    pub(crate) folder: Folder,
    pub(crate) authority: Authority,
    pub(crate) signer: Signer,
    pub(crate) server: Process,
    pub(crate) to_proxy: Tap,
    pub(crate) to_multiplexer: Tap,
    pub(crate) to_hook: Tap,
    pub(crate) edge_token: String,
    pub(crate) caller_token: String,
    enrolment_token: String,
    /// In each call, and in each answer.
    pub(crate) body: String,
    tls: Tls,
    format: &'static str,
    options: Vec<String>,
    admin: SocketAddr,
    operator: SocketAddr,
    backend: Backend,
    /// Of the keys that callers' tokens are signed with.
    publisher: Backend,
    _hook: Backend,
}

impl World {
    pub(crate) async fn start(tls: Tls, format: &'static str) -> Self {
        let [proxy, multiplexer, admin, operator] = free();
        let (folder, authority) = (Folder::new("secrets"), Authority::new("secrets"));
        let (signer, tokens) = (Signer::new("a"), [(); 3].map(|()| token()));
        plant(MARKER);
        let publisher = publisher(&jwks(&[&signer])).await;
        put_files(&folder, &signer, tokens.each_ref().map(String::as_str));
        let [edge_token, caller_token, enrolment_token] = tokens;
        let hook = hook().await;
        let to_hook = Tap::to(hook.address).await;
        folder.put("ca.pem", authority.pem());
        folder.put("server.yaml", configuration(&folder, publisher.address));
        let addresses = [proxy, multiplexer, admin, operator, to_hook.address];
        let mut options = options(&folder, addresses, format);
        if tls == Tls::Everywhere {
            options.extend(tls_options(&folder, &authority));
        }
        let body = token();
        let said = body.clone();
        let backend = Backend::h2(move |mut call| {
            let said = said.clone();
            async move {
                call.read_all().await;
                match call.request.uri().path() {
                    "/s/m" => call.ok(said.as_bytes()).await,
                    "/s/fail" => {
                        call.respond(&[("grpc-status", "13"), ("grpc-message", &said)], true);
                    }
                    _ => call.respond(&[("grpc-status", "12")], true),
                }
            }
        })
        .await;
        Self {
            server: started(&options).await,
            to_proxy: Tap::to(proxy).await,
            to_multiplexer: Tap::to(multiplexer).await,
            to_hook,
            folder,
            authority,
            signer,
            edge_token,
            caller_token,
            enrolment_token,
            body,
            tls,
            format,
            options,
            admin,
            operator,
            backend,
            publisher,
            _hook: hook,
        }
    }

    /// What is to be in the server's configuration file, with another key to the keys each time.
    pub(crate) fn configuration(&self) -> String {
        configuration(&self.folder, self.publisher.address)
    }

    /// Kills the server, and starts another in its place.
    pub(crate) async fn crash(&mut self) {
        self.server.kill().await;
        self.server = started(&self.options).await;
    }

    /// Edges that show a token, a key, a JSON Web Token, and a key of their own that they enrol with, once they are let in.
    pub(crate) async fn edges(&self) -> [Edge; 4] {
        let put = |name: &str, text: &str| self.folder.put_secret(name, text);
        let key = self.file("attic");
        let edges = [
            self.edge(
                "rainbow",
                &[&format!(
                    "--token-file={}",
                    put("rainbow", &self.edge_token)
                )],
            ),
            self.edge(
                "kitchen",
                &[&format!("--key-file={}", put("kitchen", KEYS[0].private))],
            ),
            self.edge(
                "garden",
                &[&format!(
                    "--token-file={}",
                    put("garden", &self.signer.token("garden"))
                )],
            ),
            self.edge(
                "attic",
                &[
                    &format!("--key-file={key}"),
                    &format!(
                        "--enrolment-token-file={}",
                        put("attic-token", &self.enrolment_token)
                    ),
                ],
            ),
        ];
        for edge in &edges {
            edge.says(&self.connected()).await;
        }
        plant_file(fs::read(key).unwrap());
        edges
    }

    /// One that shows what options say.
    pub(crate) fn edge(&self, id: &str, shows: &[&str]) -> Edge {
        let backend = self.backend.address.to_string();
        let mut args = vec!["--log-level", "trace", "--log-format", self.format];
        args.extend(shows);
        let ca = format!("--multiplexer-tls-ca={}", self.file("ca.pem"));
        if self.tls == Tls::Everywhere {
            args.push(&ca);
        }
        Edge::dialling(self.to_multiplexer.address, id, &backend, &args)
    }

    /// What an edge says once it has a tunnel.
    pub(crate) fn connected(&self) -> String {
        match self.format {
            "json" => r#""connected""#.to_owned(),
            _ => " connected ".to_owned(),
        }
    }

    /// An edge `cellar` of the test's own, so that its instance id and the token of its welcome are known. It comes, and takes
    /// its own place by them.
    pub(crate) async fn takes_its_own_place(&self) {
        let (instance_id, mut resume_token) = (rand::random::<[u8; 16]>(), Vec::new());
        plant(instance_id);
        let mut tunnels = JoinSet::new();
        for _ in 0..2 {
            let hello = Hello {
                auth: Some(auth(TOKEN_SCHEME, self.signer.token("cellar"))),
                instance_id: instance_id.to_vec(),
                resume_token,
                ..hello("cellar")
            };
            let io = self.tls(self.to_multiplexer.address, "grpc-multiplexer/1");
            let config = TunnelConfig::default();
            let dialled = dial(Box::new(io.await), hello, &config).await;
            let (tunnel, welcome) = dialled.unwrap();
            plant(&welcome.resume_token);
            resume_token = welcome.resume_token;
            tunnels.spawn(tunnel.task.run());
        }
    }

    /// What becomes of a call with this token, which shows the backend secrets as well.
    pub(crate) async fn call(&self, path: &str, bearer: &str) -> Answer {
        let address = self.to_proxy.address;
        let caller = match self.tls {
            Tls::Everywhere => {
                let tls = self.authority.client(None, &["h2"]);
                Caller::secure(address, tls).await.unwrap()
            }
            Tls::Nowhere => Caller::connect(address).await,
        };
        let metadata = [
            ("client-id", "rainbow"),
            ("proxy-authorization", &format!("Bearer {bearer}")),
            ("authorization", &format!("Bearer {}", token())),
            ("cookie", &format!("session={}", token())),
        ];
        caller.call(path, &metadata, self.body.as_bytes()).await
    }

    /// What a subcommand says, and how it ends.
    pub(crate) async fn ask(&self, args: &[&str], options: &[String]) -> (Option<i32>, String) {
        let mut asks = command(EDGE);
        asks.args(args).args(options);
        let output = tokio::task::spawn_blocking(move || output(&mut asks)).await;
        let output = output.unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    }

    /// The options of a subcommand that calls, with a token in a file of that name.
    pub(crate) fn shows_token(&self, name: &str, token: &str) -> Vec<String> {
        vec![
            format!("--proxy-address={}", self.to_proxy.address),
            format!("--proxy-tls-ca={}", self.file("ca.pem")),
            format!("--token-file={}", self.folder.put_secret(name, token)),
        ]
    }

    /// The options of one for operators.
    pub(crate) fn operator(&self, leaf: &Leaf) -> Vec<String> {
        let [certificate, key] = leaf.put(&self.folder, "operator-own");
        vec![
            format!("--operator-address={}", self.operator),
            format!("--operator-tls-ca={}", self.file("ca.pem")),
            format!("--operator-tls-certificate={certificate}"),
            format!("--operator-tls-key={key}"),
        ]
    }

    /// What the admin listener answers.
    pub(crate) async fn page(&self, path: &str) -> Vec<u8> {
        let ask = async {
            let mut stream = self.tls(self.admin, "http/1.1").await;
            let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // It may hang up without a word of TLS.
            let _ = stream.read_to_end(&mut answer).await;
            answer
        };
        let answer = within("an answer of the admin listener", ask).await;
        assert!(answer.starts_with(b"HTTP/1.1 "));
        answer
    }

    async fn tls(&self, address: SocketAddr, protocol: &str) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(address).await.unwrap();
        let tls = TlsConnector::from(Arc::new(self.authority.client(None, &[protocol])));
        let name = ServerName::try_from("127.0.0.1").unwrap();
        tls.connect(name, socket).await.unwrap()
    }

    pub(crate) fn nothing_is_readable_on_the_way(&self) {
        for tap in [&self.to_proxy, &self.to_multiplexer] {
            let seen = tap.seen();
            assert!(seen.len() > 1000);
            are_not_in("what passes", seen);
        }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.0.join(name).display().to_string()
    }
}

/// Sees that a process says everything that it ever says. That nothing of it is secret is seen when it is dropped.
pub(crate) fn said_everything(process: &Process) {
    let log = process.log();
    assert!(log.iter().any(|line| line.contains("TRACE")), "{log:?}");
}
