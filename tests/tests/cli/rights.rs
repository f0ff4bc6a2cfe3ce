//! What a caller is told that a policy lets do little.

use grpc_multiplexer_examples::{Echo, routes};
use grpc_multiplexer_tests::{Backend, Edge, Folder, Mux, TOKENS};

use crate::run::{Said, run};
use crate::service::{Fault, TestService};

/// A server whose one caller may make these calls at `rainbow`, with that edge and another that it may not see.
struct Bench {
    mux: Mux,
    _edges: [Edge; 2],
    _backend: Backend,
    folder: Folder,
    token: String,
}

impl Bench {
    async fn with(methods: &str) -> Self {
        let folder = Folder::new("cli-rights");
        let [token, digest] = TOKENS[0];
        let rules = format!("{{ids: [rainbow], methods: [{methods}]}}");
        let policy = format!("callers: {{anna: {{tokens: [{digest}], calls: [{rules}]}}}}\n");
        let policy = folder.put_secret("policy.yaml", policy);
        let token = folder.put_secret("token", token);
        let mux = Mux::with(&["--callers-policy", &policy]).await;
        let routes = routes(Echo::default()).await.unwrap();
        let service = TestService::with(Fault::None);
        let backend = Backend::routes(routes.add_service(service)).await;
        let rainbow = Edge::start(&mux, "rainbow", backend.address).await;
        let garden = Edge::start(&mux, "garden", backend.address).await;
        Self {
            _edges: [rainbow, garden],
            _backend: backend,
            mux,
            folder,
            token,
        }
    }

    /// What that caller is told.
    async fn asked(&self, asked: &[&str]) -> Said {
        let proxy = self.mux.proxy.to_string();
        let shown = ["--proxy-address", &proxy, "--token-file", &self.token];
        run(&[asked, &shown].concat()).await
    }

    /// The only caller may see nothing any more.
    async fn hide_all(&self) {
        let [_, digest] = TOKENS[0];
        let policy = format!("callers: {{anna: {{tokens: [{digest}], sees: [nowhere]}}}}\n");
        self.folder.put("policy.yaml", policy);
        self.mux.reload().await;
    }
}

/// The first word of the lines of these steps.
fn words<const N: usize>(said: &Said, steps: [&str; N]) -> [String; N] {
    steps.map(|step| {
        let line = said
            .out
            .lines()
            .find(|line| line.contains(&format!("  {step} ")));
        let line = line.unwrap_or_else(|| panic!("no {step}: {said:?}"));
        line.split(' ').next().unwrap().to_owned()
    })
}

/// Its own calls are none that it is there to make.
#[tokio::test]
async fn what_a_caller_may_not_call_is_skipped_and_no_fault() {
    let steps = ["backend", "health", "reflection", "latency", "empty_unary"];
    for (methods, wanted) in [
        ("/shop.Invoices/*", ["skipped"; 5]),
        (
            "/grpc.health.v1.Health/Check, /grpc.testing.TestService/*",
            ["skipped", "ok", "skipped", "skipped", "ok"],
        ),
    ] {
        let bench = Bench::with(methods).await;
        let said = bench.asked(&["check", "rainbow"]).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(words(&said, steps), wanted, "{said:?}");
        assert!(said.out.contains("not-allowed"), "{said:?}");
        assert!(
            said.out.contains("it may well let it make others"),
            "{said:?}"
        );
        let end = "\n\nnothing is wrong, as far as calls may be made\n";
        assert!(said.out.ends_with(end), "{said:?}");
    }
    let bench = Bench::with("'*'").await;
    let said = bench.asked(&["check", "rainbow"]).await;
    assert!(said.out.ends_with("\n\nnothing is wrong\n"), "{said:?}");
}

/// No more than what the edge may not serve.
#[tokio::test]
async fn what_an_edge_may_not_serve_is_skipped_and_no_fault() {
    let folder = Folder::new("cli-serves");
    let [token, digest] = TOKENS[0];
    let grants = format!("{digest} rainbow /grpc.health.v1.Health/Check\n");
    let tokens = folder.put_secret("tokens", grants);
    let token = folder.put_secret("token", token);
    let mux = Mux::with(&["--edges-tokens", &tokens]).await;
    let backend = Backend::routes(routes(Echo::default()).await.unwrap()).await;
    let address = backend.address.to_string();
    let edge = Edge::dialling(
        mux.multiplexer,
        "rainbow",
        &address,
        &["--token-file", &token],
    );
    edge.says(" connected ").await;
    let proxy = mux.proxy.to_string();
    let said = run(&["check", "rainbow", "--proxy-address", &proxy]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let steps = ["backend", "health", "reflection", "latency"];
    let wanted = ["skipped", "ok", "skipped", "skipped"];
    assert_eq!(words(&said, steps), wanted, "{said:?}");
    assert!(said.out.contains("not-served"), "{said:?}");
    let end = "\n\nnothing is wrong, as far as calls may be made\n";
    assert!(said.out.ends_with(end), "{said:?}");
}

/// Nothing is said to be away that may only be hidden.
#[tokio::test]
async fn an_edge_that_may_be_hidden_is_not_said_to_be_away() {
    let bench = Bench::with("'*'").await;
    let said = bench.asked(&["check", "garden"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    for words in [
        "no edge 'garden' is connected that this caller may see (1 other edge is)",
        "or the server's --callers-policy or hook does not let this caller see it",
    ] {
        assert!(said.out.contains(words), "{said:?}");
    }
    bench.hide_all().await;
    let said = bench.asked(&["list"]).await;
    let proxy = bench.mux.proxy;
    let nothing =
        format!("no edge is connected to the server at {proxy} that this caller may see\n");
    assert_eq!((said.code, said.err), (0, nothing));
}
