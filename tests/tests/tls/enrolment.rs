//! Edges that exchange a token for a key of their own, once.

mod kept;
mod refused;

use std::fs;

use grpc_multiplexer_process::SshPrivateKey;
use grpc_multiplexer_tests::{Change, Edge, Folder, Mux, Token, until};

use crate::reload::taken;
use crate::tokens::{FIRST, KITCHENS, SECOND, lines};
use crate::tunnel::{is_reached, is_refused};
use crate::{NOWHERE, Pki, borrowed, edge, pong, server};

/// Everything that is ever said.
const TRACE: [&str; 2] = ["--log-level", "trace"];
const SPENT: &str = "was used before, and is good for one key only";

/// The options of a server that takes these tokens.
fn takes(folder: &Folder, tokens: &[(Token, &str)]) -> Vec<String> {
    let file = folder.put_secret("tokens", lines(tokens));
    vec![format!("--edges-enrolment={file}"), state(folder)]
}

fn state(folder: &Folder) -> String {
    format!("--state-dir={}", folder.0.join("state").display())
}

/// The options of an edge whose key is in the file of that name, once there is one.
fn has(folder: &Folder, key: &str) -> String {
    format!("--key-file={}", folder.0.join(key).display())
}

/// The same of one that shows a token.
fn enrols(folder: &Folder, key: &str, token: &str) -> Vec<String> {
    let file = folder.put_secret(&format!("{key}-token"), format!("{token}\n"));
    vec![has(folder, key), format!("--enrolment-token-file={file}")]
}

fn dials(mux: &Mux, id: &str, options: &[String]) -> Edge {
    Edge::dialling(mux.multiplexer, id, NOWHERE, &borrowed(options))
}

fn enrolled(folder: &Folder) -> String {
    fs::read_to_string(folder.0.join("state/enrolled-edges")).unwrap_or_default()
}

/// One token, whoever has it, and whatever becomes of the processes and of the token's line.
#[tokio::test]
async fn a_token_is_spent_by_one_edge_for_good() {
    let folder = Folder::new("spent");
    let options = takes(&folder, &[(KITCHENS, "kitchen-*")]);
    let mut mux = server(&options).await;
    let (first, second) = (
        enrols(&folder, "first", KITCHENS[0]),
        enrols(&folder, "second", KITCHENS[0]),
    );
    let mut kitchen = dials(&mux, "kitchen-1", &first);
    kitchen.says(" connected ").await;
    // It is all on the disk by then.
    mux.kill().await;
    kitchen.kill().await;
    let none: [String; 2] = [
        format!(
            "--edges-enrolment={}",
            folder.put_secret("none", "# none\n")
        ),
        state(&folder),
    ];
    for options in [&options[..], &none[..], &none[1..]] {
        let mux = server(options).await;
        for id in ["kitchen-2", "kitchen-1"] {
            let refused = dials(&mux, id, &second);
            is_refused(&refused, SPENT).await;
        }
        // Its key is good for the one id that it came with, and needs no token any more.
        let wrong = dials(&mux, "kitchen-2", &first);
        is_refused(&wrong, "the edge's key grants: 'kitchen-1'").await;
        for options in [&first[..], &first[..1]] {
            let mut kitchen = dials(&mux, "kitchen-1", options);
            kitchen.says(" connected ").await;
            kitchen.kill().await;
        }
    }
    assert_eq!(enrolled(&folder).matches("ssh-ed25519").count(), 1);
}

/// Two servers, too, which share a folder while one takes over from the other.
#[tokio::test]
async fn of_edges_that_come_at_once_with_one_token_one_is_taken() {
    let folder = Folder::new("enrolment-race");
    let options = takes(&folder, &[(KITCHENS, "kitchen-*")]);
    let both = [server(&options).await, server(&options).await];
    let edges: Vec<_> = (0..8)
        .map(|number| {
            let options = enrols(&folder, &format!("key-{number}"), KITCHENS[0]);
            dials(&both[number % 2], &format!("kitchen-{number}"), &options)
        })
        .collect();
    // One by one, so that nobody is refused whose time only has not come.
    let mut refused = 0;
    for edge in &edges {
        let outcome = until("an edge is taken or refused", async || {
            let log = edge.log();
            let says = |part| log.iter().any(|line: &String| line.contains(part));
            if says(" connected ") {
                return Some(false);
            }
            says(SPENT).then_some(true)
        });
        refused += usize::from(outcome.await);
    }
    assert_eq!(refused, edges.len() - 1);
    assert_eq!(enrolled(&folder).matches("ssh-ed25519").count(), 1);
}

#[tokio::test]
async fn what_cannot_be_written_down_refuses_the_edge_and_spends_nothing() {
    let folder = Folder::new("unwritten");
    let mux = server(&takes(&folder, &[(FIRST, "rainbow"), (SECOND, "kitchen")])).await;
    let place = folder.0.join("state/enrolled-edges.new");
    // The server makes its folder after it listens.
    until("there is a state folder", async || {
        fs::create_dir(&place).ok()
    })
    .await;
    let [edge, other] = [("rainbow", FIRST), ("kitchen", SECOND)]
        .map(|(id, [token, _])| dials(&mux, id, &enrols(&folder, id, token)));
    for edge in [&edge, &other] {
        let line = edge.says("no tunnel").await;
        assert!(
            line.contains("cannot write down that the edge enrolled")
                && line.contains("until that is mended the token stays good"),
            "{line}"
        );
    }
    let unwritten = "edge not enrolled: that cannot be written down";
    let line = mux.says(unwritten).await;
    assert!(line.contains(&place.display().to_string()), "{line}");
    // Once for all that come.
    let log = mux.log();
    let said = log.iter().filter(|line| line.contains(unwritten)).count();
    assert_eq!(said, 1, "{log:#?}");
    assert!(mux.listed().await.is_empty());
    assert_eq!(enrolled(&folder), "");
    fs::remove_dir(place).unwrap();
    // It comes again by itself.
    edge.says(" connected ").await;
}

