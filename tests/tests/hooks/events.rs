//! What a hook is told of edges: in order, each epoch with both ends, and again until it knows.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use grpc_multiplexer_proto::admin::v1::KickRequest;
use grpc_multiplexer_tests::{Edge, Folder, Mux, metric, until, within};

use crate::hook::{Fails, Hook, Told};
use crate::{NOBODY, edge, knowing, pong, server, yes};

/// One end after the other, each epoch with both of them and no epoch twice; but the last one, which may still go on.
fn are_in_turn(told: &[Told]) {
    let mut epochs = HashSet::new();
    for epoch in told.chunks(2) {
        assert!(!epoch[0].is_end(), "{told:#?}");
        assert!(epochs.insert(epoch[0].epoch()), "{told:#?}");
        if let Some(end) = epoch.get(1) {
            assert!(end.is_end() && end.epoch() == epoch[0].epoch(), "{told:#?}");
        }
    }
}

/// When that was.
fn time(told: Option<&Told>) -> (i64, i32) {
    let time = match told.unwrap() {
        Told::Connected(told) => told.time,
        Told::Disconnected(told) => told.time,
    };
    let time = time.unwrap();
    (time.seconds, time.nanos)
}

async fn waiting(mux: &Mux) -> f64 {
    metric(mux.admin, "hook_events_waiting").await
}

#[tokio::test]
async fn an_edge_that_is_killed_again_and_again_comes_and_goes_in_turn() {
    const TIMES: usize = 20;
    let hook = Hook::saying(yes()).await;
    let mux = server(hook.address, &[]).await;
    for _ in 0..TIMES {
        let mut edge = edge(&mux, "rainbow", &[]);
        edge.says(" connected ").await;
        edge.kill().await;
    }
    let told = hook.told_of("rainbow", 2 * TIMES).await;
    are_in_turn(&told);
    assert_eq!(told.len(), 2 * TIMES);
    until("nothing is left to be told", async || {
        (waiting(&mux).await == 0.0).then_some(())
    })
    .await;
    assert_eq!(hook.told_of("rainbow", 2 * TIMES).await, told);
}

#[tokio::test]
async fn a_hook_that_fails_is_told_again_until_it_does_not() {
    let hook = Hook::saying(yes()).await;
    hook.fails(Fails::All);
    let mux = server(hook.address, &[]).await;
    let first = edge(&mux, "rainbow", &[]);
    first.says(" connected ").await;
    until("it is told again", async || {
        (hook.told().len() >= 3).then_some(())
    })
    .await;
    drop(first);
    mux.says("edge disconnected").await;
    // Never the end before the beginning is known.
    let told = hook.told();
    assert!(told.iter().all(|again| *again == told[0]), "{told:#?}");
    mux.says("the hook was not told of an edge; it will be")
        .await;
    hook.fails(Fails::Never);
    let told = hook.told_of("rainbow", 2).await;
    are_in_turn(&told);
}

#[tokio::test]
async fn a_hook_that_was_away_hears_everything_once_it_is_back() {
    let hook = Hook::saying(yes()).await;
    // Who comes while it is away is let in.
    let mux = server(hook.address, &["--hooks-on-failure=allow"]).await;
    let stays = edge(&mux, "stays", &[]);
    stays.says(" connected ").await;
    let mut leaves = edge(&mux, "leaves", &[]);
    leaves.says(" connected ").await;
    for id in ["stays", "leaves"] {
        hook.told_of(id, 1).await;
    }
    let stopped = hook.stop().await;
    leaves.kill().await;
    for _ in 0..3 {
        let mut flaps = edge(&mux, "flaps", &[]);
        flaps.says(" connected ").await;
        flaps.kill().await;
    }
    let comes = edge(&mux, "flaps", &[]);
    comes.says(" connected ").await;
    until("all of it waits", async || {
        (waiting(&mux).await >= 8.0).then_some(())
    })
    .await;
    let hook = stopped.back().await;
    for (id, times) in [("leaves", 2), ("flaps", 7)] {
        let told = hook.told_of(id, times).await;
        are_in_turn(&told);
        assert_eq!(told.len(), times);
    }
    assert_eq!(hook.told_of("stays", 1).await.len(), 1);
    assert_eq!(metric(mux.admin, "hook_epochs_dropped_total").await, 0.0);
}

/// A hook that calls the edge at once finds it.
#[tokio::test]
async fn an_edge_can_be_called_when_the_hook_is_told_of_it() {
    let hook = Hook::saying(knowing(&[("tenant", "blue")])).await;
    let mux = server(hook.address, &[]).await;
    hook.calls_back(mux.proxy);
    let (_backend, address) = pong().await;
    let edge = Edge::dialling(mux.multiplexer, "rainbow", &address, &["--tunnels=2"]);
    edge.says_times(" connected ", 2).await;
    let told = hook.told_of("rainbow", 1).await;
    assert_eq!(hook.codes(), [Some(0)]);
    let Told::Connected(told) = &told[0] else {
        panic!("{told:?}");
    };
    assert_eq!(told.context["tenant"], "blue");
    assert!(told.remote_address.starts_with("127.0.0.1:"), "{told:?}");
    assert!(told.version.starts_with("grpc-multiplexer/"), "{told:?}");
    assert!(
        told.epoch.starts_with(&format!("{}-", told.server_id)),
        "{told:?}"
    );
    assert!(told.time.is_some());
}

