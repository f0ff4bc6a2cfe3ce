//! Every option from every source, and which source wins.

use grpc_multiplexer_tests::{Authority, Folder, KEYS};

use crate::{EDGE, SERVER, in_force, printed, variable, with};

/// An option, and a value of its own for the file, the variable and the flag.
struct Row {
    program: &'static str,
    key: String,
    values: [String; 3],
    /// Options without which it would be a mistake.
    beside: Vec<String>,
}

fn row(program: &'static str, key: &str, values: [&str; 3]) -> Row {
    Row {
        program,
        key: key.to_owned(),
        values: values.map(str::to_owned),
        beside: Vec::new(),
    }
}

impl Row {
    fn beside(mut self, options: &[(&str, &str)]) -> Self {
        for (key, value) in options {
            let flag = format!("--{}", key.replace('.', "-"));
            self.beside.extend([flag, (*value).to_owned()]);
        }
        self
    }

    /// A file that gives it a value, and the place of that.
    fn file(&self, value: &str) -> (String, String) {
        let mut text = "# first line\n".to_owned();
        let mut parts: Vec<_> = self.key.split('.').collect();
        let name = parts.pop().unwrap();
        for (depth, part) in parts.iter().enumerate() {
            text += &format!("{}{part}:\n", "  ".repeat(depth));
        }
        let indent = "  ".repeat(parts.len());
        text += &format!("{indent}{name}: {value}\n");
        let column = indent.len() + name.len() + 3;
        (text, format!("{}:{column}", parts.len() + 2))
    }
}

/// Three copies of a file.
fn copies(folder: &Folder, name: &str, text: &str) -> [String; 3] {
    ["a", "b", "c"].map(|copy| folder.put_secret(&format!("{copy}-{name}.pem"), text))
}

/// Options that name files of tokens and keys.
fn rows_of_credentials(folder: &Folder) -> Vec<Row> {
    let tokens = copies(folder, "tokens", "# none\n");
    let token = copies(folder, "token", &"0123456789abcdef".repeat(2));
    let keys = copies(folder, "keys", "# none\n");
    let key = copies(folder, "ssh-key", KEYS[0].private);
    let row =
        |program, key, files: &[String; 3]| row(program, key, files.each_ref().map(String::as_str));
    let state = ["a", "b", "c"].map(|state| folder.0.join(state).display().to_string());
    vec![
        row(SERVER, "edges-tokens", &tokens),
        row(EDGE, "token-file", &token),
        row(SERVER, "edges-keys", &keys),
        row(EDGE, "key-file", &key),
        row(SERVER, "edges-enrolment", &tokens).beside(&[("state-dir", &state[0])]),
        row(SERVER, "state-dir", &state),
        row(EDGE, "enrolment-token-file", &token).beside(&[("key-file", &key[0])]),
    ]
}

/// Options of the callers' policy.
fn rows_of_policy(folder: &Folder) -> Vec<Row> {
    let policies = copies(folder, "policy", "callers: {}\n");
    let policies = policies.each_ref().map(String::as_str);
    let places = ["authorization", "proxy-authorization", "authorization"];
    vec![
        row(SERVER, "callers-policy", policies),
        row(SERVER, "callers-token-metadata", places).beside(&[("callers-policy", policies[0])]),
    ]
}

