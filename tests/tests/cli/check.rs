//! `check`.

use futures::future::join_all;
use grpc_multiplexer_examples::{Echo, routes};
use grpc_multiplexer_tests::{Backend, Edge, Mux};
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::ServingStatus;

use crate::run::{Said, documented, keys, run};
use crate::service::{Fault, TestService};

const STEPS: [&str; 16] = [
    "connect",
    "http2",
    "discovery",
    "backend",
    "health",
    "reflection",
    "latency",
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "custom_metadata",
    "status",
    "cancel",
    "timeout",
];

/// A server with an edge `rainbow`.
struct Path {
    mux: Mux,
    _edge: Edge,
}

impl Path {
    async fn to(backend: &str) -> Self {
        Self::with(backend, &[]).await
    }

    /// With options of the edge.
    async fn with(backend: &str, edge: &[&str]) -> Self {
        let mux = Mux::start().await;
        let edge = Edge::dialling(mux.multiplexer, "rainbow", backend, edge);
        edge.says(" connected ").await;
        Self { mux, _edge: edge }
    }

    async fn check(&self, id: &str) -> Said {
        run(&["check", id, "--proxy-address", &self.mux.proxy.to_string()]).await
    }

    async fn check_json(&self, id: &str) -> Said {
        let proxy = self.mux.proxy.to_string();
        run(&["check", "--json", id, "--proxy-address", &proxy]).await
    }
}

/// The result of each step, in order.
fn results(said: &Said) -> Vec<(String, String)> {
    let word = |object: &Value, key: &str| object[key].as_str().unwrap().to_owned();
    let objects = said.objects();
    objects
        .iter()
        .map(|object| (word(object, "step"), word(object, "result")))
        .collect()
}

