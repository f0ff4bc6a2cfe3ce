//! Client ids: what is one prints as it was written, and is the same in metadata.

#![no_main]

use grpc_multiplexer_server::fuzzing::client_id;
use grpc_multiplexer_tunnel::ClientId;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let id = ClientId::from_bytes(bytes);
    if let Ok(id) = &id {
        assert_eq!(id.to_string().as_bytes(), bytes);
        assert_eq!(id.to_string().parse().as_ref(), Ok(id));
    }
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        assert!(id.is_err(), "an id that metadata cannot hold");
        return;
    };
    let mut headers = HeaderMap::new();
    headers.append("client-id", value.clone());
    assert_eq!(client_id(&headers).ok(), id.ok());
    headers.append("client-id", value);
    assert!(client_id(&headers).is_err(), "two ids");
});
