//! One simulated history: what there is, what happens to it, and that all is well in the end.

mod faults;

use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::Chance;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::EdgeHandle;
use super::call::Call;
use super::machine::{Machine, Process};
use super::network::{Door, Path, Way};
use super::server::{Server, TUNNELS};
use super::trace::Trace;
use super::watcher::{Watcher, Well};
use crate::DuplicateClientId;

/// Lets everything happen that can happen now.
const SETTLE: Duration = Duration::from_millis(1);
/// When every edge is back at the latest, once nothing stands in its way: the longest pause between two dials, and a
/// hello with what it may have to wait for.
const BACK: Duration = Duration::from_secs(35);
/// Where edges take a name from each other: who lost it, or came while it was held, stays away for so long before.
const STAYS_AWAY: Duration = Duration::from_secs(60);
/// When an edge that was asked to end has: its drain time, and its last words.
const ENDED: Duration = Duration::from_secs(30);

pub(super) struct World {
    chance: StdRng,
    delays: Chance,
    duplicates: DuplicateClientId,
    fragile: bool,
    door: Door,
    server: Server,
    watcher: Watcher,
    machines: Vec<Machine>,
    paths: Vec<Arc<Path>>,
    well: Well,
    /// What is to be opened again, and when.
    held: Vec<(Instant, Arc<Path>)>,
    calls: JoinSet<()>,
    trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let delays = Chance::seeded(chance.random());
        // The default is what most servers do.
        let duplicates = *[
            DuplicateClientId::Reject,
            DuplicateClientId::Reject,
            DuplicateClientId::Replace,
            DuplicateClientId::Balance,
        ]
        .choose(&mut chance)
        .unwrap();
        let fragile = chance.random_ratio(1, 3);
        let door = Door::default();
        let its_chance = fragile.then(|| StdRng::from_rng(&mut chance));
        let server = Server::start(&door, duplicates, &delays, its_chance);
        let slots = chance.random_range(1..=3);
        Self {
            watcher: Watcher::begin(server.registry()),
            chance,
            delays,
            duplicates,
            fragile,
            door,
            server,
            machines: vec![
                Machine::new(0, "twins", 1),
                Machine::new(1, "twins", 1),
                Machine::new(2, "alone", slots),
            ],
            paths: Vec::new(),
            well: Well::new(),
            held: Vec::new(),
            calls: JoinSet::new(),
            trace: Trace::begin(),
        }
    }

    pub(super) fn trace(&self) -> Trace {
        self.trace.clone()
    }

    /// Lives through faults, and mends them all; everybody is back then, and nothing is left once all have ended.
    pub(super) async fn run(&mut self) {
        for n in 0..self.machines.len() {
            self.start(n);
        }
        for _ in 0..self.chance.random_range(4..16) {
            let pause = self.chance.random_range(0..20_000);
            self.pass(Duration::from_millis(pause)).await;
            let n = self.chance.random_range(0..self.machines.len());
            let fault = self.fault(n);
            self.trace.note(|| format!("machine {n}: {fault:?}"));
            self.happens(n, fault).await;
            let n = self.chance.random_range(0..self.machines.len());
            let call = self.some_call(n);
            self.calls.spawn(async move {
                let _ = call.run().await;
            });
        }
        self.mend().await;
        self.end().await;
    }

    fn start(&mut self, n: usize) {
        let path = self.machines[n].start(&self.door, &mut self.chance, &self.delays);
        self.well.insert(path.remote, Some(Instant::now()));
        self.paths.push(path);
    }

    /// Lets time pass, and looks all the while.
    async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let step = Duration::from_millis(self.chance.random_range(1..500));
        sleep(step).await;
        let now = Instant::now();
        let due = |(until, _): &mut (Instant, Arc<Path>)| *until <= now;
        for (_, path) in self.held.extract_if(.., due) {
            path.set(Way::Open, Way::Open);
            self.well.insert(path.remote, Some(now));
        }
        sleep(SETTLE).await;
        self.nobody_panicked();
        self.watcher
            .check(&self.server, self.duplicates, &self.well, &mut self.trace);
    }

    /// Whose task panicked shall end the history.
    fn nobody_panicked(&mut self) {
        self.server.is_over();
        for machine in &mut self.machines {
            machine.process.as_mut().map(Process::is_over);
        }
        while let Some(ended) = self.calls.try_join_next() {
            ended.unwrap();
        }
    }

    async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) {
        let since = Instant::now();
        while !done(self) {
            assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
            self.step().await;
        }
        let took = since.elapsed();
        self.trace.note(|| format!("{what}: after {took:?}"));
    }

    /// A call to the id of that machine.
    fn some_call(&mut self, n: usize) -> Call {
        Call {
            registry: Arc::clone(self.server.registry()),
            id: self.machines[n].client_id.clone(),
            which: self.chance.random_range(0..6),
            bytes: self.chance.random_range(1..50_000),
        }
    }

    /// Whether as many tunnels are listed as there can be, and all of them take calls.
    fn all_are_back(&self) -> bool {
        let twins = match self.duplicates {
            DuplicateClientId::Balance => 2,
            _ => 1,
        };
        let alone = self.machines[2].tunnels as usize;
        let edges = self.server.registry().edges();
        let processes = || {
            self.machines
                .iter()
                .filter_map(|machine| machine.process.as_ref())
        };
        let works = |edge: &EdgeHandle| {
            let dialled = processes().any(|process| process.path.remote == edge.remote());
            dialled && edge.session().in_rotation()
        };
        edges.len() == twins + alone && edges.iter().all(|edge| works(edge))
    }

    /// Takes every fault away, and sees that everybody is back in time and can be called.
    async fn mend(&mut self) {
        self.server.spared.cancel();
        for (_, path) in std::mem::take(&mut self.held) {
            path.set(Way::Open, Way::Open);
            self.well.insert(path.remote, Some(Instant::now()));
        }
        for n in 0..self.machines.len() {
            if self.machines[n].process.is_none() {
                self.start(n);
            }
        }
        self.trace.note(|| "mended".to_owned());
        self.step().await;
        let stays_away = match self.duplicates {
            DuplicateClientId::Replace => STAYS_AWAY,
            DuplicateClientId::Reject | DuplicateClientId::Balance => Duration::ZERO,
        };
        self.until("all are back", stays_away + BACK, |world| {
            world.all_are_back()
        })
        .await;
        for n in [0, 2] {
            let since = Instant::now();
            // One that another took the name from ends the call, as this is none that it counts.
            while self.some_call(n).run().await.is_none() {
                assert!(since.elapsed() < BACK, "machine {n} cannot be called");
                self.step().await;
            }
        }
    }

    /// Ends all edges, and sees that nothing is left of anything.
    async fn end(&mut self) {
        let mut processes: Vec<_> = self
            .machines
            .iter_mut()
            .filter_map(|m| m.process.take())
            .collect();
        for process in &processes {
            process.stop();
            self.well.insert(process.path.remote, None);
        }
        let over = |_: &mut Self| processes.iter_mut().all(Process::is_over);
        self.until("all edges ended", ENDED, over).await;
        self.until("every call ended", BACK, |world| world.calls.is_empty())
            .await;
        self.until("every tunnel ended", BACK, |world| {
            world.server.edges.tunnels.available_permits() == TUNNELS
        })
        .await;
        self.until("every link ended", BACK, |world| {
            world.paths.iter().all(|path| path.links() == 0)
        })
        .await;
        let registry = Arc::clone(self.server.registry());
        assert!(registry.edges().is_empty(), "an edge is left");
        assert_eq!(registry.waiting().calls(), 0, "a call still waits");
        // One takes what comes.
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert_eq!(tasks, 1, "a task is left");
    }
}