/// What came of a step.
fn step<'a>(said: &'a [Value], name: &str) -> &'a Value {
    let found = said.iter().find(|object| object["step"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {said:?}"))
}

async fn test_service(fault: Fault) -> Backend {
    let routes = routes(Echo::default()).await.unwrap();
    Backend::routes(routes.add_service(TestService::with(fault))).await
}

#[tokio::test]
async fn every_step_of_a_sound_path_is_ok() {
    let backend = test_service(Fault::None).await;
    let path = Path::to(&backend.address.to_string()).await;
    let said = path.check_json("rainbow").await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let wanted = STEPS.map(|step| (step.to_owned(), "ok".to_owned()));
    assert_eq!(results(&said), wanted, "{said:?}");
    let objects = said.objects();
    documented("check", &objects[0]).await;
    for object in &objects {
        assert_eq!(
            keys(object),
            ["advice", "result", "seconds", "step", "text", "values"]
        );
        assert!(
            object["advice"].is_null() && object["seconds"].is_f64(),
            "{object}"
        );
    }
    let latency = &step(&objects, "latency")["values"];
    assert_eq!(keys(latency), ["calls", "median_seconds", "min_seconds"]);
    let services = step(&objects, "reflection")["values"]["services"]
        .as_array()
        .unwrap();
    assert!(
        services.contains(&"grpc.health.v1.Health".into()),
        "{services:?}"
    );

    let said = path.check("rainbow").await;
    assert_eq!(said.code, 0);
    assert!(
        said.out.starts_with("edge 'rainbow' through 127.0.0.1:"),
        "{said:?}"
    );
    assert!(said.out.ends_with("\n\nnothing is wrong\n"), "{said:?}");
    let ok = said.out.lines().filter(|line| line.starts_with("ok "));
    assert_eq!(ok.count(), STEPS.len());
}

/// What goes wrong, at which step, and words of what is told.
const FAULTS: [(Fault, &str, &str); 12] = [
    (
        Fault::FailsEmpty,
        "empty_unary",
        "INTERNAL: no more of these",
    ),
    (Fault::ShortAnswer, "large_unary", "314158"),
    (Fault::WrongSum, "client_streaming", "74923"),
    (Fault::FewAnswers, "server_streaming", "None"),
    (Fault::ManyAnswers, "server_streaming", "more answers"),
    (Fault::ManyPongs, "ping_pong", "more answers"),
    (
        Fault::NoHeader,
        "custom_metadata",
        "x-grpc-test-echo-initial",
    ),
    (
        Fault::NoTrailer,
        "custom_metadata",
        "x-grpc-test-echo-trailing-bin",
    ),
    (Fault::OtherMessage, "status", "\"other\""),
    (Fault::NoStatus, "status", "OK"),
    (Fault::FailsLater, "cancel", "INTERNAL: no more of these"),
    (Fault::EndsEarly, "timeout", "DEADLINE_EXCEEDED"),
];

/// The interop cases among them.
#[tokio::test]
async fn every_step_is_ok_where_the_edge_ends_flow_control() {
    let backend = test_service(Fault::None).await;
    let modes = ["--backend-mode", "terminate"];
    let path = Path::with(&backend.address.to_string(), &modes).await;
    let said = path.check_json("rainbow").await;
    let wanted = STEPS.map(|step| (step.to_owned(), "ok".to_owned()));
    assert_eq!(results(&said), wanted, "{said:?}");
}

#[tokio::test]
async fn each_thing_that_a_backend_gets_wrong_fails_its_own_step() {
    let mux = Mux::start().await;
    join_all(FAULTS.map(|(fault, step, words)| {
        let mux = &mux;
        async move {
            let backend = test_service(fault).await;
            let id = format!("{fault:?}");
            let _edge = Edge::start(mux, &id, backend.address).await;
            let proxy = mux.proxy.to_string();
            let said = run(&["check", "--json", &id, "--proxy-address", &proxy]).await;
            assert_eq!(said.code, 1, "{said:?}");
            let objects = said.objects();
            let failed: Vec<_> = objects
                .iter()
                .filter(|told| told["result"] == "fail")
                .collect();
            assert_eq!(failed.len(), 1, "{id}: {failed:?}");
            assert_eq!(failed[0]["step"], step);
            assert!(
                failed[0]["text"].as_str().unwrap().contains(words),
                "{id}: {failed:?}"
            );
            assert!(failed[0]["advice"].is_string(), "{id}: {failed:?}");
        }
    }))
    .await;
}

#[tokio::test]
async fn what_a_backend_does_not_serve_is_skipped_and_no_fault() {
    let (_, health) = tonic_health::server::health_reporter();
    let backend = Backend::routes(Routes::new(health)).await;
    let path = Path::to(&backend.address.to_string()).await;
    let said = path.check("rainbow").await;
    assert_eq!(said.code, 0, "{said:?}");
    let line = |name: &str| {
        said.out
            .lines()
            .find(|line| line.contains(name))
            .unwrap()
            .to_owned()
    };
    assert!(line(" reflection ").starts_with("skipped "), "{said:?}");
    assert!(line(" empty_unary ").starts_with("skipped "), "{said:?}");
    assert!(
        line(" empty_unary ").contains("grpc.testing.TestService"),
        "{said:?}"
    );
    assert!(!said.out.contains("large_unary"), "{said:?}");

    let backend = Backend::routes(Routes::new(TestService::with(Fault::None))).await;
    let path = Path::to(&backend.address.to_string()).await;
    let objects = path.check_json("rainbow").await.objects();
    assert_eq!(step(&objects, "health")["result"], "skipped");
    assert_eq!(step(&objects, "timeout")["result"], "ok");
}

#[tokio::test]
async fn the_older_reflection_is_asked_where_the_newer_is_not_served() {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1alpha()
        .unwrap();
    let backend = Backend::routes(Routes::new(reflection)).await;
    let path = Path::to(&backend.address.to_string()).await;
    let objects = path.check_json("rainbow").await.objects();
    let reflection = step(&objects, "reflection");
    assert_eq!(reflection["result"], "ok");
    assert!(
        reflection["text"]
            .as_str()
            .unwrap()
            .contains("grpc.health.v1.Health")
    );
}

#[tokio::test]
async fn a_backend_that_says_it_does_not_serve_is_a_fault() {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    let backend = Backend::routes(Routes::new(health)).await;
    let path = Path::to(&backend.address.to_string()).await;
    let said = path.check("rainbow").await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("FAIL     health"), "{said:?}");
    assert!(said.out.contains("NOT_SERVING"), "{said:?}");
    assert!(said.out.ends_with("one thing is wrong\n"), "{said:?}");
}

