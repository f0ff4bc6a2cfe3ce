//! Listening sockets: every address that a name stands for, or a reason why not.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, lookup_host};

use crate::HostPort;

/// Callers that come at once after a restart wait here for `accept`; the kernel's own limit may be lower.
const BACKLOG: i32 = 1024;

/// How often another free port is looked for. A clash takes another process that binds one of two addresses in the
/// microseconds between, so a second clash in a row is already rare.
const FREE_PORT_ATTEMPTS: usize = 8;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The name could not be looked up.
    #[error("cannot resolve {address}")]
    Resolve {
        /// What was asked for.
        address: HostPort,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The name stands for no address at all.
    #[error("cannot listen on {address}: the name has no address")]
    NoAddress {
        /// What was asked for.
        address: HostPort,
    },
    /// Another socket listens there already.
    #[error("cannot listen on {address}: the address is in use")]
    InUse {
        /// What was asked for.
        address: HostPort,
    },
    /// The system refused a socket, for instance a port below 1024.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: HostPort,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens on every address that `address` stands for, one listener each; never empty.
///
/// An empty host is every interface and `localhost` both loopback addresses, IPv4 and IPv6. With port 0, all listeners
/// get the same free port. Addresses that this machine lacks are left out as long as one remains.
///
/// # Errors
///
/// One variant of [`BindError`] for each step that can fail; no listener stays open then.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing open.
pub async fn bind(address: &HostPort) -> Result<Vec<TcpListener>, BindError> {
    let hosts = resolve(address).await?;
    if hosts.is_empty() {
        return Err(BindError::NoAddress {
            address: address.clone(),
        });
    }
    // Where IPv4 has a socket of its own, that of IPv6 must not take its place.
    let only_v6 = hosts.iter().any(SocketAddr::is_ipv4);
    listen_on_all(&hosts, |address| listen(address, only_v6)).map_err(|source| {
        let address = address.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            _ => BindError::Listen { address, source },
        }
    })
}

/// The addresses that are really listened on, joined by commas: `127.0.0.1:7592,[::1]:7592`.
#[must_use]
pub fn local_addresses(listeners: &[TcpListener]) -> String {
    let addresses: Vec<_> = listeners
        .iter()
        // A listening socket always has an address.
        .filter_map(|listener| listener.local_addr().ok())
        .map(|address| address.to_string())
        .collect();
    addresses.join(",")
}

pub(crate) async fn resolve(address: &HostPort) -> Result<Vec<SocketAddr>, BindError> {
    let port = address.port();
    let both = |v4: Ipv4Addr, v6: Ipv6Addr| vec![(v4, port).into(), (v6, port).into()];
    match address.host() {
        "" => Ok(both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)),
        // Asked of no resolver (RFC 6761, section 6.3): many machines' hosts files know but one of the two.
        "localhost" => Ok(both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)),
        host => match lookup_host((host, port)).await {
            Ok(found) => Ok(without_repeats(found)),
            Err(source) => Err(BindError::Resolve {
                address: address.clone(),
                source,
            }),
        },
    }
}

/// A hosts file may name an address twice, and the second socket would clash with the first.
fn without_repeats(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut kept = Vec::new();
    for address in addresses {
        if !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

/// Repeats [`listen_on_each`] while the port is ours to choose and clashes.
fn listen_on_all<L: Listening>(
    addresses: &[SocketAddr],
    mut listen: impl FnMut(SocketAddr) -> io::Result<L>,
) -> io::Result<Vec<L>> {
    let any_port = addresses.iter().all(|address| address.port() == 0);
    let mut attempts = if any_port { FREE_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match listen_on_each(addresses, &mut listen) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            done => return done,
        }
    }
}

/// Listens on each address that this machine has; a port that the system chose for the first is used for the rest.
fn listen_on_each<L: Listening>(
    addresses: &[SocketAddr],
    mut listen: impl FnMut(SocketAddr) -> io::Result<L>,
) -> io::Result<Vec<L>> {
    let mut listeners: Vec<L> = Vec::new();
    let mut skipped = None;
    for &(mut address) in addresses {
        if let Some(first) = listeners.first() {
            address.set_port(first.port()?);
        }
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_lacking(&error) => {
                tracing::debug!(%address, %error, "address skipped, this machine lacks it");
                skipped = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match skipped {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// What [`listen_on_each`] needs to know of a listener; tests put numbers in its place.
trait Listening {
    fn port(&self) -> io::Result<u16>;
}

impl Listening for TcpListener {
    fn port(&self) -> io::Result<u16> {
        Ok(self.local_addr()?.port())
    }
}

/// Whether the machine has no such address, or no such address family at all.
fn is_lacking(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED)
}

/// `EAFNOSUPPORT`, for which [`io::ErrorKind`] has no name.
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = if cfg!(windows) {
    10047
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    97
} else {
    // macOS and the BSDs.
    47
};

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted process gets its port back at once. On Windows the option would let two processes share a port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && only_v6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests;
