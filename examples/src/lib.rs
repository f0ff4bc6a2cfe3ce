//! The backend that the examples and the tests of grpc-multiplexer call.
//!
//! It knows nothing of tunnels, edges or client ids: it is a gRPC server like any other, made so that a caller can
//! ask for everything that may go wrong on the way. [`Echo`] is the service; [`routes()`] is all that
//! `example-backend` serves.

/// The messages and stubs of `grpc.multiplexer.examples.v1`.
pub mod echo {
    #![allow(
        missing_docs,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("grpc.multiplexer.examples.v1");
}

mod ask;
mod cancels;
mod deadline;
mod metadata;
mod routes;
mod service;

pub use routes::{FILE_DESCRIPTOR_SET, routes};
pub use service::Echo;
