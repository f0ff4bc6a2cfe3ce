//! Where a hook is.

use std::fmt;

use super::link::Link;
use crate::url::Url;

/// Where it is, and what it speaks.
#[derive(Debug)]
pub(super) enum Place {
    Grpc(Link),
    /// JSON over HTTP/1.
    Json(Url),
}

impl Place {
    pub(super) fn url(&self) -> &Url {
        match self {
            Self::Grpc(link) => link.url(),
            Self::Json(url) => url,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url().fmt(f)
    }
}
