//! The files in `examples/config` show every key with its default.

use std::fs;
use std::path::Path;

use crate::{EDGE, SERVER, printed, run, with};

/// The keys of all options, as `--print-config` names them where none of those is set that are nested: as paths.
pub(crate) fn keys(printed: &str) -> Vec<String> {
    let key = |line: &str| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let (keys, _) = line
            .rsplit_once(": ")
            .or(line.strip_suffix(':').map(|key| (key, "")))?;
        let is_key = |key: &str| {
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        let keys: Vec<_> = keys.split(": ").collect();
        keys.iter().all(|key| is_key(key)).then(|| keys.join("."))
    };
    printed.lines().filter_map(key).collect()
}

/// Every value of what was printed, without where it came from.
fn values(printed: &str) -> Vec<&str> {
    let value = |line| str::split(line, "  # ").next().unwrap();
    printed.lines().map(value).collect()
}

/// The line that gives a key a value, or would if it were no comment; a nested key is looked for below its parents.
fn written(lines: &[&str], path: &str) -> Option<usize> {
    let mut from = 0;
    let mut parts = path.split('.').enumerate().peekable();
    while let Some((depth, part)) = parts.next() {
        let wanted = match parts.peek() {
            Some(_) => format!("{}{part}:", "  ".repeat(depth)),
            None => format!("{}{part}: ", "  ".repeat(depth)),
        };
        let is_it = |line: &&str| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            line.starts_with(&wanted)
        };
        from += lines[from..].iter().position(is_it)?;
    }
    Some(from)
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
            let line = written(&lines, &key).unwrap_or_else(|| panic!("{name} has no {key}"));
            let has_default = !defaults.contains(&format!("# {}: not set", key.replace('.', ": ")));
            assert_eq!(has_default, lines[line].starts_with(&key), "{name}: {key}");
            // The reason, in the lines above.
            assert!(
                lines[line - 1].trim_start().starts_with("# "),
                "{name} says nothing about {key}"
            );
        }
    }
}
