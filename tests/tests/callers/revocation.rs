//! What a policy gave and takes back, from calls that are under way.

use grpc_multiplexer_proto::v1::WatchGrpcServerRequest;
use grpc_multiplexer_tests::{
    Answer, Backend, Call, Caller, Change, Edge, Ended, Folder, Mux, within,
};
use h2::Reason;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use crate::{BILLING, METHOD, SUPPORT, bearer, edge, policy, server};

/// Both may call.
fn both() -> String {
    policy().replace(
        "    sees: ['*']",
        "    calls:\n      - ids: ['*']\n        methods: ['*']",
    )
}

/// A policy takes the place of the one before.
async fn reload(mux: &Mux, folder: &Folder, text: String) -> Change {
    folder.put("policy.yaml", text);
    mux.reload().await
}

/// How a call ends that may run no more.
async fn cut(change: &Change, call: Call) -> Answer {
    let answer = change.brings("the end of a call", call.answer()).await;
    is_revoked(&answer);
    answer
}

async fn start(caller: &Caller, token: &str) -> Call {
    let token = bearer(token);
    let metadata = [("client-id", "rainbow"), ("proxy-authorization", &*token)];
    caller.start(METHOD, &metadata).await
}

fn is_revoked(answer: &Answer) {
    answer.is_ours(7, "mux: not allowed any more", "revoked", "maybe");
}

/// The caller's bytes so far, a status, and a cancel for the backend; and nothing for anybody else.
#[tokio::test]
async fn a_call_that_may_run_no_more_is_cut_and_no_other() {
    let (mux, folder) = server(&both(), &[]).await;
    let backend = Backend::half().await;
    let _edge = Edge::start(&mux, "rainbow", backend.address).await;
    let caller = Caller::connect(mux.proxy).await;
    let mut other = start(&caller, SUPPORT[0]).await;
    other.bytes(4).await;
    for (round, (from, to)) in [
        (BILLING[1], &*"0".repeat(64)),
        ("/shop.Invoices/*", "/shop.Stock/*"),
        ("ids: [rainbow]", "ids: [cellar]"),
        ("  billing:", "  billings:"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut call = start(&caller, BILLING[0]).await;
        call.bytes(4).await;
        let change = reload(&mux, &folder, both().replace(from, to)).await;
        if to == "  billings:" {
            // Another name, and the same rights.
            call.data(b"", true).await;
            assert_eq!(call.answer().await.code(), Some(0));
            break;
        }
        let answer = cut(&change, call).await;
        assert_eq!(answer.body, b"some");
        assert_eq!(
            backend.call_ended(round + 1).await,
            Ended::Reset(Reason::CANCEL)
        );
        reload(&mux, &folder, both()).await;
    }
    other.data(b"", true).await;
    assert_eq!(other.answer().await.code(), Some(0));
}

#[tokio::test]
async fn a_call_that_waits_for_its_edge_is_cut_too() {
    let (mux, folder) = server(&both(), &["--reconnect-wait", "1h"]).await;
    let (_backend, mut rainbow) = edge(&mux, "rainbow").await;
    rainbow.kill().await;
    mux.says("edge disconnected").await;
    let caller = Caller::connect(mux.proxy).await;
    let call = start(&caller, BILLING[0]).await;
    mux.says("a call waits for its edge").await;
    let without = both().replace(BILLING[1], &"0".repeat(64));
    let change = reload(&mux, &folder, without).await;
    cut(&change, call).await;
}

/// Whoever was let in by it shows what it showed then.
#[tokio::test]
async fn what_a_dry_run_let_in_is_looked_at_when_it_ends() {
    let tried = |text: &str| format!("dry-run: true\n{text}");
    let (mux, folder) = server(&tried(&policy()), &[]).await;
    let (_backend, _edge) = edge(&mux, "rainbow").await;
    let caller = Caller::connect(mux.proxy).await;
    let mut known = start(&caller, BILLING[0]).await;
    let stranger = start(&caller, "a-token-that-no-caller-of-the-policy-has").await;
    mux.says("reason=\"unknown-token\"").await;
    let mut discovery = mux.discovery().await;
    let watch = WatchGrpcServerRequest::default();
    let sees_all = discovery.watch_grpc_server(watch).await;
    mux.says("reason=\"nothing-shown\"").await;
    // Nothing ends while it is one.
    reload(&mux, &folder, tried(&both())).await;
    let change = reload(&mux, &folder, policy()).await;
    cut(&change, stranger).await;
    let gone = ends(&change, sees_all.unwrap().into_inner()).await;
    assert_eq!(gone.metadata().get("x-mux-error").unwrap(), "revoked");
    known.data(b"", true).await;
    assert_eq!(known.answer().await.code(), Some(0));
}

/// How the watch of a caller ends.
async fn ends(
    change: &Change,
    mut watch: tonic::Streaming<grpc_multiplexer_proto::v1::WatchGrpcServerResponse>,
) -> Status {
    let ends = async {
        loop {
            if let Err(status) = watch.message().await {
                return status;
            }
        }
    };
    change.brings("the end of a watch", ends).await
}

#[tokio::test]
async fn a_watch_ends_when_its_caller_may_see_something_else() {
    let (mux, folder) = server(&policy(), &[]).await;
    let watch = async |token: &str| {
        let mut request = Request::new(WatchGrpcServerRequest::default());
        let token = MetadataValue::try_from(bearer(token)).unwrap();
        request.metadata_mut().insert("proxy-authorization", token);
        let mut discovery = mux.discovery().await;
        discovery
            .watch_grpc_server(request)
            .await
            .unwrap()
            .into_inner()
    };
    let (billing, mut support) = (watch(BILLING[0]).await, watch(SUPPORT[0]).await);
    let other = policy().replace("[garden]", "[attic]");
    let change = reload(&mux, &folder, other).await;
    let changed = ends(&change, billing).await;
    assert_eq!(changed.code(), Code::Unavailable);
    assert_eq!(
        changed.metadata().get("x-mux-error").unwrap(),
        "policy-changed"
    );
    let (_backend, _edge) = edge(&mux, "attic").await;
    let event = within("an event", support.message()).await;
    assert_eq!(event.unwrap().unwrap().server, "attic");
    let change = reload(&mux, &folder, "callers: {}".to_owned()).await;
    let gone = ends(&change, support).await;
    assert_eq!(gone.code(), Code::PermissionDenied);
    assert_eq!(gone.metadata().get("x-mux-error").unwrap(), "revoked");
}