#[tokio::test]
async fn a_kick_says_why_and_a_stop_is_the_end_of_all() {
    let hook = Hook::saying(yes()).await;
    let mut mux = server(hook.address, &["--operator-listener=127.0.0.1:0"]).await;
    let edges = ["attic", "rainbow"].map(|id| edge(&mux, id, &[]));
    for edge in &edges {
        edge.says(" connected ").await;
    }
    let request = KickRequest {
        client_id: "rainbow".to_owned(),
        reason: "under repair".to_owned(),
        ban: None,
    };
    mux.operator().await.kick(request).await.unwrap();
    let told = hook.told_of("rainbow", 3).await;
    let Told::Disconnected(end) = &told[1] else {
        panic!("{told:?}");
    };
    assert_eq!(end.reason, "under repair");
    mux.signal("TERM");
    assert!(mux.ended().await.success());
    for (id, times) in [("attic", 2), ("rainbow", 4)] {
        let told = hook.told_of(id, times).await;
        are_in_turn(&told);
        assert_eq!(told.len(), times);
    }
}

/// Of another process they are others, whatever its generations.
#[tokio::test]
async fn no_two_epochs_are_the_same() {
    let hook = Hook::saying(yes()).await;
    for _ in 0..2 {
        let mux = server(hook.address, &[]).await;
        let edge = Edge::dialling(mux.multiplexer, "rainbow", NOBODY, &[]);
        edge.says(" connected ").await;
        drop(edge);
        mux.says("edge disconnected").await;
        until("nothing is left to be told", async || {
            (waiting(&mux).await == 0.0).then_some(())
        })
        .await;
    }
    let told = hook.told_of("rainbow", 4).await;
    are_in_turn(&told);
}

#[tokio::test]
async fn what_goes_wrong_with_one_id_keeps_no_other_waiting() {
    let hook = Hook::saying(yes()).await;
    hook.fails(Fails::Of("rainbow"));
    let mux = server(hook.address, &[]).await;
    let rainbow = edge(&mux, "rainbow", &[]);
    hook.told_of("rainbow", 1).await;
    for _ in 0..3 {
        let mut kitchen = edge(&mux, "kitchen", &[]);
        kitchen.says(" connected ").await;
        kitchen.kill().await;
    }
    are_in_turn(&hook.told_of("kitchen", 6).await);
    assert_eq!(hook.told_of("rainbow", 1).await.len(), 1);
    drop(rainbow);
}

/// While the old server finishes, edges are at both: what it tells last is no sign that they are gone.
#[tokio::test]
async fn in_an_upgrade_every_edge_has_an_epoch_that_goes_on() {
    const IDS: [&str; 2] = ["kitchen", "rainbow"];
    let hook = Hook::saying(yes()).await;
    let folder = Folder::new("hooks-upgrade");
    let socket = format!("--upgrade-socket={}", folder.0.join("server").display());
    let address = format!("--hooks-address=http://{}", hook.address);
    let options = [&*socket, &address];
    let mut old = Mux::with(&options).await;
    old.says("a new process may take over").await;
    let edges = IDS.map(|id| edge(&old, id, &[]));
    for id in IDS {
        hook.told_of(id, 1).await;
    }
    let [proxy, multiplexer] = [old.proxy, old.multiplexer].map(|it| it.to_string());
    let new = Mux::at(&proxy, &multiplexer, &options).await;
    assert!(old.ended().await.success());
    assert_eq!(new.listed().await, IDS);
    for id in IDS {
        let told = hook.told_of(id, 3).await;
        let mut servers: HashMap<_, Vec<_>> = HashMap::new();
        for told in told {
            servers
                .entry(told.server_id().to_owned())
                .or_default()
                .push(told);
        }
        assert_eq!(servers.len(), 2, "{servers:#?}");
        for of_one in servers.values() {
            are_in_turn(of_one);
        }
        let (ended, goes_on): (Vec<_>, Vec<_>) =
            servers.values().partition(|told| told.len() % 2 == 0);
        assert_eq!((ended.len(), goes_on.len()), (1, 1), "{servers:#?}");
        // Both have one clock.
        let (end, begin) = (time(ended[0].last()), time(goes_on[0].first()));
        assert!(begin <= end, "{servers:#?}");
    }
    drop(edges);
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_hook_that_is_away() {
    let hook = Hook::saying(yes()).await;
    let mut mux = server(hook.address, &[]).await;
    let edge = edge(&mux, "rainbow", &[]);
    hook.told_of("rainbow", 1).await;
    let _stopped = hook.stop().await;
    drop(edge);
    until("its end waits", async || {
        (waiting(&mux).await >= 1.0).then_some(())
    })
    .await;
    mux.signal("TERM");
    // The hook would be told again and again.
    let ended = within("a stop", async {
        tokio::time::timeout(Duration::from_secs(10), mux.ended()).await
    });
    assert!(ended.await.unwrap().success());
}
