//! What people do to the files, and disks.

use super::*;
use crate::credential::{Credential, Grants};

/// As when an editor or a shell is in the middle of writing it.
#[tokio::test]
async fn who_enrols_while_somebody_writes_the_file_makes_nothing_final() {
    let folder = Temporary::new("half");
    let enrolled = folder.open().await;
    enrols(&enrolled, 1, "a", "rainbow").await.unwrap();
    let good = folder.text(EDGES);
    let half = good.replace("rainbow ", "garden ");
    for half in ["", "# Keys", &half] {
        folder.put(EDGES, half);
        // One that is known by what is there would take it, too.
        for (key, token) in [(2, "b"), (1, "a")] {
            let said = enrols(&enrolled, key, token, "kitchen").await.unwrap_err();
            assert!(said.contains("the token stays good"), "{said}");
        }
        assert_eq!(folder.text(EDGES), half);
        assert_eq!(ids(&enrolled, 1), "rainbow");
        folder.put(EDGES, &good);
    }
    enrols(&enrolled, 2, "b", "kitchen").await.unwrap();
    assert!(folder.text(EDGES).starts_with(&good));
    // What is final is taken, and then others enrol.
    folder.put(EDGES, "");
    enrolled.look();
    assert!(enrols(&enrolled, 3, "c", "attic").await.is_err());
    enrolled.look();
    enrols(&enrolled, 3, "c", "attic").await.unwrap();
    assert_eq!([1, 2, 3].map(|key| ids(&enrolled, key)), ["", "", "attic"]);
}

/// As when a disk goes.
#[tokio::test]
async fn a_file_that_is_gone_takes_nothing_from_anybody() {
    let folder = Temporary::new("gone");
    let enrolled = folder.open().await;
    enrols(&enrolled, 1, "a", "rainbow").await.unwrap();
    let losses = enrolled.losses();
    let is_open = |enrolled: &Enrolled| {
        let nobody = Credential::default().looked_up(Some(enrolled));
        let admitted = Grants::default().admit(&nobody, &"rainbow".parse().unwrap());
        admitted.is_ok()
    };
    let file = folder.0.join(EDGES);
    let elsewhere = folder.0.with_extension("elsewhere");
    for place in [&file, &folder.0] {
        fs::rename(place, &elsewhere).unwrap();
        for _ in 0..3 {
            enrolled.look();
        }
        let refused = enrolled.texts().refused.clone().unwrap().to_string();
        assert!(
            refused.contains("enrolled-edges: the file is gone; put it back"),
            "{refused}"
        );
        assert_eq!(ids(&enrolled, 1), "rainbow");
        // The options may be read just then, and find no trace of who enrolled.
        assert!(!is_open(&enrolled));
        let said = enrols(&enrolled, 2, "b", "kitchen").await.unwrap_err();
        assert!(said.contains("the token stays good"), "{said}");
        assert!(!file.exists());
        fs::rename(&elsewhere, place).unwrap();
        enrolled.look();
        enrolled.look();
        assert!(enrolled.texts().refused.is_none());
    }
    assert!(!losses.has_changed().unwrap());
    assert!(is_open(&*Temporary::new("nobody").open().await));
    enrols(&enrolled, 2, "b", "kitchen").await.unwrap();
    // Who is not asked for a key because the option is gone would be let in.
    assert!(Enrolled::has_been_at(&folder.0));
    fs::remove_file(&file).unwrap();
    assert!(Enrolled::has_been_at(&folder.0));
}

/// What keeps a look from taking the file may be in another place, and be over.
#[tokio::test]
async fn a_line_that_is_taken_out_is_not_forgotten_over_another_mistake() {
    let folder = Temporary::new("mistake");
    let enrolled = folder.open().await;
    enrols(&enrolled, 1, "a", "rainbow").await.unwrap();
    enrols(&enrolled, 2, "b", "kitchen").await.unwrap();
    let (edges, spent) = (folder.text(EDGES), folder.text(SPENT));
    let without = edges.lines().filter(|line| !line.starts_with("rainbow "));
    folder.put(EDGES, &without.collect::<Vec<_>>().join("\n"));
    folder.put(SPENT, "abc\n");
    for _ in 0..3 {
        enrolled.look();
        assert_eq!(ids(&enrolled, 1), "rainbow");
    }
    folder.put(SPENT, &spent);
    enrolled.look();
    assert_eq!([1, 2].map(|key| ids(&enrolled, key)), ["", "kitchen"]);
    // Nor is anything taken that others could have written, until they cannot.
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    folder.put(EDGES, &edges);
    for _ in 0..3 {
        enrolled.look();
    }
    let refused = enrolled.texts().refused.clone().unwrap().to_string();
    assert!(refused.contains("run: chmod 700"), "{refused}");
    assert_eq!(ids(&enrolled, 1), "");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).unwrap();
    enrolled.look();
    enrolled.look();
    assert_eq!(ids(&enrolled, 1), "rainbow");
}

#[tokio::test]
async fn whoever_has_a_key_is_told_when_it_grants_something_else() {
    let folder = Temporary::new("other-id");
    let enrolled = folder.open().await;
    enrols(&enrolled, 1, "a", "rainbow").await.unwrap();
    let mut losses = enrolled.losses();
    for (was, is, told) in [
        ("rainbow ", "rainbow attic ", true),
        ("rainbow attic ", "garden ", true),
        ("# Keys ", "# The keys ", false),
    ] {
        folder.put(EDGES, &folder.text(EDGES).replace(was, is));
        enrolled.look();
        enrolled.look();
        assert_eq!(losses.has_changed().unwrap(), told, "{is}");
        losses.mark_unchanged();
    }
    assert_eq!(ids(&enrolled, 1), "garden");
}
