//! Compiles the proto with protox, so that no `protoc` is needed on the machine.

use std::error::Error;
use std::path::Path;

use prost::Message as _;

const PROTO: &str = "proto/grpc/multiplexer/examples/v1/echo.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(
        Path::new(&out).join("echo.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        // Payloads of 64 MiB go back without a copy.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
