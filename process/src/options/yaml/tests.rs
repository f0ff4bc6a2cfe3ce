use proptest::prelude::*;

use super::super::tests::PROGRAM;
use super::*;

fn read(text: &str) -> Layer {
    layer(PROGRAM.options, Path::new("/f.yaml"), text)
}

/// What is wrong with `text`; it must have no other effect than `values`.
fn mistakes(text: &str) -> String {
    let lines: Vec<_> = read(text)
        .mistakes
        .iter()
        .map(ToString::to_string)
        .collect();
    lines.join("\n")
}

/// The values of a text without mistakes, as `path=value`.
fn values(text: &str) -> Vec<String> {
    let layer = read(text);
    assert!(layer.mistakes.is_empty(), "{text:?}: {:?}", layer.mistakes);
    let leaves = |(path, leaves): (&&str, &Vec<Leaf>)| {
        let values: Vec<_> = leaves.iter().map(|leaf| leaf.value.as_str()).collect();
        format!("{path}={}", values.join(","))
    };
    layer.values.iter().map(leaves).collect()
}

#[test]
fn a_value_stays_what_was_typed() {
    for typed in [
        "0123",
        "1e3",
        "no",
        "yes",
        "on",
        "true",
        "0x1F",
        "0o17",
        "1_000",
        "12:30:45",
        "2026-11-21",
        ".inf",
        "1.0",
        "+1",
        "NaN",
        "rainbow",
        "a b",
        "a#b",
        "localhost:1",
        "ä",
    ] {
        assert_eq!(
            values(&format!("client-id: {typed}")),
            [format!("client-id={typed}")]
        );
    }
    for (typed, value) in [
        ("\"0123\"", "0123"),
        ("'it''s'", "it's"),
        ("\"\"", ""),
        ("'~'", "~"),
        ("\"null\"", "null"),
        ("\"a\\tb\\u00e4\"", "a\tbä"),
        ("x # comment", "x"),
        ("|\n  a\n  b", "a\nb\n"),
        (">-\n  a\n  b", "a b"),
    ] {
        assert_eq!(
            values(&format!("client-id: {typed}")),
            [format!("client-id={value}")]
        );
    }
}

#[test]
fn one_value_and_a_list_are_fine_for_an_option_of_several() {
    assert_eq!(values("address: a:1"), ["address=a:1"]);
    assert_eq!(values("address: [a:1, 'b:2']"), ["address=a:1,b:2"]);
    assert_eq!(values("address:\n- a:1\n- b:2\n"), ["address=a:1,b:2"]);
    // A comma is part of a scalar here: only the environment has no other way.
    assert_eq!(values("address: a,b"), ["address=a,b"]);
}

#[test]
fn nested_keys_are_one_path() {
    let wanted = ["proxy.tls.certificate=c.pem"];
    assert_eq!(values("proxy:\n  tls:\n    certificate: c.pem\n"), wanted);
    assert_eq!(values("proxy: {tls: {certificate: c.pem}}"), wanted);
}

#[test]
fn a_file_may_say_nothing() {
    for text in [
        "",
        "\n",
        "# nothing\n",
        "---\n",
        "---\n...\n",
        "{}",
        "~",
        "\u{feff}",
        "   ",
    ] {
        assert_eq!(values(text), [""; 0], "{text:?}");
    }
}

#[test]
fn marks_of_other_systems_do_no_harm() {
    let wanted = ["client-id=a", "timeout=1s"];
    assert_eq!(values("\u{feff}client-id: a\r\ntimeout: 1s\r\n"), wanted);
    assert_eq!(
        values("%YAML 1.1\n---\nclient-id: a\ntimeout: 1s\n...\n"),
        wanted
    );
    assert_eq!(
        values("{\"client-id\": \"a\", \"timeout\": \"1s\"}"),
        wanted
    );
}

#[test]
fn a_leaf_says_where_its_value_begins() {
    let layer = read("# ä\nclient-id:   ä\naddress:\n  - 'a:1'\n");
    let origins = ["client-id", "address"].map(|path| layer.values[path][0].origin.to_string());
    assert_eq!(origins, ["/f.yaml:2:14", "/f.yaml:4:5"]);
}

