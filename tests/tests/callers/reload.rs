//! A policy that changes while calls run.

use grpc_multiplexer_tests::{Caller, Mux, Process};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{BILLING, METHOD, SUPPORT, call, edge, policy, server};

async fn taken(process: &Process, times: usize) {
    process.says_times("file changed, and taken", times).await;
}

/// Calls of one caller, one after the other, with whatever token it has at the time.
async fn calls(mux: &Mux, token: &'static str, stop: &CancellationToken) -> JoinSet<usize> {
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let (caller, stop) = (Caller::connect(mux.proxy).await, stop.clone());
        calls.spawn(async move {
            let mut made = 0;
            while !stop.is_cancelled() {
                let answer = call(&caller, token, "rainbow", METHOD).await;
                assert_eq!(answer.body, b"pong", "{answer:?}");
                made += 1;
            }
            made
        });
    }
    calls
}

/// A second token beside the first, and then without it; no call fails that shows one that is there.
#[tokio::test]
async fn tokens_change_under_load_and_no_call_fails() {
    let (mux, folder) = server(&policy(), &["--log-level", "info"]).await;
    let (_backend, _edge) = edge(&mux, "rainbow").await;
    let policy = policy();
    let only = |token: &str| {
        let (caller, _) = policy.split_once("  support:").unwrap();
        caller.replace(BILLING[1], token)
    };
    folder.put("policy.yaml", only(BILLING[1]));
    taken(&mux, 1).await;
    let stop = CancellationToken::new();
    let first = calls(&mux, BILLING[0], &stop).await;
    let both = format!("{}, {}", BILLING[1], SUPPORT[1]);
    folder.put("policy.yaml", only(&both));
    taken(&mux, 2).await;
    let stop_second = CancellationToken::new();
    let second = calls(&mux, SUPPORT[0], &stop_second).await;
    stop.cancel();
    let mut made = first.join_all().await;
    folder.put("policy.yaml", only(SUPPORT[1]));
    taken(&mux, 3).await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = call(&caller, BILLING[0], "rainbow", METHOD).await;
    assert_eq!(answer.mux_error(), Some("unauthenticated"));
    stop_second.cancel();
    made.extend(second.join_all().await);
    assert!(made.iter().all(|made| *made > 0), "{made:?}");
}

/// Each mistake is named once, and what was in force stays; at SIGHUP as well.
#[tokio::test]
async fn a_policy_with_a_mistake_is_refused_whole() {
    let (mux, folder) = server(&policy(), &[]).await;
    let (_backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let broken = policy().replace("ids: [rainbow]", "ids: ['*']") + "    calls: []\n";
    for (round, (text, said)) in [
        (
            &*broken,
            "callers: support: calls: expected at least one value",
        ),
        ("callers: [", "not YAML"),
    ]
    .into_iter()
    .enumerate()
    {
        folder.put("policy.yaml", text);
        mux.says(said).await;
        let refused = "configuration not reloaded, everything stays as it was";
        mux.says_times(refused, 2 * round + 1).await;
        mux.signal("HUP");
        mux.says_times(refused, 2 * round + 2).await;
        let answer = call(&caller, BILLING[0], "rainbow", METHOD).await;
        assert_eq!(answer.body, b"pong", "{answer:?}");
        let answer = call(&caller, BILLING[0], "attic", METHOD).await;
        assert_eq!(answer.mux_error(), Some("unknown-edge"));
    }
    folder.put("policy.yaml", policy().replace(BILLING[1], &"0".repeat(64)));
    taken(&mux, 1).await;
    let answer = call(&caller, BILLING[0], "rainbow", METHOD).await;
    assert_eq!(answer.mux_error(), Some("unauthenticated"));
}
