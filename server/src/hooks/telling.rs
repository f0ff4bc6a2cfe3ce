//! What the hook is told of an epoch.

use grpc_multiplexer_proto::hooks::v1::{ConnectedRequest, DisconnectedRequest};

use super::outbox::{Event, What};

/// One end of it, as it is said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Telling {
    Connected(ConnectedRequest),
    Disconnected(DisconnectedRequest),
}

impl Telling {
    /// What is said of what happened at the server of that id.
    pub(super) fn of(event: &Event, server_id: &str) -> Self {
        let server_id = server_id.to_owned();
        let epoch = format!("{server_id}-{}", event.epoch);
        let client_id = event.client_id.to_string();
        let time = Some(event.time.into());
        match &event.what {
            What::Connected {
                remote,
                version,
                context,
            } => Self::Connected(ConnectedRequest {
                server_id,
                epoch,
                client_id,
                time,
                remote_address: remote.to_string(),
                version: version.clone(),
                context: context.shown(),
            }),
            What::Disconnected(reason) => Self::Disconnected(DisconnectedRequest {
                server_id,
                epoch,
                client_id,
                time,
                reason: reason.as_deref().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Of which epoch it is.
    pub(super) fn epoch(&self) -> &str {
        match self {
            Self::Connected(connected) => &connected.epoch,
            Self::Disconnected(disconnected) => &disconnected.epoch,
        }
    }

    /// Whose.
    pub(super) fn client_id(&self) -> &str {
        match self {
            Self::Connected(connected) => &connected.client_id,
            Self::Disconnected(disconnected) => &disconnected.client_id,
        }
    }

    /// What metrics call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Disconnected(_) => "disconnected",
        }
    }
}
