//! What the manifests promise.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect is over"
)]

use std::fs;
use std::process::Command;

use serde_json::Value;

/// `cargo metadata` of the locked workspace.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> &Vec<Value> {
    metadata["packages"].as_array().unwrap()
}

/// Packages from elsewhere have a source.
fn is_ours(package: &Value) -> bool {
    package["source"].is_null()
}

/// `1.88` and `1.88.0` are the same.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[test]
fn the_rust_version_is_the_highest_that_a_dependency_needs() {
    let metadata = metadata();
    let used: Vec<_> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| &node["id"])
        .collect();
    let (highest, by) = packages(&metadata)
        .iter()
        .filter(|package| !is_ours(package) && used.contains(&&package["id"]))
        .filter_map(|package| Some((version(package["rust_version"].as_str()?), &package["name"])))
        .max_by_key(|(version, _)| *version)
        .unwrap();
    for package in packages(&metadata).iter().filter(|p| is_ours(p)) {
        let ours = version(package["rust_version"].as_str().unwrap());
        assert_eq!(ours, highest, "{} beside {by}", package["name"]);
    }
}

#[test]
fn what_the_product_is_built_on_is_a_direct_dependency() {
    let metadata = metadata();
    let direct: Vec<_> = packages(&metadata)
        .iter()
        .filter(|package| is_ours(package) && package["name"] != "grpc-multiplexer-tests")
        .flat_map(|package| package["dependencies"].as_array().unwrap())
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect();
    for name in [
        "tonic", "tokio", "yamux", "tower", "prost", "clap", "tracing",
    ] {
        assert!(direct.contains(&name), "{name} is not among {direct:?}");
    }
}

#[test]
fn server_and_edge_never_see_each_other() {
    let metadata = metadata();
    let depends = |package: &str, on: &str| {
        let package = packages(&metadata).iter().find(|p| p["name"] == package);
        let dependencies = package.unwrap()["dependencies"].as_array().unwrap();
        // An example may need the other end; what is built from the crate may not.
        dependencies
            .iter()
            .any(|dependency| dependency["name"] == on && dependency["kind"].is_null())
    };
    assert!(!depends(
        "grpc-multiplexer-server",
        "grpc-multiplexer-client"
    ));
    assert!(!depends(
        "grpc-multiplexer-client",
        "grpc-multiplexer-server"
    ));
    assert!(depends(
        "grpc-multiplexer-client",
        "grpc-multiplexer-tunnel"
    ));
}

/// A package without that line would be free of all that the workspace forbids.
#[test]
fn no_package_has_unsafe_code() {
    let metadata = metadata();
    let root = metadata["workspace_root"].as_str().unwrap();
    let forbids = "unsafe_code = \"forbid\"";
    let workspace = fs::read_to_string(format!("{root}/Cargo.toml")).unwrap();
    assert!(workspace.contains(forbids));
    let ours: Vec<_> = packages(&metadata).iter().filter(|p| is_ours(p)).collect();
    assert!(ours.len() > 5, "{}", ours.len());
    for package in ours {
        let manifest = fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        let follows = manifest.contains("[lints]\nworkspace = true\n");
        let forbids = follows || manifest.contains(forbids);
        assert!(forbids, "{} does not forbid it", package["name"]);
    }
}
