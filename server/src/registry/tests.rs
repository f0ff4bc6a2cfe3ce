//! The registry against a simple model, over random histories; and which tunnel a call gets.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use grpc_multiplexer_tunnel::message::{Hello, Welcome};
use grpc_multiplexer_tunnel::{
    Arrival, Established, Session, SessionTask, TunnelConfig, accept, dial,
};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::edge::lanes::Terms;
use crate::edge::offer::Offer;
use crate::metrics::Cancels;

const IDS: [&str; 2] = ["a", "b"];
const DIAL: Duration = Duration::from_secs(5);

fn id(n: usize) -> ClientId {
    IDS[n].parse().unwrap()
}

fn remote() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn terms() -> Terms {
    Terms {
        limits: crate::Limits::default().per_edge(),
        cancels: Cancels::default(),
        floods: Arc::default(),
    }
}

fn identity(instance: u8, slot: u32, resume_token: Vec<u8>) -> Identity {
    let hello = Hello {
        instance_id: vec![instance; 16],
        tunnel_slot: slot,
        resume_token,
        ..Hello::default()
    };
    Identity::of(&hello).unwrap().unwrap()
}

/// A session that is up until its work is given up.
async fn link() -> (Session, SessionTask, DuplexStream) {
    let (near, mut far) = duplex(1024);
    // An edge of the original's: the first stream has its line.
    far.write_all(b"\0\0\0\x01\0\0\0\x01\0\0\0\x02a\n")
        .await
        .unwrap();
    let config = TunnelConfig::default();
    let Ok(Arrival::Legacy(edge)) = accept(Box::new(near), &config).await else {
        panic!("no edge");
    };
    let Established { session, task, .. } = edge.take(&config);
    (session, task, far)
}

#[derive(Debug, Clone)]
enum Op {
    Arrive {
        id: usize,
        instance: u8,
        slot: u32,
        /// Which of all tokens that were ever given for the id, from the newest; none, where there are fewer.
        token: usize,
        duplicates: DuplicateClientId,
        /// Whether those that have the id were asked, and gave no sign of life.
        silent: bool,
    },
    /// One of all registrations that were ever made is given back.
    Leave(prop::sample::Index),
    /// The tunnel of one ends, and nobody noticed.
    End(prop::sample::Index),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let duplicates = prop_oneof![
        Just(DuplicateClientId::Reject),
        Just(DuplicateClientId::Replace),
        Just(DuplicateClientId::Balance),
    ];
    let arrive = (
        0..IDS.len(),
        0..3u8,
        0..3u32,
        0..4usize,
        duplicates,
        any::<bool>(),
    );
    let arrive = arrive.prop_map(
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
        4 => arrive,
        1 => any::<prop::sample::Index>().prop_map(Op::Leave),
        1 => any::<prop::sample::Index>().prop_map(Op::End),
    ];
    vec(op, 1..60)
}

/// One tunnel, as the model knows it.
#[derive(Debug, Clone, Copy)]
struct Known {
    generation: Generation,
    holder: Generation,
    slot: u32,
    ended: bool,
}

/// One id, as the model knows it.
#[derive(Debug, Default)]
struct KnownId {
    tunnels: Vec<Known>,
    /// Whose a token is, which instance must show it, and for which slot it was given.
    valid: Vec<(Generation, u8, u32, Vec<u8>)>,
    given: Vec<Vec<u8>>,
    takeovers: usize,
}

impl KnownId {
    fn tidy(&mut self) {
        let Self { tunnels, valid, .. } = self;
        valid.retain(|(holder, ..)| tunnels.iter().any(|known| known.holder == *holder));
        if tunnels.is_empty() {
            self.takeovers = 0;
        }
    }

    fn generations(&self) -> Vec<Generation> {
        self.tunnels.iter().map(|known| known.generation).collect()
    }
}

