//! What the log says of decisions, and a policy that is only tried.

use grpc_multiplexer_tests::{Caller, until};

use crate::{BILLING, METHOD, SUPPORT, call, edge, policy, server};

const UNKNOWN: &str = "unknown-token-0123456789abcdef-0123456789";

#[tokio::test]
async fn a_dry_run_refuses_nothing_and_says_what_it_would() {
    let (mux, _folder) = server(&format!("dry-run: true\n{}", policy()), &[]).await;
    mux.says("says dry-run: true, so nothing is refused").await;
    let (backend, _edge) = edge(&mux, "attic").await;
    let caller = Caller::connect(mux.proxy).await;
    for (token, name, reason) in [
        (BILLING[0], Some("billing"), "hidden-edge"),
        (SUPPORT[0], Some("support"), "method"),
        (UNKNOWN, None, "unknown-token"),
    ] {
        let before = backend.seen().len();
        let answer = call(&caller, token, "attic", METHOD).await;
        assert_eq!(answer.body, b"pong", "{answer:?}");
        let seen = &backend.seen()[before].headers;
        let named = seen.get("x-mux-caller").map(|name| name.to_str().unwrap());
        assert_eq!(named, name);
        assert!(!seen.contains_key("proxy-authorization"));
        let line = mux.says(&format!("reason=\"{reason}\"")).await;
        assert!(line.contains("verdict=\"would-be-denied\""), "{line}");
    }
    assert_eq!(mux.listed().await, ["attic"]);
}

/// Who wants to know it all has it without all the rest.
#[tokio::test]
async fn a_policy_may_want_each_decision_in_the_log() {
    let (mux, folder) = server(&policy(), &["--log-level", "info"]).await;
    let (_backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let decisions = |verdict: &str| {
        let wanted = [" INFO ", &format!("verdict=\"{verdict}\"")].map(str::to_owned);
        let log = mux.log();
        let said = |line: &&String| wanted.iter().all(|part| line.contains(part));
        log.iter().filter(said).count()
    };
    let calls = async || {
        for method in [METHOD, "/shop.Stock/Count"] {
            for _ in 0..3 {
                call(&caller, BILLING[0], "rainbow", method).await;
            }
        }
    };
    calls().await;
    mux.says("verdict=\"denied\"").await;
    assert_eq!((decisions("allowed"), decisions("denied")), (0, 1));
    folder.put_secret("policy.yaml", format!("audit: true\n{}", policy()));
    mux.reload().await;
    calls().await;
    until("each decision is there", async || {
        ((decisions("allowed"), decisions("denied")) == (3, 4)).then_some(())
    })
    .await;
}

/// Who, where, what, and the verdict; refusals once a minute unless somebody looks closely.
#[tokio::test]
async fn decisions_are_in_the_log() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let (_backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    for _ in 0..3 {
        call(&caller, BILLING[0], "rainbow", "/shop.Stock/Count").await;
    }
    call(&caller, BILLING[0], "rainbow", METHOD).await;
    call(&caller, UNKNOWN, "rainbow", METHOD).await;
    let allowed = mux.says("verdict=\"allowed\"").await;
    for part in [
        "DEBUG",
        "caller=\"billing\"",
        "client_id=rainbow",
        "rpc.method=/shop.Invoices/List",
    ] {
        assert!(allowed.contains(part), "{part}: {allowed}");
    }
    let stranger = mux.says("reason=\"unknown-token\"").await;
    assert!(
        stranger.contains("no caller has the token whose SHA-256 begins with"),
        "{stranger}"
    );
    let denied: Vec<_> = mux
        .log()
        .into_iter()
        .filter(|line| line.contains("reason=\"method\""))
        .collect();
    assert_eq!(denied.len(), 3);
    assert!(
        denied[0].contains(" INFO ") && denied[0].contains("verdict=\"denied\""),
        "{denied:?}"
    );
    assert!(
        denied[1..].iter().all(|line| line.contains("DEBUG")),
        "{denied:?}"
    );
    assert!(denied[0].contains("peer.addr"), "{denied:?}");
}
