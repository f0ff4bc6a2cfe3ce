//! What can go wrong at the border of this crate, one enum per operation.

use std::io;
use std::time::Duration;

use crate::Speaks;
use crate::message::{Code, Refused};

/// Why no tunnel came up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The pipe broke or closed before the handshake was over.
    #[error("the tunnel closed during the handshake")]
    Lost(#[source] io::Error),
    /// The peer did not finish its part in time.
    #[error("no complete introduction, or no answer to one, within {0:?}")]
    Timeout(Duration),
    /// The hello got no answer, and nothing shows that it came to a server of the original program: a server of ours is
    /// busy, or going away, or nobody reads there.
    #[error(
        "no answer to the hello; the server is busy, or the address is not its multiplexer listener"
    )]
    Unanswered(#[source] Box<Self>),
    /// The peer's bytes are not our protocol.
    #[error("the peer does not speak the tunnel protocol")]
    Malformed(#[source] io::Error),
    /// The server speaks something else altogether.
    #[error("the server speaks {0}, and not the tunnel protocol")]
    Foreign(Speaks),
    /// The peer sent another message than the one that was due.
    #[error("unexpected message before the tunnel was established")]
    Unexpected,
    /// The server does not take the tunnel.
    #[error("refused by the server: {}", .0.text)]
    Refused(Box<Refused>),
}

impl HandshakeError {
    /// What an error of reading means: bytes that are none of ours, or no bytes.
    pub(crate) fn of_bytes(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData {
            Self::Malformed(error)
        } else {
            Self::Lost(error)
        }
    }

    /// Whether trying again soon can help. It cannot where the server said no for a lasting reason, and does not say when to
    /// come again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(refused) => {
                let is_for_now = matches!(
                    refused.code(),
                    Code::ShuttingDown | Code::Limit | Code::DuplicateClientId | Code::Kicked
                );
                is_for_now || refused.retry_after.is_some()
            }
            Self::Foreign(_) => false,
            _ => true,
        }
    }
}

impl From<Refused> for HandshakeError {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

/// Why a tunnel ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// This side closed it.
    #[error("closed by this side: {0}")]
    Closed(String),
    /// The peer said goodbye.
    #[error("closed by the peer: {reason}")]
    Goodbye {
        /// Why.
        code: Code,
        /// Reason for people.
        reason: String,
    },
    /// The socket closed or broke, or the peer broke yamux's rules.
    #[error("connection lost: {0}")]
    Lost(String),
    /// No sign of life for the configured time.
    #[error("no sign of life for {0:?}")]
    Silent(Duration),
    /// The peer broke the rules of the control stream, or asked for what is not served.
    #[error("protocol violation: {reason}")]
    Violation {
        /// What the peer was told.
        code: Code,
        /// What it did.
        reason: String,
    },
}

/// Why no stream was opened. In every case the peer's backend saw nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The tunnel is gone.
    #[error("the tunnel closed")]
    Lost,
    /// As many streams as the tunnel takes are open.
    #[error("no more streams on this tunnel")]
    Limit,
    /// The peer did not answer in time.
    #[error("the peer did not answer within {0:?}")]
    Timeout(Duration),
    /// The peer answered no.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        code: Code,
        /// Reason for people.
        reason: String,
    },
}

impl OpenError {
    pub(crate) fn tag_taken(tag: u64) -> Self {
        Self::Refused {
            code: Code::Malformed,
            reason: format!("tag {tag} is that of another stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_lasts_unless_its_code_or_the_server_says_otherwise() {
        let soon = prost_types::Duration {
            seconds: 2,
            nanos: 0,
        };
        for (code, retry_after, is_transient) in [
            (Code::Unauthenticated, None, false),
            (Code::NotAllowed, None, false),
            (Code::Malformed, None, false),
            (Code::Unauthenticated, Some(soon), true),
            (Code::Kicked, None, true),
            (Code::Limit, Some(soon), true),
        ] {
            let refused = Refused {
                code: code.into(),
                text: String::new(),
                retry_after,
            };
            let error = HandshakeError::from(refused);
            assert_eq!(error.is_transient(), is_transient, "{error:?}");
        }
    }
}
