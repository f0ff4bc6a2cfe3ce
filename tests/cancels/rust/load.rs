//! `cancels-load ADDRESS CLIENT_ID LOG CASE...`: starts calls and cancels them, while innocent calls and streams go on
//! beside; then reads in LOG, what the backend printed, when its handlers learnt. One line per case, such as
//! `Hang:5000:150:2ms` (method, calls, open at a time, time until the cancel); with `:quiet` behind, the backend answers
//! nobody. Fails when an innocent call failed, a stream was lost, or a handler never learnt.

#![allow(
    clippy::unwrap_used,
    reason = "a load that meets what it did not expect is over"
)]

mod innocents;
mod notices;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures::future::join_all;
use grpc_multiplexer_tests::Caller;
use h2::Reason;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::innocents::Innocents;
use crate::notices::{Notices, in_ms};

/// Calls that are cancelled on one connection of a caller: a server ends one with more than 20 cancels of calls that it
/// has not accepted yet, and so do we.
const PER_CONNECTION: usize = 10;
/// Between two waves of calls.
const PAUSE: Duration = Duration::from_millis(20);
/// A gRPC message of nothing.
const EMPTY: &[u8] = &[0; 5];

/// What is called, and where.
#[derive(Debug, Clone)]
struct Target {
    address: String,
    client_id: String,
}

impl Target {
    async fn connect(&self, tasks: &mut JoinSet<()>) -> anyhow::Result<SendRequest<Bytes>> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let (send, connection) = h2::client::Builder::new()
            .data_frame_budget(1 << 40)
            .max_concurrent_reset_streams(100_000)
            .handshake(socket)
            .await?;
        tasks.spawn(async move { drop(connection.await) });
        Ok(send)
    }

    fn request(&self, method: &str, id: usize) -> http::Request<()> {
        let id = id.to_string();
        Caller::request(
            &format!("/cancels.Test/{method}"),
            &[("client-id", &self.client_id), ("cancel-id", &id)],
        )
    }
}

/// One case.
#[derive(Debug)]
struct Case {
    method: String,
    calls: usize,
    open: usize,
    after: Duration,
    /// The backend answers nobody meanwhile.
    quiet: bool,
}

impl Case {
    fn parse(case: &str) -> anyhow::Result<Self> {
        let loud = case.strip_suffix(":quiet");
        let parts: Vec<&str> = loud.unwrap_or(case).split(':').collect();
        let [method, calls, open, after] = parts[..] else {
            bail!("{case:?} is not METHOD:CALLS:OPEN:MILLISECONDSms[:quiet]");
        };
        let after: f64 = after.trim_end_matches("ms").parse()?;
        Ok(Self {
            method: method.to_owned(),
            calls: calls.parse()?,
            open: open.parse()?,
            after: Duration::from_secs_f64(after / 1_000.0),
            quiet: loud.is_some(),
        })
    }

    /// Cancels all calls, so many at a time; says when each was.
    async fn storm(
        &self,
        target: &Target,
        from: usize,
    ) -> anyhow::Result<Vec<(usize, SystemTime)>> {
        let mut tasks = JoinSet::new();
        let mut callers = Vec::new();
        for _ in 0..self.open.div_ceil(PER_CONNECTION) {
            callers.push(target.connect(&mut tasks).await?);
        }
        let ids: Vec<usize> = (from..from + self.calls).collect();
        let mut cancelled = Vec::new();
        for wave in ids.chunks(self.open) {
            let calls = wave.iter().enumerate().map(async |(n, id)| {
                let at = self.cancel_one(&callers[n / PER_CONNECTION], target, *id);
                anyhow::Ok((*id, at.await?))
            });
            let wave: Result<Vec<_>, _> = join_all(calls).await.into_iter().collect();
            cancelled.extend(wave?);
            sleep(PAUSE).await;
        }
        Ok(cancelled)
    }

    async fn cancel_one(
        &self,
        caller: &SendRequest<Bytes>,
        target: &Target,
        id: usize,
    ) -> anyhow::Result<SystemTime> {
        let request = target.request(&self.method, id);
        let mut caller = caller.clone().ready().await?;
        let (_response, mut send) = caller.send_request(request, false)?;
        send.send_data(Bytes::from_static(EMPTY), true)?;
        if self.after.is_zero() {
            tokio::task::yield_now().await;
        } else {
            sleep(self.after).await;
        }
        send.send_reset(Reason::CANCEL);
        Ok(SystemTime::now())
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the result")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, client_id, log, cases @ ..] = &args[..] else {
        bail!(
            "usage: cancels-load ADDRESS CLIENT_ID LOG METHOD:CALLS:OPEN:MILLISECONDSms[:quiet]..."
        );
    };
    let target = Target {
        address: address.clone(),
        client_id: client_id.clone(),
    };
    // The log has the calls of earlier runs too.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut from = usize::try_from(now.as_micros())?;
    let mut failed = false;
    for case in cases {
        let case = Case::parse(case)?;
        let innocents = Innocents::start(&target, case.quiet)
            .await
            .context("innocents")?;
        let cancelled = case.storm(&target, from).await.context("the storm")?;
        from += case.calls;
        ensure!(cancelled.len() == case.calls, "calls were not made");
        let notices = Notices::read(log, &cancelled).await?;
        let innocents = innocents.end().await;
        let good = innocents.unharmed() && notices.complete();
        failed |= !good;
        println!(
            "{} {client_id} {} {} of {} open, {} ms: {notices}; {innocents}",
            if good { "ok  " } else { "FAIL" },
            case.method,
            case.calls,
            case.open,
            in_ms(case.after),
        );
    }
    ensure!(!failed, "somebody was harmed");
    Ok(())
}