#[test]
fn every_mistake_has_its_place_and_what_would_be_right() {
    for (text, wanted) in [
        (
            "proxy-listner: a",
            "1:1: proxy-listner: unknown key; did you mean proxy-listener?",
        ),
        ("\n  colour: a", "2:3: colour: unknown key"),
        (
            "Client-ID: a",
            "1:1: Client-ID: unknown key; did you mean client-id?",
        ),
        (
            "proxy: {tls: {certifcate: c}}",
            "1:15: proxy: tls: certifcate: unknown key; did you mean proxy: tls: certificate?",
        ),
        (
            "proxy: {tls.certificate: c}",
            "1:9: a key must be a plain name without dots",
        ),
        ("proxy: c.pem", "1:8: proxy: expected keys below this one"),
        ("proxy:", "1:6: proxy: expected keys below this one"),
        (
            "client-id: a\nclient-id: b",
            "2:1: client-id: given twice; first in line 1",
        ),
        (
            "colour: a\ncolour: b",
            "1:1: colour: unknown key\n/f.yaml:2:1: colour: given twice; first in line 1",
        ),
        (
            "proxy: {}\nproxy: {}",
            "2:1: proxy: given twice; first in line 1",
        ),
        (
            "client-id:",
            "1:10: client-id: YAML reads this as no value; remove the key, or quote it if text is meant",
        ),
        (
            "client-id: ~",
            "1:12: client-id: YAML reads this as no value; remove the key, or quote it if text is meant",
        ),
        (
            "client-id: null",
            "1:12: client-id: YAML reads this as no value; remove the key, or quote it if text is meant",
        ),
        (
            "address: [a, ~]",
            "1:14: address: YAML reads this as no value; remove the key, or quote it if text is meant",
        ),
        (
            "client-id: [a]",
            "1:12: client-id: expected a single value, not a list",
        ),
        (
            "client-id: {a: b}",
            "1:12: client-id: expected a single value, not keys",
        ),
        (
            "address: {a: b}",
            "1:10: address: expected a single value, not keys",
        ),
        (
            "address: [[a]]",
            "1:11: address: expected a single value, not a list",
        ),
        (
            "address: []",
            "1:10: address: expected at least one value in the list",
        ),
        (
            "client-id: &x a",
            "1:12: client-id: anchors and aliases are not read; write the value out",
        ),
        (
            "proxy: &x {tls: {}}",
            "1:8: proxy: anchors and aliases are not read; write the value out",
        ),
        ("<<: {client-id: a}", "1:1: <<: unknown key"),
        (
            "client-id: !!str a",
            "1:12: client-id: tags are not read; values are taken as they are written",
        ),
        (
            "client-id: !secret a",
            "1:12: client-id: tags are not read; values are taken as they are written",
        ),
        (
            "!!str client-id: a",
            "1:1: tags are not read; values are taken as they are written",
        ),
        (
            "? [a, b]\n: c",
            "1:3: a key must be a plain name without dots",
        ),
        ("{a: b}: c", "1:1: a key must be a plain name without dots"),
        (
            "- client-id: a",
            "1:1: expected keys with values, as in `log-level: info`",
        ),
        (
            "client-id",
            "1:1: expected keys with values, as in `log-level: info`",
        ),
        (
            "client-id=a",
            "1:1: expected keys with values, as in `log-level: info`",
        ),
        (
            "--- !!map {client-id: a}",
            "1:5: tags are not read; values are taken as they are written",
        ),
        (
            "client-id: a\n---\nclient-id: b",
            "2:1: a second document begins here; only one can be read",
        ),
        ("a\u{1b}b: c", "1:1: a\\u{1b}b: unknown key"),
    ] {
        assert_eq!(mistakes(text), format!("/f.yaml:{wanted}"), "{text:?}");
    }
}

const PAIRS: &[OptionSpec] = &[OptionSpec {
    path: "labels",
    value_name: "KEY=VALUE",
    default: None,
    many: true,
    secret: false,
    reload: false,
    help: "What it is",
}];

#[test]
fn keys_with_values_are_read_as_flags_have_them() {
    let layer = layer(
        PAIRS,
        Path::new("/f.yaml"),
        "labels:\n  team: 0123\n  example.org/a: ''\n",
    );
    assert!(layer.mistakes.is_empty(), "{:?}", layer.mistakes);
    let leaves = layer.values["labels"].iter();
    let leaves: Vec<_> = leaves
        .map(|leaf| format!("{}: {}", leaf.origin, leaf.value))
        .collect();
    assert_eq!(
        leaves,
        ["/f.yaml:2:9: team=0123", "/f.yaml:3:18: example.org/a="]
    );
}

