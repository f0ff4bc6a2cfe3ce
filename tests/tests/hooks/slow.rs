//! A hook that takes its time with one edge, or one caller.

use std::future::pending;
use std::net::SocketAddr;

use grpc_multiplexer_tests::{Caller, Folder, Mux, Process, TOKENS, metric, until, within};
use tokio::task::JoinSet;

use crate::callers::for_callers;
use crate::hook::Hook;
use crate::{edge, server, yes};

/// Edges beside the one, and how many of them are in one process.
const EDGES: usize = 1000;
const CROWD: usize = 250;
/// Those that come meanwhile.
const NEWCOMERS: usize = 20;
/// Callers' connections beside the one, and calls of each, which are under way together.
const CALLERS: usize = 100;
const CALLS: usize = 10;
/// Questions about one caller, which is many.
const SLOW: usize = 100;
/// As long as this a hook may keep its answer to itself. On a busy machine what is to happen meanwhile may take longer: then
/// it is tried again.
const LONGEST: &str = "--hooks-timeout=8s";
const TRIES: usize = 3;

/// What the edges of a crowd serve.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// One process with so many edges: `NAME-0`, `NAME-1` and so on.
fn crowd(mux: &Mux, name: &str, count: usize) -> Process {
    let (server, count) = (mux.multiplexer.to_string(), count.to_string());
    Process::start("storm", &["edges", &server, name, &count])
}

/// Has every caller make all its calls at once, and sees that all are answered.
async fn all_call(
    proxy: SocketAddr,
    path: &'static str,
    metadata: impl Fn(usize) -> Vec<(&'static str, String)>,
) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let calls = (0..CALLS).map(|call| metadata(caller * CALLS + call));
        let calls: Vec<_> = calls.collect();
        callers.spawn(async move {
            let caller = Caller::connect(proxy).await;
            let calls = calls.iter().map(async |metadata| {
                let metadata: Vec<_> = metadata.iter().map(|(key, it)| (*key, &**it)).collect();
                let answer = caller.call(path, &metadata, &[0; 5]).await;
                assert_eq!(answer.code(), Some(0), "{answer:?}");
            });
            futures::future::join_all(calls).await;
        });
    }
    within("all callers", callers.join_all()).await;
}

/// Those that are here already, and those that come meanwhile.
#[tokio::test]
async fn a_slow_hook_delays_only_the_edge_that_it_decides_on() {
    let hook = Hook::start(|edge| (edge.client_id != "slow").then(|| Ok(yes()))).await;
    let options = [LONGEST, "--hooks-for=edges", "--log-level", "info"];
    let mux = server(hook.address, &options).await;
    let connected = async |edges: usize| {
        until(&format!("{edges} edges are connected"), async || {
            (metric(mux.admin, "tunnels").await == edges as f64).then_some(())
        })
        .await;
    };
    let mut crowds = Vec::new();
    for number in 0..EDGES / CROWD {
        crowds.push(crowd(&mux, &format!("crowd-{number}"), CROWD));
        connected(crowds.len() * CROWD).await;
    }
    // One that knows which server it dials waits for it.
    let slow = edge(&mux, "slow", &["--tunnel-protocol=1"]);
    let times = |part: &str| slow.log().iter().filter(|it| it.contains(part)).count();
    for round in 1..=TRIES {
        hook.asked_of("slow", round).await;
        let newcomers = crowd(&mux, "newcomers", NEWCOMERS);
        connected(EDGES + NEWCOMERS).await;
        let id = |call: usize| format!("crowd-{}-{}", call / CROWD, call % CROWD);
        all_call(mux.proxy, HEALTH, |call| vec![("client-id", id(call))]).await;
        if times("no tunnel") < round {
            slow.never_said(" connected ");
            return;
        }
        drop(newcomers);
        connected(EDGES).await;
    }
    panic!("the hook answers before all others are through");
}

/// It has no seat among those who are not known.
#[tokio::test]
async fn an_edge_that_waits_for_the_hook_keeps_no_newcomer_out_and_is_not_put_out() {
    const WAITING: usize = 8;
    let hook = Hook::saying(yes()).await;
    hook.holds(true);
    let (folder, [token, digest]) = (Folder::new("hook-waits"), TOKENS[0]);
    let tokens = folder.put_secret("tokens", format!("{digest} edge-*\n"));
    let tokens = format!("--edges-tokens={tokens}");
    let options = ["--hooks-timeout=8s", "--max-handshakes=2", &tokens];
    let mux = server(hook.address, &options).await;
    let shows = format!("--token-file={}", folder.put_secret("token", token));
    let edges: Vec<_> = (0..WAITING)
        .map(|number| edge(&mux, &format!("edge-{number}"), &[&shows]))
        .collect();
    let asked = hook.asked_times(WAITING).await;
    hook.holds(false);
    for edge in &edges {
        edge.says(" connected ").await;
    }
    assert_eq!(asked.len(), WAITING);
    let put_out = r#"turned_away_total{listener="multiplexer",reason="silent"}"#;
    assert_eq!(metric(mux.admin, put_out).await, 0.0);
}

#[tokio::test]
async fn a_slow_hook_delays_only_the_caller_that_it_decides_on() {
    let hook = Hook::of_callers_in_time(async |caller| {
        if caller.method == "/slow/m" {
            pending::<()>().await;
        }
        Ok(yes())
    })
    .await;
    let (mux, _backend, _edge) = for_callers(&hook, &[LONGEST, "--log-level", "info"]).await;
    let slow = Caller::connect(mux.proxy).await;
    // One that shows the same would wait for the answer to the one before.
    let shown = |number: usize| format!("Bearer {number}");
    for round in 1..=TRIES {
        let mut waiting = Vec::new();
        for number in 0..SLOW {
            let shown = shown(number);
            let metadata = [("client-id", "rainbow"), ("authorization", &*shown)];
            waiting.push(slow.start("/slow/m", &metadata).await);
        }
        let asked = async || {
            let asked = hook.callers().into_iter();
            let asked = asked.filter(|caller| caller.method == "/slow/m").count();
            (asked >= round * SLOW).then_some(())
        };
        until("the hook is asked", asked).await;
        all_call(mux.proxy, "/s/m", |call| {
            let id = "rainbow".to_owned();
            vec![("client-id", id), ("authorization", shown(SLOW + call))]
        })
        .await;
        if metric(mux.admin, "calls_in_flight").await >= SLOW as f64 {
            break;
        }
        assert!(
            round < TRIES,
            "the hook answers before all others are through"
        );
    }
    assert!(hook.callers().len() >= SLOW + CALLERS * CALLS);
}
