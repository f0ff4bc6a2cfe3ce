//! What the policy decides, for the log: who, where, what, and the verdict.
//!
//! Each decision is a line of its own at `debug`. Those against a call are also said at `info`, each caller's of each reason
//! once a minute; all of them where the policy says so.

use grpc_multiplexer_process::Remarks;
use grpc_multiplexer_tunnel::ClientId;
use tracing::field::display;
use tracing::{debug, info};

use super::{CallersPolicy, Denied, Rights, Stranger};
use crate::settings::Live;

/// All decisions of a server.
#[derive(Debug)]
pub(crate) struct Audit {
    settings: Live,
    refusals: Remarks,
}

impl Audit {
    pub(crate) fn new(settings: Live) -> Self {
        Self {
            settings,
            refusals: Remarks::default(),
        }
    }

    /// Whether the policy in force wants each decision to be said.
    fn is_whole(&self) -> bool {
        let is_whole = |policy: &CallersPolicy| policy.is_audited();
        self.settings
            .now(|settings| settings.callers.as_ref().is_some_and(is_whole))
    }

    /// A call may run.
    pub(crate) fn allowed(&self, rights: &Rights, id: Option<&ClientId>, method: &str) {
        if let Some(caller) = rights.name() {
            let (client_id, method) = (id.map(display), method.escape_debug());
            if self.is_whole() {
                info!(verdict = "allowed", caller, client_id, rpc.method = %method, "policy");
            } else {
                debug!(verdict = "allowed", caller, client_id, rpc.method = %method, "policy");
            }
        }
    }

    /// A call may not run, or could not if this were no dry run.
    pub(crate) fn denied(
        &self,
        rights: &Rights,
        id: Option<&ClientId>,
        method: &str,
        denied: &Denied,
        dry_run: bool,
    ) {
        let verdict = if dry_run { "would-be-denied" } else { "denied" };
        let (caller, reason) = (rights.name(), denied.reason());
        let (client_id, method) = (id.map(display), method.escape_debug());
        let who = caller.unwrap_or_default();
        if self.is_whole() {
            info!(verdict, caller, client_id, rpc.method = %method, reason, why = %denied, "policy");
        } else if let Some(times) = self.refusals.again(&format!("{verdict} {who} {reason}")) {
            info!(verdict, caller, client_id, rpc.method = %method, reason, why = %denied, times, "policy");
        } else {
            debug!(verdict, caller, client_id, rpc.method = %method, reason, why = %denied, "policy");
        }
    }
}

impl Denied {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(Stranger::Nothing) => "nothing-shown",
            Self::Unknown(Stranger::Malformed) => "malformed-token",
            Self::Unknown(Stranger::Token(_)) => "unknown-token",
            Self::Unknown(Stranger::Jwt(_)) => "bad-jwt",
            Self::Unknown(Stranger::OtherJwt) => "unknown-jwt",
            Self::Unknown(Stranger::Certificate(_)) => "unknown-certificate",
            Self::Hidden(_) | Self::Unlabelled(_) => "hidden-edge",
            Self::Method => "method",
        }
    }
}
