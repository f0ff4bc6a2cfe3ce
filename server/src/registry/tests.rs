//! The registry against a simple model, over random histories; and which tunnel a call gets.

mod history;
mod link;
mod model;
mod watch;

use grpc_multiplexer_tunnel::message::{Hello, Welcome};
use grpc_multiplexer_tunnel::{Arrival, Established, Session, TunnelConfig, accept, dial};
use tokio::io::duplex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::edge::lanes::Terms;
use crate::edge::offer::Offer;
use crate::metrics::Cancels;
use link::Link;

const IDS: [&str; 2] = ["a", "b"];
const DIAL: Duration = Duration::from_secs(5);

fn id(n: usize) -> ClientId {
    IDS[n].parse().unwrap()
}

fn remote() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn terms() -> Arc<Terms> {
    Arc::new(Terms {
        limits: crate::Limits::default().per_edge(),
        dial_timeout: DIAL,
        cancels: Cancels::default(),
        floods: Arc::default(),
    })
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

fn generations(sessions: &Sessions) -> Vec<Generation> {
    sessions.iter().map(|edge| edge.generation()).collect()
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
        let edge = |generation| offer.edge(session, generation, &terms());
        registry.register(&newcomer, edge).unwrap()
    };
    let (silent, _edge) = frozen(&mut tasks).await;
    let _first = register(&silent);
    sleep(Duration::from_secs(3)).await;
    assert!(!silent.in_rotation() && !silent.is_closed());
    let got = || registry.get(&id(0)).map(|edge| edge.generation());
    assert_eq!(got(), Some(1), "better than none");
    let second = Link::up().await;
    let _second = register(&second.session);
    for _ in 0..100 {
        assert_eq!(got(), Some(2));
    }
}
