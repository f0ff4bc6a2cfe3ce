//! Keys that this process makes, and their files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tracing::info;

use super::fields::string;
use super::private::{BEGIN, BLOCK, END, MAGIC, PLAIN};
use super::{KIND, SshPrivateKey, SshPublicKey};
use crate::options::{Secrecy, exists, named};

/// What stands in the file for people, as `ssh-keygen -C` writes it.
const COMMENT: &str = "grpc-multiplexer";
/// Characters of base64 on a line.
const LINE: usize = 70;

/// The key in a file cannot be had. Nothing of it is in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshKeyFileError {
    /// What is there cannot be used.
    #[error("the key in {file} cannot be used: {reason}")]
    Unusable {
        /// Where it is.
        file: PathBuf,
        /// What would be right.
        reason: String,
    },
    /// There was none, and none can be made there.
    #[error("no new key can be written to {file}")]
    Unwritable {
        /// Where it was to be.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SshPrivateKey {
    /// The key in `file`, which no other user may be able to read. Where there is no such file, a new key is made and
    /// written there: whole, and on the disk, before this returns. Who makes one at the same time gets the same. Blocks.
    ///
    /// # Errors
    ///
    /// When the file is no such key, or cannot be written.
    pub fn read_or_make(file: &Path) -> Result<Self, SshKeyFileError> {
        if !exists(file) {
            make(file).map_err(|source| SshKeyFileError::Unwritable {
                file: file.to_owned(),
                source,
            })?;
        }
        let unusable = |reason| SshKeyFileError::Unusable {
            file: file.to_owned(),
            reason,
        };
        let (_, read) = named(file, Secrecy::Nobody);
        let contents = read.map_err(unusable)?.contents;
        // What is no text is no key.
        let key = String::from_utf8_lossy(&contents).parse();
        key.map_err(|error: super::SshPrivateKeyError| unusable(error.to_string()))
    }
}

/// Puts a new key where none is. Another's that is there by then stays.
fn make(file: &Path) -> io::Result<()> {
    let random = SystemRandom::new();
    let (mut seed, mut check, mut name) = ([0; 32], [0; 4], [0; 8]);
    for bytes in [&mut seed[..], &mut check, &mut name] {
        let filled = random.fill(bytes);
        filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
    }
    let mut aside = file.as_os_str().to_owned();
    aside.push(format!(".{:016x}", u64::from_ne_bytes(name)));
    let aside = PathBuf::from(aside);
    // A name of a whole file, which it gets only where there is none: no moment has half a key, or loses one.
    let made =
        write(&aside, &text(&seed, check, COMMENT)).and_then(|()| fs::hard_link(&aside, file));
    // Left behind at worst, and good for nothing.
    let _ = fs::remove_file(&aside);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    #[cfg(unix)]
    File::open(match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    })?
    .sync_all()?;
    info!(file = %file.display(), "a key was made");
    Ok(())
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file: File = options.open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The file of a private key. Secret, as the seed is.
pub(super) fn text(seed: &[u8; 32], check: [u8; 4], comment: &str) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
    let public = pair.public_key().as_ref();
    let mut secret = [
        // Two of the same, to see whether it was decrypted right.
        &check[..],
        &check,
        &string(KIND.as_bytes()),
        &string(public),
        &string(&[seed, public].concat()),
        &string(comment.as_bytes()),
    ]
    .concat();
    let filling = secret.len().next_multiple_of(BLOCK) - secret.len();
    secret.extend((1..).take(filling));
    let public = <[u8; 32]>::try_from(public).expect("a public key has 32 bytes");
    let bytes = [
        MAGIC,
        // The cipher, how its key is derived, and from what: there is none.
        &string(PLAIN),
        &string(PLAIN),
        &string(&[]),
        &1_u32.to_be_bytes(),
        &string(&SshPublicKey(public).blob()),
        &string(&secret),
    ]
    .concat();
    let base64 = STANDARD.encode(bytes);
    let lines = base64.as_bytes().chunks(LINE).map(String::from_utf8_lossy);
    let body: String = lines.map(|line| format!("{line}\n")).collect();
    format!("{BEGIN}\n{body}{END}\n")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::*;

    /// A folder of a test's own, removed with it.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let name = format!("mux-made-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn files(&self) -> Vec<String> {
            let files = fs::read_dir(&self.0).unwrap();
            let name = |file: io::Result<fs::DirEntry>| file.unwrap().file_name();
            files
                .map(|file| name(file).into_string().unwrap())
                .collect()
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn where_no_key_can_be_written_is_said_and_nothing_is_left() {
        let folder = Temporary::new("nowhere");
        let error = SshPrivateKey::read_or_make(&folder.0.join("no-folder/key")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("no new key can be written to ")
        );
        // What is there is not written over.
        let file = folder.0.join("key");
        fs::write(&file, "my notes").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let said = SshPrivateKey::read_or_make(&file).unwrap_err().to_string();
        assert!(
            said.contains("no private key in OpenSSH's format"),
            "{said}"
        );
        assert_eq!(fs::read(&file).unwrap(), b"my notes");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let said = SshPrivateKey::read_or_make(&file).unwrap_err().to_string();
        assert!(said.contains("run: chmod 600"), "{said}");
        assert_eq!(folder.files(), ["key"]);
    }

    #[test]
    fn who_comes_to_one_file_at_the_same_time_has_one_key() {
        let folder = Temporary::new("race");
        let file = folder.0.join("key");
        let keys: Vec<_> = thread::scope(|scope| {
            let make = || SshPrivateKey::read_or_make(&file).unwrap();
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(SshPrivateKey::read_or_make(&file).unwrap(), keys[0]);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(folder.files(), ["key"]);
        let other = SshPrivateKey::read_or_make(&folder.0.join("other")).unwrap();
        assert_ne!(other, keys[0]);
    }
}
