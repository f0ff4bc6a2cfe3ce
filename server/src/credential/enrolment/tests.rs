mod changed;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A folder of a test's own, removed with it.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let name = format!("mux-enrolment-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    async fn open(&self) -> Arc<Enrolled> {
        Arc::new(Enrolled::open(self.0.clone()).await.unwrap())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wish(key: u8, token: &str) -> Wish {
    Wish {
        key: [key; 32].into(),
        token: Digest::of(token.as_bytes()),
    }
}

/// What comes of an edge that wants the id.
async fn enrols(enrolled: &Arc<Enrolled>, key: u8, token: &str, id: &str) -> Result<(), String> {
    let id = id.parse().unwrap();
    let done = enrolled.enrol(wish(key, token), &id, Serves::default());
    done.await.map_err(|denied| denied.to_string())
}

fn ids(enrolled: &Enrolled, key: u8) -> String {
    let scope = enrolled.scope(&[key; 32].into());
    scope.unwrap_or_default().to_string()
}

#[tokio::test]
async fn a_token_is_spent_once_for_all_who_share_the_folder() {
    let folder = Temporary::new("once");
    let (one, other) = (folder.open().await, folder.open().await);
    enrols(&one, 1, "a", "rainbow").await.unwrap();
    assert_eq!(
        (ids(&one, 1).as_str(), ids(&other, 1).as_str()),
        ("rainbow", "")
    );
    // The other knows of it as soon as it matters, or within two looks.
    let spent = "was used before";
    assert!(
        enrols(&other, 2, "a", "kitchen")
            .await
            .unwrap_err()
            .contains(spent)
    );
    assert_eq!(ids(&other, 1), "rainbow");
    enrols(&other, 2, "b", "kitchen").await.unwrap();
    enrols(&one, 3, "c", "garden").await.unwrap();
    other.look();
    assert_eq!(ids(&other, 3), "");
    other.look();
    let again = folder.open().await;
    for enrolled in [&one, &other, &again] {
        assert_eq!(
            [1, 2, 3].map(|key| ids(enrolled, key)),
            ["rainbow", "kitchen", "garden"]
        );
        for token in ["a", "b", "c"] {
            assert!(enrolled.has_spent(&Digest::of(token.as_bytes())));
            assert!(
                enrols(enrolled, 9, token, "rainbow")
                    .await
                    .unwrap_err()
                    .contains(spent)
            );
        }
    }
    // The edge whose welcome was lost.
    enrols(&again, 1, "a", "rainbow").await.unwrap();
    assert_eq!(
        folder
            .text(EDGES)
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count(),
        3
    );
}

#[tokio::test]
async fn of_all_who_come_at_once_one_is_taken() {
    let folder = Temporary::new("race");
    let both = [folder.open().await, folder.open().await];
    let mut all = tokio::task::JoinSet::new();
    for key in 0..16 {
        let enrolled = Arc::clone(&both[usize::from(key) % 2]);
        all.spawn(async move { enrols(&enrolled, key, "a", "rainbow").await });
    }
    let all = all.join_all().await;
    assert_eq!(all.iter().filter(|done| done.is_ok()).count(), 1, "{all:?}");
    assert_eq!(folder.text(EDGES).matches("ssh-ed25519").count(), 1);
}

/// Two processes that write at once would lose what the one wrote.
#[tokio::test]
async fn while_another_process_writes_nobody_is_enrolled() {
    let folder = Temporary::new("locked");
    let enrolled = folder.open().await;
    let dir = StateDir::at(&folder.0);
    let locked = dir.lock().unwrap();
    let said = enrols(&enrolled, 1, "a", "rainbow").await.unwrap_err();
    assert!(said.contains("the token stays good"), "{said}");
    assert!(!folder.0.join(EDGES).exists());
    drop(locked);
    enrols(&enrolled, 1, "a", "rainbow").await.unwrap();
}

