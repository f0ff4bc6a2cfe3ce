//! The wire messages of grpc-multiplexer, generated at build time from the `.proto` files of this crate.
//!
//! Nothing here has behaviour. The public API is [`v1`], that for operators [`admin::v1`], and
//! what users implement [`hooks::v1`]; what edges and servers say to
//! each other is [`tunnel::v1`], and may not be used by anything but the tunnel crate's handshake and session. [`testing`] is
//! gRPC's own, for whoever tests that calls pass.

/// The public API: package `grpc.multiplexer.v1`.
pub mod v1 {
    #![allow(
        missing_docs,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("grpc.multiplexer.v1");
}

/// The API for operators.
pub mod admin {
    /// Version 1: package `grpc.multiplexer.admin.v1`.
    pub mod v1 {
        #![allow(
            missing_docs,
            clippy::use_self,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        tonic::include_proto!("grpc.multiplexer.admin.v1");

        /// Encoded `FileDescriptorSet` of this package and of what it imports, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/admin.bin"));
    }
}

/// What users implement, to decide who comes and to hear who came.
pub mod hooks {
    /// Version 1: package `grpc.multiplexer.hooks.v1`.
    pub mod v1 {
        #![allow(
            missing_docs,
            clippy::use_self,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        tonic::include_proto!("grpc.multiplexer.hooks.v1");

        /// Encoded `FileDescriptorSet` of this package and of what it imports, for reflection and JSON.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/hooks.bin"));
    }
}

/// The tunnel protocol.
pub mod tunnel {
    /// Version 1: package `grpc.multiplexer.tunnel.v1`.
    pub mod v1 {
        #![allow(
            missing_docs,
            clippy::use_self,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        tonic::include_proto!("grpc.multiplexer.tunnel.v1");
    }
}

/// gRPC's interop test service: package `grpc.testing`, of which no server of ours says that it has it.
pub mod testing {
    #![allow(
        missing_docs,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("grpc.testing");
}

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
