//! What a server left to be told that was killed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use grpc_multiplexer_proto::hooks::v1::{ConnectedRequest, DisconnectedRequest};
use tracing::warn;

use super::{CONNECTED, DISCONNECTED, DONE, HEARD, Json, NAME, Telling};
use crate::state_dir::{Held, StateDir, StateError};

/// Why an epoch ended of which nothing else is known.
const KILLED: &str = "the server was killed";

/// The file of such a server. While this lives nobody else tells what is in it.
#[derive(Debug)]
pub(in crate::hooks) struct Left {
    file: Held,
    /// For each epoch what the hook is to hear, in its order.
    pub(in crate::hooks) epochs: Vec<Vec<Telling>>,
}

/// What is known of an epoch.
#[derive(Debug)]
struct Known {
    connected: ConnectedRequest,
    is_heard: bool,
    disconnected: Option<DisconnectedRequest>,
}

impl Left {
    /// All that there is in a folder. Blocks.
    ///
    /// # Errors
    ///
    /// Where one cannot be read all are left for another time.
    pub(in crate::hooks) fn all(dir: &StateDir, json: &Json) -> Result<Vec<Self>, StateError> {
        let mut all = Vec::new();
        for name in dir.beginning(NAME)? {
            let Some(mut file) = dir.take(&name)? else {
                continue;
            };
            let (epochs, strange) = read(&file.read()?, json);
            if strange > 0 {
                let file = dir.path(&name);
                warn!(file = %file.display(), strange, "lines of what a hook is to be told are not understood, and left out");
            }
            if epochs.is_empty() {
                file.remove()?;
            } else {
                all.push(Self { file, epochs });
            }
        }
        Ok(all)
    }

    /// Forgets it: it was told. Blocks.
    pub(in crate::hooks) fn forget(self) -> Result<(), StateError> {
        self.file.remove()
    }
}

/// What is to be told, and how many lines say nothing. Who was killed may have left the last one by half.
fn read(text: &[u8], json: &Json) -> (Vec<Vec<Telling>>, usize) {
    let mut epochs = BTreeMap::new();
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| line.strip_suffix(b"\n"));
    let strange = lines.filter(|line| step(line, json, &mut epochs).is_none());
    let strange = strange.count();
    (epochs.into_values().map(Known::told).collect(), strange)
}

/// Takes a line in, if it says something.
fn step(line: &[u8], json: &Json, epochs: &mut BTreeMap<String, Known>) -> Option<()> {
    let at = line.iter().position(|byte| *byte == b' ')?;
    let (word, said) = (str::from_utf8(&line[..at]).ok()?, &line[at + 1..]);
    match word {
        CONNECTED => {
            let connected: ConnectedRequest = json.written(said).ok()?;
            let known = Known {
                connected,
                is_heard: false,
                disconnected: None,
            };
            epochs.insert(known.connected.epoch.clone(), known);
        }
        HEARD => epochs.get_mut(str::from_utf8(said).ok()?)?.is_heard = true,
        DISCONNECTED => {
            let disconnected: DisconnectedRequest = json.written(said).ok()?;
            let known = epochs.get_mut(&disconnected.epoch)?;
            known.disconnected = Some(disconnected);
        }
        DONE => drop(epochs.remove(str::from_utf8(said).ok()?)?),
        _ => return None,
    }
    Some(())
}

impl Known {
    /// What the hook does not know yet. The epoch is over, whatever became of its edge.
    fn told(self) -> Vec<Telling> {
        let connected = &self.connected;
        let disconnected = self.disconnected.unwrap_or_else(|| DisconnectedRequest {
            server_id: connected.server_id.clone(),
            epoch: connected.epoch.clone(),
            client_id: connected.client_id.clone(),
            time: Some(SystemTime::now().into()),
            reason: KILLED.to_owned(),
        });
        let connected = (!self.is_heard).then_some(Telling::Connected(self.connected));
        let disconnected = Telling::Disconnected(disconnected);
        connected.into_iter().chain([disconnected]).collect()
    }
}
