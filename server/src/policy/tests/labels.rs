//! Rules by label: what counts, when it is asked, and what is wrong with them.

use std::cell::Cell;

use grpc_multiplexer_tunnel::Label;

use super::*;

const EDGES: &str = "
edges:
  - ids: [red-*]
    labels: {team: red, zone: '*'}
  - ids: ['*']
    labels: {zone: south}
";

/// The policy of a caller with these rules.
fn with(edges: &str, rules: &str) -> CallersPolicy {
    parse(&format!(
        "{edges}\ncallers:\n  a:\n    dns-names: [a.test]\n{rules}"
    ))
}

fn rules() -> CallersPolicy {
    with(
        EDGES,
        "
    calls:
      - labels: {team: red}
        methods: [/shop.Invoices/*]
      - ids: [red-1, green-*]
        labels: {team: red, zone: north}
        methods: ['*']
      - ids: [garden]
        methods: [/shop.Stock/*]
    sees:
      - attic
      - labels: {zone: south}
      - ids: [blue-*]
        labels: {zone: south}
",
    )
}

fn rights(policy: &CallersPolicy) -> Rights {
    let certificate = certificate(&[], &["a.test"]);
    policy.rights(Some(&certificate), Bearer::Nothing).unwrap()
}

fn labels(texts: &str) -> Labels {
    let texts = texts.split(',').filter(|text| !text.is_empty());
    Labels::new(texts.map(|text| text.parse::<Label>().unwrap())).unwrap()
}

#[test]
fn a_label_counts_where_the_policy_trusts_the_id_with_it() {
    let rights = rights(&rules());
    let (invoices, stock) = ("/shop.Invoices/List", "/shop.Stock/Count");
    let (unlabelled, method) = (Err("unlabelled"), Err("method"));
    for (id, said, path, wanted) in [
        ("red-1", "team=red", invoices, Ok(())),
        ("red-1", "team=red,zone=west,x=y", invoices, Ok(())),
        ("red-1", "team=red", stock, method),
        ("red-1", "team=red,zone=north", stock, Ok(())),
        ("red-2", "team=red,zone=north", stock, method),
        ("red-1", "zone=north", stock, unlabelled),
        ("red-1", "zone=south", invoices, method),
        ("red-1", "team=blue", invoices, unlabelled),
        ("red-1", "team=Red", invoices, unlabelled),
        ("red-1", "", invoices, unlabelled),
        // It only claims them.
        ("blue-1", "team=red,zone=north", invoices, unlabelled),
        ("green-1", "team=red,zone=north", invoices, unlabelled),
        ("blue-1", "zone=south", invoices, method),
        // What needs no label is so with any.
        ("garden", "", stock, Ok(())),
        ("garden", "team=red", stock, Ok(())),
        ("attic", "", stock, method),
    ] {
        let id: ClientId = id.parse().unwrap();
        let said = labels(said);
        let found = rights.call(&id, path, || Some(said.clone()));
        let found = found.map_err(|denied| match denied {
            Denied::Unknown(_) => "unknown",
            Denied::Hidden(_) => "hidden",
            Denied::Unlabelled(_) => "unlabelled",
            Denied::Method => "method",
        });
        assert_eq!(found, wanted, "{id} {said} {path}");
        assert_eq!(rights.see(&id, &said), wanted != unlabelled, "{id} {said}");
    }
}

/// An id that no label could bring into sight is not looked up, nor is one that needs none.
#[test]
fn labels_are_asked_only_where_they_matter() {
    let policy = with(
        "edges: [{ids: [red-*], labels: {team: red}}]",
        "
    calls:
      - {labels: {team: red}, methods: [/a.B/C]}
      - {ids: [red-garden], methods: [/a.B/*]}
",
    );
    let rights = rights(&policy);
    let asked = Cell::new(0);
    let call = |id: &str, path: &str| {
        asked.set(0);
        let verdict = rights.call(&id.parse().unwrap(), path, || {
            asked.set(asked.get() + 1);
            None
        });
        (verdict.is_ok(), asked.get())
    };
    assert_eq!(call("blue-1", "/a.B/C"), (false, 0));
    assert_eq!(call("red-garden", "/a.B/C"), (true, 0));
    assert_eq!(call("red-garden", "/x.Y/Z"), (false, 1));
    assert_eq!(call("red-1", "/a.B/C"), (false, 1));
}

/// What counts matters to nobody whose rules ask for no label: a watch of theirs goes on.
#[test]
fn whoever_asks_for_no_label_is_the_same_caller_whatever_counts() {
    let other = "edges: [{ids: ['*'], labels: {team: red}}]";
    let by_label = "    sees: [{labels: {team: red}}]\n";
    for (rules, same) in [("    sees: [a]\n", true), (by_label, false)] {
        let [one, two] = [EDGES, other].map(|edges| rights(&with(edges, rules)));
        assert_eq!(one == two, same, "{rules}");
    }
}

#[test]
fn what_is_claimed_and_does_not_count_is_known_where_a_rule_asks_for_it() {
    let policy = rules();
    let not_trusted = |id: &str, said: &str| {
        let (id, said) = (id.parse().unwrap(), labels(said));
        let labels = policy.not_trusted(&id, &said);
        let labels: Vec<_> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        labels.join(",")
    };
    assert_eq!(not_trusted("red-1", "team=red,zone=x,other=y"), "");
    assert_eq!(not_trusted("red-1", "team=blue"), "team=blue");
    let said = "other=y,team=red,zone=north";
    assert_eq!(not_trusted("blue-1", said), "team=red,zone=north");
    assert_eq!(not_trusted("blue-1", "zone=south"), "");
}

/// Each label alone is trusted, and they are not with the ids of the rule, or not together.
#[test]
fn a_rule_that_no_edge_can_meet_is_a_mistake() {
    let edges = "
edges:
  - {ids: [red-*, green-1], labels: {team: red}}
  - {ids: [red-north-*, blue-*], labels: {zone: north, room: '*'}}
  - {ids: ['*'], labels: {open: yes}}
";
    let both = "labels: {team: red, zone: north}";
    for (rule, possible) in [
        ("{labels: {team: red}}", true),
        ("{ids: [red-1], labels: {team: red}}", true),
        ("{ids: ['*'], labels: {team: red}}", true),
        ("{ids: [r*], labels: {team: red}}", true),
        ("{ids: [green-*], labels: {team: red}}", true),
        ("{ids: [blue-*, red-1], labels: {team: red}}", true),
        ("{ids: [blue-*], labels: {team: red}}", false),
        ("{ids: [green-2], labels: {team: red}}", false),
        (&format!("{{{both}}}"), true),
        (&format!("{{ids: [red-*], {both}}}"), true),
        (&format!("{{ids: [red-north-1], {both}}}"), true),
        (&format!("{{ids: [red-south-1], {both}}}"), false),
        (&format!("{{ids: [green-1], {both}}}"), false),
        ("{labels: {open: yes}}", true),
        ("{ids: [attic], labels: {open: yes}}", true),
        ("{ids: [attic], labels: {open: yes, room: a}}", false),
    ] {
        let call = rule.replace('{', "{methods: ['*'], ").replacen(
            "labels: {methods: ['*'], ",
            "labels: {",
            1,
        );
        let text = format!(
            "{edges}
callers:
  a:
    dns-names: [a.test]
    sees: [{rule}]
    calls: [{call}]
"
        );
        let wrong = CallersPolicy::parse(text.as_bytes())
            .err()
            .unwrap_or_default();
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(
            wrong.len(),
            if possible { 0 } else { 2 },
            "{rule}: {wrong:?}"
        );
        let is_it = |wrong: &String| wrong.contains(": edges trusts none of the ids");
        assert!(wrong.iter().all(is_it), "{rule}: {wrong:?}");
    }
}

#[test]
fn every_mistake_in_labels_is_told_with_its_place() {
    let said = mistakes(
        "callers:
  a:
    uris: [a:b]
    calls:
      - labels: {team: blue}
        methods: ['*']
      - labels: {zone: '*', te am: red, team: r d}
        methods: ['*']
      - methods: ['*']
      - labels: {}
        methods: ['*']
    sees:
      - {}
      - [a]
      - id: a
      - labels: {team: [red]}
edges:
  - ids: [red-*]
    labels: {team: red}
  - ids: [red-*]
  - labels: {te.: red}
    ids: ['-']
",
    );
    for wanted in [
        "line 5, column 24: callers: a: calls: labels: no entry of edges lets this label count",
        "line 7, column 24: callers: a: calls: labels: a rule asks for one value",
        "line 7, column 29: callers: a: calls: labels: a label's key must be",
        "line 7, column 47: callers: a: calls: labels: a label's value must be",
        "line 9, column 9: callers: a: calls: each entry needs methods, and ids, labels or both",
        "line 10, column 17: callers: a: calls: labels: expected at least one label",
        "line 13, column 9: callers: a: sees: must be a client id",
        "line 14, column 9: callers: a: sees: must be a client id",
        "line 15, column 9: callers: a: sees: unknown key; there can be ids, labels",
        "line 15, column 9: callers: a: sees: must be a client id",
        "line 16, column 24: callers: a: sees: labels: expected a single value",
        "line 20, column 5: edges: each entry needs ids and labels",
        "line 21, column 14: edges: labels: a label's key must be",
        "line 22, column 11: edges: ids: must be a client id",
    ] {
        assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
    }
    assert_eq!(said.lines().count(), 14, "{said}");
}
