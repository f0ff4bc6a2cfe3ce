//! Changes that are refused for something that no look finds.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tracing::subscriber::set_default;

use super::*;
use crate::settings::{LOG_FORMAT, LOG_LEVEL};
use crate::{Program, Reader};

const REFUSED: &str = "configuration not reloaded";
const TAKEN: &str = "file changed, and taken";

static PROGRAM: Program = Program {
    name: "test",
    about: "A test.",
    version: "0",
    options: &[
        OptionSpec {
            path: "file",
            value_name: "FILE",
            default: None,
            many: false,
            secret: false,
            reload: true,
            help: "A file",
        },
        LOG_LEVEL,
        LOG_FORMAT,
    ],
    epilogue: "",
};

/// What is in the file, unless there is a mistake beside it.
fn read(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let file = reader.file("file")?;
    if beside(&file.path).exists() {
        reader.mistake("file", "there is a mistake beside it");
    }
    Some(file.contents)
}

fn beside(file: &Path) -> PathBuf {
    file.with_extension("mistake")
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn times(&self, part: &str) -> usize {
        let log = self.0.lock().unwrap();
        String::from_utf8_lossy(&log).matches(part).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Else a certificate that is renewed while something else is wrong would not be in force when that is mended.
#[tokio::test]
async fn what_is_refused_is_tried_at_each_look_and_said_once() {
    let log = Log::default();
    let writer = log.clone();
    let logger = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let _logged = set_default(logger.finish());
    let path = std::env::temp_dir().join(format!("mux-reload-{}", std::process::id()));
    fs::write(&path, "one").unwrap();
    let sources = Sources::of_flags(&PROGRAM, &["test", "--file", path.to_str().unwrap()]);
    let leaves = sources.read().leaves;
    let first = settings(&leaves, read).unwrap();
    let (configs, config) = watch::channel(first.config);
    let mut reload = Reload {
        sources,
        read,
        leaves,
        verbosity: Verbosity::of_none(),
        configs,
        files: Files::read(first.noticed.files),
        certificates: Certificates::default(),
        refused: Refused::default(),
    };
    for (round, text) in ["two", "three"].into_iter().enumerate() {
        let before = config.borrow().clone();
        fs::write(beside(&path), "").unwrap();
        fs::write(&path, text).unwrap();
        for _ in 0..5 {
            reload.look().await;
        }
        assert_eq!(log.times(REFUSED), 2 * round + 1);
        // Who asks is told again, and the next look has nothing to add.
        reload.reload().await;
        reload.look().await;
        assert_eq!(log.times(REFUSED), 2 * round + 2);
        assert_eq!(*config.borrow(), before);
        fs::remove_file(beside(&path)).unwrap();
        reload.look().await;
        assert_eq!(*config.borrow(), text.as_bytes());
        assert_eq!(log.times(TAKEN), round + 1);
    }
    fs::remove_file(&path).unwrap();
}
