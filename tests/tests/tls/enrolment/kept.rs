//! What stays as it is when files go, and when another process takes over.

use std::fs;

use grpc_multiplexer_tests::Folder;

use super::{dials, enrolled, enrols, has, is_refused_later, takes};
use crate::server;
use crate::tokens::FIRST;

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
    rainbow.says("tunnel lost").await;
    is_refused_later(&rainbow, "the edge's key grants: 'garden'").await;
    let garden = dials(&mux, "garden", &[has(&folder, "rainbow")]);
    garden.says(" connected ").await;
}
