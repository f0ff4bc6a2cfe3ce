//! What operators do to edges: they are told why, those who watch are told too, and nobody else can do it.

use std::collections::BTreeMap;
use std::time::Duration;

use grpc_multiplexer_proto::admin::v1::admin_service_client::AdminServiceClient;
use grpc_multiplexer_proto::admin::v1::{Ban, KickRequest, ListBansRequest, UnbanRequest};
use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_proto::v1::{WatchGrpcServerRequest, WatchGrpcServerResponse};
use grpc_multiplexer_tests::{Backend, Caller, Edge, Folder, Mux, Process, until, within};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

const LISTENS: [&str; 2] = ["--operator-listener", "127.0.0.1:0"];
const NOBODY: &str = "127.0.0.1:1";
/// What is said of a tunnel that is closed, and of an edge that is kept out.
const CLOSED: &str = "an operator closed the tunnel: under repair";
const OUT: &str = "an operator keeps the client id 'rainbow' out for";

type Operator = AdminServiceClient<Channel>;

async fn server() -> (Mux, Operator) {
    let mux = Mux::with(&LISTENS).await;
    let operator = mux.operator().await;
    (mux, operator)
}

fn edge(mux: &Mux, id: &str, args: &[&str]) -> Edge {
    Edge::dialling(mux.multiplexer, id, NOBODY, args)
}

async fn kick(
    operator: &mut Operator,
    id: &str,
    reason: &str,
    ban: Option<i64>,
) -> Result<u32, Status> {
    let request = KickRequest {
        client_id: id.to_owned(),
        reason: reason.to_owned(),
        ban: ban.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
    };
    let kicked = within("the answer to a kick", operator.kick(request)).await?;
    Ok(kicked.into_inner().tunnels)
}

async fn unban(operator: &mut Operator, id: &str) -> Result<(), Status> {
    let client_id = id.to_owned();
    operator.unban(UnbanRequest { client_id }).await.map(drop)
}

async fn bans(operator: &mut Operator) -> Vec<Ban> {
    let bans = operator.list_bans(ListBansRequest {}).await;
    bans.unwrap().into_inner().bans
}

async fn watch(mux: &Mux, details: bool) -> Streaming<WatchGrpcServerResponse> {
    let request = WatchGrpcServerRequest {
        details,
        ..WatchGrpcServerRequest::default()
    };
    let watch = mux.discovery().await.watch_grpc_server(request).await;
    watch.unwrap().into_inner()
}

