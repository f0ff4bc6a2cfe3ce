//! Random histories of edges that come, leave and fall silent, and of calls that wait for them: no arrival is missed,
//! nobody waits too long, and nobody is left.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::*;
use crate::moment::paused;

const IDS: [&str; 2] = ["a", "b"];
/// Lets everything happen that is due, and keeps any two things from falling together.
const SETTLE: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
enum Op {
    /// What an edge does, and whether calls get to run before the next thing happens.
    Edge(usize, Does, bool),
    Call(usize),
    /// One of the callers leaves.
    Leave(Index),
    /// So many tenths of a second pass.
    Pass(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Arrive,
    Leave,
    FallSilent,
    Speak,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let does = select(vec![
        Does::Arrive,
        Does::Leave,
        Does::FallSilent,
        Does::Speak,
    ]);
    let op = prop_oneof![
        4 => (0..IDS.len(), does, any::<bool>()).prop_map(|(id, does, run)| Op::Edge(id, does, run)),
        4 => (0..IDS.len()).prop_map(Op::Call),
        1 => any::<Index>().prop_map(Op::Leave),
        2 => (1..60u32).prop_map(Op::Pass),
    ];
    vec(op, 1..60)
}

/// Which ids have an edge that takes calls, as calls see it.
type Takes = Arc<Mutex<BTreeSet<usize>>>;

struct Bench {
    waiting: Arc<Waiting>,
    takes: Takes,
    /// The ids that have an edge at all.
    here: BTreeSet<usize>,
    /// Those that ever had one.
    known: BTreeSet<usize>,
    calls: JoinSet<(usize, Result<(), Absence>)>,
    /// Calls that were begun and did not end, with their id and since when.
    open: BTreeMap<usize, (usize, Instant, AbortHandle)>,
    begun: usize,
}

impl Bench {
    fn new() -> Self {
        Self {
            waiting: Arc::default(),
            takes: Takes::default(),
            here: BTreeSet::new(),
            known: BTreeSet::new(),
            calls: JoinSet::new(),
            open: BTreeMap::new(),
            begun: 0,
        }
    }

    fn settings() -> WaitSettings {
        WaitSettings {
            max_waiting_calls: 6,
            max_waiting_calls_per_edge: 4,
            ..settings()
        }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Edge(n, does, run) => {
                self.edge(n, does);
                if !run {
                    return;
                }
            }
            Op::Call(n) => self.call(n).await,
            Op::Leave(which) if !self.open.is_empty() => {
                let n = *self.open.keys().nth(which.index(self.open.len())).unwrap();
                let (_, _, call) = self.open.remove(&n).unwrap();
                call.abort();
            }
            Op::Leave(_) => {}
            Op::Pass(tenths) => sleep(Duration::from_millis(100) * tenths).await,
        }
        sleep(SETTLE).await;
        self.check();
    }

    /// As the registry tells it: what calls find first, and then that they may look.
    fn edge(&mut self, n: usize, does: Does) {
        let mut takes = self.takes.lock().unwrap();
        let name = id(IDS[n]);
        match (does, self.here.contains(&n)) {
            (Does::Arrive, false) => {
                self.here.insert(n);
                self.known.insert(n);
                takes.insert(n);
                self.waiting.arrived(&name);
            }
            (Does::Leave, true) => {
                self.here.remove(&n);
                takes.remove(&n);
                self.waiting.left(&name, &Labels::default());
            }
            (Does::FallSilent, true) => {
                takes.remove(&n);
            }
            (Does::Speak, true) => {
                takes.insert(n);
                self.waiting.changed(&name);
            }
            _ => {}
        }
    }

    async fn call(&mut self, n: usize) {
        // Those whose edge came meanwhile still have their places, until they run.
        sleep(SETTLE).await;
        self.check();
        let of_it = self.open.values().filter(|(id, ..)| *id == n).count();
        let refusal = match () {
            () if !self.known.contains(&n) => Some(Absence::Unknown),
            () if self.open.len() >= 6 => Some(Absence::TooMany),
            () if of_it >= 4 => Some(Absence::TooManyForIt),
            () => None,
        };
        let (waiting, takes) = (Arc::clone(&self.waiting), Arc::clone(&self.takes));
        let look = move || takes.lock().unwrap().contains(&n).then_some(());
        if refusal.is_some() {
            let (id, settings) = (id(IDS[n]), Self::settings());
            let answer = waiting
                .wait(&id, &settings, Sight::Clear, look)
                .now_or_never();
            assert_eq!(answer.and_then(Result::err), refusal);
            return;
        }
        self.begun += 1;
        let number = self.begun;
        let call = self.calls.spawn(async move {
            let found = waiting
                .wait(&id(IDS[n]), &Self::settings(), Sight::Clear, look)
                .await;
            (number, found)
        });
        self.open.insert(number, (n, Instant::now(), call));
    }

    fn check(&mut self) {
        while let Some(ended) = self.calls.try_join_next() {
            // Else it was left.
            if let Ok((number, found)) = ended {
                let (_, since, _) = self.open.remove(&number).unwrap();
                let took = since.elapsed();
                let in_time = took < Self::settings().reconnect_wait;
                assert!(found.is_ok() || !in_time, "given up after {took:?}");
                assert_ne!(found, Err(Absence::Unknown));
            }
        }
        let takes = self.takes.lock().unwrap();
        for (n, since, _) in self.open.values() {
            assert!(!takes.contains(n), "a call missed that its edge is there");
            assert!(since.elapsed() <= Self::settings().reconnect_wait);
        }
        let state = self.waiting.lock();
        assert_eq!(state.calls, self.open.len());
        let queues: BTreeSet<_> = self.open.values().map(|(n, ..)| *n).collect();
        assert_eq!(state.queues.len(), queues.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Nothing is left beside the sources.
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    })]
    #[test]
    fn no_call_misses_its_edge_and_none_is_left(ops in ops()) {
        paused().block_on(async {
            let mut bench = Bench::new();
            for op in ops {
                bench.apply(op).await;
            }
            sleep(Bench::settings().reconnect_wait + SETTLE).await;
            bench.check();
            assert!(bench.open.is_empty());
        });
    }
}