/// A registration, and what keeps its tunnel up.
struct Held {
    id: usize,
    generation: Generation,
    registration: Option<Registration>,
    task: Option<SessionTask>,
    _far: DuplexStream,
}

/// The registry, the model, and two watchers from the start.
struct Bench {
    registry: Arc<Registry>,
    ids: Vec<KnownId>,
    held: Vec<Held>,
    last_generation: Generation,
    plain: Receiver<Change>,
    extended: Receiver<Change>,
    seen: BTreeMap<ClientId, Vec<Generation>>,
    connected: BTreeMap<ClientId, bool>,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::new();
        Self {
            plain: registry.watch(false).unwrap().changes,
            extended: registry.watch(true).unwrap().changes,
            registry,
            ids: IDS.iter().map(|_| KnownId::default()).collect(),
            held: Vec::new(),
            last_generation: 0,
            seen: BTreeMap::new(),
            connected: BTreeMap::new(),
        }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Arrive { .. } => self.arrive(op).await,
            Op::Leave(which) if !self.held.is_empty() => self.leave(which.index(self.held.len())),
            Op::End(which) if !self.held.is_empty() => {
                let n = which.index(self.held.len());
                let held = &mut self.held[n];
                // Dropped half-way, which ends the session.
                held.task.take().map(|task| task.run().now_or_never());
                let tunnels = self.ids[held.id].tunnels.iter_mut();
                for tunnel in tunnels.filter(|tunnel| tunnel.generation == held.generation) {
                    tunnel.ended = true;
                }
            }
            Op::Leave(_) | Op::End(_) => {}
        }
        self.check();
    }

    fn leave(&mut self, n: usize) {
        let held = &mut self.held[n];
        held.registration = None;
        let known = &mut self.ids[held.id];
        known
            .tunnels
            .retain(|tunnel| tunnel.generation != held.generation);
        known.tidy();
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
        let token = known.given.iter().rev().nth(token).cloned();
        let shown = token.unwrap_or_default();
        let silent = if silent { known.generations() } else { vec![] };

        // What the model says.
        known.tunnels.retain(|tunnel| !tunnel.ended);
        known.tidy();
        let proof = known
            .valid
            .iter()
            .find(|(_, of, _, token)| *of == instance && *token == shown);
        let holder = proof.map(|(holder, ..)| *holder);
        let stay: Option<Vec<Known>> = match (holder, duplicates) {
            (Some(holder), _) => {
                let stays = |known: &&Known| (known.holder, known.slot) != (holder, slot);
                Some(known.tunnels.iter().filter(stays).copied().collect())
            }
            _ if known.tunnels.is_empty() => Some(vec![]),
            (None, DuplicateClientId::Balance) => Some(known.tunnels.clone()),
            (None, DuplicateClientId::Replace) => {
                known.takeovers += 1;
                (known.takeovers <= 6).then(Vec::new)
            }
            (None, DuplicateClientId::Reject) => (!silent.is_empty()).then(Vec::new),
        };

        let (session, task, far) = link().await;
        let identity = identity(instance, slot, shown.clone());
        let newcomer = Newcomer {
            id: &id(n),
            identity: Some(&identity),
            duplicates,
            silent: &silent,
        };
        let offer = Offer::legacy(id(n), remote());
        let edge = |generation| offer.edge(&session, generation, DIAL, terms());
        let registered = self.registry.register(&newcomer, edge);
        assert_eq!(registered.is_ok(), stay.is_some(), "{registered:?}");
        let (Some(stay), Ok(registered)) = (stay, registered) else {
            return;
        };
        self.last_generation += 1;
        let generation = registered.edge.generation();
        assert_eq!(generation, self.last_generation);
        let holder = holder.unwrap_or(generation);
        let token = registered.token.unwrap().bytes();
        known.tunnels = stay;
        known.tunnels.push(Known {
            generation,
            holder,
            slot,
            ended: false,
        });
        known.valid.retain(|of| (of.0, of.2) != (holder, slot));
        known.valid.push((holder, instance, slot, token.clone()));
        if !shown.is_empty() {
            // None of these tunnels is ever proven.
            known.valid.push((holder, instance, slot, shown));
        }
        known.given.push(token);
        known.tidy();
        self.held.push(Held {
            id: n,
            generation,
            registration: Some(registered.registration),
            task: Some(task),
            _far: far,
        });
    }

    fn check(&mut self) {
        while let Ok(change) = self.plain.try_recv() {
            let connects = match change.event {
                Event::Connected(_) => true,
                Event::Disconnected => false,
                Event::Updated(_) => panic!("a plain watcher knows no update"),
            };
            let before = self.connected.insert(change.client_id, connects);
            assert_eq!(before.unwrap_or(false), !connects, "not in turn");
        }
        while let Ok(change) = self.extended.try_recv() {
            match change.event {
                Event::Connected(sessions) | Event::Updated(sessions) => {
                    self.seen.insert(change.client_id, generations(&sessions));
                }
                Event::Disconnected => drop(self.seen.remove(&change.client_id)),
            }
        }
        let snapshot = self.registry.snapshot();
        let listed = snapshot.edges.iter();
        let listed: BTreeMap<_, _> = listed
            .map(|sessions| (sessions.client_id().clone(), generations(sessions)))
            .collect();
        let model = (0..IDS.len()).map(|n| (id(n), self.ids[n].generations()));
        let model: BTreeMap<_, _> = model.filter(|(_, tunnels)| !tunnels.is_empty()).collect();
        assert_eq!(listed, model);
        assert_eq!(self.seen, model, "what a watcher puts together");
        for n in 0..IDS.len() {
            let tunnels = &self.ids[n].tunnels;
            let connected = self.connected.get(&id(n)).copied().unwrap_or(false);
            assert_eq!(connected, !tunnels.is_empty());
            let up = tunnels.iter().filter(|tunnel| !tunnel.ended);
            let up: Vec<_> = up.map(|tunnel| tunnel.generation).collect();
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

fn generations(sessions: &Sessions) -> Vec<Generation> {
    sessions.iter().map(|edge| edge.generation()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn every_history_is_that_of_the_model(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
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

/// A tunnel that is up, and whose edge answers nothing any more.
async fn frozen(tasks: &mut JoinSet<()>) -> (Session, Established) {
    let (near, far) = duplex(1024);
    let config = TunnelConfig::default();
    let server = async {
        let accepted = accept(Box::new(near), &config).await;
        let Ok(Arrival::Hello(accepted)) = accepted else {
            panic!("{accepted:?}");
        };
        let tunnel = accepted.welcome(Welcome::default()).await.unwrap();
        tasks.spawn(async move {
            tunnel.task.run().await;
        });
        tunnel.session
    };
    let (session, dialled) = tokio::join!(server, dial(Box::new(far), Hello::default(), &config));
    (session, dialled.unwrap().0)
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_to_a_tunnel_in_rotation_and_else_to_any_that_is_up() {
    let registry = Registry::new();
    let mut tasks = JoinSet::new();
    let register = |session: &Session| {
        let newcomer = Newcomer {
            id: &id(0),
            identity: None,
            duplicates: DuplicateClientId::Balance,
            silent: &[],
        };
        let offer = Offer::legacy(id(0), remote());
        let edge = |generation| offer.edge(session, generation, DIAL, terms());
        registry.register(&newcomer, edge).unwrap()
    };
    let (silent, _edge) = frozen(&mut tasks).await;
    let _first = register(&silent);
    sleep(Duration::from_secs(3)).await;
    assert!(!silent.in_rotation() && !silent.is_closed());
    let got = || registry.get(&id(0)).map(|edge| edge.generation());
    assert_eq!(got(), Some(1), "better than none");
    let (session, _task, _far) = link().await;
    let _second = register(&session);
    for _ in 0..100 {
        assert_eq!(got(), Some(2));
    }
}
