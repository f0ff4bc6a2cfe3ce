//! One slot of an edge: dial, watch, back off, repeat.
//!
//! A slot has one tunnel that it watches, and may have older ones that end with their last calls: a server that goes
//! away is told so by nobody, it tells its edges, which open the next tunnel first and leave the old one to the server.

use std::collections::HashMap;
use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_process::{HostPort, Shown};
use grpc_multiplexer_tunnel::message::{Drain, Superseded};
use grpc_multiplexer_tunnel::{Backoff, Established, Labels, Session};
use rustls::pki_types::CertificateDer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use super::Fleet;
use super::tunnel::Tunnel;
use crate::credential::Credential;
use crate::dial::{AttemptError, Introduction, Known, attempt};

/// How long a tunnel to a server of the original's lives that is worth a soon next try.
const STEADY: Duration = Duration::from_secs(30);
/// Least delay after a refusal that trying again soon cannot mend.
const LASTING_REFUSAL: Duration = Duration::from_secs(15);
/// Least delay after another edge took the name: two that take turns would leave callers with neither.
const SUPERSEDED: Duration = Duration::from_secs(60);
/// Longest delay that a server's word on when to come again is taken for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Tunnels of one slot that are left to servers that go away. One more waits until one of them has ended.
const OLD_TUNNELS: usize = 4;

/// One of an edge's slots.
#[derive(Debug)]
pub(super) struct Slot {
    fleet: Arc<Fleet>,
    number: u32,
    backoff: Backoff,
    known: HashMap<HostPort, Known>,
    /// Which of the servers is dialled next.
    next: usize,
    /// How many dials may follow a failed one at once.
    eager: usize,
    /// Whether a server that took it for another edge's was shown the other proof since its last tunnel.
    doubted: bool,
    /// What the server of the tunnel was told.
    labels: Labels,
    /// What it was shown.
    shown: Option<Credential>,
    /// And the certificate.
    certificate: Vec<CertificateDer<'static>>,
    /// Whether it ever had a tunnel.
    was_up: bool,
    /// The tunnels that live.
    tunnels: JoinSet<()>,
    /// Cancelled when the next tunnel is up.
    replaced: CancellationToken,
    /// Cancelled when the server of the tunnel is trusted no more.
    distrusted: CancellationToken,
}

impl Slot {
    /// Slots begin with different servers, as far as there are.
    pub(super) fn new(fleet: Arc<Fleet>, number: u32) -> Self {
        let next = number as usize % fleet.edge.servers.len();
        Self {
            fleet,
            number,
            backoff: Backoff::new(),
            known: HashMap::new(),
            next,
            eager: 0,
            doubted: false,
            labels: Labels::default(),
            shown: None,
            certificate: Vec::new(),
            was_up: false,
            tunnels: JoinSet::new(),
            replaced: CancellationToken::new(),
            distrusted: CancellationToken::new(),
        }
    }

    /// Keeps a tunnel until the edge is to stop; then waits until the slot's tunnels have ended.
    pub(super) async fn run(mut self) {
        let stop = self.fleet.stop.clone();
        stop.run_until_cancelled(self.keep_a_tunnel()).await;
        while self.tunnels.join_next().await.is_some() {}
    }

    async fn keep_a_tunnel(&mut self) {
        if self.number > 0 {
            self.fleet.identity.first_welcome().await;
        }
        loop {
            self.fleet.until_held(false).await;
            let fleet = Arc::clone(&self.fleet);
            let mut read_again = Box::pin(fleet.edge.read_again());
            let dialled = tokio::select! {
                biased;
                () = fleet.until_held(true) => continue,
                dialled = self.dial() => dialled,
            };
            let delay = match dialled {
                Ok(session) => {
                    let delay = self.watch(&session).await;
                    read_again.set(fleet.edge.read_again());
                    delay
                }
                Err((server, error)) => self.failed(&server, &error),
            };
            if !delay.is_zero() {
                info!(client_id = %self.fleet.edge.client_id, after = ?delay, "dialling again");
                // What kept it out may be mended then.
                let _ = timeout(delay, read_again).await;
            }
            while self.tunnels.len() > OLD_TUNNELS {
                self.tunnels.join_next().await;
            }
        }
    }

