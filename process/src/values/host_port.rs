//! Where to listen or to dial, as in `localhost:7592`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A host, which is a name or an IP address, and a port; not resolved yet.
///
/// Its `Display` is the text that it is parsed from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Why a text is no host and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPortError {
    /// Nothing was given.
    #[error("empty; expected host:port, for example host.example:1234")]
    Empty,
    /// A host without a port.
    #[error("the port is missing; expected host:port, for example host.example:1234")]
    MissingPort,
    /// What follows the last colon is no port.
    #[error("the port must be a number from 0 to 65535")]
    BadPort,
    /// The last colon of a bare IPv6 address could belong to the address or stand before the port.
    #[error("an IPv6 address with a port needs brackets, for example [::1]:1234")]
    BareIpv6,
    /// Brackets are for IPv6 addresses only.
    #[error("what stands in brackets must be an IPv6 address, for example [::1]:1234")]
    BadBrackets,
    /// A URL, a path, or characters that no host name has.
    #[error(
        "the host must be a name or an IP address, and nothing may stand around host and port; for example \
         host.example:1234"
    )]
    BadHost,
}

impl HostPort {
    /// The name or address, an IPv6 address without brackets; empty means all interfaces.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose where to listen.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl HostPort {
    /// Whether only this machine is there: a loopback address, or a name that is for one by definition. *Source:* RFC 6761,
    /// section 6.3. Other names are not looked up.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => {
                let host = self.host.strip_suffix('.').unwrap_or(&self.host);
                let last = host.rsplit('.').next().unwrap_or_default();
                last.eq_ignore_ascii_case("localhost")
            }
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

/// Parses `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port`, or `:port` for all interfaces. The error is one variant of
/// [`HostPortError`] for each way to get it wrong.
impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        if text.is_empty() {
            return Err(HostPortError::Empty);
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(HostPortError::BareIpv6);
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(bracketed) => split_bracketed(bracketed)?,
            None => split_plain(text)?,
        };
        Ok(Self {
            host: host.to_owned(),
            port: parse_port(port)?,
        })
    }
}

/// Splits what follows the opening bracket.
fn split_bracketed(text: &str) -> Result<(&str, &str), HostPortError> {
    let (host, rest) = text.split_once(']').ok_or(HostPortError::BadBrackets)?;
    if host.parse::<Ipv6Addr>().is_err() {
        return Err(HostPortError::BadBrackets);
    }
    let port = rest.strip_prefix(':').ok_or(HostPortError::MissingPort)?;
    Ok((host, port))
}

fn split_plain(text: &str) -> Result<(&str, &str), HostPortError> {
    let (host, port) = text.rsplit_once(':').ok_or(HostPortError::MissingPort)?;
    if host.parse::<Ipv6Addr>().is_ok() {
        return Err(HostPortError::BareIpv6);
    }
    if !host.bytes().all(is_host_byte) {
        return Err(HostPortError::BadHost);
    }
    Ok((host, port))
}

/// Letters, digits and hyphen are what RFC 1123 allows; the underscore is seen in names that containers have.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn parse_port(text: &str) -> Result<u16, HostPortError> {
    if text.is_empty() {
        return Err(HostPortError::MissingPort);
    }
    // `u16::from_str` would accept a plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostPortError::BadPort);
    }
    text.parse().map_err(|_| HostPortError::BadPort)
}

#[cfg(test)]
mod tests {
    use super::HostPortError::{BadBrackets, BadHost, BadPort, BareIpv6, Empty, MissingPort};
    use super::*;

    #[test]
    fn each_way_to_get_it_wrong_has_its_own_error() {
        for (text, wanted) in [
            ("", Empty),
            ("localhost", MissingPort),
            ("localhost:", MissingPort),
            (":", MissingPort),
            ("[::1]", MissingPort),
            ("[::1]7592", MissingPort),
            ("localhost:http", BadPort),
            ("localhost:+80", BadPort),
            ("localhost:-1", BadPort),
            ("localhost:65536", BadPort),
            ("localhost:80 ", BadPort),
            ("[::1]:x", BadPort),
            ("::1", BareIpv6),
            ("2001:db8::1:7592", BareIpv6),
            (":::7592", BareIpv6),
            ("[::1", BadBrackets),
            ("[localhost]:80", BadBrackets),
            ("[]:80", BadBrackets),
            ("http://localhost:80", BadHost),
            ("localhost:80:90", BadHost),
            (" localhost:80", BadHost),
            ("local\nhost:80", BadHost),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(wanted), "{text:?}");
        }
    }

    #[test]
    fn each_error_says_what_would_be_right() {
        let example = "expected host:port, for example host.example:1234";
        for (error, wanted) in [
            (Empty, format!("empty; {example}")),
            (MissingPort, format!("the port is missing; {example}")),
            (
                BadPort,
                "the port must be a number from 0 to 65535".to_owned(),
            ),
            (
                BareIpv6,
                "an IPv6 address with a port needs brackets, for example [::1]:1234".to_owned(),
            ),
            (
                BadBrackets,
                "what stands in brackets must be an IPv6 address, for example [::1]:1234"
                    .to_owned(),
            ),
            (
                BadHost,
                "the host must be a name or an IP address, and nothing may stand around host and port; for example \
                 host.example:1234"
                    .to_owned(),
            ),
        ] {
            assert_eq!(error.to_string(), wanted);
        }
    }

    #[test]
    fn only_loopback_is_of_this_machine() {
        for (text, wanted) in [
            ("localhost:1", true),
            ("a.LocalHost.:1", true),
            ("127.1.2.3:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            (":1", false),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
            ("localhost.example:1", false),
            ("127.0.0.1.example:1", false),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!(address.is_of_this_machine(), wanted, "{text}");
        }
    }

    #[test]
    fn names_addresses_and_all_interfaces_parse_and_print_the_same() {
        for (text, host, port) in [
            ("localhost:7592", "localhost", 7592),
            ("my_host-1.example.:1", "my_host-1.example.", 1),
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("[::1]:80", "::1", 80),
            ("[::]:65535", "::", 65535),
            (":7592", "", 7592),
        ] {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!((parsed.host(), parsed.port()), (host, port), "{text:?}");
            assert_eq!(parsed.to_string(), text);
            if let Ok(address) = text.parse::<SocketAddr>() {
                assert_eq!(HostPort::from(address), parsed);
            }
        }
    }
}
