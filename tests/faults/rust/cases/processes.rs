//! Processes that are killed, stopped and replaced.

use std::time::Duration;

use grpc_multiplexer_tests::Process;
use tokio::time::{Instant, interval, sleep};

use super::{Case, How};
use crate::calls::Kind;
use crate::score::Score;
use crate::world::{Excuse, Setup, VICTIM, World};

/// What a caller sees of a server that is killed: the end of its connection, and nobody who listens.
const SERVER_GONE: Excuse = Excuse::anybodys(&["own"]);
/// The same where the server is asked to end at once, and some calls are still told.
const SERVER_ENDED: Excuse = Excuse::anybodys(&["own", "draining"]);
/// What callers of an edge that is killed may see.
const EDGE_GONE: Excuse = Excuse::victims(&["tunnel-lost"]);
/// What callers of a backend that is killed may see, until there is one again.
const BACKEND_GONE: Excuse = Excuse::victims(&["backend-lost", "backend-connect"]);

const UPGRADE: Setup = Setup {
    server: &["--upgrade-socket", "FOLDER/server.socket"],
    victim: &["--upgrade-socket", "FOLDER/edge.socket"],
    ..Setup::PLAIN
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "F1",
            "the server is killed, nobody calls",
            How::World(|| Box::pin(server_killed(false))),
        )
        .short(),
        Case::new(
            "F2",
            "the server is killed under load",
            How::World(|| Box::pin(server_killed(true))),
        )
        .short(),
        Case::new(
            "F3",
            "an edge is killed, nobody calls",
            How::World(|| Box::pin(edge_killed(Moment::Idle))),
        )
        .short(),
        Case::new(
            "F3",
            "an edge is killed under unary calls",
            How::World(|| Box::pin(edge_killed(Moment::Unary))),
        )
        .short(),
        Case::new(
            "F3",
            "an edge is killed under streams",
            How::World(|| Box::pin(edge_killed(Moment::Streams))),
        )
        .short(),
        Case::new(
            "F3",
            "edges are killed in their handshake",
            How::World(|| Box::pin(killed_in_handshake())),
        )
        .short(),
        Case::new(
            "F3",
            "an edge is killed while it drains",
            How::World(|| Box::pin(edge_killed(Moment::Draining))),
        )
        .short(),
        Case::new(
            "F4",
            "a backend is killed, nobody calls",
            How::World(|| Box::pin(backend_killed(Moment::Idle))),
        )
        .short(),
        Case::new(
            "F4",
            "a backend is killed under load",
            How::World(|| Box::pin(backend_killed(Moment::Streams))),
        )
        .short(),
        Case::new(
            "F4",
            "a backend is not there, and comes",
            How::World(|| Box::pin(backend_away())),
        )
        .short(),
        Case::new(
            "F5",
            "an edge is stopped for 60 s, and goes on",
            How::World(|| Box::pin(edge_stopped())),
        ),
        Case::new(
            "F6",
            "the server is stopped for 15 s, and goes on",
            How::World(|| Box::pin(server_stopped())),
        ),
        Case::new(
            "F7",
            "the server is asked to stop under load, and started again",
            How::World(|| Box::pin(server_asked())),
        )
        .short(),
        Case::new(
            "F8",
            "an edge is asked to stop under load, and started again",
            How::World(|| Box::pin(edge_asked())),
        ),
        Case::new(
            "F9",
            "the server is asked to stop a second time",
            How::World(|| Box::pin(asked_twice(true))),
        ),
        Case::new(
            "F9",
            "an edge is asked to stop a second time",
            How::World(|| Box::pin(asked_twice(false))),
        ),
        Case::new(
            "F10",
            "a new server takes over under load",
            How::World(|| Box::pin(server_upgraded())),
        ),
        Case::new(
            "F10",
            "a new edge takes over under load",
            How::World(|| Box::pin(edge_upgraded())),
        ),
        Case::new(
            "F20",
            "two edges of one id come in turns",
            How::World(|| Box::pin(twins())),
        ),
    ]
}