/// The only step that fails: those before are ok, and those after are skipped.
fn failed(said: &Said) -> Value {
    assert_eq!(said.code, 1, "{said:?}");
    let objects = said.objects();
    let at = objects
        .iter()
        .position(|told| told["result"] == "fail")
        .unwrap();
    assert!(
        objects[..at].iter().all(|told| told["result"] == "ok"),
        "{said:?}"
    );
    let why = format!("'{}' failed", objects[at]["step"].as_str().unwrap());
    for told in &objects[at + 1..] {
        assert_eq!(
            (&told["result"], &told["text"]),
            (&"skipped".into(), &why.clone().into())
        );
    }
    objects[at].clone()
}

#[tokio::test]
async fn a_backend_that_is_down_is_told_from_everything_else() {
    let path = Path::to("127.0.0.1:1").await;
    let said = path.check_json("rainbow").await;
    let told = failed(&said);
    assert_eq!(told["step"], "backend");
    assert!(
        told["text"]
            .as_str()
            .unwrap()
            .contains("x-mux-error: backend-connect"),
        "{told}"
    );
    assert!(
        told["advice"]
            .as_str()
            .unwrap()
            .contains("start the gRPC server"),
        "{told}"
    );
}

#[tokio::test]
async fn a_backend_that_is_no_grpc_server_is_told_as_such() {
    let backend = Backend::tcp(|mut socket| async move {
        drop(tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 \r\n\r\n").await);
        drop(tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 1024]).await);
    })
    .await;
    let path = Path::to(&backend.address.to_string()).await;
    let told = failed(&path.check_json("rainbow").await);
    assert_eq!(told["step"], "backend");
    assert!(
        told["advice"]
            .as_str()
            .unwrap()
            .contains("does not speak HTTP/2"),
        "{told}"
    );
}

#[tokio::test]
async fn an_unknown_edge_is_told_with_what_may_have_been_meant() {
    let path = Path::to("127.0.0.1:1").await;
    let told = failed(&path.check_json("Rainbow").await);
    assert_eq!(told["step"], "discovery");
    assert_eq!(
        told["text"],
        "no edge 'Rainbow' is connected that this caller may see (1 other edge is)"
    );
    assert_eq!(told["advice"], "did you mean 'rainbow'?");
    let told = failed(&path.check_json("nobody").await);
    assert_eq!(told["step"], "discovery");
    assert!(
        told["advice"]
            .as_str()
            .unwrap()
            .contains("--client-id nobody"),
        "{told}"
    );
}

#[tokio::test]
async fn the_wrong_port_is_told_as_such() {
    let mux = Mux::start().await;
    let multiplexer = mux.multiplexer.to_string();
    let said = run(&["check", "a", "--json", "--proxy-address", &multiplexer]).await;
    let told = failed(&said);
    assert!(
        told["text"]
            .as_str()
            .unwrap()
            .contains("where edges dial in"),
        "{told}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let said = run(&["check", "a", "--json", "--proxy-address", &nobody]).await;
    let told = failed(&said);
    assert_eq!(told["step"], "connect");
    assert!(
        told["text"].as_str().unwrap().contains("nothing listens"),
        "{told}"
    );
}
