//! What an edge is told that is not enrolled.

use grpc_multiplexer_tunnel::ClientId;

use crate::credential::TokenDenied;

/// Why an edge is not enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolmentDenied {
    #[error(
        "the server's --edges-enrolment does not have the token in the edge's --enrolment-token-file; give the edge one that \
         it has"
    )]
    Unknown,
    #[error(
        "the token in the edge's --enrolment-token-file was used before, and is good for one key only; give the edge a new \
         one, as made by: grpc-multiplexer-server new-token"
    )]
    Spent,
    #[error(
        "the client id '{id}' is not among those that the edge's enrolment token grants: {granted}; give the edge one of \
         those as --client-id, or a token that grants it"
    )]
    OtherId { id: ClientId, granted: String },
    /// That is nobody's fault who shows a token: nothing is spent, or the edge is known by its key when it comes again.
    #[error(
        "the server cannot write down that the edge enrolled, and why is in its log; until that is mended the token stays good"
    )]
    Unwritten,
    /// There are many, or the disk is slow. Nothing is spent.
    #[error(
        "the server is still writing down edges that enrolled before this one, whose token stays good; it is to come again"
    )]
    Busy,
}

impl From<TokenDenied> for EnrolmentDenied {
    fn from(denied: TokenDenied) -> Self {
        match denied {
            TokenDenied::OtherId { id, granted } => Self::OtherId { id, granted },
            TokenDenied::Missing | TokenDenied::Unknown => Self::Unknown,
        }
    }
}
