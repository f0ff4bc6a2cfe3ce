//! Secrets in the place of others, and of files: what is said of the options before anything starts.

use grpc_multiplexer_process::{OptionSpec, Program};
use grpc_multiplexer_tests::signer::Signer;
use grpc_multiplexer_tests::{Authority, Folder, KEYS, command, output};

use crate::material::token;

const PROGRAMS: [Program; 2] = [
    grpc_multiplexer_server::PROGRAM,
    grpc_multiplexer_client::PROGRAM,
];

/// A secret of each kind, as it is in its file.
fn secrets() -> [String; 4] {
    [
        token(),
        Signer::new("a").token("rainbow"),
        KEYS[0].private.to_owned(),
        Authority::new("places").signs("127.0.0.1").key,
    ]
}

/// What a program makes of a value in its environment: its code, and all that it says.
fn says(program: &Program, option: &OptionSpec, value: &str) -> (Option<i32>, String) {
    let mut command = command(program.name);
    command.arg("--print-config");
    command.env(program.variable(option.path), value);
    let output = output(&mut command);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), said)
}

fn for_each_file(mut test: impl FnMut(&Program, &OptionSpec)) {
    let mut options = 0;
    for program in &PROGRAMS {
        let files = program.options.iter();
        for option in files.filter(|option| option.value_name.starts_with("FILE")) {
            test(program, option);
            options += 1;
        }
    }
    assert!(options > 30, "{options}");
}

/// Somebody may give a token where its file is to be named.
#[test]
fn a_secret_in_the_place_of_its_file_is_refused_and_not_shown() {
    let folder = Folder::new("places");
    let secrets = secrets();
    for (n, secret) in secrets.iter().enumerate() {
        folder.put_secret(&n.to_string(), secret);
    }
    for_each_file(|program, option| {
        for secret in &secrets {
            let (code, said) = says(program, option, secret);
            assert_eq!(code, Some(2), "{}: {said}", option.path);
            let wanted = format!("variable {}: (hidden, as ", program.variable(option.path));
            assert!(said.contains(&wanted), "{said}");
        }
    });
}

/// Files are named by their paths, and no more is said of them.
#[test]
fn a_file_of_a_secret_in_the_place_of_another_is_not_shown() {
    let folder = Folder::new("misplaced");
    let secrets = secrets();
    let files = secrets.iter().enumerate();
    let files: Vec<_> = files
        .map(|(n, secret)| folder.put_secret(&n.to_string(), secret))
        .collect();
    for_each_file(|program, option| {
        for file in &files {
            says(program, option, file);
        }
    });
    for program in &PROGRAMS {
        for file in &files {
            let mut command = command(program.name);
            let output = output(command.args(["--check-config", "--config", file]));
            assert_eq!(output.status.code(), Some(2));
        }
    }
}

/// Keys may be behind one.
#[test]
fn a_password_in_a_url_is_not_shown() {
    let server = &PROGRAMS[0];
    let secret = token();
    let path = "edges-jwt-keys";
    let option = server.options.iter().find(|option| option.path == path);
    let option = option.unwrap();
    let (code, said) = says(server, option, &format!("https://me:{secret}@id.test/keys"));
    assert_eq!(code, Some(2));
    assert!(
        said.contains("\"https://(hidden)@id.test/keys\": must be"),
        "{said}"
    );
    let mut command = command(server.name);
    command.args([
        "--print-config",
        "--edges-jwt-issuer=https://id.test",
        "--edges-jwt-audience=mux",
    ]);
    command.env(
        server.variable(path),
        format!("https://id.test/keys?key={secret}"),
    );
    let output = output(&mut command);
    let said = String::from_utf8(output.stdout).unwrap();
    let wanted = "\n# edges-jwt-keys: https://id.test/keys?(hidden)  # variable ";
    assert!(output.status.success() && said.contains(wanted), "{said}");
}
