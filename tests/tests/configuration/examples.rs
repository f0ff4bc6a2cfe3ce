//! The files in `examples/config` show every key with its default.

use std::fs;
use std::path::Path;

use crate::{EDGE, SERVER, printed, run, with};

/// The keys of all options, as `--print-config` names them.
pub(crate) fn keys(printed: &str) -> Vec<String> {
    let key = |line: &str| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let (key, _) = line.split_once(':')?;
        let is_key = key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        is_key.then(|| key.to_owned())
    };
    printed.lines().filter_map(key).collect()
}

/// Every value of what was printed, without where it came from.
fn values(printed: &str) -> Vec<&str> {
    let value = |line| str::split(line, "  # ").next().unwrap();
    printed.lines().map(value).collect()
}

#[tokio::test]
async fn the_example_files_have_every_key_with_its_default_and_a_reason() {
    for (program, name) in [(SERVER, "server.yaml"), (EDGE, "client.yaml")] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples/config")
            .join(name);
        let path = file.to_str().unwrap();
        let said = run(with(program, &["--check-config", "--config", path])).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));

        let defaults = printed(with(program, &[])).await;
        let shown = printed(with(program, &["--config", path])).await;
        assert_eq!(values(&shown), values(&defaults), "{name}");

        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for key in keys(&defaults) {
            let written = |line: &&str| {
                line.strip_prefix("# ")
                    .unwrap_or(line)
                    .starts_with(&format!("{key}: "))
            };
            let line = lines.iter().position(written);
            let line = line.unwrap_or_else(|| panic!("{name} has no {key}"));
            let has_default = !defaults.contains(&format!("# {key}: not set"));
            assert_eq!(has_default, lines[line].starts_with(&key), "{name}: {key}");
            // The reason, in the lines above.
            assert!(
                lines[line - 1].starts_with("# "),
                "{name} says nothing about {key}"
            );
        }
    }
}
