//! The soak: two hundred edges under load, and one fault after another, each drawn by chance and healed before the next.
//!
//! Twenty edges are processes, and faults happen to them; the others are in one process, which nothing happens to but by
//! way of the server. After a third of the time the server stays the same process, so that what it keeps has time to show.

mod callers;
mod counters;
mod growth;
mod kinds;
mod links;
mod messages;
mod processes;
mod report;
mod resources;
mod wear;

use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::calls::Failure;
use crate::load::Made;
use crate::verdict::{Fault, weigh};
use crate::world::{EDGES, Link, Setup, World};
use counters::Counters;
use kinds::{Deck, Kind, On};
use resources::Watch;

/// From the begin of one fault to the next; one that takes longer delays it by as much again.
const EVERY: Duration = Duration::from_secs(20);
/// No fault takes longer.
const LIMIT: Duration = Duration::from_secs(120);
const MINUTE: Duration = Duration::from_secs(60);
/// Few enough for two cores which all of it shares: a hundred calls a second.
const CALLERS: usize = 20;
/// Edges in one process.
const OTHERS: usize = 180;

const SETUP: Setup = Setup {
    link: Link::Both,
    server: &["--upgrade-socket", "FOLDER/server.socket"],
    victim: &["--upgrade-socket", "FOLDER/edge.socket"],
    callers: CALLERS,
    others: OTHERS,
    ..Setup::PLAIN
};

/// What a fault has at hand.
pub(crate) struct Stage {
    world: World,
    /// The edge that it happens to.
    victim: usize,
    chance: StdRng,
    counters: Counters,
}

impl Stage {
    fn draw(&mut self, from: RangeInclusive<u64>) -> u64 {
        self.chance.random_range(from)
    }

    /// The victim's name.
    fn id(&self) -> String {
        format!("edge-{}", self.victim)
    }

    /// That of the edge whose backend wears connections out.
    fn worn(&self) -> String {
        format!("edge-{}", self.world.all() - 1)
    }
}

/// A soak under way.
struct Soak {
    seed: u64,
    minutes: u64,
    stage: Stage,
    deck: Deck,
    start: Instant,
    faults: Vec<Fault>,
    /// What they were, for machines.
    log: Vec<Value>,
    /// Calls that failed, excused or not.
    failed: usize,
    /// What was printed of the problems.
    said: usize,
    server: Watch,
    edges: Watch,
}

/// Runs it, and says whether all went well.
pub(crate) async fn run(
    minutes: u64,
    seed: Option<u64>,
    json: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let mut soak = Soak::start(minutes, seed.unwrap_or_else(rand::random)).await?;
    if let Err(error) = soak.run().await {
        let problems = &mut soak.stage.world.score.problems;
        problems.push(format!("the soak fell over: {error:#}"));
    }
    soak.end(json).await
}

#[expect(clippy::print_stdout, reason = "the result")]
impl Soak {
    async fn start(minutes: u64, seed: u64) -> anyhow::Result<Self> {
        println!("soak: {minutes} min, {} edges, seed {seed}", EDGES + OTHERS);
        let world = World::start(SETUP).await?;
        let start = Instant::now();
        let others = world.others.as_ref().context("there are other edges")?;
        Ok(Self {
            server: Watch::on(&world.mux, start),
            edges: Watch::on(others, start),
            stage: Stage {
                world,
                victim: 0,
                chance: StdRng::seed_from_u64(seed),
                counters: Counters::default(),
            },
            seed,
            minutes,
            deck: Deck::new(),
            start,
            faults: Vec::new(),
            log: Vec::new(),
            failed: 0,
            said: 0,
        })
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        let whole = MINUTE * u32::try_from(self.minutes)?;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        let mut minute = 1;
        let mut keeps_the_server = false;
        while ticks.tick().await < self.start + whole {
            if !keeps_the_server && self.start.elapsed() >= whole / 3 {
                keeps_the_server = true;
                self.deck.keep_the_server();
            }
            let kind = self.deck.draw(&mut self.stage.chance);
            self.fault(&kind).await.context(kind.what)?;
            while self.start.elapsed() >= MINUTE * minute {
                println!("{minute:3} min: {}", self.status());
                minute += 1;
            }
        }
        Ok(())
    }

    /// One fault, until it is got over.
    async fn fault(&mut self, kind: &Kind) -> anyhow::Result<()> {
        let stage = &mut self.stage;
        let victim = kind.victim(&mut stage.chance);
        stage.victim = victim;
        stage.world.strike();
        let at = self.start.elapsed();
        let played = timeout(LIMIT, AssertUnwindSafe((kind.play)(stage)).catch_unwind());
        let played = played.await.context("it takes too long")?;
        played.unwrap_or_else(|panic| Err(crate::said(&*panic)))?;
        self.server.now_on(&stage.world.mux);
        let fault = stage.world.fault(victim, kind.excuse);
        stage.world.all_up().await?;
        let called = if kind.on == On::Server {
            0..EDGES
        } else {
            victim..victim + 1
        };
        for edge in called {
            stage.world.answers(edge).await;
        }
        self.faults.push(fault);
        let failed = self.failed;
        self.tally();
        self.log.push(json!({
            "at": at.as_secs(),
            "fault": kind.what,
            "edge": victim,
            "over_after": (self.start.elapsed() - at).as_secs_f64(),
            "failed": self.failed - failed,
        }));
        self.say_problems(kind.what);
        Ok(())
    }

    /// Judges the calls that ended since the last time.
    fn tally(&mut self) {
        let made = self.stage.world.so_far();
        self.weigh(&made);
    }

    fn weigh(&mut self, made: &[Made]) {
        self.failed += made.iter().filter(|call| call.failure.is_some()).count();
        let faults = &self.faults;
        let score = &mut self.stage.world.score;
        weigh(made, score, |call, failure| judge(faults, call, failure));
    }

    fn say_problems(&mut self, after: &str) {
        let problems = &self.stage.world.score.problems;
        for problem in &problems[self.said..] {
            let seconds = self.start.elapsed().as_secs();
            println!("FAIL after {seconds} s, {after}: {problem}");
        }
        self.said = problems.len();
    }
}

/// A failure is excused by any fault that was there; else the last of them counts.
fn judge(faults: &[Fault], call: &Made, failure: &Failure) -> Result<Duration, &'static str> {
    let mut column = None;
    for fault in faults.iter().rev().filter(|fault| fault.touches(call)) {
        match fault.judge(call, failure) {
            Ok(recover) => return Ok(recover),
            Err(unexcused) => column = column.or(Some(unexcused)),
        }
    }
    Err(column.unwrap_or(match failure {
        Failure::Truncated(_) => "truncated",
        _ => "lost",
    }))
}