#[tokio::test]
async fn a_line_that_somebody_takes_out_leaves_its_token_spent() {
    let folder = Temporary::new("out");
    let enrolled = folder.open().await;
    enrols(&enrolled, 1, "a", "rainbow").await.unwrap();
    enrols(&enrolled, 2, "b", "kitchen").await.unwrap();
    let text = folder.text(EDGES);
    let without: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("rainbow"))
        .collect();
    // Without the end of its last line, as some editors leave it.
    folder.put(EDGES, &without.join("\n"));
    enrolled.look();
    assert_eq!(ids(&enrolled, 1), "rainbow");
    enrolled.look();
    assert_eq!([1, 2].map(|key| ids(&enrolled, key)), ["", "kitchen"]);
    for enrolled in [&enrolled, &folder.open().await] {
        assert!(enrols(enrolled, 1, "a", "rainbow").await.is_err());
    }
    enrols(&enrolled, 1, "c", "garden").await.unwrap();
    assert_eq!([1, 2].map(|key| ids(&enrolled, key)), ["garden", "kitchen"]);
}

/// Who is killed between the two files leaves what suffices.
#[tokio::test]
async fn a_token_is_spent_by_either_file() {
    let folder = Temporary::new("either");
    enrols(&folder.open().await, 1, "a", "rainbow")
        .await
        .unwrap();
    let spent = folder.text(SPENT);
    fs::remove_file(folder.0.join(SPENT)).unwrap();
    let again = folder.open().await;
    assert!(enrols(&again, 2, "a", "rainbow").await.is_err());
    // And it is made up for.
    assert_eq!(folder.text(SPENT), spent);
    fs::remove_file(folder.0.join(EDGES)).unwrap();
    assert!(
        enrols(&folder.open().await, 1, "a", "rainbow")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_cannot_be_written_spends_nothing() {
    let folder = Temporary::new("unwritten");
    let enrolled = folder.open().await;
    for file in [EDGES, SPENT] {
        let place = folder.0.join(format!("{file}.new"));
        fs::create_dir(&place).unwrap();
        let said = enrols(&enrolled, 1, "a", "rainbow").await.unwrap_err();
        assert!(said.contains("the token stays good"), "{said}");
        assert_eq!(ids(&enrolled, 1), "");
        assert!(!enrolled.has_spent(&Digest::of(b"a")));
        fs::remove_dir(place).unwrap();
    }
    enrols(&enrolled, 2, "a", "rainbow").await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_in_the_folder_is_named_and_nothing_is_forgotten() {
    let folder = Temporary::new("wrong");
    let enrolled = folder.open().await;
    enrols(&enrolled, 1, "a", "rainbow").await.unwrap();
    let good = folder.text(EDGES);
    folder.put(EDGES, &format!("{good}rainbow ssh-ed25519 AAAA\n"));
    enrolled.look();
    enrolled.look();
    assert_eq!(ids(&enrolled, 1), "rainbow");
    let said = Enrolled::check(&folder.0).unwrap_err().to_string();
    let lines = good.lines().count() + 1;
    assert!(
        said.contains(&format!(
            "enrolled-edges: line {lines}: its key is not whole"
        )),
        "{said}"
    );
    assert!(enrols(&enrolled, 2, "b", "kitchen").await.is_err());
    folder.put(EDGES, &good);
    folder.put(SPENT, "# mine\nabc\n");
    let said = Enrolled::check(&folder.0).unwrap_err().to_string();
    assert!(
        said.contains("spent-tokens: line 2: it must be the SHA-256"),
        "{said}"
    );
    fs::remove_file(folder.0.join(SPENT)).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    let said = Enrolled::check(&folder.0).unwrap_err().to_string();
    assert!(
        said.contains("mode 755") && said.contains("run: chmod 700"),
        "{said}"
    );
    assert!(Enrolled::open(folder.0.clone()).await.is_err());
}

/// There are as many who enrol as a fleet has edges, and threads for everything that blocks are few.
#[test]
fn who_waits_to_enrol_takes_no_thread() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .max_blocking_threads(3)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = Temporary::new("turn");
        let enrolled = folder.open().await;
        let dir = StateDir::at(&folder.0);
        let locked = dir.lock().unwrap();
        let mut all = tokio::task::JoinSet::new();
        for key in 0..16 {
            let enrolled = Arc::clone(&enrolled);
            all.spawn(async move { enrols(&enrolled, key, "a", "rainbow").await });
        }
        tokio::task::yield_now().await;
        // Those of before wait for the lock for 2 s each, also once they are gone.
        let free = timeout(Duration::from_secs(10), spawn_blocking(|| ())).await;
        free.expect("no thread is free").unwrap();
        all.shutdown().await;
        drop(locked);
        enrols(&enrolled, 16, "b", "kitchen").await.unwrap();
    });
}
