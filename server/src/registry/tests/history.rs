//! Random histories, played to the registry and to the model of it.
//!
//! A history has tunnels that come, with and without proof of whose they are, fall silent, end unnoticed, and are given
//! back, early (that is what a drain is) and late, or kicked; and watchers that read at once, now and then, or never.
//! `PROPTEST_CASES` says how many histories.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::time::Instant;

use super::model::{Comer, KnownId, listed};
use super::watch::{QUEUE, Watch};
use super::*;
use crate::moment::paused;

/// Lets everything happen that is due, and keeps any two things from falling together.
const SETTLE: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
enum Op {
    Arrive {
        id: usize,
        instance: u8,
        slot: u32,
        /// Which of all tokens that were ever given for the id, from the newest; none, where there are fewer.
        token: usize,
        duplicates: DuplicateClientId,
        /// How many of those that have the id are said to have given no sign of life; the others are asked.
        silent: usize,
    },
    /// One of all registrations that were ever made is given back.
    Leave(Index),
    /// The tunnel of one ends, and nobody noticed.
    End(Index),
    /// An operator kicks an id.
    Kick(usize),
    /// The edge of one shows a sign of life.
    Ping(Index),
    /// So many seconds pass.
    Pass(u64),
    /// One more watches. It may want to know of updates.
    Watch(bool),
    /// One of those who watch reads all that it was told.
    Read(Index),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let duplicates = select(vec![
        DuplicateClientId::Reject,
        DuplicateClientId::Replace,
        DuplicateClientId::Balance,
    ]);
    let arrive = (
        0..IDS.len(),
        0..3u8,
        0..3u32,
        0..4usize,
        duplicates,
        0..4usize,
    )
        .prop_map(
            |(id, instance, slot, token, duplicates, silent)| Op::Arrive {
                id,
                instance,
                slot,
                token,
                duplicates,
                silent,
            },
        );
    let op = prop_oneof![
        8 => arrive,
        2 => any::<Index>().prop_map(Op::Leave),
        2 => any::<Index>().prop_map(Op::End),
        1 => (0..IDS.len()).prop_map(Op::Kick),
        2 => any::<Index>().prop_map(Op::Ping),
        2 => select(vec![1, 10, 31, 33, 46, 61]).prop_map(Op::Pass),
        1 => any::<bool>().prop_map(Op::Watch),
        1 => any::<Index>().prop_map(Op::Read),
    ];
    vec(op, 1..60)
}

/// A registration, and what keeps its tunnel up.
struct Held {
    id: usize,
    generation: Generation,
    registration: Option<Registration>,
    link: Link,
}

