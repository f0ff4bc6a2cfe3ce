//! Authorities and certificates that the server's own subcommands make.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use grpc_multiplexer_tests::{Caller, Folder, command, output};

use super::{edge, pong, server};

/// Runs a subcommand in `folder`. Its code, and what it said to stdout and stderr.
fn run(folder: &Folder, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command("grpc-multiplexer-server");
    let output = output(command.args(args).current_dir(&folder.0));
    let [out, err] = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    (output.status.code(), out, err)
}

fn makes(folder: &Folder, args: &[&str]) {
    let (code, out, err) = run(folder, args);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
    assert!(out.contains(".pem and ") && out.ends_with("Z\n"), "{out}");
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn certificates_that_were_made_let_in_whom_they_are_for() {
    let folder = Folder::new("made");
    makes(&folder, &["new-authority", "ca"]);
    makes(
        &folder,
        &["new-certificate", "ca", "server", "localhost", "127.0.0.1"],
    );
    let uri = "spiffe://example.org/edge/rainbow";
    makes(&folder, &["new-certificate", "ca", "edge", uri]);
    for key in ["ca-key.pem", "server-key.pem", "edge-key.pem"] {
        assert_eq!(mode(&folder.0.join(key)), 0o600, "{key}");
    }
    let file = |name: &str| folder.0.join(name).display().to_string();
    let options = [
        format!("--multiplexer-tls-certificate={}", file("server.pem")),
        format!("--multiplexer-tls-key={}", file("server-key.pem")),
        format!("--multiplexer-tls-client-ca={}", file("ca.pem")),
        "--edges-certificate-id=spiffe://example.org/edge/{id}".to_owned(),
    ];
    let mux = server(&options).await;
    let (_backend, address) = pong().await;
    let shown = [
        format!("--multiplexer-tls-ca={}", file("ca.pem")),
        format!("--multiplexer-tls-certificate={}", file("edge.pem")),
        format!("--multiplexer-tls-key={}", file("edge-key.pem")),
    ];
    let rainbow = edge(&mux, &address, &shown);
    rainbow.says(" connected ").await;
    let caller = Caller::connect(mux.proxy).await;
    let answer = caller.call("/a/b", &[("client-id", "rainbow")], b"x").await;
    assert_eq!(answer.body, b"pong", "{answer:?}");

    // Another one in place of a file that is used is taken.
    let renewed = [
        "new-certificate",
        "ca",
        "edge",
        uri,
        "--replace",
        "--days",
        "1",
    ];
    let before = fs::read(folder.0.join("edge.pem")).unwrap();
    makes(&folder, &renewed);
    assert_ne!(fs::read(folder.0.join("edge.pem")).unwrap(), before);
    assert_eq!(mode(&folder.0.join("edge-key.pem")), 0o600);
    rainbow.says("file changed, and taken").await;
    drop(rainbow);
    edge(&mux, &address, &shown).says(" connected ").await;
}

#[test]
fn what_cannot_be_made_is_named_and_nothing_is_lost() {
    let folder = Folder::new("not-made");
    makes(&folder, &["new-authority", "ca"]);
    makes(&folder, &["new-authority", "other"]);
    makes(&folder, &["new-certificate", "ca", "server", "localhost"]);
    let before = fs::read(folder.0.join("server-key.pem")).unwrap();
    folder.put("mixed.pem", fs::read(folder.0.join("ca.pem")).unwrap());
    folder.put(
        "mixed-key.pem",
        fs::read(folder.0.join("other-key.pem")).unwrap(),
    );
    for (args, code, said) in [
        (
            &["new-authority", "ca"][..],
            1,
            "ca.pem is there already, and stays as it is; take another name",
        ),
        (
            &["new-certificate", "ca", "server", "a.example"],
            1,
            "server.pem is there already, and stays as it is; give --replace to renew it",
        ),
        (
            &["new-certificate", "nobody", "x", "a.example"],
            1,
            "new-authority NAME",
        ),
        (
            &["new-certificate", "mixed", "x", "a.example"],
            1,
            "mixed.pem has another key than mixed-key.pem",
        ),
        (
            &["new-certificate", "server", "x", "a.example"],
            1,
            "server.pem is the certificate of no authority",
        ),
        (
            &["new-certificate", "ca", "no/folder", "a.example"],
            1,
            "cannot write no/folder-key.pem: ",
        ),
        (&["new-certificate", "ca", "x"], 2, "<FOR>"),
        (
            &["new-certificate", "ca", "x", "a b"],
            2,
            "is no DNS name, IP address, or URI such as",
        ),
        (
            &["new-certificate", "ca", "x", "spiffe://ä"],
            2,
            "is no DNS name, IP address, or URI such as",
        ),
        (
            &["new-certificate", "ca", "x", "a.example", "--days", "0"],
            2,
            "'--days <NUMBER>'",
        ),
    ] {
        let (ended, out, err) = run(&folder, args);
        assert_eq!((ended, out.as_str()), (Some(code), ""), "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
        assert!(!folder.0.join("x.pem").exists() && !folder.0.join("x-key.pem").exists());
    }
    assert_eq!(fs::read(folder.0.join("server-key.pem")).unwrap(), before);
}
