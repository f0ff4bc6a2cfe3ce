//! A thread that stands still: a control group of its own, which is frozen.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use grpc_multiplexer_tests::Process;

use crate::score::NotRun;

/// One thread of a process, which does nothing until this is dropped.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// Where the process was before.
    home: PathBuf,
    /// Its own group, and in that the thread's.
    group: PathBuf,
    pid: String,
}

impl Stuck {
    /// Stops worker number `n` of a process's runtime.
    ///
    /// # Errors
    ///
    /// [`NotRun`] where there is no second version of control groups.
    pub(crate) fn worker(process: &Process, n: usize) -> anyhow::Result<Self> {
        let pid = process.pid().to_string();
        let root = unified()?;
        let stuck = Self {
            home: root.join(own_group(&pid)?),
            group: root.join(format!("faults-{pid}")),
            pid,
        };
        let thread = stuck.worker_thread(n)?;
        let apart = stuck.apart();
        fs::create_dir_all(&apart)?;
        write(&stuck.group, "cgroup.procs", &stuck.pid)?;
        write(&apart, "cgroup.type", "threaded")?;
        write(&apart, "cgroup.threads", &thread)?;
        write(&apart, "cgroup.freeze", "1")?;
        Ok(stuck)
    }

    fn apart(&self) -> PathBuf {
        self.group.join("stuck")
    }

    /// The thread of that number. The workers are the first that a runtime starts, and the kernel counts upwards.
    fn worker_thread(&self, n: usize) -> anyhow::Result<String> {
        let mut workers = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.starts_with("tokio") {
                let name = task.file_name().context("a name")?;
                workers.push(name.to_string_lossy().parse::<u32>()?);
            }
        }
        workers.sort_unstable();
        let worker = workers.get(n).context("there are fewer workers")?;
        Ok(worker.to_string())
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // A process that is gone needs none of this.
        let _ = write(&self.apart(), "cgroup.freeze", "0");
        let _ = write(&self.home, "cgroup.procs", &self.pid);
        let _ = fs::remove_dir(self.apart());
        let _ = fs::remove_dir(&self.group);
    }
}

/// Where the kernel shows groups of the second version.
fn unified() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let found = mounts.find_map(|mut mount| {
        let at = mount.nth(1)?;
        (mount.next()? == "cgroup2").then(|| PathBuf::from(at))
    });
    found.ok_or_else(|| NotRun("control groups of version 2 are not mounted".into()).into())
}

/// The group of the second version that a process is in.
fn own_group(pid: &str) -> anyhow::Result<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(own.context("a group")?.to_owned())
}

fn write(group: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let path = group.join(file);
    ensure!(
        path.exists(),
        NotRun(format!("there is no {}", path.display()))
    );
    fs::write(&path, text).with_context(|| format!("{} does not take {text}", path.display()))
}
