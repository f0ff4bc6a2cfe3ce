//! `grpc-timeout`: what is read and written again is no more than it was, and hardly less.

#![no_main]

use std::time::Duration;

use grpc_multiplexer_server::fuzzing::{read_timeout, write_timeout};
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

/// The shortest that is written: zero is no deadline to some backends.
const LEAST: Duration = Duration::from_millis(1);

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let Some(timeout) = read_timeout(&value) else {
        return;
    };
    let written = write_timeout(timeout);
    let again = read_timeout(&written).expect("what is written can be read");
    assert!(again <= timeout.max(LEAST), "{value:?} became {written:?}");
    let kept = again.as_secs_f64() / timeout.as_secs_f64();
    assert!(
        again == LEAST || kept > 0.99,
        "{value:?} became {written:?}"
    );
});
