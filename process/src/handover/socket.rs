//! The place where an old process and a new one meet.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::{GREETING, HandoverError, Link, PATIENCE};
use crate::Program;

/// Where a process waits for its successor. The file is removed when this is dropped, unless a successor put its own
/// there.
#[derive(Debug)]
pub struct HandoverSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file, while it is ours to remove.
    file: Option<(u64, u64)>,
}

impl HandoverSocket {
    /// Listens at `path`, in place of whichever process listened there before.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made, or the file there is somebody else's.
    pub fn bind(path: &Path) -> Result<Self, HandoverError> {
        existing(path)?;
        let failed = |source| HandoverError::Socket {
            path: path.to_owned(),
            source,
        };
        // Made aside, closed to others, and moved: at no moment is there no socket, or an open one.
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}", std::process::id()));
        let aside = PathBuf::from(aside);
        let made = || {
            // Of a process that had our number and was killed.
            let _ = fs::remove_file(&aside);
            let listener = UnixListener::bind(&aside)?;
            fs::set_permissions(&aside, fs::Permissions::from_mode(0o600))?;
            let file = fs::symlink_metadata(&aside)?;
            fs::rename(&aside, path)?;
            Ok((listener, (file.dev(), file.ino())))
        };
        let (listener, file) = made().map_err(failed)?;
        tracing::info!(path = %path.display(), "a new process may take over");
        Ok(Self {
            listener,
            path: path.to_owned(),
            file: Some(file),
        })
    }

    /// Waits for the next successor that is of this user and of this program. Others are told why not.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: who came meanwhile sees its connection end, and may come again.
    pub async fn successor(&self, program: &Program) -> Link {
        loop {
            let met = match self.listener.accept().await {
                Ok((stream, _)) => meet(stream, program).await,
                Err(error) => {
                    // Descriptors ran out, most likely: they come back.
                    sleep(PATIENCE).await;
                    Err(error.into())
                }
            };
            match met {
                Ok(link) => {
                    tracing::info!("a new process wants to take over");
                    return link;
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, path = %self.path.display(), "no successor");
                }
            }
        }
    }

    /// Leaves the path to the successor, which took over.
    pub fn leave(mut self) {
        tracing::info!("a new process took over");
        self.file = None;
    }
}

impl Drop for HandoverSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| self.file == Some((file.dev(), file.ino())));
        if ours {
            // One that stays is found to be stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn meet(stream: UnixStream, program: &Program) -> Result<Link, HandoverError> {
    let uid = stream.peer_cred()?.uid();
    if uid != geteuid().as_raw() {
        return Err(HandoverError::Refused(format!("it is of user {uid}")));
    }
    let mut link = Link::new(stream);
    let said = link.hear(PATIENCE).await?;
    let wanted = greeting(program);
    if !said.starts_with(&wanted) {
        link.say(&format!(
            "no this process hands over to `{wanted}`, and not to `{said}`"
        ))
        .await?;
        return Err(HandoverError::Unexpected(said));
    }
    link.say(&format!("{wanted} {}", program.version)).await?;
    Ok(link)
}

/// The process that listens at `path`, if one does.
///
/// # Errors
///
/// When the file there is no socket of this user's, or who listens there is no process of `program` that answers.
pub async fn predecessor(path: &Path, program: &Program) -> Result<Option<Link>, HandoverError> {
    if !existing(path)? {
        return Ok(None);
    }
    let connected = timeout(PATIENCE, UnixStream::connect(path)).await;
    let stream = match connected.map_err(|_| HandoverError::Silent(PATIENCE))? {
        Ok(stream) => stream,
        // The file of a process that was killed, or has ended between two looks.
        Err(error)
            if [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound]
                .contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(source) => {
            let path = path.to_owned();
            return Err(HandoverError::Socket { path, source });
        }
    };
    let mut link = Link::new(stream);
    let ours = greeting(program);
    link.say(&format!("{ours} {}", program.version)).await?;
    let said = link.hear(PATIENCE).await?;
    if !said.starts_with(&ours) {
        return Err(HandoverError::Unexpected(said));
    }
    tracing::info!(version = said[ours.len()..].trim(), path = %path.display(), "taking over from a process");
    Ok(Some(link))
}

fn greeting(program: &Program) -> String {
    format!("{GREETING} {}", program.name)
}

/// Whether there is a socket of this user's at `path`.
fn existing(path: &Path) -> Result<bool, HandoverError> {
    let path = path.to_owned();
    let file = match fs::symlink_metadata(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(HandoverError::Socket { path, source }),
    };
    if !file.file_type().is_socket() {
        let what = "it is another kind of file".to_owned();
        return Err(HandoverError::NotOurs { path, what });
    }
    if file.uid() != geteuid().as_raw() {
        let what = format!("it is of user {}", file.uid());
        return Err(HandoverError::NotOurs { path, what });
    }
    Ok(true)
}
