//! What `Up` received, and when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// The answer of `Up`: since when, and the bytes of each [slice](Self::SLICE) of time from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// On this machine's clock, which the load has too.
    since: SystemTime,
    slices: Vec<u64>,
}

impl Received {
    /// Bytes are counted for so long.
    const SLICE: Duration = Duration::from_millis(50);

    /// Reads a request to its end.
    pub(super) async fn all(mut messages: Streaming<Bytes>) -> Result<Self, Status> {
        let mut received = Self {
            since: SystemTime::now(),
            slices: Vec::new(),
        };
        let start = Instant::now();
        while let Some(message) = messages.message().await? {
            received.add(start.elapsed(), message.len() as u64);
        }
        Ok(received)
    }

    fn add(&mut self, after: Duration, bytes: u64) {
        let slice = (after.as_nanos() / Self::SLICE.as_nanos()) as usize;
        if self.slices.len() <= slice {
            self.slices.resize(slice + 1, 0);
        }
        self.slices[slice] += bytes;
    }

    pub(super) fn written(&self) -> Bytes {
        let mut message = BytesMut::new();
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        message.put_u64(u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        self.slices.iter().for_each(|bytes| message.put_u64(*bytes));
        message.freeze()
    }

    /// Reads an answer.
    pub(crate) fn read(mut message: &[u8]) -> Option<Self> {
        let complete = message.len() >= 8 && message.len().is_multiple_of(8);
        complete.then(|| Self {
            since: UNIX_EPOCH + Duration::from_micros(message.get_u64()),
            slices: (0..message.len() / 8).map(|_| message.get_u64()).collect(),
        })
    }

    /// All bytes.
    pub(crate) fn total(&self) -> u64 {
        self.slices.iter().sum()
    }

    /// Bytes, and when they came, counted from `start`. A slice is where its middle is.
    pub(crate) fn arrived(&self, start: SystemTime) -> Vec<(Duration, u64)> {
        let offset = self.since.duration_since(start).unwrap_or_default();
        let at = |slice: usize| offset + Self::SLICE.mul_f64(slice as f64 + 0.5);
        let slices = self.slices.iter().enumerate();
        slices.map(|(slice, bytes)| (at(slice), *bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_they_came() {
        let since = UNIX_EPOCH + Duration::from_secs(1_000);
        let mut received = Received {
            since,
            slices: Vec::new(),
        };
        for (after, bytes) in [(0, 1), (49, 2), (50, 4), (1_000, 8)] {
            received.add(Duration::from_millis(after), bytes);
        }
        let received = Received::read(&received.written()).expect("it was written");
        assert_eq!(received.total(), 15);
        let arrived = received.arrived(since - Duration::from_millis(100));
        let bytes = |(at, bytes): &(Duration, u64)| (at.as_millis(), *bytes);
        let arrived: Vec<_> = arrived.iter().map(bytes).collect();
        assert_eq!(arrived[..2], [(125, 3), (175, 4)]);
        assert_eq!(arrived.last(), Some(&(1_125, 8)));
    }
}