/// What happens next, to which edge, and why.
async fn next(watch: &mut Streaming<WatchGrpcServerResponse>) -> (Event, String, String) {
    let event = within("an event", watch.message()).await.unwrap().unwrap();
    (event.event(), event.server, event.reason)
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_nothing_is() {
    let (mux, mut operator) = server().await;
    let edge = edge(&mux, "rainbow", &[]);
    edge.says(" connected ").await;
    let long = "x".repeat(257);
    for (id, reason, ban, code, said) in [
        ("kitchen", "why", None, Code::NotFound, "'kitchen'"),
        ("kitchen", "why", Some(0), Code::NotFound, "'kitchen'"),
        ("rainbow", "", None, Code::InvalidArgument, "reason"),
        ("rainbow", "  ", Some(9), Code::InvalidArgument, "reason"),
        ("rainbow", "a\nb", None, Code::InvalidArgument, "one line"),
        ("rainbow", &long, None, Code::InvalidArgument, "256"),
        ("rainbow", "why", Some(-1), Code::InvalidArgument, "ban"),
        (
            "rainbow",
            "why",
            Some(1 << 40),
            Code::InvalidArgument,
            "ban",
        ),
        ("rain bow", "why", None, Code::InvalidArgument, "client_id"),
        ("", "why", Some(9), Code::InvalidArgument, "client_id"),
    ] {
        let status = kick(&mut operator, id, reason, ban).await.unwrap_err();
        assert_eq!(status.code(), code, "{id:?} {reason:?} {ban:?}: {status}");
        assert!(status.message().contains(said), "{status}");
    }
    let status = unban(&mut operator, "rainbow").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(bans(&mut operator).await, []);
    assert_eq!(mux.listed().await, ["rainbow"]);
    edge.never_said("tunnel lost");
}

/// And comes again, because nobody keeps it out.
#[tokio::test]
async fn an_edge_learns_why_its_tunnel_was_closed_and_so_do_those_who_watch() {
    let (mux, mut operator) = server().await;
    let edge = edge(&mux, "rainbow", &[]);
    edge.says(" connected ").await;
    let (mut extended, mut plain) = (watch(&mux, true).await, watch(&mux, false).await);
    let kicked = kick(&mut operator, "rainbow", " under repair ", None).await;
    assert_eq!(kicked.unwrap(), 1);
    let said = edge.says("tunnel lost").await;
    assert!(said.contains(CLOSED), "{said}");
    let said = mux.says("edge kicked").await;
    for part in [
        "client_id=rainbow",
        "tunnels=1",
        "reason=under repair",
        "127.0.0.1:",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    for (watch, reason) in [(&mut extended, "under repair"), (&mut plain, "")] {
        let gone = (Event::Disconnected, "rainbow".to_owned(), reason.to_owned());
        assert_eq!(next(watch).await, gone);
        let back = (Event::Connected, "rainbow".to_owned(), String::new());
        assert_eq!(next(watch).await, back);
    }
    edge.says_times(" connected ", 2).await;
}

/// Those side by side, one that takes no calls any more, and those of the original's wire.
#[tokio::test]
async fn every_tunnel_of_the_id_is_closed_and_none_of_another() {
    let (mux, mut operator) = server().await;
    let several = edge(&mux, "rainbow", &["--tunnels", "3"]);
    several.says_times(" connected ", 3).await;
    let other = edge(&mux, "kitchen", &[]);
    other.says(" connected ").await;
    assert_eq!(
        kick(&mut operator, "rainbow", "why", None).await.unwrap(),
        3
    );
    several.says_times("tunnel lost", 3).await;

    let legacy = edge(&mux, "old", &["--tunnel-protocol", "legacy"]);
    legacy.says(" connected ").await;
    assert_eq!(kick(&mut operator, "old", "why", None).await.unwrap(), 1);
    legacy.says("tunnel lost").await;

    let backend = Backend::h2(async |mut call| call.wait_reset().await).await;
    let address = backend.address.to_string();
    let draining = Edge::dialling(
        mux.multiplexer,
        "leaving",
        &address,
        &["--drain-timeout=1h"],
    );
    draining.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    let call = caller.start("/s/m", &[("client-id", "leaving")]).await;
    backend.calls(1).await;
    draining.signal("TERM");
    mux.says("edge drains").await;
    assert_eq!(
        kick(&mut operator, "leaving", "why", None).await.unwrap(),
        1
    );
    assert_eq!(call.answer().await.code(), Some(14));
    draining.says("stopped").await;
    other.never_said("tunnel lost");
}

#[tokio::test]
async fn an_edge_is_kept_out_until_its_time_is_over() {
    let (mux, mut operator) = server().await;
    // Before it ever came.
    let banned = kick(&mut operator, "rainbow", "not yet", Some(6)).await;
    assert_eq!(banned.unwrap(), 0);
    let edge = edge(&mux, "rainbow", &[]);
    let said = edge.says("no tunnel").await;
    assert!(said.contains(&format!("{OUT} 6s: not yet")), "{said}");
    assert!(mux.listed().await.is_empty());
    edge.says(" connected ").await;
    assert_eq!(bans(&mut operator).await, []);
}

/// Whatever is reloaded meanwhile; and whoever holds a proof that it had the id has it no more.
#[tokio::test]
async fn a_ban_holds_over_a_reload_and_ends_when_an_operator_says_so() {
    let (mux, mut operator) = server().await;
    let edge = edge(&mux, "rainbow", &["--tunnels", "2"]);
    edge.says_times(" connected ", 2).await;
    let kicked = kick(&mut operator, "rainbow", "under repair", Some(3600)).await;
    assert_eq!(kicked.unwrap(), 2);
    for id in ["kitchen", "attic"] {
        kick(&mut operator, id, "empty", Some(60)).await.unwrap();
    }
    let said = edge.says("no tunnel").await;
    assert!(
        said.contains(&format!("{OUT} 3600s: under repair")),
        "{said}"
    );
    mux.reload().await;
    let listed = bans(&mut operator).await;
    let ids: Vec<_> = listed.iter().map(|ban| ban.client_id.as_str()).collect();
    assert_eq!(ids, ["attic", "kitchen", "rainbow"]);
    assert_eq!(listed[2].reason, "under repair");
    let left = Duration::try_from(listed[2].left.unwrap()).unwrap();
    assert!(left.as_secs() > 3500 && left.as_secs() < 3600, "{left:?}");
    assert!(mux.listed().await.is_empty());

    unban(&mut operator, "rainbow").await.unwrap();
    mux.says("ban ended").await;
    edge.says_times(" connected ", 4).await;
    assert_eq!(bans(&mut operator).await.len(), 2);
}

/// Calls on the tunnel fail as on one that broke; those that no backend saw go to the next one; and none runs twice.
#[tokio::test]
async fn calls_of_a_kicked_edge_end_and_none_runs_twice() {
    let (mux, mut operator) = server().await;
    let backend = Backend::pong().await;
    let edge = Edge::start(&mux, "rainbow", backend.address).await;
    let (mut callers, stop) = (JoinSet::new(), CancellationToken::new());
    for number in 0..8 {
        let (caller, stop) = (Caller::connect(mux.proxy).await, stop.clone());
        callers.spawn(async move {
            let (mut made, mut lost) = (0, 0);
            while !stop.is_cancelled() {
                let path = format!("/s/of-{number}-{made}");
                let answer = caller.call(&path, &[("client-id", "rainbow")], b"x").await;
                made += 1;
                match answer.code() {
                    Some(0) => {}
                    _ if answer.mux_error() == Some("unprocessed") => lost += 1,
                    _ => {
                        answer.is_ours(
                            14,
                            "mux: tunnel to edge 'rainbow' lost",
                            "tunnel-lost",
                            "maybe",
                        );
                        lost += 1;
                    }
                }
            }
            (made, lost)
        });
    }
    for round in 1..=3 {
        backend.calls(round * 200).await;
        kick(&mut operator, "rainbow", "why", None).await.unwrap();
        edge.says_times(" connected ", round + 1).await;
    }
    let after = backend.seen().len();
    backend.calls(after + 200).await;
    stop.cancel();
    let counts = within("the callers", callers.join_all()).await;
    let made: usize = counts.iter().map(|(made, _)| made).sum();
    let lost: usize = counts.iter().map(|(_, lost)| lost).sum();
    // At most one of each caller at each kick.
    assert!(lost <= 3 * counts.len() && made > 600, "{lost} of {made}");
    let mut times = BTreeMap::new();
    for seen in backend.seen() {
        *times.entry(seen.path).or_insert(0) += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(times.len() >= made - lost);
}

/// By way of any other listener it is a call like any, to an edge that does not serve it.
#[tokio::test]
async fn nobody_but_operators_reaches_it() {
    let (mux, _operator) = server().await;
    let edge = edge(&mux, "rainbow", &[]);
    edge.says(" connected ").await;
    for at in [mux.proxy, mux.multiplexer, mux.admin] {
        let channel = Endpoint::from_shared(format!("http://{at}")).unwrap();
        let mut operator = AdminServiceClient::new(channel.connect_lazy());
        assert!(
            kick(&mut operator, "rainbow", "why", None).await.is_err(),
            "{at}"
        );
    }
    // And without the option it is nowhere.
    let without = Mux::start().await;
    let said = without.says(" listening ").await;
    assert!(!said.contains("operator_listener"), "{said}");
    assert_eq!(mux.listed().await, ["rainbow"]);
    edge.never_said("tunnel lost");
}

/// Who speaks something else is not served, and keeps nobody out.
#[tokio::test]
async fn the_operator_listener_speaks_grpc_and_bears_those_who_do_not() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    // So that who is silent loses its seat to the next, and not to the clock.
    let mux = Mux::with(&[&LISTENS[..], &["--handshake-timeout=1h"]].concat()).await;
    let at = mux.operator_listener().await;
    let mut browser = TcpStream::connect(at).await.unwrap();
    browser
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut said = String::new();
    within("an answer", browser.read_to_string(&mut said))
        .await
        .unwrap();
    assert!(
        said.starts_with("HTTP/1.1 505 ") && said.contains("operator"),
        "{said}"
    );
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    let mut operator = mux.operator().await;
    assert_eq!(bans(&mut operator).await, []);
}

#[tokio::test]
async fn a_new_process_takes_operators_where_the_old_one_did() {
    let folder = Folder::new("kick-upgrade");
    let socket = folder.0.join("s").display().to_string();
    let start = async |proxy: &str, multiplexer: &str, operator: &str| {
        let args = ["--upgrade-socket", &socket, "--operator-listener", operator];
        Mux::at(proxy, multiplexer, &args).await
    };
    let mut old = start("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0").await;
    old.says("a new process may take over").await;
    let edge = edge(&old, "rainbow", &[]);
    edge.says(" connected ").await;
    let at = old.operator_listener().await;
    let mut waiting = old.operator().await;
    let addresses = [old.proxy, old.multiplexer, at].map(|at| at.to_string());
    let new = start(&addresses[0], &addresses[1], &addresses[2]).await;
    new.says("took over from the process before").await;
    assert!(old.ended().await.success());
    assert_eq!(new.operator_listener().await, at);
    edge.says_times(" connected ", 2).await;
    // The channel that was there comes again by itself.
    let kicked = until("a kick", async || {
        kick(&mut waiting, "rainbow", "why", None).await.ok()
    });
    assert_eq!(kicked.await, 1);
    new.says("edge kicked").await;
}

#[tokio::test]
async fn what_is_open_to_others_does_not_start() {
    for (args, said) in [
        (
            &["--operator-listener=0.0.0.0:1"][..],
            "would be open to others than this machine; give --operator-tls-certificate, --operator-tls-key and \
             --operator-tls-client-ca",
        ),
        (&["--operator-listener=nonsense"], "or off for none"),
        (
            &["--operator-tls-client-ca=/nonexistent"],
            "has no effect without --operator-listener HOST:PORT",
        ),
    ] {
        let mut refused = Process::start("grpc-multiplexer-server", args);
        assert_eq!(refused.ended().await.code(), Some(2));
        refused.says(said).await;
    }
}
