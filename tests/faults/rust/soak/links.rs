//! Links that go dark, lose, hold back and break.

use std::time::Duration;

use grpc_multiplexer_tests::Link;

use super::Stage;
use super::kinds::{Kind, On};
use crate::net::Way;
use crate::world::Excuse;

const LOST: Excuse = Excuse::victims(&["tunnel-lost", "edge-away"]);
/// Longer than it takes until a tunnel is closed that says nothing.
const LONG: u64 = 24;

pub(super) fn faults() -> Vec<Kind> {
    use On::{Apart, Relayed};
    let none = Excuse::NONE;
    vec![
        Kind::new("a link goes dark for a while", Apart, LOST, |stage| {
            Box::pin(async move {
                let seconds = stage.draw(2..=8);
                dark(stage, &[Way::In, Way::Out], seconds).await
            })
        }),
        Kind::new("a link goes dark for long", Apart, LOST, |stage| {
            Box::pin(dark(stage, &[Way::In, Way::Out], LONG))
        }),
        Kind::new("a link goes dark from the edge", Apart, LOST, |stage| {
            Box::pin(dark(stage, &[Way::In], LONG))
        }),
        Kind::new("a link goes dark to the edge", Apart, LOST, |stage| {
            Box::pin(dark(stage, &[Way::Out], LONG))
        }),
        Kind::new("a link is reset", Apart, LOST, |stage| {
            Box::pin(reset(stage))
        }),
        Kind::new("a link loses packets", Apart, none, |stage| {
            Box::pin(lossy(stage))
        }),
        Kind::new("a link is late", Relayed, none, |stage| {
            Box::pin(late(stage))
        }),
        Kind::new("a link is slow", Relayed, none, |stage| {
            Box::pin(held_to(stage, Link::Slow(256 * 1024)))
        }),
        Kind::new("a link is cut", Relayed, LOST, |stage| {
            Box::pin(async move {
                stage.world.relay().cut();
                stage.world.heal();
                Ok(())
            })
        }),
        Kind::new(
            "an address changes, and the old path is silent",
            Relayed,
            LOST,
            |stage| Box::pin(forgotten(stage)),
        ),
    ]
}

async fn dark(stage: &mut Stage, ways: &[Way], seconds: u64) -> anyhow::Result<()> {
    for way in ways {
        stage.world.net().lose(*way, 1.0)?;
    }
    stage.world.pass(seconds).await;
    stage.world.net().heal()?;
    stage.world.heal();
    Ok(())
}

async fn reset(stage: &mut Stage) -> anyhow::Result<()> {
    stage.world.net().reset()?;
    stage.world.pass(1).await;
    stage.world.net().heal()?;
    stage.world.heal();
    Ok(())
}

async fn lossy(stage: &mut Stage) -> anyhow::Result<()> {
    let part = stage.draw(1..=10) as f64 / 100.0;
    for way in [Way::In, Way::Out] {
        stage.world.net().lose(way, part)?;
    }
    stage.world.pass(8).await;
    stage.world.net().heal()?;
    stage.world.heal();
    Ok(())
}

async fn late(stage: &mut Stage) -> anyhow::Result<()> {
    let by = Duration::from_millis(stage.draw(20..=300));
    let jitter = Duration::from_millis(stage.draw(0..=100));
    held_to(stage, Link::Late { by, jitter }).await
}

async fn held_to(stage: &mut Stage, link: Link) -> anyhow::Result<()> {
    stage.world.relay().set(link);
    stage.world.pass(8).await;
    stage.world.relay().set(Link::Open);
    stage.world.heal();
    Ok(())
}

/// The server has two tunnels of the edge for a moment, one of which is silent.
async fn forgotten(stage: &mut Stage) -> anyhow::Result<()> {
    stage.world.relay().forget();
    stage.world.detected(stage.victim).await?;
    stage.world.heal();
    Ok(())
}
