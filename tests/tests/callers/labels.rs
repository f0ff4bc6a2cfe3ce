//! Who may call what by the labels of edges: by those that count, and those that edges only claim.

use grpc_multiplexer_tests::{Answer, Backend, Call, Caller, Edge, Ended, Folder, Mux};
use h2::Reason;

use crate::{BILLING, METHOD, SUPPORT, bearer, call, server};

/// Billing calls whom the policy trusts to be of team red, and sees whom it trusts to be in the attic. Support calls anybody.
pub(super) fn policy() -> String {
    let ([_, billing], [_, support]) = (BILLING, SUPPORT);
    format!(
        "
edges:
  - ids: [red-*]
    labels: {{team: red, room: '*'}}
callers:
  billing:
    tokens: [{billing}]
    calls:
      - labels: {{team: red}}
        methods: [/shop.Invoices/*]
    sees:
      - garden
      - ids: [red-9]
        labels: {{room: attic}}
  support:
    tokens: [{support}]
    calls:
      - ids: ['*']
        methods: ['*']
"
    )
}

/// An edge with these labels, as soon as it is up.
pub(super) async fn labelled(mux: &Mux, id: &str, backend: &str, labels: &[&str]) -> Edge {
    let options: Vec<_> = labels.iter().flat_map(|label| ["--label", label]).collect();
    let edge = Edge::dialling(mux.multiplexer, id, backend, &options);
    edge.says(" connected ").await;
    edge
}

/// One whose labels are in a file: the edge, the folder, and its name there.
async fn relabelled(mux: &Mux, backend: &Backend, options: &[&str]) -> (Edge, Folder) {
    let folder = Folder::new("labels");
    let file = folder.put("edge.yaml", "labels: {team: red}\n");
    let all = [&["--config", &file], options].concat();
    let backend = backend.address.to_string();
    let edge = Edge::dialling(mux.multiplexer, "red-1", &backend, &all);
    edge.says(" connected ").await;
    (edge, folder)
}

/// The edge has other labels from now on, for the `times`th time.
async fn relabel(edge: &Edge, folder: &Folder, labels: &str, times: usize) {
    folder.put("edge.yaml", format!("{labels}\n"));
    edge.signal("HUP");
    edge.says_times(" connected ", times + 1).await;
}

/// A backend that answers with a few bytes, and with the rest once the caller has said all.
async fn backend() -> Backend {
    Backend::h2(async |mut call| {
        call.headers();
        call.data(b"some").await;
        call.read_all().await;
        call.trailers(&[("grpc-status", "0")]);
    })
    .await
}

/// A call whose answer has begun.
async fn begun(caller: &Caller, token: &str, id: &str) -> Call {
    let mut call = start(caller, token, id).await;
    call.bytes(4).await;
    call
}

async fn start(caller: &Caller, token: &str, id: &str) -> Call {
    let token = bearer(token);
    let metadata = [("client-id", id), ("proxy-authorization", &*token)];
    caller.start(METHOD, &metadata).await
}

fn is_unknown(answer: &Answer, id: &str) {
    let text = format!("Client '{id}' not registered");
    answer.is_ours(5, &text, "unknown-edge", "no");
}

fn is_revoked(answer: &Answer) {
    answer.is_ours(7, "mux: not allowed any more", "revoked", "maybe");
}

/// What it has beside its texts, which hold the id.
fn shape(mut answer: Answer) -> Answer {
    for key in ["grpc-message", "grpc-status-details-bin"] {
        answer.headers.remove(key);
    }
    answer
}

/// Labels that an edge only claims, that are others, and that it has not; edges that are here, and away, and never were.
#[tokio::test]
async fn what_an_edge_says_of_itself_counts_only_where_the_policy_trusts_it() {
    // A call that waited would wait for the test's end.
    let (mux, _folder) = server(&policy(), &["--reconnect-wait", "1h"]).await;
    let backend = backend().await;
    let at = backend.address.to_string();
    let mut edges = Vec::new();
    for (id, labels) in [
        ("blue-1", &["team=red"][..]),
        ("red-2", &["team=blue", "room=attic"]),
        ("red-3", &[]),
        ("red-4", &["room=red"]),
    ] {
        edges.push(labelled(&mux, id, &at, labels).await);
    }
    let mut away = labelled(&mux, "red-5", &at, &["team=green"]).await;
    away.kill().await;
    mux.says("edge disconnected").await;
    for said in [
        "the label team=red of the edge blue-1 counts for nothing",
        "the label team=blue of the edge red-2 counts for nothing",
        "write below edges there: - {ids: [red-5], labels: {team: \"green\"}}",
    ] {
        mux.says(said).await;
    }
    let caller = Caller::connect(mux.proxy).await;
    let mut others = Vec::new();
    for id in [
        "blue-1", "red-2", "red-3", "red-4", "red-5", "red-6", "nowhere",
    ] {
        let answer = call(&caller, BILLING[0], id, METHOD).await;
        is_unknown(&answer, id);
        others.push(shape(answer));
    }
    assert!(
        others.iter().all(|other| *other == others[0]),
        "{others:#?}"
    );
    assert!(backend.seen().is_empty());
    let _red = labelled(&mux, "red-1", &at, &["team=red"]).await;
    let answer = call(&caller, BILLING[0], "red-1", METHOD).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    // A label that nobody's rules ask for is not spoken of, nor is one that counts.
    let log = mux.log();
    let spoken = |label: &str| {
        log.iter()
            .any(|line| line.contains(label) && line.contains("counts for"))
    };
    assert!(!spoken("room=red") && !spoken("edge red-1"), "{log:#?}");
    let other = call(&caller, BILLING[0], "red-1", "/shop.Stock/List").await;
    other.is_ours(7, "mux: not allowed", "not-allowed", "no");
}

/// While any edge may yet come back, what could come with the right labels is waited for, and what is here without them alike.
#[tokio::test]
async fn a_server_that_warms_up_waits_for_what_labels_may_show_and_tells_no_difference() {
    let waits = ["--warm-up", "1h", "--reconnect-wait", "500ms"];
    let (mux, _folder) = server(&policy(), &waits).await;
    let backend = backend().await;
    let at = backend.address.to_string();
    let _here = labelled(&mux, "red-2", &at, &["team=blue"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut others = Vec::new();
    for id in ["red-2", "red-3"] {
        let answer = call(&caller, BILLING[0], id, METHOD).await;
        let text = format!("mux: edge '{id}' is not connected");
        answer.is_ours(14, &text, "edge-away", "no");
        others.push(shape(answer));
    }
    assert_eq!(others[0], others[1]);
    // No label would help these.
    is_unknown(&call(&caller, BILLING[0], "blue-1", METHOD).await, "blue-1");
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_call_that_came_before_its_edge_goes_on_once_that_is_here_with_its_labels() {
    let waits = ["--warm-up", "1h", "--reconnect-wait", "1h"];
    let (mux, _folder) = server(&policy(), &waits).await;
    let backend = backend().await;
    let at = backend.address.to_string();
    let caller = Caller::connect(mux.proxy).await;
    let mut call = start(&caller, BILLING[0], "red-1").await;
    mux.says("a call waits for its edge").await;
    let mut without = labelled(&mux, "red-1", &at, &[]).await;
    without.kill().await;
    mux.says("edge disconnected").await;
    assert!(backend.seen().is_empty());
    let _red = labelled(&mux, "red-1", &at, &["team=red"]).await;
    call.data(b"", true).await;
    assert_eq!(call.answer().await.body, b"some");
}

/// Nothing was known of their edges when the policy changed under them, which is not the same as that they have no labels.
#[tokio::test]
async fn calls_that_wait_when_rules_by_label_come_are_held_to_them() {
    let by_label = "- labels: {team: red}\n        methods";
    let by_id = policy().replace(by_label, "- ids: [red-*]\n        methods");
    let waits = ["--warm-up", "1h", "--reconnect-wait", "1h"];
    let (mux, folder) = server(&by_id, &waits).await;
    let backend = backend().await;
    let at = backend.address.to_string();
    let caller = Caller::connect(mux.proxy).await;
    let without = start(&caller, BILLING[0], "red-1").await;
    let mut with = start(&caller, BILLING[0], "red-2").await;
    mux.says_times("a call waits for its edge", 2).await;
    folder.put("policy.yaml", policy());
    mux.reload().await;
    let _without = labelled(&mux, "red-1", &at, &[]).await;
    is_revoked(&without.answer().await);
    assert!(backend.seen().is_empty());
    let _with = labelled(&mux, "red-2", &at, &["team=red"]).await;
    with.data(b"", true).await;
    assert_eq!(with.answer().await.body, b"some");
}

/// Another tunnel of the same edge takes the place of the one with the call; the old one would live on for it.
#[tokio::test]
async fn an_edge_that_gives_up_its_label_loses_the_calls_that_had_it_for_a_reason() {
    let (mux, _folder) = server(&policy(), &[]).await;
    let backend = backend().await;
    let (edge, folder) = relabelled(&mux, &backend, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let billing = begun(&caller, BILLING[0], "red-1").await;
    let mut support = begun(&caller, SUPPORT[0], "red-1").await;
    relabel(&edge, &folder, "labels: {team: blue}", 1).await;
    let answer = billing.answer().await;
    is_revoked(&answer);
    assert_eq!(answer.body, b"some");
    assert_eq!(backend.call_ended(0).await, Ended::Reset(Reason::CANCEL));
    is_unknown(&call(&caller, BILLING[0], "red-1", METHOD).await, "red-1");
    relabel(&edge, &folder, "labels: {team: red, room: attic}", 2).await;
    let mut billing = begun(&caller, BILLING[0], "red-1").await;
    // A label that matters to nobody.
    relabel(&edge, &folder, "labels: {team: red}", 3).await;
    for call in [&mut support, &mut billing] {
        call.data(b"", true).await;
    }
    assert_eq!(support.answer().await.code(), Some(0));
    assert_eq!(billing.answer().await.code(), Some(0));
}

#[tokio::test]
async fn a_policy_that_trusts_an_edge_no_more_cuts_its_calls_and_no_others() {
    let (mux, folder) = server(&policy(), &[]).await;
    let backend = backend().await;
    let at = backend.address.to_string();
    let _red = labelled(&mux, "red-1", &at, &["team=red"]).await;
    let _other = labelled(&mux, "red-2", &at, &["team=red"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut other = begun(&caller, BILLING[0], "red-2").await;
    for (from, to) in [
        ("ids: [red-*]", "ids: [red-2, red-9]"),
        (
            "labels: {team: red}\n        methods",
            "ids: [red-2]\n        methods",
        ),
    ] {
        let number = backend.seen().len();
        let billing = begun(&caller, BILLING[0], "red-1").await;
        folder.put("policy.yaml", policy().replace(from, to));
        let change = mux.reload().await;
        is_revoked(&change.brings("the end of a call", billing.answer()).await);
        assert_eq!(
            backend.call_ended(number).await,
            Ended::Reset(Reason::CANCEL)
        );
        folder.put("policy.yaml", policy());
        mux.reload().await;
    }
    mux.says("the label team=red of the edge red-1 counts for nothing")
        .await;
    other.data(b"", true).await;
    assert_eq!(other.answer().await.code(), Some(0));
}

/// An edge that is away has the labels that it had.
#[tokio::test]
async fn an_edge_that_is_away_is_waited_for_by_those_who_could_call_it() {
    let (mux, _folder) = server(&policy(), &["--reconnect-wait", "1h"]).await;
    let backend = backend().await;
    let at = backend.address.to_string();
    let caller = Caller::connect(mux.proxy).await;
    for (round, labels) in [&["team=red"][..], &["team=blue"]].into_iter().enumerate() {
        let mut red = labelled(&mux, "red-1", &at, &["team=red"]).await;
        red.kill().await;
        mux.says_times("edge disconnected", 2 * round + 1).await;
        let mut call = start(&caller, BILLING[0], "red-1").await;
        mux.says_times("a call waits for its edge", round + 1).await;
        let mut red = labelled(&mux, "red-1", &at, labels).await;
        if round == 0 {
            call.data(b"", true).await;
            assert_eq!(call.answer().await.body, b"some");
        } else {
            is_revoked(&call.answer().await);
        }
        red.kill().await;
        mux.says_times("edge disconnected", 2 * round + 2).await;
    }
    // It went as blue.
    is_unknown(&call(&caller, BILLING[0], "red-1", METHOD).await, "red-1");
    assert_eq!(backend.seen().len(), 1);
}

/// A call may go to any of them.
#[tokio::test]
async fn an_id_that_edges_share_has_the_labels_that_all_have() {
    let (mux, _folder) = server(&policy(), &["--duplicate-client-id", "balance"]).await;
    let backend = backend().await;
    let at = backend.address.to_string();
    let _red = labelled(&mux, "red-1", &at, &["team=red", "room=a"]).await;
    let caller = Caller::connect(mux.proxy).await;
    let billing = begun(&caller, BILLING[0], "red-1").await;
    let mut blue = labelled(&mux, "red-1", &at, &["team=blue", "room=a"]).await;
    is_revoked(&billing.answer().await);
    is_unknown(&call(&caller, BILLING[0], "red-1", METHOD).await, "red-1");
    blue.kill().await;
    mux.says("edge disconnected").await;
    let mut billing = begun(&caller, BILLING[0], "red-1").await;
    billing.data(b"", true).await;
    assert_eq!(billing.answer().await.code(), Some(0));
}

/// Who was nobody in the dry run is asked again when that is over, and by labels, too.
#[tokio::test]
async fn a_call_of_a_dry_run_is_held_to_labels_once_the_policy_is_in_force() {
    let known = policy();
    let unknown = format!(
        "dry-run: true\n{}",
        known.replace(BILLING[1], &"0".repeat(64))
    );
    let (mux, policy) = server(&unknown, &[]).await;
    let backend = backend().await;
    let (edge, folder) = relabelled(&mux, &backend, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let billing = begun(&caller, BILLING[0], "red-1").await;
    policy.put("policy.yaml", known);
    mux.reload().await;
    relabel(&edge, &folder, "labels: {team: blue}", 1).await;
    is_revoked(&billing.answer().await);
}

/// Nothing is refused, and what would be is said.
#[tokio::test]
async fn a_dry_run_refuses_nothing_because_of_labels() {
    let (mux, _folder) = server(&format!("dry-run: true\n{}", policy()), &[]).await;
    let backend = backend().await;
    let (edge, folder) = relabelled(&mux, &backend, &[]).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut billing = begun(&caller, BILLING[0], "red-1").await;
    relabel(&edge, &folder, "labels: {team: blue}", 1).await;
    let answer = call(&caller, BILLING[0], "red-1", METHOD).await;
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    mux.says("verdict=\"would-be-denied\"").await;
    billing.data(b"", true).await;
    assert_eq!(billing.answer().await.code(), Some(0));
}
