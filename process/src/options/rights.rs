//! Who else can read or change a file that is used: looked at each time that it is read, with what mends it.
//!
//! Whoever can change a configuration, an authority or a list of keys lets himself in, so none is used that everybody can.
//! Its owner can, too, and is trusted with it by whoever named the file: in a container it is often nobody's that is known
//! there. What may be done in the folder is not looked at.

use std::fs::Metadata;
use std::path::Path;

/// Who may read a file beside the user of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    Anybody,
    Nobody,
}

/// Refuses a file that others can change, and a secret that others can read.
#[cfg(unix)]
pub(super) fn check(path: &Path, metadata: &Metadata, secrecy: Secrecy) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    check_mode(path, metadata.mode() & 0o777, ours, secrecy)
}

#[cfg(not(unix))]
pub(super) fn check(_: &Path, _: &Metadata, _: Secrecy) -> Result<(), String> {
    Ok(())
}

/// A secret of another user's may be for our group, as those are that Kubernetes mounts: this process could not read it
/// otherwise. What is no secret may be changed by a group: users have one of their own.
#[cfg(unix)]
fn check_mode(path: &Path, mode: u32, ours: bool, secrecy: Secrecy) -> Result<(), String> {
    let (others, wrong, mend) = match secrecy {
        Secrecy::Anybody => (0o002, "change this file", "o-w"),
        Secrecy::Nobody if ours => (0o077, "read or change this secret", "600"),
        Secrecy::Nobody => (0o037, "read or change this secret", "640"),
    };
    if mode & others == 0 {
        return Ok(());
    }
    Err(format!(
        "other users can {wrong} (mode {mode:03o}); run: chmod {mend} {}",
        path.display()
    ))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_change_and_secrets_that_they_can_read_are_refused_with_what_mends_it() {
        use Secrecy::{Anybody, Nobody};
        for (secrecy, ours, mode, mend) in [
            (Anybody, true, 0o646, Some("chmod o-w")),
            (Anybody, false, 0o602, Some("chmod o-w")),
            (Anybody, true, 0o777, Some("chmod o-w")),
            (Anybody, true, 0o664, None),
            (Anybody, false, 0o644, None),
            (Anybody, false, 0o444, None),
            (Nobody, true, 0o644, Some("chmod 600")),
            (Nobody, true, 0o640, Some("chmod 600")),
            (Nobody, true, 0o602, Some("chmod 600")),
            (Nobody, true, 0o600, None),
            (Nobody, false, 0o660, Some("chmod 640")),
            (Nobody, false, 0o644, Some("chmod 640")),
            (Nobody, false, 0o440, None),
        ] {
            let checked = check_mode(Path::new("x"), mode, ours, secrecy);
            let wanted = mend.map(|mend| format!("(mode {mode:03o}); run: {mend} x"));
            match (checked, wanted) {
                (Ok(()), None) => {}
                (Err(said), Some(wanted)) => assert!(said.ends_with(&wanted), "{said}"),
                other => panic!("{secrecy:?} {ours} {mode:o}: {other:?}"),
            }
        }
    }
}
