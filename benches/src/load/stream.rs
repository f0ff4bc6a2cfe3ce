//! One call that streams.

use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use h2::SendStream;
use tokio::time::{Instant, sleep};

use super::call::{PREFIX, answered, ended, message, start};
use super::connection::Connection;
use crate::backend::{Down, Received};

/// Pieces that a reader takes before it pauses.
const SOME: usize = 100;

/// When bytes of messages arrived at their reader, counted from the call's beginning.
#[derive(Debug)]
pub(crate) struct Flow {
    arrived: Vec<(Duration, u64)>,
}

impl Flow {
    /// Of which only the end was looked at.
    pub(super) fn whole(took: Duration, bytes: u64) -> Self {
        Self {
            arrived: vec![(took, bytes)],
        }
    }

    /// Bytes a second between two times.
    pub(crate) fn rate(&self, from: Duration, to: Duration) -> f64 {
        let within = self
            .arrived
            .iter()
            .filter(|(at, _)| (from..to).contains(at));
        within.map(|(_, bytes)| *bytes as f64).sum::<f64>() / (to - from).as_secs_f64()
    }

    /// Until the last.
    pub(crate) fn took(&self) -> Duration {
        self.arrived.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    /// All bytes.
    pub(crate) fn total(&self) -> u64 {
        self.arrived.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Has the backend send messages until it ends by itself.
pub(crate) async fn down(connection: &Connection, what: Down) -> anyhow::Result<Flow> {
    let begin = Instant::now();
    let body = message(&what.written());
    let request = connection.request("Down");
    let (response, _stream) = start(&connection.send, request, body, true).await?;
    let mut arrived = Vec::new();
    answered(response, |chunk| {
        arrived.push((begin.elapsed(), chunk.len() as u64))
    })
    .await?;
    let flow = Flow { arrived };
    let each = u64::from(what.size) + PREFIX as u64;
    ensure!(flow.total().is_multiple_of(each), "half a message arrived");
    Ok(flow)
}

/// The same with a reader that pauses once, soon.
pub(crate) async fn paused(
    connection: &Connection,
    what: Down,
    pause: Duration,
) -> anyhow::Result<Flow> {
    let begin = Instant::now();
    let body = message(&what.written());
    let request = connection.request("Down");
    let (response, _stream) = start(&connection.send, request, body, true).await?;
    let (head, mut body) = response.await?.into_parts();
    let mut arrived = Vec::new();
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        arrived.push((begin.elapsed(), length as u64));
        if arrived.len() == SOME {
            sleep(pause).await;
        }
        body.flow_control().release_capacity(length)?;
    }
    ended(&head.headers, body).await?;
    Ok(Flow { arrived })
}

/// Sends messages of that size for that time.
pub(crate) async fn up(
    connection: &Connection,
    size: usize,
    time: Duration,
) -> anyhow::Result<Flow> {
    let (begin, since) = (Instant::now(), SystemTime::now());
    let body = message(&vec![b'x'; size]);
    let request = connection.request("Up");
    let (response, mut stream) = start(&connection.send, request, Bytes::new(), false).await?;
    let mut sent = 0;
    while begin.elapsed() < time {
        send(&mut stream, body.clone()).await?;
        sent += size as u64;
    }
    stream.send_data(Bytes::new(), true)?;
    let mut answer = Vec::new();
    answered(response, |chunk| answer.extend(chunk)).await?;
    let received = answer.get(PREFIX..).and_then(Received::read);
    let received = received.context("not what Up answers")?;
    let total = received.total();
    ensure!(total == sent, "{total} of {sent} bytes arrived");
    Ok(Flow {
        arrived: received.arrived(since),
    })
}

/// As much at a time as may be sent.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> anyhow::Result<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let capacity = capacity.context("the call is over")??;
        stream.send_data(data.split_to(capacity.min(data.len())), false)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_a_time() {
        let ms = Duration::from_millis;
        let arrived = vec![(ms(0), 10), (ms(999), 20), (ms(1_000), 40), (ms(3_000), 80)];
        let flow = Flow { arrived };
        assert_eq!(flow.total(), 150);
        assert!((flow.rate(ms(0), ms(1_000)) - 30.0).abs() < 1e-9);
        assert!((flow.rate(ms(1_000), ms(3_000)) - 20.0).abs() < 1e-9);
    }
}
