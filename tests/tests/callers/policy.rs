//! Calls, and what a policy makes of them.

use grpc_multiplexer_tests::{Answer, Authority, Backend, Caller, Edge, Mux};
use tokio::time::{Duration, Instant};
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::{BILLING, METHOD, SUPPORT, bearer, call, edge, policy, server};

const HEALTH: &str = "/grpc.health.v1.Health/Check";

fn is_unauthenticated(answer: &Answer) {
    answer.is_ours(16, "mux: caller not authenticated", "unauthenticated", "no");
}

#[tokio::test]
async fn only_whom_the_policy_knows_may_call() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let (backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = call(&caller, BILLING[0], "rainbow", METHOD).await;
    assert_eq!(answer.body, b"pong", "{answer:?}");
    let id = ("client-id", "rainbow");
    let (right, short) = (bearer(BILLING[0]), bearer(&BILLING[0][1..]));
    for wrong in [
        &[id][..],
        &[id, ("proxy-authorization", BILLING[0])],
        &[id, ("proxy-authorization", &short)],
        // What the file has is no token.
        &[id, ("proxy-authorization", &bearer(BILLING[1]))],
        &[id, ("proxy-authorization", "Basic YTpi")],
        &[
            id,
            ("proxy-authorization", &right),
            ("proxy-authorization", &right),
        ],
        // That is for the backend.
        &[id, ("authorization", &right)],
        // Who is nobody learns of no id, not even of a bad one.
        &[("client-id", "no such id")],
        &[],
    ] {
        is_unauthenticated(&caller.call(METHOD, wrong, b"x").await);
    }
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn who_guesses_a_token_is_answered_late_and_nobody_else_is() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let (_backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let begun = Instant::now();
    // Whoever shows none guesses none.
    for _ in 0..6 {
        is_unauthenticated(&caller.call(METHOD, &[("client-id", "rainbow")], b"x").await);
    }
    for _ in 0..5 {
        is_unauthenticated(&call(&caller, BILLING[1], "rainbow", METHOD).await);
    }
    let late = call(&caller, BILLING[1], "rainbow", METHOD);
    let right = async {
        let answer = call(
            &Caller::connect(mux.proxy).await,
            BILLING[0],
            "rainbow",
            METHOD,
        )
        .await;
        assert_eq!(answer.body, b"pong", "{answer:?}");
    };
    tokio::select! {
        biased;
        answer = late => panic!("not late, after {:?}: {answer:?}", begun.elapsed()),
        () = right => {}
    }
    is_unauthenticated(&call(&caller, BILLING[1], "rainbow", METHOD).await);
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

/// The token stays behind, the backend's own credential goes through, and the caller's name cannot be forged.
#[tokio::test]
async fn the_backend_gets_the_callers_name_and_not_its_token() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let (backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let metadata = [
        ("client-id", "rainbow"),
        ("proxy-authorization", &*bearer(BILLING[0])),
        ("authorization", "Bearer for-the-backend"),
        ("x-mux-caller", "support"),
        ("x-mux-caller", "root"),
    ];
    caller.call(METHOD, &metadata, b"x").await;
    let seen = &backend.seen()[0].headers;
    let names: Vec<_> = seen.get_all("x-mux-caller").iter().collect();
    assert_eq!(names, ["billing"]);
    assert_eq!(seen["authorization"], "Bearer for-the-backend");
    assert!(!seen.contains_key("proxy-authorization"), "{seen:?}");
}

#[tokio::test]
async fn without_a_policy_nobody_is_named() {
    let mux = Mux::start().await;
    let (backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let metadata = [("client-id", "rainbow"), ("x-mux-caller", "root")];
    let answer = caller.call(METHOD, &metadata, b"x").await;
    assert_eq!(answer.body, b"pong");
    assert!(!backend.seen()[0].headers.contains_key("x-mux-caller"));
}

#[tokio::test]
async fn a_token_in_authorization_is_taken_off_there() {
    let options = ["--callers-token-metadata", "authorization"];
    let (mux, _folder) = server(&policy(), &options).await;
    let (backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let right = bearer(BILLING[0]);
    let metadata = [("client-id", "rainbow"), ("authorization", &*right)];
    let answer = caller.call(METHOD, &metadata, b"x").await;
    assert_eq!(answer.body, b"pong", "{answer:?}");
    assert!(!backend.seen()[0].headers.contains_key("authorization"));
    let metadata = [("client-id", "rainbow"), ("proxy-authorization", &*right)];
    is_unauthenticated(&caller.call(METHOD, &metadata, b"x").await);
}

/// One that is connected, one that is away, and one that never was; and one that may be seen and never was.
#[tokio::test]
async fn an_edge_that_may_not_be_seen_is_like_one_that_is_not() {
    // A call that waited would wait for the test's end.
    let (mux, _folder) = server(&policy(), &["--reconnect-wait", "1h"]).await;
    let (attic, _attic) = edge(&mux, "attic").await;
    let (_cellar, mut cellar) = edge(&mux, "cellar").await;
    cellar.kill().await;
    mux.says("edge disconnected").await;
    let caller = Caller::connect(mux.proxy).await;
    let mut others = Vec::new();
    for id in ["attic", "cellar", "nowhere", "rainbow"] {
        let mut answer = call(&caller, BILLING[0], id, METHOD).await;
        let text = format!("Client '{id}' not registered");
        answer.is_ours(5, &text, "unknown-edge", "no");
        // Those hold the text.
        answer.headers.remove("grpc-message");
        answer.headers.remove("grpc-status-details-bin");
        others.push(answer);
    }
    assert!(
        others.iter().all(|other| *other == others[0]),
        "{others:#?}"
    );
    assert!(attic.seen().is_empty());
}

#[tokio::test]
async fn a_method_that_may_not_be_called_is_not() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let (rainbow, _rainbow) = edge(&mux, "rainbow").await;
    let (garden, _garden) = edge(&mux, "garden").await;
    let caller = Caller::connect(mux.proxy).await;
    for (token, id, method) in [
        (BILLING[0], "rainbow", "/shop.Stock/List"),
        (BILLING[0], "rainbow", "/shop.InvoicesX/List"),
        (BILLING[0], "garden", METHOD),
        (SUPPORT[0], "rainbow", METHOD),
        // A backend's own health and reflection are methods like others.
        (BILLING[0], "rainbow", HEALTH),
    ] {
        let answer = call(&caller, token, id, method).await;
        answer.is_ours(7, "mux: not allowed", "not-allowed", "no");
    }
    assert!(rainbow.seen().is_empty() && garden.seen().is_empty());
}

/// With a stock client.
#[tokio::test]
async fn health_needs_a_caller_and_no_id() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let target = Endpoint::from_shared(format!("http://{}", mux.proxy)).unwrap();
    let mut health = HealthClient::new(target.connect().await.unwrap());
    let refused = health.check(HealthCheckRequest::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(
        refused.metadata().get("x-mux-error").unwrap(),
        "unauthenticated"
    );
    let mut request = Request::new(HealthCheckRequest::default());
    let token = MetadataValue::try_from(bearer(SUPPORT[0])).unwrap();
    request.metadata_mut().insert("proxy-authorization", token);
    health.check(request).await.unwrap();
}

/// Of both versions that there are, with the request that asks for the names of all services.
#[tokio::test]
async fn reflection_needs_a_caller_and_no_id() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let right = bearer(SUPPORT[0]);
    for version in ["v1", "v1alpha"] {
        let method = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let ask = async |metadata: &[(&str, &str)]| {
            let list_services = b"\0\0\0\0\x03\x3a\x01*";
            caller.call(&method, metadata, list_services).await
        };
        for wrong in [&[][..], &[("proxy-authorization", "Bearer wrong")]] {
            is_unauthenticated(&ask(wrong).await);
        }
        let answer = ask(&[("proxy-authorization", &right)]).await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        let said = answer.body.escape_ascii().to_string();
        assert!(
            said.contains("grpc.multiplexer.v1.DiscoveryService"),
            "{said}"
        );
    }
}

/// Over one connection each, with and without a token beside the certificate.
#[tokio::test]
async fn a_certificate_says_who_calls_unless_a_token_does() {
    let folder = grpc_multiplexer_tests::Folder::new("caller-certificates");
    let authority = Authority::new("callers");
    let ca = folder.put("ca.pem", authority.pem());
    let [certificate, key] = authority.signs("127.0.0.1").put(&folder, "proxy");
    let token = BILLING[1];
    let text = format!(
        "
callers:
  by-uri:
    uris: [spiffe://test/billing]
    calls: [{{ids: [rainbow], methods: ['*']}}]
  by-dns:
    dns-names: [Support.test]
    calls: [{{ids: [rainbow], methods: ['*']}}]
  by-token:
    tokens: [{token}]
    calls: [{{ids: [rainbow], methods: ['*']}}]
"
    );
    let file = folder.put_secret("policy.yaml", text);
    let mux = Mux::with(&[
        "--callers-policy",
        &file,
        "--proxy-tls-certificate",
        &certificate,
        "--proxy-tls-key",
        &key,
        "--proxy-tls-client-ca",
        &ca,
    ])
    .await;
    let (backend, _edge) = edge(&mux, "rainbow").await;
    let token = bearer(BILLING[0]);
    let (nothing, token, wrong) = (None, Some(&*token), Some("Bearer wrong"));
    for (names, token, wanted) in [
        (&["spiffe://test/billing"][..], nothing, Some("by-uri")),
        (&["x.test", "SUPPORT.test"], nothing, Some("by-dns")),
        (&["spiffe://test/billing"], token, Some("by-token")),
        (&["x.test"], token, Some("by-token")),
        (&["spiffe://test/billing"], wrong, None),
        (&["spiffe://test/billing", "urn://other"], nothing, None),
        (&["spiffe://test/billing/x"], nothing, None),
        (&["x.test"], nothing, None),
    ] {
        let tls = authority.client(Some(&authority.signs_all(names)), &["h2"]);
        let caller = Caller::secure(mux.proxy, tls).await.unwrap();
        let mut metadata = vec![("client-id", "rainbow")];
        metadata.extend(token.map(|token| ("proxy-authorization", token)));
        let before = backend.seen().len();
        let answer = caller.call(METHOD, &metadata, b"x").await;
        match wanted {
            Some(name) => assert_eq!(backend.seen()[before].headers["x-mux-caller"], name),
            None => is_unauthenticated(&answer),
        }
    }
}

/// The server says everything that it ever says.
#[tokio::test]
async fn a_token_is_in_no_log() {
    let (mux, folder) = server(&policy(), &["--log-level", "trace"]).await;
    let backend = Backend::pong().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    for token in [BILLING[0], "strange-token-0123456789abcdef-0123456789"] {
        call(&caller, token, "rainbow", METHOD).await;
    }
    mux.says("call failed").await;
    folder.put("policy.yaml", policy().replace(BILLING[1], BILLING[0]));
    mux.says("must be the SHA-256 of a token").await;
    for line in mux.log() {
        for marker in [
            "first-token",
            "strange-token",
            "for-the-backend",
            &BILLING[1][8..],
        ] {
            assert!(!line.contains(marker), "{line}");
        }
    }
}
