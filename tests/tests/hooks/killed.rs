//! What a hook is told of the edges of a server that was killed.

use std::fs;

use grpc_multiplexer_tests::{Folder, until};

use crate::hook::{Fails, Hook, Told};
use crate::{edge, server, yes};

fn files(folder: &Folder) -> usize {
    let names = fs::read_dir(folder.0.join("state")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("hook-events-"))
        .count()
}

/// The hook knows of one edge, and of the other nothing yet.
#[tokio::test]
async fn the_next_server_tells_how_the_epochs_of_one_that_was_killed_ended() {
    let hook = Hook::saying(yes()).await;
    let folder = Folder::new("hooks-killed");
    let state = format!("--state-dir={}", folder.0.join("state").display());
    hook.fails(Fails::Of("kitchen"));
    let mut old = server(hook.address, &[&state]).await;
    let edges = ["kitchen", "rainbow"].map(|id| edge(&old, id, &[]));
    let first = hook.told_of("rainbow", 1).await;
    hook.told_of("kitchen", 1).await;
    old.kill().await;
    drop(edges);
    hook.fails(Fails::Never);
    let heard = hook.told().len();

    let mux = server(hook.address, &[&state]).await;
    mux.says("the hook is told what a server left that was killed")
        .await;
    let told = hook.told_of("rainbow", 2).await;
    let (Told::Connected(begin), Told::Disconnected(end)) = (&told[0], &told[1]) else {
        panic!("{told:?}");
    };
    assert_eq!(told[..1], first);
    assert_eq!(
        (&end.epoch, &end.server_id),
        (&begin.epoch, &begin.server_id)
    );
    assert_eq!(end.reason, "the server was killed");
    assert!(end.time.is_some());
    let kitchen = until("both ends of the other are told", async || {
        let told = hook.told().split_off(heard);
        let told = told
            .into_iter()
            .filter(|told| told.client_id() == "kitchen");
        let told: Vec<_> = told.collect();
        (told.len() == 2).then_some(told)
    })
    .await;
    assert!(!kitchen[0].is_end() && kitchen[1].is_end(), "{kitchen:?}");
    assert_eq!(kitchen[0].epoch(), kitchen[1].epoch());
    // Once is enough: but for its own there is nothing left to be told, by whoever comes next.
    until("what was told is forgotten", async || {
        (files(&folder) == 1).then_some(())
    })
    .await;
    drop(mux);
    let all = hook.told().len();
    let mux = server(hook.address, &[&state]).await;
    let edge = edge(&mux, "garden", &[]);
    hook.told_of("garden", 1).await;
    assert_eq!(hook.told().len(), all + 1);
    drop(edge);
}
