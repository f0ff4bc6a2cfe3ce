//! Whose the folder is, and whether this process may write there: found out before anything is to be kept, and with what
//! mends it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::{getegid, geteuid, getgroups};

/// Who can reach everything, whosever it is.
const ROOT: u32 = 0;

/// Who wants to keep something.
struct User {
    id: u32,
    groups: Vec<u32>,
}

/// Whose a folder is.
#[derive(Clone, Copy)]
struct Owner {
    id: u32,
    group: u32,
    mode: u32,
}

/// Sees that nobody else can reach what is in the folder, and that this process can.
pub(super) fn check(folder: &Path, metadata: &Metadata) -> Result<(), String> {
    let user = User::of_process();
    let owner = Owner {
        id: metadata.uid(),
        group: metadata.gid(),
        mode: metadata.mode() & 0o777,
    };
    if user.must_share(owner) {
        let (mode, mend) = (owner.mode, user.mend(owner, folder));
        return Err(format!(
            "other users can reach what is in this folder (mode {mode:03o}); {mend}"
        ));
    }
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    access(folder, all).map_err(|error| {
        let mend = user.mend(owner, folder);
        format!("this server may not write in this folder: {error}; {mend}")
    })
}

/// Sees that this process may make the folder, which is not there.
pub(super) fn can_be_made(folder: &Path) -> Result<(), String> {
    let mut above = folder.ancestors().skip(1);
    let place = above.find(|place| place.exists());
    let place = place.unwrap_or(Path::new("."));
    let (shown, folder) = (place.display(), folder.display());
    if !place.is_dir() {
        return Err(format!("{shown} is no folder; name another place"));
    }
    access(place, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let id = geteuid().as_raw();
        format!(
            "there is no such folder, and this server may not make it in {shown}: {error}; run as root: install -d -m 700 -o \
             {id} {folder}, or name another place"
        )
    })
}

impl User {
    fn of_process() -> Self {
        let mut groups = getgroups().unwrap_or_default();
        groups.push(getegid());
        Self {
            id: geteuid().as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        }
    }

    /// Whether others than this user can reach what is in the folder: its owner for one, who may be no other than root. Root's may
    /// be for our group, as those are that Kubernetes mounts.
    fn must_share(&self, owner: Owner) -> bool {
        let others = match owner.id {
            id if id == self.id => 0o077,
            ROOT => 0o007,
            _ => return true,
        };
        owner.mode & others != 0
    }

    /// What makes the folder this user's, or one for this user's group.
    fn mend(&self, Owner { id, group, .. }: Owner, folder: &Path) -> String {
        let (me, folder) = (self.id, folder.display());
        if id == me {
            format!("run: chmod 700 {folder}")
        } else if id == ROOT && self.groups.contains(&group) {
            format!("run: chmod 770 {folder}")
        } else {
            format!(
                "it belongs to the user {id}, and this server runs as {me}; run as root: chown -R {me} {folder} && chmod 700 \
                 {folder}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_folder_it_is_decides_what_mends_it() {
        const OURS_TO_BE: &str = "it belongs to the user 1001, and this server runs as 65534; run as root: chown -R 65534 state \
                                  && chmod 700 state";
        const ROOTS_TO_BE: &str = "it belongs to the user 1001, and this server runs as 0; run as root: chown -R 0 state && \
                                   chmod 700 state";
        let user = User {
            id: 65534,
            groups: vec![2000, 65534],
        };
        for ((id, group, mode), shares, mend) in [
            // Who owns it can always write there, and so can its group.
            ((1001, 1001, 0o700), true, OURS_TO_BE),
            ((1001, 2000, 0o770), true, OURS_TO_BE),
            ((65534, 65534, 0o700), false, "run: chmod 700 state"),
            ((65534, 0, 0o755), true, "run: chmod 700 state"),
            ((65534, 65534, 0o770), true, "run: chmod 700 state"),
            ((0, 2000, 0o770), false, "run: chmod 770 state"),
            ((0, 2000, 0o775), true, "run: chmod 770 state"),
            (
                (0, 0, 0o755),
                true,
                "it belongs to the user 0, and this server runs as 65534; run as root: chown -R 65534 state && chmod 700 state",
            ),
        ] {
            let owner = Owner { id, group, mode };
            assert_eq!(user.must_share(owner), shares, "{id} {group} {mode:o}");
            assert_eq!(user.mend(owner, Path::new("state")), mend);
        }
        let root = User {
            id: ROOT,
            groups: vec![ROOT],
        };
        for (id, mode, shares, mend) in [
            (ROOT, 0o700, false, "run: chmod 700 state"),
            (ROOT, 0o750, true, "run: chmod 700 state"),
            (1001, 0o700, true, ROOTS_TO_BE),
        ] {
            let owner = Owner {
                id,
                group: id,
                mode,
            };
            assert_eq!(root.must_share(owner), shares, "{id} {mode:o}");
            assert_eq!(root.mend(owner, Path::new("state")), mend);
        }
    }
}
