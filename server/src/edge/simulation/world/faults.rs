//! What can go wrong, and how it does.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

use super::super::network::Way;
use super::super::server::{Server, edges};
use super::super::watcher::Watcher;
use super::{ENDED, World};

/// What happens next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Nothing passes in one direction or both, for a while.
    Hold(Way, Way, Duration),
    Cut,
    /// The process ends in the middle; what it was connected to learns it, or does not.
    Crash {
        told: bool,
    },
    Stop,
    Start,
    /// The server's process ends in the middle, and is started again after a while.
    ServerCrash(Duration),
}

impl World {
    /// One that machine `n` can have now.
    pub(super) fn fault(&mut self, n: usize) -> Fault {
        if self.machines[n].process.is_none() {
            return Fault::Start;
        }
        let chance = &mut self.chance;
        let seconds = *[1, 5, 15, 25, 70].choose(chance).unwrap();
        let time = Duration::from_secs(seconds);
        match chance.random_range(0..12) {
            0..4 => Fault::Hold(Way::Held, Way::Held, time),
            4 => Fault::Hold(Way::Held, Way::Open, time),
            5 => Fault::Hold(Way::Open, Way::Held, time),
            6 | 7 => Fault::Cut,
            8 => Fault::Crash { told: true },
            9 => Fault::Crash { told: false },
            10 => Fault::Stop,
            _ => Fault::ServerCrash(time / 5),
        }
    }

    pub(super) async fn happens(&mut self, n: usize, fault: Fault) {
        if let Fault::ServerCrash(time) = fault {
            return self.server_crash(time).await;
        }
        if let Fault::Start = fault {
            return self.start(n);
        }
        let Some(mut process) = self.machines[n].process.take() else {
            return;
        };
        let path = Arc::clone(&process.path);
        let well = self.well.insert(path.remote, None).flatten();
        match fault {
            Fault::Hold(forth, back, time) => {
                path.set(forth, back);
                self.held.push((Instant::now() + time, path));
                self.machines[n].process = Some(process);
            }
            Fault::Cut => {
                path.cut();
                self.well.insert(path.remote, well.map(|_| Instant::now()));
                self.machines[n].process = Some(process);
            }
            Fault::Crash { told } => {
                if !told {
                    path.set(Way::Dark, Way::Dark);
                    self.held.retain(|(_, held)| !Arc::ptr_eq(held, &path));
                }
                process.crash().await;
            }
            Fault::Stop => {
                process.stop();
                self.until("an edge ends", ENDED, |_| process.is_over())
                    .await;
            }
            Fault::Start | Fault::ServerCrash(_) => {}
        }
    }

    async fn server_crash(&mut self, time: Duration) {
        let its_chance = self.fragile.then(|| StdRng::from_rng(&mut self.chance));
        let nobody = Server::of(Arc::new(edges(self.duplicates, &self.delays)));
        let server = std::mem::replace(&mut self.server, nobody);
        server.crash(&self.door).await;
        self.watcher = Watcher::begin(self.server.registry());
        self.pass(time).await;
        self.server = Server::start(&self.door, self.duplicates, &self.delays, its_chance);
        self.watcher = Watcher::begin(self.server.registry());
    }
}
