fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../proto/thermometer/v1/thermometer.proto";
    println!("cargo:rerun-if-changed={proto}");
    // With a `protoc` at hand, `tonic_prost_build::compile_protos` does the same.
    tonic_prost_build::compile_fds(protox::compile([proto], ["../proto"])?)?;
    Ok(())
}