/// What calls are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Idle,
    Unary,
    Streams,
    Draining,
}

async fn server_killed(load: bool) -> anyhow::Result<Score> {
    let mut world = World::start(Setup {
        load,
        ..Setup::PLAIN
    })
    .await?;
    world.mux.kill().await;
    world.pass(1).await;
    world.server_again().await?;
    world.heal();
    world.all_up().await?;
    each_answers(&mut world).await;
    world.pass(5).await;
    world.judge(SERVER_GONE).await
}

/// Every edge can be called.
async fn each_answers(world: &mut World) {
    for edge in 0..world.edges.len() {
        world.answers(edge).await;
    }
}

async fn edge_killed(moment: Moment) -> anyhow::Result<Score> {
    let mut world = World::start(Setup {
        load: moment != Moment::Idle,
        ..Setup::PLAIN
    })
    .await?;
    match moment {
        Moment::Idle => {}
        Moment::Unary => world.under_way(VICTIM, Kind::Slow, 20).await?,
        Moment::Streams | Moment::Draining => world.under_way(VICTIM, Kind::Talk(150), 20).await?,
    }
    if moment == Moment::Draining {
        world.victim().signal("TERM");
        world.victim().says("signal received").await;
    }
    world.victim().kill().await;
    world.detected(VICTIM).await?;
    world.pass(1).await;
    world.edge_again(VICTIM)?;
    world.heal();
    world.all_up().await?;
    world.pass(3).await;
    each_answers(&mut world).await;
    world.judge(EDGE_GONE).await
}

/// Twenty further edges, each killed a little later in its first moments than the one before.
async fn killed_in_handshake() -> anyhow::Result<Score> {
    let world = World::start(Setup::PLAIN).await?;
    for n in 0..20 {
        let mut edge = world.edge(world.edges.len() + n)?;
        sleep(Duration::from_millis(2 * n as u64)).await;
        edge.kill().await;
    }
    world.pass(3).await;
    let edges = world.edges.len();
    world.tunnels(|up| up == edges).await?;
    world.judge(Excuse::NONE).await
}

async fn backend_killed(moment: Moment) -> anyhow::Result<Score> {
    let mut world = World::start(Setup {
        load: moment != Moment::Idle,
        ..Setup::PLAIN
    })
    .await?;
    world.own.process.kill().await;
    world.pass(2).await;
    world.own.restart(&world.place).await?;
    world.heal();
    each_answers(&mut world).await;
    world.pass(5).await;
    world.judge(BACKEND_GONE).await
}

/// The backend is gone before the edge has ever dialled it.
async fn backend_away() -> anyhow::Result<Score> {
    let mut world = World::start(Setup {
        load: false,
        ..Setup::PLAIN
    })
    .await?;
    world.own.process.kill().await;
    let answered = world.one(VICTIM, Kind::Unary).await;
    world
        .score
        .require(!answered, || "a dead backend answers".to_owned());
    world.own.restart(&world.place).await?;
    world.heal();
    each_answers(&mut world).await;
    world.judge(BACKEND_GONE).await
}

async fn edge_stopped() -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    world.victim().signal("STOP");
    world.detected(VICTIM).await?;
    let stopped = Duration::from_secs(60).saturating_sub(world.score.detect.unwrap_or_default());
    sleep(stopped).await;
    world.victim().signal("CONT");
    world.heal();
    world.all_up().await?;
    world.pass(6).await;
    each_answers(&mut world).await;
    world
        .judge(Excuse::victims(&["tunnel-lost", "edge-away", "deadline"]))
        .await
}

/// Less than what would close a tunnel: nobody is to notice more than a pause.
async fn server_stopped() -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    world.mux.signal("STOP");
    world.pass(15).await;
    world.mux.signal("CONT");
    world.heal();
    world.pass(6).await;
    world.all_up().await?;
    let lost: usize = world
        .edges
        .iter()
        .map(|edge| count(edge, "tunnel lost"))
        .sum();
    world
        .score
        .require(lost == 0, || format!("{lost} tunnels were lost"));
    world.judge(Excuse::NONE).await
}

