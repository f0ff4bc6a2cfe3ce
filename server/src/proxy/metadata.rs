//! Metadata on its way through: what is dropped, what is added, how much is too much.
//!
//! Everything else passes, in order and undecoded. `x-mux-*` is ours: neither side may speak in our name.

use grpc_multiplexer_proto::CLIENT_ID_METADATA_KEY;
use http::header::{AUTHORIZATION, COOKIE, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::forwarded::drop_forwarded;

/// The key by which callers select an edge.
pub(crate) const CLIENT_ID: HeaderName = HeaderName::from_static(CLIENT_ID_METADATA_KEY);
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Our mark on a status that we made.
pub(crate) const MUX_ERROR: HeaderName = HeaderName::from_static("x-mux-error");
/// Who calls, as we know: callers cannot set it.
pub(crate) const MUX_CALLER: HeaderName = HeaderName::from_static("x-mux-caller");
/// The mark of a multiplexer behind this one.
const MUX_ERROR_INNER: HeaderName = HeaderName::from_static("x-mux-error-inner");

/// Makes a caller's metadata the backend's, but for what it says of its [way](super::forwarded).
pub(crate) fn to_backend(headers: &mut HeaderMap) {
    headers.remove(HOST);
    entries_to_backend(headers);
    // gRPC requires it of every client, and a backend may refuse a call without it.
    headers.insert(TE, HeaderValue::from_static("trailers"));
    // Callers share the lane's compression table: what is in it can be guessed byte by byte from the sizes of frames.
    for name in [AUTHORIZATION, COOKIE] {
        if let http::header::Entry::Occupied(mut entry) = headers.entry(name) {
            entry.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    }
}

/// Makes the trailers of a caller's request the backend's.
pub(crate) fn trailers_to_backend(trailers: &mut HeaderMap) {
    entries_to_backend(trailers);
    drop_forwarded(trailers);
}

fn entries_to_backend(headers: &mut HeaderMap) {
    headers.remove(CLIENT_ID);
    drop_ours_and_of_hop(headers);
}

/// Makes a backend's headers or trailers the caller's.
pub(crate) fn to_caller(headers: &mut HeaderMap) {
    let inner: Vec<_> = headers.get_all(MUX_ERROR).iter().cloned().collect();
    drop_ours_and_of_hop(headers);
    for reason in inner {
        headers.append(MUX_ERROR_INNER, reason);
    }
}

/// Whether it is for the next hop alone. h2 refuses the others (`connection`, `transfer-encoding`, `upgrade`, …) by itself.
fn is_of_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "http2-settings"
    )
}

/// Whether it is metadata in our name.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-mux-")
}

/// Drops what must go no further.
fn drop_ours_and_of_hop(headers: &mut HeaderMap) {
    let ends_here = |name: &&HeaderName| is_ours(name) || is_of_hop(name);
    // Almost always there is none: one look at the names costs less than looking each of these up.
    while let Some(name) = headers.keys().find(ends_here).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        entries
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn nobody_speaks_in_our_name() {
        let mut map = headers(&[
            ("x-mux-error", "forged"),
            ("x-mux-hop", "1"),
            ("x-muxer", "kept"),
        ]);
        to_backend(&mut map);
        assert_eq!(map, headers(&[("x-muxer", "kept"), ("te", "trailers")]));
    }

    /// Those that h2 takes.
    #[test]
    fn what_is_for_the_next_hop_alone_goes_no_further() {
        let of_hop = [
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Bearer x"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("k", "v"),
        ];
        let ways: [fn(&mut HeaderMap); 3] = [to_backend, trailers_to_backend, to_caller];
        for way in ways {
            let mut map = headers(&of_hop);
            way(&mut map);
            map.remove(TE);
            assert_eq!(map, headers(&[("k", "v")]));
        }
    }

    #[test]
    fn trailers_do_not_say_where_a_call_comes_from() {
        let mut map = headers(&[("x-forwarded-for", "192.0.2.1"), ("k", "v")]);
        trailers_to_backend(&mut map);
        assert_eq!(map, headers(&[("k", "v")]));
    }

    #[test]
    fn the_mark_of_a_multiplexer_behind_us_is_kept_apart() {
        let mut map = headers(&[("x-mux-error", "no-id"), ("x-mux-error-inner", "forged")]);
        to_caller(&mut map);
        assert_eq!(map, headers(&[("x-mux-error-inner", "no-id")]));
    }

    #[test]
    fn repeated_keys_keep_their_order() {
        let mut map = headers(&[
            ("k-bin", "AQ"),
            ("client-id", "a"),
            ("k-bin", "Ag"),
            ("k-bin", ""),
        ]);
        to_backend(&mut map);
        let values: Vec<_> = map.get_all("k-bin").iter().collect();
        assert_eq!(values, ["AQ", "Ag", ""]);
        assert!(!map.contains_key("client-id"));
    }

    #[test]
    fn credentials_stay_out_of_the_shared_compression_table() {
        let mut map = headers(&[
            ("authorization", "Bearer x"),
            ("cookie", "a"),
            ("other", "b"),
        ]);
        to_backend(&mut map);
        assert!(map["authorization"].is_sensitive());
        assert!(map["cookie"].is_sensitive());
        assert!(!map["other"].is_sensitive());
    }
}
