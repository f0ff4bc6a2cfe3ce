//! Where the configuration file is looked for.

use std::process::Command;

use grpc_multiplexer_tests::{Folder, Process, binary, command, isolated};

use crate::{EDGE, SERVER, in_force, printed, run, variable, with};

/// A file by which it can be seen that it was read.
fn marked(number: usize) -> String {
    format!("drain-timeout: {number}s\n")
}

/// The same program with a home.
fn at_home(program: &str, home: &Folder) -> Command {
    let mut command = command(program);
    command.env("HOME", &home.0);
    command
}

/// Which of the marked files was read, and where it was found.
async fn read(command: Command) -> (String, String) {
    in_force(&printed(command).await, "drain-timeout")
}

#[tokio::test]
async fn each_place_is_looked_at_and_the_first_file_wins() {
    for program in [SERVER, EDGE] {
        // The first two cannot be there together.
        for first in [format!(".{program}"), format!(".{program}/{program}.yaml")] {
            let home = Folder::new("home");
            // From the last to the first, so that each is first once.
            for (number, place) in [format!(".{program}.yaml"), first].iter().enumerate() {
                let path = home.put(place, marked(number));
                let wanted = (format!("{number}s"), format!("{path}:1:16"));
                assert_eq!(read(at_home(program, &home)).await, wanted);
            }
        }
    }
}

#[tokio::test]
async fn files_are_not_merged() {
    for program in [SERVER, EDGE] {
        let home = Folder::new("merged");
        home.put(&format!(".{program}.yaml"), "log-level: debug\n");
        home.put(&format!(".{program}"), marked(1));
        let printed = printed(at_home(program, &home)).await;
        assert_eq!(in_force(&printed, "drain-timeout").0, "1s");
        assert_eq!(in_force(&printed, "log-level").0, "info");
    }
}

#[tokio::test]
async fn a_named_file_wins_over_found_ones_and_the_flag_over_the_variable() {
    for program in [SERVER, EDGE] {
        let home = Folder::new("named");
        home.put(&format!(".{program}"), "not even read");
        let one = home.put("one.yaml", marked(1));
        let two = home.put("two.yaml", marked(2));

        let mut command = at_home(program, &home);
        command.env(variable(program, "config"), &one);
        assert_eq!(read(command).await.0, "1s");

        let mut command = at_home(program, &home);
        command.env(variable(program, "config"), "/nonexistent");
        command.args(["--config", &two]);
        assert_eq!(read(command).await.0, "2s");

        // Relative to where the process is started.
        let mut command = at_home(program, &home);
        command.current_dir(&home.0).args(["--config", "one.yaml"]);
        assert_eq!(
            read(command).await,
            ("1s".to_owned(), "one.yaml:1:16".to_owned())
        );
    }
}

#[tokio::test]
async fn a_named_file_that_is_missing_is_a_mistake() {
    for program in [SERVER, EDGE] {
        let missing = "\"/no/such/file.yaml\": the file cannot be read: No such file or directory (os error 2)";
        let said = run(with(program, &["--config", "/no/such/file.yaml"])).await;
        assert_eq!(said.code, Some(2));
        assert_eq!(
            said.err,
            format!("{program} cannot start:\nflag --config: {missing}\n")
        );

        let mut command = with(program, &["--check-config"]);
        let variable = variable(program, "config");
        command.env(&variable, "/no/such/file.yaml");
        let said = run(command).await;
        assert_eq!(said.code, Some(2));
        assert_eq!(
            said.err,
            format!("{program} cannot start:\nvariable {variable}: {missing}\n")
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_found_file_that_cannot_be_read_is_not_passed_over() {
    for program in [SERVER, EDGE] {
        let home = Folder::new("broken");
        home.put(&format!(".{program}.yaml"), marked(1));
        let broken = home.0.join(format!(".{program}"));
        std::os::unix::fs::symlink("/no/such/file", &broken).unwrap();
        let said = run(at_home(program, &home)).await;
        assert_eq!(said.code, Some(2));
        let wanted = format!("{}: the file cannot be read: ", broken.display());
        assert!(said.err.contains(&wanted), "{said:?}");
    }
}

#[tokio::test]
async fn the_log_names_the_file_or_says_that_there_is_none() {
    for (program, key) in [
        (SERVER, "multiplexer-listener"),
        (EDGE, "multiplexer-address"),
    ] {
        let home = Folder::new("log");
        let listener = ["--proxy-listener", "127.0.0.1:0"];
        let args = if program == SERVER {
            &listener[..]
        } else {
            &[]
        };
        let start = || {
            let mut command = at_home(program, &home);
            command
                .args(args)
                .args([&format!("--{key}"), "127.0.0.1:0"]);
            Process::of(command)
        };
        let process = start();
        process.says(" INFO no configuration file version=").await;
        let file = home.put(&format!(".{program}.yaml"), marked(1));
        let process = start();
        let line = process.says(" INFO configuration read version=").await;
        assert!(line.ends_with(&format!(" file={file}")), "{line}");
    }
}

/// In a namespace of its own `/etc` can be another one. Where a user may not have namespaces, the unit tests of the list of
/// places are all there is.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_last_place_is_in_etc() {
    let mut possible = Command::new("unshare");
    possible.args(["-rm", "mount", "-t", "tmpfs", "none", "/etc"]);
    if !possible.status().is_ok_and(|status| status.success()) {
        return;
    }
    for program in [SERVER, EDGE] {
        let folder = Folder::new("etc");
        let file = folder.put("config.yaml", marked(1));
        let script = format!(
            "mount -t tmpfs none /etc && mkdir /etc/grpc-multiplexer \
             && cp {file} /etc/grpc-multiplexer/{program}.yaml && exec {} --print-config",
            binary(program).display()
        );
        let mut unshare = isolated("unshare");
        unshare.args(["-rm", "sh", "-c", &script]);
        let said = run(unshare).await;
        let wanted = (
            "1s".to_owned(),
            format!("/etc/grpc-multiplexer/{program}.yaml:1:16"),
        );
        assert_eq!(in_force(&said.out, "drain-timeout"), wanted, "{said:?}");
    }
}
