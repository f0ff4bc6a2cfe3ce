use super::super::tests::PROGRAM;
use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("mux-options-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Chosen {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        self.chosen(name)
    }

    fn chosen(&self, name: &str) -> Chosen {
        Chosen {
            path: self.0.join(name),
            named_by: None,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is a few bytes in a folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(chosen: &Chosen) -> String {
    let path = chosen.path.display().to_string();
    chosen
        .text()
        .unwrap_err()
        .to_string()
        .replace(&path, "FILE")
}

#[test]
fn files_are_looked_for_at_four_places_in_order() {
    let folder = Folder::new("places");
    let home = folder.0.join("home");
    let etc = folder.0.join("etc");
    let places = || -> Vec<String> {
        let places = PROGRAM.places(Some(&home), &etc);
        let name = |path: PathBuf| path.strip_prefix(&folder.0).unwrap().display().to_string();
        places.into_iter().map(name).collect()
    };
    let wanted = |first| [first, "home/.program.yaml", "etc/program.yaml"];
    assert_eq!(places(), wanted("home/.program"));
    fs::create_dir_all(home.join(".program")).unwrap();
    assert_eq!(places(), wanted("home/.program/program.yaml"));
    assert_eq!(
        PROGRAM.places(None, Path::new(ETC)),
        [Path::new("/etc/grpc-multiplexer/program.yaml")]
    );
}

#[test]
fn the_first_file_that_exists_is_chosen() {
    let folder = Folder::new("first");
    let chosen = || {
        let chosen = PROGRAM.find_file(Some(&folder.0)).unwrap();
        chosen
            .path
            .strip_prefix(&folder.0)
            .unwrap()
            .display()
            .to_string()
    };
    folder.put(".program.yaml", b"");
    assert_eq!(chosen(), ".program.yaml");
    // A folder alone is no configuration.
    fs::create_dir(folder.0.join(".program")).unwrap();
    assert_eq!(chosen(), ".program.yaml");
    folder.put(".program/program.yaml", b"");
    assert_eq!(chosen(), ".program/program.yaml");
    fs::remove_dir_all(folder.0.join(".program")).unwrap();
    folder.put(".program", b"");
    assert_eq!(chosen(), ".program");
}

#[test]
fn what_cannot_be_read_is_told_with_the_reason() {
    let folder = Folder::new("unreadable");
    fs::create_dir(folder.0.join("folder")).unwrap();
    let missing = said(&folder.chosen("missing"));
    assert!(
        missing.starts_with("FILE: the file cannot be read: "),
        "{missing}"
    );
    assert_eq!(
        said(&folder.chosen("folder")),
        "FILE: this is a folder; name the file in it"
    );
    let not_utf8 = folder.put(
        "latin1",
        "# ä\nclient-id: ä\u{a0}".as_bytes().split_last().unwrap().1,
    );
    assert_eq!(
        said(&not_utf8),
        "FILE:2:13: not UTF-8; save the file in this encoding"
    );
    let utf16 = folder.put("utf16", b"\xff\xfea\0");
    assert_eq!(
        said(&utf16),
        "FILE:1:1: not UTF-8; save the file in this encoding"
    );
}

#[test]
fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
    let folder = Folder::new("large");
    let limit = usize::try_from(LARGEST).unwrap();
    assert_eq!(
        folder.put("just", &vec![b'#'; limit]).text().unwrap().len(),
        limit
    );
    let said = said(&folder.put("over", &vec![b'#'; limit + 1]));
    assert_eq!(
        said,
        "FILE: larger than 1024 KiB; a configuration is a few lines"
    );
}

#[test]
fn who_named_a_file_is_told_with_it() {
    let mut chosen = Folder::new("named").chosen("missing");
    chosen.named_by = Some(Origin::Flag {
        flag: "--config".to_owned(),
    });
    let said = said(&chosen);
    assert!(
        said.starts_with("flag --config: \"FILE\": the file cannot be read: "),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_broken_link_is_found_and_cannot_be_read() {
    let folder = Folder::new("link");
    std::os::unix::fs::symlink("nowhere", folder.0.join(".program")).unwrap();
    let chosen = PROGRAM.find_file(Some(&folder.0)).unwrap();
    assert!(said(&chosen).starts_with("FILE: the file cannot be read: "));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = Folder::new("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(folder.0.join("pipe"))
        .status();
    assert!(made.unwrap().success());
    assert_eq!(
        said(&folder.chosen("pipe")),
        "FILE: this is no regular file; give the configuration as a plain file"
    );
}
