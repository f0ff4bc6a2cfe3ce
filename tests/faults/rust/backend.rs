//! The backend: the echo service in a process of its own, which notes every call that reaches it in a file, so that what
//! it did is known when it was killed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use grpc_multiplexer_examples::{Echo, routes};
use grpc_multiplexer_tests::Process;
use tokio::net::TcpListener;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use crate::calls::TOKEN;
use crate::net::Place;

/// A running one.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    notes: PathBuf,
}

impl Backend {
    /// Starts one at `address`, in `place`, which goes on with the notes of the one before.
    pub(crate) async fn start(place: &Place, address: &str, notes: &Path) -> anyhow::Result<Self> {
        let mut command = place.command(std::env::current_exe()?);
        command.arg("backend").arg(address).arg(notes);
        let process = Process::of(command);
        let line = process.says("backend listening ").await;
        let address = line.rsplit(' ').next().context("an address")?.parse()?;
        Ok(Self {
            process,
            address,
            notes: notes.to_owned(),
        })
    }

    /// Kills it, and starts it again where it was.
    pub(crate) async fn restart(&mut self, place: &Place) -> anyhow::Result<()> {
        self.process.kill().await;
        *self = Self::start(place, &self.address.to_string(), &self.notes).await?;
        Ok(())
    }

    /// How often each call reached it.
    pub(crate) fn executions(&self) -> anyhow::Result<HashMap<u64, usize>> {
        let mut seen = HashMap::new();
        for token in fs::read_to_string(&self.notes)?.lines() {
            *seen.entry(token.parse()?).or_default() += 1;
        }
        Ok(seen)
    }
}

/// The process.
#[expect(clippy::print_stderr, reason = "who started it reads the address here")]
pub(crate) async fn run(address: &str, notes: &str) -> anyhow::Result<()> {
    let notes = Arc::new(OpenOptions::new().create(true).append(true).open(notes)?);
    let listener = TcpListener::bind(address).await?;
    eprintln!("backend listening {}", listener.local_addr()?);
    let note = move |request: Request<()>| {
        note(&notes, &request)?;
        Ok(request)
    };
    Server::builder()
        .layer(InterceptorLayer::new(note))
        .add_routes(routes(Echo::default()).await?)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

/// One line in one write, so that no death tears it.
fn note(mut notes: &File, request: &Request<()>) -> Result<(), Status> {
    let Some(token) = request.metadata().get(TOKEN) else {
        return Ok(());
    };
    let line = [token.as_bytes(), b"\n"].concat();
    let noted = notes.write_all(&line);
    noted.map_err(|error| Status::internal(error.to_string()))
}
