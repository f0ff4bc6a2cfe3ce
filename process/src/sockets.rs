//! The listening sockets of a process: what it listens on, and what the process before left to it.

use std::io;
use std::net::{SocketAddr, TcpListener as Socket};

use socket2::SockRef;
use tokio::net::TcpListener;

use crate::HostPort;
use crate::listen::{BindError, bind, resolve};

/// Listening sockets, by the name of what they are for. All of them close when this is dropped, and not before.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Vec<(String, TcpListener)>,
    /// Not used so far.
    left: Vec<(String, Socket)>,
}

impl Sockets {
    /// Adds one that the process before left.
    pub(crate) fn leave(&mut self, name: &str, socket: Socket) {
        self.left.push((name.to_owned(), socket));
    }

    /// Adds one that listens already.
    pub fn add(&mut self, name: &str, listener: TcpListener) {
        self.open.push((name.to_owned(), listener));
    }

    /// Listens at `address`: on the sockets of that name that were left if they are for it, else on new ones.
    ///
    /// # Errors
    ///
    /// As [`bind`].
    pub async fn bind(&mut self, name: &str, address: &HostPort) -> Result<(), BindError> {
        let failed = |source| BindError::Listen {
            address: address.clone(),
            source,
        };
        let wanted = resolve(address).await?;
        let (ours, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.left)
            .into_iter()
            .partition(|(of, _)| of == name);
        self.left = others;
        if !ours.is_empty() && ours.iter().all(|(_, socket)| fits(socket, &wanted)) {
            for (_, socket) in ours {
                self.add(name, listener(socket).map_err(failed)?);
            }
            return Ok(());
        }
        if !ours.is_empty() {
            tracing::info!(%address, "listening anew: the process before listened at another address");
        }
        for listener in bind(address).await? {
            self.add(name, listener);
        }
        Ok(())
    }

    /// Listeners on the sockets of that name, as often as they are asked for.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listeners(&self, name: &str) -> io::Result<Vec<TcpListener>> {
        let copy = |socket: &TcpListener| listener(SockRef::from(socket).try_clone()?.into());
        self.of(name).map(copy).collect()
    }

    /// The addresses of that name, joined by commas.
    #[must_use]
    pub fn addresses(&self, name: &str) -> String {
        let addresses = self.of(name).filter_map(|socket| socket.local_addr().ok());
        let addresses: Vec<_> = addresses.map(|address| address.to_string()).collect();
        addresses.join(",")
    }

    /// The port that all sockets of that name share, 0 if there are none.
    #[must_use]
    pub fn port(&self, name: &str) -> u16 {
        let address = self.of(name).find_map(|socket| socket.local_addr().ok());
        address.map_or(0, |address| address.port())
    }

    /// All that listen.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &TcpListener)> {
        self.open
            .iter()
            .map(|(name, socket)| (name.as_str(), socket))
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &TcpListener> {
        let open = self.open.iter();
        open.filter_map(move |(of, socket)| (of == name).then_some(socket))
    }
}

fn listener(socket: Socket) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// Whether the socket listens at one of the addresses that are wanted. A wanted port 0 is any port.
fn fits(socket: &Socket, wanted: &[SocketAddr]) -> bool {
    socket.local_addr().is_ok_and(|address| {
        wanted.iter().any(|wanted| {
            wanted.ip() == address.ip() && [0, address.port()].contains(&wanted.port())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_fits_an_address_that_is_wanted() {
        let ours = Socket::bind("127.0.0.1:0").unwrap();
        let port = ours.local_addr().unwrap().port();
        let wanted = |text: &str| vec!["[::1]:0".parse().unwrap(), text.parse().unwrap()];
        assert!(fits(&ours, &wanted("127.0.0.1:0")));
        assert!(fits(&ours, &wanted(&format!("127.0.0.1:{port}"))));
        assert!(!fits(&ours, &wanted("127.0.0.1:1")));
        assert!(!fits(&ours, &wanted("127.0.0.2:0")));
    }

    #[tokio::test]
    async fn what_was_left_is_used_where_it_fits_and_not_elsewhere() {
        let mut sockets = Sockets::default();
        let left = Socket::bind("127.0.0.1:0").unwrap();
        let address = left.local_addr().unwrap();
        sockets.leave("proxy", left.try_clone().unwrap());
        sockets.leave("other", left);
        sockets.bind("proxy", &address.into()).await.unwrap();
        assert_eq!(sockets.addresses("proxy"), address.to_string());
        assert_eq!(sockets.port("proxy"), address.port());
        // Another address was asked for.
        let anew = "127.0.0.2:0".parse().unwrap();
        sockets.bind("other", &anew).await.unwrap();
        assert!(sockets.addresses("other").starts_with("127.0.0.2:"));
        // Each listener is another copy.
        for _ in 0..2 {
            let listeners = sockets.listeners("proxy").unwrap();
            assert_eq!(listeners[0].local_addr().unwrap(), address);
        }
    }
}
