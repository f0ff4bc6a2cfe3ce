//! Beats that are on time. The runtime's timers go by milliseconds, which are more than what is measured.

use std::fs;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

/// Beats that nobody heard yet. Whoever is so late has other troubles.
const AHEAD: usize = 4096;

/// A thread that says when it is time.
#[derive(Debug)]
pub(crate) struct Metronome(mpsc::Receiver<Instant>);

impl Metronome {
    /// So many beats.
    pub(crate) fn start(every: Duration, count: usize) -> Self {
        let (send, beats) = mpsc::channel(AHEAD);
        let start = Instant::now();
        thread::spawn(move || {
            wakes_at_once();
            for n in 0..count {
                let due = start + every.mul_f64(n as f64);
                sleep_until(due);
                if send.blocking_send(due).is_err() {
                    break;
                }
            }
        });
        Self(beats)
    }

    /// When the next one was due; nothing after the last.
    pub(crate) async fn beat(&mut self) -> Option<Instant> {
        self.0.recv().await
    }
}

/// Has the system wake this thread when it is time, and not up to 50 µs later, as it may to save power. Where that cannot be
/// had, it is late. *Source:* Linux, `prctl(2)`, `PR_SET_TIMERSLACK`; a thread has a folder of its own in `/proc`.
pub(crate) fn wakes_at_once() {
    let thread = fs::read_link("/proc/thread-self").ok();
    let number = thread.as_deref().and_then(|thread| thread.file_name());
    if let Some(number) = number.and_then(|number| number.to_str()) {
        let _ = fs::write(format!("/proc/{number}/timerslack_ns"), "1");
    }
}

/// Sleeps by the clock of the system.
pub(crate) fn sleep_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_beat_is_due_after_the_other() {
        let mut metronome = Metronome::start(Duration::from_micros(100), 3);
        let mut beats = Vec::new();
        while let Some(due) = metronome.beat().await {
            assert!(due <= Instant::now());
            beats.push(due);
        }
        let steps: Vec<_> = beats.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(steps, [Duration::from_micros(100); 2]);
    }
}
