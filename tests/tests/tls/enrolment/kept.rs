//! What stays as it is when files go, and when another process takes over.

use std::fs;

use grpc_multiplexer_tests::{Change, Edge, Folder, Mux};

use super::{SPENT, dials, enrolled, enrols, has, is_refused_later, takes};
use crate::tokens::{FIRST, SECOND};
use crate::tunnel::is_refused;
use crate::{borrowed, server};

fn shows_no_other(edge: &Edge) {
    edge.never_said("there is another");
}

/// A key is an edge's identity: only who starts it without the file means to have another.
#[tokio::test]
async fn an_edge_whose_key_file_is_gone_goes_on_with_its_key() {
    let folder = Folder::new("key-gone");
    let options = takes(&folder, &[(FIRST, "rainbow")]);
    let mut mux = Mux::lasting(&borrowed(&options)).await;
    let enrols = enrols(&folder, "key", FIRST[0]);
    let mut rainbow = dials(&mux, "rainbow", &enrols);
    rainbow.says(" connected ").await;
    let place = folder.0.join("key");
    let key = fs::read(&place).unwrap();
    // One that it made, and one that it read.
    for _ in 0..2 {
        fs::remove_file(&place).unwrap();
        rainbow.reload().await;
        let line = rainbow.says("the key's file is gone").await;
        assert!(
            line.contains("put it back, or start the edge again"),
            "{line}"
        );
        // So does its next tunnel.
        mux.kill().await;
        mux = mux.again(&borrowed(&options)).await;
        rainbow.says_times(" connected ", 2).await;
        shows_no_other(&rainbow);
        assert!(!place.exists());
        folder.put_secret("key", &key);
        rainbow.reload().await;
        shows_no_other(&rainbow);
        rainbow.kill().await;
        rainbow = dials(&mux, "rainbow", &enrols);
        rainbow.says(" connected ").await;
    }
    assert_eq!(enrolled(&folder).matches("ssh-ed25519").count(), 1);
}

/// It would make another, which nobody knows, and the edge would take that for its own.
#[tokio::test]
async fn an_edge_whose_key_file_is_gone_is_not_taken_over_from() {
    let folder = Folder::new("key-gone-upgrade");
    let mux = server(&takes(&folder, &[(FIRST, "rainbow")])).await;
    let mut options = enrols(&folder, "key", FIRST[0]);
    let socket = folder.0.join("edge");
    options.push(format!("--upgrade-socket={}", socket.display()));
    let mut old = dials(&mux, "rainbow", &options);
    old.says(" connected ").await;
    let place = folder.0.join("key");
    let key = fs::read(&place).unwrap();
    fs::remove_file(&place).unwrap();
    let mut new = dials(&mux, "rainbow", &options);
    assert_eq!(new.ended().await.code(), Some(1));
    let line = new.says("a process that takes over makes none").await;
    assert!(line.contains(&place.display().to_string()), "{line}");
    old.says("not handed over, this process goes on").await;
    assert!(!place.exists());
    folder.put_secret("key", &key);
    let new = dials(&mux, "rainbow", &options);
    new.says("took over from the process before").await;
    assert_eq!(old.ended().await.code(), Some(0));
    shows_no_other(&old);
    old.never_said("tunnel lost");
}

/// People delete what is secret and good for nothing.
#[tokio::test]
async fn a_token_that_was_spent_may_be_deleted() {
    let folder = Folder::new("token-gone");
    let mux = server(&takes(&folder, &[(FIRST, "rainbow")])).await;
    let enrols = enrols(&folder, "key", FIRST[0]);
    let mut rainbow = dials(&mux, "rainbow", &enrols);
    rainbow.says(" connected ").await;
    fs::remove_file(folder.0.join("key-token")).unwrap();
    let gone = "so the edge shows its key alone, which is enough once it enrolled";
    rainbow.reload().await;
    rainbow.says(gone).await;
    shows_no_other(&rainbow);
    rainbow.kill().await;
    let mut rainbow = dials(&mux, "rainbow", &enrols);
    rainbow.says(gone).await;
    rainbow.says(" connected ").await;
    rainbow.kill().await;
    // Without the key there is nothing to go on with.
    fs::remove_file(folder.0.join("key")).unwrap();
    let mut nobody = dials(&mux, "rainbow", &enrols);
    assert_eq!(nobody.ended().await.code(), Some(2));
    nobody.says("--enrolment-token-file").await;
}