#[test]
fn what_is_no_keys_with_values_is_told() {
    for (text, wanted) in [
        (
            "labels: [team=red]",
            "1:9: labels: expected keys with values below this one",
        ),
        (
            "labels: team=red",
            "1:9: labels: expected keys with values below this one",
        ),
        (
            "labels:",
            "1:7: labels: expected keys with values below this one",
        ),
        ("labels: {}", "1:9: labels: expected at least one key"),
        (
            "labels: {team: [red]}",
            "1:16: labels: expected a single value, not a list",
        ),
        (
            "labels: {team: ~}",
            "1:16: labels: YAML reads this as no value",
        ),
        (
            "labels: {team=red: x}",
            "1:10: labels: a key must be a plain name without =",
        ),
        (
            "labels: {? [a] : x}",
            "1:12: labels: a key must be a plain name without =",
        ),
        ("labels: &a {b: c}", "1:9: labels: anchors and aliases"),
    ] {
        let layer = layer(PAIRS, Path::new("/f.yaml"), text);
        let said: Vec<_> = layer.mistakes.iter().map(ToString::to_string).collect();
        let said = said.join("\n");
        assert!(
            said.starts_with(&format!("/f.yaml:{wanted}")),
            "{text}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    for (text, place) in [
        ("client-id: a\n\ttimeout: 1s", "1:"),
        ("address: [a", "2:1"),
        ("client-id: 'a", "1:12"),
        ("client-id: a: b", "1:13"),
        ("client-id: @a", "1:12"),
        ("client-id: *nobody", "1:12"),
        ("}", "1:1"),
        ("\0", "1:1"),
    ] {
        let said = mistakes(text);
        let wanted = format!("/f.yaml:{place}");
        assert!(
            said.starts_with(&wanted) && said.contains(": not YAML: "),
            "{text:?}: {said}"
        );
    }
}

#[test]
fn mistakes_before_the_end_of_yaml_are_told_as_well() {
    let said = mistakes("colour: a\nclient-id: 'b\n");
    assert!(
        said.starts_with("/f.yaml:1:1: colour: unknown key\n/f.yaml:2:12: not YAML: "),
        "{said}"
    );
}

#[test]
fn a_file_that_is_not_meant_for_us_is_not_read_to_its_end() {
    let text: String = (0..100_000)
        .map(|number| format!("key-{number}: a\n"))
        .collect();
    let layer = read(&text);
    assert_eq!(layer.mistakes.len(), MOST_MISTAKES + 1);
    let last = layer.mistakes.last().unwrap().to_string();
    assert_eq!(
        last,
        "/f.yaml: too many mistakes; the rest of the file was not read"
    );
}

/// Each would take minutes, or the whole stack, were it read by a parser of another make.
#[test]
fn deep_and_long_texts_are_read_in_no_time() {
    let deep_blocks: String = (0..1000)
        .map(|depth| format!("{}proxy:\n", " ".repeat(depth)))
        .collect();
    for text in [
        "[".repeat(1 << 20),
        "{a: ".repeat(1 << 18),
        "- ".repeat(1 << 19),
        "? ".repeat(1 << 19),
        format!("address: [{}", "[],".repeat(1 << 18)),
        format!("client-id: {}", "x\n ".repeat(1 << 18)),
        "-".repeat(1 << 20),
        "&a ".repeat(1 << 18),
        deep_blocks,
    ] {
        read(&text);
    }
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in any::<String>()) {
        read(&text);
    }

    /// Pieces of which something like a configuration can come.
    #[test]
    fn no_yaml_is_too_much(pieces in prop::collection::vec(
        prop::sample::select(vec![
            "client-id", "address", "proxy", "tls", "certificate", ": ", ":", "\n", "\n  ", "\n- ", " ", "[", "]", "{",
            "}", ",", "? ", "&a ", "*a", "!!str ", "|", ">", "'", "\"", "#", "---\n", "...\n", "%YAML 1.2\n", "<<", "~",
            "\t", "\r\n", "0123", "ä", "\u{feff}", "\\",
        ]),
        0..60,
    )) {
        read(&pieces.concat());
    }
}
