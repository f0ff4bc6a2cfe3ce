//! What one request message asks for, the same for all four kinds of call.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::cancels::OpenCall;
use crate::echo::{BidiStreamRequest, ClientStreamRequest, EchoRequest, ServerStreamRequest};

const DOMAIN: &str = "grpc-multiplexer-examples";

/// The fields that every request message has.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) payload: Bytes,
    pub(crate) text: String,
    delay: Option<prost_types::Duration>,
    status_code: i32,
    status_message: String,
}

macro_rules! ask_from {
    ($($request:ty),*) => {$(
        impl From<$request> for Ask {
            fn from(request: $request) -> Self {
                Self {
                    payload: request.payload,
                    text: request.text,
                    delay: request.delay,
                    status_code: request.status_code,
                    status_message: request.status_message,
                }
            }
        }
    )*};
}

ask_from!(
    EchoRequest,
    ServerStreamRequest,
    ClientStreamRequest,
    BidiStreamRequest
);

impl Ask {
    /// Sleeps as asked. A negative delay ends the call.
    pub(crate) async fn sleep(&self, call: &mut OpenCall) -> Result<(), Status> {
        let delay = Duration::try_from(self.delay.unwrap_or_default()).map_err(|_| {
            call.end();
            Status::invalid_argument("delay is negative or out of range")
        })?;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Ok(())
    }

    /// The status asked for ends the call.
    pub(crate) fn status(&self, call: &mut OpenCall) -> Result<(), Status> {
        if self.status_code == 0 {
            return Ok(());
        }
        call.end();
        let mut details = ErrorDetails::new();
        details
            .set_error_info(
                "ASKED_FOR",
                DOMAIN,
                HashMap::from([("text".to_owned(), self.text.clone())]),
            )
            .add_bad_request_violation("status_code", format!("asked for {}", self.status_code));
        let code = Code::from_i32(self.status_code);
        Err(Status::with_error_details(
            code,
            &self.status_message,
            details,
        ))
    }
}
