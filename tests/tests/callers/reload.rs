//! A policy that changes while calls run.

use grpc_multiplexer_tests::{Caller, Load, Mux};

use crate::{BILLING, METHOD, SUPPORT, bearer, call, edge, policy, server};

/// Calls with a token.
async fn calls(mux: &Mux, token: &str) -> Load {
    Load::of(mux, METHOD, &[("proxy-authorization", &bearer(token))]).await
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
    mux.reload().await;
    let first = calls(&mux, BILLING[0]).await;
    let both = format!("{}, {}", BILLING[1], SUPPORT[1]);
    folder.put("policy.yaml", only(&both));
    mux.reload().await;
    let second = calls(&mux, SUPPORT[0]).await;
    first.none_failed().await;
    folder.put("policy.yaml", only(SUPPORT[1]));
    mux.reload().await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = call(&caller, BILLING[0], "rainbow", METHOD).await;
    assert_eq!(answer.mux_error(), Some("unauthenticated"));
    second.none_failed().await;
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
    mux.says("file changed, and taken").await;
    let answer = call(&caller, BILLING[0], "rainbow", METHOD).await;
    assert_eq!(answer.mux_error(), Some("unauthenticated"));
    // At SIGHUP it is named as well, and not where it is as it was.
    for _ in 0..2 {
        let file = folder.put("policy.yaml", policy());
        mux.reload().await;
        let taken = format!("file changed, and taken file={file}");
        mux.says_times(&taken, 2).await;
        assert_eq!(
            mux.log()
                .iter()
                .filter(|line| line.contains(&taken))
                .count(),
            2
        );
    }
}