/// As people do who want an edge to be gone.
#[tokio::test]
async fn a_line_that_is_taken_out_takes_its_tunnel_along_and_its_token_stays_spent() {
    let folder = Folder::new("enrolment-out");
    let options = takes(&folder, &[(FIRST, "rainbow"), (SECOND, "kitchen rainbow")]);
    let mut mux = server(&options).await;
    let rainbow = dials(&mux, "rainbow", &enrols(&folder, "rainbow", FIRST[0]));
    let kitchen = dials(&mux, "kitchen", &enrols(&folder, "kitchen", SECOND[0]));
    for edge in [&rainbow, &kitchen] {
        edge.says(" connected ").await;
    }
    let text = enrolled(&folder);
    let without = text.lines().filter(|line| !line.starts_with("rainbow "));
    let without: Vec<_> = without.collect();
    let file = folder.put("state/enrolled-edges", without.join("\n"));
    let lost = rainbow.says("tunnel lost");
    Change::saved().brings("the end of its tunnel", lost).await;
    taken(&mux, &file, 1).await;
    is_refused_later(&rainbow, SPENT).await;
    assert_eq!(mux.listed().await, ["kitchen"]);
    mux.kill().await;
    let mux = server(&options).await;
    for key in ["rainbow", "another"] {
        let edge = dials(&mux, "rainbow", &enrols(&folder, key, FIRST[0]));
        is_refused(&edge, SPENT).await;
    }
    // What is wrong in the file is named, and takes nobody's tunnel.
    let edge = dials(&mux, "kitchen", &enrols(&folder, "kitchen", SECOND[0]));
    edge.says(" connected ").await;
    folder.put("state/enrolled-edges", "kitchen\n");
    mux.says("enrolled-edges: line 1: it has no key").await;
    assert_eq!(mux.listed().await, ["kitchen"]);
}

async fn is_refused_later(edge: &Edge, why: &str) {
    let line = edge.says("no tunnel, and none until this is mended").await;
    assert!(line.contains(why), "{line}");
}

/// A key of its own with TLS, restarts of both, and a key after that.
#[tokio::test]
async fn an_edge_enrols_and_has_its_id_from_then_on() {
    let pki = Pki::new("enrolment");
    let folder = &pki.folder;
    let (_backend, backend) = pong().await;
    let mut options = pki.listener("multiplexer");
    options.extend(takes(folder, &[(FIRST, "rainbow")]));
    options.extend(TRACE.map(str::to_owned));
    let mut mux = server(&options).await;
    let mut enrols = [enrols(folder, "key", FIRST[0]), pki.trust()].concat();
    enrols.extend(TRACE.map(str::to_owned));
    let mut rainbow = edge(&mux, &backend, &enrols);
    rainbow.says(" connected ").await;
    is_reached(&mux).await;
    let key = folder.0.join("key");
    let first = SshPrivateKey::read_or_make(&key).unwrap();
    mux.says(&format!("key {}", first.public())).await;
    let line = mux.says("edge enrolled").await;
    for part in ["client_id=rainbow", &first.public().to_string()] {
        assert!(line.contains(part), "{line}");
    }
    // The file of the key is there now, which is no news.
    rainbow.reload().await;
    rainbow.kill().await;
    assert!(
        !rainbow
            .log()
            .iter()
            .any(|line| line.contains("there is another"))
    );
    let mut rainbow = edge(&mux, &backend, &enrols);
    rainbow.says(" connected ").await;
    rainbow.kill().await;
    for process in [&*mux, &*rainbow] {
        assert!(!process.log().iter().any(|line| line.contains(FIRST[0])));
    }
    mux.kill().await;
    let mux = server(&options).await;
    let mut rainbow = edge(&mux, &backend, &enrols);
    rainbow.says(" connected ").await;
    is_reached(&mux).await;
    rainbow.kill().await;
    // A new key, by a new token. The old one's line can go then.
    fs::remove_file(&key).unwrap();
    folder.put("tokens", lines(&[(SECOND, "rainbow")]));
    mux.reload().await;
    folder.put("key-token", SECOND[0]);
    let rainbow = edge(&mux, &backend, &enrols);
    rainbow.says(" connected ").await;
    assert_ne!(SshPrivateKey::read_or_make(&key).unwrap(), first);
    assert_eq!(enrolled(folder).matches("ssh-ed25519").count(), 2);
}

/// A key that cannot be written is not shown to anybody.
#[tokio::test]
async fn a_key_is_on_the_disk_before_anybody_is_told_of_it() {
    let folder = Folder::new("key-first");
    let mux = server(&takes(&folder, &[(FIRST, "rainbow")])).await;
    let mut options = enrols(&folder, "key", FIRST[0]);
    let place = folder.0.join("later/key");
    options[0] = format!("--key-file={}", place.display());
    let edge = dials(&mux, "rainbow", &options);
    let why = format!("no new key can be written to {}", place.display());
    is_refused(&edge, &why).await;
    assert!(!mux.log().iter().any(|line| line.contains("edge refused")));
    assert_eq!(enrolled(&folder), "");
    drop(edge);
    fs::create_dir(folder.0.join("later")).unwrap();
    let mut edge = dials(&mux, "rainbow", &options);
    edge.says("a key was made").await;
    edge.kill().await;
    let key = fs::read(&place).unwrap();
    dials(&mux, "rainbow", &options).says(" connected ").await;
    assert_eq!(fs::read(&place).unwrap(), key);
}
