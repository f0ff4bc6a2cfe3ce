//! When handlers learnt that their calls were cancelled, by what the backend printed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

/// A handler that learns it later than this after the last cancel never does.
const LIMIT: Duration = Duration::from_secs(30);

/// What the handlers of one case learnt.
#[derive(Debug)]
pub(crate) struct Notices {
    began: usize,
    after: Vec<Duration>,
}

impl Notices {
    /// Reads the log until every handler that began has learnt, and nothing more begins.
    pub(crate) async fn read(log: &str, cancelled: &[(usize, SystemTime)]) -> anyhow::Result<Self> {
        let cancelled: HashMap<usize, SystemTime> = cancelled.iter().copied().collect();
        let start = Instant::now();
        let mut began = 0;
        loop {
            let before = began;
            let notices = Self::parse(&std::fs::read_to_string(log)?, &cancelled);
            began = notices.began;
            if (notices.complete() && began == before) || start.elapsed() > LIMIT {
                return Ok(notices);
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn parse(log: &str, cancelled: &HashMap<usize, SystemTime>) -> Self {
        let mut began = HashSet::new();
        let mut after = HashMap::new();
        for line in log.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["began", id] => {
                    let id = id.parse().ok();
                    began.extend(id.filter(|id| cancelled.contains_key(id)));
                }
                ["cancelled", id, nanos] => {
                    let (Ok(id), Ok(nanos)) = (id.parse(), nanos.parse()) else {
                        continue;
                    };
                    let at = UNIX_EPOCH + Duration::from_nanos(nanos);
                    if let Some(cancelled) = cancelled.get(&id) {
                        let late = at.duration_since(*cancelled).unwrap_or_default();
                        after.entry(id).or_insert(late);
                    }
                }
                _ => {}
            }
        }
        Self {
            began: began.len(),
            after: after.into_values().collect(),
        }
    }

    /// Whether every handler that began has learnt.
    pub(crate) fn complete(&self) -> bool {
        self.after.len() >= self.began
    }
}

impl fmt::Display for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = |part| in_ms(percentile(&self.after, part));
        write!(f, "{} of {} handlers learnt", self.after.len(), self.began)?;
        write!(
            f,
            ", p50 {} p99 {} most {} ms",
            late(0.5),
            late(0.99),
            late(1.0)
        )
    }
}

/// The smallest value that so large a part is not above.
pub(crate) fn percentile(values: &[Duration], part: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

pub(crate) fn in_ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}
