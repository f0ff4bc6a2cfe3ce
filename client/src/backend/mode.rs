//! How bytes go between the tunnel and a backend.

use std::str::FromStr;

/// How bytes go between the tunnel and a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BackendMode {
    /// They are copied. HTTP/2's flow control then runs between the server and the backend, so that what the backend lets wait
    /// for one call limits an upload to as much per round trip. The cheapest, and right where the backend's windows are as
    /// large as what is under way on the link, or the link is short.
    #[default]
    Splice,
    /// The edge takes the backend's credit, and gives the server credit of its own, which grows with what the link carries:
    /// for a backend with small windows behind a long link. All else passes as it came. It costs the edge memory of up to
    /// what the backend's own windows are for each call that uploads, and 64 MiB beyond that in all.
    ///
    /// Over the original's wire bytes are spliced all the same.
    Terminate,
}

/// The text is no [`BackendMode`].
#[derive(Debug, thiserror::Error)]
#[error("must be splice or terminate")]
pub struct UnknownBackendMode;

impl FromStr for BackendMode {
    type Err = UnknownBackendMode;

    fn from_str(text: &str) -> Result<Self, UnknownBackendMode> {
        match text {
            "splice" => Ok(Self::Splice),
            "terminate" => Ok(Self::Terminate),
            _ => Err(UnknownBackendMode),
        }
    }
}
