//! How old a tunnel gets, where there is a limit: what let its edge in is to be shown again now and then.
//!
//! Well before the limit the edge is told to open its next tunnel, as when a server goes away, and this one is left to its
//! calls. At the limit it is closed, whatever is on it and whoever is at the other end. Edges that came in one moment are not
//! told in one moment.

use std::future::pending;
use std::time::Duration;

use grpc_multiplexer_process::{OptionSpec, duration};
use grpc_multiplexer_tunnel::message::Code;
use grpc_multiplexer_tunnel::{Chance, Session};
use rand::Rng as _;
use tokio::time::{Instant, sleep_until};

use super::EdgeHandle;

/// When the edge is told, in thousandths of the greatest age: its calls have at least a quarter of it to end.
const TOLD: std::ops::Range<u32> = 500..750;

/// How old tunnels get.
pub(crate) const OPTION: OptionSpec = OptionSpec {
    path: "max-tunnel-age",
    value_name: "DURATION",
    default: Some("0"),
    many: false,
    secret: false,
    reload: true,
    help: "How old a tunnel gets; 0 for no limit. When half to three quarters of it are over, the edge is told to open its \
           next one, for which it shows anew who it is, and calls finish on the old one",
};

/// A shorter one would leave an edge no time for the next.
const LEAST: Duration = Duration::from_secs(10);

/// Reads the option's value; `None` where there is no limit.
pub(crate) fn parse(text: &str) -> Result<Option<Duration>, String> {
    match duration(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Ok(None),
        age if age >= LEAST => Ok(Some(age)),
        _ => Err(format!("must be 0 for no limit, or at least {LEAST:?}")),
    }
}

/// The time of one tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age(Option<(Instant, Instant)>);

impl Age {
    /// It begins now. An age beyond what the clock can hold is no limit.
    pub(super) fn new(greatest: Option<Duration>, mut chance: Chance) -> Self {
        let now = Instant::now();
        let mut told = || chance.random_range(TOLD);
        Self(greatest.and_then(|age| {
            let end = now.checked_add(age)?;
            Some((now + age / 1000 * told(), end))
        }))
    }

    /// Whether there is a limit.
    pub(super) fn is_limited(self) -> bool {
        self.0.is_some()
    }

    /// How long it has left.
    pub(super) fn left(self) -> Duration {
        let end = self.0.map(|(_, end)| end);
        end.map_or(Duration::ZERO, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }

    /// Sees that the tunnel of `edge` gets no older, and has a successor in time.
    pub(super) async fn limit(self, edge: &EdgeHandle) {
        let Some((told, end)) = self.0 else {
            return pending().await;
        };
        sleep_until(told).await;
        let session = edge.session();
        session.drain("the tunnel is to be renewed", Duration::ZERO);
        tokio::select! {
            () = end_when_idle(edge, session) => {}
            () = sleep_until(end) => {}
        }
        session.close(Code::Unauthenticated, "the tunnel is as old as may be");
    }
}

/// An edge of the original's cannot be told, so it comes again when its tunnel ends: best without a call on it.
async fn end_when_idle(edge: &EdgeHandle, session: &Session) {
    if !session.is_legacy() {
        return pending().await;
    }
    edge.lanes().idle().await;
    edge.lanes().close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_age_beyond_the_clock_is_no_limit() {
        let longest = parse(&format!("{}s", u64::MAX)).unwrap();
        assert_eq!(longest, Some(Duration::from_secs(u64::MAX)));
        let age = Age::new(longest, Chance::default());
        assert_eq!(age.left(), Duration::ZERO);
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(Some(Age::new(day, Chance::default()).left()), day);
    }
}
