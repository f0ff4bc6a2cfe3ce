//! Processes that are killed, stopped and replaced.

use super::Stage;
use super::kinds::{Kind, On};
use crate::calls::Kind as Call;
use crate::net::Place;
use crate::world::{Excuse, RELAYED, VICTIM};

/// What callers see of a server that is killed: the end of their connection, and nobody who listens.
const SERVER_GONE: Excuse = Excuse::anybodys(&["own"]);
const EDGE_GONE: Excuse = Excuse::victims(&["tunnel-lost"]);
const BACKEND_GONE: &[&str] = &["backend-lost", "backend-connect"];
/// An edge that says nothing takes no calls after a moment, and those who wait for it get tired.
const EDGE_STILL: Excuse = Excuse::victims(&["tunnel-lost", "edge-away", "deadline"]);

pub(super) fn faults() -> Vec<Kind> {
    use On::{Any, Apart, Server};
    let backends_gone = Excuse::anybodys(BACKEND_GONE);
    let backend_gone = Excuse::victims(BACKEND_GONE);
    let none = Excuse::NONE;
    vec![
        Kind::new("an edge is killed", Any, EDGE_GONE, |stage| {
            Box::pin(edge_killed(stage))
        }),
        Kind::new(
            "an edge is asked to stop, and started again",
            Any,
            none,
            |stage| Box::pin(edge_asked(stage)),
        ),
        Kind::new("an edge is stopped for a while", Any, EDGE_STILL, |stage| {
            Box::pin(edge_stopped(stage))
        }),
        Kind::new("a new edge takes over", Apart, none, |stage| {
            Box::pin(edge_upgraded(stage))
        }),
        Kind::new("a twin of an edge comes", Any, none, |stage| {
            Box::pin(twin(stage))
        }),
        Kind::new("a backend is killed", Apart, backend_gone, |stage| {
            Box::pin(backend_killed(stage))
        }),
        Kind::new("a backend is stopped for a moment", Apart, none, |stage| {
            Box::pin(backend_stopped(stage))
        }),
        Kind::new(
            "the backend of all other edges is killed",
            Server,
            backends_gone,
            |stage| Box::pin(shared_backend_killed(stage)),
        ),
        Kind::new("the server is stopped for a while", Server, none, |stage| {
            Box::pin(server_stopped(stage))
        }),
        Kind::new("the server is killed", Server, SERVER_GONE, |stage| {
            Box::pin(server_killed(stage))
        })
        .replaces_the_server(),
        Kind::new(
            "the server is asked to stop, and started again",
            Server,
            SERVER_GONE.begun_since(),
            |stage| Box::pin(server_asked(stage)),
        )
        .replaces_the_server(),
        Kind::new("a new server takes over", Server, none, |stage| {
            Box::pin(server_upgraded(stage))
        })
        .replaces_the_server(),
    ]
}

async fn edge_killed(stage: &mut Stage) -> anyhow::Result<()> {
    let victim = stage.begin_talks().await?;
    stage.world.edges[victim].kill().await;
    stage.world.pass(1).await;
    stage.world.edge_again(victim)?;
    stage.world.heal();
    Ok(())
}

async fn edge_asked(stage: &mut Stage) -> anyhow::Result<()> {
    let victim = stage.begin_talks().await?;
    let edge = &mut stage.world.edges[victim];
    edge.signal("TERM");
    let code = edge.ended().await.code();
    stage.world.edge_again(victim)?;
    stage.world.heal();
    stage.retired(code);
    Ok(())
}

async fn edge_stopped(stage: &mut Stage) -> anyhow::Result<()> {
    let (victim, seconds) = (stage.victim, stage.draw(2..=10));
    stage.world.edges[victim].signal("STOP");
    stage.world.pass(seconds).await;
    stage.world.edges[victim].signal("CONT");
    stage.world.heal();
    Ok(())
}

async fn edge_upgraded(stage: &mut Stage) -> anyhow::Result<()> {
    let victim = stage.begin_talks().await?;
    let code = stage.world.edge_again(victim)?.ended().await.code();
    stage.world.heal();
    stage.retired(code);
    Ok(())
}

async fn twin(stage: &mut Stage) -> anyhow::Result<()> {
    // That with the upgrade socket would take over instead.
    let victim = if stage.victim == VICTIM {
        RELAYED
    } else {
        stage.victim
    };
    let mut twin = stage.world.edge(victim)?;
    twin.says("another edge is connected as").await;
    twin.kill().await;
    stage.world.heal();
    Ok(())
}

async fn backend_killed(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin_talks().await?;
    let world = &mut stage.world;
    world.own.process.kill().await;
    world.pass(2).await;
    world.own.restart(&world.place).await?;
    world.heal();
    Ok(())
}

async fn backend_stopped(stage: &mut Stage) -> anyhow::Result<()> {
    stage.world.own.process.signal("STOP");
    stage.world.pass(3).await;
    stage.world.own.process.signal("CONT");
    stage.world.heal();
    Ok(())
}

async fn shared_backend_killed(stage: &mut Stage) -> anyhow::Result<()> {
    stage.world.backend.restart(&Place::Here).await?;
    stage.world.heal();
    Ok(())
}

async fn server_stopped(stage: &mut Stage) -> anyhow::Result<()> {
    let seconds = stage.draw(2..=8);
    stage.world.mux.signal("STOP");
    stage.world.pass(seconds).await;
    stage.world.mux.signal("CONT");
    stage.world.heal();
    Ok(())
}

async fn server_killed(stage: &mut Stage) -> anyhow::Result<()> {
    let world = &mut stage.world;
    world.mux.kill().await;
    world.pass(1).await;
    world.server_again().await?;
    world.heal();
    Ok(())
}

async fn server_asked(stage: &mut Stage) -> anyhow::Result<()> {
    let world = &mut stage.world;
    world.mux.signal("TERM");
    let code = world.mux.ended().await.code();
    world.server_again().await?;
    world.heal();
    stage.retired(code);
    Ok(())
}

async fn server_upgraded(stage: &mut Stage) -> anyhow::Result<()> {
    let world = &mut stage.world;
    let code = world.server_again().await?.ended().await.code();
    world.heal();
    stage.retired(code);
    Ok(())
}

impl Stage {
    /// Ten calls of two seconds are under way with the victim.
    async fn begin_talks(&mut self) -> anyhow::Result<usize> {
        let talks = self.world.under_way(self.victim, Call::Talk(100), 10);
        talks.await?;
        self.world.strike();
        Ok(self.victim)
    }

    /// A process ended that was asked to.
    fn retired(&mut self, code: Option<i32>) {
        let score = &mut self.world.score;
        score.require(code == Some(0), || format!("a process ended with {code:?}"));
    }
}
