//! What fuzz targets reach of this crate beyond its interface. Built with `--cfg fuzzing`, as cargo-fuzz does, and with
//! this crate's tests, so that what no longer compiles is seen at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_tunnel::ClientId;
use grpc_multiplexer_tunnel::message::{Code, Hello, Refused, Verdict};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Grants;
use crate::credential::Credential;
use crate::edge::offer::{Offer, refused, verdicts};
use crate::guard::{FrameGuard, Turn};
use crate::limits::MetadataLimits;
use crate::proxy::{check, timeout};
use crate::registry::Identity;

/// Who says this hello, and what it is answered where nobody else has the id.
///
/// # Errors
///
/// The answer to a hello that no server takes.
pub fn judge(hello: &Hello) -> Result<(ClientId, Vec<Verdict>), Refused> {
    let offer = Offer::of(hello, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))?;
    let credential = Credential::default().and(hello.auth.as_ref())?;
    let admitted = Grants::default().admit(&credential, &offer.client_id);
    admitted.map_err(|denied| refused(denied.code(), &denied.to_string()))?;
    Identity::of(hello).map_err(|error| refused(Code::Malformed, &error.to_string()))?;
    Ok((offer.client_id, verdicts(hello, 1)))
}

/// Whether this is a gRPC request.
///
/// # Errors
///
/// Why not, for people.
pub fn check_request(head: &Parts) -> Result<(), String> {
    let checked = check::request(head, MetadataLimits::default());
    checked.map(drop).map_err(|failure| format!("{failure:?}"))
}

/// The client id that a call names.
///
/// # Errors
///
/// Why it names none, for people.
pub fn client_id(headers: &HeaderMap) -> Result<ClientId, String> {
    check::client_id(headers).map_err(|failure| format!("{failure:?}"))
}

/// What a `grpc-timeout` says.
#[must_use]
pub fn read_timeout(value: &HeaderValue) -> Option<Duration> {
    timeout::parse(value).ok()
}

/// A `grpc-timeout`.
#[must_use]
pub fn write_timeout(left: Duration) -> HeaderValue {
    timeout::format(left)
}

/// Guards `io` against a caller. The function takes all streams that began, and says whether reading waited for that.
pub fn guard_against_caller<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
) -> (impl AsyncRead + AsyncWrite + Unpin, impl Fn() -> bool) {
    let turn = Turn::default();
    let guard = FrameGuard::of_caller(io, turn.clone(), Arc::default());
    (guard, move || turn.is_over())
}

/// Guards `io` against a backend.
pub fn guard_against_backend<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
) -> impl AsyncRead + AsyncWrite + Unpin {
    FrameGuard::of_backend(io, Arc::default())
}
