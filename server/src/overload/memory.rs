//! How much memory there is, and how much of it this process has in use.
//!
//! What counts is our own, and not all that the control group is charged with: shedding work of ours frees nothing of
//! its neighbours'. What the kernel holds in our sockets is not in it; the share that is left of the whole by default has
//! room for that.

use std::fs;
use std::path::{Path, PathBuf};

use grpc_multiplexer_process::Portion;

/// The memory that this process may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// `u64::MAX` without one.
    limit: u64,
}

impl Memory {
    /// A part of what the control group, or else the machine, has; 0 is no limit.
    pub(crate) fn within(portion: Portion) -> Self {
        let limit = match portion {
            Portion::Bytes(bytes) => Some(bytes),
            share @ Portion::Percent(_) => whole().map(|whole| share.of(whole)),
        };
        Self {
            limit: limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX),
        }
    }

    /// Bytes, never 0.
    pub(crate) fn limit(self) -> u64 {
        self.limit
    }

    /// Bytes that are resident; `None` where there is no limit, or no telling.
    pub(crate) fn resident(self) -> Option<u64> {
        (self.limit < u64::MAX).then(resident).flatten()
    }
}

/// Resident memory of this process.
fn resident() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What the machine has, or the control group of this process if that is less.
fn whole() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let files = groups.lines().filter_map(limits_of).flatten();
    let of_groups = files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    of_groups.chain(machine()).min()
}

fn machine() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let total = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// The files that may hold a limit on the memory of one line's group: its own, and those of the groups around it. In a
/// container the path is that of the host, and only the outermost file is there.
fn limits_of(line: &str) -> Option<Vec<PathBuf>> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let path = Path::new(path.trim_start_matches('/'));
    let groups = path.ancestors();
    Some(
        groups
            .map(|group| Path::new(root).join(group).join(file))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_some_memory_and_this_process_has_some_of_it() {
        let memory = Memory::within(Portion::Percent(60));
        let used = memory.resident().unwrap();
        assert!(used > 1 << 20, "{used}");
        assert!(used < memory.limit(), "{used} of {}", memory.limit());
        assert_eq!(Memory::within(Portion::Bytes(5)).limit(), 5);
        assert_eq!(Memory::within(Portion::Bytes(0)).resident(), None);
    }

    #[test]
    fn both_versions_of_control_groups_are_known() {
        let files = |line| -> Vec<_> {
            let files = limits_of(line).unwrap_or_default().into_iter();
            files.map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            files("0::/a/b"),
            [
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            files("4:memory:/"),
            ["/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        assert_eq!(files("4:cpu,cpuacct:/a"), [""; 0]);
        assert_eq!(files("nonsense"), [""; 0]);
    }
}
