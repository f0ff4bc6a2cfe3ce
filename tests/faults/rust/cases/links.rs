//! Links that lose, hold back, reset, garble and flap.

use std::time::Duration;

use grpc_multiplexer_tests::Link as Relayed;
use tokio::time::{Instant, sleep};

use super::{Case, How};
use crate::calls::Kind;
use crate::net::Way;
use crate::score::Score;
use crate::world::{Excuse, Link, Setup, VICTIM, World};

const LOST: Excuse = Excuse::victims(&["tunnel-lost", "edge-away"]);
/// What 32 MiB may take on a line with a long round trip.
const BULK: Duration = Duration::from_secs(15);
/// Calls wait for what the packet filter drops to be sent again; none fails.
const APART: Setup = Setup {
    link: Link::Apart,
    ..Setup::PLAIN
};
const RELAYED: Setup = Setup {
    link: Link::Relayed(Relayed::Open),
    ..Setup::PLAIN
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "F12",
            "a tunnel goes dark both ways, nobody calls",
            How::World(|| Box::pin(dark(&[Way::In, Way::Out], false))),
        )
        .short(),
        Case::new(
            "F13",
            "a tunnel goes dark from the edge",
            How::World(|| Box::pin(dark(&[Way::In], true))),
        ),
        Case::new(
            "F13",
            "a tunnel goes dark to the edge",
            How::World(|| Box::pin(dark(&[Way::Out], true))),
        ),
        Case::new(
            "F14",
            "a tunnel goes dark with full buffers",
            How::World(|| Box::pin(dark_and_full())),
        ),
        Case::new("F15", "a tunnel is reset", How::World(|| Box::pin(reset()))),
        Case::new(
            "F16",
            "1 % of the packets are lost",
            How::World(|| Box::pin(lossy(0.01))),
        ),
        Case::new(
            "F16",
            "5 % of the packets are lost",
            How::World(|| Box::pin(lossy(0.05))),
        ),
        Case::new(
            "F16",
            "20 % of the packets are lost",
            How::World(|| Box::pin(lossy(0.2))),
        ),
        Case::new(
            "F17",
            "what comes is 50 ms late",
            How::World(|| Box::pin(late(50, 0))),
        ),
        Case::new(
            "F17",
            "what comes is 300 ms late",
            How::World(|| Box::pin(late(300, 0))),
        ),
        Case::new(
            "F17",
            "what comes is 20 to 120 ms late",
            How::World(|| Box::pin(late(20, 100))),
        ),
        Case::new(
            "F17",
            "1 packet of 10 comes after those that left later",
            How::World(|| Box::pin(reordered())),
        ),
        Case::new(
            "F18",
            "a link flaps every 3 s for a minute",
            How::World(|| Box::pin(flapping())),
        ),
        Case::new(
            "F19",
            "the edge's address changes, and its old path is silent",
            How::World(|| Box::pin(rebound())),
        ),
        Case::new(
            "F31",
            "bits of a tunnel flip",
            How::World(|| Box::pin(garbled())),
        ),
    ]
}

/// The link is whole again, and soon so is all else.
async fn mended(world: &mut World) -> anyhow::Result<()> {
    world.net().heal()?;
    world.heal();
    world.all_up().await?;
    world.pass(5).await;
    world.answers(VICTIM).await;
    Ok(())
}

async fn dark(ways: &[Way], load: bool) -> anyhow::Result<Score> {
    let mut world = World::start(Setup { load, ..APART }).await?;
    for way in ways {
        world.net().lose(*way, 1.0)?;
    }
    world.detected(VICTIM).await?;
    world.pass(5).await;
    mended(&mut world).await?;
    world.judge(LOST).await
}

/// Uploads and downloads fill what both ends buffer.
async fn dark_and_full() -> anyhow::Result<Score> {
    let mut world = World::start(APART).await?;
    world.under_way(VICTIM, Kind::Flood, 4).await?;
    for way in [Way::In, Way::Out] {
        world.net().lose(way, 1.0)?;
    }
    world.strike();
    world.detected(VICTIM).await?;
    world.pass(5).await;
    mended(&mut world).await?;
    world.judge(LOST).await
}

