use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;

use super::*;
use crate::{HostPort, duration};

const fn option(path: &'static str, default: Option<&'static str>, many: bool) -> OptionSpec {
    OptionSpec {
        path,
        value_name: "VALUE",
        default,
        many,
        secret: false,
        reload: false,
        help: "What it does",
    }
}

pub(super) const PROGRAM: Program = Program {
    name: "program",
    about: "Does things",
    version: "1.2.3",
    options: &[
        option("proxy-listener", Some("localhost:7592"), false),
        option("client-id", None, false),
        option("timeout", Some("10s"), false),
        option("proxy.tls.certificate", None, false),
        option("address", Some("localhost:7602"), true),
        OptionSpec {
            secret: true,
            ..option("token", None, false)
        },
    ],
    epilogue: "The end.",
};

fn leaves(args: &[&str]) -> Leaves {
    try_leaves(args).unwrap()
}

fn try_leaves(args: &[&str]) -> Result<Leaves, clap::Error> {
    PROGRAM.leaves(["program"].iter().chain(args).map(OsString::from))
}

fn id(value: &str) -> Result<String, &'static str> {
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !value.is_empty() {
        Ok(value.to_owned())
    } else {
        Err("expected letters and digits")
    }
}

#[test]
fn every_mistake_is_reported_with_origin_value_and_what_would_be_right() {
    let leaves = leaves(&[
        "--proxy-listener=local\u{1b}host\n",
        "--timeout=10",
        "--address=::1",
        "--address=localhost:1",
        "--address=",
    ]);
    let mut reader = Reader::new(&leaves);
    reader.one("proxy-listener", str::parse::<HostPort>);
    reader.one("client-id", id);
    reader.optional("timeout", duration);
    let addresses = reader.many("address", str::parse::<HostPort>);
    assert_eq!(addresses, ["localhost:1".parse().unwrap()]);
    let mistakes = reader.finish(|| None::<()>).unwrap_err();
    assert_eq!(
        mistakes.to_string(),
        r#"flag --proxy-listener: "local\u{1b}host\n": the port is missing; expected host:port, for example host.example:1234
option client-id: a value is required, as in --client-id <VALUE>
flag --timeout: "10": the unit is missing; write 10s for seconds or 10ms for milliseconds
flag --address: "::1": an IPv6 address with a port needs brackets, for example [::1]:1234
flag --address: "": empty; expected host:port, for example host.example:1234"#
    );
}

#[test]
fn a_mistake_between_options_names_the_values_that_one_of_them_has() {
    let leaves = leaves(&["--address=a:1", "--address=b:2"]);
    let mut reader = Reader::new(&leaves);
    reader.mistake("address", "expected a single address with client-id");
    reader.mistake("timeout", "must be longer than 20s");
    reader.mistake("client-id", "needed with proxy.tls.certificate");
    assert_eq!(
        reader.finish(|| Some(())).unwrap_err().to_string(),
        r#"flag --address: "a:1", "b:2": expected a single address with client-id
default of timeout: "10s": must be longer than 20s
option client-id: needed with proxy.tls.certificate"#
    );
}

#[test]
#[should_panic(expected = "the option table has no row for client-ids")]
fn a_path_that_is_not_in_the_table_is_a_bug() {
    Reader::new(&leaves(&[])).optional("client-ids", id);
}

#[test]
#[should_panic(expected = "address takes several values")]
fn a_repeatable_option_read_as_one_is_a_bug() {
    Reader::new(&leaves(&[])).one("address", id);
}

