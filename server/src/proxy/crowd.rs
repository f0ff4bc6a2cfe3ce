//! How many caller connections there are, in all and from one address.
//!
//! One over a limit is closed before a byte is said. A gRPC library takes that for an attempt that failed, waits longer
//! each time and tries other addresses; after a GOAWAY it would come again at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The caller connections there are.
#[derive(Debug)]
pub(crate) struct Crowd {
    most: usize,
    most_per_address: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why one more is too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Crowded {
    #[error("max-caller-connections are open")]
    All,
    #[error("max-caller-connections-per-address are open from there")]
    Address,
    #[error("memory or descriptors are short")]
    Overload,
}

impl Crowded {
    /// The reason in a word.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::All => "limit",
            Self::Address => "address",
            Self::Overload => "overload",
        }
    }
}

impl Crowd {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_address,
            state: Mutex::default(),
        })
    }

    /// Counts one more, for as long as the guard lives.
    pub(crate) fn join(self: &Arc<Self>, from: IpAddr) -> Result<Member, Crowded> {
        let host = host(from);
        let mut state = self.lock();
        if state.all >= self.most {
            return Err(Crowded::All);
        }
        let of_host = state.by_address.entry(host).or_default();
        if *of_host >= self.most_per_address {
            return Err(Crowded::Address);
        }
        *of_host += 1;
        state.all += 1;
        Ok(Member {
            crowd: Arc::clone(self),
            host,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves counts that are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose address this is: a host on IPv6 has a whole /64.
pub(crate) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// One of the crowd.
#[derive(Debug)]
pub(crate) struct Member {
    crowd: Arc<Crowd>,
    host: IpAddr,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.crowd.lock();
        state.all -= 1;
        if let Entry::Occupied(mut of_host) = state.by_address.entry(self.host) {
            *of_host.get_mut() -= 1;
            if *of_host.get() == 0 {
                of_host.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(crowd: &Arc<Crowd>, from: &str) -> Result<Member, Crowded> {
        crowd.join(from.parse().unwrap())
    }

    #[test]
    fn both_limits_hold_at_their_edges_and_nothing_is_kept_of_who_left() {
        let crowd = Crowd::new(3, 2);
        let first = join(&crowd, "10.0.0.1").unwrap();
        let _second = join(&crowd, "::ffff:10.0.0.1").unwrap();
        assert_eq!(join(&crowd, "10.0.0.1").unwrap_err(), Crowded::Address);
        let third = join(&crowd, "2001:db8::1").unwrap();
        assert_eq!(join(&crowd, "10.0.0.2").unwrap_err(), Crowded::All);
        drop(first);
        drop(third);
        join(&crowd, "10.0.0.1").unwrap();
        assert_eq!(crowd.lock().by_address.len(), 1);
    }

    #[test]
    fn a_host_on_ipv6_is_its_network() {
        let crowd = Crowd::new(3, 1);
        let _one = join(&crowd, "2001:db8:0:1::1").unwrap();
        assert!(join(&crowd, "2001:db8:0:1:ffff::2").is_err());
        assert!(join(&crowd, "2001:db8:0:2::1").is_ok());
    }
}
