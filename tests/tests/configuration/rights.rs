//! A configuration that everybody can change is not read: at the start, when it is checked or printed, and at a reload.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use grpc_multiplexer_tests::Folder;

use crate::reload::server;
use crate::{EDGE, SERVER, run, with};

fn chmod(file: &str, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_file_that_everybody_can_change_is_refused_with_what_mends_it() {
    let folder = Folder::new("others");
    let file = folder.put("file.yaml", "drain-timeout: 1s\n");
    chmod(&file, 0o666);
    let reason = format!("other users can change this file (mode 666); run: chmod o-w {file}\n");
    for program in [SERVER, EDGE] {
        for first in ["--check-config", "--print-config", "--drain-timeout=2s"] {
            let said = run(with(program, &[first, "--config", &file])).await;
            assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
            let wanted = format!("\nflag --config: {file:?}: {reason}");
            assert!(said.err.ends_with(&wanted), "{said:?}");
        }
    }
    // The same of one that nobody named.
    let found = folder.put(&format!(".{SERVER}"), "");
    chmod(&found, 0o602);
    let mut server = with(SERVER, &["--check-config"]);
    server.env("HOME", &folder.0);
    let said = run(server).await;
    assert_eq!(said.code, Some(2));
    let wanted = format!("\n{found}: other users can change this file (mode 602); ");
    assert!(said.err.contains(&wanted), "{said:?}");
}

/// Users have a group of their own. And a link that everybody can change is what every link is: Kubernetes mounts files so.
#[tokio::test]
async fn a_group_and_links_are_no_others() {
    let folder = Folder::new("links");
    let file = folder.put("..2024/server.yaml", "drain-timeout: 1s\n");
    chmod(&file, 0o664);
    symlink("..2024", folder.0.join("..data")).unwrap();
    let link = folder.0.join("server.yaml");
    symlink("..data/server.yaml", &link).unwrap();
    let link = link.display().to_string();
    let said = run(with(SERVER, &["--check-config", "--config", &link])).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
}

#[tokio::test]
async fn a_reload_leaves_such_a_file_alone() {
    let folder = Folder::new("others-reload");
    let (mux, file) = server(&folder, "log-level: info\n").await;
    folder.put("server.yaml", "log-level: debug\n");
    chmod(&file, 0o646);
    mux.signal("HUP");
    mux.says("configuration not reloaded, everything stays as it was")
        .await;
    mux.says(&format!("(mode 646); run: chmod o-w {file}"))
        .await;
    mux.never_said("key=log-level");
    chmod(&file, 0o644);
    mux.signal("HUP");
    mux.says("key=log-level old=info new=debug").await;
}