/// Options of issuers of JSON Web Tokens.
fn rows_of_jwts(folder: &Folder) -> Vec<Row> {
    let key =
        r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let keys = copies(folder, "jwks", &format!(r#"{{"keys": [{key}]}}"#));
    let authorities = copies(folder, "jwt-ca", &Authority::new("jwt").pem());
    let [keys, ca] = [&keys, &authorities].map(|files| files.each_ref().map(String::as_str));
    let policy = folder.put_secret("jwt-policy.yaml", "callers: {}\n");
    let mut rows = Vec::new();
    for whose in ["callers", "edges"] {
        let path = |name: &str| format!("{whose}-jwt-{name}");
        let [issuer, audience, from, authorities] =
            ["issuer", "audience", "keys", "keys-ca"].map(path);
        let policy = ("callers-policy", policy.as_str());
        let mut row = |key: &str, values, others: &[(&str, &str)]| {
            let of_policy = &[policy][..usize::from(whose == "callers")];
            rows.push(row(SERVER, key, values).beside(others).beside(of_policy));
        };
        let all = [(&*issuer, "a"), (&*audience, "b"), (&*from, keys[0])];
        let texts = ["https://a.test", "b", "c"];
        row(&issuer, texts, &all[1..]);
        row(&audience, texts, &[all[0], all[2]]);
        row(&from, [keys[0], "http://localhost:1/b", keys[2]], &all[..2]);
        let url = (&*from, "https://localhost:1/keys");
        row(
            &authorities,
            [ca[0], "system", ca[2]],
            &[all[0], all[1], url],
        );
        if whose == "edges" {
            let claims = ["ids", "/mux/ids", "sub"];
            row("edges-jwt-claim", claims, &all);
        }
    }
    rows
}

/// Options of the hook.
fn rows_of_hooks(folder: &Folder) -> Vec<Row> {
    let authority = Authority::new("hooks");
    let leaf = authority.signs("localhost");
    let ca = copies(folder, "hooks-ca", &authority.pem());
    let certificate = copies(folder, "hooks-certificate", &leaf.certificate);
    let key = copies(folder, "hooks-key", &leaf.key);
    let crl = copies(folder, "hooks-crl", &authority.revokes(&[]));
    let [ca, certificate, key, crl] =
        [&ca, &certificate, &key, &crl].map(|files| files.each_ref().map(String::as_str));
    let on = ("hooks-url", "https://localhost:1/a");
    let row = |name: &str, values| row(SERVER, &format!("hooks-{name}"), values);
    let urls = ["http://localhost:1", "https://b", "https://c:3"];
    vec![
        row("address", urls),
        row("url", urls),
        row("ca", [ca[0], "system", ca[2]]).beside(&[on]),
        row("crl", crl).beside(&[on]),
        row("certificate", certificate).beside(&[on, ("hooks-key", key[0])]),
        row("key", key).beside(&[on, ("hooks-certificate", certificate[0])]),
        row("timeout", ["1s", "10ms", "2s"]).beside(&[on]),
        row("on-failure", ["allow", "deny", "allow"]).beside(&[on]),
        row("send-tokens", ["true", "false", "true"]).beside(&[on]),
    ]
}

/// Options that name files of TLS.
fn rows_of_tls(folder: &Folder) -> Vec<Row> {
    let authority = Authority::new("authority");
    let leaf = authority.signs("localhost");
    let ca = copies(folder, "ca", &authority.pem());
    let certificate = copies(folder, "certificate", &leaf.certificate);
    let key = copies(folder, "key", &leaf.key);
    let crl = copies(folder, "crl", &authority.revokes(&[]));
    let [ca, certificate, key, crl] =
        [&ca, &certificate, &key, &crl].map(|files| files.each_ref().map(String::as_str));
    let mut rows = Vec::new();
    for (program, at) in [
        (SERVER, "proxy"),
        (SERVER, "multiplexer"),
        (SERVER, "admin"),
        (SERVER, "operator"),
        (EDGE, "admin"),
    ] {
        let path = |name: &str| format!("{at}.tls.{name}");
        let on = match at {
            "admin" => &[("admin-listener", "a:1")][..],
            "operator" => &[("operator-listener", "localhost:1")],
            _ => &[],
        };
        let row = |name, values| row(program, &path(name), values).beside(on);
        let names = ["key", "certificate", "client-ca"].map(path);
        let all = [
            (names[0].as_str(), key[0]),
            (names[1].as_str(), certificate[0]),
            (names[2].as_str(), ca[0]),
        ];
        rows.push(row("certificate", certificate).beside(&all[..1]));
        rows.push(row("key", key).beside(&all[1..2]));
        rows.push(row("client-ca", ca).beside(&all[..2]));
        rows.push(row("client-crl", crl).beside(&all));
        if at == "multiplexer" {
            let patterns = ["spiffe://a.test/{id}", "b:{id}", "{id}.c.test"];
            rows.push(self::row(SERVER, "edges-certificate-id", patterns).beside(&all));
        }
    }
    for (at, on) in [
        ("multiplexer.tls.", ("multiplexer.tls.ca", ca[0])),
        ("backend-", ("grpc-server-address", "https://localhost:1")),
    ] {
        let path = |name: &str| format!("{at}{name}");
        let row = |name, values| row(EDGE, &path(name), values);
        let names = ["a.test", "b.test", "c.test"];
        rows.push(row("server-name", names).beside(&[on]));
        let of_address = if at == "backend-" { &[on][..] } else { &[] };
        rows.push(row("ca", [ca[0], "system", ca[2]]).beside(of_address));
        rows.push(row("crl", crl).beside(&[on]));
        rows.push(row("certificate", certificate).beside(&[on, (&path("key"), key[0])]));
        rows.push(row("key", key).beside(&[on, (&path("certificate"), certificate[0])]));
    }
    rows
}

fn rows(folder: &Folder) -> Vec<Row> {
    let mut rows = vec![
        row(SERVER, "proxy-listener", ["a:1", "b:2", "c:3"]),
        row(SERVER, "multiplexer-listener", ["a:1", "b:2", "c:3"]),
        row(
            SERVER,
            "duplicate-client-id",
            ["replace", "balance", "reject"],
        ),
        row(SERVER, "reconnect-wait", ["1s", "2m", "0"]),
        row(SERVER, "remember-edges", ["1s", "2m", "0"]),
        row(SERVER, "warm-up", ["1s", "2m", "0"]),
        row(SERVER, "max-tunnel-age", ["10s", "0", "24h"]),
        row(SERVER, "max-waiting-calls", ["1", "20", "300"]),
        row(SERVER, "max-waiting-calls-per-edge", ["1", "20", "300"]),
        row(SERVER, "forwarded-headers", ["append", "pass", "drop"]),
        row(SERVER, "replay-buffer", ["1KiB", "2MiB", "0"]),
        row(SERVER, "max-caller-connections", ["1", "2", "3"]),
        row(
            SERVER,
            "max-caller-connections-per-address",
            ["1", "2", "3"],
        ),
        row(SERVER, "max-calls-per-connection", ["1", "2", "3"]),
        row(SERVER, "max-metadata-size", ["1KiB", "1024", "1MiB"]),
        row(SERVER, "max-metadata-entries", ["1", "2", "3"]),
        row(SERVER, "handshake-timeout", ["1s", "2s", "3s"]),
        row(SERVER, "max-handshakes", ["1", "2", "3"]),
        row(SERVER, "max-tunnels", ["1", "2", "3"]),
        row(SERVER, "max-calls-per-edge", ["1", "2", "3"]),
        row(SERVER, "max-queued-calls-per-edge", ["0", "1", "2"]),
        row(SERVER, "queue-timeout", ["0", "2s", "3s"]),
        row(SERVER, "max-calls", ["1", "2", "3"]),
        row(SERVER, "max-call-time", ["1s", "0", "24h"]),
        row(SERVER, "memory-limit", ["0", "64MiB", "50%"]),
        row(SERVER, "threads", ["1", "2", "auto"]),
        row(
            SERVER,
            "operator-listener",
            ["localhost:1", "off", "127.0.0.1:3"],
        ),
        row(EDGE, "client-id", ["0123", "1e3", "no"]),
        row(
            EDGE,
            "grpc-server-address",
            ["https://a:1", "https://b:2", "https://c:3"],
        ),
        row(EDGE, "backend-authority", ["a:1", "b", "c"]),
        row(EDGE, "backend-mode", ["terminate", "splice", "terminate"]),
        row(EDGE, "tunnel-protocol", ["1", "legacy", "auto"]),
        row(EDGE, "tunnels", ["2", "3", "8"]),
        row(EDGE, "exit-on-superseded", ["true", "false", "true"]),
    ];
    rows.extend(rows_of_tls(folder));
    rows.extend(rows_of_credentials(folder));
    rows.extend(rows_of_policy(folder));
    rows.extend(rows_of_jwts(folder));
    rows.extend(rows_of_hooks(folder));
    for program in [SERVER, EDGE] {
        rows.push(row(program, "admin-listener", ["a:1", "off", "c:3"]));
        rows.push(row(program, "tunnel-timeout", ["2s", "1m", "1h"]));
        rows.push(row(program, "require-secure", ["false", "true", "false"]));
        rows.push(row(program, "upgrade-socket", ["/a", "/b", "/c"]));
        rows.push(row(program, "drain-timeout", ["1s", "2m", "3h"]));
        rows.push(row(program, "log-level", ["debug", "warning", "trace"]));
        rows.push(row(program, "log-format", ["json", "pretty", "json"]));
    }
    rows
}

/// An option of several values is in another form.
const OF_SEVERAL: [(&str, &str); 3] = [
    (EDGE, "multiplexer-address"),
    (EDGE, "labels"),
    (SERVER, "hooks-for"),
];

#[tokio::test]
async fn the_higher_of_every_two_sources_wins_for_every_option() {
    let folder = Folder::new("precedence");
    for row in rows(&folder) {
        let (program, key) = (row.program, row.key.as_str());
        let [of_file, of_variable, of_flag] = &row.values;
        let (text, place) = row.file(of_file);
        let file = folder.put("config.yaml", text);
        let (variable, flag) = (
            variable(program, key),
            format!("--{}", key.replace('.', "-")),
        );
        // Every set of sources that has one, as bits.
        for given in 1..8 {
            let mut command = with(program, &[]);
            command.args(&row.beside);
            let mut wanted = None;
            if given & 1 != 0 {
                command.args(["--config", &file]);
                wanted = Some((of_file.clone(), format!("{file}:{place}")));
            }
            if given & 2 != 0 {
                command.env(&variable, of_variable);
                wanted = Some((of_variable.clone(), format!("variable {variable}")));
            }
            if given & 4 != 0 {
                command.args([&flag, of_flag]);
                wanted = Some((of_flag.clone(), format!("flag {flag}")));
            }
            let found = in_force(&printed(command).await, key);
            assert_eq!(Some(found), wanted, "{program} {key} {given:03b}");
        }
    }
}

#[tokio::test]
async fn several_values_come_from_every_source_and_are_replaced_as_one() {
    let folder = Folder::new("several");
    let origin = "variable GRPC_MULTIPLEXER_CLIENT_MULTIPLEXER_ADDRESS";
    for (text, places) in [
        ("multiplexer-address: a:1", &[("a:1", ":1:22")][..]),
        (
            "multiplexer-address: [a:1, 'b:2']",
            &[("a:1", ":1:23"), ("b:2", ":1:28")],
        ),
        (
            "multiplexer-address:\n- a:1\n- b:2",
            &[("a:1", ":2:3"), ("b:2", ":3:3")],
        ),
    ] {
        let file = folder.put("config.yaml", text);
        let lines = |lines: Vec<String>| format!("\nmultiplexer-address:\n{}\n#", lines.join("\n"));
        let line = |value: &str, origin: &str| format!("  - \"{value}\"  # {origin}");
        let given = |args: &[&str]| with(EDGE, &[&["--config", &file], args].concat());

        let of_file = places
            .iter()
            .map(|(value, place)| line(value, &format!("{file}{place}")));
        let said = printed(given(&[])).await;
        assert!(said.contains(&lines(of_file.collect())), "{said}");

        let mut command = given(&[]);
        command.env("GRPC_MULTIPLEXER_CLIENT_MULTIPLEXER_ADDRESS", "c:3, d:4");
        let said = printed(command).await;
        let of_variable = vec![line("c:3", origin), line("d:4", origin)];
        assert!(said.contains(&lines(of_variable)), "{said}");

        let mut command = given(&["--multiplexer-address", "e:5", "--multiplexer-address=f:6"]);
        command.env("GRPC_MULTIPLEXER_CLIENT_MULTIPLEXER_ADDRESS", "c:3");
        let said = printed(command).await;
        let flag = "flag --multiplexer-address";
        assert!(
            said.contains(&lines(vec![line("e:5", flag), line("f:6", flag)])),
            "{said}"
        );
    }
}

#[tokio::test]
async fn keys_with_values_come_from_every_source_and_are_replaced_as_one() {
    let folder = Folder::new("pairs");
    let origin = "variable GRPC_MULTIPLEXER_CLIENT_LABELS";
    let file = folder.put(
        "config.yaml",
        "labels:\n  team: red\n  'example.org/zone': north\n",
    );
    let lines = |labels: &[(&str, &str, &str)]| {
        let line = |(key, value, origin): &(&str, &str, &str)| {
            format!("  \"{key}\": \"{value}\"  # {origin}\n")
        };
        format!("\nlabels:\n{}", labels.iter().map(line).collect::<String>())
    };
    let given = |args: &[&str]| with(EDGE, &[&["--config", &file], args].concat());
    let said = printed(given(&[])).await;
    let places = [format!("{file}:2:9"), format!("{file}:3:23")];
    let of_file = [
        ("team", "red", &*places[0]),
        ("example.org/zone", "north", &places[1]),
    ];
    assert!(said.contains(&lines(&of_file)), "{said}");

    let mut command = given(&[]);
    command.env("GRPC_MULTIPLEXER_CLIENT_LABELS", "team=blue, empty=");
    let said = printed(command).await;
    let of_variable = [("team", "blue", origin), ("empty", "", origin)];
    assert!(said.contains(&lines(&of_variable)), "{said}");

    let mut command = given(&["--label", "team=green", "--label=a=b"]);
    command.env("GRPC_MULTIPLEXER_CLIENT_LABELS", "team=blue");
    let said = printed(command).await;
    let of_flag = [
        ("team", "green", "flag --label"),
        ("a", "b", "flag --label"),
    ];
    assert!(said.contains(&lines(&of_flag)), "{said}");
}

/// So that a new option gets its row.
#[tokio::test]
async fn no_option_is_left_out() {
    let folder = Folder::new("left-out");
    let rows = rows(&folder);
    let single = rows.iter().map(|row| (row.program, row.key.as_str()));
    let tested: Vec<_> = single.chain(OF_SEVERAL).collect();
    for program in [SERVER, EDGE] {
        for key in crate::examples::keys(&printed(with(program, &[])).await) {
            assert!(tested.contains(&(program, key.as_str())), "{program} {key}");
        }
    }
}

#[tokio::test]
async fn the_defaults_are_the_originals() {
    for (program, defaults) in [
        (
            SERVER,
            &[
                ("proxy-listener", "localhost:7592"),
                ("multiplexer-listener", "localhost:7602"),
                ("admin-listener", "127.0.0.1:7612"),
                ("duplicate-client-id", "reject"),
                ("drain-timeout", "25s"),
                ("log-level", "info"),
                ("log-format", "pretty"),
            ][..],
        ),
        (
            EDGE,
            &[
                ("grpc-server-address", "localhost:50051"),
                ("admin-listener", "off"),
                ("drain-timeout", "25s"),
                ("log-level", "info"),
                ("log-format", "pretty"),
            ],
        ),
    ] {
        let printed = printed(with(program, &[])).await;
        for (key, value) in defaults {
            let wanted = ((*value).to_owned(), "default".to_owned());
            assert_eq!(in_force(&printed, key), wanted);
        }
    }
    let edge = printed(with(EDGE, &[])).await;
    assert!(
        edge.contains("multiplexer-address:\n  - \"localhost:7602\"  # default\n"),
        "{edge}"
    );
    assert!(edge.contains("# client-id: not set\n"), "{edge}");
}

#[tokio::test]
async fn an_empty_variable_counts_as_not_set() {
    for program in [SERVER, EDGE] {
        let mut command = with(program, &[]);
        command.env(variable(program, "log-level"), "");
        command.env(variable(program, "config"), "");
        let (value, origin) = in_force(&printed(command).await, "log-level");
        assert_eq!((value.as_str(), origin.as_str()), ("info", "default"));
    }
}
