//! One process of the product, and what it says.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Change, binary, secrets, until, within};

/// What the names of all variables of the product begin with.
const OUR_VARIABLES: &str = "GRPC_MULTIPLEXER_";

/// How a shell becomes the process that its arguments say.
const EXEC: &str = r#"exec "$0" "$@""#;

/// A binary of this workspace, to be run without the developer's own configuration.
///
/// # Panics
///
/// When it does not build.
#[must_use]
pub fn command(name: &str) -> Command {
    isolated(binary(name))
}

/// A program, with a home that does not exist and none of the product's variables.
#[must_use]
pub fn isolated(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(OUR_VARIABLES) {
            command.env_remove(name);
        }
    }
    command.env("HOME", "/nonexistent");
    command
}

/// What a program says of its options, and how it ends, when it is only to check them.
///
/// # Panics
///
/// When it cannot be started, and when it shows a [secret](secrets).
#[must_use]
pub fn checked(program: &str, options: &[String]) -> (Option<i32>, String) {
    let mut command = command(program);
    command.arg("--check-config").args(options);
    let output = output(&mut command);
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

/// Runs what [`command()`] gave to its end, and sees that it shows no [secret](secrets).
///
/// # Panics
///
/// When it cannot be started, and when it shows one.
pub fn output(command: &mut Command) -> Output {
    let output = command.output().expect("the binary starts");
    for said in [&output.stdout, &output.stderr] {
        secrets::are_not_in("what a command says", said);
    }
    output
}

/// A running process. Killed when dropped, and what it says and what others see of it must show no [secret](secrets) then.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reading: watch::Sender<bool>,
    reader: JoinSet<()>,
}

impl Process {
    /// Starts a binary of this workspace.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, args: &[&str]) -> Self {
        let mut command = command(name);
        command.args(args);
        Self::of(command)
    }

    /// The same, with at most `descriptors` files and sockets open at a time.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn limited(name: &str, args: &[&str], descriptors: usize) -> Self {
        Self::by_shell(name, args, &format!("ulimit -n {descriptors} && {EXEC}"))
    }

    /// The same, with its stderr elsewhere, as in `2>/dev/full`: nothing that it says is heard here.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn redirected(name: &str, args: &[&str], stderr: &str) -> Self {
        Self::by_shell(name, args, &format!("{EXEC} {stderr}"))
    }

    fn by_shell(name: &str, args: &[&str], script: &str) -> Self {
        let mut shell = isolated("sh");
        shell.args(["-c", script]).arg(binary(name)).args(args);
        Self::of(shell)
    }

    /// Starts what [`command()`] or [`isolated`] gave.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn of(command: Command) -> Self {
        let mut child = tokio::process::Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (reading, mut may_read) = watch::channel(true);
        let mut reader = JoinSet::new();
        let kept = Arc::clone(&lines);
        reader.spawn(async move {
            let mut stderr = BufReader::new(stderr).lines();
            while may_read.wait_for(|reading| *reading).await.is_ok()
                && let Ok(Some(line)) = stderr.next_line().await
            {
                kept.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            lines,
            reading,
            reader,
        }
    }

    /// Everything it said so far.
    ///
    /// # Panics
    ///
    /// Never, unless a reader panicked.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Reads what it says, or leaves it lying in the pipe. It is read unless a test says otherwise.
    pub fn read(&self, reading: bool) {
        self.reading.send_replace(reading);
    }

    /// Reads nothing any more, ever: its stderr has no other end then.
    pub async fn hang_up(&mut self) {
        self.reader.shutdown().await;
    }

    /// Waits for a line that contains `part`.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub async fn says(&self, part: &str) -> String {
        let line = async || self.log().into_iter().find(|line| line.contains(part));
        until(
            &format!("a log line with {part:?} in {:#?}", self.log()),
            line,
        )
        .await
    }

    /// Waits until `part` was said `times` times.
    ///
    /// # Panics
    ///
    /// When that does not happen.
    pub async fn says_times(&self, part: &str, times: usize) {
        let said = || self.log().iter().filter(|line| line.contains(part)).count();
        until(&format!("{times} log lines with {part:?}"), async || {
            (said() >= times).then_some(())
        })
        .await;
    }

    /// Sees that `part` was not said so far.
    ///
    /// # Panics
    ///
    /// When it was.
    pub fn never_said(&self, part: &str) {
        let log = self.log();
        assert!(!log.iter().any(|line| line.contains(part)), "{log:#?}");
    }

    /// The process's number.
    ///
    /// # Panics
    ///
    /// When it ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Kilobytes of memory in use, as Linux counts.
    ///
    /// # Panics
    ///
    /// When it ended.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(status).expect("it runs on Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Sends a signal by name, such as `TERM`.
    ///
    /// # Panics
    ///
    /// When there is no `kill`.
    pub fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "kill -{name} failed");
    }

    /// Has its configuration, with all files that it names, read again. What that takes back is gone by when the
    /// [`Change`] says.
    ///
    /// # Panics
    ///
    /// When it does not take it.
    pub async fn reload(&self) -> Change {
        const TAKEN: &str = "configuration reloaded";
        let before = self
            .log()
            .iter()
            .filter(|line| line.contains(TAKEN))
            .count();
        let change = Change::signalled();
        self.signal("HUP");
        self.says_times(TAKEN, before + 1).await;
        change
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        self.shows_others_no_secret();
        within("the end of a process", self.child.wait())
            .await
            .expect("a child can be waited for")
    }

    /// Kills it at once, and waits for its end.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub async fn kill(&mut self) {
        self.shows_others_no_secret();
        self.child.start_kill().expect("a child can be killed");
        self.ended().await;
    }
}

impl Process {
    /// Sees that its arguments and its environment, which others on the same machine can read, have no secret. Where they are
    /// elsewhere than on Linux, and once it is over, there is nothing to see.
    fn shows_others_no_secret(&self) {
        let Some(pid) = self.child.id() else { return };
        for file in ["cmdline", "environ"] {
            let shown = fs::read(format!("/proc/{pid}/{file}"));
            secrets::are_not_in(file, shown.unwrap_or_default());
        }
    }
}

/// A test whose process shows a secret fails, whatever it is about.
impl Drop for Process {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            for line in self.log() {
                secrets::are_not_in("a log", line);
            }
            self.shows_others_no_secret();
        }
    }
}
