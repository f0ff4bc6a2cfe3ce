//! Many unary calls.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::amount::Amount;
use super::call::{Failures, echoed, message};
use super::connection::Connection;
use crate::metronome::Metronome;

/// After a failure, lest nothing but failures is done.
const PAUSE: Duration = Duration::from_millis(5);

/// Between two innocent calls.
const BETWEEN: Duration = Duration::from_millis(20);
/// A call that takes longer is a failed one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// How long each took that was answered.
    pub(crate) took: Vec<Duration>,
    pub(crate) failures: Failures,
    /// From the first call's beginning to the last one's end.
    pub(crate) all: Duration,
}

impl Calls {
    fn and(&mut self, others: Self) {
        self.took.extend(others.took);
        self.failures.and(others.failures);
        self.all = self.all.max(others.all);
    }

    fn add(&mut self, since: Instant, result: &anyhow::Result<()>) {
        match result {
            Ok(()) => self.took.push(since.elapsed()),
            Err(error) => self.failures.add(error),
        }
    }
}

/// A closed loop: so many calls are in flight on each connection, and each is followed by another.
pub(crate) async fn one_after_the_other(
    connections: &[Connection],
    in_flight: usize,
    body: &Bytes,
    amount: impl Into<Amount>,
) -> Calls {
    let (start, amount) = (Instant::now(), amount.into());
    let mut tasks = JoinSet::new();
    for connection in connections {
        for _ in 0..in_flight {
            let (send, request) = (connection.send.clone(), connection.request("Unary"));
            let body = body.clone();
            tasks.spawn(async move {
                let mut calls = Calls::default();
                let mut made = 0;
                while amount.has_more(start, made) {
                    let since = Instant::now();
                    let result = echoed(&send, request.clone(), body.clone()).await;
                    calls.add(since, &result);
                    made += 1;
                    if result.is_err() {
                        sleep(PAUSE).await;
                    }
                }
                calls.all = start.elapsed();
                calls
            });
        }
    }
    together(tasks).await
}

/// An open loop: so many calls a second, in turn on the connections, whatever becomes of them. How long one took counts from
/// when it was to begin.
pub(crate) async fn at_rate(
    connections: &[Connection],
    rate: f64,
    body: &Bytes,
    time: Duration,
) -> Calls {
    let count = (rate * time.as_secs_f64()) as usize;
    let request = connections.first().map(|first| first.request("Unary"));
    let request = Arc::new(request.expect("there are connections"));
    let mut metronome = Metronome::start(Duration::from_secs_f64(1.0 / rate), count);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    let mut turns = connections.iter().cycle();
    while let (Some(due), Some(connection)) = (metronome.beat().await, turns.next()) {
        let (send, request) = (connection.send.clone(), Arc::clone(&request));
        let body = body.clone();
        tasks.spawn(async move {
            let result = echoed(&send, (*request).clone(), body).await;
            let mut calls = Calls::default();
            calls.add(due, &result);
            calls.all = start.elapsed();
            calls
        });
    }
    together(tasks).await
}

/// Calls one after the other, with a pause between, until it is over.
pub(crate) async fn innocents(connection: &Connection, over: &CancellationToken) -> Calls {
    let (request, body) = (connection.request("Unary"), message(b"innocent"));
    let start = Instant::now();
    let mut calls = Calls::default();
    while !over.is_cancelled() {
        let since = Instant::now();
        let call = echoed(&connection.send, request.clone(), body.clone());
        let result = timeout(PATIENCE, call).await;
        let result = result.context("no answer").and_then(|result| result);
        calls.add(since, &result);
        sleep(BETWEEN).await;
    }
    calls.all = start.elapsed();
    calls
}

async fn together(mut tasks: JoinSet<Calls>) -> Calls {
    let mut all = Calls::default();
    while let Some(calls) = tasks.join_next().await {
        all.and(calls.expect("a load does not panic"));
    }
    all
}
