//! Callers that call all edges in turn, and remember how every call went.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::calls::{Failure, Kind, MIX, call};

/// Between two calls of one caller: forty make two hundred in a second.
const EVERY: Duration = Duration::from_millis(200);

/// One call, once it ended.
#[derive(Debug)]
pub(crate) struct Made {
    token: u64,
    pub(crate) edge: usize,
    pub(crate) kind: Kind,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) failure: Option<Failure>,
}

/// Where calls to an edge go: the server's proxy listener for all, or each to its own backend.
pub(crate) type Way = Arc<dyn Fn(usize) -> String + Send + Sync>;

/// All that call.
pub(crate) struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
    stop: CancellationToken,
}

struct Shared {
    made: Mutex<Vec<Made>>,
    next: AtomicU64,
}

impl Shared {
    /// One that no other call has.
    fn token(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Load {
    /// `callers` of them, each over connections of its own, to the edges of a round in turn.
    pub(crate) fn start(callers: usize, round: &[usize], way: &Way) -> Self {
        let shared = Arc::new(Shared {
            made: Mutex::default(),
            next: AtomicU64::new(1),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for n in 0..callers {
            let first = Instant::now() + EVERY * n as u32 / callers as u32;
            let caller = Caller {
                // Where the round is long, they are spread over it.
                begin: n * (round.len() / callers).max(1),
                round: channels(round, way),
                shared: Arc::clone(&shared),
            };
            tasks.spawn(caller.run(first, stop.clone()));
        }
        Self {
            shared,
            callers: tasks,
            stop,
        }
    }

    /// Makes one call beside the others, which counts as they do.
    pub(crate) async fn one(&self, channel: Channel, edge: usize, kind: Kind) -> bool {
        let token = self.shared.token();
        make(Arc::clone(&self.shared), channel, edge, kind, token).await
    }

    /// Begins so many at once, over one connection; gives their tokens.
    pub(crate) fn many(&mut self, way: &Way, edge: usize, kind: Kind, count: usize) -> Vec<u64> {
        let channel = lazily(&way(edge));
        let calls = (0..count).map(|_| {
            let token = self.shared.token();
            let (channel, shared) = (channel.clone(), Arc::clone(&self.shared));
            let made = make(shared, channel, edge, kind, token);
            self.callers.spawn(made.map(drop));
            token
        });
        calls.collect()
    }

    /// Waits until all that began ended, where nobody calls all the time; how many went well.
    pub(crate) async fn well(&mut self) -> usize {
        while self.callers.join_next().await.is_some() {}
        let made = self.shared.made.lock().unwrap();
        made.iter().filter(|call| call.failure.is_none()).count()
    }

    /// Whether a call is among those that ended since the last time.
    pub(crate) fn has_ended(&self, token: u64) -> bool {
        let made = self.shared.made.lock().unwrap();
        made.iter().any(|call| call.token == token)
    }

    /// Those that ended since the last time.
    pub(crate) fn so_far(&self) -> Vec<Made> {
        mem::take(&mut self.shared.made.lock().unwrap())
    }

    /// Nobody begins a call any more; gives all, once the last has ended.
    pub(crate) async fn finish(mut self) -> Vec<Made> {
        self.stop.cancel();
        while self.callers.join_next().await.is_some() {}
        self.so_far()
    }
}

/// One for each edge; those that go one way share a connection.
fn channels(round: &[usize], way: &Way) -> Vec<(usize, Channel)> {
    let mut shared = HashMap::new();
    let ways = round.iter().map(|edge| (*edge, way(*edge)));
    ways.map(|(edge, address)| {
        let channel = lazily(&address);
        (edge, shared.entry(address).or_insert(channel).clone())
    })
    .collect()
}

/// Connects when it is first used, and again when that connection ends.
pub(crate) fn lazily(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("an address")
        .connect_lazy()
}

struct Caller {
    begin: usize,
    round: Vec<(usize, Channel)>,
    shared: Arc<Shared>,
}

impl Caller {
    async fn run(self, first: Instant, stop: CancellationToken) {
        let mut ticks = interval_at(first, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut calls = JoinSet::new();
        let mut turn = self.begin;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let (edge, channel) = self.round[turn % self.round.len()].clone();
            let kind = MIX[turn % MIX.len()];
            turn += 1;
            let shared = Arc::clone(&self.shared);
            let token = shared.token();
            calls.spawn(make(shared, channel, edge, kind, token));
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    }
}

async fn make(shared: Arc<Shared>, channel: Channel, edge: usize, kind: Kind, token: u64) -> bool {
    let began = Instant::now();
    let failure = call(channel, edge, kind, token).await.err();
    let well = failure.is_none();
    shared.made.lock().unwrap().push(Made {
        token,
        edge,
        kind,
        began,
        ended: Instant::now(),
        failure,
    });
    well
}