async fn reset() -> anyhow::Result<Score> {
    let mut world = World::start(APART).await?;
    world.net().reset()?;
    world.pass(1).await;
    mended(&mut world).await?;
    let lost = world.said(VICTIM, "tunnel lost");
    world
        .score
        .require(lost > 0, || "nothing was reset".to_owned());
    world.judge(LOST).await
}

async fn lossy(probability: f64) -> anyhow::Result<Score> {
    let world = World::start(APART).await?;
    for way in [Way::In, Way::Out] {
        world.net().lose(way, probability)?;
    }
    nothing_lost(world).await
}

async fn reordered() -> anyhow::Result<Score> {
    let world = World::start(APART).await?;
    world.net().reorder()?;
    nothing_lost(world).await
}

/// All goes on, only slower.
async fn nothing_lost(mut world: World) -> anyhow::Result<Score> {
    world.pass(15).await;
    world.net().heal()?;
    world.heal();
    world.pass(2).await;
    let lost = world.said(VICTIM, "tunnel lost");
    world
        .score
        .require(lost == 0, || format!("{lost} tunnels were lost"));
    world.judge(Excuse::NONE).await
}

/// Nothing fails, and one call still gets what the line gives: windows grow with the round trip.
async fn late(by: u64, jitter: u64) -> anyhow::Result<Score> {
    let link = Relayed::Late {
        by: Duration::from_millis(by),
        jitter: Duration::from_millis(jitter),
    };
    let mut world = World::start(Setup {
        link: Link::Relayed(link),
        ..Setup::PLAIN
    })
    .await?;
    let start = Instant::now();
    let all = world.one(VICTIM, Kind::Bulk).await;
    let took = start.elapsed();
    world
        .score
        .require(all && took < BULK, || format!("32 MiB took {took:?}"));
    world.pass(5).await;
    world.heal();
    world.judge(Excuse::NONE).await
}

async fn flapping() -> anyhow::Result<Score> {
    let mut world = World::start(APART).await?;
    for _ in 0..10 {
        for way in [Way::In, Way::Out] {
            world.net().lose(way, 1.0)?;
        }
        world.pass(3).await;
        world.net().heal()?;
        world.pass(3).await;
    }
    world.heal();
    world.all_up().await?;
    world.pass(6).await;
    world.answers(VICTIM).await;
    let dials = world.said(VICTIM, "dialling again");
    world
        .score
        .require(dials <= 20, || format!("{dials} dials in a minute"));
    world.judge(LOST).await
}

/// A relay that forgets its connections without a word, as a NAT does: the edge's next tunnel comes from another port
/// while the server still has the old one.
async fn rebound() -> anyhow::Result<Score> {
    let mut world = World::start(RELAYED).await?;
    world.relay().forget();
    world.detected(VICTIM).await?;
    world.heal();
    world.all_up().await?;
    world.pass(6).await;
    world.answers(VICTIM).await;
    world.judge(LOST).await
}

async fn garbled() -> anyhow::Result<Score> {
    let mut world = World::start(RELAYED).await?;
    for _ in 0..10 {
        world.relay().set(Relayed::Garbled);
        sleep(Duration::from_millis(500)).await;
        world.relay().set(Relayed::Open);
        world.pass(1).await;
    }
    let lost = world.said(VICTIM, "tunnel lost");
    world
        .score
        .require(lost > 0, || "nothing was garbled".to_owned());
    // What was garbled without anybody's notice may wait in the last tunnel for ever.
    world.relay().cut();
    world.heal();
    world.all_up().await?;
    world.pass(6).await;
    world.answers(VICTIM).await;
    // What a garbled message says is anybody's guess, and TCP's checksum is there so that there are none. That the
    // processes live and the next tunnel is sound is what counts.
    world
        .judge(Excuse::victims(&[
            "tunnel-lost",
            "edge-away",
            "backend-lost",
            "backend-reset",
            "backend",
            "truncated",
            "deadline",
            "no-status",
            "unprocessed",
            "backend-connect",
            "backend-timeout",
        ]))
        .await
}
