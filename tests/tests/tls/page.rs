//! The worked set-ups of `docs/security.md`, with the commands as they stand there. Only places are others: ports that are
//! free, this machine as `server.example`, and folders of the test's.

use std::net::SocketAddr;
use std::process::Command;

use grpc_multiplexer_tests::{
    Backend, Change, Folder, Mux, Process, binary, free, isolated, output,
};

use crate::{answered, borrowed};

const PAGE: &str = include_str!("../../../docs/security.md");
const CERTIFICATES: &str = "An authority of your own, and certificates";

/// The blocks in a language, such as `sh`, of some of the page.
fn blocks(text: &'static str, language: &'static str) -> impl Iterator<Item = &'static str> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
}

/// What stands below a heading.
fn section(heading: &str) -> &'static str {
    let heading = format!("\n### {heading}\n");
    let (_, below) = PAGE.split_once(&heading).expect("a heading of the page");
    below.split("\n### ").next().unwrap()
}

/// What is between empty lines in the shell blocks there.
fn commands(heading: &str) -> impl Iterator<Item = &'static str> {
    blocks(section(heading), "sh").flat_map(|block| block.trim_end().split("\n\n"))
}

/// A folder in which somebody does what the page says.
struct Reader {
    folder: Folder,
    /// What stands on the page, and in its place here.
    places: Vec<(&'static str, String)>,
    _backend: Backend,
}

/// What runs then.
struct Running {
    mux: Mux,
    edge: Process,
    /// How the page calls, if it does.
    grpcurl: Option<String>,
}

impl Reader {
    /// One who has the certificates already.
    async fn new(name: &str) -> Self {
        let (folder, backend) = (Folder::new(name), Backend::echo().await);
        let [proxy, multiplexer] = free();
        let port = |address: SocketAddr| format!(":{}", address.port());
        let state = folder.0.join("state").display().to_string();
        let places = vec![
            (":7592", port(proxy)),
            (":7602", port(multiplexer)),
            (":50051", port(backend.address)),
            ("server.example", "localhost".to_owned()),
            ("/var/lib/grpc-multiplexer", state),
        ];
        let reader = Self {
            folder,
            places,
            _backend: backend,
        };
        let certificates = commands(CERTIFICATES).next().unwrap();
        reader.runs(&reader.here(certificates));
        reader
    }

    fn here(&self, text: &str) -> String {
        let places = self.places.iter();
        places.fold(text.to_owned(), |text, (there, here)| {
            text.replace(there, here)
        })
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = isolated("sh");
        let ours = binary("grpc-multiplexer-server")
            .parent()
            .unwrap()
            .to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::split_paths(&path);
        let path = std::env::join_paths([ours].into_iter().chain(path)).unwrap();
        shell.args(["-ec", script]).env("PATH", path);
        shell.current_dir(&self.folder.0);
        // Where the page does not say it there are ports that others may have.
        for listener in ["PROXY", "ADMIN"] {
            let variable = format!("GRPC_MULTIPLEXER_SERVER_{listener}_LISTENER");
            shell.env(variable, "127.0.0.1:0");
        }
        shell
    }

    /// Runs a script to its end.
    fn runs(&self, script: &str) {
        let output = output(&mut self.shell(script));
        assert!(output.status.success(), "{script}\n{output:?}");
    }

    fn starts(&self, command: &str) -> Process {
        Process::of(self.shell(&format!("exec {command}")))
    }

    /// Does what stands below a heading, in that order, with the certificates that are there.
    async fn does(&self, heading: &str) -> Running {
        let (mut mux, mut edge, mut grpcurl) = (None, None, None);
        let mut script = String::new();
        for command in commands(heading).skip(usize::from(heading == CERTIFICATES)) {
            let command = self.here(command);
            let is = |program: &str| command.starts_with(program);
            if is("grpc-multiplexer-server --") {
                self.runs(&std::mem::take(&mut script));
                mux = Some(Mux::of(self.starts(&command)).await);
            } else if is("grpc-multiplexer-client --") {
                let started = self.starts(&command);
                started.says(" connected ").await;
                edge = Some(started);
            } else if is("grpcurl ") {
                grpcurl = Some(command);
            } else {
                script = format!("{script}{command}\n");
            }
        }
        self.runs(&script);
        Running {
            mux: mux.expect("a command that starts a server"),
            edge: edge.expect("a command that starts an edge"),
            grpcurl,
        }
    }
}

/// Sees that a call reaches the backend.
async fn calls(id: &str, options: &[String]) {
    let check = [&["check", id], &borrowed(options)[..]].concat();
    let (code, said) = answered(&check).await;
    assert!(
        code == Some(0) && said.contains("ok       backend"),
        "{said}"
    );
}

impl Running {
    /// The option of a caller in plain text.
    fn proxy(&self) -> [String; 1] {
        [format!("--proxy-address={}", self.mux.proxy)]
    }
}

#[tokio::test]
async fn an_authority_of_ones_own() {
    let reader = Reader::new("page-certificates").await;
    let running = reader.does(CERTIFICATES).await;
    // It is not everywhere; what it says is.
    let grpcurl = running.grpcurl.unwrap();
    let words: Vec<_> = grpcurl.split_whitespace().collect();
    let after = |flag| {
        let at = words.iter().position(|word| *word == flag).unwrap();
        reader.folder.0.join(words[at + 1]).display().to_string()
    };
    assert!(grpcurl.contains("-H 'client-id: rainbow'"), "{grpcurl}");
    let options = [
        format!("--proxy-address={}", words[words.len() - 2]),
        format!("--proxy-tls-ca={}", after("-cacert")),
        format!("--proxy-tls-certificate={}", after("-cert")),
        format!("--proxy-tls-key={}", after("-key")),
    ];
    calls("rainbow", &options).await;
}

#[tokio::test]
async fn tokens() {
    let reader = Reader::new("page-tokens").await;
    let running = reader.does("By token").await;
    calls("rainbow", &running.proxy()).await;
}

#[tokio::test]
async fn keys() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        eprintln!("left out: there is no ssh-keygen");
        return;
    }
    let reader = Reader::new("page-keys").await;
    let running = reader.does("By key").await;
    calls("rainbow", &running.proxy()).await;
}

/// With the command that takes the edge off.
#[tokio::test]
async fn enrolment() {
    let reader = Reader::new("page-enrolment").await;
    let running = reader.does("Enrolling an edge").await;
    let gone = running
        .edge
        .says("no tunnel, and none until this is mended");
    let gone = Change::saved().brings("the end of the tunnel", gone).await;
    assert!(gone.contains("was used before"), "{gone}");
    assert!(running.mux.listed().await.is_empty());
}

/// And policies that go with tokens of callers.
#[tokio::test]
async fn json_web_tokens() {
    let reader = Reader::new("page-jwt").await;
    let running = reader.does("By JSON Web Token").await;
    calls("rainbow", &running.proxy()).await;
    let callers = "By JSON Web Token, too";
    let server = commands(callers).next().unwrap();
    let server = format!("{} --check-config", reader.here(server));
    let policy = blocks(section(callers), "yaml").next().unwrap();
    reader.folder.put_secret("callers.yaml", policy);
    reader.runs(&server);
    // Those that know callers by certificates, too.
    let server = format!("{server} --proxy-tls-client-ca ca.pem");
    let policies: Vec<_> = blocks(PAGE, "yaml").collect();
    assert_eq!(policies.len(), 3);
    for policy in policies {
        reader.folder.put_secret("callers.yaml", policy);
        reader.runs(&server);
    }
}