/// The registry, the model, and those who watch.
struct Bench {
    registry: Arc<Registry>,
    ids: Vec<KnownId>,
    held: Vec<Held>,
    last_generation: Generation,
    /// Two who read at once, one of each kind.
    prompt: [Watch; 2],
    slow: Vec<Watch>,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::new();
        registry.write().watchers = Watchers::with_queue(QUEUE);
        Self {
            prompt: [true, false].map(|updates| Watch::begin(&registry, updates)),
            registry,
            ids: IDS.iter().map(|_| KnownId::default()).collect(),
            held: Vec::new(),
            last_generation: 0,
            slow: Vec::new(),
        }
    }

    async fn apply(&mut self, op: Op) {
        let held = |which: Index| (!self.held.is_empty()).then(|| which.index(self.held.len()));
        match op {
            Op::Arrive { .. } => self.arrive(op).await,
            Op::Leave(which) => held(which).into_iter().for_each(|n| self.leave(n)),
            Op::End(which) => held(which).into_iter().for_each(|n| self.end(n)),
            Op::Kick(id) => self.kick(id),
            Op::Ping(which) => {
                if let Some(n) = held(which) {
                    self.ping(n).await;
                }
            }
            Op::Pass(seconds) => sleep(Duration::from_secs(seconds)).await,
            Op::Watch(updates) => self.slow.push(Watch::begin(&self.registry, updates)),
            Op::Read(which) if !self.slow.is_empty() => {
                let n = which.index(self.slow.len());
                self.slow[n].catch_up();
            }
            Op::Read(_) => {}
        }
        sleep(SETTLE).await;
        self.check();
    }

    fn leave(&mut self, n: usize) {
        let held = &mut self.held[n];
        held.registration = None;
        self.ids[held.id].leave(held.generation);
    }

    fn end(&mut self, n: usize) {
        let held = &mut self.held[n];
        held.link.end();
        let tunnels = self.ids[held.id].tunnels.iter_mut();
        for known in tunnels.filter(|known| known.generation == held.generation) {
            known.ended = true;
        }
    }

    /// Those that are not given back end, wherever they stand.
    fn kick(&mut self, n: usize) {
        let of_id = self.held.iter().filter(|held| held.id == n);
        let up = of_id
            .filter(|held| held.registration.is_some() && !held.link.session.is_closed())
            .count();
        let kicked = self.registry.kick(&id(n), &"why".into(), None);
        if up == 0 {
            assert_eq!(kicked, Err(NotKicked::NoTunnel));
        } else {
            assert_eq!(kicked, Ok(up));
            self.ids[n].kicked();
        }
    }

    async fn ping(&mut self, n: usize) {
        let held = &mut self.held[n];
        held.link.ping().await;
        let tunnels = self.ids[held.id].tunnels.iter_mut();
        for known in tunnels.filter(|known| known.generation == held.generation) {
            // What is over stays over.
            if known.is_up() {
                known.heard = Instant::now();
            }
        }
    }

    async fn arrive(&mut self, op: Op) {
        let Op::Arrive {
            id: n,
            instance,
            slot,
            token,
            duplicates,
            silent,
        } = op
        else {
            return;
        };
        let known = &mut self.ids[n];
        let comer = Comer {
            instance,
            slot,
            token: known
                .given
                .iter()
                .rev()
                .nth(token)
                .cloned()
                .unwrap_or_default(),
            duplicates,
            silent: known.generations().into_iter().take(silent).collect(),
        };
        let expected = known.judge(&comer);
        let link = Link::up().await;
        let registered = register(&self.registry, n, &comer, &link).await;
        assert_eq!(registered.is_ok(), expected.is_some(), "{registered:?}");
        let (Some(taken), Ok(registered)) = (expected, registered) else {
            return;
        };
        self.last_generation += 1;
        let generation = registered.edge.generation();
        assert_eq!(generation, self.last_generation);
        let token = registered.token.unwrap().bytes();
        known.take(taken, &comer, generation, token);
        self.held.push(Held {
            id: n,
            generation,
            registration: Some(registered.registration),
            link,
        });
    }

    fn check(&mut self) {
        let listed = listed(&self.ids);
        let (updates, others) = self.prompt[0].read();
        self.prompt[1].read();
        for watch in &mut self.slow {
            watch.told(updates, others);
        }
        for watch in self.prompt.iter().chain(&self.slow) {
            watch.check(&listed);
        }
        let snapshot = self.registry.snapshot();
        let edges = snapshot.edges.iter();
        let edges = edges.map(|sessions| (sessions.client_id().clone(), generations(sessions)));
        assert!(edges.eq(listed), "{snapshot:?}");
        for (n, known) in self.ids.iter().enumerate() {
            let up = known.tunnels.iter().filter(|known| known.is_up());
            let up: Vec<_> = up.map(|known| known.generation).collect();
            match self.registry.get(&id(n)) {
                Some(edge) => assert!(up.contains(&edge.generation()), "closed or gone"),
                None => assert!(up.is_empty(), "{up:?} not found"),
            }
        }
        for held in &mut self.held {
            let there = self.ids[held.id].generations().contains(&held.generation);
            if let Some(registration) = &mut held.registration {
                let told = registration.ousted.try_recv().is_ok();
                assert!(!(told && there), "told to go, and still there");
            }
        }
    }
}

/// As a tunnel is admitted: who has the id is asked before a newcomer is refused.
async fn register(
    registry: &Arc<Registry>,
    n: usize,
    comer: &Comer,
    link: &Link,
) -> Result<Registered, Conflict> {
    let (id, identity) = (
        id(n),
        identity(comer.instance, comer.slot, comer.token.clone()),
    );
    let newcomer = Newcomer {
        id: &id,
        identity: Some(&identity),
        duplicates: comer.duplicates,
        silent: &comer.silent,
    };
    let offer = Offer::legacy(id.clone(), remote());
    let register = |newcomer: &Newcomer<'_>| {
        let edge = |generation| offer.edge(&link.session, generation, &terms());
        registry.register(newcomer, edge)
    };
    match register(&newcomer) {
        Err(Conflict::Taken) => match registry.probe(&id).await {
            Some(silent) => register(&Newcomer {
                silent: &silent,
                ..newcomer
            }),
            None => Err(Conflict::Taken),
        },
        registered => registered,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Nothing is left beside the sources.
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    })]
    #[test]
    fn every_history_is_that_of_the_model(ops in ops()) {
        paused().block_on(async {
            let mut bench = Bench::new();
            for op in ops {
                bench.apply(op).await;
            }
            // Late goodbyes, of those that are there and those that are not.
            for n in (0..bench.held.len()).rev() {
                bench.leave(n);
                bench.check();
            }
            assert_eq!(bench.registry.edges().len(), 0);
        });
    }
}