    /// Dials the next server, and starts to serve the tunnel.
    async fn dial(&mut self) -> Result<Session, (HostPort, AttemptError)> {
        let fleet = Arc::clone(&self.fleet);
        let server = &fleet.edge.servers[self.next];
        let introduction = fleet.identity.introduce(server, self.number);
        let known = self.known.entry(server.clone()).or_default();
        let attempted = attempt(server, &fleet.edge, &introduction, known).await;
        fleet.edge.metrics.attempted(&attempted);
        match attempted {
            Ok(tunnel) => {
                fleet.identity.welcomed(server, tunnel.proof);
                self.labels = tunnel.labels;
                self.shown = tunnel.credential;
                self.certificate = tunnel.certificate;
                Ok(self.serve(server, tunnel.established, tunnel.showed, tunnel.generation))
            }
            Err(error) => {
                if !error.is_duplicate() || !self.has_another_proof(server, &introduction) {
                    self.go_on();
                }
                Err((server.clone(), error))
            }
        }
    }

    /// `server` takes this slot, which introduced itself as `said`, for another edge's. If there is another proof, it is
    /// shown to the same server at once; one that was refused before a tunnel is up waits for its turn.
    fn has_another_proof(&mut self, server: &HostPort, said: &Introduction) -> bool {
        let identity = &self.fleet.identity;
        // Another slot may have been given one meanwhile.
        let newer = identity.introduce(server, self.number) != *said;
        let another = newer || identity.not_known_to(server);
        if another && !std::mem::replace(&mut self.doubted, true) {
            self.eager = self.eager.max(1);
            return true;
        }
        // Once is enough.
        let _ = self.fleet.duplicate.set(());
        false
    }

    fn serve(
        &mut self,
        server: &HostPort,
        established: Established,
        showed: Shown,
        generation: Option<u64>,
    ) -> Session {
        let session = established.session.clone();
        info!(
            client_id = %self.fleet.edge.client_id,
            %server,
            protocol = if session.is_legacy() { "legacy" } else { "1" },
            generation,
            slot = self.number,
            rtt = session.rtt().map(tracing::field::debug),
            "connected"
        );
        self.eager = 0;
        self.doubted = false;
        if !std::mem::replace(&mut self.was_up, true) {
            self.fleet.up.send_modify(|up| *up += 1);
        }
        self.replaced.cancel();
        self.replaced = CancellationToken::new();
        self.distrusted = CancellationToken::new();
        let span = info_span!("tunnel", client_id = %self.fleet.edge.client_id, %server);
        let up = Tunnel {
            fleet: Arc::clone(&self.fleet),
            server: server.clone(),
            showed,
            replaced: self.replaced.clone(),
            distrusted: self.distrusted.clone(),
        };
        self.tunnels.spawn(up.serve(established).instrument(span));
        session
    }

    /// Waits until the tunnel needs a successor, and says how long it must wait.
    async fn watch(&mut self, session: &Session) -> Duration {
        let steady = steady(session);
        tokio::pin!(steady);
        let mut proven = false;
        let fleet = Arc::clone(&self.fleet);
        let shown = self.shown.clone();
        let another = fleet.edge.another_credential(shown.as_ref());
        let certificate = self.certificate.clone();
        let another_certificate = async {
            if session.is_legacy() {
                // Such a tunnel is none that another can take the place of.
                pending::<()>().await;
            }
            fleet.edge.another_certificate(&certificate).await;
        };
        let distrusted = self.distrusted.clone();
        let labels = self.labels.clone();
        let other_labels = fleet.edge.other_labels(&labels);
        tokio::pin!(another, another_certificate, other_labels);
        loop {
            tokio::select! {
                biased;
                _ = session.closed() => {
                    self.go_on();
                    return self.back_off();
                }
                superseded = session.superseded() => return self.superseded(session, superseded).await,
                // It may be another by now that listens there, or the same with another certificate.
                () = distrusted.cancelled() => return self.back_off(),
                drain = session.peer_drains() => return self.replace(drain),
                () = &mut another => return self.show_another("credential"),
                () = &mut another_certificate => return self.show_another("certificate"),
                () = &mut other_labels => return self.show_another("set of labels"),
                () = &mut steady, if !proven => {
                    proven = true;
                    self.backoff.reset();
                }
            }
        }
    }

