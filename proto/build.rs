//! Compiles the protos with protox, so that no `protoc` is needed on the machine.

use std::error::Error;
use std::path::Path;

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    compile("grpc/multiplexer/v1/discovery.proto", "discovery")?;
    compile("grpc/multiplexer/admin/v1/admin.proto", "admin")?;
    compile("grpc/multiplexer/hooks/v1/hooks.proto", "hooks")?;
    compile("grpc/multiplexer/tunnel/v1/tunnel.proto", "tunnel")?;
    compile("grpc/testing/test.proto", "testing")?;
    Ok(())
}

/// Generates the code for one file and what it imports, and `<name>.bin`: its descriptors, for reflection.
fn compile(file: &str, name: &str) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=grpc");
    let descriptors = protox::compile([file], ["."])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(
        Path::new(&out).join(name).with_extension("bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
