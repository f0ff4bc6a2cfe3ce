//! Options that cannot be, and what others could read.

use grpc_multiplexer_tests::{Folder, command, output};

const SERVER: &str = "grpc-multiplexer-server";

fn checked(options: &[&str]) -> (Option<i32>, String) {
    let options: Vec<_> = options.iter().map(|it| (*it).to_owned()).collect();
    grpc_multiplexer_tests::checked(SERVER, &options)
}

#[test]
fn what_cannot_be_is_said_with_what_would_be_right() {
    const GRPC: &str = "--hooks-address=http://localhost:1";
    const JSON: &str = "--hooks-url=http://localhost:1/a";
    for (options, flag, said) in [
        (
            &["--hooks-address=localhost:1"][..],
            "address",
            "must be http://HOST:PORT or https://HOST:PORT, without a path",
        ),
        (
            &["--hooks-address=https://localhost:1/a"],
            "address",
            "without a path",
        ),
        (
            &["--hooks-url=ftp://localhost:1/a"],
            "url",
            "must be a URL such as https://",
        ),
        (
            &["--hooks-url=http://localhost:1/a?b"],
            "url",
            "must have no query",
        ),
        (&[GRPC, JSON], "url", "give one of them"),
        (
            &[GRPC, "--hooks-for=everything"],
            "for",
            "must be edges, callers or events",
        ),
        (
            &[GRPC, "--hooks-timeout=0"],
            "timeout",
            "must be 10ms to 8s",
        ),
        (
            &[GRPC, "--hooks-timeout=9s"],
            "timeout",
            "must be 10ms to 8s",
        ),
        (
            &[GRPC, "--hooks-on-failure=maybe"],
            "on-failure",
            "must be deny or allow",
        ),
        (
            &[GRPC, "--hooks-send-tokens=some"],
            "send-tokens",
            "true or false",
        ),
        (
            &[JSON, "--hooks-ca=system"],
            "ca",
            "has no effect without an https:// URL",
        ),
        (
            &["--hooks-for=edges"],
            "for",
            "has no effect without --hooks-address or --hooks-url",
        ),
        (&["--hooks-timeout=1s"], "timeout", "has no effect without"),
        (
            &["--hooks-on-failure=allow"],
            "on-failure",
            "has no effect without",
        ),
        (
            &["--hooks-send-tokens=true"],
            "send-tokens",
            "has no effect without",
        ),
        (
            &[
                "--hooks-address=http://hook.test:1",
                "--hooks-send-tokens=true",
            ],
            "send-tokens",
            "for all to read on the way; give an https:// URL",
        ),
        (
            &[
                "--hooks-address=https://localhost:1",
                "--hooks-ca=/nonexistent",
            ],
            "ca",
            "/nonexistent",
        ),
    ] {
        let (code, text) = checked(options);
        assert_eq!(code, Some(2), "{options:?}: {text}");
        let line = text
            .lines()
            .find(|line| line.contains(&format!("flag --hooks-{flag}: ")));
        let line = line.unwrap_or_else(|| panic!("{options:?}: {text}"));
        assert!(line.contains(said), "no {said:?} in {text}");
    }
}

#[test]
fn a_hook_that_others_could_stand_in_for_is_warned_of_or_refused() {
    for (option, named) in [
        (
            "--hooks-address=http://hook.test:1",
            "--hooks-address hook.test:1",
        ),
        (
            "--hooks-url=http://hook.test:1/a",
            "--hooks-url hook.test:1",
        ),
    ] {
        let open = format!("open to others than this machine: {named} (give an https:// URL)");
        let (code, text) = checked(&[option]);
        assert_eq!((code, text), (Some(0), format!("warning: {open}\n")));
        let (code, text) = checked(&[option, "--require-secure=true"]);
        assert_eq!(code, Some(2));
        assert!(text.contains(&open), "{text}");
    }
    for option in [
        "--hooks-address=https://hook.test",
        "--hooks-url=http://localhost:1/a",
    ] {
        let (code, text) = checked(&[option, "--require-secure=true"]);
        assert_eq!((code, &*text), (Some(0), ""), "{option}");
    }
}

/// And nothing else is said of it.
#[test]
fn what_hangs_on_a_mistaken_url_is_no_mistake_as_well() {
    let (code, text) = checked(&["--hooks-url=localhost:1/a", "--hooks-ca=system"]);
    assert_eq!(code, Some(2));
    assert!(!text.contains("hooks-ca"), "{text}");
}

/// A file with it is one without a hook, too.
#[test]
fn what_the_hook_is_for_is_among_the_options_in_force() {
    let printed = output(command(SERVER).arg("--print-config"));
    let printed = String::from_utf8(printed.stdout).unwrap();
    let wanted = "hooks-for:\n  - \"edges\"  # default\n  - \"events\"  # default\n";
    assert!(printed.contains(wanted), "{printed}");
    let folder = Folder::new("hooks-for");
    let file = format!("--config={}", folder.put("config.yaml", printed));
    assert_eq!(checked(&[&file]), (Some(0), String::new()));
}
