//! What machines do to processes: clocks that are set, names that change, threads that stand still.

use std::net::Ipv4Addr;
use std::time::Duration;

use grpc_multiplexer_tests::{Caller, page};
use tokio::time::sleep;

use super::{Case, How};
use crate::names::Says;
use crate::net::Refused;
use crate::score::Score;
use crate::world::{Excuse, FIRST_ADDRESS, Link, Setup, VICTIM, World};

const LOST: Excuse = Excuse::victims(&["tunnel-lost", "edge-away"]);
/// Another address of the server, which listens on all.
const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const NAMED: Setup = Setup {
    link: Link::Named,
    ..Setup::PLAIN
};
/// A server with mistakes in it, each at a path.
const MISTAKEN: Setup = Setup {
    hook: Some("mistakes"),
    ..Setup::PLAIN
};
const PANIC: &str = "/faults/Panic";
const STUCK: &str = "/faults/Stuck";
/// Less than what closes a tunnel.
const STUCK_FOR: Duration = Duration::from_secs(10);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "F38",
            "the wall clock is set a day ahead and two days back",
            How::World(|| Box::pin(clock_set())),
        ),
        Case::new(
            "F39",
            "the server's name is no more, and comes back",
            How::World(|| Box::pin(name_lost(Says::NoSuchName))),
        ),
        Case::new(
            "F39",
            "nobody says what the server's address is",
            How::World(|| Box::pin(name_lost(Says::Nothing))),
        ),
        Case::new(
            "F39",
            "the server's name gets another address",
            How::World(|| Box::pin(moved())),
        ),
        Case::new(
            "F43",
            "a thread of the server is stuck in a call for 10 s",
            How::World(|| Box::pin(stuck())),
        ),
        Case::new(
            "F44",
            "calls panic in the server",
            How::World(|| Box::pin(panics())),
        ),
    ]
}

async fn clock_set() -> anyhow::Result<Score> {
    let setup = Setup {
        clock: true,
        server: &["--log-level", "debug"],
        ..Setup::PLAIN
    };
    let mut world = World::start(setup).await?;
    for time in ["+1d", "-1d", "+0"] {
        world.clock().set(time)?;
        world.pass(5).await;
    }
    world.heal();
    let mut days: Vec<_> = world.mux.log().into_iter().collect();
    days.iter_mut()
        .for_each(|line| line.truncate("2000-01-01".len()));
    days.dedup();
    world.score.require(days.len() == 4, || {
        format!("the server's log is of the days {days:?}")
    });
    world.judge(Excuse::NONE).await
}

/// An edge starts while the name cannot be looked up.
async fn name_lost(says: Says) -> anyhow::Result<Score> {
    let mut world = World::start(NAMED).await?;
    world.names().say(says);
    world.victim().kill().await;
    world.edge_again(VICTIM)?;
    world.pass(5).await;
    world.names().say(Says::At(FIRST_ADDRESS));
    world.heal();
    world.all_up().await?;
    world.pass(3).await;
    world.answers(VICTIM).await;
    let said = world.said(VICTIM, "dialling again");
    world.score.require(said > 0, || {
        "the edge does not say that it cannot dial".to_owned()
    });
    world.judge(LOST).await
}

/// Nothing is at the old address any more, as when a server moved.
async fn moved() -> anyhow::Result<Score> {
    let mut world = World::start(NAMED).await?;
    world.names().say(Says::At(OTHER_ADDRESS));
    let _refused = Refused::at(FIRST_ADDRESS, world.mux.multiplexer.port())?;
    world.pass(1).await;
    world.heal();
    world.all_up().await?;
    world.pass(5).await;
    world.answers(VICTIM).await;
    let lost = world.said(VICTIM, "tunnel lost");
    world
        .score
        .require(lost > 0, || "the old address is still there".to_owned());
    world.judge(LOST).await
}

/// In a server that was built with a mistake in it. What needs that thread waits for it, and whoever asks whether the
/// process lives hears of it meanwhile.
async fn stuck() -> anyhow::Result<Score> {
    let mut world = World::start(MISTAKEN).await?;
    let caller = Caller::connect(world.mux.proxy).await;
    let call = caller.start(STUCK, &[("client-id", "edge-0")]);
    let meanwhile = async {
        sleep(STUCK_FOR - Duration::from_secs(2)).await;
        page(world.mux.admin, "/livez").await
    };
    let (call, (status, said)) = tokio::join!(call, meanwhile);
    drop((call, caller));
    world
        .score
        .require(status == 503, || format!("/livez says {status} {said}"));
    world.pass(4).await;
    world.heal();
    let (status, said) = page(world.mux.admin, "/livez").await;
    world.score.require(status == 200, || {
        format!("/livez still says {status} {said}")
    });
    world.pass(3).await;
    let lost = world.said(VICTIM, "tunnel lost");
    world
        .score
        .require(lost == 0, || format!("{lost} tunnels were lost"));
    world.judge(Excuse::NONE).await
}

/// Only the calls that meet it fail, and their callers learn why.
async fn panics() -> anyhow::Result<Score> {
    let mut world = World::start(MISTAKEN).await?;
    let caller = Caller::connect(world.mux.proxy).await;
    for edge in 0..world.edges.len() {
        let id = format!("edge-{edge}");
        let answer = caller.call(PANIC, &[("client-id", &id)], b"").await;
        answer.is_ours(13, "mux: internal error", "internal", "maybe");
    }
    drop(caller);
    world.panics = world.edges.len();
    world.heal();
    world.pass(3).await;
    world.judge(Excuse::NONE).await
}