/// Callers that find nobody who listens for a moment are not calls that were under way.
async fn server_asked() -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    world.under_way(VICTIM, Kind::Talk(100), 20).await?;
    world.strike();
    world.mux.signal("TERM");
    let code = world.mux.ended().await.code();
    world.score.require(code == Some(0), || {
        format!("the server ended with {code:?}")
    });
    let line = world.mux.says(" stopped ").await;
    world
        .score
        .require(line.contains("calls=0 streams=0 tunnels=0"), || {
            line.clone()
        });
    let cut = count(&world.mux, "cutting calls");
    world
        .score
        .require(cut == 0, || "calls were cut".to_owned());
    world.server_again().await?;
    world.heal();
    world.all_up().await?;
    each_answers(&mut world).await;
    world.pass(3).await;
    world.judge(SERVER_GONE.begun_since()).await
}

async fn edge_asked() -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    world.under_way(VICTIM, Kind::Talk(100), 20).await?;
    world.victim().signal("TERM");
    let code = world.victim().ended().await.code();
    world
        .score
        .require(code == Some(0), || format!("the edge ended with {code:?}"));
    world.edge_again(VICTIM)?;
    world.heal();
    world.all_up().await?;
    world.pass(3).await;
    each_answers(&mut world).await;
    world.judge(Excuse::NONE).await
}

async fn asked_twice(server: bool) -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    world.under_way(VICTIM, Kind::Talk(250), 20).await?;
    let process: &mut Process = if server {
        &mut world.mux
    } else {
        &mut world.edges[VICTIM]
    };
    process.signal("TERM");
    process.says("signal received").await;
    // At once it would be the same wish said twice.
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    process.signal("TERM");
    process.ended().await;
    let took = start.elapsed();
    world.score.require(took < Duration::from_secs(2), || {
        format!("ended after {took:?}")
    });
    if server {
        world.server_again().await?;
    } else {
        world.edge_again(VICTIM)?;
    }
    world.heal();
    world.all_up().await?;
    world.pass(3).await;
    let excuse = if server { SERVER_ENDED } else { EDGE_GONE };
    world.judge(excuse).await
}

async fn server_upgraded() -> anyhow::Result<Score> {
    let mut world = World::start(UPGRADE).await?;
    for _ in 0..3 {
        let code = world.server_again().await?.ended().await.code();
        world.score.require(code == Some(0), || {
            format!("the old server ended with {code:?}")
        });
        world.pass(1).await;
    }
    world.heal();
    world.all_up().await?;
    world.judge(Excuse::NONE).await
}

async fn edge_upgraded() -> anyhow::Result<Score> {
    let mut world = World::start(UPGRADE).await?;
    for _ in 0..3 {
        let code = world.edge_again(VICTIM)?.ended().await.code();
        world.score.require(code == Some(0), || {
            format!("the old edge ended with {code:?}")
        });
        world.pass(1).await;
    }
    world.heal();
    world.all_up().await?;
    world.judge(Excuse::NONE).await
}

/// A second process with the victim's name: the first keeps the id while it lives, and calls go on.
async fn twins() -> anyhow::Result<Score> {
    let mut world = World::start(Setup::PLAIN).await?;
    let mut turns = interval(Duration::from_secs(2));
    for _ in 0..5 {
        turns.tick().await;
        let mut twin = world.edge(VICTIM)?;
        twin.says("another edge is connected as").await;
        twin.kill().await;
    }
    world.heal();
    let lost = count(&world.edges[VICTIM], "tunnel lost");
    world
        .score
        .require(lost == 0, || "a twin took the tunnel".to_owned());
    world.judge(Excuse::NONE).await
}

fn count(process: &Process, part: &str) -> usize {
    process
        .log()
        .iter()
        .filter(|line| line.contains(part))
        .count()
}
