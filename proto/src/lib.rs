//! The wire messages of grpc-multiplexer, generated at build time from the `.proto` files of this crate.
//!
//! Nothing here has behaviour. The public API is [`v1`], that for operators [`admin::v1`], and what users implement
//! [`hooks::v1`]; what edges and servers say to each other is [`tunnel::v1`], and may not be used by anything but the tunnel
//! crate's handshake and session. [`testing`] is gRPC's own, for whoever tests that calls pass.

/// A package as it is generated.
macro_rules! package {
    ($(#[$meaning:meta])* $name:ident, $package:literal $(, $(#[$of_set:meta])* $set:literal)?) => {
        $(#[$meaning])*
        #[allow(
            missing_docs,
            clippy::use_self,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        pub mod $name {
            tonic::include_proto!($package);

            $(
                $(#[$of_set])*
                pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), $set));
            )?
        }
    };
}

package!(
    /// The public API: package `grpc.multiplexer.v1`.
    v1,
    "grpc.multiplexer.v1"
);

/// The API for operators.
pub mod admin {
    package!(
        /// Version 1: package `grpc.multiplexer.admin.v1`.
        v1,
        "grpc.multiplexer.admin.v1",
        /// Encoded `FileDescriptorSet` of this package and of what it imports, for reflection.
        "/admin.bin"
    );
}

/// What users implement, to decide who comes and to hear who came.
pub mod hooks {
    package!(
        /// Version 1: package `grpc.multiplexer.hooks.v1`.
        v1,
        "grpc.multiplexer.hooks.v1",
        /// Encoded `FileDescriptorSet` of this package and of what it imports, for reflection and JSON.
        "/hooks.bin"
    );
}

/// The tunnel protocol.
pub mod tunnel {
    package!(
        /// Version 1: package `grpc.multiplexer.tunnel.v1`.
        v1,
        "grpc.multiplexer.tunnel.v1"
    );
}

package!(
    /// gRPC's interop test service: package `grpc.testing`, of which no server of ours says that it has it.
    testing,
    "grpc.testing"
);

/// The metadata by which a caller names the edge that its call is for.
///
/// ```
/// use grpc_multiplexer_proto::CLIENT_ID_METADATA_KEY;
///
/// let mut request = tonic::Request::new(());
/// request.metadata_mut().insert(CLIENT_ID_METADATA_KEY, "rainbow".parse()?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub const CLIENT_ID_METADATA_KEY: &str = "client-id";

/// Encoded `FileDescriptorSet` of the public API and of what it imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/discovery.bin"));
