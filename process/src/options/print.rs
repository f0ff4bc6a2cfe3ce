//! The options in force, as a configuration file that gives the same ones.

use std::fmt::Write as _;

use super::hidden::visible;
use super::mistakes::printable;
use super::{Leaf, Leaves, OptionSpec, Program};

/// `leaves` as YAML, each line with its origin in a comment. Secrets are left out: a file with them hidden would be
/// another configuration.
pub(crate) fn print(program: &Program, leaves: &Leaves) -> String {
    let mut text = format!(
        "# The options of {} {} in force.\n",
        program.name, program.version
    );
    let mut open: Vec<&str> = Vec::new();
    for option in leaves.options() {
        let values = leaves.at(option.path);
        let Some(first) = values.first() else {
            comment(&mut text, option, "not set");
            continue;
        };
        let is_seen =
            |leaf: &Leaf| visible(option, &leaf.value).is_ok_and(|seen| seen == leaf.value);
        if !values.iter().all(is_seen) {
            let shown = leaves.shown(option);
            comment(&mut text, option, &format!("{shown}  # {}", first.origin));
            continue;
        }
        let mut parents: Vec<_> = option.path.split('.').collect();
        let key = parents.pop().unwrap_or_default();
        open_groups(&mut text, &open, &parents);
        line(&mut text, parents.len(), key, option, values);
        open = parents;
    }
    text
}

fn comment(text: &mut String, option: &OptionSpec, what: &str) {
    let key = option.path.replace('.', ": ");
    push(text, format_args!("# {key}: {what}\n"));
}

/// The keys above a nested one, as far as they are not those of the line before.
fn open_groups(text: &mut String, open: &[&str], wanted: &[&str]) {
    let same = open.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    for (depth, key) in wanted.iter().enumerate().skip(same) {
        push(text, format_args!("{}{key}:\n", indent(depth)));
    }
}

fn line(text: &mut String, depth: usize, key: &str, option: &OptionSpec, values: &[Leaf]) {
    let before = indent(depth);
    if option.many {
        push(text, format_args!("{before}{key}:\n"));
    }
    for Leaf { value, origin } in values {
        let (item, value) = match value.split_once('=') {
            Some((key, value)) if option.has_pairs() => (format!("  {}:", scalar(key)), value),
            _ if option.many => ("  -".to_owned(), &**value),
            _ => (format!("{key}:"), &**value),
        };
        let origin = printable(&origin.to_string());
        push(
            text,
            format_args!("{before}{item} {}  # {origin}\n", scalar(value)),
        );
    }
}

/// Always quoted: for whoever reads the file with a YAML library, `0123` must not become a number.
fn scalar(value: &str) -> String {
    let mut quoted = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() || !is_of_yaml(character) => {
                push(&mut quoted, format_args!("\\U{:08x}", u32::from(character)));
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

/// Line separators and byte order marks mean something between quotes as well.
fn is_of_yaml(character: char) -> bool {
    !matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::PROGRAM;
    use super::super::yaml;
    use super::*;

    fn leaves(args: &[&str]) -> Leaves {
        let args = ["program"].iter().chain(args);
        PROGRAM.leaves(args.map(Into::into)).unwrap()
    }

    #[test]
    fn every_option_is_printed_with_its_origin_and_no_secret() {
        let leaves = leaves(&[
            "--client-id=0123",
            "--proxy-tls-certificate=c.pem",
            "--address=a:1",
            "--address=b:2",
            "--token=hunter2",
        ]);
        assert_eq!(
            print(&PROGRAM, &leaves),
            r#"# The options of program 1.2.3 in force.
proxy-listener: "localhost:7592"  # default
client-id: "0123"  # flag --client-id
timeout: "10s"  # default
proxy:
  tls:
    certificate: "c.pem"  # flag --proxy-tls-certificate
address:
  - "a:1"  # flag --address
  - "b:2"  # flag --address
# token: (hidden)  # flag --token
"#
        );
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        for value in [
            "0123",
            "",
            "a\"b\\c",
            "a\n\t\u{1b}\0b",
            "ä\u{2028}\u{feff}\u{85}",
            "# x",
            " a ",
        ] {
            let leaves = leaves(&[
                "--client-id",
                value,
                "--proxy-tls-certificate",
                value,
                "--address",
                value,
            ]);
            let text = print(&PROGRAM, &leaves);
            let layer = yaml::layer(PROGRAM.options, Path::new("f"), &text);
            assert!(layer.mistakes.is_empty(), "{text}{:?}", layer.mistakes);
            for path in ["client-id", "proxy.tls.certificate", "address"] {
                assert_eq!(layer.values[path][0].value, value, "{text}");
            }
        }
    }
}
