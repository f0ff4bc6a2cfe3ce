use std::error::Error as _;
use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};

use std::net::IpAddr;

use super::*;

impl Listening for SocketAddr {
    fn port(&self) -> io::Result<u16> {
        Ok(Self::port(self))
    }
}

fn addresses(port: u16) -> [SocketAddr; 2] {
    [
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

fn has(address: IpAddr) -> bool {
    std::net::TcpListener::bind((address, 0)).is_ok()
}

#[tokio::test]
async fn an_address_in_use_is_named_as_such() {
    let taken = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = local_addresses(&taken).parse().unwrap();
    let error = bind(&address).await.unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: the address is in use")
    );
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused_with_the_reason() {
    // TEST-NET-1 of RFC 5737: nobody's.
    let error = bind(&"192.0.2.1:0".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_refused_with_the_reason() {
    // Longer than a name in the DNS may be, so no resolver is asked.
    let address = format!("{}:1", "a".repeat(300)).parse().unwrap();
    let error = bind(&address).await.unwrap_err();
    assert!(matches!(error, BindError::Resolve { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot resolve {address}"));
    assert!(error.source().is_some());
}

#[test]
fn a_free_port_that_clashes_is_chosen_anew_and_a_given_one_is_not() {
    let mut chosen = 1000;
    let mut listen = |mut address: SocketAddr| {
        if address.port() == 0 {
            chosen += 1;
            address.set_port(chosen);
        }
        match (address.is_ipv6(), address.port()) {
            (true, 1001 | 1002) => Err(io::Error::from(AddrInUse)),
            _ => Ok(address),
        }
    };
    let error = listen_on_all(&addresses(1001), &mut listen).unwrap_err();
    assert_eq!(error.kind(), AddrInUse);
    let listeners = listen_on_all(&addresses(0), &mut listen).unwrap();
    assert_eq!(listeners, addresses(1003));
}

#[test]
fn a_free_port_is_not_looked_for_for_ever() {
    let mut asked = 0;
    let error = listen_on_all(&addresses(0), |_| {
        asked += 1;
        Err::<SocketAddr, _>(io::Error::from(AddrInUse))
    })
    .unwrap_err();
    assert_eq!((error.kind(), asked), (AddrInUse, FREE_PORT_ATTEMPTS));
}

#[test]
fn a_lacking_address_is_skipped_only_while_another_one_is_there() {
    for lacking in [
        io::Error::from(AddrNotAvailable).raw_os_error(),
        Some(ADDRESS_FAMILY_NOT_SUPPORTED),
    ] {
        let error =
            || lacking.map_or_else(|| AddrNotAvailable.into(), io::Error::from_raw_os_error);
        let listeners = listen_on_all(&addresses(1), |address| match address.is_ipv6() {
            true => Err(error()),
            false => Ok(address),
        });
        assert_eq!(listeners.unwrap(), addresses(1)[..1]);
        assert!(listen_on_all(&addresses(1), |_| Err::<SocketAddr, _>(error())).is_err());
    }
}

#[test]
fn any_other_failure_of_one_address_fails_them_all() {
    let result = listen_on_all(&addresses(1), |address| match address.is_ipv6() {
        true => Err(io::Error::from(PermissionDenied)),
        false => Ok(address),
    });
    assert_eq!(result.unwrap_err().kind(), PermissionDenied);
}

#[tokio::test]
async fn localhost_and_all_interfaces_share_one_free_port_over_both_families() {
    for (text, v4, v6) in [
        ("localhost:0", Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        (":0", Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
    ] {
        let listeners = bind(&text.parse().unwrap()).await.unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        assert_ne!(port, 0);
        let wanted: Vec<_> = [IpAddr::from(v4), IpAddr::from(v6)]
            .into_iter()
            .filter(|&address| has(address))
            .map(|address| SocketAddr::new(address, port).to_string())
            .collect();
        assert_eq!(local_addresses(&listeners), wanted.join(","));
    }
}

#[test]
fn an_address_that_is_named_twice_is_listened_on_once() {
    let [v4, v6] = addresses(1);
    assert_eq!(without_repeats([v4, v6, v4].into_iter()), [v4, v6]);
}