    /// The server goes away, or wants the tunnel to be renewed. The next tunnel is dialled at the same address first: what takes
    /// the server's place listens there, and so do its callers. If nobody does, the other addresses follow at once.
    fn replace(&mut self, drain: &Drain) -> Duration {
        info!(reason = %drain.reason, "the server asks for another tunnel");
        self.eager = self.fleet.edge.servers.len();
        told(drain.retry_after).unwrap_or_default()
    }

    /// There is another token, key, certificate or set of labels. The next tunnel shows it and takes the place of this one, before the server
    /// forgets the old one together with the tunnels that it let in.
    fn show_another(&self, what: &str) -> Duration {
        info!(client_id = %self.fleet.edge.client_id, "there is another {what}: dialling anew to show it");
        Duration::ZERO
    }

    /// Another edge has the name now. This one stays there for its calls, and for the day on which the other is gone.
    async fn superseded(&mut self, session: &Session, superseded: &Superseded) -> Duration {
        let since = Instant::now();
        let client_id = &self.fleet.edge.client_id;
        warn!(
            %client_id,
            reason = %superseded.reason,
            "another edge took this one's name: give each a name of its own, or let the server balance between them \
             (duplicate-client-id: balance)"
        );
        if self.fleet.edge.exit_on_superseded {
            self.fleet.give_up();
        }
        session.closed().await;
        let left = (since + SUPERSEDED).saturating_duration_since(Instant::now());
        self.back_off().max(left)
    }

    fn failed(&mut self, server: &HostPort, error: &AttemptError) -> Duration {
        log_failure(server, self.fleet.edge.client_id.as_str(), error);
        if self.eager > 0 {
            self.eager -= 1;
            return Duration::ZERO;
        }
        let mut at_least = told(error.retry_after()).unwrap_or_default();
        if !error.is_transient() {
            at_least = at_least.max(LASTING_REFUSAL);
        }
        self.back_off().max(at_least)
    }

    fn back_off(&mut self) -> Duration {
        let mut chance = self.fleet.edge.tunnel.chance.clone();
        self.backoff.next_delay(Instant::now(), &mut chance)
    }

    /// The turn of the next server.
    fn go_on(&mut self) {
        self.next = (self.next + 1) % self.fleet.edge.servers.len();
    }
}

/// A server's word on when to come again, within reason.
fn told(again: Option<prost_types::Duration>) -> Option<Duration> {
    let again = Duration::try_from(again?).ok()?;
    Some(again.min(LONGEST_WAIT))
}

/// Waits until the next try may come soon again: the tunnel works both ways. On the original's wire, where a tunnel ends
/// with its backend's connection, it must also have lived for a while.
async fn steady(session: &Session) {
    session.proven().await;
    if session.is_legacy() {
        sleep(STEADY).await;
    }
}

fn log_failure(server: &HostPort, client_id: &str, error: &AttemptError) {
    let shown = error as &dyn Error;
    if error.is_transient() {
        warn!(%client_id, %server, error = shown, "no tunnel");
    } else {
        tracing::error!(%client_id, %server, error = shown, "no tunnel, and none until this is mended");
    }
}

#[cfg(test)]
mod tests;
