use std::fs;
use std::path::PathBuf;

use grpc_multiplexer_proto::hooks::v1::{ConnectedRequest, DisconnectedRequest};

use super::*;

/// A folder of a test's own, removed with it.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> (Self, StateDir) {
        let name = format!("mux-journal-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let dir = StateDir::open(&path).unwrap();
        (Self(path), dir)
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }

    /// Bytes of a server's file.
    fn length(&self, server: &str) -> u64 {
        let file = self.0.join(format!("{NAME}{server}"));
        fs::metadata(file).unwrap().len()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn connected(epoch: &str) -> Telling {
    Telling::Connected(ConnectedRequest {
        epoch: epoch.to_owned(),
        client_id: "rainbow".to_owned(),
        context: [("tenant".to_owned(), "blue\n".to_owned())].into(),
        ..ConnectedRequest::default()
    })
}

fn disconnected(epoch: &str, reason: &str) -> Telling {
    Telling::Disconnected(DisconnectedRequest {
        epoch: epoch.to_owned(),
        client_id: "rainbow".to_owned(),
        reason: reason.to_owned(),
        ..DisconnectedRequest::default()
    })
}

/// A journal, and what writes it as long as it lives.
async fn journal(dir: &StateDir, server: &str) -> (Journal, tokio::task::JoinSet<()>) {
    let (journal, writer) = Journal::open(dir.clone(), server).await.unwrap();
    let mut work = tokio::task::JoinSet::new();
    work.spawn(writer.run());
    (journal, work)
}

/// A server that is gone.
async fn end((journal, mut work): (Journal, tokio::task::JoinSet<()>)) {
    drop(journal);
    work.join_next().await.unwrap().unwrap();
}

/// What is left, as epoch, whether its end, and why.
fn left(dir: &StateDir) -> Vec<Vec<(String, Option<String>)>> {
    let shown = |telling: &Telling| match telling {
        Telling::Connected(connected) => (connected.epoch.clone(), None),
        Telling::Disconnected(it) => (it.epoch.clone(), Some(it.reason.clone())),
    };
    let left = Left::all(dir, &Json::default()).unwrap();
    let epochs = left.iter().flat_map(|left| &left.epochs);
    epochs
        .map(|epoch| epoch.iter().map(shown).collect())
        .collect()
}

#[tokio::test]
async fn what_a_hook_has_not_heard_to_the_end_is_left() {
    let (folder, dir) = Temporary::new("left");
    let json = Json::default();
    let server = journal(&dir, "a").await;
    for epoch in ["1", "2", "3", "4"] {
        server.0.will_be_told(&connected(epoch), &json).await;
    }
    for epoch in ["2", "3", "4"] {
        server.0.was_told(&connected(epoch)).await;
    }
    for epoch in ["3", "4"] {
        server
            .0
            .will_be_told(&disconnected(epoch, "kicked"), &json)
            .await;
    }
    server.0.was_told(&disconnected("4", "kicked")).await;
    // It lives, so it tells all that itself.
    assert!(left(&dir).is_empty());
    assert_eq!(folder.files(), 1);
    end(server).await;
    let end = |epoch: &str, why: &str| (epoch.to_owned(), Some(why.to_owned()));
    let begin = |epoch: &str| (epoch.to_owned(), None);
    let wanted = [
        vec![begin("1"), end("1", "the server was killed")],
        vec![end("2", "the server was killed")],
        vec![end("3", "kicked")],
    ];
    assert_eq!(left(&dir), wanted);
    // Until it was told.
    for left in Left::all(&dir, &json).unwrap() {
        // By one of those who look.
        assert!(Left::all(&dir, &json).unwrap().is_empty());
        left.forget().unwrap();
    }
    assert_eq!(folder.files(), 0);
}

#[tokio::test]
async fn a_line_by_half_and_one_that_says_nothing_take_no_other_along() {
    let (folder, dir) = Temporary::new("half");
    let json = Json::default();
    let server = journal(&dir, "a").await;
    for epoch in ["1", "2"] {
        server.0.will_be_told(&connected(epoch), &json).await;
    }
    end(server).await;
    let path = folder.0.join(format!("{NAME}a"));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    let (first, second) = text.split_at(text.find('\n').unwrap() + 1);
    let odd = "heard 7\n\u{0}\nconnected {\ndone\n";
    fs::write(&path, format!("{first}{odd}{}", &second[..40])).unwrap();
    let left = left(&dir);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0][0], ("1".to_owned(), None));
}

#[tokio::test]
async fn a_file_does_not_grow_with_epochs_that_are_done() {
    let (folder, dir) = Temporary::new("grows");
    let json = Json::default();
    let server = journal(&dir, "a").await;
    server.0.will_be_told(&connected("stays"), &json).await;
    let write = |epoch: usize| {
        let (journal, json) = (server.0.clone(), &json);
        async move {
            let epoch = epoch.to_string();
            let ends = [connected(&epoch), disconnected(&epoch, &"why ".repeat(250))];
            for telling in ends {
                journal.will_be_told(&telling, json).await;
                journal.was_told(&telling).await;
            }
        }
    };
    // Three times as much as a file that is written anew.
    futures::future::join_all((0..3000).map(write)).await;
    let length = folder.length("a");
    assert!(length < 2 * SMALL as u64, "{length}");
    let done = disconnected("stays", "");
    server.0.was_told(&done).await;
    assert_eq!(folder.length("a"), 0);
    end(server).await;
    assert!(left(&dir).is_empty());
    assert_eq!(folder.files(), 0);
}

/// The disk was full, or away.
#[tokio::test]
async fn what_could_not_be_written_is_written_with_what_comes_next() {
    let (folder, dir) = Temporary::new("away");
    let json = Json::default();
    let server = journal(&dir, "a").await;
    server.0.will_be_told(&connected("1"), &json).await;
    // What is written anew goes through a file that cannot be made.
    fs::create_dir(folder.0.join(format!("{NAME}a.new"))).unwrap();
    server.0.was_told(&disconnected("1", "")).await;
    server.0.will_be_told(&connected("2"), &json).await;
    fs::remove_dir(folder.0.join(format!("{NAME}a.new"))).unwrap();
    server.0.was_told(&connected("2")).await;
    end(server).await;
    let left = left(&dir);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0][0].0, "2");
    assert_eq!(left[0].len(), 1);
}
