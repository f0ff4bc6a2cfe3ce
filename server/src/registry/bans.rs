//! Client ids that no edge gets for a while, because an operator says so.
//!
//! They are kept in memory: a new process knows none of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use tokio::time::Instant;

/// As many ids may be banned at a time.
const MOST: usize = 10_000;

/// Why and for how long an id is kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ban {
    pub(crate) reason: Arc<str>,
    /// From its beginning on.
    pub(crate) time: Duration,
    until: Instant,
}

impl Ban {
    /// How long it still holds.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// As many ids as may be are banned already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyBans;

/// All of them, by the id.
#[derive(Debug, Default)]
pub(super) struct Bans(BTreeMap<ClientId, Ban>);

impl Bans {
    /// Bans `id` from now on, whatever ban of it there was.
    pub(super) fn begin(
        &mut self,
        id: &ClientId,
        reason: &Arc<str>,
        time: Duration,
    ) -> Result<(), TooManyBans> {
        self.forget();
        if self.0.len() >= MOST && !self.0.contains_key(id) {
            return Err(TooManyBans);
        }
        let ban = Ban {
            reason: Arc::clone(reason),
            time,
            until: Instant::now() + time,
        };
        self.0.insert(id.clone(), ban);
        Ok(())
    }

    /// Ends the ban of `id`. False when there is none.
    pub(super) fn end(&mut self, id: &ClientId) -> bool {
        self.0.remove(id).is_some_and(|ban| !ban.is_over())
    }

    /// The ban of `id` that holds now.
    pub(super) fn of(&self, id: &ClientId) -> Option<&Ban> {
        self.0.get(id).filter(|ban| !ban.is_over())
    }

    /// Those that hold now, sorted.
    pub(super) fn all(&self) -> Vec<(ClientId, Ban)> {
        let bans = self.0.iter().filter(|(_, ban)| !ban.is_over());
        bans.map(|(id, ban)| (id.clone(), ban.clone())).collect()
    }

    fn forget(&mut self) {
        self.0.retain(|_, ban| !ban.is_over());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn id(number: usize) -> ClientId {
        format!("edge-{number}").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_ban_holds_for_its_time_or_until_it_is_ended() {
        let mut bans = Bans::default();
        let reason = |ban: Option<&Ban>| ban.map(|ban| ban.reason.to_string());
        assert!(!bans.end(&id(1)));
        bans.begin(&id(1), &"first".into(), HOUR).unwrap();
        bans.begin(&id(2), &"other".into(), HOUR).unwrap();
        advance(HOUR / 2).await;
        assert_eq!(bans.of(&id(1)).unwrap().left(), HOUR / 2);
        // The later word counts, also where it is the shorter one.
        bans.begin(&id(1), &"second".into(), HOUR / 4).unwrap();
        assert_eq!(reason(bans.of(&id(1))).as_deref(), Some("second"));
        assert_eq!(bans.all().len(), 2);
        advance(HOUR / 4).await;
        assert_eq!(bans.of(&id(1)), None);
        assert!(!bans.end(&id(1)), "it has ended by itself");
        assert!(bans.end(&id(2)));
        assert!(bans.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_limit_and_what_is_over_does_not_count() {
        let mut bans = Bans::default();
        for number in 0..MOST {
            bans.begin(&id(number), &"many".into(), HOUR).unwrap();
        }
        let more = |bans: &mut Bans| bans.begin(&id(MOST), &"more".into(), HOUR);
        assert_eq!(more(&mut bans), Err(TooManyBans));
        assert_eq!(bans.begin(&id(0), &"again".into(), HOUR), Ok(()));
        advance(HOUR).await;
        assert_eq!(more(&mut bans), Ok(()));
        assert_eq!(bans.0.len(), 1);
    }
}