#[test]
fn an_option_given_twice_is_refused() {
    let error = try_leaves(&["--timeout=1s", "--timeout=2s"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    assert!(
        error
            .to_string()
            .contains("error: the argument '--timeout <VALUE>' cannot be used multiple times\n")
    );
}

#[test]
fn an_unknown_flag_is_refused_with_the_exit_code_of_usage() {
    let error = try_leaves(&["--proxy-listeners=a:1"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownArgument);
    assert_eq!(error.exit_code(), i32::from(crate::exit::EXIT_USAGE));
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_refused_by_name() {
    use std::os::unix::ffi::OsStringExt;

    let args = [
        b"program".to_vec(),
        b"--client-id".to_vec(),
        b"\xff\n".to_vec(),
    ];
    let error = PROGRAM.leaves(args.map(OsString::from_vec)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUtf8);
    let text = error.to_string();
    let wanted = "error: the value of '--client-id' is not UTF-8: \"\\xFF\\n\"\n";
    assert!(text.starts_with(wanted), "{text}");
}

#[test]
fn values_stay_strings_and_may_begin_with_a_hyphen() {
    let leaves = leaves(&["--client-id", "0123", "--timeout", "-1s"]);
    assert_eq!(leaves.at("client-id")[0].value, "0123");
    assert_eq!(leaves.at("timeout")[0].value, "-1s");
}

#[test]
fn flags_replace_defaults_and_leaves_say_which_it_was() {
    let defaults = leaves(&[]);
    let default = |value: &str| Leaf {
        value: value.to_owned(),
        origin: Origin::Default,
    };
    assert_eq!(defaults.at("address"), [default("localhost:7602")]);
    assert_eq!(defaults.at("client-id"), []);

    let flags = leaves(&["--address=a:1", "--address", "b:2"]);
    let flag = |value: &str| Leaf {
        value: value.to_owned(),
        origin: Origin::Flag {
            flag: "--address".to_owned(),
        },
    };
    assert_eq!(flags.at("address"), [flag("a:1"), flag("b:2")]);
    assert_eq!(flags.at("timeout"), [default("10s")]);
}

#[test]
fn a_value_that_equals_the_default_still_came_from_the_flag() {
    let leaves = leaves(&["--timeout=10s"]);
    assert_eq!(leaves.at("timeout")[0].origin.to_string(), "flag --timeout");
}

#[test]
fn a_nested_path_is_one_flag() {
    let leaves = leaves(&["--proxy-tls-certificate=cert.pem"]);
    assert_eq!(leaves.at("proxy.tls.certificate")[0].value, "cert.pem");
}

#[test]
fn a_configuration_without_mistakes_is_built() {
    let leaves = leaves(&["--timeout=250ms"]);
    let mut reader = Reader::new(&leaves);
    let listener: Option<HostPort> = reader.one("proxy-listener", str::parse::<HostPort>);
    let timeout = reader.one("timeout", duration);
    let id = reader.optional("client-id", id);
    let (listener, timeout, id) = reader.finish(|| Some((listener?, timeout?, id))).unwrap();
    assert_eq!(listener.to_string(), "localhost:7592");
    assert_eq!(timeout, Duration::from_millis(250));
    assert_eq!(id, None);
}

#[test]
fn a_secret_is_hidden_where_it_is_mistaken() {
    let leaves = leaves(&["--token=hunter 2"]);
    let mut reader = Reader::new(&leaves);
    reader.optional("token", id);
    reader.mistake("token", "needs a certificate");
    assert_eq!(
        reader.finish(|| Some(())).unwrap_err().to_string(),
        "flag --token: (hidden): expected letters and digits\n\
         flag --token: (hidden): needs a certificate"
    );
    assert_eq!(leaves.shown(leaves.option("token")), "(hidden)");
}

#[test]
fn a_long_value_is_cut_where_it_is_mistaken() {
    let long = "ä".repeat(1_000_000);
    let leaves = leaves(&["--client-id", &long]);
    let mut reader = Reader::new(&leaves);
    reader.optional("client-id", id);
    let said = reader.finish(|| Some(())).unwrap_err().to_string();
    let cut = "ä".repeat(200);
    assert_eq!(
        said,
        format!("flag --client-id: \"{cut}\"...: expected letters and digits")
    );
}

#[test]
fn help_and_version_come_from_the_table() {
    PROGRAM.check();
    let version = try_leaves(&["--version"]).unwrap_err();
    assert_eq!(version.to_string(), "program 1.2.3\n");
    assert_eq!(version.exit_code(), 0);

    let help = try_leaves(&["--help"]).unwrap_err().to_string();
    for wanted in [
        "Does things\n",
        "--proxy-listener <VALUE>\n          What it does\n          \
         [default: localhost:7592] [key: proxy-listener]\n          [variable: PROGRAM_PROXY_LISTENER]\n",
        "--proxy-tls-certificate <VALUE>\n          What it does\n          \
         [key: proxy: tls: certificate]\n          [variable: PROGRAM_PROXY_TLS_CERTIFICATE]\n",
        "What it does (repeatable; a list in the file, separated by commas in the variable)\n",
        "$HOME/.program.yaml and",
        "/etc/grpc-multiplexer/program.yaml",
        "[variable: PROGRAM_CONFIG]",
    ] {
        assert!(help.contains(wanted), "no {wanted:?} in:\n{help}");
    }
    assert!(help.ends_with("\nThe end.\n"), "{help}");
}

#[test]
#[should_panic(expected = "two options have the same variable")]
fn two_options_with_one_variable_are_a_bug() {
    const TABLE: &[OptionSpec] = &[option("a.b", None, false), option("a_b", None, false)];
    let options = TABLE;
    Program { options, ..PROGRAM }.check();
}

#[test]
#[should_panic(expected = "PROGRAM_PORT may be set by Kubernetes")]
fn a_variable_that_kubernetes_sets_is_a_bug() {
    const TABLE: &[OptionSpec] = &[option("port", None, false)];
    let options = TABLE;
    Program { options, ..PROGRAM }.check();
}
