//! Taking an edge off: its tunnels end, also those that take no calls any more, and its id may be kept out for a while.

use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use grpc_multiplexer_tunnel::message::Code;

use super::bans::{Ban, TooManyBans};
use super::{Registry, State};
use crate::edge::EdgeHandle;

/// Why nothing was done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotKicked {
    /// There is no tunnel of that id, and no ban was asked for.
    NoTunnel,
    /// As many ids as may be are banned already.
    TooManyBans,
}

impl From<TooManyBans> for NotKicked {
    fn from(_: TooManyBans) -> Self {
        Self::TooManyBans
    }
}

impl Registry {
    /// Ends the tunnels of `id` and says why, to their edge and to those who watch; how many. The id is kept out for the time of
    /// the ban, from the same moment on: no tunnel slips in between.
    pub(crate) fn kick(
        &self,
        id: &ClientId,
        reason: &Arc<str>,
        ban: Option<Duration>,
    ) -> Result<usize, NotKicked> {
        let tunnels = self.write().kick(id, reason, ban)?;
        for edge in &tunnels {
            let text = format!("an operator closed the tunnel: {reason}");
            edge.session().close(Code::Kicked, &text);
        }
        Ok(tunnels.len())
    }

    /// Lets edges have `id` again. False when it was not banned.
    pub(crate) fn unban(&self, id: &ClientId) -> bool {
        self.write().bans.end(id)
    }

    /// The ids that are kept out, sorted.
    pub(crate) fn bans(&self) -> Vec<(ClientId, Ban)> {
        self.read().bans.all()
    }
}

impl State {
    fn kick(
        &mut self,
        id: &ClientId,
        reason: &Arc<str>,
        ban: Option<Duration>,
    ) -> Result<Vec<Arc<EdgeHandle>>, NotKicked> {
        let mut tunnels = self.tunnels.get(id).cloned().unwrap_or_default();
        tunnels.retain(|edge| !edge.session().is_closed());
        match ban {
            Some(time) => self.bans.begin(id, reason, time)?,
            None if tunnels.is_empty() => return Err(NotKicked::NoTunnel),
            None => {}
        }
        self.remove(id, Some(reason), |_| true);
        Ok(tunnels)
    }
}
