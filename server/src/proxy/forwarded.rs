//! What a call says of the way that it came. Backends believe it, and any caller can write it.

use std::net::IpAddr;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What becomes of metadata in which proxies tell backends where a call comes from: `forwarded`, `x-forwarded-*` and
/// `x-real-ip`, and of `x-envoy-*`, by which they tell each other what to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// It is dropped, because whoever calls may have made it up.
    #[default]
    Drop,
    /// It passes, and `x-forwarded-for` gets the address of whoever is connected as its last. Nothing else of it is to be believed.
    Append,
    /// It passes as it is, but for trailers, in which no proxy says such things. For a server that only proxies of one's own can
    /// reach.
    Pass,
}

/// A text is none of the words for [`ForwardedHeaders`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected drop, append or pass")]
pub struct ForwardedHeadersError;

impl FromStr for ForwardedHeaders {
    type Err = ForwardedHeadersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "drop" => Ok(Self::Drop),
            "append" => Ok(Self::Append),
            "pass" => Ok(Self::Pass),
            _ => Err(ForwardedHeadersError),
        }
    }
}

impl ForwardedHeaders {
    /// Makes what a caller at `address` says what the backend gets.
    pub(super) fn apply(self, headers: &mut HeaderMap, address: IpAddr) {
        match self {
            Self::Drop => drop_forwarded(headers),
            Self::Append => append(headers, address),
            Self::Pass => {}
        }
    }

    /// Whether it is metadata that backends do not get.
    pub(super) fn drops(self, name: &HeaderName) -> bool {
        self == Self::Drop && is_forwarded(name)
    }
}

/// Nobody was on the way, as far as the backend hears.
pub(super) fn drop_forwarded(headers: &mut HeaderMap) {
    // Almost always there is none, and nothing to allocate.
    while let Some(name) = headers.keys().find(|name| is_forwarded(name)).cloned() {
        headers.remove(name);
    }
}

fn is_forwarded(name: &HeaderName) -> bool {
    let name = name.as_str();
    let families = ["x-forwarded-", "x-envoy-"];
    ["forwarded", "x-real-ip"].contains(&name)
        || families.iter().any(|family| name.starts_with(family))
}

/// All of the list in one entry, as what reads one entry alone must not miss the last address.
fn append(headers: &mut HeaderMap, address: IpAddr) {
    let mut list = Vec::new();
    for said in headers.get_all(FORWARDED_FOR) {
        list.extend_from_slice(said.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(address.to_canonical().to_string().as_bytes());
    let list = HeaderValue::from_bytes(&list).expect("values and an address make a value");
    headers.insert(FORWARDED_FOR, list);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: [(&str, &str); 8] = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2"),
        ("x-forwarded-client-cert", "forged"),
        ("forwarded", "for=192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-forwarder", "kept"),
        ("forwarded-not", "kept"),
    ];

    fn applied(what: &str, address: &str) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in SAID {
            headers.append(name, HeaderValue::from_static(value));
        }
        let what: ForwardedHeaders = what.parse().unwrap();
        what.apply(&mut headers, address.parse().unwrap());
        let entries = headers.iter();
        entries
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    fn entry((name, value): (&str, &str)) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_anybody_can_write_is_dropped() {
        let kept = SAID[6..].iter().copied().map(entry).collect::<Vec<_>>();
        let mut left = applied("drop", "127.0.0.1");
        left.sort();
        let mut wanted = kept;
        wanted.sort();
        assert_eq!(left, wanted);
    }

    #[test]
    fn who_is_connected_is_the_last_of_one_list() {
        for (address, shown) in [
            ("192.0.2.3", "192.0.2.1, 192.0.2.2, 192.0.2.3"),
            ("::ffff:192.0.2.3", "192.0.2.1, 192.0.2.2, 192.0.2.3"),
            ("2001:db8::1", "192.0.2.1, 192.0.2.2, 2001:db8::1"),
        ] {
            let entries = applied("append", address);
            let lists = entries.iter().filter(|(name, _)| name == "x-forwarded-for");
            assert_eq!(
                lists.collect::<Vec<_>>(),
                [&entry(("x-forwarded-for", shown))]
            );
            assert_eq!(entries.len(), SAID.len() - 1);
        }
        let mut headers = HeaderMap::new();
        append(&mut headers, "192.0.2.3".parse().unwrap());
        assert_eq!(headers["x-forwarded-for"], "192.0.2.3");
    }

    #[test]
    fn what_passes_is_as_it_was() {
        assert_eq!(applied("pass", "127.0.0.1").len(), SAID.len());
        let refused = "Drop".parse::<ForwardedHeaders>().unwrap_err();
        assert_eq!(refused.to_string(), "expected drop, append or pass");
    }
}