/// As when a disk goes. Somebody who means it takes lines out, or changes them.
#[tokio::test]
async fn who_enrolled_keeps_its_tunnel_when_the_file_is_gone_and_not_when_its_line_has_another_id()
{
    let folder = Folder::new("enrolled-gone");
    let mux = server(&takes(&folder, &[(FIRST, "rainbow")])).await;
    let rainbow = dials(&mux, "rainbow", &enrols(&folder, "rainbow", FIRST[0]));
    rainbow.says(" connected ").await;
    let text = enrolled(&folder);
    fs::rename(folder.0.join("state"), folder.0.join("elsewhere")).unwrap();
    let line = mux.says("everything stays as it was").await;
    assert!(
        line.contains(" ERROR ") && line.contains("enrolled-edges: the file is gone; put it back"),
        "{line}"
    );
    assert_eq!(mux.listed().await, ["rainbow"]);
    rainbow.never_said("tunnel lost");
    fs::rename(folder.0.join("elsewhere"), folder.0.join("state")).unwrap();
    folder.put("state/enrolled-edges", text.replace("rainbow ", "garden "));
    let lost = rainbow.says("tunnel lost");
    Change::saved().brings("the end of its tunnel", lost).await;
    is_refused_later(&rainbow, "the edge's key grants: 'garden'").await;
    let garden = dials(&mux, "garden", &[has(&folder, "rainbow")]);
    garden.says(" connected ").await;
}

#[tokio::test]
async fn who_takes_over_knows_who_enrolled_and_what_is_spent() {
    let folder = Folder::new("enrolment-upgrade");
    let mut options = takes(&folder, &[(FIRST, "rainbow"), (SECOND, "kitchen")]);
    options.push(format!(
        "--upgrade-socket={}",
        folder.0.join("server").display()
    ));
    let mut old = server(&options).await;
    old.says("a new process may take over").await;
    let mut rainbow = dials(&old, "rainbow", &enrols(&folder, "rainbow", FIRST[0]));
    rainbow.says(" connected ").await;
    rainbow.kill().await;
    let rainbow = dials(&old, "rainbow", &[has(&folder, "rainbow")]);
    rainbow.says(" connected ").await;
    let new = old.again(&borrowed(&options)).await;
    new.says("took over from the process before").await;
    let over = new.says("the edges are over").await;
    assert!(over.contains("edges=1 missing=0"), "{over}");
    assert_eq!(old.ended().await.code(), Some(0));
    assert_eq!(new.listed().await, ["rainbow"]);
    let stranger = dials(&new, "rainbow", &enrols(&folder, "stranger", FIRST[0]));
    is_refused(&stranger, SPENT).await;
    let kitchen = dials(&new, "kitchen", &enrols(&folder, "kitchen", SECOND[0]));
    kitchen.says(" connected ").await;
}

/// The new process reads the folder before it takes over: who enrols in between is known to the old one alone.
#[tokio::test]
async fn who_enrols_with_the_one_process_is_no_stranger_to_the_other() {
    let folder = Folder::new("enrolment-both");
    let options = takes(&folder, &[(FIRST, "rainbow")]);
    let (old, new) = (server(&options).await, server(&options).await);
    let enrols = enrols(&folder, "rainbow", FIRST[0]);
    for mux in [&old, &new] {
        let mut rainbow = dials(mux, "rainbow", &enrols);
        rainbow.says(" connected ").await;
        // At once, and not as soon as the file was looked at.
        rainbow.never_said("no tunnel");
        rainbow.kill().await;
    }
    assert_eq!(enrolled(&folder).matches("ssh-ed25519").count(), 1);
    old.says("edge enrolled").await;
    new.never_said("edge enrolled");
}
