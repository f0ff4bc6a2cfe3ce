//! An edge's hello, and what the server makes of it.

#![no_main]

use grpc_multiplexer_server::fuzzing::judge;
use grpc_multiplexer_tunnel::fuzzing::{frame, messages};
use grpc_multiplexer_tunnel::message::{Code, Control, Hello, control::Message};
use grpc_multiplexer_tunnel::unsupported_in;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let Ok(hello) = Hello::decode(bytes) else {
        return;
    };
    match judge(&hello) {
        Ok((client_id, verdicts)) => {
            assert_eq!(client_id.as_str(), hello.endpoints[0].client_id);
            assert_eq!(verdicts.len(), hello.endpoints.len());
            let taken = verdicts.iter().filter(|verdict| verdict.code() == Code::Ok);
            assert_eq!(taken.count(), 1, "{verdicts:?}");
            assert_eq!(unsupported_in(&hello), None);
        }
        Err(refused) => {
            assert_ne!(refused.code(), Code::Ok);
            assert!(!refused.text.is_empty());
        }
    }
    travels(hello);
});

/// What was read can be sent, and is the same then.
fn travels(hello: Hello) {
    let sent = Control {
        message: Some(Message::Hello(hello)),
        critical: vec![],
    };
    let Ok(frame) = frame(&sent) else {
        return;
    };
    let (came, end) = grpc_multiplexer_fuzz::run(messages(&frame[..]));
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(came, [sent]);
}
