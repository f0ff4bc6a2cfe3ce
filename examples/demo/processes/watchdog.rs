//! Ends the processes when the demo itself is killed and can clean nothing up.

use tokio::process::Child;

use super::Demo;

/// A shell beside the demo, outside its process group, so that Ctrl-C does not end it first.
///
/// Where there is no POSIX shell, nothing.
#[derive(Debug)]
pub(crate) struct Watchdog {
    _shell: Option<Child>,
}

impl Watchdog {
    /// Watches over the processes started so far.
    #[cfg(unix)]
    pub(crate) fn start(demo: &Demo) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        use std::process::Stdio;

        // The pipe closes with the demo, however it ends.
        const SCRIPT: &str = r#"cat; kill "$@" 2>/dev/null"#;
        let ids = demo.running.iter().filter_map(|(_, child)| child.id());
        let shell = tokio::process::Command::new("sh")
            .args(["-c", SCRIPT, "demo-watchdog"])
            .args(ids.map(|id| id.to_string()))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start sh")?;
        Ok(Self {
            _shell: Some(shell),
        })
    }

    /// Watches over nothing.
    #[cfg(not(unix))]
    pub(crate) fn start(_: &Demo) -> anyhow::Result<Self> {
        Ok(Self { _shell: None })
    }
}
